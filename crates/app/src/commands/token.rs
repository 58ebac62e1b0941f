//! `concert token`.

use std::time::Duration;

use anyhow::Result;
use concert_domain::UserId;
use jsonwebtoken::{EncodingKey, Header, encode, get_current_timestamp};
use serde_json::json;

use super::say;
use crate::config::{Secret, duration};

/// For whom, and signed with what.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  JWT_SECRET=... concert token --sub 7
  JWT_SECRET=... concert token --sub 1 --scope admin --ttl 1h

For development. On the day of a sale tokens come from whoever knows your users.")]
pub struct Args {
    /// The user that the token is for.
    #[arg(long, value_name = "ID")]
    sub: UserId,

    /// Words with spaces between; `admin` opens the admin routes.
    #[arg(long, value_name = "WORDS")]
    scope: Option<String>,

    /// How long it is good; 100ms to 365d.
    #[arg(long, value_name = "TIME", default_value = "1h", value_parser = duration)]
    ttl: Duration,

    /// The secret that the service checks tokens with (HS256).
    #[arg(long, env, value_name = "SECRET", hide_env_values = true, value_parser = Secret::parse)]
    jwt_secret: Secret,

    /// What the service asks of `iss`.
    #[arg(long, env, value_name = "TEXT")]
    jwt_issuer: Option<String>,

    /// What the service asks of `aud`.
    #[arg(long, env, value_name = "TEXT")]
    jwt_audience: Option<String>,
}

/// Runs the command.
pub fn run(args: &Args) -> Result<()> {
    let mut claims = json!({
        "sub": args.sub.to_string(),
        "exp": get_current_timestamp() + args.ttl.as_secs(),
    });
    let optional = [("scope", &args.scope), ("iss", &args.jwt_issuer), ("aud", &args.jwt_audience)];
    for (name, value) in optional {
        if let Some(value) = value {
            claims[name] = json!(value);
        }
    }
    let key = EncodingKey::from_secret(args.jwt_secret.as_bytes());
    say(encode(&Header::default(), &claims, &key)?)
}
