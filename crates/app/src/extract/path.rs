use std::fmt::Display;
use std::str::FromStr;

use actix_web::HttpRequest;

use crate::error::{ApiError, ApiResult};

/// An id in the path, by the name that the route's pattern gives it.
pub fn path_id<T>(request: &HttpRequest, name: &str) -> ApiResult<T>
where
    T: FromStr<Err: Display>,
{
    let text = request.match_info().get(name).unwrap_or_default();
    text.parse().map_err(|error: T::Err| ApiError::invalid(name, error.to_string()))
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;
    use concert_domain::SeatId;

    use super::*;

    #[test]
    fn what_is_no_id_names_its_place() {
        let id = |text: &'static str| {
            path_id::<SeatId>(&TestRequest::get().param("seatId", text).to_http_request(), "seatId")
        };
        assert_eq!(id("5").map(SeatId::get), Ok(5));
        for bad in ["0", "-1", "x", "", "9007199254740992", "99999999999999999999", "1.0"] {
            assert_eq!(id(bad).unwrap_err().fields()[0].field, "seatId", "{bad:?}");
        }
    }
}
