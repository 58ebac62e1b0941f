//! One transition of a queue: what it changes, and the admission step that ends it.

use std::time::Duration;

use concert_domain::queue::{KeptPolicy, Mode, Policy, QueueToken, Rules, Ticked};
use concert_domain::{ConcertId, Error, Result, Timestamp, UserId};

use super::counts::Counts;
use super::rate;
use super::state::State;
use super::token::{Status, Token};
use crate::db::Tx;
use crate::sql::{Number, sql};

/// How many rows of a kind one step drops or admits, so that no step keeps the writer for long.
const BATCH: i64 = 1_000;

/// These end the rows whose deadline has passed, the oldest first. They ended at their deadline,
/// however late the step is.
const DROP_ACTIVE: &str = "UPDATE queue_tokens SET status = 'ENDED', deadline = deadline + ?
     WHERE digest IN (SELECT digest FROM queue_tokens
         WHERE concert_id = ? AND status = 'ACTIVE' AND deadline <= ? ORDER BY deadline LIMIT ?)
     RETURNING sequence AS n";
const DROP_WAITING: &str = "UPDATE queue_tokens SET status = 'ENDED', deadline = deadline + ?
     WHERE digest IN (SELECT digest FROM queue_tokens
         WHERE concert_id = ? AND status = 'WAITING' AND deadline <= ? ORDER BY deadline LIMIT ?)
     RETURNING sequence AS n";

/// The limit lies inside the filter, so that a head full of rows that are late but not dropped
/// yet costs no long search.
const ADMIT: &str = "UPDATE queue_tokens SET status = 'ACTIVE', admitted_at = ?, deadline = ?
     WHERE digest IN (SELECT digest FROM
         (SELECT digest, deadline FROM queue_tokens
          WHERE concert_id = ? AND status = 'WAITING' ORDER BY sequence LIMIT ?)
         WHERE deadline > ?)
     RETURNING sequence AS n";

/// A concert's queue inside a write. What happens to its counters is written by `close`.
pub(super) struct Queue<'a, 'c> {
    tx: &'a mut Tx<'c>,
    concert: ConcertId,
    /// The newest policy that is known.
    pub policy: Policy,
    loaded: State,
    state: State,
    counts: Counts,
}

impl<'a, 'c> Queue<'a, 'c> {
    pub fn open(tx: &'a mut Tx<'c>, concert: ConcertId, told: KeptPolicy) -> Result<Self> {
        let loaded = State::load(tx, concert)?;
        let mut state = loaded.clone();
        let policy = state.newest_policy(told)?.policy;
        Ok(Self { tx, concert, policy, loaded, state, counts: Counts::default() })
    }

    /// The user's live place. One past its deadline is ended at once, even where the bounded
    /// drop has not come to it yet.
    pub fn live_place(&mut self, user: UserId, rules: &Rules) -> Result<Option<Token>> {
        let Some(found) = Token::of_user(self.tx, self.concert, user)? else { return Ok(None) };
        if !found.is_over(self.tx.now) {
            return Ok(Some(found));
        }
        self.end(&found, rules)?;
        Ok(None)
    }

    /// Puts the user at the tail.
    pub fn append(&mut self, user: UserId, token: &QueueToken, ttl: Duration) -> Result<()> {
        let sequence = self.state.last_sequence + 1;
        let deadline = self.tx.now.plus(ttl);
        if !Token::insert(self.tx, (self.concert, user), token, sequence, deadline)? {
            return Err(Error::Conflict("the user has a place, or the token was used before"));
        }
        self.state.last_sequence = sequence;
        self.state.waiting += 1;
        self.counts.add(sequence, 1);
        Ok(())
    }

    /// Ends a live place: now, or when its deadline passed.
    pub fn end(&mut self, place: &Token, rules: &Rules) -> Result<()> {
        let ended_at = place.deadline.min(self.tx.now);
        sql("UPDATE queue_tokens SET status = 'ENDED', deadline = ? WHERE digest = ?")
            .time(ended_at.plus(rules.remember_ttl))
            .bytes(*place.token.digest().as_bytes())
            .run(self.tx.conn)?;
        match place.status {
            Status::Waiting => self.nobody_waits_at(&[Number { n: place.sequence }]),
            Status::Active => self.state.active -= 1,
            Status::Ended => {}
        }
        Ok(())
    }

    /// The admission step: drops what is past its deadline, then admits from the head.
    pub fn step(&mut self, rules: &Rules) -> Result<Ticked> {
        let active = self.drop_late(DROP_ACTIVE, rules)?;
        self.state.active -= count(&active);
        let waiting = self.drop_late(DROP_WAITING, rules)?;
        self.nobody_waits_at(&waiting);

        let room = self.room(rules);
        let admitted = self.admit(room.min(BATCH), rules)?;
        let dropped = (active.len() + waiting.len()) as u64;
        let more = count(&active) == BATCH || count(&waiting) == BATCH || room > BATCH;
        Ok(Ticked { admitted, dropped, more })
    }

    /// Writes the counters if they changed.
    pub fn close(self) -> Result<()> {
        self.counts.save(self.tx, self.concert)?;
        if self.state == self.loaded {
            return Ok(());
        }
        self.state.save(self.tx, self.concert)
    }

    fn drop_late(&mut self, text: &'static str, rules: &Rules) -> Result<Vec<Number>> {
        sql(text)
            .time(Timestamp::MIN.plus(rules.remember_ttl))
            .int(self.concert)
            .time(self.tx.now)
            .int(BATCH)
            .rows(self.tx.conn)
    }

    /// How many may be admitted now. What is past its deadline and not dropped yet takes room,
    /// which errs on the safe side until the next step.
    fn room(&self, rules: &Rules) -> i64 {
        let policy = self.policy;
        if policy.mode == Mode::Hold {
            return 0;
        }
        let limit = policy.active_limit.unwrap_or(rules.active_limit);
        let free = i64::from(limit) - self.state.active;
        let allowed = policy.admissions_per_second.map_or(i64::MAX, |per_second| {
            rate::allowed(self.state.rate_at, self.tx.now, per_second)
        });
        free.min(allowed).min(self.state.waiting).max(0)
    }

    fn admit(&mut self, room: i64, rules: &Rules) -> Result<u64> {
        if room == 0 {
            return Ok(0);
        }
        let now = self.tx.now;
        let admitted: Vec<Number> = sql(ADMIT)
            .time(now)
            .time(now.plus(rules.claim_ttl.min(rules.active_ttl)))
            .int(self.concert)
            .int(room)
            .time(now)
            .rows(self.tx.conn)?;
        if admitted.is_empty() {
            return Ok(0);
        }
        let number = count(&admitted);
        self.nobody_waits_at(&admitted);
        self.state.active += number;
        self.state.admitted += number;
        self.state.quicken(now, admitted.len() as u64);
        if let Some(per_second) = self.policy.admissions_per_second {
            self.state.rate_at = rate::used(self.state.rate_at, now, per_second, number);
        }
        Ok(admitted.len() as u64)
    }

    fn nobody_waits_at(&mut self, sequences: &[Number]) {
        self.state.waiting -= count(sequences);
        sequences.iter().for_each(|sequence| self.counts.add(sequence.n, -1));
    }
}

fn count(rows: &[Number]) -> i64 {
    i64::try_from(rows.len()).unwrap_or(i64::MAX)
}
