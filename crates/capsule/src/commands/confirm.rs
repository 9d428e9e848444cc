//! Asking before something is deleted, or ordered by a command that always asked.

use std::io::{BufRead, IsTerminal, Write};

use capsule_core::{Error, ErrorKind};

use super::finish;
use crate::failure::Failure;

/// Asks on a terminal whether to delete `what`.
///
/// # Errors
/// What says that nothing was deleted: nobody can be asked, or the answer was no.
pub(super) async fn delete(what: &str) -> Result<(), Failure> {
    if !std::io::stdin().is_terminal() {
        let message = format!("Nothing was deleted: {what} would be, and nobody can be asked.");
        return Err(Error::new(ErrorKind::Config, message).with_hint("Add --yes.").into());
    }
    match answer(&format!("Delete {what}? [y/N] ")).await?.to_lowercase().as_str() {
        "y" | "yes" => Ok(()),
        _ => Err(Failure::with_code(Error::new(ErrorKind::Config, "Nothing was deleted."), 1)),
    }
}

/// Whether somebody can be asked before a command orders.
///
/// # Errors
/// What says that nothing was ordered, since nobody can.
pub(super) fn can_order(command: &str) -> Result<(), Failure> {
    if std::io::stdin().is_terminal() {
        return Ok(());
    }
    let message = "Nothing was ordered: this asks first, and nobody can be asked.";
    Err(Error::new(ErrorKind::Config, message)
        .with_hint(format!("Add --yes, or use `{command}`, which does not ask."))
        .into())
}

/// Asks whether to order what was just shown.
///
/// # Errors
/// What says that nothing was ordered: the answer was no, or there was none.
pub(super) async fn order() -> Result<(), Failure> {
    match answer("Order it? [y/N] ").await?.to_lowercase().as_str() {
        "y" | "yes" => Ok(()),
        _ => Err(Failure::with_code(Error::new(ErrorKind::Config, "Nothing was ordered."), 1)),
    }
}

/// Asks on the terminal and reads one line; Ctrl-C is an empty one.
///
/// # Errors
/// [`ErrorKind::Config`] if nothing can be read.
pub(super) async fn answer(question: &str) -> Result<String, Error> {
    let failed = |error: std::io::Error| Error::new(ErrorKind::Config, format!("Nothing could be read: {error}."));
    let mut err = std::io::stderr();
    write!(err, "{question}").and_then(|()| err.flush()).map_err(failed)?;
    let (said, heard) = tokio::sync::oneshot::channel();
    // Whoever reads hears of nothing else, and Ctrl-C ends no program that has listened for it once.
    std::thread::spawn(move || {
        let mut line = String::new();
        // After Ctrl-C nobody wants to know.
        let _ = said.send(std::io::stdin().lock().read_line(&mut line).map(|_| line));
    });
    tokio::select! {
        biased;
        () = finish::interrupted() => {
            writeln!(err).map_err(failed)?;
            Ok(String::new())
        }
        read = heard => {
            let line = read.map_err(std::io::Error::other).flatten().map_err(failed)?;
            Ok(line.trim().to_owned())
        }
    }
}
