//! Questions to the user whose answers nobody else may see.

use std::io::{BufRead, IsTerminal, Read};

use capsule_core::{Error, ErrorKind, Result};

/// A secret: asked for on a terminal, else the first line of standard input.
///
/// # Errors
/// [`ErrorKind::Config`] if nothing can be read.
pub(super) fn secret(prompt: &str) -> Result<String> {
    let failed = |error: std::io::Error| Error::new(ErrorKind::Config, format!("Nothing could be read: {error}."));
    if std::io::stdin().is_terminal() {
        return rpassword::prompt_password(prompt).map_err(failed);
    }
    let mut line = String::new();
    std::io::BufReader::new(std::io::stdin().take(1 << 16)).read_line(&mut line).map_err(failed)?;
    if line.trim().is_empty() {
        return Err(Error::new(ErrorKind::Config, "Nothing was typed.")
            .with_hint("Type it at the prompt, or pipe it in on a line of its own."));
    }
    Ok(line)
}
