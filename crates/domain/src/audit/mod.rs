//! What operators change: who asks for it, on which version, and the line that it leaves.

mod change;
mod ports;

pub use change::{Action, Change, Resource};
pub use ports::*;

use serde_json::Value;

use crate::{Error, Result, Timestamp, UserId};

/// Who asks for a change.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Editor {
    /// The operator, where the caller is known.
    pub user: Option<UserId>,
    /// The request.
    pub request_id: Option<String>,
}

/// On which versions of a thing a change may be made.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Condition {
    /// On whichever there is.
    #[default]
    Always,
    /// On one of these.
    OneOf(Vec<i64>),
}

impl Condition {
    /// [`Error::StaleVersion`] if the change may not be made on this version.
    pub fn check(&self, version: i64) -> Result<()> {
        match self {
            Self::OneOf(versions) if !versions.contains(&version) => Err(Error::StaleVersion),
            Self::Always | Self::OneOf(_) => Ok(()),
        }
    }
}

/// A change as an operator asks for it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Edit {
    /// Who asks.
    pub editor: Editor,
    /// On which versions.
    pub condition: Condition,
}

/// A change that was made.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// Grows with every change.
    pub id: i64,
    /// When it was made.
    pub at: Timestamp,
    /// Who asked for it.
    pub editor: Editor,
    /// What was done.
    pub action: Action,
    /// To what sort of thing.
    pub resource: Resource,
    /// The thing.
    pub resource_id: i64,
    /// How it was.
    pub before: Option<Value>,
    /// How it is.
    pub after: Option<Value>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_condition_names_every_version_that_will_do() {
        assert_eq!(Condition::Always.check(7), Ok(()));
        let some = Condition::OneOf(vec![3, 7]);
        assert_eq!((some.check(7), some.check(4)), (Ok(()), Err(Error::StaleVersion)));
        assert_eq!(Condition::OneOf(vec![]).check(1), Err(Error::StaleVersion));
    }
}
