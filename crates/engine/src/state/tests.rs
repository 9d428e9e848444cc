use super::*;

fn entry(sample: &str) -> Entry {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("samples/journal/v1");
    Entry::parse(&std::fs::read_to_string(folder.join(format!("{sample}.json"))).unwrap()).unwrap()
}

fn fold(samples: &str) -> Result<State, IllegalTransition> {
    let entries: Vec<Entry> = samples.split_whitespace().map(entry).collect();
    State::fold(&entries)
}

#[test]
fn histories_fold_to_their_stage() {
    for (history, stage) in [
        ("intended_deploy", Stage::Intended),
        ("intended_deploy create_sent", Stage::Creating),
        ("intended_deploy create_sent unknown", Stage::Looking),
        ("intended_deploy create_sent created", Stage::Starting),
        ("intended_deploy create_sent rejected_again", Stage::Intended),
        ("intended_deploy create_sent rejected_again create_sent created ready", Stage::Looking),
        ("intended_deploy create_sent unknown not_there finished", Stage::Failed),
        ("intended_deploy create_sent created ready finished", Stage::Done),
        ("intended_xnode create_sent created", Stage::Starting),
        ("intended_xnode create_sent created up", Stage::Installing),
        ("intended_xnode create_sent created up reached ready finished", Stage::Done),
        ("intended_xnode create_sent created up lost", Stage::Deleting),
        ("intended_xnode create_sent created up gone finished", Stage::Failed),
        ("intended_deploy create_sent created lost", Stage::Deleting),
        ("intended_deploy create_sent created lost gone finished", Stage::Failed),
        ("intended_deploy create_sent adopted ready", Stage::Deleting),
        ("intended_destroy", Stage::Deleting),
        ("intended_destroy gone finished", Stage::Done),
        ("intended_power", Stage::Powering),
        ("intended_power power_accepted ready finished", Stage::Done),
        ("intended_power gone finished", Stage::Failed),
        ("intended_adopt finished", Stage::Done),
        ("intended_rebuilt finished", Stage::Done),
        ("intended_vanished finished", Stage::Done),
    ] {
        assert_eq!(fold(history).map(|state| state.stage()), Ok(stage), "{history}");
    }
}

#[test]
fn impossible_histories_are_refused() {
    for history in [
        "",
        "created",
        "intended_deploy intended_deploy",
        "intended_deploy created",
        "intended_deploy finished",
        "intended_deploy create_sent create_sent",
        "intended_deploy create_sent finished",
        "intended_deploy create_sent created created",
        "intended_deploy create_sent created finished",
        "intended_deploy create_sent created rejected",
        "intended_deploy create_sent created power_accepted",
        "intended_deploy create_sent created ready ready",
        "intended_deploy create_sent created ready lost",
        "intended_deploy create_sent created up",
        "intended_deploy create_sent created reached",
        "intended_xnode create_sent created ready",
        "intended_xnode create_sent created up up",
        "intended_xnode create_sent created up reached reached",
        "intended_xnode create_sent created up finished",
        "intended_deploy create_sent adopted ready finished",
        "intended_deploy create_sent created ready finished gone",
        "intended_destroy create_sent",
        "intended_destroy finished",
        "intended_power finished",
        "intended_destroy gone gone",
        "intended_adopt not_there",
        "intended_vanished gone",
    ] {
        assert!(fold(history).is_err(), "{history}");
    }
}

#[test]
fn a_token_that_made_nothing_is_used_again() {
    let again = |then| Entry { at: Timestamp::UNIX_EPOCH, event: Event::NotThere { then } };
    let state = fold("intended_deploy create_sent unknown").unwrap();
    let state = state.apply(&again(Then::Again { not_before: Timestamp::UNIX_EPOCH })).unwrap();
    assert!(matches!(&state.step, Step::Send { token: Some(_), tries: 1, .. }), "{:?}", state.step);
    let state = fold("intended_deploy create_sent rejected_again").unwrap();
    assert!(matches!(&state.step, Step::Send { token: None, tries: 1, .. }), "{:?}", state.step);
}

#[test]
fn the_cache_is_the_fold() {
    let state = fold("intended_deploy create_sent unknown").unwrap();
    let json = serde_json::to_string(&state).unwrap();
    let back: State = serde_json::from_str(&json).unwrap();
    assert_eq!(serde_json::to_string(&back).unwrap(), json);
}
