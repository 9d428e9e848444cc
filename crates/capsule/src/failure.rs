//! How a command ends when it does not end well.

use std::io::Write;

use capsule_core::{Error, ErrorKind};

/// The exit codes, as the help and the manual page tell them.
pub const EXIT_CODES: &str = "Exit codes: 0 done; 1 failed, be it at one of several providers; 2 usage; 3 still running or \
    outcome unknown; 4 refused for credentials alone.";

/// What went wrong and the exit code for it.
#[derive(Debug)]
pub struct Failure {
    /// Told on stderr, each with its hint.
    pub errors: Vec<Error>,
    /// One of the [`EXIT_CODES`].
    pub code: u8,
}

impl Failure {
    /// One error under an exit code of its own.
    pub fn with_code(error: Error, code: u8) -> Self {
        Failure { errors: vec![error], code }
    }

    /// Several errors: 4 if credentials alone are at fault, else 1.
    pub fn several(errors: Vec<Error>) -> Self {
        let code = if errors.iter().all(|error| error.kind().is_credentials()) { 4 } else { 1 };
        Failure { errors, code }
    }

    /// The errors of everybody who was asked, so that nobody is left: one of them alone is what went wrong.
    pub fn all(mut errors: Vec<Error>) -> Self {
        match errors.pop() {
            Some(only) if errors.is_empty() => only.into(),
            last => {
                errors.extend(last);
                Failure::several(errors)
            }
        }
    }

    /// Tells the user on stderr and gives the exit code.
    pub fn report(self, json: bool) -> u8 {
        let mut err = std::io::stderr().lock();
        // Nobody is left to tell if stderr is closed.
        for error in &self.errors {
            let _ = if json {
                writeln!(err, "{}", serde_json::json!({ "error": error }))
            } else {
                writeln!(err, "{}", text(error))
            };
        }
        self.code
    }
}

/// The error for people: what failed, the way out, and what the vendor's support will ask for.
pub fn text(error: &Error) -> String {
    let mut text = format!("error: {}", error.message());
    if let Some(hint) = error.hint() {
        text.push_str("\n  hint: ");
        text.push_str(hint);
    }
    if let Some(id) = error.request_id() {
        text.push_str("\n  request id: ");
        text.push_str(id);
    }
    text
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let code = match error.kind() {
            // The vendor's refusal of a request is a failure; what was wrong before any request is usage.
            ErrorKind::Config => 2,
            ErrorKind::Invalid | ErrorKind::Unsupported if error.http_status().is_none() => 2,
            kind if kind.is_credentials() => 4,
            _ => 1,
        };
        Failure { errors: vec![error], code }
    }
}
