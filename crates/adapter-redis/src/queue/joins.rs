//! Joins of many callers in one call.
//!
//! What comes while one call is under way goes with the next: nobody lingers for company, and those
//! who come through this process join in the order in which they came.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use concert_domain::queue::{Join, Joined, Terms};
use concert_domain::{ConcertId, Error, Result};
use futures::future::join_all;
use tokio::sync::oneshot;
use tokio::time::timeout;

use super::index::At;
use super::reply::{Head, PlaceReply};
use super::{WHAT, start_of};
use crate::Redis;

/// The most joins of one call, so that no script keeps the server for long.
const MOST: usize = 64;
/// How many may wait; the next one is refused at once.
const ROOM: usize = 2_048;
/// How long one waits.
const WAIT: Duration = Duration::from_secs(2);

/// Who waits to join.
#[derive(Default)]
pub(crate) struct Joins(Mutex<State>);

#[derive(Default)]
struct State {
    waiting: VecDeque<Wish>,
    /// Whether somebody is at work.
    running: bool,
}

struct Wish {
    join: Join,
    terms: Terms,
    answer: oneshot::Sender<Result<Joined>>,
}

/// A user's place: whether it is new, its number, where it stands. None: the queue takes nobody.
type Found = Option<(bool, i64, PlaceReply)>;

impl Joins {
    /// Puts the wish into the line; `true` for who must see to it that it is served.
    fn add(&self, wish: Wish) -> Result<bool> {
        let mut state = self.state();
        if state.waiting.len() >= ROOM {
            return Err(Error::unavailable(WHAT));
        }
        state.waiting.push_back(wish);
        Ok(!std::mem::replace(&mut state.running, true))
    }

    /// Those who are next, without who went away; nobody if there is nothing more to do.
    fn next(&self) -> Vec<Wish> {
        let mut state = self.state();
        let mut batch = Vec::new();
        while batch.len() < MOST
            && let Some(wish) = state.waiting.pop_front()
        {
            if !wish.answer.is_closed() {
                batch.push(wish);
            }
        }
        state.running = !batch.is_empty();
        batch
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Redis {
    /// Joins with all who come at the same time.
    pub(super) async fn join_with_others(&self, join: Join, terms: Terms) -> Result<Joined> {
        let (answer, told) = oneshot::channel();
        if self.joins.add(Wish { join, terms, answer })? {
            let redis = self.clone();
            self.on_runtime(async move { redis.serve_joins().await });
        }
        match timeout(WAIT, told).await {
            Ok(Ok(joined)) => joined,
            Ok(Err(_)) | Err(_) => Err(Error::unavailable(WHAT)),
        }
    }

    /// Serves until nobody waits.
    async fn serve_joins(&self) {
        loop {
            let batch = self.joins.next();
            if batch.is_empty() {
                return;
            }
            let redis = self.clone();
            // A task of its own: if it panics, the next are served all the same.
            let made = self.on_runtime(async move {
                join_all(by_queue(batch).into_iter().map(|group| redis.join_all(group))).await;
            });
            made.await.ok();
        }
    }

    /// Makes the joins of one queue, and answers them beside the next call.
    async fn join_all(&self, group: Vec<Wish>) {
        let Some(Wish { join: Join { concert, .. }, terms, .. }) = group.first() else { return };
        let concert = *concert;
        let mut call = self.transition(&self.scripts.queue.join, concert, terms);
        for Wish { join, .. } in &group {
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

/// Tells everybody what came of it. A failed call has failed for all.
fn tell(group: Vec<Wish>, answers: Result<Vec<Result<Joined>>>) {
    match answers {
        Ok(answers) => {
            for (wish, answer) in group.into_iter().zip(answers) {
                wish.answer.send(answer).ok();
            }
        }
        Err(error) => {
            for wish in group {
                wish.answer.send(Err(error.clone())).ok();
            }
        }
    }
}

/// One call goes to one queue under the same terms.
fn by_queue(batch: Vec<Wish>) -> Vec<Vec<Wish>> {
    let mut groups: Vec<Vec<Wish>> = Vec::new();
    for wish in batch {
        let same =
            |other: &Wish| other.join.concert == wish.join.concert && other.terms == wish.terms;
        match groups.iter_mut().find(|group| group.first().is_some_and(same)) {
            Some(group) => group.push(wish),
            None => groups.push(vec![wish]),
        }
    }
    groups
}

#[cfg(test)]
mod tests {
    use concert_domain::queue::{QueueToken, Rules};

    use super::*;

    const RULES: Rules = Rules {
        active_limit: 1,
        claim_ttl: WAIT,
        active_ttl: WAIT,
        waiting_ttl: WAIT,
        remember_ttl: WAIT,
    };

    fn wish(concert: i64, user: i64) -> (Wish, oneshot::Receiver<Result<Joined>>) {
        let (answer, told) = oneshot::channel();
        let join = Join {
            concert: concert.try_into().unwrap(),
            user: user.try_into().unwrap(),
            token: QueueToken::from_bytes([user as u8; 16]),
        };
        (Wish { join, terms: RULES.into(), answer }, told)
    }

    fn users(batch: &[Wish]) -> Vec<i64> {
        batch.iter().map(|wish| wish.join.user.get()).collect()
    }

    #[test]
    fn they_go_in_the_order_in_which_they_came_without_who_went_away() {
        let joins = Joins::default();
        let mut told = Vec::new();
        for user in 1..=100 {
            let (wish, tell) = wish(1, user);
            assert_eq!(joins.add(wish), Ok(user == 1), "the first one finds nobody at work");
            told.push(tell);
        }
        told.remove(1);
        let first: Vec<i64> = [1].into_iter().chain(3..=65).collect();
        assert_eq!(users(&joins.next()), first);
        assert_eq!(users(&joins.next()), (66..=100).collect::<Vec<_>>());
        assert!(joins.next().is_empty());
        assert_eq!(joins.add(wish(1, 101).0), Ok(true), "nobody is at work any more");
    }

    #[test]
    fn the_line_is_bounded() {
        let joins = Joins::default();
        let told: Vec<_> = (1..=ROOM as i64 + 1)
            .map(|user| {
                let (wish, told) = wish(1, user);
                (joins.add(wish).is_ok(), told)
            })
            .collect();
        assert_eq!(told.iter().filter(|(taken, _)| *taken).count(), ROOM);
    }

    #[test]
    fn each_queue_has_a_call_of_its_own_in_order() {
        let wishes = [(1, 1), (2, 2), (1, 3), (2, 4), (1, 5)];
        let batch = wishes.map(|(concert, user)| wish(concert, user).0);
        let groups: Vec<_> = by_queue(batch.into()).iter().map(|group| users(group)).collect();
        assert_eq!(groups, [vec![1, 3, 5], vec![2, 4]]);
    }
}
