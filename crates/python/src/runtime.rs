//! One runtime per process; the interpreter goes on while something is waited for.

use std::future::Future;
use std::pin::pin;
use std::sync::Mutex;
use std::time::Duration;

use capsule_core::{Clock, SystemClock};
use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;
use tokio::runtime::{Builder, Runtime};

/// Whose it is, by process id: threads do not survive a fork, so a child needs a runtime of its own.
static RUNTIME: Mutex<Option<(u32, &'static Runtime)>> = Mutex::new(None);

/// How often Ctrl-C is looked for.
const SIGNALS_EVERY: Duration = Duration::from_millis(200);

fn runtime() -> PyResult<&'static Runtime> {
    let mut kept = RUNTIME.lock().expect("no panic happens under this lock");
    if let Some((process, runtime)) = *kept
        && process == std::process::id()
    {
        return Ok(runtime);
    }
    // What is polled lives in the callers' threads; these two keep the sockets and clocks going.
    let built = Builder::new_multi_thread().worker_threads(2).thread_name("capsule").enable_all().build();
    let built = built.map_err(|error| PyRuntimeError::new_err(format!("The machine gives no runtime: {error}.")))?;
    // Never dropped: threads may wait in it until the process ends.
    let runtime: &'static Runtime = Box::leak(Box::new(built));
    *kept = Some((std::process::id(), runtime));
    Ok(runtime)
}

/// Runs to the end without the GIL, or until a signal's handler raises.
pub(crate) fn block<T: Send>(py: Python<'_>, work: impl Future<Output = T> + Send) -> PyResult<T> {
    let runtime = runtime()?;
    let mut work = pin!(work);
    loop {
        let slice = async {
            tokio::select! {
                biased;
                done = &mut work => Some(done),
                () = SystemClock.sleep(SIGNALS_EVERY) => None,
            }
        };
        match py.detach(|| runtime.block_on(slice)) {
            Some(done) => return Ok(done),
            None => py.check_signals()?,
        }
    }
}
