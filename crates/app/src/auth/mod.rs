//! Who a bearer token (JWT) says the caller is, and whether that can be believed.
//!
//! The algorithm comes from the configuration, never from the token. Keys in files are looked at
//! again in the background, so a rotation needs no restart; a file that cannot be understood
//! changes nothing and is told in the log.

mod keys;

use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use arc_swap::ArcSwap;
use concert_domain::UserId;
use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::{Validation, get_current_timestamp};
use serde::Deserialize;
use sha2::{Digest, Sha256};

use crate::config::{Auth, ConfigError, JwtRules, KeySource};
use keys::Keys;

/// By how much the clocks of issuer and service may differ.
const LEEWAY: Duration = Duration::from_secs(30);
/// The longest bearer token in bytes.
const LONGEST: usize = 8 * 1024;
/// How often files with keys are looked at.
const WATCH: Duration = Duration::from_secs(2);

/// How callers are known.
pub enum Authority {
    /// Whatever is in front of the service has authenticated them.
    Trusted,
    /// By bearer tokens.
    Jwt(Arc<Bearers>),
}

impl Authority {
    /// Ready to decide; reads the keys.
    pub fn open(auth: Auth) -> Result<Self, ConfigError> {
        match auth {
            Auth::Trusted => Ok(Self::Trusted),
            Auth::Jwt(rules) => Ok(Self::Jwt(Arc::new(Bearers::open(rules)?))),
        }
    }
}

/// Who a bearer token says the caller is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Identity {
    /// The user.
    pub user: UserId,
    /// Whether it may use the admin routes.
    pub admin: bool,
}

/// What is read of a token.
#[derive(Deserialize)]
struct Claims {
    sub: String,
    exp: f64,
    #[serde(default)]
    scope: Option<String>,
}

/// Checks bearer tokens.
pub struct Bearers {
    rules: JwtRules,
    validation: Validation,
    keys: ArcSwap<Keys>,
    /// The digest of the key file as it was last seen; `None` if it could not be read.
    seen: Mutex<Option<[u8; 32]>>,
}

impl Bearers {
    fn open(rules: JwtRules) -> Result<Self, ConfigError> {
        let refuse = |allowed: String| ConfigError {
            variable: rules.keys.variable().to_owned(),
            value: Some(file_of(&rules).map_or_else(String::new, |p| p.display().to_string())),
            allowed,
        };
        let (bytes, seen) = match file_of(&rules) {
            Some(path) => {
                let bytes = keys::read(path).map_err(|e| refuse(format!("cannot be read: {e}")))?;
                let digest = Sha256::digest(&bytes).into();
                (bytes, Some(digest))
            }
            None => (Vec::new(), None),
        };
        let keys = Keys::parse(&rules, &bytes).map_err(refuse)?;
        Ok(Self {
            validation: validation(&rules),
            keys: ArcSwap::from_pointee(keys),
            seen: Mutex::new(seen),
            rules,
        })
    }

    /// Who the token is for; a sentence if it is not believed.
    pub fn check(&self, token: &str) -> Result<Identity, &'static str> {
        if token.len() > LONGEST {
            return Err("the bearer token is too long");
        }
        let keys = self.keys.load();
        let now = get_current_timestamp();
        let digest = keys.remembers().then(|| Sha256::digest(token).into());
        if let Some(known) = digest.and_then(|digest| keys.known(&digest, now)) {
            return Ok(known);
        }
        let key = keys.find(token).ok_or("the key of the bearer token is not known")?;
        let decoded = jsonwebtoken::decode::<Claims>(token, key, &self.validation);
        let claims = decoded.map_err(|error| why(error.kind()))?.claims;
        let user = claims.sub.parse::<UserId>().ok();
        let user = user.filter(|user| user.to_string() == claims.sub);
        let identity = Identity {
            user: user.ok_or("sub of the bearer token is not the id of a user")?,
            admin: claims.scope.is_some_and(|scope| scope.split(' ').any(|word| word == "admin")),
        };
        if let Some(digest) = digest {
            keys.remember(digest, identity, (claims.exp as u64).saturating_add(LEEWAY.as_secs()));
        }
        Ok(identity)
    }

    /// Looks at the key file again and again, as long as it is polled.
    pub async fn watch(self: Arc<Self>) {
        if file_of(&self.rules).is_none() {
            return;
        }
        loop {
            tokio::time::sleep(WATCH).await;
            let bearers = self.clone();
            tokio::task::spawn_blocking(move || bearers.look()).await.ok();
        }
    }

    /// Takes new keys over if the file has changed and can be understood.
    fn look(&self) {
        let Some(path) = file_of(&self.rules) else { return };
        let read = keys::read(path);
        let digest: Option<[u8; 32]> = read.as_ref().ok().map(|bytes| Sha256::digest(bytes).into());
        {
            let mut seen = self.seen.lock().unwrap_or_else(|broken| broken.into_inner());
            if *seen == digest {
                return;
            }
            *seen = digest;
        }
        let file = path.display();
        let understood = read
            .map_err(|error| error.to_string())
            .and_then(|bytes| Keys::parse(&self.rules, &bytes));
        match understood {
            Ok(keys) => {
                self.keys.store(Arc::new(keys));
                tracing::info!(%file, "the keys of bearer tokens have changed");
            }
            Err(reason) => tracing::error!(%file, reason, "the old keys of bearer tokens stay"),
        }
    }
}

fn file_of(rules: &JwtRules) -> Option<&Path> {
    match &rules.keys {
        KeySource::Secret(_) => None,
        KeySource::PublicKey(path) | KeySource::Jwks(path) => Some(path),
    }
}

fn validation(rules: &JwtRules) -> Validation {
    let mut validation = Validation::new(rules.algorithm);
    validation.leeway = LEEWAY.as_secs();
    validation.validate_nbf = true;
    let mut required = vec!["exp", "sub"];
    if let Some(issuer) = &rules.issuer {
        validation.set_issuer(&[issuer]);
        required.push("iss");
    }
    if let Some(audience) = &rules.audience {
        validation.set_audience(&[audience]);
        required.push("aud");
    }
    validation.set_required_spec_claims(&required);
    validation
}

/// What a client is told. Not more than it needs to get a better token.
fn why(kind: &ErrorKind) -> &'static str {
    match kind {
        ErrorKind::ExpiredSignature => "the bearer token has expired",
        ErrorKind::ImmatureSignature => "the bearer token is not valid yet",
        ErrorKind::InvalidIssuer => "the bearer token is of another issuer",
        ErrorKind::InvalidAudience => "the bearer token is for another audience",
        _ => "the bearer token is not valid",
    }
}

#[cfg(test)]
mod tests;
