//! Group commit: changes of many callers in one transaction, each with its own verdict.

use std::time::Instant;

use concert_domain::error::ErrorKind;
use concert_domain::{Error, Result};

use crate::Mysql;
use crate::batch::{Caller, Waiting, apart};
use crate::db::{Change, End, Job};
use crate::error::Run;

/// What a transaction of many decided for one of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Verdict<T> {
    /// It is part of the transaction.
    Done(T),
    /// It has no effect, and this is why.
    Refused(Error),
    /// It has no effect here and is done by itself: somebody else has one of its rows, or it is
    /// one of the cases that are not worth a place among the many.
    Alone,
}

/// A change that can be made together with others of its kind.
///
/// `together` MUST NOT wait for rows that others have locked: one of them would hold up all.
pub(crate) struct Plan<I: 'static, T: 'static> {
    pub name: &'static str,
    /// All of them in one transaction; a verdict for each, in order.
    pub together: Job<Vec<I>, Vec<Verdict<T>>>,
    /// One of them by itself.
    pub alone: Job<I, T>,
    /// Whether one is in the store, when the answer to its COMMIT was lost.
    pub verify: Job<I, Option<T>>,
}

/// Makes the changes and tells every caller, after the COMMIT. Whatever keeps the transaction of
/// all from being committed harms none of them: each is then made by itself.
pub(crate) async fn commit<I, T>(store: Mysql, batch: Vec<Waiting<I, T>>, plan: &'static Plan<I, T>)
where
    I: Send + Sync + 'static,
    T: Send + 'static,
{
    let (start, (items, callers)) = (Instant::now(), apart(batch));
    let change = Change::together(items, plan.together);
    let ended = store.attempt(&change).await;
    let each = change.data.into_iter().zip(callers);
    let in_doubt = matches!(ended, Err(End::Unknown));
    match ended {
        Ok(verdicts) => {
            for ((item, caller), verdict) in each.zip(verdicts) {
                match verdict {
                    Verdict::Done(value) => caller.tell(Ok(value)),
                    Verdict::Refused(error) => caller.tell(Err(error)),
                    Verdict::Alone => alone(&store, item, caller, plan, (start, false)),
                }
            }
        }
        Err(End::Refused(error)) if error.kind() == ErrorKind::Unavailable => {
            each.for_each(|(_, caller)| caller.tell(Err(error.clone())));
        }
        Err(end) => {
            tracing::warn!(batch = plan.name, ?end, "a batch was not committed; each by itself");
            each.for_each(|(item, caller)| alone(&store, item, caller, plan, (start, in_doubt)));
        }
    }
}

/// When a change was first tried, and whether the COMMIT of that was lost.
type Before = (Instant, bool);

/// Makes one change by itself, beside the lanes, since it may have to wait for a lock.
fn alone<I, T>(store: &Mysql, item: I, caller: Caller<T>, plan: &'static Plan<I, T>, before: Before)
where
    I: Send + Sync + 'static,
    T: Send + 'static,
{
    metrics::counter!("concert_batch_alone_total", "batch" => plan.name).increment(1);
    let own = store.clone();
    store.runtime().spawn(async move {
        let change = Change::verified(item, plan.alone, plan.verify);
        caller.tell(own.change_patiently(&change, before.0, before.1).await);
    });
}

/// Reads for many callers with one statement; the answers are in the order of the items.
pub(crate) async fn read<I, T>(
    store: Mysql,
    batch: Vec<Waiting<I, T>>,
    job: Job<Vec<I>, Vec<Result<T>>>,
) where
    I: Send + Sync + 'static,
    T: Send + 'static,
{
    let (items, callers) = apart(batch);
    match store.read_patiently(&items, job).await {
        Ok(answers) => {
            callers.into_iter().zip(answers).for_each(|(caller, answer)| caller.tell(answer));
        }
        Err(error) => callers.into_iter().for_each(|caller| caller.tell(Err(error.clone()))),
    }
}

/// A statement over many rows has touched as many as were judged. If not, the books are not what
/// they seem: nothing of it is committed, and each change is judged by itself.
pub(crate) fn all(touched: usize, judged: usize, what: &str) -> Run<()> {
    if touched == judged {
        return Ok(());
    }
    let error = format!("{what}: {judged} rows were judged and {touched} touched");
    Err(Error::bug(error).into())
}

#[cfg(test)]
mod tests;
