//! What other programs read: inventories, configurations, tables.

use serde_json::json;

use crate::program::Program;

/// A server at each of two providers, and an xNode.
fn fleet() -> Program {
    let program = Program::new();
    for args in [
        &["deploy", "web", "--provider", "digitalocean", "--region", "nyc3", "--min-cpu", "1", "--tag", "env=prod"][..],
        &["deploy", "db.1", "--provider", "aws", "--min-cpu", "1", "--image", "debian-12"],
        &["deploy", "node", "--provider", "vultr", "--owner", "eth:5aaeb6053f3e94c9b9a09f33669435e7ef1beaed"],
    ] {
        program.sandbox(args).exits(0);
    }
    program
}

#[test]
fn other_programs_read_the_inventory() {
    let program = fleet();
    ansible_gets_groups_hosts_and_variables(&program);
    ssh_and_terraform_get_what_they_read(&program);
    tables_are_csv_and_documents_yaml(&program);
}

fn ansible_gets_groups_hosts_and_variables(program: &Program) {
    let inventory = program.sandbox(&["inventory", "--ansible", "--list"]).exits(0).json();
    assert_eq!(inventory["provider_digitalocean"]["hosts"], json!(["web"]));
    assert_eq!(inventory["region_aws_us_east_1"]["hosts"], json!(["db.1"]));
    assert_eq!(inventory["tag_env_prod"]["hosts"], json!(["web"]));
    assert_eq!(inventory["xnode"]["hosts"], json!(["node"]));
    let variables = &inventory["_meta"]["hostvars"];
    assert_eq!(variables["web"]["ansible_user"], "root");
    assert_eq!(variables["web"]["capsule_tags"], json!({ "env": "prod" }));
    assert!(variables["node"].get("ansible_user").is_none(), "nobody logs into an xNode by SSH");
    let one = program.sandbox(&["inventory", "--ansible", "--host", "web"]).exits(0).json();
    assert_eq!(one, variables["web"]);
    let none = program.sandbox(&["inventory", "--ansible", "--host", "nobody"]).exits(1);
    assert!(none.stdout.is_empty() && none.stderr.contains("no server `nobody`"), "{none:?}");
    let only = program.sandbox(&["inventory", "--ansible", "--provider", "aws"]).exits(0).json();
    assert_eq!(only["all"]["hosts"], json!(["db.1"]));
}

fn ssh_and_terraform_get_what_they_read(program: &Program) {
    let mask = |mut text: String| {
        for server in program.sandbox(&["-o", "json", "list"]).exits(0).json()["instances"].as_array().unwrap() {
            let (name, id) = (server["name"].as_str().unwrap(), server["id"].as_str().unwrap());
            text = text.replace(id.rsplit('/').next().unwrap(), &format!("{name}-ID"));
            text = text.replace(server["ip_address"].as_str().unwrap(), &format!("{name}-IP"));
        }
        text
    };
    insta::assert_snapshot!(mask(program.sandbox(&["ssh-config"]).exits(0).stdout), @r"
    # Written by `capsule ssh-config`, with addresses as last seen.

    # aws/us-east-1/db.1-ID
    Host db.1
        HostName db.1-IP
        User admin

    # node is an xNode, which has no SSH.

    # digitalocean/nyc3/web-ID
    Host web
        HostName web-IP
        User root
    ");
    insta::assert_snapshot!(mask(program.sandbox(&["export", "terraform"]).exits(0).stdout), @r#"
    # Written by `capsule export terraform`.
    terraform {
      required_providers {
        digitalocean = {
          source = "digitalocean/digitalocean"
        }
        aws = {
          source = "hashicorp/aws"
          version = ">= 6.0"
        }
        vultr = {
          source = "vultr/vultr"
        }
      }
    }

    # aws/us-east-1/db.1-ID
    import {
      to = aws_instance.db_1
      id = "db.1-ID@us-east-1"
    }

    # vultr/ams/node-ID
    import {
      to = vultr_instance.node
      id = "node-ID"
    }

    # digitalocean/nyc3/web-ID
    import {
      to = digitalocean_droplet.web
      id = "web-ID"
    }
    "#);
    assert!(program.sandbox(&["ssh-config", "--all"]).exits(0).stdout.contains("Host node\n"));
}

fn tables_are_csv_and_documents_yaml(program: &Program) {
    let csv = program.sandbox(&["-o", "csv", "list"]).exits(0).stdout;
    let header: Vec<&str> = csv.lines().next().unwrap().split(',').collect();
    assert_eq!(header[..3], ["id", "name", "provider"]);
    assert_eq!(csv.lines().count(), 4);
    let plans = program.sandbox(&["-o", "csv", "plans", "--provider", "vultr"]).exits(0).stdout;
    assert!(plans.lines().count() > 3 && plans.contains(" USD"), "{plans}");
    let yaml = program.sandbox(&["-o", "yaml", "list"]).exits(0).stdout;
    let read: serde_yaml_ng::Value = serde_yaml_ng::from_str(&yaml).unwrap();
    let same = program.sandbox(&["-o", "json", "list"]).exits(0).json();
    assert_eq!(serde_json::to_value(&read).unwrap()["instances"][0]["id"], same["instances"][0]["id"]);
}

#[test]
fn the_shell_completes_names_without_asking_anybody() {
    let program = Program::new();
    program.sandbox(&["deploy", "web", "--provider", "digitalocean", "--min-cpu", "1"]).exits(0);
    // As the script for fish asks: the words so far, the last one unfinished.
    let complete = |words: &[&str]| {
        let run = program.run_with(&[("CAPSULE_COMPLETE", "fish")], &[&["--", "capsule"], words].concat()).exits(0);
        assert!(run.stderr.is_empty(), "{run:?}");
        run.stdout
    };
    let names = complete(&["--sandbox", "show", ""]);
    assert!(
        names.contains("web\tdigitalocean/") && names.lines().any(|line| line.starts_with("digitalocean/")),
        "{names}"
    );
    assert!(!complete(&["--sandbox", "delete", "x"]).contains("web"));
    assert!(!complete(&["show", ""]).contains("web"), "outside of the sandbox there is none");
    assert!(complete(&["plans", "--provider", "vul"]).starts_with("vultr"));
    assert!(complete(&["dep"]).contains("deploy"));
    for shell in ["bash", "zsh", "fish"] {
        let script = program.run(&["completions", shell]).exits(0).stdout;
        assert!(script.contains("CAPSULE_COMPLETE") && script.contains("capsule"), "{script}");
    }
    assert!(!program.home().join("journal.db").exists(), "nobody made a journal");
}
