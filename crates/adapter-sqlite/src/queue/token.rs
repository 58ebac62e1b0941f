//! One row of `queue_tokens`: a place in a queue.

use std::time::Duration;

use concert_domain::queue::{Pass, Place, QueueToken, Rules, Standing, TokenDigest};
use concert_domain::{ConcertId, Error, Result, Timestamp, UserId};
use diesel::QueryableByName;
use diesel::sql_types::{BigInt, Binary, Bool, Nullable, Text};

use super::counts;
use super::state::State;
use crate::db::Tx;
use crate::sql::{sql, typed, unknown_word};

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Status {
    Waiting,
    Active,
    Ended,
}

/// A place as it is stored.
pub(super) struct Token {
    pub token: QueueToken,
    pub concert: ConcertId,
    pub user: UserId,
    pub sequence: i64,
    pub status: Status,
    pub deadline: Timestamp,
    /// When it was admitted, if it was and has made no request yet.
    unclaimed_since: Option<Timestamp>,
}

#[derive(QueryableByName)]
struct TokenRow {
    #[diesel(sql_type = Binary)]
    token: Vec<u8>,
    #[diesel(sql_type = BigInt)]
    concert_id: i64,
    #[diesel(sql_type = BigInt)]
    user_id: i64,
    #[diesel(sql_type = BigInt)]
    sequence: i64,
    #[diesel(sql_type = Text)]
    status: String,
    #[diesel(sql_type = Bool)]
    claimed: bool,
    #[diesel(sql_type = Nullable<BigInt>)]
    admitted_at: Option<i64>,
    #[diesel(sql_type = BigInt)]
    deadline: i64,
}

impl TryFrom<TokenRow> for Token {
    type Error = Error;

    fn try_from(row: TokenRow) -> Result<Self> {
        let bytes = <[u8; 16]>::try_from(row.token)
            .map_err(|_| Error::bug("queue_tokens.token has a bad length"))?;
        let admitted_at = row.admitted_at.map(Timestamp::from_millis);
        Ok(Self {
            token: QueueToken::from_bytes(bytes),
            concert: typed("queue_tokens.concert_id", row.concert_id)?,
            user: typed("queue_tokens.user_id", row.user_id)?,
            sequence: row.sequence,
            status: status(&row.status)?,
            deadline: Timestamp::from_millis(row.deadline),
            unclaimed_since: admitted_at.filter(|_| !row.claimed),
        })
    }
}

fn status(word: &str) -> Result<Status> {
    match word {
        "WAITING" => Ok(Status::Waiting),
        "ACTIVE" => Ok(Status::Active),
        "ENDED" => Ok(Status::Ended),
        _ => Err(unknown_word("queue_tokens.status", word)),
    }
}

impl Token {
    /// The place of that public name.
    pub fn of_digest(tx: &mut Tx<'_>, digest: TokenDigest) -> Result<Option<Self>> {
        let row: Option<TokenRow> = sql("SELECT token, concert_id, user_id, sequence, status,
                 claimed, admitted_at, deadline
             FROM queue_tokens WHERE digest = ?")
        .bytes(*digest.as_bytes())
        .row(tx.conn)?;
        row.map(Self::try_from).transpose()
    }

    /// The place that the secret proves.
    pub fn of_secret(tx: &mut Tx<'_>, secret: &QueueToken) -> Result<Option<Self>> {
        let found = Self::of_digest(tx, secret.digest())?;
        Ok(found.filter(|place| same(place.token.as_bytes(), secret.as_bytes())))
    }

    /// The place of the user that is waiting or active, possibly past its deadline.
    pub fn of_user(tx: &mut Tx<'_>, concert: ConcertId, user: UserId) -> Result<Option<Self>> {
        let row: Option<TokenRow> = sql("SELECT token, concert_id, user_id, sequence, status,
                 claimed, admitted_at, deadline
             FROM queue_tokens
             WHERE concert_id = ? AND user_id = ? AND status IN ('WAITING', 'ACTIVE')")
        .int(concert)
        .int(user)
        .row(tx.conn)?;
        row.map(Self::try_from).transpose()
    }

    /// A new place at the given sequence number; `false` if the token or a live place of the user
    /// is there already.
    pub fn insert(
        tx: &mut Tx<'_>,
        (concert, user): (ConcertId, UserId),
        token: &QueueToken,
        sequence: i64,
        deadline: Timestamp,
    ) -> Result<bool> {
        sql("INSERT INTO queue_tokens
             (digest, token, concert_id, user_id, sequence, status, deadline)
             VALUES (?, ?, ?, ?, ?, 'WAITING', ?)")
        .bytes(*token.digest().as_bytes())
        .bytes(*token.as_bytes())
        .int(concert)
        .int(user)
        .int(sequence)
        .time(deadline)
        .insert(tx.conn)
    }

    /// Whether its time is over, dropped or not.
    pub fn is_over(&self, now: Timestamp) -> bool {
        self.status == Status::Ended || self.deadline <= now
    }

    /// Whether a request must lift its claim deadline.
    pub fn is_unclaimed(&self, now: Timestamp) -> bool {
        self.status == Status::Active && self.unclaimed_since.is_some() && !self.is_over(now)
    }

    /// Notes that the admitted user has made a request: from now on the deadline of the stay
    /// counts.
    pub fn claim(&mut self, tx: &mut Tx<'_>, rules: &Rules) -> Result<()> {
        let unclaimed_since = self.unclaimed_since.filter(|_| self.is_unclaimed(tx.now));
        let Some(admitted_at) = unclaimed_since else { return Ok(()) };
        (self.deadline, self.unclaimed_since) = (admitted_at.plus(rules.active_ttl), None);
        sql("UPDATE queue_tokens SET claimed = 1, deadline = ? WHERE digest = ?")
            .time(self.deadline)
            .bytes(*self.token.digest().as_bytes())
            .run(tx.conn)?;
        Ok(())
    }

    /// Where it stands; nothing if it ended so long ago that it is unknown.
    pub fn place(self, tx: &mut Tx<'_>, remember: Duration) -> Result<Option<Place>> {
        if !self.is_known(tx.now, remember) {
            return Ok(None);
        }
        let live = !self.is_over(tx.now);
        let standing = match self.status {
            Status::Active if live => Standing::Active { expires_at: self.deadline },
            Status::Waiting if live => {
                Standing::Waiting { rank: counts::rank(tx, self.concert, self.sequence)? }
            }
            _ => Standing::Ended,
        };
        let pace = State::load(tx, self.concert)?.pace(tx.now);
        let Self { token, user, concert, .. } = self;
        Ok(Some(Place { token, user, concert, standing, pace }))
    }

    /// The right to buy, for the holder of a token that is active.
    pub fn pass(&self) -> Pass {
        Pass { digest: self.token.digest(), user: self.user, concert: self.concert }
    }

    /// Whether it is live, or ended not long ago. The deadline of an ended row is that of its
    /// memory; that of a row past it which no step has dropped yet is when it ended.
    pub fn is_known(&self, now: Timestamp, remember: Duration) -> bool {
        match self.status {
            Status::Ended => self.deadline > now,
            Status::Waiting | Status::Active => self.deadline.plus(remember) > now,
        }
    }
}

/// Compares secrets in a time that does not tell where they differ.
fn same(one: &[u8; 16], other: &[u8; 16]) -> bool {
    one.iter().zip(other).fold(0, |sum, (a, b)| sum | (a ^ b)) == 0
}
