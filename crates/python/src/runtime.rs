//! One runtime per process; the interpreter goes on while something is waited for.

use std::cell::RefCell;
use std::future::Future;
use std::pin::pin;
use std::sync::Mutex;
use std::time::Duration;

use capsule_core::{Clock, SystemClock};
use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;
use pyo3::types::PyTuple;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::watch;

pyo3::import_exception!(asyncio, CancelledError);

/// Whose it is, by process id: threads do not survive a fork, so a child needs a runtime of its own.
static RUNTIME: Mutex<Option<(u32, &'static Runtime)>> = Mutex::new(None);

/// How often Ctrl-C is looked for.
const SIGNALS_EVERY: Duration = Duration::from_millis(200);
/// How long an end may take after it was asked for.
const END_WITHIN: Duration = Duration::from_secs(5);

thread_local! {
    /// What ends that which this thread waits for.
    static STOPPED: RefCell<Option<watch::Receiver<bool>>> = const { RefCell::new(None) };
}

/// Ends what one call waits for, from another thread: what Ctrl-C is to the main thread.
#[pyclass(frozen)]
pub(crate) struct Stop {
    stopped: watch::Sender<bool>,
}

#[pymethods]
impl Stop {
    #[new]
    fn new() -> Self {
        Stop { stopped: watch::Sender::new(false) }
    }

    /// Ends the call, or has it end as soon as it waits for something.
    fn stop(&self) {
        self.stopped.send_replace(true);
    }

    /// Calls `call` with `args`. If it is stopped, it raises `asyncio.CancelledError`.
    #[pyo3(signature = (call, *args))]
    fn during<'py>(&self, call: &Bound<'py, PyAny>, args: &Bound<'py, PyTuple>) -> PyResult<Bound<'py, PyAny>> {
        let outer = STOPPED.replace(Some(self.stopped.subscribe()));
        let done = call.call1(args);
        STOPPED.set(outer);
        done
    }
}

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

/// What came of a while of waiting.
enum Slice<T> {
    Done(T),
    Stopped,
    Over,
}

/// Runs to the end without the GIL, or until a signal's handler raises or the call is stopped. Then the work is dropped.
pub(crate) fn block<T: Send>(py: Python<'_>, work: impl Future<Output = T> + Send) -> PyResult<T> {
    let runtime = runtime()?;
    let mut stopped = STOPPED.with_borrow(Clone::clone);
    let mut work = pin!(work);
    loop {
        let slice = async {
            tokio::select! {
                biased;
                done = &mut work => Slice::Done(done),
                () = stop(stopped.as_mut()) => Slice::Stopped,
                () = SystemClock.sleep(SIGNALS_EVERY) => Slice::Over,
            }
        };
        match py.detach(|| runtime.block_on(slice)) {
            Slice::Done(done) => return Ok(done),
            Slice::Stopped => return Err(CancelledError::new_err(())),
            Slice::Over => py.check_signals()?,
        }
    }
}

/// Runs what is to be done after an interruption, which must not be interrupted by the same word again; for a short while
/// only, since whoever interrupts does not want to wait. `None` if that was over first.
pub(crate) fn wind_up<T: Send>(py: Python<'_>, work: impl Future<Output = T> + Send) -> Option<T> {
    let runtime = runtime().ok()?;
    let limited = async {
        tokio::select! {
            biased;
            done = work => Some(done),
            () = SystemClock.sleep(END_WITHIN) => None,
        }
    };
    py.detach(|| runtime.block_on(limited))
}

/// Returns when the call is stopped.
async fn stop(stopped: Option<&mut watch::Receiver<bool>>) {
    if let Some(stopped) = stopped
        && stopped.wait_for(|stopped| *stopped).await.is_ok()
    {
        return;
    }
    std::future::pending().await
}
