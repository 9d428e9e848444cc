//! One home and the program on it.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use capsule_sim::{Ledger, Sim};
use serde_json::Value;

/// A home of its own; everything in it goes with it.
pub(crate) struct Program {
    dir: tempfile::TempDir,
}

/// What a run came to.
#[derive(Debug)]
pub(crate) struct Run {
    /// The exit code; `None` when it was killed.
    pub(crate) code: Option<i32>,
    /// Standard output.
    pub(crate) stdout: String,
    /// Standard error.
    pub(crate) stderr: String,
}

/// Servers of the simulated clouds.
pub(crate) struct Machines {
    pub(crate) born: usize,
    pub(crate) living: usize,
}

impl Run {
    /// The one JSON document on stdout.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("not JSON ({error}): {self:?}"))
    }

    /// Fails the test unless it exited with this code.
    #[track_caller]
    pub(crate) fn exits(self, code: i32) -> Run {
        assert_eq!(self.code, Some(code), "{self:#?}");
        self
    }
}

impl Program {
    pub(crate) fn new() -> Self {
        Program { dir: tempfile::tempdir().unwrap() }
    }

    pub(crate) fn home(&self) -> PathBuf {
        self.dir.path().join("home")
    }

    /// The program on this home, without anything from the surroundings that it would read.
    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_capsule"));
        command.env_clear().env("HOME", self.dir.path()).env("PATH", std::env::var_os("PATH").unwrap_or_default());
        command.env("CAPSULE_HOME", self.home()).args(args).stdin(Stdio::null());
        command
    }

    /// The same on a terminal of its own: what is written to its stdin is typed there, and its stdout is the screen.
    pub(crate) fn on_a_terminal(&self, words: &str) -> Command {
        let mut command = Command::new("script");
        command.args(["--quiet", "--return", "--command", &format!("exec \"$PROGRAM\" {words}"), "/dev/null"]);
        command.env_clear().env("HOME", self.dir.path()).env("PATH", std::env::var_os("PATH").unwrap_or_default());
        command.env("CAPSULE_HOME", self.home()).env("PROGRAM", env!("CARGO_BIN_EXE_capsule"));
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        command
    }

    pub(crate) fn run(&self, args: &[&str]) -> Run {
        finish(self.command(args).output().unwrap())
    }

    pub(crate) fn run_with(&self, env: &[(&str, &str)], args: &[&str]) -> Run {
        finish(self.command(args).envs(env.iter().copied()).output().unwrap())
    }

    pub(crate) fn run_reading(&self, input: &str, env: &[(&str, &str)], args: &[&str]) -> Run {
        let mut command = self.command(args);
        command.envs(env.iter().copied()).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
        finish(child.wait_with_output().unwrap())
    }

    /// In the sandbox.
    pub(crate) fn sandbox(&self, args: &[&str]) -> Run {
        self.run(&[&["--sandbox"], args].concat())
    }

    /// Lets a name lead to an address in the sandbox, whose time runs so much faster.
    pub(crate) fn set_name(&self, name: &str, address: &str, speed: u32) {
        let clock = std::sync::Arc::new(capsule_core::SystemClock);
        let options = capsule_sim::Options { speed, ..capsule_sim::Options::default() };
        let sim = Sim::open(&self.home().join("sandbox/world.json"), clock, options).unwrap();
        sim.set_name(name, &[address.parse().unwrap()]).unwrap();
    }

    /// The user-data of each server in a simulated cloud, decoded as its vendor does.
    pub(crate) fn user_data(&self, provider: &str) -> Vec<Option<String>> {
        let clock = std::sync::Arc::new(capsule_core::SystemClock);
        let world = self.home().join("sandbox/world.json");
        let sim = Sim::open(&world, clock, capsule_sim::Options::default()).unwrap();
        sim.look(|world| world.clouds[provider].machines.iter().map(|machine| machine.user_data.clone()).collect())
            .unwrap()
    }

    /// What the simulated clouds know of every server that ever was.
    pub(crate) fn ledger(&self) -> Ledger {
        let clock = std::sync::Arc::new(capsule_core::SystemClock);
        let world = self.home().join("sandbox/world.json");
        Sim::open(&world, clock, capsule_sim::Options::default()).unwrap().ledger().unwrap()
    }

    /// How many servers the simulated clouds ever made, and how many are left.
    pub(crate) fn machines(&self) -> Machines {
        let ledger = self.ledger();
        let machine = |birth: &&capsule_sim::Birth| birth.kind == "machine";
        Machines {
            born: ledger.births.iter().filter(machine).count(),
            living: ledger.living().into_iter().filter(|birth| machine(birth)).count(),
        }
    }

    /// Every file below the home.
    pub(crate) fn files(&self) -> Vec<PathBuf> {
        fn walk(dir: &Path, into: &mut Vec<PathBuf>) {
            let Ok(entries) = std::fs::read_dir(dir) else { return };
            for entry in entries.map(Result::unwrap) {
                let path = entry.path();
                if path.is_dir() { walk(&path, into) } else { into.push(path) }
            }
        }
        let mut files = Vec::new();
        walk(self.dir.path(), &mut files);
        files
    }
}

fn finish(output: Output) -> Run {
    Run {
        code: output.status.code(),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}
