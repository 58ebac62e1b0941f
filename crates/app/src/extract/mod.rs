//! What requests say, understood and checked.
//!
//! Handlers read a request line by line, and the order of the lines is the order of refusals:
//! who is calling (401), is the request well formed (400), may it be done (403, 404), does the
//! state allow it. That is why only [`Caller`] and [`Body`] are extractors in the framework's
//! sense, and [`Body`] keeps its refusal until it is asked.

mod body;
mod caller;
mod edit;
mod idempotency;
mod origin;
mod page;
mod path;
mod seat_file;
mod token;

pub use body::{Body, Bounded, Named, Object, given, nullable};
pub use caller::{Caller, USER_HEADER};
pub use edit::edit;
pub use idempotency::{KEY_HEADER, claim, idempotency_key};
pub use origin::origin;
pub use page::{PageQuery, query, single};
pub use path::path_id;
pub use seat_file::SeatFile;
pub use token::{TOKEN_HEADER, queue_token};

use actix_web::HttpRequest;

use crate::error::{ApiError, ApiResult};

/// The value of a header that may be sent once; what is no visible ASCII reads as an empty text.
fn header<'a>(request: &'a HttpRequest, name: &'static str) -> ApiResult<Option<&'a str>> {
    let mut values = request.headers().get_all(name);
    let first = values.next();
    if values.next().is_some() {
        return Err(ApiError::invalid(name, "must be sent once"));
    }
    Ok(first.map(|value| value.to_str().unwrap_or_default()))
}
