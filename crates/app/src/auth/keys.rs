use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;
use std::sync::Mutex;

use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk, JwkSet, PublicKeyUse};
use jsonwebtoken::{Algorithm, DecodingKey, crypto, decode_header};

use super::Identity;
use crate::config::{JwtRules, KeySource};

/// The largest file with keys, in bytes.
const LARGEST_FILE: u64 = 1024 * 1024;
/// The shortest modulus of RSA: 2048 bits, in base64 characters (RFC 7518, 3.3).
const SHORTEST_MODULUS: usize = 342;
/// The most tokens that are remembered as checked.
const MOST_KNOWN: usize = 10_000;

/// Whom a checked token is for and until when, by the token's digest.
type Known = HashMap<[u8; 32], (Identity, u64)>;

/// Keys that were read together, and the tokens that they have proved.
pub(super) struct Keys {
    found: Found,
    /// Tokens that were checked. A signature takes long to check with a public key, and a client
    /// sends the same token with every poll. They go with the keys, so a key that was withdrawn
    /// proves nothing any more.
    known: Option<Mutex<Known>>,
}

enum Found {
    /// The one key.
    One(DecodingKey),
    /// Keys by `kid`.
    ByKid(HashMap<String, DecodingKey>),
}

/// A file, up to the bound.
pub(super) fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(LARGEST_FILE).read_to_end(&mut bytes)?;
    Ok(bytes)
}

impl Keys {
    /// The keys of a source; `bytes` is what its file says.
    pub(super) fn parse(rules: &JwtRules, bytes: &[u8]) -> Result<Self, String> {
        let found = match &rules.keys {
            KeySource::Secret(secret) => Found::One(DecodingKey::from_secret(secret.as_bytes())),
            KeySource::PublicKey(_) => Found::One(public_key(rules.algorithm, bytes)?),
            KeySource::Jwks(_) => key_set(rules.algorithm, bytes)?,
        };
        let known = (rules.algorithm != Algorithm::HS256).then(Mutex::default);
        Ok(Self { found, known })
    }

    /// The key that the token names, or the only one.
    pub(super) fn find(&self, token: &str) -> Option<&DecodingKey> {
        match &self.found {
            Found::One(key) => Some(key),
            Found::ByKid(keys) => match decode_header(token).ok()?.kid {
                Some(kid) => keys.get(&kid),
                None if keys.len() == 1 => keys.values().next(),
                None => None,
            },
        }
    }

    /// Whether checked tokens are remembered.
    pub(super) fn remembers(&self) -> bool {
        self.known.is_some()
    }

    /// Whom a token is for that was checked before and has not expired since.
    pub(super) fn known(&self, digest: &[u8; 32], now: u64) -> Option<Identity> {
        let known = self.known.as_ref()?.lock().unwrap_or_else(|broken| broken.into_inner());
        known.get(digest).filter(|(_, until)| now <= *until).map(|(identity, _)| *identity)
    }

    /// Notes a token that was checked. When there is no room, all are checked anew.
    pub(super) fn remember(&self, digest: [u8; 32], identity: Identity, until: u64) {
        let Some(known) = &self.known else { return };
        let mut known = known.lock().unwrap_or_else(|broken| broken.into_inner());
        if known.len() >= MOST_KNOWN {
            known.clear();
        }
        known.insert(digest, (identity, until));
    }
}

fn public_key(algorithm: Algorithm, pem: &[u8]) -> Result<DecodingKey, String> {
    let key = match algorithm {
        Algorithm::RS256 => DecodingKey::from_rsa_pem(pem),
        Algorithm::ES256 => DecodingKey::from_ec_pem(pem),
        _ => DecodingKey::from_ed_pem(pem),
    };
    key.ok()
        .and_then(|key| usable(key, algorithm))
        .ok_or_else(|| format!("must be a public key for {algorithm:?} as PEM"))
}

/// The keys of the set that are for this algorithm; others may be beside them.
fn key_set(algorithm: Algorithm, bytes: &[u8]) -> Result<Found, String> {
    let set: JwkSet = serde_json::from_slice(bytes)
        .map_err(|_| "must be a JSON Web Key Set, {\"keys\": [...]}".to_owned())?;
    let fitting: Vec<_> = set.keys.iter().filter(|key| fits(key, algorithm)).collect();
    let mut keys = HashMap::new();
    for jwk in &fitting {
        let kid = match &jwk.common.key_id {
            Some(kid) => kid.clone(),
            None if fitting.len() == 1 => String::new(),
            None => return Err("must name each of several keys by its kid".to_owned()),
        };
        let key = DecodingKey::from_jwk(jwk).ok().and_then(|key| usable(key, algorithm));
        let key = key.ok_or_else(|| format!("must not have the broken key {kid:?}"))?;
        if keys.insert(kid, key).is_some() {
            return Err("must not name two keys by the same kid".to_owned());
        }
    }
    if keys.is_empty() {
        return Err(format!("must have a key for {algorithm:?}"));
    }
    Ok(Found::ByKid(keys))
}

fn fits(key: &Jwk, algorithm: Algorithm) -> bool {
    let kind = match (&key.algorithm, algorithm) {
        (AlgorithmParameters::RSA(key), Algorithm::RS256) => key.n.len() >= SHORTEST_MODULUS,
        (AlgorithmParameters::EllipticCurve(key), Algorithm::ES256) => {
            key.curve == EllipticCurve::P256
        }
        (AlgorithmParameters::OctetKeyPair(key), Algorithm::EdDSA) => {
            key.curve == EllipticCurve::Ed25519
        }
        _ => false,
    };
    let name = format!("{algorithm:?}");
    let named = key.common.key_algorithm.is_none_or(|named| named.to_string() == name);
    let signs = matches!(key.common.public_key_use, None | Some(PublicKeyUse::Signature));
    kind && named && signs
}

/// The key, if the library can check a signature with it: it looks at a key no earlier.
fn usable(key: DecodingKey, algorithm: Algorithm) -> Option<DecodingKey> {
    crypto::verify("AAAA", b"", &key, algorithm).is_ok().then_some(key)
}
