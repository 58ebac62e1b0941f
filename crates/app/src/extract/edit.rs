use actix_web::http::header::IF_MATCH;
use actix_web::{HttpMessage, HttpRequest};
use concert_domain::audit::{Condition, Edit, Editor};

use super::Caller;
use crate::error::{ApiError, ApiResult};
use crate::request_id::RequestId;

/// A change that an operator asks for: who asks, and on which versions it may be made.
pub fn edit(request: &HttpRequest, caller: &Caller) -> ApiResult<Edit> {
    caller.admin()?;
    let request_id = request.extensions().get::<RequestId>().map(|id| id.as_str().to_owned());
    let editor = Editor { user: caller.known(), request_id };
    Ok(Edit { editor, condition: condition(request)? })
}

/// What `If-Match` says (RFC 9110). Without it, or with `*`, whichever version there is will do: a
/// thing that is not there is refused as missing before any condition is looked at.
fn condition(request: &HttpRequest) -> ApiResult<Condition> {
    let mut lines = request.headers().get_all(IF_MATCH).map(|value| value.as_bytes()).peekable();
    if lines.peek().is_none() {
        return Ok(Condition::Always);
    }
    let text = lines.collect::<Vec<_>>().join(&b',');
    if text.trim_ascii() == b"*" {
        return Ok(Condition::Always);
    }
    let refuse = || ApiError::invalid("If-Match", "must be * or entity tags such as \"3\"");
    tags(&text).map(Condition::OneOf).ok_or_else(refuse)
}

/// The versions in a list of entity tags; `None` if it is none. A weak tag and one that is not ours
/// are well formed, and match nothing.
fn tags(mut text: &[u8]) -> Option<Vec<i64>> {
    let (mut versions, mut found) = (Vec::new(), false);
    loop {
        text = text.trim_ascii_start();
        match text {
            [] => return found.then_some(versions),
            [b',', rest @ ..] => {
                text = rest;
                continue;
            }
            _ => {}
        }
        let weak = text.starts_with(b"W/");
        let opened = text.strip_prefix(b"W/").unwrap_or(text).strip_prefix(b"\"")?;
        let end = opened.iter().position(|byte| *byte == b'"')?;
        let (tag, rest) = (&opened[..end], opened[end + 1..].trim_ascii_start());
        if !tag.iter().all(|byte| matches!(byte, 0x21..=0x7e | 0x80..)) {
            return None;
        }
        let version = std::str::from_utf8(tag).ok().and_then(|tag| tag.parse::<i64>().ok());
        versions.extend(version.filter(|version| !weak && version.to_string().as_bytes() == tag));
        found = true;
        text = match rest {
            [] => rest,
            [b',', rest @ ..] => rest,
            _ => return None,
        };
    }
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;

    use super::*;

    fn of(lines: &[&str]) -> ApiResult<Condition> {
        let request = lines
            .iter()
            .fold(TestRequest::patch(), |request, line| request.append_header((IF_MATCH, *line)));
        condition(&request.to_http_request())
    }

    #[test]
    fn versions_are_read_as_strong_tags() {
        assert_eq!(of(&[]), Ok(Condition::Always));
        assert_eq!(of(&[" * "]), Ok(Condition::Always));
        for (lines, versions) in [
            (&["\"3\""][..], &[3][..]),
            (&["\"3\", \"12\""], &[3, 12]),
            (&["\"3\"", ",\"4\","], &[3, 4]),
            (&["W/\"3\""], &[]),
            (&["\"\""], &[]),
            (&["\"other,3\", \"5\""], &[5]),
            (&["\"03\""], &[]),
            (&["\"+3\""], &[]),
        ] {
            assert_eq!(of(lines), Ok(Condition::OneOf(versions.to_vec())), "{lines:?}");
        }
    }

    #[test]
    fn what_is_no_list_of_tags_is_refused() {
        for bad in
            ["", ",", "3", "\"3", "3\"", "\"3\" \"4\"", "w/\"3\"", "*, \"3\"", "\"a b\"", "\"3\"x"]
        {
            assert_eq!(of(&[bad]).unwrap_err().fields()[0].field, "If-Match", "{bad}");
        }
        assert!(of(&["*", "\"3\""]).is_err());
    }
}
