//! No provider is half there: each folder has all its pieces, and a simulated twin.

use std::path::Path;

use capsule_core::{BillingUnit, DiskUnit, Fact, Granularity, Lifecycle, Location, Part, PlanKind, Rate};
use capsule_providers::templates;

const HEADINGS: [&str; 7] =
    ["## Keys", "## Endpoints", "## Limits", "## Status", "## Errors", "## Billing", "## Quirks"];

#[test]
fn every_provider_has_all_its_pieces() {
    let dialects: Vec<String> = capsule_sim::dialects().iter().map(|dialect| dialect.provider().to_string()).collect();
    let mut lacking = Vec::new();
    for entry in capsule_providers::all() {
        let name = entry.descriptor.id.as_str();
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src").join(name);
        let readme = std::fs::read_to_string(folder.join("README.md")).unwrap_or_default();
        let missing = HEADINGS.iter().filter(|heading| !readme.lines().any(|line| line == **heading));
        lacking.extend(missing.map(|heading| format!("{name}/README.md: `{heading}`")));
        let keys = readme.split("\n## Keys\n").nth(1).and_then(|rest| rest.split("\n## ").next()).unwrap_or_default();
        if !keys.contains("sent as") {
            lacking.push(format!("{name}/README.md: as what a key is sent"));
        }
        if std::fs::read_dir(folder.join("samples")).map_or(0, Iterator::count) == 0 {
            lacking.push(format!("{name}/samples: a body"));
        }
        if entry.descriptor.tariffs.is_empty() {
            lacking.push(format!("{name}: how it bills, in billing.rs"));
        }
        if !dialects.iter().any(|dialect| dialect == name) {
            lacking.push(format!("{name}: a dialect in the simulator"));
        }
        if capsule_sim::credentials(name).is_empty() {
            lacking.push(format!("{name}: credentials for the sandbox"));
        }
        if !root_file("README.md").lines().any(|line| line.starts_with(&format!("| `{name}` |"))) {
            lacking.push(format!("README.md: a row for {name} in the table of providers"));
        }
        // Who came after the Python package has no names of then.
        let (known, template) = (templates::REGIONS.iter().any(|(id, _)| *id == name), by_template(name));
        if known && template.is_none() {
            lacking.push(format!("templates.md: a row of {name}"));
        }
        lacking.extend(template.into_iter().flatten());
    }
    assert!(lacking.is_empty(), "missing:\n{}", lacking.join("\n"));
}

/// What is wrong with a provider's templates; `None` if it has none.
fn by_template(provider: &str) -> Option<Vec<String>> {
    let of_it: Vec<_> = templates::all().iter().filter(|template| template.provider.as_str() == provider).collect();
    let nameless = of_it.iter().filter(|template| template.plan.is_empty() || template.name.is_empty());
    (!of_it.is_empty()).then(|| nameless.map(|template| format!("templates.md: the plan of {}", template.id)).collect())
}

fn root_file(name: &str) -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(name)).unwrap_or_default()
}

/// The users' reference: a table from the descriptors, then each provider's README.
fn reference() -> String {
    let mut text = String::from(
        "# Providers\n\n\
         <!-- Made from the descriptors and the providers' READMEs. After a change there:\n     \
         UPDATE_DOCS=1 cargo test -p capsule-providers --test complete -->\n\n\
         | provider | name | servers | settings and their environment variables | endpoint |\n|---|---|---|---|---|\n",
    );
    for entry in capsule_providers::all() {
        let descriptor = entry.descriptor;
        let settings: Vec<String> = descriptor
            .settings
            .iter()
            .map(|setting| {
                let must = if setting.required { " (required)" } else { "" };
                format!("`{}`{must}: {}", setting.key, setting.env.join(", "))
            })
            .collect();
        let (id, name, endpoint) = (&descriptor.id, descriptor.name, descriptor.endpoint);
        let retired = match &descriptor.lifecycle {
            Lifecycle::Live => String::new(),
            Lifecycle::Retired { on, instead } => format!(", retired since {on}: use {instead} instead"),
        };
        let kinds: Vec<_> = descriptor.tariffs.iter().map(|tariff| kind(tariff.kind)).collect();
        text.push_str(&format!(
            "| `{id}` | {name}{retired} | {} | {} | `{endpoint}` |\n",
            kinds.join(", "),
            settings.join("<br>")
        ));
    }
    text.push_str(&billing());
    for entry in capsule_providers::all() {
        let path =
            Path::new(env!("CARGO_MANIFEST_DIR")).join("src").join(entry.descriptor.id.as_str()).join("README.md");
        text.push('\n');
        for line in std::fs::read_to_string(path).unwrap().lines() {
            // A level deeper: the page has a title of its own.
            let deeper = if line.starts_with('#') && !line.starts_with("#!") { "#" } else { "" };
            text.push_str(&format!("{deeper}{line}\n"));
        }
    }
    text
}

/// A table from the tariffs: how each kind of server is billed, by which source.
fn billing() -> String {
    let mut text = String::from(
        "\n## How they bill\n\n\
         A rate with (?) is not from a current page of the vendor's. Prices are without tax.\n\n\
         | provider | kind | counted by | at least | begins | ends | while off | root disk | public IPv4 | source |\n\
         |---|---|---|---|---|---|---|---|---|---|\n",
    );
    for entry in capsule_providers::all() {
        for tariff in entry.descriptor.tariffs {
            let rule = &tariff.rule;
            let kind = kind(tariff.kind);
            let counted = match rule.granularity {
                Granularity::Second => "second",
                Granularity::Minute => "started minute",
                Granularity::Hour => "started hour",
                Granularity::Month => "month in advance",
            };
            let least = rule.minimum_charge.map_or(String::new(), |least| format!(" or {least}"));
            let each = if rule.minimum_each_start { " at each start" } else { "" };
            let off = if rule.stopped_is_billed { "the same" } else { "not the plan" };
            let begins = if rule.from_running { "when it runs" } else { "with the order" };
            let ends = if rule.until_asked { "when that is asked for" } else { "when it is gone" };
            text.push_str(&format!(
                "| `{}` | {kind} | {counted} | {} s{each}{least} | {begins} | {ends} | {off} | {} | {} | <{}>, {} |\n",
                entry.descriptor.id,
                rule.minimum.as_secs(),
                part(&tariff.root_disk, unit(tariff.disk_unit)),
                part(&tariff.public_ipv4, "address"),
                rule.source,
                rule.as_of,
            ));
        }
    }
    text.push_str(
        "\nWhat not every server has, and what the place and the state add:\n\n\
         | provider | kind | traffic | beyond the allowance | volume | snapshot | fee with the order | prices by place | tax |\n\
         |---|---|---|---|---|---|---|---|---|\n",
    );
    for entry in capsule_providers::all() {
        for tariff in entry.descriptor.tariffs {
            let place = match tariff.location {
                Location::Same => "the same",
                Location::OwnPrices => "own prices",
                Location::Premium => "a premium",
            };
            let disk = unit(tariff.disk_unit);
            text.push_str(&format!(
                "| `{}` | {} | {} | {} | {} | {} | {} | {place} | {} |\n",
                entry.descriptor.id,
                kind(tariff.kind),
                tariff.transfer.allowance,
                fact(&tariff.transfer.overage, "GB"),
                fact(&tariff.volume, disk),
                fact(&tariff.snapshot, disk),
                fact(&tariff.setup_fee, "order"),
                tariff.tax,
            ));
        }
    }
    text
}

fn kind(kind: PlanKind) -> &'static str {
    match kind {
        PlanKind::Virtual => "virtual",
        PlanKind::BareMetal => "bare metal",
    }
}

fn unit(unit: DiskUnit) -> &'static str {
    match unit {
        DiskUnit::Gib => "GiB",
        DiskUnit::Gb => "GB",
    }
}

fn fact(fact: &Fact, unit: &str) -> String {
    match fact {
        Fact::At(rate) => per_unit(rate, unit),
        Fact::Varies(why) => (*why).to_owned(),
        Fact::None(why) => format!("None. {why}"),
        Fact::Unknown(why) => format!("Not known. {why}"),
    }
}

/// What a vendor charges is said for each kind of server that it sells, with a source and a date; what is not charged or
/// not known says so in a sentence. Nothing is left out in silence.
#[test]
fn every_tariff_says_all_that_there_is_to_say() {
    let mut lacking = Vec::new();
    for entry in capsule_providers::all() {
        let mut kinds: Vec<_> = entry.descriptor.tariffs.iter().map(|tariff| tariff.kind).collect();
        let sold: Vec<_> = kinds.clone();
        kinds.dedup();
        if kinds != sold {
            lacking.push(format!("{}: a kind has two tariffs", entry.descriptor.id));
        }
        for tariff in entry.descriptor.tariffs {
            let whose = format!("{}, {}", entry.descriptor.id, kind(tariff.kind));
            let mut sentence = |what: &str, text: &str| {
                if !(text.len() > 10 && text.ends_with('.') && text.starts_with(|c: char| c.is_ascii_uppercase())) {
                    lacking.push(format!("{whose}: {what} is no sentence: `{text}`"));
                }
            };
            sentence("traffic", tariff.transfer.allowance);
            sentence("tax", tariff.tax);
            let facts = [
                ("traffic beyond the allowance", &tariff.transfer.overage),
                ("a volume", &tariff.volume),
                ("a snapshot", &tariff.snapshot),
                ("the fee with the order", &tariff.setup_fee),
            ];
            let mut rates = Vec::new();
            for (what, fact) in facts {
                match fact {
                    Fact::At(rate) => rates.push((what, rate)),
                    Fact::Varies(why) | Fact::None(why) | Fact::Unknown(why) => sentence(what, why),
                }
            }
            for (what, part) in [("the root disk", &tariff.root_disk), ("an address", &tariff.public_ipv4)] {
                if let Part::Apart(rate) = part {
                    rates.push((what, rate));
                }
            }
            let rule = &tariff.rule;
            let mut sources = vec![("the rule", rule.source.as_ref(), rule.as_of)];
            for (what, rate) in rates {
                sources.push((what, rate.source, rate.as_of));
                if rate.amount.currency() != tariff.currency || rate.amount.amount().is_sign_negative() {
                    lacking.push(format!("{whose}: {what} costs {}", rate.amount));
                }
            }
            for (what, source, as_of) in sources {
                if !source.starts_with("https://") || as_of.year() < 2024 {
                    lacking.push(format!("{whose}: {what} was read at `{source}` on {as_of}"));
                }
            }
        }
    }
    assert!(lacking.is_empty(), "{}", lacking.join("\n"));
}

fn part(part: &Part, unit: &str) -> String {
    match part {
        Part::Included => "included".to_owned(),
        Part::Apart(rate) => per_unit(rate, unit),
        Part::Asked => format!("apart, per {unit}, by place: asked for with the plans' prices"),
    }
}

fn per_unit(rate: &Rate, unit: &str) -> String {
    let per = match rate.per {
        None => "",
        Some(BillingUnit::Hour) => " and hour",
        Some(BillingUnit::Month) => " and month",
    };
    let sure = if rate.sure { "" } else { " (?)" };
    format!("{} per {unit}{per}{sure}, [{}]({})", rate.amount, rate.as_of, rate.source)
}

#[test]
fn the_reference_for_users_has_not_drifted() {
    stands_as("docs/PROVIDERS.md", &reference());
}

/// A page that is made from other files says what they say.
fn stands_as(page: &str, text: &str) {
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(page), text).unwrap();
    }
    assert!(
        root_file(page) == text,
        "{page} has drifted: UPDATE_DOCS=1 cargo test -p capsule-providers --test complete"
    );
}

/// The module documentation of a file.
fn module_doc(path: &Path) -> String {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    let lines = text.lines().map_while(|line| line.strip_prefix("//!"));
    lines.map(|line| line.strip_prefix(' ').unwrap_or(line)).collect::<Vec<_>>().join("\n")
}

/// The referees of a provider: file, what it says of itself, and its tests.
fn referees(provider: &str) -> Vec<(String, String, Vec<String>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/referees");
    let mut files: Vec<String> = std::fs::read_dir(&folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.starts_with(&format!("test_{provider}_")))
        .collect();
    files.sort();
    let read = |name: String| {
        let text = std::fs::read_to_string(folder.join(&name)).unwrap();
        let says = text.trim_start_matches("\"\"\"").split("\"\"\"").next().unwrap_or_default();
        let says = says.lines().next().unwrap_or_default().trim_end_matches('.').to_owned();
        let tests = text.lines().filter_map(|line| line.strip_prefix("def test_")?.split('(').next());
        (name, says, tests.map(str::to_owned).collect())
    };
    files.into_iter().map(read).collect()
}

/// The simulator's honesty page: what each dialect models and does not, in its own words, and who proved it.
fn honesty() -> String {
    let sim = Path::new(env!("CARGO_MANIFEST_DIR")).join("../sim/src");
    let mut text = String::from(
        "# The simulator, honestly\n\n\
         <!-- Made from the dialects' own documentation and the referees' tests. After a change there:\n     \
         UPDATE_DOCS=1 cargo test -p capsule-providers --test complete -->\n\n\
         `--sandbox` and `capsule sandbox serve` are a model of the vendors' APIs. This page says how far each goes, what \
         is proven by\nprograms that were not written here (referees, in `tests/referees`), and what is not there. What no \
         referee proves is\nour reading of the vendor's documentation.\n\n## Everywhere\n\n",
    );
    // The headings of the crate are a level deeper here.
    text.push_str(&module_doc(&sim.join("lib.rs")).replace("\n# ", "\n### ").replace("[`fault`]", "`fault.rs`"));
    text = text.replace("[`World`]", "`World`").replace("[`Dialect`]", "`Dialect`").replace("[`ledger`]", "`ledger`");
    text = text.replace("[`Sim::transport`]", "`Sim::transport`").replace("[`Sim::serve`]", "`Sim::serve`");
    text.push('\n');
    for entry in capsule_providers::all() {
        let name = entry.descriptor.id.as_str();
        let folder = sim.join("dialects").join(name);
        let file = if folder.is_dir() { folder.join("mod.rs") } else { folder.with_extension("rs") };
        text.push_str(&format!("\n## {}\n\n{}\n\n", entry.descriptor.name, module_doc(&file)));
        text.push_str("| proven by | it |\n|---|---|\n");
        for (file, says, tests) in referees(name) {
            text.push_str(&format!("| {says} | `{file}`: {} |\n", tests.join(", ").replace('_', " ")));
        }
        text.push_str(&format!(
            "| our driver, by every promise of the `Provider` trait | `behavior`: `{name}/...`, in process and over TCP |\n"
        ));
    }
    text
}

#[test]
fn the_simulator_says_of_every_dialect_what_it_is_not() {
    let page = honesty();
    let mut lacking = Vec::new();
    for entry in capsule_providers::all() {
        let name = entry.descriptor.name;
        let section = page.split(&format!("\n## {name}\n")).nth(1).unwrap_or_default();
        let section = section.split("\n## ").next().unwrap_or_default();
        for words in ["Modelled:", "Not modelled:", "| `test_"] {
            if !section.contains(words) {
                lacking.push(format!("{name}: `{words}`"));
            }
        }
    }
    assert!(lacking.is_empty(), "missing in docs/SIMULATOR.md:\n{}", lacking.join("\n"));
    stands_as("docs/SIMULATOR.md", &page);
}
