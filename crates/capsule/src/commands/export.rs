use std::collections::BTreeMap;
use std::fmt::Write;

use capsule_core::{Error, PlanKind};
use capsule_engine::Record;
use capsule_providers::{Elsewhere, Resource};
use clap::{Args, Subcommand};
use serde_json::json;

use super::Outcome;
use super::known::{Known, Names};
use crate::output;
use crate::own::OWN;
use crate::session::Session;

/// Hand the inventory over to another program
#[derive(Debug, Args)]
pub struct Export {
    #[command(subcommand)]
    command: ExportCommand,
}

#[derive(Debug, Subcommand)]
enum ExportCommand {
    /// Print import blocks for Terraform or OpenTofu
    ///
    /// In an empty directory: `capsule export terraform > import.tf`, then `terraform init` and `terraform plan
    /// -generate-config-out=servers.tf`. From then on two programs know these servers: let one of them alone change them.
    Terraform {
        #[command(flatten)]
        known: Known,
    },
}

pub(super) async fn run(session: &Session, args: &Export) -> Outcome {
    let ExportCommand::Terraform { known } = &args.command;
    let records = known.records(session).await?;
    let blocks = blocks(&records)?;
    if session.json() {
        let rows = blocks.iter().map(|block| {
            json!({
                "to": block.to(), "id": block.resource.id, "source": block.elsewhere.terraform,
                "versions": block.elsewhere.versions, "caveat": block.elsewhere.caveat, "name": block.record.name,
                "instance": block.record.id,
            })
        });
        return Ok(output::json(&json!({ "imports": rows.collect::<Vec<_>>() }))?);
    }
    for record in &records {
        let why = match left_out(record)? {
            None => continue,
            Some(why) => why,
        };
        output::note(format!("{} is left out: {why}.", record.name));
    }
    Ok(output::text(&text(&blocks))?)
}

/// Why Terraform cannot take a server over, without a period; one that it does not find stops the others as well.
fn left_out(record: &Record) -> Result<Option<String>, Error> {
    if record.id.provider == OWN {
        return Ok(Some("no provider rents it to you".to_owned()));
    }
    let elsewhere = capsule_providers::find(record.id.provider.as_str())?.elsewhere;
    let unread = record.kind.filter(|kind| !elsewhere.kinds.contains(kind)).map(|kind| match kind {
        PlanKind::Virtual => "virtual servers",
        PlanKind::BareMetal => "bare metal",
    });
    Ok(unread.map(|kind| format!("the Terraform provider {} reads no {kind}", elsewhere.terraform)))
}

/// One server as Terraform takes it over.
struct Block<'a> {
    record: &'a Record,
    elsewhere: &'static Elsewhere,
    resource: Resource,
    /// Its name there.
    label: String,
}

impl Block<'_> {
    fn to(&self) -> String {
        format!("{}.{}", self.resource.kind, self.label)
    }
}

fn blocks(records: &[Record]) -> Result<Vec<Block<'_>>, Error> {
    let mut names = Names::new(|c| matches!(c, '_' | '-'), '_');
    let mut blocks = Vec::new();
    for record in records {
        if left_out(record)?.is_some() {
            continue;
        }
        let elsewhere = capsule_providers::find(record.id.provider.as_str())?.elsewhere;
        // A name starts with a letter or an underscore.
        let starts = record.name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
        let label = names.next(&if starts { record.name.clone() } else { format!("_{}", record.name) });
        blocks.push(Block { record, elsewhere, resource: elsewhere.resource(&record.id), label });
    }
    Ok(blocks)
}

/// The blocks as HCL: <https://developer.hashicorp.com/terraform/language/import>
fn text(blocks: &[Block<'_>]) -> String {
    let mut text = "# Written by `capsule export terraform`.\nterraform {\n  required_providers {\n".to_owned();
    let sources: BTreeMap<_, _> =
        blocks.iter().map(|block| (block.elsewhere.terraform, block.elsewhere.versions)).collect();
    let written = (|| {
        for (source, versions) in sources {
            let name = source.rsplit('/').next().unwrap_or(source);
            writeln!(text, "    {name} = {{\n      source = \"{source}\"")?;
            if let Some(versions) = versions {
                writeln!(text, "      version = \"{versions}\"")?;
            }
            text.push_str("    }\n");
        }
        text.push_str("  }\n}\n");
        for block in blocks {
            write!(text, "\n# {}\n", block.record.id)?;
            if let Some(caveat) = block.elsewhere.caveat {
                writeln!(text, "# {caveat}")?;
            }
            writeln!(text, "import {{\n  to = {}\n  id = {}\n}}", block.to(), quoted(&block.resource.id))?;
        }
        std::fmt::Result::Ok(())
    })();
    written.expect("a string takes all that is written");
    text
}

/// Text as HCL quotes it: a dollar or percent sign before a brace would begin a template.
fn quoted(text: &str) -> String {
    let json = serde_json::to_string(text).expect("text can be written as JSON");
    json.replace("${", "$${").replace("%{", "%%{")
}
