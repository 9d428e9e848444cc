//! A process of a world: an engine, what it was told to do, and the ways in which it can end.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use capsule_engine::Engine;

use crate::stage::Stage;

/// What ends a process right after an event.
pub(crate) struct Killed;

pub(crate) struct Process {
    pub(crate) number: usize,
    stage: Arc<Stage>,
    engine: Engine,
    run: Option<Pin<Box<dyn Future<Output = ()>>>>,
    woken: Arc<Woken>,
    pub(crate) waits: u64,
}

struct Woken(AtomicBool);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::SeqCst);
    }
}

impl Process {
    pub(crate) fn new(
        number: usize,
        stage: Arc<Stage>,
        engine: Engine,
        run: impl Future<Output = ()> + 'static,
    ) -> Self {
        // Tokio's own turns would end a poll early, at a place that no seed knows.
        let run = Box::pin(tokio::task::unconstrained(run));
        let woken = Arc::new(Woken(AtomicBool::new(true)));
        Process { number, stage, engine, run: Some(run), woken, waits: 0 }
    }

    pub(crate) fn is_over(&self) -> bool {
        self.run.is_none()
    }

    /// Ends it without warning: nothing of it runs any more.
    pub(crate) fn kill(&mut self) {
        self.run = None;
    }

    /// Runs it until it waits for a time or its turn, or is over; whether it was killed by an event on the way.
    pub(crate) async fn run(&mut self) -> bool {
        loop {
            let Some(run) = &mut self.run else { return false };
            if self.woken.0.swap(false, Ordering::SeqCst) {
                self.stage.enter(self.number);
                let waker = Waker::from(self.woken.clone());
                let mut context = Context::from_waker(&waker);
                match catch_unwind(AssertUnwindSafe(|| run.as_mut().poll(&mut context))) {
                    // What the journal's pool has to do runs between two polls.
                    Ok(Poll::Pending) => tokio::task::yield_now().await,
                    Ok(Poll::Ready(())) => self.run = None,
                    Err(why) => {
                        self.run = None;
                        return was_killed(why);
                    }
                }
            } else if self.engine.is_writing() {
                tokio::task::yield_now().await;
                std::thread::yield_now();
            } else if !self.woken.0.load(Ordering::SeqCst) {
                // Asked once more: the journal may have answered between the two questions above.
                return false;
            }
        }
    }
}

fn was_killed(why: Box<dyn Any + Send>) -> bool {
    if why.is::<Killed>() { true } else { resume_unwind(why) }
}
