//! The simulated clouds of a home, on ports of this machine.

use std::io::BufReader;
use std::process::{Child, Stdio};

use serde_json::Value;

use crate::program::Program;

/// `sandbox serve` on free ports, with the vendors' documented limits; ends with the test.
pub(crate) struct Served {
    child: Child,
    said: Value,
}

impl Served {
    pub(crate) fn start(program: &Program) -> Self {
        let mut command = program.command(&["-o", "json", "sandbox", "serve", "--port", "0"]);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        let said = serde_json::Deserializer::from_reader(stdout).into_iter().next().unwrap().unwrap();
        Served { child, said }
    }

    pub(crate) fn url(&self, provider: &str) -> &str {
        let served = self.said["serving"].as_array().unwrap();
        served.iter().find(|row| row["provider"] == provider).unwrap()["url"].as_str().unwrap()
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
