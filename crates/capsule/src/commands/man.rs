use std::path::PathBuf;

use capsule_core::{Error, ErrorKind};
use clap::{Args, CommandFactory};

use super::Outcome;
use crate::cli::Cli;

/// Print the manual page, or write one per command into a directory
#[derive(Debug, Args)]
pub struct Man {
    /// Write capsule.1, capsule-deploy.1 and so on into this directory
    #[arg(long, value_name = "DIR")]
    pub dir: Option<PathBuf>,
}

pub(super) fn run(args: &Man) -> Outcome {
    let failed =
        |error: std::io::Error| Error::new(ErrorKind::Config, format!("The manual page cannot be written: {error}."));
    match &args.dir {
        Some(dir) => {
            std::fs::create_dir_all(dir).map_err(failed)?;
            clap_mangen::generate_to(Cli::command(), dir).map_err(failed)?;
        }
        None => {
            let mut page = Vec::new();
            clap_mangen::Man::new(Cli::command()).render(&mut page).map_err(failed)?;
            crate::output::text(&String::from_utf8_lossy(&page))?;
        }
    }
    Ok(())
}
