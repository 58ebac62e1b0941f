use actix_web::{HttpMessage, HttpRequest};
use concert_domain::event::{Origin, TRACEPARENT, TRACESTATE};

use crate::request_id::RequestId;
use crate::telemetry::trace;

/// Where the request comes from, for the events that it makes: its name, and its place in a trace:
/// that of its span if spans are exported, else the one that it came with. Nothing of it is worth a
/// refusal: what is not well formed counts as absent.
pub fn origin(request: &HttpRequest) -> Origin {
    let request_id = request.extensions().get::<RequestId>().map(|id| id.as_str().to_owned());
    if let Some((parent, state)) = trace::is_exported().then(trace::here).flatten() {
        let tracestate = Some(state).filter(|state| !state.is_empty());
        return Origin { request_id, traceparent: Some(parent), tracestate };
    }
    let traceparent = only(request, TRACEPARENT).filter(|text| trace::is_traceparent(text));
    let tracestate = only(request, TRACESTATE).filter(|_| traceparent.is_some());
    Origin {
        request_id,
        traceparent: traceparent.map(str::to_owned),
        tracestate: tracestate.map(str::to_owned),
    }
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

    fn of(parent: &str) -> Origin {
        let request = TestRequest::post()
            .insert_header((TRACEPARENT, parent))
            .insert_header((TRACESTATE, "vendor=1"))
            .to_http_request();
        request.extensions_mut().insert(RequestId::fresh());
        origin(&request)
    }

    #[test]
    fn what_is_well_formed_is_taken_and_the_rest_counts_as_absent() {
        let told = of(PARENT);
        assert_eq!(told.request_id.map(|id| id.len()), Some(32));
        assert_eq!(told.traceparent.as_deref(), Some(PARENT));
        assert_eq!(told.tracestate.as_deref(), Some("vendor=1"));
        let told = of("nonsense");
        assert_eq!((told.traceparent, told.tracestate), (None, None));
    }
}
