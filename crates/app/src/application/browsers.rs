//! What browsers are told: not to guess, not to frame, whom to answer.

use actix_cors::Cors;
use actix_web::http::header::{
    AUTHORIZATION, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue,
    IF_MATCH, IF_NONE_MATCH, REFERRER_POLICY, STRICT_TRANSPORT_SECURITY, X_CONTENT_TYPE_OPTIONS,
    X_FRAME_OPTIONS,
};
use actix_web::middleware::Condition;

use crate::config::Browsers;

/// An answer of the API is data: nothing in it is to be loaded, run or framed.
const DATA: &str = "default-src 'none'; frame-ancestors 'none'";
/// The explorer runs what this service serves, and styles itself.
const PAGE: &str = "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; \
                    img-src 'self' data:; font-src 'self' data:; connect-src 'self'; \
                    base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
/// For how long a browser may remember what it was allowed, in seconds.
const PREFLIGHT_MAX_AGE: usize = 600;

/// What a page of this service may do, by the path of the request.
pub(super) fn policy(path: &str) -> &'static str {
    let page =
        path.strip_prefix("/docs").is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
    if page { PAGE } else { DATA }
}

/// Headers that every answer has.
pub(super) fn protect(headers: &mut HeaderMap, policy: &'static str, secure: Option<HeaderValue>) {
    for (name, value) in [
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (REFERRER_POLICY, "no-referrer"),
        (CONTENT_SECURITY_POLICY, policy),
        (X_FRAME_OPTIONS, "DENY"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    if let Some(secure) = secure {
        headers.insert(STRICT_TRANSPORT_SECURITY, secure);
    }
}

/// The value of `Strict-Transport-Security`, if that is to be said.
pub(super) fn transport_security(browsers: &Browsers) -> Option<HeaderValue> {
    let seconds = browsers.hsts_max_age?.as_secs();
    HeaderValue::try_from(format!("max-age={seconds}")).ok()
}

/// Answers pages of the configured sites. Where there are none, nothing is said of other sites at
/// all. Cookies are never asked for.
pub(super) fn cors(browsers: &Browsers) -> Condition<Cors> {
    let origins = browsers.cors_allowed_origins.as_ref().map_or(&[][..], |sites| &sites.0);
    let own = ["concert-queue-token", "idempotency-key", "x-request-id", "traceparent"];
    let read = ["etag", "location", "retry-after", "idempotency-replayed", "x-request-id"];
    let cors = Cors::default()
        .allowed_methods(["GET", "HEAD", "POST", "PATCH", "DELETE"])
        .allowed_headers([AUTHORIZATION, CONTENT_TYPE, IF_MATCH, IF_NONE_MATCH])
        .allowed_headers(own.map(HeaderName::from_static))
        .expose_headers(read.map(HeaderName::from_static))
        .max_age(PREFLIGHT_MAX_AGE);
    let cors = origins.iter().fold(cors, |cors, origin| cors.allowed_origin(origin));
    Condition::new(!origins.is_empty(), cors)
}
