//! What this process remembers of the shared index, so that most requests need no look-up.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use concert_domain::queue::TokenDigest;

use super::index::At;

/// How many tokens one generation holds; two are kept, about 17 MB together.
const GENERATION: usize = 1 << 17;

/// Tokens of which somebody asked lately. When the young generation is full, the old one, in
/// which nobody was asked for since, is dropped and the young one becomes the old one.
#[derive(Default)]
pub(crate) struct Known(Mutex<Generations>);

#[derive(Default)]
struct Generations {
    young: HashMap<TokenDigest, At>,
    old: HashMap<TokenDigest, At>,
}

impl Known {
    pub fn get(&self, digest: &TokenDigest) -> Option<At> {
        let mut generations = self.generations();
        if let Some(at) = generations.young.get(digest) {
            return Some(*at);
        }
        let at = generations.old.remove(digest)?;
        generations.insert(*digest, at);
        Some(at)
    }

    pub fn insert(&self, digest: TokenDigest, at: At) {
        self.generations().insert(digest, at);
    }

    pub fn forget(&self, digest: &TokenDigest) {
        let mut generations = self.generations();
        generations.young.remove(digest);
        generations.old.remove(digest);
    }

    fn generations(&self) -> MutexGuard<'_, Generations> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Generations {
    fn insert(&mut self, digest: TokenDigest, at: At) {
        if self.young.len() >= GENERATION {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(digest, at);
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

    #[test]
    fn what_is_asked_for_stays_and_the_rest_is_bounded() {
        let known = Known::default();
        known.insert(digest(0), at(1));
        for number in 1..4 * GENERATION {
            known.insert(digest(number), at(2));
            if number % 1_000 == 0 {
                assert_eq!(known.get(&digest(0)), Some(at(1)));
            }
        }
        let generations = known.generations();
        assert!(generations.young.len() + generations.old.len() <= 2 * GENERATION);
    }

    #[test]
    fn what_is_forgotten_is_gone_and_the_newer_place_wins() {
        let known = Known::default();
        known.insert(digest(1), at(1));
        known.insert(digest(1), at(2));
        assert_eq!(known.get(&digest(1)), Some(at(2)));
        known.forget(&digest(1));
        assert_eq!(known.get(&digest(1)), None);
    }
}
