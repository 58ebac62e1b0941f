//! The names of buyers. Any id that the caller vouches for is a user; this only keeps a name.

mod ports;
mod service;

pub use ports::*;
pub use service::UserService;

use serde::{Deserialize, Serialize};

use crate::{Error, Result, Timestamp, UserId};

/// The name of a user: 1 to 100 characters, no control characters, not only white space.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct UserName(String);

impl UserName {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for UserName {
    type Error = Error;

    fn try_from(name: String) -> Result<Self> {
        crate::concert::text("name", &name, 1..=100)?;
        Ok(Self(name))
    }
}

/// A user whose name is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct User {
    /// Who it is.
    pub id: UserId,
    /// What it is called.
    pub name: UserName,
    /// When the name was first kept.
    pub created_at: Timestamp,
}
