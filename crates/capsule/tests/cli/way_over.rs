//! From the original to here: its inventory, its keys, its commands.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use serde_json::{Value, json};

use crate::fleet::{lose_journal, meanwhile};
use crate::program::Program;

/// Thirty servers at three providers that no home knows, and that no installation marked: as the original left them.
fn strangers() -> (Program, Vec<Value>) {
    let program = Program::new();
    for provider in ["digitalocean", "vultr", "aws"] {
        let args = ["deploy", provider, "--count", "10", "--provider", provider, "--min-cpu", "1"];
        // One provider's addresses are enough.
        let wait: &[&str] = if provider == "digitalocean" { &[] } else { &["--wait", "none"] };
        program.sandbox(&[&args[..], wait].concat()).exits(0);
    }
    lose_journal(&program);
    std::fs::remove_file(program.home().join("sandbox/installation")).unwrap();
    meanwhile(&program, |world| {
        for cloud in world.clouds.values_mut() {
            let ids: Vec<String> = cloud.machines.iter().map(|machine| machine.id.clone()).collect();
            for id in ids {
                cloud.machines.get_mut(&id).unwrap().tags = [("xnode".to_owned(), String::new())].into();
            }
        }
    });
    let instances = program.sandbox(&["-o", "json", "list"]).exits(0).json()["instances"].as_array().unwrap().clone();
    assert_eq!(instances.len(), 30);
    assert!(instances.iter().all(|instance| instance["tags"] == json!({ "xnode": "" })));
    (program, instances)
}

fn native(instance: &Value) -> &str {
    instance["id"].as_str().unwrap().rsplit('/').next().unwrap()
}

/// The original's file with a hundred entries, as text: a JSON object cannot hold one key twice, and a file can.
fn hundred(program: &Program, living: &[Value]) -> PathBuf {
    let mut entries: Vec<(String, Value)> = Vec::new();
    for (number, instance) in living.iter().enumerate() {
        // A third has no region, as the original wrote it when none was given.
        let region = if number % 3 == 0 { Value::Null } else { instance["region"].clone() };
        let id = native(instance);
        let entry = json!({
            "id": id, "name": format!("node-{number}"), "provider": instance["provider"], "template": "do-basic-2",
            "status": "active", "ip_address": instance["ip_address"], "ssh_port": 22, "region": region,
            "deployed_at": "2025-11-01T00:00:00", "cost_hourly": 0.015, "tags": ["prod", "web"], "metadata": {},
            "colour": "blue",
        });
        entries.push((id.to_owned(), entry));
    }
    // The same servers once more, under the same key and under another one.
    for (number, (key, entry)) in entries.clone().into_iter().take(10).enumerate() {
        entries.push((if number % 2 == 0 { key } else { format!("copy-{number}") }, entry));
    }
    for number in 0..25 {
        let at = ["digitalocean", "vultr", "aws"][number % 3];
        // Two stand at an address that another server has today.
        let ip = if number < 2 { living[number]["ip_address"].clone() } else { Value::Null };
        let entry = json!({
            "id": format!("9000{number}"), "name": "old", "provider": at, "status": "running", "ip_address": ip,
            "deployed_at": "2025-10-01T00:00:00+00:00", "cost_hourly": "0.10",
        });
        entries.push((format!("9000{number}"), entry));
    }
    for number in 0..15 {
        let entry = json!({
            "id": format!("null-{number}"), "name": null, "provider": "digitalocean", "template": null, "status": null,
            "ip_address": null, "region": null, "deployed_at": null, "cost_hourly": null, "tags": null, "metadata": null,
        });
        entries.push((format!("null-{number}"), entry));
    }
    for number in 0..5 {
        entries.push((format!("cherry-{number}"), json!({ "id": format!("cherry-{number}"), "provider": "cherry" })));
        entries.push((format!("broken-{number}"), json!("lost")));
    }
    for number in 0..10 {
        entries.push((
            format!("77{number}"),
            json!({ "id": format!("77{number}"), "provider": "linode", "region": null }),
        ));
    }
    assert_eq!(entries.len(), 100);
    let lines: Vec<String> =
        entries.iter().map(|(key, entry)| format!("    {}: {entry}", Value::from(key.as_str()))).collect();
    let text = format!(
        "{{\n  \"version\": \"1.0\",\n  \"last_updated\": \"2025-11-02T00:00:00\",\n  \"xnodes\": {{\n{}\n  }},\n  \
         \"history\": [{{\"xnode_id\": \"90000\", \"terminated_at\": \"2025-10-01T10:00:00\", \"total_cost\": 1.0}}],\n  \
         \"metadata\": {{}}\n}}\n",
        lines.join(",\n")
    );
    let path = program.home().join("inventory.json");
    std::fs::write(&path, text).unwrap();
    path
}

fn counts(report: &Value) -> BTreeMap<String, u64> {
    let counts = report["counts"].as_object().unwrap();
    counts.iter().map(|(outcome, count)| (outcome.clone(), count.as_u64().unwrap())).filter(|(_, n)| *n > 0).collect()
}

fn expected(counts: &[(&str, u64)]) -> BTreeMap<String, u64> {
    counts.iter().map(|(outcome, count)| ((*outcome).to_owned(), *count)).collect()
}

#[test]
fn a_hundred_entries_of_the_original_are_each_accounted_for() {
    let (program, living) = strangers();
    let file = hundred(&program, &living);
    let file = file.to_str().unwrap();
    program.run(&["sandbox", "fault", "linode:instances.list:status=503x*"]).exits(0);
    let report = program.sandbox(&["-o", "json", "import", "inventory", file, "--timezone", "UTC"]).exits(1).json();
    assert_eq!(report["total"], 100);
    let at_first = expected(&[
        ("matched", 30),
        ("gone", 40),
        ("duplicate", 10),
        ("unknown_provider", 5),
        ("unreachable", 10),
        ("broken", 5),
    ]);
    assert_eq!(counts(&report), at_first);
    assert_eq!(at_first.values().sum::<u64>(), 100);
    let entries = report["entries"].as_array().unwrap();
    let lines: std::collections::BTreeSet<u64> = entries.iter().map(|entry| entry["line"].as_u64().unwrap()).collect();
    assert_eq!(lines.len(), 100, "each row stands on a line of its own and is told of once");
    for entry in entries.iter().filter(|entry| entry["outcome"] == "matched") {
        let instance = living.iter().find(|instance| instance["id"] == entry["instance"]).unwrap();
        assert_eq!(entry["id"], native(instance));
        assert_eq!((&entry["managed"], &entry["original"]["colour"]), (&json!(false), &json!("blue")));
        assert_eq!(
            (&entry["recorded"]["hourly"]["amount"], &entry["recorded"]["until_is"]),
            (&json!("0.015"), &json!("now"))
        );
    }
    // Ten hours at 0.10 by the history; a month at 0.10 where only the file's own time is known.
    let old: Vec<&Value> = entries.iter().filter(|entry| entry["name"] == "old").collect();
    assert_eq!(
        (&old[0]["recorded"]["cost"]["amount"], &old[0]["recorded"]["until_is"]),
        (&json!("1"), &json!("terminated_at"))
    );
    assert_eq!(
        (&old[1]["recorded"]["cost"]["amount"], &old[1]["recorded"]["until_is"]),
        (&json!("76.8"), &json!("last_updated"))
    );
    // The same address is a hint, and nothing more.
    let hints: Vec<&Value> = old.iter().map(|entry| &entry["maybe"]).filter(|maybe| **maybe != json!([])).collect();
    assert_eq!(hints.len(), 1, "one of the two addresses is at the provider that the entry names: {hints:?}");
    assert_eq!(report["history"]["recorded_cost"]["amount"], "1");

    // Who answers again is believed again; what was not adopted was not touched.
    meanwhile(&program, |world| world.faults.clear());
    let taken =
        program.sandbox(&["-o", "json", "import", "inventory", file, "--timezone", "UTC", "--adopt"]).exits(1).json();
    let later = expected(&[("matched", 30), ("gone", 50), ("duplicate", 10), ("unknown_provider", 5), ("broken", 5)]);
    assert_eq!(counts(&taken), later);
    let adopted = |report: &Value| {
        report["entries"].as_array().unwrap().iter().filter(|entry| !entry["adopted_as"].is_null()).count()
    };
    assert_eq!(adopted(&taken), 30);
    let inventory = program.sandbox(&["-o", "json", "inventory", "--tag", "prod"]).exits(0).json();
    assert_eq!(inventory["servers"].as_array().unwrap().len(), 30);
    assert!(inventory["servers"].as_array().unwrap().iter().all(|server| !server["price"].is_null()));

    // Again: the same report, and nothing is taken in twice. What is asked for beside that is done.
    let is = |report: &Value, what: &str| {
        report["entries"].as_array().unwrap().iter().filter(|entry| entry[what] == true).count()
    };
    assert_eq!((is(&taken, "managed"), is(&taken, "tagged")), (30, 0));
    let again =
        program.sandbox(&["-o", "json", "import", "inventory", file, "--timezone", "UTC", "--tag"]).exits(1).json();
    assert_eq!((counts(&again), adopted(&again)), (later, 0));
    assert_eq!((is(&again, "managed"), is(&again, "tagged")), (30, 30));
    let listed = program.sandbox(&["-o", "json", "list"]).exits(0).json();
    for instance in listed["instances"].as_array().unwrap() {
        assert_eq!((&instance["managed"], &instance["tags"]["xnode"]), (&json!(true), &json!("")), "{instance}");
        assert!(instance["tags"]["capsule-owner"].is_string(), "{instance}");
    }
    let table = program.sandbox(&["import", "inventory", file, "--timezone", "UTC"]).exits(1);
    assert!(
        table.stderr.contains("100 rows: 30 matched, 50 gone, 10 duplicate, 5 unknown provider, 5 broken."),
        "{table:?}"
    );
    assert_eq!((program.machines().born, program.machines().living), (30, 30));

    // The journal is lost, and the tags lead back to all of them.
    lose_journal(&program);
    let rebuilt = program.sandbox(&["-o", "json", "rebuild"]).exits(0).json();
    assert_eq!(rebuilt["rebuilt"].as_array().unwrap().len(), 30);
}

#[test]
fn the_originals_csv_is_read_and_its_broken_rows_are_named() {
    let program = Program::new();
    program.sandbox(&["deploy", "web", "--provider", "digitalocean", "--min-cpu", "1"]).exits(0);
    let list = program.sandbox(&["-o", "json", "list"]).exits(0).json();
    let file = program.home().join("inventory.csv");
    let text = format!(
        "id,name,provider,status,ip_address,region,deployed_at,cost_hourly,tags\n\
         {},web,digitalocean,active,,,2025-11-01T00:00:00,0,\"prod,web\"\n\
         1,cut,digital\n\
         2,gone,digitalocean,active,,,,,\n",
        native(&list["instances"][0])
    );
    std::fs::write(&file, text).unwrap();
    let args = ["import", "inventory", file.to_str().unwrap()];
    let run = program.run_with(&[("TZ", "EST5EDT,M3.2.0,M11.1.0")], &[&["--sandbox"], &args[..]].concat()).exits(1);
    let shown = format!("{}--\n{}", run.stdout, run.stderr);
    // Of the living one, the id differs from run to run, and the cost grows.
    let masked = shown.replace(file.to_str().unwrap(), "FILE").replace(native(&list["instances"][0]), "ID");
    let masked: Vec<&str> = masked.lines().filter(|line| !line.contains("original's own figures")).collect();
    let masked = masked.join("\n");
    insta::assert_snapshot!(masked, @r"
    LINE  OUTCOME  NAME  PROVIDER      ID         COST THEN  NOTE
    2     matched  web   digitalocean  ID   0.00 USD  running, in the inventory
    3     broken   -     -             -                  -  it has 3 columns where the first line has 9
    4     gone     gone  digitalocean  2                  -
    --
    3 rows: 1 matched, 1 gone, 1 broken.
    Times without a zone (1) are read as those of this machine; --timezone says otherwise.
    error: 1 of 3 rows of FILE cannot be read; the others hold.
    ");
    // Eastern time is that of the machine here; whoever knows better says so.
    let zoned = program.sandbox(&[&["-o", "json"], &args[..], &["--timezone", "+02:00"]].concat()).exits(1).json();
    assert_eq!((&zoned["timezone"], &zoned["zoneless_times"]), (&json!("+02"), &json!(1)));
    assert_eq!(zoned["entries"][0]["recorded"]["from"], "2025-10-31T22:00:00Z");
    let nowhere = program.sandbox(&[&args[..], &["--timezone", "Mars/Olympus"]].concat()).exits(2);
    assert!(nowhere.stderr.contains("Mars/Olympus") && nowhere.stderr.contains("Europe/Berlin"), "{nowhere:?}");
    let missing = program.sandbox(&["import", "inventory", "nowhere.json"]).exits(2);
    assert!(missing.stderr.contains("nowhere.json cannot be read"), "{missing:?}");
}

#[test]
fn the_originals_keys_are_read_as_they_stand_and_mended_on_save() {
    let program = Program::new();
    std::fs::create_dir_all(program.home()).unwrap();
    let path = program.home().join("providers.yml");
    let text = "# mine\ncherry:\n  api_key: other\ndigitalocean:\n  api_key: k-one\n  colour: blue\nvultr: {}\nextra: [1, 2]\n";
    std::fs::write(&path, text).unwrap();
    let mode = |path: &PathBuf| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
    let providers = program.run(&["-o", "json", "providers"]).exits(0);
    assert!(
        providers.stderr.contains("others can read") && providers.stderr.contains("providers.yml"),
        "{providers:?}"
    );
    assert_eq!(
        (std::fs::read_to_string(&path).unwrap().as_str(), mode(&path)),
        (text, 0o644),
        "reading changes nothing"
    );

    let login = ["provider", "login", "vultr", "--no-check"];
    program.run_reading("k-two\n", &[], &login).exits(0);
    let saved = std::fs::read_to_string(&path).unwrap();
    for kept in ["cherry:", "api_key: other", "api_key: k-one", "colour: blue", "extra:", "api_key: k-two"] {
        assert!(saved.contains(kept), "`{kept}` is missing in {saved}");
    }
    assert_eq!(mode(&path), 0o600);
    assert!(!program.run(&["providers"]).exits(0).stderr.contains("warning"), "it is mended");
}

#[test]
fn the_originals_commands_do_what_they_say_or_say_what_does() {
    let program = Program::new();
    let order = ["openmesh", "deploy", "--name", "web", "--max-price", "0.5", "--provider", "digitalocean"];
    // It asked before it ordered, and nobody is here to be asked.
    let unasked = program.sandbox(&order).exits(2);
    assert!(unasked.stderr.contains("Nothing was ordered") && unasked.stderr.contains("--yes"), "{unasked:?}");
    let ordered = program.sandbox(&[&order[..], &["--yes"]].concat()).exits(0);
    assert!(
        ordered.stderr.contains("This is `capsule deploy web --max-hourly 0.5 --provider digitalocean --min-cpu 2"),
        "{ordered:?}"
    );
    assert_eq!(program.machines().living, 1);
    let inventory = program.run(&["-o", "json", "--sandbox", "openmesh", "inventory"]).exits(0).json();
    assert_eq!(inventory["servers"][0]["name"], "web");
    // A template by name, and no name for the server: it had one for those.
    let nameless =
        ["openmesh", "deploy", "-p", "digitalocean", "-t", "do-basic-2", "--budget", "0.10", "--tags", "a,b"];
    let ordered = program.sandbox(&[&nameless[..], &["-r", "nyc3", "--yes"]].concat()).exits(0);
    assert!(ordered.stdout.contains("xnode-instance") && ordered.stdout.contains("s-2vcpu-2gb"), "{ordered:?}");
    // Its name is taken now, so the same again is not another one.
    let again = program.sandbox(&[&nameless[..], &["--yes"]].concat()).exits(1);
    assert!(again.stderr.contains("xnode-instance"), "{again:?}");
    assert_eq!(program.machines().living, 2);
    // One of the tags was enough.
    let tagged = program.run(&["-o", "json", "--sandbox", "openmesh", "inventory", "--tags", "b,c"]).exits(0).json();
    assert_eq!(tagged["servers"].as_array().unwrap().len(), 1, "{tagged}");
    assert_eq!(tagged["servers"][0]["name"], "xnode-instance");
    let none = program.run(&["-o", "json", "--sandbox", "inventory", "--tag", "b", "--tag", "c"]).exits(0).json();
    assert_eq!(none["servers"], json!([]));
    let as_csv = program.sandbox(&["xnode", "list", "-o", "csv"]).exits(0);
    assert!(as_csv.stdout.starts_with("id,name,"), "{as_csv:?}");
    program.sandbox(&["openmesh", "xnode", "stop", "web"]).exits(0);
    assert_eq!(program.sandbox(&["-o", "json", "show", "web"]).exits(0).json()["instance"]["status"], "stopped");
    assert!(program.sandbox(&["openmesh", "cost-report"]).exits(0).stdout.contains("digitalocean"));

    for (args, words) in [
        (&["openmesh", "provider", "configure", "vultr", "--api-key", "CANARY"][..], "provider login"),
        (&["openmesh", "xnode", "tunnel", "web", "--local-port", "8080"], "no SSH"),
        (&["openmesh", "monitor", "alerts"], "health --all"),
        (&["openmesh", "configure"], "provider login"),
        (&["xnode", "export", "file"], "-o csv"),
        (&["nixos", "generate", "--all"], "initial_config"),
        (&["openmesh", "export", "file"], "-o csv"),
        (&["profile", "use", "dev"], "nixos_generator"),
        (&["plant", "user@host", "-p", "2222"], "nix profile install"),
    ] {
        let run = program.sandbox(args).exits(2);
        assert!(run.stdout.is_empty() && run.stderr.contains(words), "{run:?}");
        assert_eq!(run.stderr.lines().count(), 1, "{run:?}");
        assert!(!run.stderr.contains("CANARY"));
    }
    // What stands after a command of today is that command's own mistake.
    let mistyped = program.sandbox(&["provider", "add"]).exits(2);
    assert!(mistyped.stderr.contains("unrecognized subcommand 'add'"), "{mistyped:?}");
    let unknown = program.sandbox(&["xnode", "fly"]).exits(2);
    assert!(unknown.stderr.contains("The original had no `xnode fly`"), "{unknown:?}");
    assert!(program.run(&["openmesh", "xnode", "deploy", "--help"]).exits(0).stdout.contains("capsule deploy"));
}
