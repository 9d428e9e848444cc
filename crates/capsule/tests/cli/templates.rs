//! The older names for plans and regions, and the cheapest offers.

use capsule_providers::templates;

use crate::program::Program;

/// Those that lead to no plan in the simulated clouds, and what is told to be nearest.
const GONE: [(&str, &str, &str); 6] = [
    ("hive-small", "never sold", "`504` of hivelocity"),
    ("hive-medium", "never sold", "`504` of hivelocity"),
    ("hive-large", "never sold", "`576` of hivelocity"),
    ("hive-gpu", "never sold", "`610` of hivelocity"),
    ("vultr-hf-4", "never sold", "`vc2-4c-8gb` of vultr"),
    ("scaleway-render-s", "does not sell any more", "`H100-1-80G` of scaleway"),
];

#[test]
fn every_template_leads_to_its_plan_or_says_why_not() {
    let program = Program::new();
    for template in templates::all() {
        let run = program.sandbox(&["-o", "json", "deploy", "web", "--plan", template.id, "--dry-run"]);
        match GONE.iter().find(|(id, ..)| *id == template.id) {
            Some((id, why, nearest)) => {
                let run = run.exits(2);
                assert!(run.stdout.is_empty(), "{run:?}");
                for words in [id, why, nearest] {
                    assert!(run.stderr.contains(words), "{id}: `{words}` is missing in {}", run.stderr);
                }
            }
            None => {
                let placement = run.exits(0).json()["placements"][0].clone();
                assert_eq!(placement["provider"], template.provider.as_str(), "{}", template.id);
                assert_eq!(placement["plan"], template.plan, "{}", template.id);
            }
        }
    }
    assert_eq!(program.machines().born, 0);
}

#[test]
fn what_changed_since_then_is_told() {
    let program = Program::new();
    let run = program.sandbox(&["deploy", "web", "--plan", "do-basic-2", "--dry-run"]).exits(0);
    let told = "`do-basic-2` is digitalocean s-2vcpu-2gb: 2 vCPU, 2 GB memory, 60 GB disk now, 2 vCPU, 2 GB memory, 50 GB disk then.";
    assert!(run.stderr.contains(told), "{run:?}");
    for command in ["plans", "cheapest"] {
        let shown = program.sandbox(&["-o", "json", command, "--plan", "do-basic-2"]).exits(0).stdout;
        assert!(shown.contains("s-2vcpu-2gb") && !shown.contains("s-1vcpu-1gb"), "{command}: {shown}");
    }
    let elsewhere = program.sandbox(&["deploy", "web", "--plan", "do-basic-2", "--provider", "vultr"]).exits(2);
    assert!(elsewhere.stderr.contains("--provider digitalocean"), "{elsewhere:?}");
}

#[test]
fn regions_of_then_are_mapped_or_explained() {
    let program = Program::new();
    for (provider, then, now) in [
        ("scaleway", "par1", "fr-par-1"),
        ("scaleway", "waw1", "pl-waw-1"),
        ("hivelocity", "tampa", "TPA1"),
        ("hivelocity", "los-angeles", "LAX3"),
        ("linode", "au-sydney", "ap-southeast"),
        ("linode", "us-east", "us-east"),
    ] {
        let args =
            ["-o", "json", "deploy", "web", "--provider", provider, "--region", then, "--min-cpu", "1", "--dry-run"];
        let placements = program.sandbox(&args).exits(0).json()["placements"].clone();
        assert_eq!(placements[0]["region"], now, "{then}");
    }
    let gone = program.sandbox(&["deploy", "web", "--provider", "hivelocity", "--region", "atlanta"]).exits(2);
    for words in ["`atlanta` was a name for a region of hivelocity", "TPA1"] {
        assert!(gone.stderr.contains(words), "{gone:?}");
    }
}

#[test]
fn the_cheapest_is_what_deploy_would_take() {
    let program = Program::new();
    let need = ["--min-cpu", "2", "--min-memory", "4"];
    let cheapest = program.sandbox(&[&["-o", "json", "cheapest"], &need[..]].concat()).exits(0).json();
    let dry = program.sandbox(&[&["-o", "json", "deploy", "web", "--dry-run"], &need[..]].concat()).exits(0).json();
    assert_eq!(cheapest["placements"][0], dry["placements"][0]);
    assert_eq!(cheapest["placements"].as_array().unwrap().len(), 5);
    // Euros are not dollars: what is priced in them stands apart.
    assert_eq!(cheapest["other_currencies"][0][0]["provider"], "scaleway");
    let metal = program.sandbox(&["cheapest", "--bare-metal", "--max-hourly", "0.3", "--limit", "1"]).exits(0);
    assert!(metal.stdout.contains("hivelocity") && metal.stdout.lines().count() == 2, "{metal:?}");
    program.sandbox(&["cheapest", "--gpu", "--max-hourly", "0.01"]).exits(2);
}
