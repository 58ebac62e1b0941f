use std::fmt::Write;

use actix_web::{HttpRequest, web};
use concert_domain::id::MAX_ID;
use concert_domain::{Cursor, Limit, PageRequest};
use sha2::{Digest, Sha256};

use crate::error::{ApiError, ApiResult};

/// The values of one query parameter; parameters of other names are ignored.
pub fn query(request: &HttpRequest, name: &str) -> ApiResult<Vec<String>> {
    let pairs = web::Query::<Vec<(String, String)>>::from_query(request.query_string())
        .map_err(|_| ApiError::invalid(name, "the query string cannot be read"))?;
    let named = pairs.into_inner().into_iter().filter(|(key, _)| key == name);
    Ok(named.map(|(_, value)| value).collect())
}

/// The value of a query parameter that may be given once.
pub fn single(request: &HttpRequest, name: &str) -> ApiResult<Option<String>> {
    let mut values = query(request, name)?;
    if values.len() > 1 {
        return Err(ApiError::invalid(name, "must be given once"));
    }
    Ok(values.pop())
}

/// Reads and writes the cursors of one list. The name of the list goes into their check, so that
/// a cursor of another list is refused instead of answering a senseless page.
#[derive(Debug, Clone, Copy)]
pub struct PageQuery {
    list: &'static str,
}

const CHECK_BYTES: usize = 4;
const CURSOR_BYTES: usize = 16 + CHECK_BYTES;

impl PageQuery {
    /// The pages of a list.
    pub const fn of(list: &'static str) -> Self {
        Self { list }
    }

    /// Which page a request wants.
    pub fn read(self, request: &HttpRequest) -> ApiResult<PageRequest> {
        let limit = match single(request, "limit")? {
            None => Limit::default(),
            Some(text) => text.parse().ok().and_then(Limit::new).ok_or_else(|| {
                ApiError::invalid("limit", format!("must be an integer from 1 to {}", Limit::MAX))
            })?,
        };
        let refuse =
            || ApiError::invalid("cursor", "must be the nextCursor of a page of this list");
        let after = single(request, "cursor")?
            .map(|text| self.decode(&text).ok_or_else(refuse))
            .transpose()?;
        Ok(PageRequest { limit, after })
    }

    /// The cursor as clients see it.
    pub fn encode(self, cursor: Cursor) -> String {
        let place = place(cursor);
        place.iter().chain(&self.check(&place)).fold(String::new(), |mut text, byte| {
            // Writing into a String cannot fail.
            write!(text, "{byte:02x}").ok();
            text
        })
    }

    fn decode(self, text: &str) -> Option<Cursor> {
        // Digits only: the parser of numbers takes a sign as well.
        if text.len() != 2 * CURSOR_BYTES || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return None;
        }
        let mut bytes = [0; CURSOR_BYTES];
        for (index, byte) in bytes.iter_mut().enumerate() {
            *byte = u8::from_str_radix(text.get(2 * index..2 * index + 2)?, 16).ok()?;
        }
        let (place, check) = bytes.split_first_chunk::<16>()?;
        let (key, id) = place.split_first_chunk::<8>()?;
        let cursor =
            Cursor { key: i64::from_be_bytes(*key), id: i64::from_be_bytes(id.try_into().ok()?) };
        let possible = 0..=MAX_ID;
        let right = *check == self.check(place)
            && possible.contains(&cursor.key)
            && possible.contains(&cursor.id);
        right.then_some(cursor)
    }

    fn check(self, place: &[u8; 16]) -> [u8; CHECK_BYTES] {
        let hash: [u8; 32] =
            Sha256::new().chain_update(self.list).chain_update(place).finalize().into();
        [hash[0], hash[1], hash[2], hash[3]]
    }
}

fn place(cursor: Cursor) -> [u8; 16] {
    let mut bytes = [0; 16];
    bytes[..8].copy_from_slice(&cursor.key.to_be_bytes());
    bytes[8..].copy_from_slice(&cursor.id.to_be_bytes());
    bytes
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;

    use super::*;

    const LIST: PageQuery = PageQuery::of("things");

    fn read(query: &str) -> ApiResult<PageRequest> {
        LIST.read(&TestRequest::with_uri(&format!("/things?{query}")).to_http_request())
    }

    #[test]
    fn a_cursor_reads_back_in_its_own_list_only() {
        let cursor = Cursor { key: 1_777_629_600_123, id: MAX_ID };
        let text = LIST.encode(cursor);
        assert_eq!(read(&format!("cursor={text}")).unwrap().after, Some(cursor));
        assert_eq!(PageQuery::of("others").decode(&text), None);
    }

    #[test]
    fn a_cursor_that_was_made_up_is_refused() {
        let good = LIST.encode(Cursor { key: 5, id: 9 });
        let changed = good.replace('9', "8");
        let negative = LIST.encode(Cursor { key: -1, id: 9 });
        for bad in ["", "abc", "%ff", &"0".repeat(40), &"g".repeat(40), &changed, &negative] {
            let refusal = read(&format!("cursor={bad}")).unwrap_err();
            assert_eq!(refusal.fields()[0].field, "cursor", "{bad}");
        }
    }

    #[test]
    fn limits_are_bounded_and_given_once() {
        assert_eq!(read("").unwrap(), PageRequest::default());
        assert_eq!(read("limit=100&other=1").unwrap().limit.get(), 100);
        for bad in ["limit=0", "limit=101", "limit=-1", "limit=x", "limit=", "limit=1&limit=1"] {
            assert_eq!(read(bad).unwrap_err().fields()[0].field, "limit", "{bad}");
        }
    }
}
