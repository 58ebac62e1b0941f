use actix_web::HttpRequest;
use concert_domain::event::{Origin, TRACEPARENT, TRACESTATE};

/// The header in which a request says its name, and in which the answer repeats it.
pub const REQUEST_ID_HEADER: &str = "X-Request-Id";
/// Names that are longer are not taken over.
const LONGEST: usize = 128;

/// Where the request comes from, for the events that it makes. Nothing of it is worth a refusal:
/// what is not well formed counts as absent.
pub fn origin(request: &HttpRequest) -> Origin {
    let traceparent = only(request, TRACEPARENT).filter(|text| is_traceparent(text));
    let tracestate = only(request, TRACESTATE).filter(|_| traceparent.is_some());
    Origin {
        request_id: only(request, REQUEST_ID_HEADER)
            .filter(|id| is_request_id(id))
            .map(str::to_owned),
        traceparent: traceparent.map(str::to_owned),
        tracestate: tracestate.map(str::to_owned),
    }
}

/// A request's name is 1 to 128 visible ASCII characters.
pub fn is_request_id(text: &str) -> bool {
    (1..=LONGEST).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic())
}

/// The first version of W3C trace context: `00-TRACE-PARENT-FLAGS` in lower-case hexadecimal.
pub fn is_traceparent(text: &str) -> bool {
    let parts: Vec<&str> = text.split('-').collect();
    let hex = |part: &str, length| {
        part.len() == length && part.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
    };
    let id = |part: &str, length| hex(part, length) && part.bytes().any(|b| b != b'0');
    matches!(parts[..], ["00", trace, parent, flags]
        if id(trace, 32) && id(parent, 16) && hex(flags, 2))
}

/// The value of a header that was sent once and is text.
fn only<'a>(request: &'a HttpRequest, name: &'static str) -> Option<&'a str> {
    let mut values = request.headers().get_all(name);
    let first = values.next()?;
    if values.next().is_some() { None } else { first.to_str().ok() }
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;

    use super::*;

    const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    #[test]
    fn what_is_well_formed_is_taken_and_the_rest_counts_as_absent() {
        let request = TestRequest::post()
            .insert_header((REQUEST_ID_HEADER, "abc"))
            .insert_header((TRACEPARENT, PARENT))
            .insert_header((TRACESTATE, "vendor=1"));
        let told = origin(&request.to_http_request());
        assert_eq!(told.request_id.as_deref(), Some("abc"));
        assert_eq!(told.traceparent.as_deref(), Some(PARENT));
        assert_eq!(told.tracestate.as_deref(), Some("vendor=1"));
        let request = TestRequest::post()
            .insert_header((REQUEST_ID_HEADER, "two words"))
            .insert_header((TRACEPARENT, "01"))
            .insert_header((TRACESTATE, "vendor=1"));
        assert_eq!(origin(&request.to_http_request()), Origin::default());
    }

    #[test]
    fn a_name_is_visible_and_short() {
        assert!(is_request_id(&"x".repeat(128)));
        for bad in ["", "a b", "a\tb", "키", &"x".repeat(129)] {
            assert!(!is_request_id(bad), "{bad:?}");
        }
    }

    #[test]
    fn a_place_in_a_trace_has_one_form() {
        assert!(is_traceparent(PARENT));
        let zero = format!("00-{}-b7ad6b7169203331-01", "0".repeat(32));
        let short = PARENT.replace("-b7", "-");
        for bad in ["", "00", &PARENT.to_uppercase(), &PARENT.replace("00-", "ff-"), &zero, &short]
        {
            assert!(!is_traceparent(bad), "{bad:?}");
        }
    }
}
