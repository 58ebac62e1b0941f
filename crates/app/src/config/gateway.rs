use std::time::Duration;

use super::{Config, ConfigError, Secret, parse};

/// A charge is a request that somebody waits for.
const LONGEST_CALL: Duration = Duration::from_secs(30);

/// Who takes real money.
#[derive(Debug, Clone, PartialEq, Eq, clap::Args)]
#[command(next_help_heading = "Payment gateway (every flag is also an environment variable)")]
pub struct Gateway {
    /// The bridge to the payment provider: `https://HOST:PORT`, perhaps with a path; unset: a sandbox
    /// that takes no money.
    #[arg(long, env, value_name = "URL", hide_env_values = true, value_parser = bridge_url)]
    pub gateway_url: Option<String>,

    /// What requests to the bridge are signed with, at least 32 bytes.
    #[arg(long, env, value_name = "SECRET", hide_env_values = true, value_parser = Secret::parse)]
    pub gateway_secret: Option<Secret>,

    /// Longest time for a call to the bridge, every try included; 100ms to 30s, and shorter than
    /// REQUEST_DEADLINE and GATEWAY_GRACE.
    #[arg(long, env, value_name = "TIME", default_value = "5s", value_parser = call_time)]
    pub gateway_timeout: Duration,

    /// A charge that is open for longer counts as abandoned by its request, and is settled by asking
    /// the gateway; 100ms to 365d.
    #[arg(long, env, value_name = "TIME", default_value = "60s", value_parser = parse::duration)]
    pub gateway_grace: Duration,

    /// Allow the sandbox, which gives points for nothing, on an address that others can reach;
    /// `true` or `false`.
    #[arg(long, env, value_name = "BOOL", default_value = "false", num_args = 0..=1,
          default_missing_value = "true", value_parser = parse::boolean)]
    pub gateway_sandbox: bool,
}

impl Default for Gateway {
    fn default() -> Self {
        Self {
            gateway_url: None,
            gateway_secret: None,
            gateway_timeout: Duration::from_secs(5),
            gateway_grace: Duration::from_secs(60),
            gateway_sandbox: false,
        }
    }
}

/// Which gateway it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum GatewayChoice {
    /// No money is taken.
    Sandbox,
    /// A bridge to a payment provider.
    Bridge {
        /// The address below which the protocol's paths lie.
        url: String,
        /// What requests are signed with.
        secret: Secret,
        /// Longest time for a call.
        timeout: Duration,
    },
}

impl Config {
    /// Which gateway takes the money. The sandbox is refused where strangers can connect unless it is
    /// asked for, and so is a bridge without a good secret, or with times that do not fit.
    pub fn gateway(&self) -> Result<GatewayChoice, ConfigError> {
        let given = &self.gateway;
        let secret = given.gateway_secret.as_ref().filter(|secret| !secret.as_bytes().is_empty());
        match (given.gateway_url.as_deref().filter(|url| !url.is_empty()), secret) {
            (None, None) => self.sandbox(),
            (None, Some(_)) => {
                let allowed = "GATEWAY_SECRET is; set both, or neither for the sandbox";
                Err(refuse("GATEWAY_URL", None, allowed))
            }
            (Some(_), None) => {
                Err(refuse("GATEWAY_SECRET", None, "GATEWAY_URL is, and requests to it are signed"))
            }
            (Some(url), Some(secret)) => {
                self.bridge(url, secret.clone().long_enough("GATEWAY_SECRET")?)
            }
        }
    }

    fn sandbox(&self) -> Result<GatewayChoice, ConfigError> {
        if self.http_addr.ip().is_loopback() || self.gateway.gateway_sandbox {
            return Ok(GatewayChoice::Sandbox);
        }
        let allowed = format!(
            "on {}, which is no loopback address, the sandbox would give points for nothing to \
             whoever asks; set it to the bridge of your payment provider, or GATEWAY_SANDBOX=true \
             if no points are worth money",
            self.http_addr
        );
        Err(refuse("GATEWAY_URL", None, &allowed))
    }

    fn bridge(&self, url: &str, secret: Secret) -> Result<GatewayChoice, ConfigError> {
        let timeout = self.gateway.gateway_timeout;
        for (longer, variable) in [
            (self.limits.request_deadline, "REQUEST_DEADLINE"),
            (self.gateway.gateway_grace, "GATEWAY_GRACE"),
        ] {
            if timeout >= longer {
                let longer = humantime::format_duration(longer);
                let allowed = format!("must be shorter than {variable}, which is {longer}");
                let value = humantime::format_duration(timeout).to_string();
                return Err(refuse("GATEWAY_TIMEOUT", Some(value), &allowed));
            }
        }
        Ok(GatewayChoice::Bridge { url: url.to_owned(), secret, timeout })
    }
}

fn refuse(variable: &str, value: Option<String>, allowed: &str) -> ConfigError {
    ConfigError { variable: variable.to_owned(), value, allowed: allowed.to_owned() }
}

/// An address without a name and a password in it, which would end in somebody's log.
fn bridge_url(text: &str) -> Result<String, String> {
    let plain = |url: ::url::Url| url.username().is_empty() && url.password().is_none();
    let text = parse::http_url(text)?;
    if text.is_empty() || ::url::Url::parse(&text).is_ok_and(plain) {
        return Ok(text);
    }
    Err("must have no user and no password in it".to_owned())
}

fn call_time(text: &str) -> Result<Duration, String> {
    parse::duration(text).ok().filter(|time| *time <= LONGEST_CALL).ok_or_else(|| {
        "must be a time with its unit, such as 300ms or 5s, from 100ms to 30s".to_owned()
    })
}
