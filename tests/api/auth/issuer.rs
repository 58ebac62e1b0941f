//! Who makes bearer tokens, good ones and forged ones.

use std::time::{SystemTime, UNIX_EPOCH};

use concert_app::Config;
use concert_app::config::{AuthMode, Callers, Secret};
use concert_tests::quick;
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use serde_json::{Value, json};

use super::{OWNER, STRANGER};

const SECRET: &str = "an example of a secret for tests";
/// `{"alg":"none","typ":"JWT"}`
const NONE: &str = "eyJhbGciOiJub25lIiwidHlwIjoiSldUIn0";

/// The keys beside this file are for these tests only.
fn key_file(name: &str) -> std::path::PathBuf {
    std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("api/keys").join(name)
}

pub fn rsa(name: &str) -> EncodingKey {
    EncodingKey::from_rsa_pem(&std::fs::read(key_file(name)).unwrap()).unwrap()
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

/// Who makes the tokens, and how the service is told to check them.
pub struct Issuer {
    algorithm: Algorithm,
    key: EncodingKey,
    callers: Callers,
}

impl Issuer {
    pub fn told() -> Callers {
        Callers {
            auth_mode: Some(AuthMode::Jwt),
            jwt_issuer: Some("issuer".to_owned()),
            jwt_audience: Some("concert".to_owned()),
            ..Callers::default()
        }
    }

    pub fn shared() -> Self {
        Self {
            algorithm: Algorithm::HS256,
            key: EncodingKey::from_secret(SECRET.as_bytes()),
            callers: Callers { jwt_secret: Some(Secret::new(SECRET)), ..Self::told() },
        }
    }

    pub fn public() -> Self {
        let file = key_file("rs256_issuer.pub.pem");
        let algorithm = Algorithm::RS256;
        Self {
            algorithm,
            key: rsa("rs256_issuer.pem"),
            callers: Callers {
                jwt_algorithm: algorithm,
                jwt_public_key_file: Some(file),
                ..Self::told()
            },
        }
    }

    pub fn config(&self) -> Config {
        Config { callers: self.callers.clone(), ..quick() }
    }

    fn sign(&self, claims: &Value) -> String {
        encode(&Header::new(self.algorithm), claims, &self.key).unwrap()
    }

    pub fn token(&self, user: i64) -> String {
        self.sign(&claims(user))
    }

    pub fn admin(&self, user: i64) -> String {
        self.with(user, "scope", json!("read admin"))
    }

    fn with(&self, user: i64, claim: &str, value: Value) -> String {
        let mut claims = claims(user);
        claims[claim] = value;
        self.sign(&claims)
    }

    fn without(&self, user: i64, claim: &str) -> String {
        let mut claims = claims(user);
        claims.as_object_mut().unwrap().remove(claim);
        self.sign(&claims)
    }

    /// What must not be believed, all in the name of the owner and of an admin.
    pub fn forged(&self) -> Vec<(&'static str, String)> {
        let good = self.admin(OWNER);
        let [header, payload, signature] = good.split('.').collect::<Vec<_>>()[..] else {
            panic!("three parts")
        };
        let other = self.admin(STRANGER);
        let other_payload = other.split('.').nth(1).unwrap();
        let as_admin = |key: &EncodingKey, algorithm| {
            let mut claims = claims(OWNER);
            claims["scope"] = json!("admin");
            format!("Bearer {}", encode(&Header::new(algorithm), &claims, key).unwrap())
        };
        let public = std::fs::read(key_file("rs256_issuer.pub.pem")).unwrap();
        let elliptic = std::fs::read(key_file("es256_issuer.pub.pem")).unwrap();
        let secret = |bytes: &[u8]| EncodingKey::from_secret(bytes);
        let trimmed = public.trim_ascii_end();
        let bearer = |token: String| format!("Bearer {token}");
        vec![
            ("another scheme", format!("Basic {good}")),
            ("no token", "Bearer".to_owned()),
            ("an empty token", "Bearer ".to_owned()),
            ("garbage", "Bearer garbage".to_owned()),
            ("garbage with dots", "Bearer a.b.c".to_owned()),
            ("a long token", bearer("a".repeat(20_000))),
            ("expired", bearer(self.with(OWNER, "exp", json!(now() - 120)))),
            ("without an end", bearer(self.without(OWNER, "exp"))),
            ("an end that is no number", bearer(self.with(OWNER, "exp", json!("tomorrow")))),
            ("not valid yet", bearer(self.with(OWNER, "nbf", json!(now() + 120)))),
            ("another issuer", bearer(self.with(OWNER, "iss", json!("somebody")))),
            ("no issuer", bearer(self.without(OWNER, "iss"))),
            ("another audience", bearer(self.with(OWNER, "aud", json!(["shop"])))),
            ("no audience", bearer(self.without(OWNER, "aud"))),
            ("nobody", bearer(self.without(OWNER, "sub"))),
            ("user zero", bearer(self.with(OWNER, "sub", json!("0")))),
            ("a user with zeros", bearer(self.with(OWNER, "sub", json!("007")))),
            ("a user who is no number", bearer(self.with(OWNER, "sub", json!("seven")))),
            ("a user who is no text", bearer(self.with(OWNER, "sub", json!(7)))),
            ("algorithm none", format!("Bearer {NONE}.{payload}.")),
            ("algorithm none, signed", format!("Bearer {NONE}.{payload}.{signature}")),
            ("no signature", format!("Bearer {header}.{payload}.")),
            ("another payload", format!("Bearer {header}.{other_payload}.{signature}")),
            ("a wrong secret", as_admin(&secret(&[7; 32]), Algorithm::HS256)),
            ("an empty secret", as_admin(&secret(b""), Algorithm::HS256)),
            ("a wrong key", as_admin(&rsa("rs256_stranger.pem"), Algorithm::RS256)),
            ("another algorithm", as_admin(&self.key, self.sibling())),
            ("the RSA public key as secret", as_admin(&secret(&public), Algorithm::HS256)),
            ("the same without its last line end", as_admin(&secret(trimmed), Algorithm::HS256)),
            ("the EC public key as secret", as_admin(&secret(&elliptic), Algorithm::HS256)),
        ]
    }

    /// An algorithm of the same family.
    fn sibling(&self) -> Algorithm {
        match self.algorithm {
            Algorithm::HS256 => Algorithm::HS384,
            _ => Algorithm::RS512,
        }
    }
}

pub fn claims(user: i64) -> Value {
    json!({
        "sub": user.to_string(),
        "exp": now() + 600,
        "nbf": now() - 5,
        "iss": "issuer",
        "aud": "concert",
    })
}
