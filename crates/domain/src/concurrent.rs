//! Many things under way at once in one task, without a runtime.

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::task::Poll;

/// Runs the futures together until all are done; the answers are in their order. For a few hundred
/// at the most: whichever of them wakes, all that are not done are asked.
pub(crate) async fn all_at_once<F: Future>(work: impl IntoIterator<Item = F>) -> Vec<F::Output> {
    let mut running: Vec<Pin<Box<F>>> = work.into_iter().map(Box::pin).collect();
    let mut answers: Vec<Option<F::Output>> = running.iter().map(|_| None).collect();
    poll_fn(|context| {
        let mut pending = false;
        for (one, answer) in running.iter_mut().zip(&mut answers) {
            if answer.is_some() {
                continue;
            }
            match one.as_mut().poll(context) {
                Poll::Ready(value) => *answer = Some(value),
                Poll::Pending => pending = true,
            }
        }
        if pending { Poll::Pending } else { Poll::Ready(()) }
    })
    .await;
    answers.into_iter().flatten().collect()
}

/// Runs two pieces of work together until both are done.
pub(crate) async fn both(one: impl Future<Output = ()>, other: impl Future<Output = ()>) {
    let (mut one, mut other) = (pin!(one), pin!(other));
    let mut done = (false, false);
    poll_fn(|context| {
        done.0 = done.0 || one.as_mut().poll(context).is_ready();
        done.1 = done.1 || other.as_mut().poll(context).is_ready();
        if done == (true, true) { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::task::Context;

    use futures::executor::block_on;

    use super::*;

    #[test]
    fn all_are_begun_before_one_is_done_and_answers_keep_their_order() {
        let begun = Cell::new(0);
        let work = (0..5).map(|n| {
            let mut first = true;
            let begun = &begun;
            poll_fn(move |context| {
                begun.set(begun.get() + i32::from(first));
                first = false;
                context.waker().wake_by_ref();
                if begun.get() == 5 { Poll::Ready(n) } else { Poll::Pending }
            })
        });
        assert_eq!(block_on(all_at_once(work)), [0, 1, 2, 3, 4]);
        assert_eq!(block_on(all_at_once(Vec::<std::future::Ready<()>>::new())), []);
    }

    #[test]
    fn two_run_together() {
        let (one, other) = (Cell::new(false), Cell::new(false));
        let wait = |mine: &Cell<bool>, theirs: &Cell<bool>, context: &mut Context<'_>| {
            mine.set(true);
            context.waker().wake_by_ref();
            if theirs.get() { Poll::Ready(()) } else { Poll::Pending }
        };
        block_on(both(
            poll_fn(|context| wait(&one, &other, context)),
            poll_fn(|context| wait(&other, &one, context)),
        ));
    }
}
