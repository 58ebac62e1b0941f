//! What this process remembers of tokens, so that most requests need no look-up: where a place lies
//! in the shared index, and what never changes about it once it was read.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use concert_domain::UserId;
use concert_domain::queue::TokenDigest;

use super::index::At;

/// How many tokens one generation holds: as many as its table takes before it grows to twice its
/// size, which is seven of eight places. Two are kept, about 5 MB together. Of one that is not
/// remembered, the place is looked up once more.
const GENERATION: usize = (1 << 15) / 8 * 7;

/// What was read of a place. Whether it is still so, a view of the line tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Seen {
    /// The birth of the queue that gave out its number.
    pub born: i64,
    pub user: UserId,
    pub stage: Stage,
}

/// How far a place had come, and until when it may stay there, in the store's milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    Waiting(i64),
    /// Admitted, and a request was made.
    Inside(i64),
}

/// A remembered token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Memory {
    pub at: At,
    pub seen: Option<Seen>,
}

/// Tokens of which somebody asked lately. When the young generation is full, the old one, in
/// which nobody was asked for since, is dropped and the young one becomes the old one.
#[derive(Default)]
pub(crate) struct Known(Mutex<Generations>);

#[derive(Default)]
struct Generations {
    young: HashMap<TokenDigest, Memory>,
    old: HashMap<TokenDigest, Memory>,
}

impl Known {
    pub(super) fn get(&self, digest: &TokenDigest) -> Option<Memory> {
        let mut generations = self.generations();
        if let Some(memory) = generations.young.get(digest) {
            return Some(*memory);
        }
        let memory = generations.old.remove(digest)?;
        generations.insert(*digest, memory);
        Some(memory)
    }

    pub(super) fn insert(&self, digest: TokenDigest, at: At, seen: Option<Seen>) {
        self.generations().insert(digest, Memory { at, seen });
    }

    pub fn forget(&self, digest: &TokenDigest) {
        let mut generations = self.generations();
        generations.young.remove(digest);
        generations.old.remove(digest);
    }

    /// Another server may answer from now on, or the same one with less than it had.
    pub fn forget_all(&self) {
        *self.generations() = Generations::default();
    }

    fn generations(&self) -> MutexGuard<'_, Generations> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Generations {
    fn insert(&mut self, digest: TokenDigest, memory: Memory) {
        if self.young.len() >= GENERATION && !self.young.contains_key(&digest) {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(digest, memory);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn digest(number: usize) -> TokenDigest {
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&number.to_be_bytes());
        TokenDigest::from_bytes(bytes)
    }

    fn at(number: i64) -> At {
        At { concert: 7.try_into().unwrap(), number }
    }

    fn found(known: &Known, number: usize) -> Option<At> {
        known.get(&digest(number)).map(|memory| memory.at)
    }

    #[test]
    fn what_is_asked_for_stays_and_the_rest_is_bounded() {
        let known = Known::default();
        known.insert(digest(0), at(1), None);
        for number in 1..4 * GENERATION {
            known.insert(digest(number), at(2), None);
            if number % 1_000 == 0 {
                assert_eq!(found(&known, 0), Some(at(1)));
            }
        }
        let generations = known.generations();
        assert!(generations.young.len() + generations.old.len() <= 2 * GENERATION);
        for table in [&generations.young, &generations.old] {
            assert!(table.capacity() < 2 * GENERATION, "it grew once more than it had to");
        }
    }

    #[test]
    fn what_is_forgotten_is_gone_and_the_newer_place_wins() {
        let known = Known::default();
        known.insert(digest(1), at(1), None);
        known.insert(digest(1), at(2), None);
        assert_eq!(found(&known, 1), Some(at(2)));
        known.forget(&digest(1));
        assert_eq!(found(&known, 1), None);
        known.insert(digest(1), at(3), None);
        known.forget_all();
        assert_eq!(found(&known, 1), None);
    }
}
