//! A PostgreSQL of this test program's own, and an empty place in it for each test.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, OnceLock};

/// A server that stops when this is dropped, or when the program ends.
pub(crate) struct Postgres {
    orders: Mutex<Orders>,
    databases: AtomicU32,
    child: Child,
}

struct Orders {
    /// Open for as long as the server is wanted.
    to: Option<ChildStdin>,
    from: BufReader<ChildStdout>,
}

impl Postgres {
    /// A server with these options beside its own.
    pub(crate) fn start(options: &[&str]) -> Self {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/postgres.sh");
        let mut command = Command::new(script);
        let mut child = command.args(options).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let (to, from) = (child.stdin.take(), BufReader::new(child.stdout.take().unwrap()));
        Postgres { orders: Mutex::new(Orders { to, from }), databases: AtomicU32::new(0), child }
    }

    /// The one that the tests of this program share. Its data may be lost, and it is fast.
    pub(crate) fn shared() -> &'static Postgres {
        static SHARED: OnceLock<Postgres> = OnceLock::new();
        SHARED.get_or_init(|| Postgres::start(&["-c", "fsync=off"]))
    }

    /// The URL of a new, empty place in it.
    pub(crate) fn database(&self) -> String {
        self.order(&format!("create journal_{}", self.databases.fetch_add(1, Ordering::Relaxed)))
    }

    /// What the script answers to an order of any kind.
    pub(crate) fn order(&self, order: &str) -> String {
        self.orders.lock().unwrap().give(order)
    }
}

impl Orders {
    fn give(&mut self, order: &str) -> String {
        writeln!(self.to.as_mut().unwrap(), "{order}").unwrap();
        let mut answer = String::new();
        self.from.read_line(&mut answer).unwrap();
        assert!(!answer.is_empty(), "PostgreSQL did not carry out `{order}`; it says why above");
        answer.trim_end().to_owned()
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        if let Ok(orders) = self.orders.get_mut() {
            orders.to = None;
        }
        let _ = self.child.wait();
    }
}
