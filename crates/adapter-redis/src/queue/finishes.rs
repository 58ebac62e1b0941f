//! Ends of places of many callers in one call.

use concert_domain::queue::{Terms, TokenDigest};
use concert_domain::{ConcertId, Result};
use futures::future::join_all;

use super::{WHAT, start_of};
use crate::Redis;
use crate::together::{Together, Wish, apart, tell};

/// A place that is to end.
pub(crate) struct Finish {
    pub concert: ConcertId,
    pub number: i64,
    pub digest: TokenDigest,
    pub terms: Terms,
}

/// Those whose place is to end; the answer is whether it was there.
pub(crate) type Finishes = Together<Finish, bool>;

pub(crate) fn finishes() -> Finishes {
    Together::new(WHAT)
}

impl Redis {
    /// Ends the place with all that end at the same time.
    pub(super) async fn finish_with_others(&self, finish: Finish) -> Result<bool> {
        self.finishes.submit(self, finish, |redis| &redis.finishes, Self::serve_finishes).await
    }

    /// One call goes to one queue under the same terms.
    async fn serve_finishes(self, batch: Vec<Wish<Finish, bool>>) {
        let groups = apart(batch, |finish| (finish.concert, finish.terms));
        join_all(groups.into_iter().map(|group| self.finish_all(group))).await;
    }

    async fn finish_all(&self, group: Vec<Wish<Finish, bool>>) {
        let Some(&Finish { concert, ref terms, .. }) = group.first().map(|wish| &wish.item) else {
            return;
        };
        let mut call = self.transition(&self.scripts.queue.finish, concert, terms);
        for Finish { number, digest, .. } in group.iter().map(|wish| &wish.item) {
            call.arg(*number).arg(start_of(digest));
        }
        let found: Result<Vec<bool>> = self.script(WHAT, &call).await;
        // A call that failed may have run.
        self.lines.changed(concert);
        tell(group, found.map(|found| found.into_iter().map(Ok).collect()));
    }
}
