//! Same key, same answer, one effect.

use async_trait::async_trait;
use serde::Serialize;
use serde::de::DeserializeOwned;
use sha2::{Digest, Sha256};

use crate::{Error, Result, UserId};

/// How long a key is remembered, in hours.
pub const KEY_LIFETIME_HOURS: u64 = 24;

/// The name that a client gave a request: 1 to 255 visible ASCII characters.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct IdempotencyKey(String);

impl IdempotencyKey {
    /// The key as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl std::str::FromStr for IdempotencyKey {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let fits = (1..=255).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic());
        if !fits {
            return Err(Error::invalid(
                "Idempotency-Key",
                "must be 1 to 255 visible ASCII characters",
            ));
        }
        Ok(Self(text.to_owned()))
    }
}

/// A digest of what makes two requests the same: method, path and body.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Fingerprint([u8; 32]);

impl Fingerprint {
    /// The digest of a request whose body is given as the value that was understood from it.
    pub fn of(method: &str, path: &str, body: &impl Serialize) -> Result<Self> {
        let body = serde_json::to_vec(body).map_err(|e| Error::bug(e.to_string()))?;
        let mut hash = Sha256::new();
        for part in [method.as_bytes(), path.as_bytes(), &body] {
            hash.update((part.len() as u64).to_be_bytes());
            hash.update(part);
        }
        Ok(Self(hash.finalize().into()))
    }

    /// The digest as bytes, for a store.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

/// A request's claim to its key: who sent it, along which route, and what it said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdempotencyClaim {
    /// The caller; keys of different callers never meet.
    pub user: UserId,
    /// The route; keys of different routes never meet.
    pub route: &'static str,
    /// The key.
    pub key: IdempotencyKey,
    /// What the request said.
    pub fingerprint: Fingerprint,
}

/// The result of a change: made now, or made before under the same key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Applied<T> {
    /// This request made the change.
    Fresh(T),
    /// An earlier request with the same key made it; this is what that one was told.
    Replayed(T),
}

impl<T> Applied<T> {
    /// The value, however it came about.
    pub fn value(&self) -> &T {
        match self {
            Self::Fresh(value) | Self::Replayed(value) => value,
        }
    }
}

/// What a store keeps for a key: the fingerprint, and the value that was answered, as JSON.
///
/// The HTTP answer is a pure function of that value, so the same value is the same answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredAnswer {
    /// The fingerprint of the request that made the change.
    pub fingerprint: Vec<u8>,
    /// The answered value as JSON.
    pub answer: String,
}

impl StoredAnswer {
    /// What to keep for a claim.
    pub fn new(claim: &IdempotencyClaim, value: &impl Serialize) -> Result<Self> {
        let answer = serde_json::to_string(value).map_err(|e| Error::bug(e.to_string()))?;
        Ok(Self { fingerprint: claim.fingerprint.as_bytes().to_vec(), answer })
    }

    /// The value, if the claim is for the same request; [`Error::IdempotencyKeyReused`] if not.
    pub fn replay<T: DeserializeOwned>(&self, claim: &IdempotencyClaim) -> Result<T> {
        if self.fingerprint != claim.fingerprint.as_bytes() {
            return Err(Error::IdempotencyKeyReused);
        }
        serde_json::from_str(&self.answer).map_err(|e| Error::bug(e.to_string()))
    }
}

/// Port: the answers that were given under keys.
///
/// Answers are written only by the port method that applies the change, in its transaction.
///
/// * A key older than [`KEY_LIFETIME_HOURS`] MUST count as absent, purged or not.
/// * `purge` MUST remove only such keys, at most `limit` in one transaction.
#[cfg_attr(test, mockall::automock)]
#[async_trait]
pub trait IdempotencyStore: Send + Sync {
    /// The answer kept for the claim's caller, route and key.
    async fn find(&self, claim: &IdempotencyClaim) -> Result<Option<StoredAnswer>>;

    /// Forgets ended keys; answers how many.
    async fn purge(&self, limit: u32) -> Result<u32>;
}

/// Runs a request once per claim: an equal request that was answered before is answered alike,
/// before any other check, even when the state has moved on (the queue token has ended, the
/// reservation is paid).
///
/// A refusal is looked up once more: an equal request may have been answered since the first
/// look-up, and its effect (it ended the token, it paid the reservation) is then what this one
/// was refused for.
pub async fn once<T, F>(
    store: &dyn IdempotencyStore,
    claim: Option<IdempotencyClaim>,
    request: F,
) -> Result<Applied<T>>
where
    T: DeserializeOwned,
    F: Future<Output = Result<Applied<T>>>,
{
    let Some(claim) = claim else { return request.await };
    if let Some(stored) = store.find(&claim).await? {
        return stored.replay(&claim).map(Applied::Replayed);
    }
    match request.await {
        Err(refusal) => match store.find(&claim).await {
            Ok(Some(stored)) => stored.replay(&claim).map(Applied::Replayed),
            Ok(None) | Err(_) => Err(refusal),
        },
        applied => applied,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_visible_ascii() {
        for bad in ["", "with space", "tab\t", "ümlaut", &"x".repeat(256)] {
            assert!(bad.parse::<IdempotencyKey>().is_err(), "{bad:?}");
        }
        assert!("x".repeat(255).parse::<IdempotencyKey>().is_ok());
    }

    #[test]
    fn a_fingerprint_covers_method_path_and_body_and_their_borders() {
        let of = |m, p, b: &str| Fingerprint::of(m, p, &b).unwrap();
        let base = of("POST", "/a", "x");
        assert_eq!(base, of("POST", "/a", "x"));
        for other in [of("PATCH", "/a", "x"), of("POST", "/b", "x"), of("POST", "/a", "y")] {
            assert_ne!(base, other);
        }
        assert_ne!(of("POST", "/ab", "x"), of("POST/", "ab", "x"));
    }
}
