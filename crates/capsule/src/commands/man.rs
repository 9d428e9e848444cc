use std::io::{self, Write};
use std::path::{Path, PathBuf};

use capsule_core::{Error, ErrorKind};
use clap::{Args, Command, CommandFactory};
use clap_mangen::Man as Page;

use super::Outcome;
use crate::cli::Cli;
use crate::failure::EXIT_CODES;

/// Print the manual page, or write one per command into a directory
#[derive(Debug, Args)]
pub struct Man {
    /// Write capsule.1, capsule-deploy.1 and so on into this directory
    #[arg(long, value_name = "DIR")]
    pub dir: Option<PathBuf>,
}

pub(super) fn run(args: &Man) -> Outcome {
    let failed =
        |error: io::Error| Error::new(ErrorKind::Config, format!("The manual page cannot be written: {error}."));
    let mut command = Cli::command().disable_help_subcommand(true);
    command.build();
    match &args.dir {
        Some(dir) => {
            std::fs::create_dir_all(dir).map_err(failed)?;
            write(&command, dir).map_err(failed)?;
        }
        None => crate::output::text(&page(&command).map_err(failed)?)?,
    }
    Ok(())
}

/// Writes the page of a command and those of its subcommands.
fn write(command: &Command, dir: &Path) -> io::Result<()> {
    for command in command.get_subcommands().filter(|command| !command.is_hide_set()) {
        write(command, dir)?;
    }
    std::fs::write(dir.join(format!("{}.1", name(command))), page(command)?)
}

fn name(command: &Command) -> &str {
    command.get_display_name().unwrap_or_else(|| command.get_name())
}

/// The page of a command. The library's own title puts the version where a date belongs.
fn page(command: &Command) -> io::Result<String> {
    let (mut out, page) = (Vec::new(), Page::new(command.clone()));
    let version = env!("CARGO_PKG_VERSION");
    writeln!(out, ".TH {} 1 \"\" \"Capsule {version}\" \"User Commands\"", name(command).to_uppercase())?;
    page.render_name_section(&mut out)?;
    page.render_synopsis_section(&mut out)?;
    page.render_description_section(&mut out)?;
    page.render_options_section(&mut out)?;
    if command.get_subcommands().any(|command| !command.is_hide_set()) {
        page.render_subcommands_section(&mut out)?;
    }
    writeln!(out, ".SH \"EXIT STATUS\"\n{EXIT_CODES}")?;
    let text = String::from_utf8(out).expect("what was made of text is text");
    // Each section begins with the same two lines about quotation marks, and some space is asked for thrice.
    let about_quotes = |line: &&str| !line.contains(".ds Aq ");
    let lines: Vec<&str> = text.lines().filter(about_quotes).map(str::trim_end).collect();
    let body = lines.join("\n").replace(".br\n\n.br\n", ".sp\n");
    Ok(format!(".ie \\n(.g .ds Aq \\(aq\n.el .ds Aq '\n{body}\n"))
}
