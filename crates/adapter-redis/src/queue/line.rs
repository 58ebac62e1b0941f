//! Answers from memory.
//!
//! A place that waits can only move up, be admitted or end; one that is inside can only end. So
//! what was once read of a place, and a view of the whole queue that is at most a tenth of a second
//! old, tell where it stands, exactly as the server would have said then: that it waits and at
//! which rank, or that it is inside and until when. Everything else (who was just admitted and must
//! be noted as having come, who has ended, who is not in the view yet) is asked of the server.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use concert_domain::queue::{Pace, Place, QueueToken, Standing, TokenDigest};
use concert_domain::{ConcertId, Result, Timestamp};
use redis::{FromRedisValue, ParsingError, Value};

use super::WHAT;
use super::index::At;
use super::known::{Seen, Stage};
use super::reply::Head;
use super::views::{View, Views};
use crate::Redis;

/// As in place.lua.
const PLACES_IN_CHUNK: i64 = 65_536;
/// Views of chunks are 12 KiB each.
const CHUNKS: usize = 128;
/// A queue with more inside than `MOST_INSIDE` has no view of them; one of so many is 32 KiB.
const INSIDES: usize = 64;
const MOST_INSIDE: u32 = 1_000;
/// More than there are queues that change at one time.
const MARKS: usize = 1_024;

/// Views of queues, and how often this process has changed each.
pub(crate) struct Lines {
    chunks: Arc<Views<(ConcertId, i64), Chunk>>,
    insides: Arc<Views<ConcertId, Inside>>,
    changes: Vec<AtomicU64>,
    hasher: RandomState,
}

impl Default for Lines {
    fn default() -> Self {
        Self {
            chunks: Views::new(CHUNKS),
            insides: Views::new(INSIDES),
            changes: (0..MARKS).map(|_| AtomicU64::new(0)).collect(),
            hasher: RandomState::new(),
        }
    }
}

impl Lines {
    /// Whoever asks from now on must see what was changed.
    pub(super) fn changed(&self, concert: ConcertId) {
        self.counter(concert).fetch_add(1, Ordering::SeqCst);
    }

    fn mark(&self, concert: ConcertId) -> u64 {
        self.counter(concert).load(Ordering::SeqCst)
    }

    /// Queues share counters: one that is counted with another is asked for once more.
    fn counter(&self, concert: ConcertId) -> &AtomicU64 {
        &self.changes[self.hasher.hash_one(concert) as usize % MARKS]
    }
}

/// Who waits among 65,536 numbers.
#[derive(Debug)]
pub(crate) struct Chunk {
    head: Head,
    words: Vec<u64>,
    /// How many wait in front of each word.
    ahead: Vec<u64>,
}

impl Chunk {
    fn new(head: Head, ahead: u64, bits: &[u8]) -> Self {
        let words: Vec<u64> = bits.chunks(8).map(word).collect();
        let sums = words.iter().scan(ahead, |sum, word| {
            let before = *sum;
            *sum += u64::from(word.count_ones());
            Some(before)
        });
        let ahead = sums.collect();
        Self { head, words, ahead }
    }

    /// The rank of a number that waits.
    fn rank(&self, number: i64) -> Option<u64> {
        let offset = usize::try_from(number.rem_euclid(PLACES_IN_CHUNK)).ok()?;
        let word = self.words.get(offset / 64)? >> (63 - offset % 64);
        (word & 1 == 1).then(|| self.ahead[offset / 64] + u64::from(word.count_ones()))
    }
}

/// Eight bytes of a bit string, whose first bit is the highest of its first byte.
fn word(bytes: &[u8]) -> u64 {
    let mut whole = [0; 8];
    whole[..bytes.len()].copy_from_slice(bytes);
    u64::from_be_bytes(whole)
}

/// Who is admitted, and until when.
#[derive(Debug)]
pub(crate) struct Inside {
    head: Head,
    deadlines: HashMap<i64, i64>,
}

impl FromRedisValue for Chunk {
    fn from_redis_value(value: Value) -> Result<Self, ParsingError> {
        let (head, ahead, bits): (_, _, Vec<u8>) = FromRedisValue::from_redis_value(value)?;
        Ok(Self::new(head, ahead, &bits))
    }
}

impl FromRedisValue for Inside {
    fn from_redis_value(value: Value) -> Result<Self, ParsingError> {
        let (head, numbers): (_, Vec<i64>) = FromRedisValue::from_redis_value(value)?;
        let deadlines = numbers.chunks_exact(2).map(|pair| (pair[0], pair[1])).collect();
        Ok(Self { head, deadlines })
    }
}

impl Redis {
    /// Where the token stands, if that can be told from memory.
    pub(super) async fn recall(
        &self,
        token: &QueueToken,
        digest: &TokenDigest,
    ) -> Result<Option<Place>> {
        let Some(memory) = self.known.get(digest) else { return Ok(None) };
        let (at, Some(seen)) = (memory.at, memory.seen) else { return Ok(None) };
        let place = |standing, head: &Head| Place {
            token: token.clone(),
            user: seen.user,
            concert: at.concert,
            standing,
            pace: Pace::new(head.pace, Timestamp::from_millis(head.now)),
        };
        Ok(match seen.stage {
            Stage::Waiting(deadline) => {
                let view = self.chunk(at).await?;
                waits(&view, at, seen, deadline)
                    .map(|rank| place(Standing::Waiting { rank }, &view.told.head))
            }
            Stage::Inside(deadline) => {
                let (view, expires_at) =
                    (self.inside(at.concert).await?, Timestamp::from_millis(deadline));
                is_inside(&view, at, seen, deadline)
                    .then(|| place(Standing::Active { expires_at }, &view.told.head))
            }
        })
    }

    async fn chunk(&self, at: At) -> Result<Arc<View<Chunk>>> {
        let (concert, chunk) = (at.concert, at.number.div_euclid(PLACES_IN_CHUNK));
        let redis = || {
            let redis = self.clone();
            async move {
                let mut call = redis.scripts.queue.line.key(redis.state_key(concert));
                redis.script(WHAT, call.arg(chunk)).await
            }
        };
        self.lines.chunks.read((concert, chunk), self.lines.mark(concert), redis).await
    }

    async fn inside(&self, concert: ConcertId) -> Result<Arc<View<Inside>>> {
        let ask = || {
            let redis = self.clone();
            async move {
                let mut call = redis.scripts.queue.inside.key(redis.state_key(concert));
                redis.script(WHAT, call.arg(MOST_INSIDE)).await
            }
        };
        self.lines.insides.read(concert, self.lines.mark(concert), ask).await
    }
}

/// The rank of a place that waits according to the view.
fn waits(view: &View<Chunk>, at: At, seen: Seen, deadline: i64) -> Option<u64> {
    let head = &view.told.head;
    let same = head.born == seen.born && head.is_before(deadline, view.asked);
    view.told.rank(at.number).filter(|_| same)
}

/// Whether a place is inside according to the view.
fn is_inside(view: &View<Inside>, at: At, seen: Seen, deadline: i64) -> bool {
    let Inside { head, deadlines } = &view.told;
    head.born == seen.born
        && deadlines.get(&at.number) == Some(&deadline)
        && head.is_before(deadline, view.asked)
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;

    const HEAD: Head = Head { born: 1, now: 1_000, pace: 0.0 };

    #[test]
    fn a_rank_is_the_count_of_bits_up_to_the_own_one() {
        // The numbers 0, 7, 8, 63, 64 and 71 wait.
        let bits = [0b1000_0001, 0b1000_0000, 0, 0, 0, 0, 0, 1, 0b1000_0001];
        let chunk = Chunk::new(HEAD, 10, &bits);
        let waiting = [(0, 11), (7, 12), (8, 13), (63, 14), (64, 15), (71, 16)];
        for (number, rank) in waiting {
            assert_eq!(chunk.rank(number), Some(rank), "{number}");
            assert_eq!(chunk.rank(3 * PLACES_IN_CHUNK + number), Some(rank), "{number}");
        }
        for number in [1, 6, 9, 62, 65, 72, 128, PLACES_IN_CHUNK - 1] {
            assert_eq!(chunk.rank(number), None, "{number}");
        }
        assert_eq!(Chunk::new(HEAD, 0, &[]).rank(0), None);
    }

    #[test]
    fn nothing_is_said_past_a_deadline() {
        let now = Instant::now();
        assert!(HEAD.is_before(60_000, now));
        assert!(!HEAD.is_before(1_000, now));
    }
}
