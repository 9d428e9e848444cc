//! From a server to a claimed, healthy xNode, and every way in which it does not get there.

use std::os::unix::fs::PermissionsExt;

use capsule_sim::MachineKind;
use serde_json::Value;

use crate::program::{Program, Run};

/// A wallet of whom there are signatures: made by eth-account 0.14.0.
const OWNER: &str = "0xFCAd0B19bB29D4674531d6f115237E16AfCE377c";
const SIGNED: [(&str, &str, &str); 2] = [
    (
        "manager.xnode.local",
        "1764000000",
        "0x593d483802dacf14c82fe1c08a9ab8a0c348ec35638f648b8722b0d7b34318f65b29dbefde953e55484f0237133910b69bc3f81e912e03a16d7cf7ff551053fd1c",
    ),
    (
        "node.example.org",
        "1764000001",
        "0x8ae3a4eaf0384367e06dd6c4d7c1f2c9074ec35a25533cbfaff0f39b4e2b4744532927ead41e63ec9a9ee5cbc9d014eb2658ac4e569acec8107c37d8ed12a76c1c",
    ),
];
const OTHER: &str = "eth:5aaeb6053f3e94c9b9a09f33669435e7ef1beaed";
/// Ten minutes pass in a second and a half.
const SPEED: (&str, &str) = ("CAPSULE_SANDBOX_SPEED", "400");

/// Half an hour of bare metal passes in two seconds.
const FAST: (&str, &str) = ("CAPSULE_SANDBOX_SPEED", "1000");

fn sandbox(program: &Program, args: &[&str]) -> Run {
    program.run_with(&[SPEED], &[&["--sandbox"], args].concat())
}

/// Time for every stage that has no limit in `args`: on a busy machine minutes pass there before a program gets its turn.
fn patiently(args: &[&str]) -> Vec<String> {
    let limited = |stage: &&str| args.iter().any(|arg| arg.starts_with(&format!("{stage}=")));
    let stages = ["install_started", "kexec", "tls_up", "claimed", "healthy"];
    let unlimited = stages.iter().filter(|stage| !limited(stage));
    unlimited.flat_map(|stage| ["--stage-timeout".to_owned(), format!("{stage}=100h")]).collect()
}

/// A run that `deploy` starts at a home of its own, and in which the old system was seen to go down. It answers for a tenth of a
/// second here: a busy machine may look too late, as any may, and then tells of a server on which nothing ever answered.
fn seen_to_go_down(deploy: impl Fn(&Program, &[&str]) -> Run) -> (Program, Run) {
    for _ in 0..10 {
        let program = Program::new();
        let run = deploy(&program, &["--stage-timeout", "install_started=10m", "--stage-timeout", "kexec=10m"]);
        if run.stderr.contains("node: installing: kexec") {
            return (program, run);
        }
    }
    panic!("it was always looked at too late");
}

/// Orders an xNode and watches it.
fn order(program: &Program, speed: (&str, &str), args: &[&str]) -> Run {
    let patience = patiently(args);
    let patience: Vec<&str> = patience.iter().map(String::as_str).collect();
    program.run_with(&[speed], &[&["--sandbox", "deploy", "node"], args, &patience].concat())
}

/// Deploys an xNode on DigitalOcean, whose create call meets that trouble.
fn deploy(program: &Program, trouble: Option<&str>, args: &[&str]) -> Run {
    if let Some(trouble) = trouble {
        program.run_with(&[SPEED], &["sandbox", "fault", &format!("digitalocean:droplets.create:{trouble}")]).exits(0);
    }
    let all = ["--provider", "digitalocean", "--min-memory", "4", "--owner", OWNER];
    order(program, SPEED, &[&all, args].concat())
}

fn stages(outcome: &Value) -> Vec<&str> {
    outcome["stages"].as_array().unwrap().iter().map(|passed| passed["stage"].as_str().unwrap()).collect()
}

fn says(run: &Run, words: &[&str]) {
    for words in words {
        assert!(run.stderr.contains(words), "`{words}` is missing in {}", run.stderr);
    }
}

/// A claimed, healthy xNode at each provider, of each kind of server that it sells. An image of several builds is among
/// them, at Scaleway: the vendor picks the right one for the processor.
#[test]
fn every_provider_carries_an_xnode() {
    let kinds = |name| capsule_sim::dialect(name).unwrap().rehearsal().lists;
    let all = capsule_providers::all().iter().map(|entry| entry.descriptor.id.as_str());
    let sold = all.flat_map(|name| kinds(name).iter().map(move |listing| (name, listing.kind)));
    let sold: Vec<(&str, MachineKind)> = sold.collect();
    assert!(sold.len() >= 10, "{sold:?}");
    // Two at a time: what else is tried beside this counts on looking in time.
    let queue = std::sync::Mutex::new(sold.into_iter());
    let next = || queue.lock().unwrap().next();
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while let Some((provider, kind)) = next() {
                    carries_an_xnode(provider, kind);
                }
            });
        }
    });
}

fn carries_an_xnode(provider: &str, kind: MachineKind) {
    let program = Program::new();
    let metal: &[&str] = if kind == MachineKind::BareMetal { &["--bare-metal"] } else { &[] };
    // One of them no longer sells; the simulator goes on.
    let args = ["-o", "json", "--provider", provider, "--min-memory", "4", "--owner", OWNER, "--force"];
    let run = order(&program, FAST, &[&args[..], metal].concat());
    let outcome = run.exits(0).json()["outcomes"][0].clone();
    assert_eq!(stages(&outcome).last(), Some(&"healthy"), "{provider} {kind:?}: {outcome}");
    assert_eq!(program.machines().living, 1, "{provider} {kind:?}");
    let node = program.run_with(&[FAST], &["--sandbox", "-o", "json", "verify", "node"]).exits(0).json();
    assert_eq!(node["nodes"][0]["claimed"], "yes", "{provider} {kind:?}");
}

fn log_in(program: &Program, which: usize, owner: &str) -> Run {
    let (domain, at, signature) = SIGNED[which];
    std::fs::create_dir_all(program.home()).unwrap();
    let file = program.home().join("signature");
    std::fs::write(&file, signature).unwrap();
    let file = file.to_str().unwrap();
    let domain = if which == 0 { vec![] } else { vec!["--domain", domain] };
    let args =
        [&["-vv", "xnode", "login", "--owner", owner, "--at", at, "--signature-file", file], &domain[..]].concat();
    let run = sandbox(program, &args);
    std::fs::remove_file(file).unwrap();
    run
}

#[test]
fn a_deploy_ends_with_a_claimed_healthy_xnode() {
    let program = Program::new();
    let deployed = deploy(&program, None, &["-o", "json"]).exits(0).json();
    let outcome = &deployed["outcomes"][0];
    let all = ["ordered", "active", "address", "install_started", "kexec", "tls_up", "claimed", "healthy"];
    assert_eq!(stages(outcome), all);
    let times: Vec<&str> = outcome["stages"].as_array().unwrap().iter().map(|s| s["at"].as_str().unwrap()).collect();
    assert!(times.is_sorted(), "{times:?}");
    let operation = outcome["operation"].as_str().unwrap();
    let journal = sandbox(&program, &["ops", "show", operation]).exits(0).stdout;
    assert!(journal.contains("reached: kexec") && journal.contains("reached: healthy"), "{journal}");

    // Its key was pinned by the deploy; nobody is logged in yet.
    let verified = sandbox(&program, &["-o", "json", "verify", "node"]).exits(0).json();
    let node = &verified["nodes"][0];
    assert_eq!(
        (&node["claimed"], &node["known"], &node["owner_proven"]),
        (&"yes".into(), &"by_pin".into(), &false.into())
    );
    let health = sandbox(&program, &["health", "--all"]).exits(0).stdout;
    assert!(health.contains("node  up      yes"), "{health}");

    // The owner's signature opens what only the owner is told.
    log_in(&program, 0, OWNER).exits(0);
    let verified = sandbox(&program, &["-o", "json", "verify", "--all"]).exits(0).json();
    assert_eq!(verified["nodes"][0]["owner_proven"], true);
    let health = sandbox(&program, &["-o", "json", "health", "node"]).exits(0).json();
    let usage = &health["nodes"][0]["usage"];
    assert!(usage["memory"]["total"].as_u64().unwrap() > 1 << 30 && usage["cpu"][0]["used"].is_number(), "{health}");
    assert_eq!(usage["disk"][0]["mount_point"], "/");

    // A key that changed is an alarm until somebody says why it did.
    let again = ["--sandbox", "verify", "node"];
    let fault = |what: &str| program.run_with(&[SPEED], &["sandbox", "fault", what]).exits(0);
    fault("*:node.dial:new-certificate@1x*");
    let alarm = program.run_with(&[SPEED], &again).exits(1);
    says(&alarm, &["ALARM: `node` shows another key", "--trust-new"]);
    says(&sandbox(&program, &["health", "node"]).exits(1), &["ALARM"]);
    sandbox(&program, &["verify", "node", "--trust-new"]).exits(0);
    sandbox(&program, &["verify", "node"]).exits(0);
}

#[test]
fn a_watched_deploy_killed_at_any_event_goes_on_watching() {
    let mut killed = 0;
    for event in 4.. {
        let program = Program::new();
        let nth = event.to_string();
        let args = ["--sandbox", "deploy", "node", "--provider", "digitalocean", "--min-memory", "4", "--owner", OWNER];
        let patience = patiently(&[]);
        let args: Vec<&str> = args.into_iter().chain(patience.iter().map(String::as_str)).collect();
        let run = program.run_with(&[SPEED, ("CAPSULE_DIE_AFTER_EVENT", &nth)], &args);
        if run.code.is_some() {
            run.exits(0);
            break;
        }
        killed += 1;
        let resumed = sandbox(&program, &["-o", "json", "resume"]).exits(0).json();
        let done = resumed["outcomes"].as_array().unwrap();
        assert!(done.iter().all(|outcome| stages(outcome).contains(&"healthy")), "after event {event}: {resumed}");
        assert_eq!(program.machines().born, 1, "after event {event}");
        sandbox(&program, &["verify", "node"]).exits(0);
    }
    assert!(killed >= 6, "only {killed} were tried");
}

#[test]
fn an_install_that_never_starts_is_the_old_system_still() {
    let program = Program::new();
    let run = deploy(&program, Some("no-installer"), &["--stage-timeout", "kexec=6m"]).exits(1);
    says(&run, &["`node` is still the old system", "could not be downloaded", "costs money", "capsule delete"]);
    assert_eq!(program.machines().living, 1, "it is kept for a look");
    says(&sandbox(&program, &["verify", "node"]).exits(1), &["port 443 is closed and port 22 answers"]);
}

#[test]
fn an_install_that_dies_never_comes_back() {
    let args = ["--stage-timeout", "tls_up=4m", "--on-failure", "delete"];
    let (program, run) =
        seen_to_go_down(|program, soon| deploy(program, Some("dead-install"), &[&args[..], soon].concat()));
    says(&run.exits(1), &["went down for the install of XnodeOS and never opened port 443", "It was deleted"]);
    assert_eq!(program.machines().living, 0);
}

/// Deploys an xNode on Linode, whose configuration profiles meet that trouble.
fn deploy_on_linode(program: &Program, trouble: &str, args: &[&str]) -> Run {
    program.run_with(&[SPEED], &["sandbox", "fault", &format!("linode:configs.{trouble}")]).exits(0);
    let all = ["--provider", "linode", "--min-memory", "4", "--owner", OWNER];
    order(program, SPEED, &[&all, args].concat())
}

#[test]
fn a_server_that_starts_with_the_hosts_kernel_is_let_start_from_its_own_disk() {
    let program = Program::new();
    // Not shown yet where it must be changed: it is asked for again at the next look.
    let run = deploy_on_linode(&program, "update:status=404@1x2", &["-o", "json"]).exits(0);
    assert!(stages(&run.json()["outcomes"][0]).contains(&"healthy"), "{run:?}");
    says(&run, &["asking again: linode/", "still boots with a kernel of Linode's"]);
    assert_eq!(program.machines().born, 1);
}

#[test]
fn a_server_that_stays_with_the_hosts_kernel_says_so_when_it_does_not_come_back() {
    let (program, run) = seen_to_go_down(|program, soon| {
        deploy_on_linode(program, "update:status=403@1x*", &[&["--stage-timeout", "tls_up=10m"][..], soon].concat())
    });
    let told = [
        "running, and may not come back from its install",
        "`node` went down for the install of XnodeOS and never opened port 443. Most likely it does not start from its own disk",
        "still boots with a kernel of Linode's",
        "Set the kernel to Direct Disk and switch Network Helper off at https://cloud.linode.com/linodes/",
        "still there and costs money",
    ];
    says(&run.exits(1), &told);
    assert_eq!(program.machines().living, 1, "what cannot be set makes no paid server fail by itself");
}

#[test]
fn a_closed_port_443_is_told_from_outside() {
    let args = ["--stage-timeout", "tls_up=10m"];
    let (_, run) = seen_to_go_down(|program, soon| deploy(program, Some("closed-https"), &[&args[..], soon].concat()));
    says(&run.exits(1), &["never opened port 443", "firewall"]);
}

#[test]
fn an_expired_certificate_is_named() {
    let program = Program::new();
    let run = deploy(&program, Some("expired-certificate"), &["--stage-timeout", "healthy=10m"]).exits(1);
    says(&run, &["shows a certificate that expired at", "clock is wrong"]);
}

#[test]
fn an_unclaimed_node_is_an_alarm_and_deleted() {
    let program = Program::new();
    let run = deploy(&program, Some("unclaimed"), &["--stage-timeout", "claimed=10m"]).exits(1);
    says(&run, &["ALARM: `node` is an xNode that nobody owns", "It was deleted"]);
    assert_eq!(program.machines().living, 0);
}

#[test]
fn an_unclaimed_node_is_kept_on_request() {
    let program = Program::new();
    let run =
        deploy(&program, Some("unclaimed"), &["--on-unclaimed", "keep", "--stage-timeout", "claimed=10m"]).exits(1);
    says(&run, &["ALARM", "It is still there and costs money"]);
    assert_eq!(program.machines().living, 1);
    let verified = sandbox(&program, &["verify", "node"]).exits(1);
    says(&verified, &["ALARM", "root on it"]);
    assert!(verified.stdout.contains("NO"), "{verified:?}");
    sandbox(&program, &["verify", "node", "--on-unclaimed", "delete"]).exits(1);
    assert_eq!(program.machines().living, 0);
}

#[test]
fn what_cannot_be_an_xnode_is_refused_before_it_costs() {
    let program = Program::new();
    let small = ["--provider", "digitalocean", "--plan", "s-1vcpu-1gb", "--owner", OWNER];
    let run = sandbox(&program, &[&["deploy", "node"], &small[..]].concat()).exits(2);
    says(&run, &["No offer fits", "2 GB of memory", "installer needs", "1 GB short"]);
    for (args, words) in [
        (&["--owner", "0xFCAd0B19bB29D4674531d6f115237E16AfCE377C"][..], "does not match its own checksum"),
        (&["--domain", "node.example.org"], "No owner is given"),
        (&["--wait", "ready"], "Only an xNode can be waited for"),
        (&["--owner", OWNER, "--domain", "node.example.org", "--count", "2"], "One domain leads to one server"),
        (&["--owner", OWNER, "--stage-timeout", "kexek=3m"], "kexec"),
        (&["--owner", OWNER, "--xnodeos-version", "latest"], "is not of the form v1.0.0"),
        (&["--owner", OWNER, "--installer-url", "http://a.io/i"], "is not an https address"),
    ] {
        let run = sandbox(&program, &[&["deploy", "node", "--provider", "digitalocean"], args].concat()).exits(2);
        says(&run, &[words]);
    }
    assert_eq!(program.machines().born, 0);
    // With --force it is ordered, and dies of it.
    let forced = ["--force", "--stage-timeout", "tls_up=4m"];
    let (_, run) = seen_to_go_down(|program, soon| order(program, SPEED, &[&small[..], &forced[..], soon].concat()));
    says(&run.exits(1), &["--force keeps them", "too little memory"]);
}

#[test]
fn not_waiting_leaves_the_rest_to_verify() {
    let program = Program::new();
    let run = deploy(&program, None, &["--wait", "none"]).exits(0);
    says(&run, &["capsule verify"]);
    let run = sandbox(&program, &["verify", "node"]);
    assert_eq!(run.code, Some(1), "nothing answers that early: {run:?}");
}

#[test]
fn a_login_is_checked_stored_privately_and_shown_nowhere() {
    let program = Program::new();
    let text = sandbox(&program, &["xnode", "login", "--owner", OWNER, "--print"]).exits(0);
    assert!(text.stdout.starts_with("Xnode Auth authenticate manager.xnode.local at "), "{text:?}");
    says(
        &log_in(&program, 0, OTHER).exits(4),
        &["is not of eth:5aaeb6053f3e94c9b9a09f33669435e7ef1beaed for this text"],
    );
    deploy(&program, None, &[]).exits(0);
    let mut said = String::new();
    let stored = log_in(&program, 0, OWNER).exits(0);
    said.push_str(&format!("{stored:?}"));
    for args in [
        &["-vv", "verify", "node"][..],
        &["-vv", "-o", "json", "verify", "node"],
        &["-vv", "health", "node"],
        &["-vv", "-o", "json", "health", "--all"],
        &["-vv", "-o", "json", "ops"],
        &["-vv", "show", "node"],
    ] {
        said.push_str(&format!("{:?}", sandbox(&program, args).exits(0)));
    }
    let canary = &SIGNED[0].2[2..40];
    assert!(said.contains("proven") && !said.contains(canary), "{said}");
    let holding: Vec<_> = program
        .files()
        .into_iter()
        .filter(|file| String::from_utf8_lossy(&std::fs::read(file).unwrap()).contains(canary))
        .collect();
    assert_eq!(holding, [program.home().join("sandbox/logins.json")]);
    assert_eq!(std::fs::metadata(&holding[0]).unwrap().permissions().mode() & 0o777, 0o600);
    // It is sent to no node whose key is not the known one: this one would take it.
    program.run_with(&[SPEED], &["sandbox", "fault", "*:node.dial:new-certificate@1x*"]).exits(0);
    says(&sandbox(&program, &["verify", "node"]).exits(1), &["Nothing secret was sent"]);
}

#[test]
fn an_xnode_of_another_wallet_is_told_apart() {
    let program = Program::new();
    order(&program, SPEED, &["--provider", "digitalocean", "--min-memory", "4", "--owner", OTHER]).exits(0);
    log_in(&program, 0, OWNER).exits(0);
    let verified = sandbox(&program, &["-o", "json", "verify", "node"]).exits(0).json();
    assert_eq!(verified["nodes"][0]["owner_proven"], false, "a login of another wallet is not even tried");
}

#[test]
fn a_domain_is_waited_for_and_set() {
    let program = Program::new();
    let deployed = deploy(&program, None, &["-o", "json"]).exits(0).json();
    let ip = deployed["outcomes"][0]["record"]["addresses"]["public_v4"][0].as_str().unwrap().to_owned();
    let domain = ["xnode", "domain", "node", "node.example.org"];
    let run = sandbox(&program, &[&domain[..], &["--timeout", "20s"]].concat()).exits(1);
    says(&run, &[&format!("node.example.org. A {ip}"), "it leads nowhere"]);
    program.set_name("node.example.org", &ip, 400);
    says(&sandbox(&program, &domain).exits(4), &["there is no login to tell it", "capsule xnode login"]);
    log_in(&program, 0, OWNER).exits(0);
    let run = sandbox(&program, &domain).exits(0);
    assert_eq!(run.stdout, "https://node.example.org is `node`.\n");
    // From now on an authority vouches for it, and the domain has a login of its own.
    let verified = sandbox(&program, &["-o", "json", "verify", "node"]).exits(0).json();
    assert_eq!(
        (&verified["nodes"][0]["known"], &verified["nodes"][0]["owner_proven"]),
        (&"by_authority".into(), &false.into())
    );
    log_in(&program, 1, OWNER).exits(0);
    let verified = sandbox(&program, &["-o", "json", "verify", "node"]).exits(0).json();
    assert_eq!(verified["nodes"][0]["owner_proven"], true);
}

#[test]
fn user_data_is_printed_for_review_and_hides_a_password() {
    let program = Program::new();
    std::fs::create_dir_all(program.home()).unwrap();
    std::fs::write(
        program.home().join("providers.yml"),
        format!("xnode:\n  owner: \"{OTHER}\"\n  version: v1.2.3\n  timeouts:\n    kexec: 20m\n"),
    )
    .unwrap();
    let plain = program.run(&["xnode", "user-data"]).exits(0).stdout;
    assert!(plain.contains(&format!("export XNODE_OWNER='{OTHER}'")) && plain.contains("VERSION='v1.2.3'"), "{plain}");
    let run = program.run_reading("hunter2-canary\n", &[], &["xnode", "user-data", "--user-password"]).exits(0);
    assert!(run.stdout.contains("USER_PASSWD='<hidden>'"), "{run:?}");
    assert!(!format!("{run:?}").contains("hunter2-canary"), "{run:?}");
    says(&run, &["The provider keeps user-data, with this password in clear"]);
    // The block is no provider, and stays when a key is stored.
    program.run_reading("some-key\n", &[], &["provider", "login", "digitalocean", "--no-check"]).exits(0);
    assert_eq!(program.run(&["xnode", "user-data"]).exits(0).stdout, plain);
    std::fs::write(program.home().join("providers.yml"), "xnode:\n  ownr: x\n").unwrap();
    says(&program.run(&["xnode", "user-data"]).exits(2), &["`xnode` has no `ownr`", "`owner`?"]);
}

#[test]
fn every_vendor_reads_the_text_that_was_reviewed() {
    let program = Program::new();
    let nix = program.home().join("extra.nix");
    std::fs::create_dir_all(program.home()).unwrap();
    std::fs::write(&nix, "services.a.motd = ''it's \\n ${x} \"q\" ünïcode'';\n").unwrap();
    let told = ["--owner", OWNER, "--acme-email", "ops@openmesh.network", "--initial-config", nix.to_str().unwrap()];
    let reviewed = program.run(&[&["xnode", "user-data"], &told[..]].concat()).exits(0).stdout;
    assert!(reviewed.contains("INITIAL_CONFIG"), "{reviewed}");
    for provider in ["aws", "digitalocean", "equinix", "hivelocity", "linode", "scaleway", "vultr"] {
        let name = format!("on-{provider}");
        let deploy = ["deploy", &name, "--provider", provider, "--min-memory", "4", "--wait", "none"];
        // One of them sells no more.
        let anyway: &[&str] = if provider == "equinix" { &["--force"] } else { &[] };
        sandbox(&program, &[&deploy[..], &told[..], anyway].concat()).exits(0);
        assert_eq!(program.user_data(provider), [Some(reviewed.clone())], "{provider}");
    }
}

#[test]
fn an_xnode_of_any_vendor_is_adopted_looked_at_and_forgotten() {
    let program = Program::new();
    let deployed = deploy(&program, None, &["-o", "json"]).exits(0).json();
    let ip = deployed["outcomes"][0]["record"]["addresses"]["public_v4"][0].as_str().unwrap().to_owned();
    // Seen from another installation, it is just a host.
    std::fs::remove_file(program.home().join("sandbox/journal.db")).unwrap();
    std::fs::remove_file(program.home().join("sandbox/pins.json")).unwrap();
    let id = deployed["outcomes"][0]["id"].as_str().unwrap();
    sandbox(&program, &["adopt", id, "--name", "again", "--owner", OWNER]).exits(0);
    let verified = sandbox(&program, &["-o", "json", "verify", "again"]).exits(0).json();
    assert_eq!(verified["nodes"][0]["known"], "first_seen");
    let adopted = sandbox(&program, &["-o", "json", "adopt", &ip, "--name", "home", "--owner", OWNER]).exits(0).json();
    assert_eq!(adopted["adopted"][0]["id"], format!("own/here/{ip}"));
    let verified = sandbox(&program, &["-o", "json", "verify", "home"]).exits(0).json();
    assert_eq!((&verified["nodes"][0]["claimed"], &verified["nodes"][0]["known"]), (&"yes".into(), &"by_pin".into()));
    log_in(&program, 0, OWNER).exits(0);
    let health = sandbox(&program, &["health", "--all"]).exits(0).stdout;
    assert!(health.contains("home   up      yes") && health.contains('%'), "{health}");
    assert!(sandbox(&program, &["show", "home"]).exits(0).stdout.contains(&ip));
    sandbox(&program, &["stop", "home"]).exits(1);
    sandbox(&program, &["delete", "home", "--yes"]).exits(0);
    says(&sandbox(&program, &["verify", "home"]).exits(1), &["home"]);
    assert_eq!(program.machines().living, 1, "it is forgotten, not deleted");
    says(&sandbox(&program, &["adopt", "198.18.99.99"]).exits(1), &["does not look like an xNode", "--force"]);
    says(&sandbox(&program, &["adopt", "nowhere.example.org"]).exits(1), &["leads to no address"]);
}
