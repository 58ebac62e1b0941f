//! The waiting queue: who may buy now, and who waits at which place.

mod pace;
mod policies;
mod ports;
mod seal;
mod service;

pub use pace::Pace;
pub use policies::Policies;
pub use ports::*;
pub use seal::{Seal, SealKey, SealedToken};
pub use service::{QueueService, Ticket, TicketStatus};

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::{ConcertId, Timestamp, UserId};

/// What a store keeps a place under: 128 random bits.
///
/// A client holds it sealed ([`SealedToken`]); who reads a store has nothing to show for it. Its
/// `Debug` shows the digest only.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct QueueToken([u8; 16]);

impl QueueToken {
    /// A token from random bits.
    pub fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// The bits, for a store.
    pub fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }

    /// The public name of the place: stores look places up by it, events and logs carry it.
    pub fn digest(&self) -> TokenDigest {
        let hash: [u8; 32] = Sha256::digest(self.0).into();
        let mut digest = [0; 16];
        digest.copy_from_slice(&hash[..16]);
        TokenDigest(digest)
    }
}

impl fmt::Debug for QueueToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "QueueToken(#{})", self.digest())
    }
}

/// The text is no token or digest of this service.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be 32 hexadecimal digits")]
pub struct NotHex;

/// The public name of a place in a queue: a digest of its token, which does not give it away.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct TokenDigest([u8; 16]);

impl TokenDigest {
    /// From the bytes that [`TokenDigest::as_bytes`] gave.
    pub fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// The digest as bytes, for a store.
    pub fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

impl fmt::Display for TokenDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_hex(f, &self.0)
    }
}

impl TryFrom<String> for TokenDigest {
    type Error = NotHex;

    fn try_from(text: String) -> Result<Self, NotHex> {
        read_hex(&text).map(Self)
    }
}

impl From<TokenDigest> for String {
    fn from(digest: TokenDigest) -> String {
        digest.to_string()
    }
}

fn write_hex(f: &mut fmt::Formatter<'_>, bytes: &[u8; 16]) -> fmt::Result {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut text = [0; 32];
    for (pair, byte) in text.chunks_exact_mut(2).zip(bytes) {
        pair[0] = DIGITS[usize::from(byte >> 4)];
        pair[1] = DIGITS[usize::from(byte & 15)];
    }
    f.write_str(std::str::from_utf8(&text).map_err(|_| fmt::Error)?)
}

fn read_hex(text: &str) -> Result<[u8; 16], NotHex> {
    let digits = text.as_bytes();
    if digits.len() != 32 {
        return Err(NotHex);
    }
    let digit = |d: u8| char::from(d).to_digit(16).and_then(|d| u8::try_from(d).ok());
    let mut bytes = [0; 16];
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        *byte = digit(pair[0]).zip(digit(pair[1])).map(|(h, l)| h * 16 + l).ok_or(NotHex)?;
    }
    Ok(bytes)
}

/// What a queue does at present.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Mode {
    /// Takes newcomers and admits.
    #[default]
    Open,
    /// Takes newcomers and admits nobody.
    Hold,
    /// Takes no newcomers and admits those who wait.
    Drain,
}

impl Mode {
    /// The mode as stores keep it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Open => "OPEN",
            Self::Hold => "HOLD",
            Self::Drain => "DRAIN",
        }
    }

    /// The mode of a word.
    pub fn of_word(word: &str) -> Option<Self> {
        [Self::Open, Self::Hold, Self::Drain].into_iter().find(|mode| mode.word() == word)
    }
}

/// A concert's own queue policy; what is absent follows the service's [`Rules`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Policy {
    /// What the queue does.
    pub mode: Mode,
    /// The most ACTIVE tokens, 1 to 1,000,000; absent: [`Rules::active_limit`].
    pub active_limit: Option<u32>,
    /// The most admissions in a second, 1 to 1,000,000; absent: no limit. A queue that stood
    /// idle may admit one second's worth at once.
    pub admissions_per_second: Option<u32>,
}

/// A change of a policy; what is `None` stays.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PolicyPatch {
    /// The new mode.
    pub mode: Option<Mode>,
    /// The new limit; `Some(None)` goes back to the service's.
    pub active_limit: Option<Option<u32>>,
    /// The new rate; `Some(None)` removes the limit.
    pub admissions_per_second: Option<Option<u32>>,
}

impl Policy {
    /// This policy with the change made.
    #[must_use]
    pub fn patched(self, patch: PolicyPatch) -> Self {
        Self {
            mode: patch.mode.unwrap_or(self.mode),
            active_limit: patch.active_limit.unwrap_or(self.active_limit),
            admissions_per_second: patch
                .admissions_per_second
                .unwrap_or(self.admissions_per_second),
        }
    }
}

/// A concert's policy as the store keeps it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct KeptPolicy {
    /// The policy.
    pub policy: Policy,
    /// Grows by one with every change, from 1; 0 while nobody has set one.
    pub version: i64,
}

/// What holds for one concert's queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Terms {
    /// The service's rules.
    pub rules: Rules,
    /// The concert's own policy, as far as the caller knows it.
    pub own: KeptPolicy,
}

/// The terms of a concert without a policy of its own.
impl From<Rules> for Terms {
    fn from(rules: Rules) -> Self {
        Self { rules, own: KeptPolicy::default() }
    }
}

/// The service's rules for every queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rules {
    /// The most ACTIVE tokens of a concert without a limit of its own.
    pub active_limit: u32,
    /// An admitted token that has made no request within so long of its admission ends.
    pub claim_ttl: Duration,
    /// The longest stay of an ACTIVE token, from its admission.
    pub active_ttl: Duration,
    /// The longest life of a WAITING token, from its join.
    pub waiting_ttl: Duration,
    /// How long an ended token is still known as ended.
    pub remember_ttl: Duration,
}

impl Rules {
    /// For how long an ended token answers EXPIRED before it is unknown: ten minutes.
    pub const REMEMBER: Duration = Duration::from_secs(600);
}

/// Where a token stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// In the queue; `rank` 1 is the next to be admitted.
    Waiting {
        /// The place, from 1.
        rank: u64,
    },
    /// Admitted, until the instant given.
    Active {
        /// When the slot is given back, whatever happens. A token that has made no request yet
        /// ends earlier, at its claim deadline, and then that is the instant given here.
        expires_at: Timestamp,
    },
    /// Left, finished or timed out.
    Ended,
}

/// What a queue knows of a token.
#[derive(Debug, Clone, PartialEq)]
pub struct Place {
    /// The token.
    pub token: QueueToken,
    /// Whose it is.
    pub user: UserId,
    /// For which concert.
    pub concert: ConcertId,
    /// Where it stands.
    pub standing: Standing,
    /// How fast the concert's queue has been admitting.
    pub pace: Pace,
}

/// The right to buy: an ACTIVE token, checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pass {
    /// The public name of the place.
    pub digest: TokenDigest,
    /// Who may buy.
    pub user: UserId,
    /// For which concert.
    pub concert: ConcertId,
}

/// How many are in a queue, and were.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// How many wait.
    pub waiting: u64,
    /// How many are admitted and not past their deadline.
    pub active: u64,
    /// How many were ever admitted.
    pub admitted: u64,
}

/// What an operator sees of a queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Overview {
    /// The concert's own policy.
    pub own: KeptPolicy,
    /// How many are in it.
    pub counts: Counts,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_digest_reads_back() {
        let token = QueueToken::from_bytes(*b"0123456789abcdef");
        let digest = token.digest();
        assert_eq!(TokenDigest::try_from(digest.to_string()), Ok(digest));
    }

    #[test]
    fn what_is_not_32_hexadecimal_digits_is_no_token() {
        for bad in ["", "0123", &"g".repeat(32), &"0".repeat(33), "한국어한국어한국어한 "]
        {
            assert_eq!(bad.parse::<SealedToken>(), Err(NotHex), "{bad:?}");
        }
    }

    #[test]
    fn a_patch_tells_absent_from_back_to_default() {
        let own =
            Policy { active_limit: Some(5), admissions_per_second: Some(1), ..Policy::default() };
        assert_eq!(own.patched(PolicyPatch::default()), own);
        let patch = PolicyPatch { active_limit: Some(None), ..PolicyPatch::default() };
        assert_eq!(own.patched(patch).active_limit, None);
        assert_eq!(own.patched(patch).admissions_per_second, Some(1));
    }
}
