//! What travels beside an event: who asked for it, and the trace that it belongs to.

use std::collections::BTreeMap;

/// The header with the name that the request had that made the event.
pub const REQUEST_ID: &str = "x-request-id";
/// The header with the place in a trace (W3C trace context).
pub const TRACEPARENT: &str = "traceparent";
/// The header with what tracing systems add to that place.
pub const TRACESTATE: &str = "tracestate";

/// Bounds, so that a foreign record cannot fill a store.
const MOST: usize = 8;
const LONGEST_NAME: usize = 64;
const LONGEST_VALUE: usize = 512;

/// A few short texts by name. They help operators and decide nothing, so one that breaks the
/// bounds is left out rather than refused.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Headers(BTreeMap<String, String>);

impl Headers {
    /// Adds one, if it fits: a name of visible ASCII characters and a printable ASCII value.
    pub fn put(&mut self, name: &str, value: &str) {
        let named = (1..=LONGEST_NAME).contains(&name.len())
            && name.bytes().all(|byte| byte.is_ascii_graphic());
        let printable = value.bytes().all(|byte| byte.is_ascii_graphic() || byte == b' ');
        if named && printable && value.len() <= LONGEST_VALUE && self.0.len() < MOST {
            self.0.insert(name.to_owned(), value.to_owned());
        }
    }

    /// The value of this name.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    /// All of them, by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// As a store keeps them: a JSON object, or nothing if there are none.
    pub fn to_text(&self) -> Option<String> {
        if self.0.is_empty() { None } else { serde_json::to_string(&self.0).ok() }
    }

    /// What a store has kept. Rows of releases that knew no headers have none.
    pub fn from_text(text: Option<&str>) -> Self {
        let kept =
            text.and_then(|text| serde_json::from_str::<BTreeMap<String, String>>(text).ok());
        kept.unwrap_or_default().iter().map(|(n, v)| (n.as_str(), v.as_str())).collect()
    }
}

impl<'a> FromIterator<(&'a str, &'a str)> for Headers {
    fn from_iter<T: IntoIterator<Item = (&'a str, &'a str)>>(pairs: T) -> Self {
        let mut headers = Self::default();
        pairs.into_iter().for_each(|(name, value)| headers.put(name, value));
        headers
    }
}

/// The request that an event comes from.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Origin {
    /// The request's name.
    pub request_id: Option<String>,
    /// The place in a trace.
    pub traceparent: Option<String>,
    /// What tracing systems add to it.
    pub tracestate: Option<String>,
}

impl Origin {
    /// What an event takes along.
    pub fn headers(&self) -> Headers {
        let all = [
            (REQUEST_ID, &self.request_id),
            (TRACEPARENT, &self.traceparent),
            (TRACESTATE, &self.tracestate),
        ];
        all.into_iter().filter_map(|(name, value)| Some((name, value.as_deref()?))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_breaks_the_bounds_is_left_out() {
        let long = "v".repeat(LONGEST_VALUE + 1);
        let odd = [("", "v"), ("two words", "v"), ("n", "line\nbreak"), ("n", "키"), ("n", &*long)];
        assert_eq!(odd.into_iter().collect::<Headers>(), Headers::default());
        let names: Vec<_> = (0..20).map(|n| n.to_string()).collect();
        let many: Headers = names.iter().map(|name| (name.as_str(), "v")).collect();
        assert_eq!(many.iter().count(), MOST);
    }

    #[test]
    fn a_store_keeps_them_as_text_and_rows_of_old_have_none() {
        let headers: Headers =
            [("traceparent", "00-1-2-01"), ("x", "a \"b\"")].into_iter().collect();
        assert_eq!(Headers::from_text(headers.to_text().as_deref()), headers);
        assert_eq!(Headers::default().to_text(), None);
        for old in [None, Some("nonsense"), Some("[1]")] {
            assert_eq!(Headers::from_text(old), Headers::default());
        }
    }
}
