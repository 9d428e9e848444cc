//! No provider is half there: each folder has all its pieces, and a simulated twin.

use std::path::Path;

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
        if std::fs::read_dir(folder.join("samples")).map_or(0, Iterator::count) == 0 {
            lacking.push(format!("{name}/samples: a body"));
        }
        if !dialects.iter().any(|dialect| dialect == name) {
            lacking.push(format!("{name}: a dialect in the simulator"));
        }
        if capsule_sim::credentials(name).is_empty() {
            lacking.push(format!("{name}: credentials for the sandbox"));
        }
    }
    assert!(lacking.is_empty(), "missing:\n{}", lacking.join("\n"));
}

/// The users' reference: a table from the descriptors, then each provider's README.
fn reference() -> String {
    let mut text = String::from(
        "# Providers\n\n\
         <!-- Made from the descriptors and the providers' READMEs. After a change there:\n     \
         UPDATE_DOCS=1 cargo test -p capsule-providers --test complete -->\n\n\
         | provider | name | settings and their environment variables | endpoint |\n|---|---|---|---|\n",
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
        text.push_str(&format!("| `{id}` | {name} | {} | `{endpoint}` |\n", settings.join("<br>")));
    }
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

#[test]
fn the_reference_for_users_has_not_drifted() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/PROVIDERS.md");
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(&path, reference()).unwrap();
    }
    let stands = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        stands == reference(),
        "docs/PROVIDERS.md has drifted: UPDATE_DOCS=1 cargo test -p capsule-providers --test complete"
    );
}
