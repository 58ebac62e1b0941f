use concert_domain::queue::SealKey;

use super::{ConfigError, Secret};

/// What queue tokens are made with.
#[derive(Debug, Clone, PartialEq, Eq, Default, clap::Args)]
#[command(next_help_heading = "Queue tokens (every flag is also an environment variable)")]
pub struct QueueTokens {
    /// The secret that queue tokens are sealed with, at least 32 bytes, the same on every instance.
    /// After a change clients join again and find their places [default: one made at the first
    /// start, kept in the database].
    #[arg(long, env, value_name = "SECRET", hide_env_values = true, value_parser = Secret::parse)]
    pub queue_token_key: Option<Secret>,
}

impl QueueTokens {
    /// The key that was given.
    pub fn seal_key(&self) -> Result<Option<SealKey>, ConfigError> {
        let given = self.queue_token_key.clone().filter(|secret| !secret.as_bytes().is_empty());
        let Some(secret) = given else { return Ok(None) };
        let secret = secret.long_enough("QUEUE_TOKEN_KEY")?;
        Ok(Some(SealKey::from_secret(secret.as_bytes())))
    }
}
