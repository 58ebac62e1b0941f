use std::convert::Infallible;
use std::fmt;
use std::path::PathBuf;

use jsonwebtoken::Algorithm;

use super::{AuthMode, Config, ConfigError, parse};

/// The shortest secret in bytes: for HS256 as long as what it makes (RFC 7518, 3.2).
const SHORTEST_SECRET: usize = 32;

/// How callers say who they are.
#[derive(Debug, Clone, PartialEq, Eq, clap::Args)]
#[command(next_help_heading = "Callers (every flag is also an environment variable)")]
pub struct Callers {
    /// How callers say who they are: `jwt`, by a bearer token that this service checks, or
    /// `trusted`, whatever is in front has authenticated them [default on a loopback address:
    /// trusted; elsewhere it must be set].
    #[arg(long, env, value_name = "MODE", value_parser = parse::auth_mode)]
    pub auth_mode: Option<AuthMode>,

    /// Allow `AUTH_MODE=trusted` on an address that others can reach; `true` or `false`.
    #[arg(long, env, value_name = "BOOL", default_value = "false", num_args = 0..=1,
          default_missing_value = "true", value_parser = parse::boolean)]
    pub auth_trusted_anywhere: bool,

    /// The one algorithm of bearer tokens, whatever they say of themselves: HS256, RS256, ES256
    /// or EdDSA.
    #[arg(long, env, value_name = "NAME", default_value = "HS256", value_parser = parse::algorithm)]
    pub jwt_algorithm: Algorithm,

    /// The secret of HS256, at least 32 bytes.
    #[arg(long, env, value_name = "SECRET", hide_env_values = true, value_parser = Secret::parse)]
    pub jwt_secret: Option<Secret>,

    /// The public key of RS256, ES256 or EdDSA, as PEM; read again when it changes.
    #[arg(long, env, value_name = "PATH", value_parser = parse::path)]
    pub jwt_public_key_file: Option<PathBuf>,

    /// Public keys of RS256, ES256 or EdDSA by `kid`, as a JSON Web Key Set; read again when it
    /// changes.
    #[arg(long, env, value_name = "PATH", value_parser = parse::path)]
    pub jwt_jwks_file: Option<PathBuf>,

    /// What `iss` of a bearer token must be [default: anything].
    #[arg(long, env, value_name = "TEXT")]
    pub jwt_issuer: Option<String>,

    /// What `aud` of a bearer token must name [default: tokens must not have one].
    #[arg(long, env, value_name = "TEXT")]
    pub jwt_audience: Option<String>,
}

impl Default for Callers {
    fn default() -> Self {
        Self {
            auth_mode: None,
            auth_trusted_anywhere: false,
            jwt_algorithm: Algorithm::HS256,
            jwt_secret: None,
            jwt_public_key_file: None,
            jwt_jwks_file: None,
            jwt_issuer: None,
            jwt_audience: None,
        }
    }
}

/// A text that no log line shows.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Hides a text.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// Its bytes.
    pub fn as_bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }

    /// The same secret, unless it is so short that it could be found by trying.
    pub(super) fn long_enough(self, variable: &str) -> Result<Self, ConfigError> {
        if self.as_bytes().len() < SHORTEST_SECRET {
            let allowed = format!("must have at least {SHORTEST_SECRET} bytes");
            return Err(refuse(variable, Some("too short"), allowed));
        }
        Ok(self)
    }

    /// For the command line; never refuses, because a refusal would show the text.
    pub fn parse(text: &str) -> Result<Self, Infallible> {
        Ok(Self::new(text))
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(hidden)")
    }
}

/// How callers prove who they are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Auth {
    /// Whatever is in front of the service has authenticated them.
    Trusted,
    /// By a bearer token.
    Jwt(JwtRules),
}

/// What a bearer token must satisfy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JwtRules {
    /// How it is signed.
    pub algorithm: Algorithm,
    /// With which key.
    pub keys: KeySource,
    /// Who issued it.
    pub issuer: Option<String>,
    /// For whom.
    pub audience: Option<String>,
}

/// Where the keys are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeySource {
    /// Shared with the issuer.
    Secret(Secret),
    /// One public key in a PEM file.
    PublicKey(PathBuf),
    /// Public keys by `kid` in a JSON Web Key Set.
    Jwks(PathBuf),
}

impl KeySource {
    /// The variable that names it.
    pub fn variable(&self) -> &'static str {
        match self {
            Self::Secret(_) => "JWT_SECRET",
            Self::PublicKey(_) => "JWT_PUBLIC_KEY_FILE",
            Self::Jwks(_) => "JWT_JWKS_FILE",
        }
    }
}

impl Config {
    /// How callers prove who they are. Believing them is refused where strangers can connect, and
    /// so is a set of keys that does not fit the algorithm.
    pub fn auth(&self) -> Result<Auth, ConfigError> {
        let callers = &self.callers;
        let loopback = self.http_addr.ip().is_loopback();
        if !self.roles.api {
            return Ok(Auth::Trusted);
        }
        match callers.auth_mode {
            Some(AuthMode::Jwt) => callers.jwt_rules().map(Auth::Jwt),
            None if callers.keys().next().is_some() => {
                let allowed = "a key for bearer tokens is; set AUTH_MODE=jwt to check them";
                Err(refuse("AUTH_MODE", None, allowed))
            }
            Some(AuthMode::Trusted) if loopback || callers.auth_trusted_anywhere => {
                Ok(Auth::Trusted)
            }
            None if loopback => Ok(Auth::Trusted),
            chosen => Err(ConfigError {
                variable: "AUTH_MODE".to_owned(),
                value: chosen.map(|mode| mode.to_string()),
                allowed: format!(
                    "on {}, which is no loopback address, every caller would be believed; listen \
                     on 127.0.0.1, set AUTH_MODE=jwt, or set AUTH_MODE=trusted and \
                     AUTH_TRUSTED_ANYWHERE=true if whatever is in front authenticates callers",
                    self.http_addr
                ),
            }),
        }
    }
}

impl Callers {
    /// What may name a key and does.
    fn keys(&self) -> impl Iterator<Item = KeySource> {
        let file = |path: &Option<PathBuf>| path.clone().filter(|p| !p.as_os_str().is_empty());
        let secret = self.jwt_secret.clone().filter(|secret| !secret.as_bytes().is_empty());
        let pem = file(&self.jwt_public_key_file).map(KeySource::PublicKey);
        let jwks = file(&self.jwt_jwks_file).map(KeySource::Jwks);
        secret.map(KeySource::Secret).into_iter().chain(pem).chain(jwks)
    }

    fn jwt_rules(&self) -> Result<JwtRules, ConfigError> {
        let shared = self.jwt_algorithm == Algorithm::HS256;
        let unfit = |source: &KeySource| matches!(source, KeySource::Secret(_)) != shared;
        let name = format!("{:?}", self.jwt_algorithm);
        if let Some(source) = self.keys().find(unfit) {
            let wanted = if shared { "the secret JWT_SECRET" } else { "a public key" };
            let allowed = format!("{name} is checked with {wanted}; unset it");
            return Err(refuse(source.variable(), Some("set"), allowed));
        }
        let mut found = self.keys();
        let keys = match (found.next(), found.next()) {
            (Some(KeySource::Secret(secret)), None) => {
                KeySource::Secret(secret.long_enough("JWT_SECRET")?)
            }
            (Some(keys), None) => keys,
            (Some(_), Some(other)) => {
                let allowed = "only one of JWT_PUBLIC_KEY_FILE and JWT_JWKS_FILE may be";
                return Err(refuse(other.variable(), Some("set"), allowed));
            }
            (None, _) if shared => {
                return Err(refuse("JWT_SECRET", None, "AUTH_MODE=jwt with HS256 needs it"));
            }
            (None, _) => {
                let allowed = format!("AUTH_MODE=jwt with {name} needs it, or JWT_JWKS_FILE");
                return Err(refuse("JWT_PUBLIC_KEY_FILE", None, allowed));
            }
        };
        let text = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
        Ok(JwtRules {
            algorithm: self.jwt_algorithm,
            keys,
            issuer: text(&self.jwt_issuer),
            audience: text(&self.jwt_audience),
        })
    }
}

fn refuse(variable: &str, value: Option<&str>, allowed: impl Into<String>) -> ConfigError {
    ConfigError {
        variable: variable.to_owned(),
        value: value.map(str::to_owned),
        allowed: allowed.into(),
    }
}
