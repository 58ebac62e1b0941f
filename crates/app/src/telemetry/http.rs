//! Counting requests without making labels anew for each.

use std::cell::RefCell;
use std::collections::HashMap;
use std::time::Duration;

use actix_web::http::StatusCode;
use metrics::{Counter, Histogram};

struct Series {
    method: &'static str,
    status: StatusCode,
    count: Counter,
    time: Histogram,
}

thread_local! {
    /// By route pattern. Bounded, because methods, patterns and statuses are.
    static KNOWN: RefCell<HashMap<String, Vec<Series>>> = RefCell::default();
}

/// Counts a request and its time.
pub fn count_request(method: &'static str, route: &str, status: StatusCode, took: Duration) {
    KNOWN.with_borrow_mut(|known| {
        if !known.contains_key(route) {
            known.insert(route.to_owned(), Vec::new());
        }
        let Some(routes) = known.get_mut(route) else { return };
        let at = routes.iter().position(|s| s.status == status && s.method == method);
        let at = at.unwrap_or_else(|| {
            routes.push(Series::new(method, route, status));
            routes.len() - 1
        });
        routes[at].count.increment(1);
        routes[at].time.record(took);
    });
}

impl Series {
    fn new(method: &'static str, route: &str, status: StatusCode) -> Self {
        let labels = [
            ("method", method.to_owned()),
            ("route", route.to_owned()),
            ("status", status.as_str().to_owned()),
        ];
        Self {
            method,
            status,
            count: metrics::counter!("http_requests_total", &labels),
            time: metrics::histogram!("http_request_duration_seconds", &labels),
        }
    }
}
