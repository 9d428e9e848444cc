//! cloud-init itself on what we compose: its schema, and its own way of joining the parts of a message.
//!
//! Needs Debian's package `cloud-init`; without it these tests fail.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use capsule_xnode::{UserPassword, XnodeConfig, merge, user_data};
use serde_json::{Value, json};
use tempfile::TempDir;

const NIX: &str = "  services.x = {\n    text = ''it's \"${pkgs.jq}\" \\n : # - é 🦀'';\n\t};\n";

/// Every combination of what may be given or left out.
fn configs() -> Vec<XnodeConfig> {
    let owner = "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed".parse().unwrap();
    let config = |bits: u32| {
        let has = |bit: u32| bits & (1 << bit) != 0;
        let mut config = XnodeConfig::new(owner);
        config.domain = has(0).then(|| "node.example.org".parse().unwrap());
        config.acme_email = has(1).then(|| "ops+a@openmesh.network".parse().unwrap());
        config.initial_config = has(2).then(|| NIX.parse().unwrap());
        config.encrypted = has(3);
        config.user_password = has(4).then(|| UserPassword::new("it's: #1 - [ü] {}".into(), true).unwrap());
        config
    };
    (0..32).map(config).collect()
}

/// The path of cloud-init.
fn cloud_init() -> PathBuf {
    let path = std::env::var_os("PATH").expect("PATH is set");
    let found = std::env::split_paths(&path).map(|dir| dir.join("cloud-init")).find(|file| file.is_file());
    found.expect("cloud-init is missing: apt-get install cloud-init")
}

#[test]
fn every_combination_passes_the_schema() {
    let (dir, configs) = (TempDir::new().unwrap(), configs());
    let check = |number: usize| {
        let file = dir.path().join(format!("{number}.yaml"));
        let text = user_data(&configs[number]);
        fs::write(&file, &text).unwrap();
        let output = Command::new(cloud_init()).args(["schema", "--config-file"]).arg(&file).output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success() && said.contains("Valid"), "{said}\n{text}");
    };
    // Most of each run is Python starting.
    std::thread::scope(|scope| {
        for half in 0..2 {
            scope.spawn(move || (half..32).step_by(2).for_each(check));
        }
    });
}

/// The schema bites: a wrong text does not pass it.
#[test]
fn the_schema_refuses_a_wrong_text() {
    let dir = TempDir::new().unwrap();
    let file = dir.path().join("wrong.yaml");
    fs::write(&file, user_data(&configs()[0]).replace("  - |", "  wrong: |")).unwrap();
    let output = Command::new(cloud_init()).args(["schema", "--config-file"]).arg(&file).output().unwrap();
    assert!(!output.status.success());
}

/// What cloud-init reads from `user_data`: its configuration, and the scripts that it would run.
fn read(user_data: &str) -> Value {
    let dir = TempDir::new().unwrap();
    let file = dir.path().join("user-data");
    fs::write(&file, user_data).unwrap();
    // cloud-init's modules are there for the interpreter that its own first line names.
    let program = fs::read_to_string(cloud_init()).unwrap();
    let python = program.lines().next().and_then(|line| line.strip_prefix("#!")).expect("cloud-init is a script");
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/cloud_init/merged.py");
    let output = Command::new(python.trim()).arg(script).arg(&file).arg(dir.path().join("lib")).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// The one command of an xNode's own user-data.
fn command(user_data: &str) -> Value {
    let config: Value = serde_yaml_ng::from_str(user_data).unwrap();
    config["runcmd"][0].clone()
}

#[test]
fn cloud_init_reads_the_command_as_it_was_composed() {
    for config in [&configs()[0], &configs()[31]] {
        let xnode = user_data(config);
        assert_eq!(read(&xnode), json!({"config": {"runcmd": [command(&xnode)]}, "scripts": {}}));
    }
}

#[test]
fn the_users_cloud_config_runs_first_and_loses_nothing() {
    for config in [&configs()[0], &configs()[31]] {
        let xnode = user_data(config);
        let users = [
            ("#cloud-config\npackages: [jq]\nruncmd:\n  - echo one\n  - [echo, 'two']\n", json!("echo one")),
            ("#cloud-config\npackages: [jq]\nruncmd:\n  - echo ünö 🦀\n  - [echo, 'two']", json!("echo ünö 🦀")),
            ("#cloud-config\r\npackages: [jq]\r\nruncmd:\r\n  - echo one\r\n  - [echo, 'two']\r\n", json!("echo one")),
        ];
        for (user, first) in users {
            let expected = json!({"packages": ["jq"], "runcmd": [first, ["echo", "two"], command(&xnode)]});
            assert_eq!(read(&merge(&xnode, user).unwrap()), json!({"config": expected, "scripts": {}}), "{user}");
        }
        let without = merge(&xnode, "#cloud-config\npackages: [jq]\n").unwrap();
        assert_eq!(read(&without)["config"], json!({"packages": ["jq"], "runcmd": [command(&xnode)]}));
    }
}

#[test]
fn the_users_script_stays_a_script_and_runs_first() {
    for config in [&configs()[0], &configs()[31]] {
        let xnode = user_data(config);
        for user in ["#!/bin/sh\necho '--capsule-part'\n", "#!/usr/bin/env bash\necho ü 🦀 \\n\n"] {
            let found = read(&merge(&xnode, user).unwrap());
            assert_eq!(found["config"], json!({"runcmd": [command(&xnode)]}));
            // cloud-init runs scripts by name, and calls the one that it makes of runcmd `runcmd`.
            let scripts = found["scripts"].as_object().unwrap();
            assert_eq!(scripts.len(), 1);
            let (name, text) = scripts.iter().next().unwrap();
            assert!(name.as_str() < "runcmd", "{name}");
            assert_eq!(text.as_str().unwrap().trim_end(), user.trim_end());
        }
    }
}
