use actix_web::HttpRequest;
use concert_domain::idempotency::Fingerprint;
use concert_domain::{IdempotencyClaim, IdempotencyKey, UserId};
use serde::Serialize;

use super::header;
use crate::error::ApiResult;

/// Makes a retry safe.
pub const KEY_HEADER: &str = "Idempotency-Key";

/// The key of the request, if it has one.
pub fn idempotency_key(request: &HttpRequest) -> ApiResult<Option<IdempotencyKey>> {
    Ok(header(request, KEY_HEADER)?.map(str::parse).transpose()?)
}

/// The claim of a request to its key. `said` is what was understood from the body, so that
/// neither the order of members nor white space makes two requests different.
pub fn claim(
    request: &HttpRequest,
    route: &'static str,
    key: Option<IdempotencyKey>,
    user: UserId,
    said: &impl Serialize,
) -> ApiResult<Option<IdempotencyClaim>> {
    let Some(key) = key else { return Ok(None) };
    let fingerprint = Fingerprint::of(request.method().as_str(), request.path(), &(user, said))?;
    Ok(Some(IdempotencyClaim { user, route, key, fingerprint }))
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;

    use super::*;

    #[test]
    fn a_key_is_optional_and_visible() {
        let key = |request: TestRequest| idempotency_key(&request.to_http_request());
        assert_eq!(key(TestRequest::post()), Ok(None));
        let good = key(TestRequest::post().insert_header((KEY_HEADER, "abc"))).unwrap();
        assert_eq!(good.unwrap().as_str(), "abc");
        for bad in ["", "two words"] {
            let refusal = key(TestRequest::post().insert_header((KEY_HEADER, bad))).unwrap_err();
            assert_eq!(refusal.fields()[0].field, KEY_HEADER, "{bad:?}");
        }
        let doubled =
            TestRequest::post().append_header((KEY_HEADER, "a")).append_header((KEY_HEADER, "a"));
        assert!(key(doubled).is_err());
    }
}
