//! The queues of all concerts. One write per transition; each ends with the admission step.

mod counts;
mod rate;
mod state;
mod step;
mod token;

#[cfg(test)]
mod tests;

use async_trait::async_trait;
use concert_domain::queue::{
    Counts, Join, Joined, KeptPolicy, Mode, Pass, Place, QueueStore, QueueToken, Rules, Terms,
    Ticked, TokenDigest,
};
use concert_domain::{ConcertId, Error, Result, UserId};

use crate::Sqlite;
use crate::db::Tx;
use crate::sql::{Number, sql, typed};
use state::State;
use step::Queue;
use token::{Status, Token};

#[async_trait]
impl QueueStore for Sqlite {
    async fn join(&self, join: Join, terms: &Terms) -> Result<Joined> {
        let terms = *terms;
        self.write(move |tx| take_place(tx, &join, &terms)).await
    }

    async fn poll(
        &self,
        token: &QueueToken,
        holder: Option<UserId>,
        rules: &Rules,
    ) -> Result<Option<Place>> {
        self.visit(token, holder, rules, |tx, place, rules| match place {
            Some(place) => place.place(tx, rules.remember_ttl),
            None => Ok(None),
        })
        .await
    }

    async fn find(&self, token: &QueueToken) -> Result<Option<Place>> {
        let token = token.clone();
        self.read(move |tx| match Token::of_secret(tx, &token)? {
            Some(place) => place.place(tx, Rules::REMEMBER),
            None => Ok(None),
        })
        .await
    }

    async fn enter(
        &self,
        token: &QueueToken,
        holder: Option<UserId>,
        rules: &Rules,
    ) -> Result<Pass> {
        let entered = self.visit(token, holder, rules, |tx, place, rules| {
            let known = place.filter(|place| place.is_known(tx.now, rules.remember_ttl));
            let place = known.ok_or(Error::TokenNotFound)?;
            match place.status {
                _ if place.is_over(tx.now) => Err(Error::TokenExpired),
                Status::Active => Ok(place.pass()),
                _ => Err(Error::TokenNotActive),
            }
        });
        let pass = entered.await?;
        let own = holder.is_none_or(|holder| holder == pass.user);
        if own { Ok(pass) } else { Err(Error::TokenMismatch) }
    }

    async fn finish(&self, concert: ConcertId, place: TokenDigest, terms: &Terms) -> Result<()> {
        let Terms { rules, own } = *terms;
        self.write(move |tx| {
            let found = Token::of_digest(tx, place)?;
            let live = |place: &Token| place.concert == concert && place.status != Status::Ended;
            let Some(found) = found.filter(live) else { return Ok(()) };
            let mut queue = Queue::open(tx, concert, own)?;
            queue.end(&found, &rules)?;
            queue.step(&rules)?;
            queue.close()
        })
        .await
    }

    async fn tick(&self, concert: ConcertId, terms: &Terms) -> Result<Ticked> {
        let Terms { rules, own } = *terms;
        self.write(move |tx| {
            let mut queue = Queue::open(tx, concert, own)?;
            let ticked = queue.step(&rules)?;
            queue.close()?;
            Ok(ticked)
        })
        .await
    }

    async fn live_concerts(&self) -> Result<Vec<ConcertId>> {
        self.read(|tx| {
            let rows: Vec<Number> = sql("SELECT concert_id AS n FROM queue_states
                 WHERE waiting > 0 OR active > 0")
            .rows(tx.conn)?;
            rows.into_iter().map(|row| typed("queue_states.concert_id", row.n)).collect()
        })
        .await
    }

    async fn counts(&self, concert: ConcertId) -> Result<Counts> {
        self.read(move |tx| {
            let state = State::load(tx, concert)?;
            let waiting = state.waiting - late(tx, concert, LATE_WAITING)?;
            let active = state.active - late(tx, concert, LATE_ACTIVE)?;
            Ok(Counts {
                waiting: u64::try_from(waiting).unwrap_or(0),
                active: u64::try_from(active).unwrap_or(0),
                admitted: u64::try_from(state.admitted).unwrap_or(0),
            })
        })
        .await
    }

    /// How long an ended token is remembered went into its deadline when it ended.
    async fn purge(&self, _rules: &Rules, limit: u32) -> Result<u32> {
        let purged = self.write(move |tx| {
            sql("DELETE FROM queue_tokens WHERE digest IN
                 (SELECT digest FROM queue_tokens WHERE status = 'ENDED' AND deadline <= ?
                  ORDER BY deadline LIMIT ?)")
            .time(tx.now)
            .int(limit)
            .run(tx.conn)
        });
        Ok(u32::try_from(purged.await?).unwrap_or(u32::MAX))
    }
}

/// What a request with a token is answered.
type Answer<T> = fn(&mut Tx<'_>, Option<Token>, &Rules) -> Result<T>;

impl Sqlite {
    /// Answers a request with a token. It is a read, but for the first request of an admitted
    /// token by its holder, which lifts the claim deadline.
    async fn visit<T>(
        &self,
        token: &QueueToken,
        holder: Option<UserId>,
        rules: &Rules,
        answer: Answer<T>,
    ) -> Result<T>
    where
        T: Send + 'static,
    {
        let (secret, rules) = (token.clone(), *rules);
        let claims = move |place: &Token, now| {
            place.is_unclaimed(now) && holder.is_none_or(|holder| holder == place.user)
        };
        let seen = self.read(move |tx| match Token::of_secret(tx, &secret)? {
            Some(place) if claims(&place, tx.now) => Ok(None),
            place => answer(tx, place, &rules).map(Some),
        });
        if let Some(answer) = seen.await? {
            return Ok(answer);
        }
        let secret = token.clone();
        self.write(move |tx| {
            let mut place = Token::of_secret(tx, &secret)?;
            if let Some(place) = place.as_mut().filter(|place| claims(place, tx.now)) {
                place.claim(tx, &rules)?;
            }
            answer(tx, place, &rules)
        })
        .await
    }
}

/// The place of the user: the live one, or a new one at the tail.
fn take_place(tx: &mut Tx<'_>, join: &Join, terms: &Terms) -> Result<Joined> {
    let rules = &terms.rules;
    let mut queue = Queue::open(tx, join.concert, terms.own)?;
    let live = queue.live_place(join.user, rules)?;
    if live.is_none() {
        if queue.policy.mode == Mode::Drain {
            return Err(Error::QueueClosed);
        }
        queue.append(join.user, &join.token, rules.waiting_ttl)?;
    }
    queue.step(rules)?;
    queue.close()?;

    let first = live.is_none();
    let digest = live.map_or(join.token.digest(), |place| place.token.digest());
    // Read again: the step may have admitted it.
    let place = match Token::of_digest(tx, digest)? {
        Some(place) => place.place(tx, rules.remember_ttl)?,
        None => None,
    };
    let place = place.ok_or_else(|| Error::bug("a place is gone in the write that made it"))?;
    Ok(Joined { place, first })
}

const LATE_WAITING: &str = "SELECT count(*) AS n FROM queue_tokens
     WHERE concert_id = ? AND status = 'WAITING' AND deadline <= ?";
const LATE_ACTIVE: &str = "SELECT count(*) AS n FROM queue_tokens
     WHERE concert_id = ? AND status = 'ACTIVE' AND deadline <= ?";

/// How many are past their deadline and not dropped yet.
fn late(tx: &mut Tx<'_>, concert: ConcertId, text: &'static str) -> Result<i64> {
    sql(text).int(concert).time(tx.now).count(tx.conn)
}

/// Puts users without a live place at the tail, who only wait; the next step admits.
pub(crate) fn fill(
    tx: &mut Tx<'_>,
    concert: ConcertId,
    waiting: &[(UserId, QueueToken)],
    rules: &Rules,
) -> Result<()> {
    let mut queue = Queue::open(tx, concert, KeptPolicy::default())?;
    for (user, token) in waiting {
        if queue.live_place(*user, rules)?.is_none() {
            queue.append(*user, token, rules.waiting_ttl)?;
        }
    }
    queue.close()
}
