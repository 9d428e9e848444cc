use super::*;
use crate::sight::{Answer, Certificate, Pin};

const START: Timestamp = Timestamp::constant(1_767_225_600, 0);

fn at(seconds: i64) -> Timestamp {
    START + SignedDuration::from_secs(seconds)
}

fn shut(ssh: Port) -> Sight {
    Sight { ssh, web: Web::Shut(if ssh == Port::Open { Port::Closed } else { ssh }) }
}

fn tls(claim: Option<Claim>, login: bool) -> Sight {
    let certificate = Certificate { pin: Pin::of_key(b"key"), not_before: at(-60), not_after: at(3_600_000) };
    Sight {
        ssh: Port::Closed,
        web: Web::Tls { certificate, answer: Answer { claim, login, words: "it answered 502".into() } },
    }
}

/// What a look `seconds` after the address means, given the stages passed and when.
fn look(passed: &[(Stage, i64)], sight: &Sight, seconds: i64) -> Judgement {
    let history = History {
        address_at: START,
        passed: passed.iter().map(|(stage, s)| (*stage, at(*s))).collect(),
        hindrance: None,
    };
    judge("web", &history, sight, &Limits::default(), 1, at(seconds))
}

/// One word for an end.
fn word(end: &End) -> &'static str {
    match end {
        End::Wait(_) => "wait",
        End::Healthy => "healthy",
        End::Stuck(_) => "stuck",
        End::Unclaimed(_) => "unclaimed",
    }
}

#[test]
fn each_sight_means_one_thing() {
    use Stage::*;
    let (open, closed, silent) = (shut(Port::Open), shut(Port::Closed), shut(Port::Silent));
    let claimed = tls(Some(Claim::Claimed), true);
    let no_tls = Sight { ssh: Port::Closed, web: Web::NoTls("it spoke HTTP".into()) };
    // passed so far, what is seen, when -> stages passed now, what follows, a word of the message
    let started = [(InstallStarted, 60)];
    let kexec = [(InstallStarted, 60), (Kexec, 200)];
    let up = [(InstallStarted, 60), (Kexec, 200), (TlsUp, 500)];
    let owned = [(TlsUp, 500), (Claimed, 510)];
    let whole = [(TlsUp, 500), (Claimed, 510), (Healthy, 520)];
    type Row<'a> = (&'a [(Stage, i64)], Sight, i64, Vec<Stage>, &'a str, &'a str);
    let table: Vec<Row> = vec![
        (&[], closed.clone(), 10, vec![], "wait", "nothing answers yet"),
        (&[], silent.clone(), 3299, vec![], "wait", "nothing answers yet"),
        (&[], silent.clone(), 3300, vec![], "stuck", "nothing ever answered"),
        (&[], open.clone(), 60, vec![InstallStarted], "wait", "installer"),
        (&started, open.clone(), 100, vec![], "wait", "being fetched"),
        (&started, open.clone(), 360, vec![], "wait", "may not have started"),
        (&started, open.clone(), 959, vec![], "wait", "may not have started"),
        (&started, open.clone(), 960, vec![], "stuck", "still the old system: port 22 answers after 15 minutes"),
        (&started, closed.clone(), 200, vec![Kexec], "wait", "in memory"),
        (&started, silent.clone(), 200, vec![Kexec], "wait", "in memory"),
        (&kexec, closed.clone(), 1999, vec![], "wait", "in memory"),
        (&kexec, closed.clone(), 2000, vec![], "stuck", "never opened port 443"),
        // The old system again: the installer came to nothing.
        (&kexec, open.clone(), 300, vec![], "wait", "old system"),
        (&kexec, open.clone(), 1100, vec![], "stuck", "still the old system"),
        (&kexec, no_tls.clone(), 300, vec![], "wait", "it spoke HTTP"),
        (&kexec, no_tls.clone(), 2000, vec![], "stuck", "no TLS"),
        (&kexec, tls(Some(Claim::Unclear), false), 500, vec![TlsUp], "wait", "502"),
        (&kexec, tls(None, false), 500, vec![TlsUp], "wait", "502"),
        (&up, tls(Some(Claim::Unclear), false), 1099, vec![], "wait", "502"),
        (&up, tls(Some(Claim::Unclear), false), 1100, vec![], "stuck", "neither asks for a login nor obeys"),
        (&up, closed.clone(), 600, vec![], "wait", "shut again"),
        (&up, closed.clone(), 1100, vec![], "stuck", "does not any more"),
        (&up, tls(Some(Claim::Unclaimed), false), 510, vec![], "unclaimed", "ALARM"),
        (&[], tls(Some(Claim::Unclaimed), true), 510, vec![TlsUp], "unclaimed", "root on it"),
        // Stages that passed unseen are not made up.
        (&[], claimed.clone(), 500, vec![TlsUp, Claimed], "wait", "once more"),
        (&up, claimed.clone(), 510, vec![Claimed], "wait", "once more"),
        (&owned, claimed.clone(), 520, vec![Healthy], "healthy", ""),
        (&owned, tls(Some(Claim::Claimed), false), 520, vec![], "wait", "login does not answer"),
        (&owned, tls(Some(Claim::Claimed), false), 1110, vec![], "stuck", "the login does not answer"),
        (&whole, claimed.clone(), 530, vec![], "healthy", ""),
        // However late, what is seen now counts.
        (&started, claimed.clone(), 90_000, vec![TlsUp, Claimed], "wait", "once more"),
        (&owned, claimed.clone(), 90_000, vec![Healthy], "healthy", ""),
    ];
    for (passed, sight, seconds, reached, end, words) in table {
        let found = look(passed, &sight, seconds);
        let case = format!("{passed:?} {sight:?} at {seconds}: {found:?}");
        assert_eq!((&found.reached, word(&found.end)), (&reached, end), "{case}");
        let told = match &found.end {
            End::Wait(words) => words.clone(),
            End::Healthy => String::new(),
            End::Stuck(error) | End::Unclaimed(error) => {
                assert!(error.hint().is_some() && error.message().ends_with('.'), "{case}");
                error.message().to_owned()
            }
        };
        assert!(told.contains(words), "{case}");
    }
}

#[test]
fn a_network_that_is_down_here_says_nothing_about_the_server() {
    let down = shut(Port::Unreachable);
    for passed in [&[][..], &[(Stage::InstallStarted, 1)], &[(Stage::Kexec, 1)], &[(Stage::TlsUp, 1)]] {
        let found = look(passed, &down, 1_000_000);
        assert!(matches!(&found.end, End::Wait(words) if words.contains("network")), "{found:?}");
        assert!(found.reached.is_empty(), "{found:?}");
    }
}

#[test]
fn an_expired_certificate_is_no_healthy_node() {
    let mut sight = tls(Some(Claim::Claimed), true);
    if let Web::Tls { certificate, .. } = &mut sight.web {
        certificate.not_after = at(500);
    }
    let found = look(&[(Stage::TlsUp, 400), (Stage::Claimed, 410)], &sight, 500);
    let End::Stuck(error) = found.end else { panic!("{found:?}") };
    assert!(error.message().contains("expired at 2026-01-01T00:08:20Z"), "{error}");
    assert!(found.reached.is_empty());
    // That it obeys anyone is worse than that its certificate expired.
    let Web::Tls { answer, .. } = &mut sight.web else { panic!() };
    answer.claim = Some(Claim::Unclaimed);
    assert!(matches!(look(&[], &sight, 500).end, End::Unclaimed(_)));
}

#[test]
fn what_keeps_a_server_from_its_own_disk_is_told_once_it_stays_away() {
    let hindrance = Error::new(ErrorKind::Forbidden, "The key may not change it.").with_hint("Do it by hand.");
    let judged = |passed: &[(Stage, Timestamp)], sight: &Sight, seconds| {
        let history = History { address_at: START, passed: passed.to_vec(), hindrance: Some(hindrance.clone()) };
        judge("web", &history, sight, &Limits::default(), 1, at(seconds)).end
    };
    let kexec = [(Stage::InstallStarted, at(60)), (Stage::Kexec, at(200))];
    for passed in [&kexec[..], &[]] {
        let closed = shut(Port::Closed);
        assert!(matches!(judged(passed, &closed, 1999), End::Wait(_)), "it may come back all the same");
        let End::Stuck(error) = judged(passed, &closed, 3300) else { panic!("{passed:?}") };
        assert!(error.message().contains("never opened port 443. Most likely it does not start from its own disk"));
        assert!(error.message().ends_with("The key may not change it."), "{error}");
        assert_eq!(error.hint(), Some("Do it by hand."));
    }
    assert!(matches!(judged(&kexec, &tls(Some(Claim::Unclaimed), true), 3300), End::Unclaimed(_)));
}

#[test]
fn pace_and_limits_move_every_deadline() {
    let history = History { address_at: START, passed: vec![(Stage::InstallStarted, START)], hindrance: None };
    let mut limits = Limits::default();
    let stuck = |limits: &Limits, pace, seconds| {
        matches!(judge("web", &history, &shut(Port::Open), limits, pace, at(seconds)).end, End::Stuck(_))
    };
    assert!(!stuck(&limits, 20, 44) && stuck(&limits, 20, 45));
    limits.set(Stage::Kexec, 40);
    assert!(!stuck(&limits, 20, 1) && stuck(&limits, 20, 2));
    assert!(Limits::of(Some(PlanKind::BareMetal)).get(Stage::TlsUp) > Limits::default().get(Stage::TlsUp));
}

#[test]
fn stages_are_read_by_their_words() {
    for stage in Stage::ALL {
        assert_eq!(stage.as_str().parse::<Stage>().unwrap(), stage);
    }
    let error = "kexek".parse::<Stage>().unwrap_err();
    assert!(error.hint().unwrap().contains("kexec"), "{error:?}");
}
