//! Whole Korean won.

use serde::{Deserialize, Serialize};

/// An amount of whole Korean won, never negative (KRW has no minor unit).
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[serde(try_from = "i64", into = "i64")]
pub struct Won(i64);

/// The number is no amount: amounts are integers from 0 up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be a whole number of won, 0 or more")]
pub struct NotAnAmount;

impl Won {
    /// Nothing.
    pub const ZERO: Self = Self(0);

    /// An amount known at compile time; a negative number does not compile in a constant.
    pub const fn of(amount: u32) -> Self {
        Self(amount as i64)
    }

    /// The amount as an integer.
    pub fn get(self) -> i64 {
        self.0
    }

    /// The sum, unless it is larger than 64 bits hold.
    pub fn checked_add(self, other: Self) -> Option<Self> {
        self.0.checked_add(other.0).map(Self)
    }

    /// The difference, unless it is negative.
    pub fn checked_sub(self, other: Self) -> Option<Self> {
        self.0.checked_sub(other.0).and_then(|left| Self::try_from(left).ok())
    }
}

impl TryFrom<i64> for Won {
    type Error = NotAnAmount;

    fn try_from(value: i64) -> Result<Self, NotAnAmount> {
        if value < 0 { Err(NotAnAmount) } else { Ok(Self(value)) }
    }
}

impl From<Won> for i64 {
    fn from(won: Won) -> i64 {
        won.0
    }
}

impl std::fmt::Display for Won {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arithmetic_is_checked_at_both_ends() {
        let most = Won::try_from(i64::MAX).unwrap();
        assert_eq!(most.checked_add(Won::of(1)), None);
        assert_eq!(Won::ZERO.checked_sub(Won::of(1)), None);
        assert_eq!(Won::of(3).checked_sub(Won::of(3)), Some(Won::ZERO));
        assert_eq!(Won::try_from(-1), Err(NotAnAmount));
    }
}
