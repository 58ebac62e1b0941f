//! Joins of many callers in one call.

use concert_domain::queue::{Join, Joined, Terms};
use concert_domain::{ConcertId, Error, Result};
use futures::future::join_all;

use super::index::At;
use super::reply::{Head, PlaceReply};
use super::{WHAT, start_of};
use crate::Redis;
use crate::together::{Together, Wish, apart, tell};

/// Those who wait to join, under what terms.
pub(crate) type Joins = Together<(Join, Terms), Joined>;

/// A user's place: whether it is new, its number, where it stands. None: the queue takes nobody.
type Found = Option<(bool, i64, PlaceReply)>;

pub(crate) fn joins() -> Joins {
    Together::new(WHAT)
}

impl Redis {
    /// Joins with all who come at the same time.
    pub(super) async fn join_with_others(&self, join: Join, terms: Terms) -> Result<Joined> {
        self.joins.submit(self, (join, terms), |redis| &redis.joins, Self::serve_joins).await
    }

    /// One call goes to one queue under the same terms.
    async fn serve_joins(self, batch: Vec<Wish<(Join, Terms), Joined>>) {
        let groups = apart(batch, |(join, terms)| (join.concert, *terms));
        join_all(groups.into_iter().map(|group| self.join_all(group))).await;
    }

    /// Makes the joins of one queue, and answers them beside the next call.
    async fn join_all(&self, group: Vec<Wish<(Join, Terms), Joined>>) {
        let Some((Join { concert, .. }, terms)) = group.first().map(|wish| &wish.item) else {
            return;
        };
        let concert = *concert;
        let mut call = self.transition(&self.scripts.queue.join, concert, terms);
        for (join, _) in group.iter().map(|wish| &wish.item) {
            let digest = join.token.digest();
            call.arg(join.user.get()).arg(join.token.as_bytes()).arg(start_of(&digest));
        }
        let made: Result<(bool, Head, Vec<Found>)> = self.script(WHAT, &call).await;
        if !matches!(made, Ok((false, ..))) {
            self.lines.changed(concert);
        }
        let redis = self.clone();
        self.on_runtime(async move {
            let answers = match made {
                Ok((_, head, found)) => redis.listed_joins(concert, &head, found).await,
                Err(error) => Err(error),
            };
            tell(group, answers);
        });
    }

    /// Makes the places known by their tokens. Also those that are not new: whoever made them may
    /// not have come this far.
    async fn listed_joins(
        &self,
        concert: ConcertId,
        head: &Head,
        found: Vec<Found>,
    ) -> Result<Vec<Result<Joined>>> {
        let mut answers = Vec::with_capacity(found.len());
        let (mut places, mut memories) = (Vec::new(), Vec::new());
        for one in found {
            let Some((first, number, reply)) = one else {
                answers.push(Err(Error::QueueClosed));
                continue;
            };
            let (seen, place) = (reply.seen(head), reply.place(concert, head)?);
            let digest = place.token.digest();
            places.push((digest, number));
            memories.push((digest, At { concert, number }, seen));
            answers.push(Ok(Joined { place, first }));
        }
        if !places.is_empty() {
            self.list(concert, &places).await?;
        }
        for (digest, at, seen) in memories {
            self.known.insert(digest, at, seen);
        }
        Ok(answers)
    }
}
