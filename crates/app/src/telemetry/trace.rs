//! W3C trace context: taken from requests, given to events, followed from records.

use std::str::FromStr;
use std::sync::atomic::{AtomicBool, Ordering};

use actix_web::http::header::HeaderMap;
use concert_domain::event::{Headers, TRACEPARENT, TRACESTATE};
use opentelemetry::Context;
use opentelemetry::trace::{SpanContext, SpanId, TraceContextExt, TraceFlags, TraceId, TraceState};
use tracing::Span;
use tracing_opentelemetry::OpenTelemetrySpanExt;

static EXPORTED: AtomicBool = AtomicBool::new(false);

/// Whether spans go to a collector. If not, nothing is spent on them.
pub fn is_exported() -> bool {
    EXPORTED.load(Ordering::Relaxed)
}

pub(super) fn exported() {
    EXPORTED.store(true, Ordering::Relaxed);
}

/// Makes the span a part of the trace that the request came with, if there is one.
pub fn follow(span: &Span, headers: &HeaderMap) {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
    if let Some(context) = text(TRACEPARENT).and_then(|parent| read(parent, text(TRACESTATE))) {
        span.set_parent(Context::new().with_remote_span_context(context)).ok();
    }
}

/// Points from the span to the one that wrote the record. A link, no parent: the one ended long
/// ago, and a batch has many.
pub fn link(span: &Span, headers: &Headers) {
    let parent = headers.get(TRACEPARENT);
    if let Some(context) = parent.and_then(|parent| read(parent, headers.get(TRACESTATE))) {
        span.add_link(context);
    }
}

/// The place of the current span, as others are told: `traceparent` and `tracestate`.
pub fn here() -> Option<(String, String)> {
    let context = Span::current().context();
    let context = context.span().span_context().clone();
    context.is_valid().then(|| {
        let flags = context.trace_flags().to_u8();
        let parent = format!("00-{}-{}-{flags:02x}", context.trace_id(), context.span_id());
        (parent, context.trace_state().header())
    })
}

/// Reads `00-TRACE-SPAN-FLAGS`; a later version may have more parts behind these.
fn read(parent: &str, state: Option<&str>) -> Option<SpanContext> {
    let (version, rest) = parent.split_once('-')?;
    let fits = match version {
        "00" => parent.len() == 55,
        "ff" => false,
        later => {
            later.len() == 2 && (parent.len() == 55 || parent.as_bytes().get(55) == Some(&b'-'))
        }
    };
    let lower = parent.bytes().take(55).all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f' | b'-'));
    let mut parts = rest.split('-');
    let (trace, span, flags) = (parts.next()?, parts.next()?, parts.next()?);
    if !fits || !lower || [trace.len(), span.len(), flags.len()] != [32, 16, 2] {
        return None;
    }
    let context = SpanContext::new(
        TraceId::from_hex(trace).ok()?,
        SpanId::from_hex(span).ok()?,
        TraceFlags::new(u8::from_str_radix(flags, 16).ok()? & 1),
        true,
        state.and_then(|state| TraceState::from_str(state).ok()).unwrap_or_default(),
    );
    context.is_valid().then_some(context)
}

/// Whether this is a place in a trace.
pub fn is_traceparent(text: &str) -> bool {
    read(text, None).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    #[test]
    fn a_place_in_a_trace_is_read() {
        let context = read(PARENT, Some("a=1,b=2")).unwrap();
        assert_eq!(context.trace_id().to_string(), "0af7651916cd43dd8448eb211c80319c");
        assert_eq!(context.span_id().to_string(), "b7ad6b7169203331");
        assert!(context.is_sampled() && context.is_remote());
        assert_eq!(context.trace_state().header(), "a=1,b=2");
        let later = PARENT.replacen("00", "01", 1);
        assert!(is_traceparent(&later) && is_traceparent(&format!("{later}-more")));
    }

    #[test]
    fn what_is_none_is_not() {
        let zero = format!("00-{}-b7ad6b7169203331-01", "0".repeat(32));
        let short = PARENT.replace("-b7", "-");
        let more = format!("{PARENT}-more");
        let upper = PARENT.to_uppercase();
        let forbidden = PARENT.replacen("00", "ff", 1);
        for bad in ["", "00", "00-", "0--", &upper, &forbidden, &zero, &short, &more, "키-"] {
            assert!(!is_traceparent(bad), "{bad:?}");
        }
    }
}
