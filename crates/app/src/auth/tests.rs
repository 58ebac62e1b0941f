use std::path::PathBuf;

use jsonwebtoken::jwk::{Jwk, JwkSet};
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::*;
use crate::config::Secret;

const ISSUER: &[u8] = include_bytes!("../../../../tests/api/keys/rs256_issuer.pem");
const NEXT: &[u8] = include_bytes!("../../../../tests/api/keys/rs256_next.pem");
const ELLIPTIC: &[u8] = include_bytes!("../../../../tests/api/keys/es256_issuer.pem");
const EDWARDS: &[u8] = include_bytes!("../../../../tests/api/keys/eddsa_issuer.pem");
const SECRET: &str = "an example of a secret for tests";

fn rsa(pem: &[u8]) -> EncodingKey {
    EncodingKey::from_rsa_pem(pem).unwrap()
}

fn signed(key: &EncodingKey, algorithm: Algorithm, kid: Option<&str>, claims: &Value) -> String {
    let header = Header { kid: kid.map(str::to_owned), ..Header::new(algorithm) };
    encode(&header, claims, key).unwrap()
}

fn seven() -> Value {
    json!({ "sub": "7", "exp": get_current_timestamp() + 60 })
}

fn rules(algorithm: Algorithm, keys: KeySource) -> JwtRules {
    JwtRules { algorithm, keys, issuer: None, audience: None }
}

/// A file of keys by `kid` that tests write.
struct KeyFile {
    folder: TempDir,
}

impl KeyFile {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("keys.json")
    }

    fn write(&self, keys: &[(&str, &EncodingKey, Algorithm)]) {
        let jwk = |(kid, key, algorithm): &(&str, &EncodingKey, Algorithm)| {
            let mut jwk = Jwk::from_encoding_key(key, *algorithm).unwrap();
            jwk.common.key_id = Some((*kid).to_owned());
            jwk
        };
        let set = JwkSet { keys: keys.iter().map(jwk).collect() };
        std::fs::write(self.path(), serde_json::to_vec(&set).unwrap()).unwrap();
    }
}

fn user(bearers: &Bearers, token: &str) -> Option<i64> {
    bearers.check(token).ok().map(|identity| identity.user.get())
}

#[test]
fn keys_rotate_by_kid_and_a_broken_file_changes_nothing() {
    let (old, next) = (rsa(ISSUER), rsa(NEXT));
    let file = KeyFile::new();
    file.write(&[("old", &old, Algorithm::RS256)]);
    let source = KeySource::Jwks(file.path());
    let bearers = Bearers::open(rules(Algorithm::RS256, source)).unwrap();
    let of_old = signed(&old, Algorithm::RS256, Some("old"), &seven());
    let of_next = signed(&next, Algorithm::RS256, Some("next"), &seven());
    let tell = || {
        bearers.look();
        (user(&bearers, &of_old), user(&bearers, &of_next))
    };
    assert_eq!(tell(), (Some(7), None));
    file.write(&[("old", &old, Algorithm::RS256), ("next", &next, Algorithm::RS256)]);
    assert_eq!(tell(), (Some(7), Some(7)));
    // What was proved by a key that is gone is not believed from memory.
    file.write(&[("next", &next, Algorithm::RS256)]);
    assert_eq!(tell(), (None, Some(7)));
    for broken in ["", "{", "{\"keys\":[]}", "{\"keys\":[{\"kty\":\"RSA\"}]}"] {
        std::fs::write(file.path(), broken).unwrap();
        assert_eq!(tell(), (None, Some(7)), "{broken}");
    }
    std::fs::remove_file(file.path()).unwrap();
    assert_eq!(tell(), (None, Some(7)));
    file.write(&[("old", &old, Algorithm::RS256)]);
    assert_eq!(tell(), (Some(7), None));
}

#[test]
fn a_kid_that_names_another_key_or_none_of_several_proves_nothing() {
    let (one, two) = (rsa(ISSUER), rsa(NEXT));
    let file = KeyFile::new();
    file.write(&[("one", &one, Algorithm::RS256), ("two", &two, Algorithm::RS256)]);
    let source = KeySource::Jwks(file.path());
    let bearers = Bearers::open(rules(Algorithm::RS256, source)).unwrap();
    for kid in [None, Some("two"), Some("three"), Some("")] {
        assert_eq!(user(&bearers, &signed(&one, Algorithm::RS256, kid, &seven())), None, "{kid:?}");
    }
    assert_eq!(user(&bearers, &signed(&one, Algorithm::RS256, Some("one"), &seven())), Some(7));
}

#[test]
fn every_algorithm_checks_tokens_of_its_own_only() {
    let file = KeyFile::new();
    let keys = [
        ("rsa", rsa(ISSUER), Algorithm::RS256),
        ("elliptic", EncodingKey::from_ec_pem(ELLIPTIC).unwrap(), Algorithm::ES256),
        ("edwards", EncodingKey::from_ed_pem(EDWARDS).unwrap(), Algorithm::EdDSA),
    ];
    file.write(&keys.each_ref().map(|(kid, key, algorithm)| (*kid, key, *algorithm)));
    for (_, _, configured) in &keys {
        let source = KeySource::Jwks(file.path());
        let bearers = Bearers::open(rules(*configured, source)).unwrap();
        for (kid, key, algorithm) in &keys {
            let token = signed(key, *algorithm, Some(kid), &seven());
            let known = user(&bearers, &token);
            assert_eq!(known.is_some(), algorithm == configured, "{algorithm:?} {configured:?}");
            // Once more, now perhaps from memory.
            assert_eq!(user(&bearers, &token), known);
        }
    }
}

#[test]
fn what_is_remembered_ends_with_the_token() {
    let keys = Keys::parse(
        &rules(Algorithm::RS256, KeySource::PublicKey("unused".into())),
        include_bytes!("../../../../tests/api/keys/rs256_issuer.pub.pem"),
    )
    .unwrap();
    let identity = Identity { user: UserId::try_from(7).unwrap(), admin: false };
    keys.remember([1; 32], identity, 100);
    assert_eq!(keys.known(&[1; 32], 100), Some(identity));
    assert_eq!(keys.known(&[1; 32], 101), None);
    assert_eq!(keys.known(&[2; 32], 1), None);
}

#[test]
fn a_scope_is_a_list_of_words() {
    let source = KeySource::Secret(Secret::new(SECRET));
    let bearers = Bearers::open(rules(Algorithm::HS256, source)).unwrap();
    let key = EncodingKey::from_secret(SECRET.as_bytes());
    for (scope, admin) in [
        (json!("admin"), Some(true)),
        (json!("read admin write"), Some(true)),
        (json!(""), Some(false)),
        (json!(null), Some(false)),
        (json!("administrator Admin"), Some(false)),
        (json!(["admin"]), None),
    ] {
        let mut claims = seven();
        claims["scope"] = scope.clone();
        let token = signed(&key, Algorithm::HS256, None, &claims);
        assert_eq!(bearers.check(&token).ok().map(|found| found.admin), admin, "{scope}");
    }
}

#[test]
fn a_file_that_holds_no_key_stops_the_start_with_its_name() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("nothing.pem");
    for write in [false, true] {
        if write {
            std::fs::write(&path, "no key").unwrap();
        }
        for source in [KeySource::PublicKey(path.clone()), KeySource::Jwks(path.clone())] {
            let variable = source.variable();
            let refusal = Bearers::open(rules(Algorithm::RS256, source)).err().unwrap();
            let sentence = refusal.to_string();
            assert!(sentence.starts_with(&format!("{variable} is ")), "{sentence}");
            assert!(sentence.contains("nothing.pem"), "{sentence}");
        }
    }
}
