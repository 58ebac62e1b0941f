//! What scripts answer, as values of the domain.

use std::time::Instant;

use concert_domain::queue::{Pace, Place, QueueToken, Standing};
use concert_domain::{ConcertId, Error, Result, Timestamp};
use redis::{FromRedisValue, ParsingError, Value};

use super::known::{Seen, Stage};

/// What every answer about places begins with: when the queue began, the server's time, and its
/// pace. `head` in place.lua.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Head {
    pub born: i64,
    pub now: i64,
    pub pace: f64,
}

impl FromRedisValue for Head {
    fn from_redis_value(value: Value) -> Result<Self, ParsingError> {
        let (born, now, pace) = FromRedisValue::from_redis_value(value)?;
        Ok(Self { born, now, pace })
    }
}

impl Head {
    /// Whether an instant of the server's time is still to come. This errs by the way to the server
    /// and only to the early side; then the server is asked.
    pub fn is_before(&self, deadline: i64, asked: Instant) -> bool {
        let since = i64::try_from(asked.elapsed().as_millis()).unwrap_or(i64::MAX);
        self.now.saturating_add(since) < deadline
    }
}

/// The answer of `describe` in place.lua.
pub(crate) struct PlaceReply {
    token: Vec<u8>,
    user: i64,
    status: String,
    rank: u64,
    deadline: i64,
}

impl FromRedisValue for PlaceReply {
    fn from_redis_value(value: Value) -> Result<Self, ParsingError> {
        let (token, user, status, rank, deadline) = FromRedisValue::from_redis_value(value)?;
        Ok(Self { token, user, status, rank, deadline })
    }
}

impl PlaceReply {
    /// What stays true of it. Nothing of one that has just been admitted: its next request must
    /// reach the server. A queue from before births were noted has none until its next change.
    pub(super) fn seen(&self, head: &Head) -> Option<Seen> {
        let stage = match self.status.as_str() {
            "W" => Stage::Waiting(self.deadline),
            "C" => Stage::Inside(self.deadline),
            _ => return None,
        };
        let user = self.user.try_into().ok()?;
        Some(Seen { born: head.born, user, stage }).filter(|seen| seen.born > 0)
    }

    pub fn place(self, concert: ConcertId, head: &Head) -> Result<Place> {
        let standing = match self.status.as_str() {
            "W" => Standing::Waiting { rank: self.rank },
            "A" | "C" => Standing::Active { expires_at: Timestamp::from_millis(self.deadline) },
            "E" => Standing::Ended,
            _ => return Err(garbled()),
        };
        Ok(Place {
            token: token(&self.token)?,
            user: self.user.try_into().map_err(|_| garbled())?,
            concert,
            standing,
            pace: Pace::new(head.pace, Timestamp::from_millis(head.now)),
        })
    }
}

pub(super) fn token(bytes: &[u8]) -> Result<QueueToken> {
    bytes.try_into().map(QueueToken::from_bytes).map_err(|_| garbled())
}

fn garbled() -> Error {
    Error::bug("the queue in Redis is garbled")
}
