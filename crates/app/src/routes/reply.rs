//! Shapes that many answers share.

use actix_web::HttpResponse;
use actix_web::http::header::{ETAG, HeaderName, HeaderValue, LOCATION};
use concert_domain::{Applied, Page};
use serde::Serialize;
use utoipa::ToSchema;

use crate::extract::PageQuery;

/// Marks an answer that was given before.
const REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");

/// One page of a list.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct PageOf<T> {
    /// The items, at most `limit`.
    pub items: Vec<T>,
    /// Where the next page starts; null on the last page.
    #[schema(required)]
    pub next_cursor: Option<String>,
}

impl<T: Serialize> PageOf<T> {
    /// The page as an answer.
    pub fn answer<D>(page: Page<D>, query: PageQuery, item: impl FnMut(D) -> T) -> HttpResponse {
        HttpResponse::Ok().json(Self {
            next_cursor: page.next.map(|cursor| query.encode(cursor)),
            items: page.items.into_iter().map(item).collect(),
        })
    }
}

/// An answer about a thing that operators edit: its version is its tag, for `If-Match`.
pub fn versioned(mut response: HttpResponse, version: i64) -> HttpResponse {
    if let Ok(tag) = HeaderValue::try_from(format!("\"{version}\"")) {
        response.headers_mut().insert(ETAG, tag);
    }
    response
}

/// 201 with the place of what was made.
pub fn created(location: String, body: &impl Serialize) -> HttpResponse {
    HttpResponse::Created().insert_header((LOCATION, location)).json(body)
}

/// Counts a change that was made now.
pub fn count<T>(applied: &Applied<T>, metric: &'static str) {
    if let Applied::Fresh(_) = applied {
        metrics::counter!(metric).increment(1);
    }
}

/// The answer to a change, marked if it was made before: its status and body are a function of
/// the value alone, so a replay differs in nothing else.
pub fn applied<T>(applied: Applied<T>, answer: impl FnOnce(&T) -> HttpResponse) -> HttpResponse {
    let mut response = answer(applied.value());
    if let Applied::Replayed(_) = applied {
        response.headers_mut().insert(REPLAYED, HeaderValue::from_static("true"));
    }
    response
}
