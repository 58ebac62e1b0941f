//! Looks at places of many callers in one call.

use concert_domain::Result;
use concert_domain::queue::QueueToken;
use futures::future::join_all;

use super::WHAT;
use super::index::At;
use super::reply::{Head, PlaceReply};
use crate::Redis;
use crate::together::{Together, Wish, apart, tell};

/// A look at a place. Times are milliseconds.
pub(crate) struct Visit {
    pub at: At,
    pub token: QueueToken,
    pub remember: u64,
    /// Who asks; 0 is whoever has the token.
    pub holder: i64,
    /// How long the place may stay, if this counts as a request; else 0.
    pub stay: u64,
}

type Seen = Option<(Head, PlaceReply)>;

/// Those who look at a place.
pub(crate) type Visits = Together<Visit, Seen>;

pub(crate) fn visits() -> Visits {
    Together::new(WHAT)
}

impl Redis {
    /// Looks at the place with all who look at the same time.
    pub(super) async fn visit_with_others(&self, visit: Visit) -> Result<Seen> {
        self.visits.submit(self, visit, |redis| &redis.visits, Self::serve_visits).await
    }

    /// One call goes to one queue.
    async fn serve_visits(self, batch: Vec<Wish<Visit, Seen>>) {
        let groups = apart(batch, |visit| (visit.at.concert, visit.remember));
        join_all(groups.into_iter().map(|group| self.visit_all(group))).await;
    }

    async fn visit_all(&self, group: Vec<Wish<Visit, Seen>>) {
        let Some(first) = group.first().map(|wish| &wish.item) else { return };
        let mut call = self.scripts.queue.poll.key(self.state_key(first.at.concert));
        call.arg(first.remember);
        for Visit { at, token, holder, stay, .. } in group.iter().map(|wish| &wish.item) {
            call.arg(at.number).arg(token.as_bytes()).arg(*holder).arg(*stay);
        }
        let found: Result<(Head, Vec<Option<PlaceReply>>)> = self.script(WHAT, &call).await;
        let answers = found.map(|(head, places)| {
            places.into_iter().map(|place| Ok(place.map(|place| (head, place)))).collect()
        });
        tell(group, answers);
    }
}
