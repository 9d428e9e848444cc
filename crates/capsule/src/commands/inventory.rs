use std::collections::{BTreeMap, BTreeSet};

use capsule_core::{Error, ErrorKind};
use capsule_engine::Record;
use clap::Args;
use clap_complete::engine::ArgValueCandidates;
use serde_json::{Value, json};

use super::Outcome;
use super::known::{self, Known};
use crate::complete;
use crate::output::{self, Table};
use crate::session::Session;

/// Show the servers of the inventory as they were last seen; nothing is asked
///
/// `capsule list` asks the providers. With --ansible it is a dynamic inventory: a file that holds `#!/bin/sh` and
/// `exec capsule inventory --ansible "$@"` is one that Ansible runs by itself. Its groups are `provider_NAME`,
/// `region_PROVIDER_REGION`, `tag_KEY`, `tag_KEY_VALUE` and `xnode`, with `_` for whatever Ansible does not allow; xNodes have
/// no SSH.
#[derive(Debug, Args)]
pub struct Inventory {
    #[command(flatten)]
    pub known: Known,
    /// As a dynamic inventory for Ansible
    #[arg(long)]
    pub ansible: bool,
    /// What Ansible asks for first: all groups and hosts
    #[arg(long, conflicts_with = "host")]
    pub list: bool,
    /// What Ansible asks for of one host: its variables
    #[arg(long, value_name = "NAME", add = ArgValueCandidates::new(complete::servers))]
    pub host: Option<String>,
}

pub(super) async fn run(session: &Session, args: &Inventory) -> Outcome {
    let records = args.known.records(session).await?;
    if let Some(host) = &args.host {
        let record = records.iter().find(|record| record.name == *host).ok_or_else(|| {
            Error::new(ErrorKind::NotFound, format!("There is no server `{host}` in the inventory."))
                .with_hint("`capsule inventory` shows those that there are.")
        })?;
        return Ok(output::document(&variables(record))?);
    }
    if args.ansible || args.list {
        return Ok(output::document(&ansible(&records))?);
    }
    if session.json() {
        return Ok(output::json(&json!({ "servers": records }))?);
    }
    if records.is_empty() {
        output::note("The inventory is empty.");
        return Ok(());
    }
    let mut table = Table::new(&["NAME", "STATUS", "ADDRESS", "PLAN", ">PER HOUR", ">AGE", "ID"]);
    for record in &records {
        table.row([
            record.name.clone(),
            record.status.to_string(),
            record.addresses.primary().map_or_else(|| "-".to_owned(), |ip| ip.to_string()),
            record.plan.clone(),
            output::hourly(record.price.as_ref()),
            output::age(Some(record.created_at), session.clock.now()),
            record.id.to_string(),
        ]);
    }
    Ok(table.print()?)
}

/// All groups and hosts, with the variables of every host so that Ansible asks once.
///
/// <https://docs.ansible.com/ansible/latest/dev_guide/developing_inventory.html#inventory-script-conventions>
fn ansible(records: &[Record]) -> Value {
    let mut groups: BTreeMap<String, BTreeSet<&str>> = BTreeMap::new();
    let mut variables_of = serde_json::Map::new();
    for record in records {
        variables_of.insert(record.name.clone(), variables(record));
        for group in groups_of(record) {
            groups.entry(group).or_default().insert(&record.name);
        }
    }
    let mut document = serde_json::Map::new();
    document.insert("_meta".to_owned(), json!({ "hostvars": variables_of }));
    let children: Vec<&String> = groups.keys().collect();
    let names: Vec<&String> = records.iter().map(|record| &record.name).collect();
    document.insert("all".to_owned(), json!({ "children": children, "hosts": names }));
    document.extend(groups.into_iter().map(|(name, hosts)| (name, json!({ "hosts": hosts }))));
    Value::Object(document)
}

fn groups_of(record: &Record) -> Vec<String> {
    let word = |text: &str| known::clean(text, |c| c == '_', '_');
    let provider = word(record.id.provider.as_str());
    let mut groups = vec![format!("region_{provider}_{}", word(&record.id.region)), format!("provider_{provider}")];
    for (key, value) in record.tags.iter() {
        groups.push(format!("tag_{}", word(key)));
        if !value.is_empty() {
            groups.push(format!("tag_{}_{}", word(key), word(value)));
        }
    }
    if known::is_xnode(record) {
        groups.push("xnode".to_owned());
    }
    groups
}

fn variables(record: &Record) -> Value {
    let tags: BTreeMap<&str, &str> = record.tags.iter().collect();
    let mut variables = json!({
        "capsule_id": record.id, "capsule_provider": record.id.provider, "capsule_region": record.id.region,
        "capsule_plan": record.plan, "capsule_status": record.status, "capsule_image": record.image,
        "capsule_tags": tags, "capsule_xnode": known::is_xnode(record),
    });
    if let Some(address) = record.addresses.primary() {
        variables["ansible_host"] = json!(address);
    }
    if let Some(user) = known::login(record) {
        variables["ansible_user"] = json!(user);
    }
    variables
}
