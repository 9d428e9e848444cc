//! Servers that nothing explains, servers that are gone, and an inventory that was lost.

use std::sync::Arc;

use capsule_sim::{Machine, Options, Sim, State, Timeline, World};
use jiff::SignedDuration;

use crate::program::Program;

const DEPLOY: [&str; 4] = ["--min-cpu", "1", "--provider", "digitalocean"];

/// Changes the simulated clouds behind everybody's back.
pub(crate) fn meanwhile<T>(program: &Program, change: impl FnOnce(&mut World) -> T) -> T {
    let clock = Arc::new(capsule_core::SystemClock);
    Sim::open(&program.home().join("sandbox/world.json"), clock, Options::default()).unwrap().edit(change).unwrap()
}

/// Everything there was made so many minutes ago.
pub(crate) fn age(program: &Program, minutes: i64) {
    meanwhile(program, |world| {
        let now = capsule_core::Clock::now(&capsule_core::SystemClock);
        for cloud in world.clouds.values_mut() {
            let ids: Vec<String> = cloud.machines.iter().map(|machine| machine.id.clone()).collect();
            for id in ids {
                cloud.machines.get_mut(&id).unwrap().born_at = now - SignedDuration::from_mins(minutes);
            }
        }
    });
}

/// The provider has no servers any more, and nobody of us deleted them.
fn vanish(program: &Program, provider: &str) {
    meanwhile(program, |world| {
        let cloud = world.clouds.get_mut(provider).unwrap();
        let ids: Vec<String> = cloud.machines.iter().map(|machine| machine.id.clone()).collect();
        for id in ids {
            let machine = cloud.machines.get_mut(&id).unwrap();
            // So long ago that whatever hung on it has come off.
            machine.timeline = Timeline::new(machine.born_at - SignedDuration::from_mins(1), State::Gone);
        }
    });
}

/// The journal is lost; the file that says which installation this is stays.
pub(crate) fn lose_journal(program: &Program) {
    for path in program.files().iter().filter(|path| path.to_string_lossy().contains("journal.db")) {
        std::fs::remove_file(path).unwrap();
    }
}

fn deployed(names: &[&str]) -> Program {
    let program = Program::new();
    for name in names {
        program.sandbox(&[&["deploy", name], &DEPLOY[..]].concat()).exits(0);
    }
    program
}

#[test]
fn an_orphan_is_shown_with_what_it_costs_and_adopted() {
    let program = deployed(&["web"]);
    lose_journal(&program);
    // A clock that is off is no reason to act: what is said to be made later is young as well.
    age(&program, -60);
    let young = program.sandbox(&["orphans"]).exits(0);
    assert!(young.stderr.contains("No orphans.") && young.stderr.contains("too young"), "{young:?}");
    age(&program, 15 * 60 + 5);
    let told = program.sandbox(&["orphans"]).exits(0);
    assert!(told.stdout.contains("COST SO FAR") && told.stdout.contains("15h0"), "{told:?}");
    let orphans = program.sandbox(&["-o", "json", "orphans"]).exits(0).json();
    let orphan = &orphans["orphans"][0];
    assert_eq!(orphan["name"], "web");
    let (hourly, so_far) = (&orphan["per_hour"]["amount"], &orphan["so_far"]["amount"]);
    let number = |value: &serde_json::Value| value.as_str().unwrap().parse::<f64>().unwrap();
    // Fifteen hours and five minutes, and the seconds of this test.
    let hours = number(so_far) / number(hourly);
    assert!((15.0..15.4).contains(&hours), "{so_far} so far at {hourly} an hour");
    assert_eq!(orphans["totals"][0]["per_hour"], orphan["per_hour"]);

    program.sandbox(&["orphans", "--adopt"]).exits(0);
    assert_eq!(program.sandbox(&["-o", "json", "orphans"]).exits(0).json()["orphans"], serde_json::json!([]));
    program.sandbox(&["delete", "web", "--yes"]).exits(0);
    assert_eq!(program.machines().living, 0);
}

#[test]
fn orphans_are_deleted_only_when_somebody_says_so() {
    let program = deployed(&["web"]);
    lose_journal(&program);
    age(&program, 90);
    let unasked = program.sandbox(&["orphans", "--delete"]).exits(2);
    assert!(unasked.stderr.contains("--yes"), "{unasked:?}");
    assert_eq!(program.machines().living, 1);
    let deleted = program.sandbox(&["-o", "json", "orphans", "--delete", "--yes"]).exits(0).json();
    assert_eq!(deleted["outcomes"][0]["finish"], "done");
    assert_eq!(program.machines().living, 0);
    assert_eq!(program.ledger().living().len(), 0);
}

#[test]
fn a_provider_that_does_not_answer_is_named_and_nothing_is_concluded_about_it() {
    let program = deployed(&["web"]);
    lose_journal(&program);
    age(&program, 90);
    program.sandbox(&["orphans", "--adopt"]).exits(0);
    vanish(&program, "digitalocean");
    program.run(&["sandbox", "fault", "digitalocean:droplets.list:status=503x*"]).exits(0);
    let run = program.sandbox(&["-o", "json", "orphans"]).exits(1);
    assert_eq!(run.json()["errors"][0]["provider"], "digitalocean");
    assert_eq!(run.json()["gone"], serde_json::json!([]));
    assert!(run.stderr.contains("digitalocean"), "{run:?}");
    // Its list says that the server is not there, but nobody can say whether it is gone.
    meanwhile(&program, |world| world.faults.clear());
    program.run(&["sandbox", "fault", "digitalocean:droplets.get:status=503x*"]).exits(0);
    assert_eq!(program.sandbox(&["-o", "json", "orphans"]).exits(1).json()["gone"], serde_json::json!([]));
    program.sandbox(&["rebuild"]).exits(0);
}

#[test]
fn a_server_that_its_provider_lost_leaves_the_inventory() {
    let program = deployed(&["web"]);
    lose_journal(&program);
    age(&program, 90);
    program.sandbox(&["orphans", "--adopt"]).exits(0);
    vanish(&program, "digitalocean");
    let told = program.sandbox(&["orphans"]).exits(0);
    assert!(told.stderr.contains("web") && told.stderr.contains("recorded as gone"), "{told:?}");
    assert!(!program.sandbox(&["orphans"]).exits(0).stderr.contains("web"), "once is enough");
    let ops = program.sandbox(&["-o", "json", "ops"]).exits(0).json();
    assert_eq!(ops["operations"][0]["kind"], "vanished");
    program.sandbox(&[&["deploy", "web"], &DEPLOY[..]].concat()).exits(0);
}

#[test]
fn a_volume_without_its_server_is_found_and_deleted() {
    for (provider, costs) in [("scaleway", "EUR a month"), ("aws", "USD a month")] {
        let program = Program::new();
        program.sandbox(&["deploy", "web", "--min-cpu", "1", "--provider", provider]).exits(0);
        let find = || program.sandbox(&["-o", "json", "orphans", "--provider", provider]).exits(0).json();
        assert_eq!(find()["leftovers"], serde_json::json!([]), "{provider}: its server lives");
        lose_journal(&program);
        vanish(&program, provider);
        let left = find()["leftovers"].as_array().unwrap().len();
        assert_eq!(find()["leftovers"][0]["kind"], "volume", "{provider}");
        assert_eq!(program.ledger().living().len(), 1, "{provider}: what is billed");
        let told = program.sandbox(&["orphans"]).exits(0);
        assert!(told.stdout.contains("LEFT OVER") && told.stdout.contains("volume"), "{told:?}");
        assert!(told.stdout.contains(costs) && !told.stdout.contains("unknown"), "{told:?}");
        let deleted = program.sandbox(&["-o", "json", "orphans", "--delete", "--yes"]).exits(0).json();
        assert_eq!(deleted["removed"].as_array().unwrap().len(), left, "{provider}");
        assert_eq!(program.ledger().living().len(), 0, "{provider}");
    }
}

#[test]
fn a_lost_inventory_is_rebuilt_once() {
    let program = deployed(&["web", "db"]);
    lose_journal(&program);
    let rebuilt = program.sandbox(&["-o", "json", "rebuild"]).exits(0).json();
    let names: Vec<&str> =
        rebuilt["rebuilt"].as_array().unwrap().iter().map(|record| record["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["db", "web"]);
    assert_eq!(rebuilt["rebuilt"][0]["price"], serde_json::Value::Null);
    assert_eq!(rebuilt["rebuilt"][0]["rebuilt"], true);
    let again = program.sandbox(&["-o", "json", "rebuild"]).exits(0).json();
    assert_eq!((&again["rebuilt"], &again["known"]), (&serde_json::json!([]), &serde_json::json!(2)));
    let shown = program.sandbox(&["show", "web"]).exits(0).stdout;
    assert!(shown.contains("not known"), "{shown}");
    program.sandbox(&["delete", "web", "db", "--yes"]).exits(0);
}

#[test]
fn a_lost_owner_is_looked_for_and_never_guessed() {
    let program = deployed(&["web"]);
    let file = program.home().join("sandbox/installation");
    let owner = std::fs::read_to_string(&file).unwrap().trim().to_owned();
    lose_journal(&program);
    std::fs::remove_file(&file).unwrap();
    let asked = program.sandbox(&["rebuild"]).exits(2);
    assert!(asked.stderr.contains(&owner) && asked.stderr.contains("--owner-id"), "{asked:?}");
    assert!(!file.exists(), "nothing is decided for the user");
    // A command that made an owner of its own meanwhile has made nothing that would be lost.
    program.sandbox(&["ops"]).exits(0);
    program.sandbox(&["rebuild", "--owner-id", &owner]).exits(0);
    assert_eq!(std::fs::read_to_string(&file).unwrap().trim(), owner);
    program.sandbox(&["stop", "web"]).exits(0);
    let other = program.sandbox(&["rebuild", "--owner-id", "0123456789abcdef"]).exits(2);
    assert!(other.stderr.contains(&owner) && other.stderr.contains("--home"), "{other:?}");
}

/// The root disk in a server's price, in the vendor's units.
fn disk_of(server: &serde_json::Value) -> Option<u64> {
    let extras = server["price"]["extras"].as_array().unwrap_or_else(|| panic!("{server} has no price"));
    extras.iter().find(|extra| extra["what"] == "root_disk")?["count"].as_u64()
}

#[test]
fn a_server_of_others_is_priced_with_the_disks_that_it_has() {
    for (provider, size, large, list) in
        [("aws", "size_gib", 100_u64, "ec2.DescribeVolumes"), ("scaleway", "size", 100_000_000_000, "volumes.list")]
    {
        let program = Program::new();
        program.sandbox(&["deploy", "web", "--min-cpu", "1", "--provider", provider]).exits(0);
        lose_journal(&program);
        meanwhile(&program, |world| {
            let volumes = world.clouds.get_mut(provider).unwrap().resources.get_mut("volume").unwrap();
            let root = volumes.iter().next().unwrap().clone();
            volumes.get_mut(&root.id).unwrap().data[size] = large.into();
            // Another one that stays: its owner did not say that it is to go, and at the other vendor none does.
            let mut other = capsule_sim::Resource { id: "vol-0other".to_owned(), ..root };
            other.data["dies_with_instance"] = false.into();
            volumes.push(other);
        });
        age(&program, 90);
        let orphans = program.sandbox(&["-o", "json", "orphans"]).exits(0);
        assert_eq!(disk_of(&orphans.json()["orphans"][0]), Some(100), "{provider}: {orphans:?}");
        // Where they may not be read that is said, and the usual disk is reckoned with.
        program.run(&["sandbox", "fault", &format!("{provider}:{list}:status=403x*")]).exits(0);
        let guessed = program.sandbox(&["-o", "json", "orphans", "--provider", provider]);
        let usual = if provider == "aws" { 8 } else { 20 };
        assert_eq!(disk_of(&guessed.json()["orphans"][0]), Some(usual), "{provider}: {guessed:?}");
        assert!(guessed.stderr.contains("which disks it really has is not known"), "{guessed:?}");
        meanwhile(&program, |world| world.faults.clear());
        let adopted = program.sandbox(&["-o", "json", "adopt", "web"]).exits(0);
        assert_eq!(disk_of(&adopted.json()["adopted"][0]), Some(100), "{provider}");
        for words in ["not in its price: the disk vol-0other of ", "stays when its server goes"] {
            assert!(adopted.stderr.contains(words), "{words} is missing in {adopted:?}");
        }
    }
}

#[test]
fn a_server_is_adopted_by_id() {
    let program = deployed(&["web"]);
    lose_journal(&program);
    std::fs::remove_file(program.home().join("sandbox/installation")).unwrap();
    let foreign = program.sandbox(&["adopt", "web"]).exits(2);
    assert!(foreign.stderr.contains("--foreign"), "{foreign:?}");
    let adopted = program.sandbox(&["-o", "json", "adopt", "web", "--foreign", "--name", "legacy"]).exits(0).json();
    let record = &adopted["adopted"][0];
    assert_eq!((&record["name"], &record["foreign"]), (&"legacy".into(), &true.into()));
    assert!(record["price"].is_object(), "{record}");
    program.sandbox(&[&["deploy", "web"], &DEPLOY[..]].concat()).exits(0);
    let id = record["id"].as_str().unwrap();
    let again = program.sandbox(&["adopt", id]).exits(0);
    assert!(again.stderr.contains("already"), "{again:?}");
    // It still carries the mark of the installation that made it, and a server belongs to one.
    let theirs = program.sandbox(&["adopt", id, "--tag"]).exits(1);
    assert!(theirs.stderr.contains("belongs to installation") && theirs.stderr.contains("capsule-owner"), "{theirs:?}");
    meanwhile(&program, |world| {
        let machines = &mut world.clouds.get_mut("digitalocean").unwrap().machines;
        machines.get_mut(id.rsplit('/').next().unwrap()).unwrap().tags = [("mine".to_owned(), String::new())].into();
    });
    let tagged = program.sandbox(&["adopt", id, "--tag"]).exits(0);
    assert!(tagged.stderr.contains("carries our tag now"), "{tagged:?}");
    assert!(program.sandbox(&["adopt", id, "--tag"]).exits(0).stderr.contains("carries our tag already"));
    lose_journal(&program);
    let rebuilt = program.sandbox(&["-o", "json", "rebuild"]).exits(0).json();
    assert!(rebuilt["rebuilt"].as_array().unwrap().iter().any(|record| record["id"] == id), "{rebuilt}");
    program.sandbox(&["delete", id, "--yes"]).exits(0);
    program.sandbox(&["adopt", "192.0.2.1", "--tag"]).exits(2);
}

#[test]
fn ten_thousand_servers_are_read_back() {
    const COUNT: usize = 10_000;
    let program = deployed(&["web"]);
    lose_journal(&program);
    meanwhile(&program, |world| {
        let machines = &mut world.clouds.get_mut("digitalocean").unwrap().machines;
        let first = machines.iter().next().unwrap().clone();
        for number in 1..COUNT {
            // Each of another order: the token is the only tag that differs.
            let tags = first.tags.iter().map(|(tag, value)| match tag.strip_prefix("capsule-token:") {
                Some(token) => (format!("capsule-token:{}{number:05}", &token[..21]), value.clone()),
                None => (tag.clone(), value.clone()),
            });
            let (id, name) = ((600_000_000 + number).to_string(), format!("web-{number}"));
            machines.push(Machine { id, name, tags: tags.collect(), ..first.clone() });
        }
    });
    let rebuilt = program.sandbox(&["-o", "json", "rebuild"]).exits(0).json();
    assert_eq!(rebuilt["rebuilt"].as_array().unwrap().len(), COUNT);
    assert_eq!((&rebuilt["doubles"], &rebuilt["pending"]), (&serde_json::json!([]), &serde_json::json!([])));
    let again = program.sandbox(&["-o", "json", "rebuild"]).exits(0).json();
    assert_eq!((&again["rebuilt"], &again["known"]), (&serde_json::json!([]), &COUNT.into()));
}

#[test]
fn who_is_refused_for_credentials_alone_exits_with_4_and_for_anything_else_with_1() {
    let program = deployed(&["web"]);
    let others: &[&str] = &["--provider", "digitalocean", "--provider", "vultr"];
    for (fault, code) in [("digitalocean:droplets.list:status=401x*", 4), ("vultr:instances.list:status=400x*", 1)] {
        program.run(&["sandbox", "fault", fault]).exits(0);
        for command in ["list", "orphans", "rebuild"] {
            let run = program.sandbox(&[&["-o", "json", command], others].concat()).exits(code);
            let errors = run.json()["errors"].as_array().unwrap().len();
            assert_eq!(errors, if code == 4 { 1 } else { 2 }, "{run:?}");
        }
    }
}

#[test]
fn a_region_is_looked_for_where_it_can_be() {
    let program = Program::new();
    for (provider, region) in [("digitalocean", "nyc1"), ("scaleway", "fr-par-2"), ("aws", "us-east-1")] {
        let args = ["deploy", provider, "--min-cpu", "1", "--wait", "none", "--provider", provider, "--region", region];
        program.sandbox(&args).exits(0);
    }
    let list = |args: &[&str]| program.sandbox(&[&["-o", "json", "list"], args].concat());
    let names = |args: &[&str]| {
        let listed = list(args).exits(0).json();
        let names =
            listed["instances"].as_array().unwrap().iter().map(|server| server["name"].as_str().unwrap().to_owned());
        names.collect::<Vec<_>>()
    };
    // AWS's host for a region that it has not answers as if the key were wrong, and Scaleway refuses what is no zone.
    assert_eq!(names(&["--region", "nyc1"]), ["digitalocean"]);
    assert_eq!(names(&["--region", "us-east-1", "--region", "nyc1"]), ["digitalocean", "aws"]);
    // A region of several zones.
    assert_eq!(names(&["--region", "fr-par"]), ["scaleway"]);
    let nowhere = list(&["--region", "nyc-9"]).exits(0);
    assert!(nowhere.stderr.contains("`nyc-9` is no region there: aws, scaleway"), "{nowhere:?}");
    // Whoever is named is asked, and says so.
    let named = list(&["--region", "nyc1", "--provider", "scaleway"]).exits(1);
    assert!(named.stderr.contains("no zone of Scaleway"), "{named:?}");
}
