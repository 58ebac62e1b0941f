//! Hard input: one function for each kind of text or bytes that a stranger may send, which panics
//! if anything comes of it that must not. The fuzz targets below `fuzz/` call them with what a
//! fuzzer makes, `tests/hard.rs` with the seeds and with random changes of them.

mod bodies;

use std::net::IpAddr;
use std::sync::{Arc, OnceLock};

use actix_web::http::Uri;
use actix_web::http::header::{FORWARDED, HeaderName, HeaderValue};
use actix_web::test::TestRequest;
use concert_app::auth::{Authority, Bearers};
use concert_app::config::{self, Auth, DatabaseUrl, JwtRules, KeySource, Proxies, Secret};
use concert_app::error::ApiError;
use concert_app::extract::{self, KEY_HEADER, PageQuery, TOKEN_HEADER};
use concert_app::middleware::client;
use concert_app::request_id::RequestId;
use concert_domain::event::{Event, Headers, understand};
use concert_domain::{IdempotencyKey, SeatId, Timestamp};
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use serde_json::Value;

pub use bodies::Bodies;

const SECRET: &str = "an example of a secret for tests";

/// The name of a kind of input, and what takes it or refuses it.
type Kind = (&'static str, fn(&[u8]));

/// The kinds that need no service; bodies are tried on one ([`Bodies`]).
pub const KINDS: &[Kind] = &[
    ("queue_token", queue_token),
    ("bearer", bearer),
    ("cursor", cursor),
    ("forwarded", forwarded),
    ("settings", settings),
    ("event", event),
    ("names", names),
];

/// Bad input is a refusal with a 4xx.
fn assert_refused(refusal: &ApiError) {
    let status = refusal.code.status();
    assert!(status.is_client_error(), "{status}: {refusal:?}");
}

fn text(data: &[u8]) -> Option<&str> {
    std::str::from_utf8(data).ok()
}

/// The header of the queue token.
pub fn queue_token(data: &[u8]) {
    let Ok(value) = HeaderValue::from_bytes(data) else { return };
    let request = TestRequest::default().insert_header((TOKEN_HEADER, value)).to_http_request();
    match extract::queue_token(&request) {
        Ok(token) => assert!(token.to_string().as_bytes().eq_ignore_ascii_case(data)),
        Err(refusal) => assert_refused(&refusal),
    }
}

fn bearers() -> &'static Bearers {
    static BEARERS: OnceLock<Arc<Bearers>> = OnceLock::new();
    BEARERS.get_or_init(|| {
        let rules = JwtRules {
            algorithm: Algorithm::HS256,
            keys: KeySource::Secret(Secret::new(SECRET)),
            issuer: None,
            audience: None,
        };
        match Authority::open(Auth::Jwt(rules)) {
            Ok(Authority::Jwt(bearers)) => bearers,
            _ => panic!("the secret is a key"),
        }
    })
}

/// A bearer token; and, as the issuer may be anybody's work, the claims of one that is signed.
pub fn bearer(data: &[u8]) {
    let Some(text) = text(data) else { return };
    bearers().check(text).expect_err("nobody has signed this");
    let Ok(claims) = serde_json::from_str::<Value>(text) else { return };
    let key = EncodingKey::from_secret(SECRET.as_bytes());
    let signed = encode(&Header::new(Algorithm::HS256), &claims, &key).expect("it can be signed");
    if let Ok(identity) = bearers().check(&signed) {
        assert_eq!(claims["sub"], identity.user.to_string(), "{claims}");
        assert!(claims["exp"].is_number(), "{claims}");
    }
}

/// The query string of a list.
pub fn cursor(data: &[u8]) {
    const LIST: PageQuery = PageQuery::of("things");
    let Some(query) = text(data) else { return };
    let path = format!("/things?{query}");
    if Uri::try_from(path.as_str()).is_err() {
        return;
    }
    let request = TestRequest::with_uri(&path).to_http_request();
    match LIST.read(&request) {
        Ok(page) => {
            assert!((1..=100).contains(&page.limit.get()), "{query}");
            let Some(after) = page.after else { return };
            let given = extract::query(&request, "cursor").expect("it was read");
            assert!(given[0].eq_ignore_ascii_case(&LIST.encode(after)), "{query}");
        }
        Err(refusal) => assert_refused(&refusal),
    }
}

/// What a proxy says of whom it asks for: the first byte chooses the header.
pub fn forwarded(data: &[u8]) {
    let Some((first, rest)) = data.split_first() else { return };
    let Ok(value) = HeaderValue::from_bytes(rest) else { return };
    let name = if first % 2 == 0 { FORWARDED } else { HeaderName::from_static("x-forwarded-for") };
    let request = TestRequest::default().insert_header((name, value)).to_http_request();
    let trusted: Proxies = "10.0.0.0/8".parse().expect("a network");
    let seen = |peer: &str| -> IpAddr {
        client(peer.parse().expect("an address"), request.headers(), &trusted)
    };
    assert_eq!(seen("192.0.2.1"), IpAddr::from([192, 0, 2, 1]), "a stranger was believed");
    let behind = seen("10.0.0.1");
    assert_eq!(behind, behind.to_canonical());
}

/// Values of the configuration.
pub fn settings(data: &[u8]) {
    let Some(text) = text(data) else { return };
    if let Ok(time) = config::duration(text) {
        let again = config::duration(&format!("{}ns", time.as_nanos()));
        assert_eq!(again, Ok(time), "{text}");
    }
    if let Ok(address) = config::address(text) {
        assert_eq!(config::address(&address.to_string()), Ok(address), "{text}");
    }
    if let Ok(url) = text.parse::<DatabaseUrl>() {
        let password = text.strip_prefix("mysql://").and_then(|rest| rest.rsplit_once('@'));
        let password = password.and_then(|(who, _)| who.split_once(':')).map(|(_, word)| word);
        // A short one, or one that stands elsewhere as well, may be part of anything.
        let telling = |word: &&str| word.len() > 8 && text.matches(word).count() == 1;
        if let Some(password) = password.filter(telling) {
            assert!(!format!("{url} {url:?}").contains(password), "{text}");
        }
    }
    text.parse::<Proxies>().ok();
}

/// The value of a record in the event log, and what a store kept beside it.
pub fn event(data: &[u8]) {
    if let Ok((event, payment)) = understand(data) {
        let record = event.to_record().expect("it can be written");
        let (again, same) = understand(&record.value).expect("it can be read again");
        assert_eq!(same, payment);
        // Nobody asks for other members, and their fractions may lose a digit.
        assert_eq!(Event { data: Value::Null, ..again }, Event { data: Value::Null, ..event });
    }
    let headers = Headers::from_text(text(data));
    assert_eq!(Headers::from_text(headers.to_text().as_deref()), headers);
}

/// Short texts that name something.
pub fn names(data: &[u8]) {
    let Some(text) = text(data) else { return };
    if let Ok(key) = text.parse::<IdempotencyKey>() {
        assert_eq!(key.as_str(), text);
    }
    if let Ok(id) = text.parse::<SeatId>() {
        assert_eq!(id.to_string().parse(), Ok(id));
    }
    if let Ok(at) = text.parse::<Timestamp>() {
        assert_eq!(at.to_string().parse(), Ok(at), "{text}");
    }
    if let Ok(value) = HeaderValue::from_str(text) {
        let request = TestRequest::default().insert_header(("x-request-id", value.clone()));
        let request = request.insert_header((KEY_HEADER, value)).to_http_request();
        let id = RequestId::of(request.headers());
        assert!(id.as_str().bytes().all(|byte| byte.is_ascii_graphic()), "{text}");
        match extract::idempotency_key(&request) {
            Ok(key) => assert_eq!(key.expect("it was sent").as_str(), text),
            Err(refusal) => assert_refused(&refusal),
        }
    }
}
