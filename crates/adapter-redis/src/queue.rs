//! The queues of all concerts.
//!
//! A transition is one script on the keys of one concert, whose hash tag is the concert's number.
//! The texts lie in `queue/`: `place.lua` and `step.lua` are what the others share.
//!
//! | Key | Type | What |
//! |---|---|---|
//! | `q:{C}` | hash | last number given out, head, counts, pace, rate, and the newest policy |
//! | `q:{C}:p:B` | hash of 64 | places by number: secret, digest start, user, deadlines, status |
//! | `q:{C}:u:B` | hash | the number of a user's live place |
//! | `q:{C}:w:H` | bits | who of 65,536 numbers waits |
//! | `q:{C}:counts` | hash | how many wait in each `w` |
//! | `q:{C}:active` | sorted set | the admitted by deadline |
//! | `q:{C}:ended` | sorted set | the ended by the end of their memory |
//! | `t:B` | hash | concert and number of a token, by digest (`queue/index.rs`) |
//! | `concerts` | sorted set | concerts that have a place, by the last number that was indexed |
//!
//! A sorted set of all who wait would cost more than 100 bytes a user by itself. Here a rank is
//! the count of bits set up to the own one, plus one counter for each 65,536 numbers in front.
//! Places and look-ups lie in small hashes, which Redis keeps as flat lists (up to 128 entries
//! in Redis 7, 512 in Redis 8, of 64 bytes each): no pointers, no object a user. Measured on
//! Redis 8.0 (`tests/memory.rs`): 134 bytes a waiting user with 100,000 waiting, 105 with
//! 1,000,000. An ended place costs 211 with 100,000 of them; it is kept for
//! [`Rules::remember_ttl`] and nothing is left of it when `purge` has come to it.
//!
//! A token says nothing about its concert, and a script may only touch the keys of one tag. So
//! the concert and the number of a token are looked up first, in this process (`queue/known.rs`)
//! or else in the shared index; a place never moves, so a poll is one command at the most as a rule,
//! and none where memory can answer (`queue/line.rs`). What is remembered here may be wrong after
//! Redis lost everything, so each script compares the secret (or the digest) with what lies under
//! the number.
//!
//! The policy lies in the database. Every transition tells what its process knows of it, and the
//! newest that was told is kept here, so that a change holds at once for all: when Redis loses
//! everything, the next transition tells it again.

mod fill;
mod finishes;
mod index;
mod joins;
mod known;
mod line;
mod reply;
mod views;
mod visits;

use std::time::Duration;

use async_trait::async_trait;
use concert_domain::queue::{
    Counts, Join, Joined, Pass, Place, QueueStore, QueueToken, Rules, Standing, Terms, Ticked,
    TokenDigest,
};
use concert_domain::{ConcertId, Error, Result, UserId};
use redis::{Script, ScriptInvocation};

use crate::Redis;
use finishes::Finish;
pub(crate) use finishes::{Finishes, finishes};
use index::At;
pub(crate) use joins::{Joins, joins};
pub(crate) use known::Known;
pub(crate) use line::Lines;
use visits::Visit;
pub(crate) use visits::{Visits, visits};

const WHAT: &str = "the queue";

/// How many late waiting places are counted out when the queue is counted.
const LATE_SEEN: u32 = 1_000;

/// How many places of a concert one purge forgets, whatever its limit.
const DUE: u32 = 1_000;

/// A script is the shared parts and its own. The first line makes the server check that a script
/// keeps to one slot (on a cluster) and decides what happens when its memory is full: joins are
/// refused before they begin, the rest goes on, since it makes room.
macro_rules! script {
    ($flags:literal: $($part:literal),+) => {
        Script::new(concat!("#!lua", $flags, "\n", $(include_str!(concat!("queue/", $part, ".lua"))),+))
    };
    ($($part:literal),+) => { script!(" flags=allow-oom": $($part),+) };
}

pub(crate) struct QueueScripts {
    fill: Script,
    join: Script,
    poll: Script,
    line: Script,
    inside: Script,
    finish: Script,
    tick: Script,
    counts: Script,
    due: Script,
    forget: Script,
    unlist: Script,
}

impl Default for QueueScripts {
    fn default() -> Self {
        Self {
            fill: script!("": "place", "step", "fill"),
            join: script!("": "place", "step", "join"),
            poll: script!("place", "poll"),
            line: script!(" flags=no-writes": "place", "line"),
            inside: script!(" flags=no-writes": "place", "inside"),
            finish: script!("place", "step", "finish"),
            tick: script!("place", "step", "tick"),
            counts: script!("place", "counts"),
            due: script!("place", "due"),
            forget: script!("place", "forget"),
            unlist: script!("unlist"),
        }
    }
}

#[async_trait]
impl QueueStore for Redis {
    async fn join(&self, join: Join, terms: &Terms) -> Result<Joined> {
        self.join_with_others(join, *terms).await
    }

    async fn poll(
        &self,
        token: &QueueToken,
        holder: Option<UserId>,
        rules: &Rules,
    ) -> Result<Option<Place>> {
        let digest = token.digest();
        match self.recall(token, &digest).await? {
            Some(place) => Ok(Some(place)),
            None => self.visit(token, digest, holder, rules).await,
        }
    }

    async fn find(&self, token: &QueueToken) -> Result<Option<Place>> {
        self.look(token, token.digest(), Rules::REMEMBER, None).await
    }

    async fn enter(
        &self,
        token: &QueueToken,
        holder: Option<UserId>,
        rules: &Rules,
    ) -> Result<Pass> {
        let digest = token.digest();
        pass(self.visit(token, digest, holder, rules).await?, digest, holder)
    }

    async fn glance(
        &self,
        token: &QueueToken,
        holder: Option<UserId>,
        rules: &Rules,
    ) -> Result<Pass> {
        pass(self.poll(token, holder, rules).await?, token.digest(), holder)
    }

    async fn finish(&self, concert: ConcertId, place: TokenDigest, terms: &Terms) -> Result<()> {
        // Of another concert's place the number says nothing here, and the digest does not fit.
        let end = |At { number, .. }: At| async move {
            let finish = Finish { concert, number, digest: place, terms: *terms };
            Ok(self.finish_with_others(finish).await?.then_some(()))
        };
        self.at_place(place, end).await.map(drop)
    }

    async fn tick(&self, concert: ConcertId, terms: &Terms) -> Result<Ticked> {
        let call = self.transition(&self.scripts.queue.tick, concert, terms);
        let ticked: Result<(u64, u64, bool)> = self.script(WHAT, &call).await;
        if !matches!(ticked, Ok((0, 0, _))) {
            self.lines.changed(concert);
        }
        let (admitted, dropped, more) = ticked?;
        Ok(Ticked { admitted, dropped, more })
    }

    async fn live_concerts(&self) -> Result<Vec<ConcertId>> {
        let listed = self.listed().await?;
        if listed.is_empty() {
            return Ok(listed); // an empty pipeline is refused
        }
        let mut ask = redis::pipe();
        for concert in &listed {
            let state = self.state_key(*concert);
            ask.hget(&state, "waiting").zcard(format!("{state}:active"));
        }
        let counts: Vec<Option<u64>> = self.commands(WHAT, &ask).await?;
        let counts = counts.chunks_exact(2).map(|pair| pair.iter().flatten().sum::<u64>());
        Ok(listed.into_iter().zip(counts).filter(|(_, live)| *live > 0).map(|(c, _)| c).collect())
    }

    async fn counts(&self, concert: ConcertId) -> Result<Counts> {
        let mut call = self.scripts.queue.counts.key(self.state_key(concert));
        let (waiting, active, admitted) = self.script(WHAT, call.arg(LATE_SEEN)).await?;
        Ok(Counts { waiting, active, admitted })
    }

    async fn purge(&self, _rules: &Rules, limit: u32) -> Result<u32> {
        let mut forgotten = 0;
        for concert in self.listed().await? {
            if forgotten == limit {
                break;
            }
            forgotten += self.purge_concert(concert, limit - forgotten).await?;
        }
        Ok(forgotten)
    }
}

impl Redis {
    fn state_key(&self, concert: ConcertId) -> String {
        self.key(format_args!("q:{{{concert}}}"))
    }

    /// A call of a script that ends with the admission step.
    fn transition<'s>(
        &self,
        script: &'s Script,
        concert: ConcertId,
        Terms { rules, own }: &Terms,
    ) -> ScriptInvocation<'s> {
        let mut call = script.key(self.state_key(concert));
        call.arg(rules.active_limit);
        for ttl in [rules.claim_ttl, rules.active_ttl, rules.waiting_ttl, rules.remember_ttl] {
            call.arg(millis(ttl));
        }
        call.arg(own.version)
            .arg(own.policy.mode.word())
            .arg(own.policy.active_limit.unwrap_or(0))
            .arg(own.policy.admissions_per_second.unwrap_or(0));
        call
    }

    /// Where the token stands. This counts as a request of its holder.
    async fn visit(
        &self,
        token: &QueueToken,
        digest: TokenDigest,
        holder: Option<UserId>,
        rules: &Rules,
    ) -> Result<Option<Place>> {
        let request = Some((holder, rules.active_ttl));
        self.look(token, digest, rules.remember_ttl, request).await
    }

    /// Where the token stands; by whom it was sent and for how long it may stay, if this is a request.
    async fn look(
        &self,
        token: &QueueToken,
        digest: TokenDigest,
        remember: Duration,
        request: Option<(Option<UserId>, Duration)>,
    ) -> Result<Option<Place>> {
        let (holder, stay) = request.unzip();
        let holder = holder.flatten().map_or(0, UserId::get);
        let (remember, stay) = (millis(remember), stay.map_or(0, millis));
        let visit = |at| {
            let visit = Visit { at, token: token.clone(), remember, holder, stay };
            self.visit_with_others(visit)
        };
        let Some((at, (head, reply))) = self.at_place(digest, visit).await? else {
            return Ok(None);
        };
        self.known.insert(digest, at, reply.seen(&head));
        reply.place(at.concert, &head).map(Some)
    }

    /// Does something with the concert and the number of the place. When it finds nothing although
    /// this process remembered it so, Redis may have lost everything and the token may lie
    /// elsewhere now: the shared index is asked.
    async fn at_place<T, F: Future<Output = Result<Option<T>>>>(
        &self,
        digest: TokenDigest,
        ask: impl Fn(At) -> F,
    ) -> Result<Option<(At, T)>> {
        if let Some(at) = self.known.get(&digest).map(|memory| memory.at) {
            if let Some(answer) = ask(at).await? {
                return Ok(Some((at, answer)));
            }
            self.known.forget(&digest);
        }
        let Some(at) = self.look_up(digest).await? else { return Ok(None) };
        Ok(ask(at).await?.map(|answer| (at, answer)))
    }

    /// Forgets places of one concert. The index goes first: an entry without a place would stay
    /// for ever, while a place without an entry is forgotten by the next call.
    async fn purge_concert(&self, concert: ConcertId, limit: u32) -> Result<u32> {
        let mut due = self.scripts.queue.due.key(self.state_key(concert));
        let (unused_since, due): (Option<i64>, Vec<(i64, Vec<u8>)>) =
            self.script(WHAT, due.arg(limit.min(DUE))).await?;
        if let Some(number) = unused_since {
            self.unlist_concert(concert, number).await?;
        }
        if due.is_empty() {
            return Ok(0);
        }
        let mut digests = Vec::with_capacity(due.len());
        for (_, token) in &due {
            digests.push(reply::token(token)?.digest());
        }
        self.unlist(&digests).await?;
        let mut forget = self.scripts.queue.forget.key(self.state_key(concert));
        for (number, _) in &due {
            forget.arg(*number);
        }
        self.script(WHAT, &forget).await
    }
}

/// The right to buy of a place that is active and the holder's.
fn pass(place: Option<Place>, digest: TokenDigest, holder: Option<UserId>) -> Result<Pass> {
    let Place { user, concert, standing, .. } = place.ok_or(Error::TokenNotFound)?;
    match standing {
        Standing::Waiting { .. } => Err(Error::TokenNotActive),
        Standing::Ended => Err(Error::TokenExpired),
        Standing::Active { .. } if holder.is_some_and(|holder| holder != user) => {
            Err(Error::TokenMismatch)
        }
        Standing::Active { .. } => Ok(Pass { digest, user, concert }),
    }
}

/// So much of a digest lies in a place. It only tells whether a place under a number is still the
/// one that was meant; found it was by the whole digest.
fn start_of(digest: &TokenDigest) -> &[u8] {
    &digest.as_bytes()[..8]
}

/// A duration as scripts take it: at most 300 years, so that no sum leaves the range.
fn millis(ttl: Duration) -> u64 {
    const LONGEST: Duration = Duration::from_secs(300 * 366 * 24 * 3_600);
    ttl.min(LONGEST).as_millis() as u64
}
