//! Operations side by side, as a simulation needs them: nothing about their order may depend on how fast a disk is.

use std::future::poll_fn;
use std::pin::Pin;
use std::task::Poll;

use futures_util::future::{MaybeDone, maybe_done};

/// As `join_all`, but while one of them is at the journal, none of the others goes on. The journal answers from a thread
/// of its own, and what else happens before it does would be left to chance.
///
/// `is_writing` says whether anybody is at the journal. Ends in the order in which they began.
pub(crate) async fn one_at_the_journal<F: Future>(
    runs: impl IntoIterator<Item = F>,
    is_writing: impl Fn() -> bool,
) -> Vec<F::Output> {
    let mut runs: Vec<Pin<Box<MaybeDone<F>>>> = runs.into_iter().map(|run| Box::pin(maybe_done(run))).collect();
    let mut writer: Option<usize> = None;
    poll_fn(|context| {
        // Whoever was there last may be the next already, and has not been told yet.
        if !is_writing()
            && let Some(number) = writer.take()
        {
            let _ = runs[number].as_mut().poll(context);
            writer = is_writing().then_some(number);
        }
        let (mut all_over, mut stood_still) = (true, false);
        for (number, run) in runs.iter_mut().enumerate() {
            if is_writing() && writer != Some(number) {
                stood_still = true;
                continue;
            }
            all_over &= run.as_mut().poll(context).is_ready();
            if is_writing() {
                writer = Some(number);
            }
        }
        match (all_over, stood_still) {
            (true, false) => Poll::Ready(()),
            (_, false) => Poll::Pending,
            // Nobody says when the journal is free again.
            (_, true) => {
                context.waker().wake_by_ref();
                Poll::Pending
            }
        }
    })
    .await;
    runs.iter_mut().map(|run| run.as_mut().take_output().expect("each is over")).collect()
}

#[cfg(test)]
mod tests {
    use std::cell::{Cell, RefCell};

    use super::*;

    async fn yields() {
        let mut yielded = false;
        poll_fn(|context| {
            context.waker().wake_by_ref();
            if std::mem::replace(&mut yielded, true) { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
    }

    #[tokio::test]
    async fn nobody_goes_on_while_one_writes() {
        for slow in 0..5 {
            let (writing, story) = (Cell::new(false), RefCell::new(Vec::new()));
            let run = |number: usize| {
                let (writing, story) = (&writing, &story);
                async move {
                    story.borrow_mut().push((number, "begins"));
                    writing.set(true);
                    // As long as the disk takes.
                    for _ in 0..slow {
                        yields().await;
                    }
                    writing.set(false);
                    story.borrow_mut().push((number, "has written"));
                    number
                }
            };
            assert_eq!(one_at_the_journal((0..3).map(run), || writing.get()).await, [0, 1, 2]);
            let told: Vec<_> = (0..3).flat_map(|number| [(number, "begins"), (number, "has written")]).collect();
            assert_eq!(*story.borrow(), told, "after {slow}");
        }
    }
}
