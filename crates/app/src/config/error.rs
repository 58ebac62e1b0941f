use std::error::Error as _;

use clap::error::{ContextKind, ContextValue, ErrorKind};

/// A setting that stops the start: which one, what it says and what is allowed, in one sentence.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{variable} is {value:?}, but {allowed}")]
pub struct ConfigError {
    /// The environment variable, which is also the flag.
    pub variable: String,
    /// What it says; without a password, if it had one.
    pub value: String,
    /// What is allowed there.
    pub allowed: String,
}

impl ConfigError {
    /// The same refusal as the command line's parser words it, if it is about a value.
    pub fn from_clap(error: &clap::Error) -> Option<Self> {
        if error.kind() != ErrorKind::ValueValidation {
            return None;
        }
        let text = |kind| match error.get(kind) {
            Some(ContextValue::String(text)) => Some(text.clone()),
            _ => None,
        };
        let allowed = error.source()?.to_string();
        let variable = variable_of(&text(ContextKind::InvalidArg)?)?;
        let value = super::parse::without_password(&text(ContextKind::InvalidValue)?);
        Some(Self { variable, value, allowed })
    }
}

/// `--hold-ttl <TIME>` is `HOLD_TTL`.
fn variable_of(argument: &str) -> Option<String> {
    let flag = argument.strip_prefix("--")?.split([' ', '=', '[']).next()?;
    Some(flag.replace('-', "_").to_ascii_uppercase())
}
