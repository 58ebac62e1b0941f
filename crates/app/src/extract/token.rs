use actix_web::HttpRequest;
use concert_domain::Error;
use concert_domain::queue::SealedToken;

use super::header;
use crate::error::{ApiError, ApiResult, ErrorCode};

/// Carries the queue token.
pub const TOKEN_HEADER: &str = "Concert-Queue-Token";

/// The queue token of the request. A text that is no token of this service is an unknown token.
pub fn queue_token(request: &HttpRequest) -> ApiResult<SealedToken> {
    let text = header(request, TOKEN_HEADER)?.ok_or_else(|| {
        ApiError::new(ErrorCode::MissingHeader, format!("the header {TOKEN_HEADER} is missing"))
    })?;
    Ok(text.parse().map_err(|_| Error::TokenNotFound)?)
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;

    use super::*;

    #[test]
    fn a_token_is_sent_once_and_is_one_of_ours() {
        let refusal = |values: &[&str]| {
            let request = values.iter().fold(TestRequest::get(), |request, value| {
                request.append_header((TOKEN_HEADER, *value))
            });
            queue_token(&request.to_http_request()).map_err(|refusal| refusal.code)
        };
        let token = "0".repeat(32);
        assert!(refusal(&[&token]).is_ok());
        assert_eq!(refusal(&[]), Err(ErrorCode::MissingHeader));
        assert_eq!(refusal(&["nonsense"]), Err(ErrorCode::TokenNotFound));
        assert_eq!(refusal(&["토큰"]), Err(ErrorCode::TokenNotFound));
        assert_eq!(refusal(&[&token, &token]), Err(ErrorCode::InvalidInput));
    }
}
