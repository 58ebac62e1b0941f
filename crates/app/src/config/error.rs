use std::error::Error as _;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Args, Command};

use super::{Config, LogArgs};

/// A setting that stops the start: which one, what it says and what is allowed, in one sentence.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{variable} is {}, but {allowed}", quoted(.value))]
pub struct ConfigError {
    /// The environment variable, which is also the flag.
    pub variable: String,
    /// What it says, if it is set; without a password, if it had one.
    pub value: Option<String>,
    /// What is allowed there.
    pub allowed: String,
}

fn quoted(value: &Option<String>) -> String {
    value.as_ref().map_or_else(|| "not set".to_owned(), |value| format!("{value:?}"))
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
        let value = super::url::without_password(&text(ContextKind::InvalidValue)?);
        Some(Self { variable, value: Some(value), allowed })
    }
}

/// `--hold-ttl <TIME>` is `HOLD_TTL`; a flag that is no variable has none.
fn variable_of(argument: &str) -> Option<String> {
    let flag = argument.strip_prefix("--")?.split([' ', '=', '[']).next()?;
    let all = LogArgs::augment_args(Config::augment_args(Command::new("concert")));
    let variable = all.get_arguments().find(|known| known.get_long() == Some(flag))?.get_env()?;
    Some(variable.to_string_lossy().into_owned())
}
