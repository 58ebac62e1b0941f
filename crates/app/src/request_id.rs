//! The name of a request: in its answer, in its refusal, in its log lines and in its events.

use std::cell::RefCell;
use std::hash::{BuildHasher, RandomState};

use actix_web::http::header::{HeaderMap, HeaderName, HeaderValue};

/// The header in which a request says its name, and in which the answer repeats it.
pub const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// A longer name is not taken over.
const LONGEST: usize = 128;

/// A request's name: visible ASCII, so that it can stand in a header and in a log line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestId(Name);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Name {
    Brought(HeaderValue),
    /// In place, so that making and copying it takes no memory.
    Made([u8; 32]),
}

impl RequestId {
    /// The one that the request brought, if there is one and it is well formed; else a fresh one.
    pub fn of(headers: &HeaderMap) -> Self {
        let mut brought = headers.get_all(REQUEST_ID);
        match (brought.next(), brought.next()) {
            (Some(value), None) if is_well_formed(value.as_bytes()) => {
                Self(Name::Brought(value.clone()))
            }
            _ => Self::fresh(),
        }
    }

    /// 128 random bits as hexadecimal digits. It is a name, not a secret: each thread has a generator
    /// of its own, so that no request waits for the operating system's.
    pub fn fresh() -> Self {
        thread_local! {
            static STATE: RefCell<[u64; 2]> = RefCell::new([seed(), seed()]);
        }
        let [high, low] = STATE.with_borrow_mut(|state| state.each_mut().map(next));
        let mut digits = [0; 32];
        let bytes = (u128::from(high) << 64 | u128::from(low)).to_be_bytes();
        for (pair, byte) in digits.chunks_exact_mut(2).zip(bytes) {
            pair[0] = DIGITS[usize::from(byte >> 4)];
            pair[1] = DIGITS[usize::from(byte & 15)];
        }
        Self(Name::Made(digits))
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        match &self.0 {
            Name::Brought(value) => value.to_str().unwrap_or_default(),
            Name::Made(digits) => std::str::from_utf8(digits).unwrap_or_default(),
        }
    }

    /// The name as the answer carries it.
    pub fn to_header(&self) -> HeaderValue {
        match &self.0 {
            Name::Brought(value) => value.clone(),
            Name::Made(digits) => {
                HeaderValue::from_bytes(digits).unwrap_or(HeaderValue::from_static("unknown"))
            }
        }
    }
}

const DIGITS: &[u8; 16] = b"0123456789abcdef";

fn is_well_formed(text: &[u8]) -> bool {
    (1..=LONGEST).contains(&text.len()) && text.iter().all(u8::is_ascii_graphic)
}

/// From the randomness that the standard library takes for its tables.
fn seed() -> u64 {
    RandomState::new().hash_one(std::process::id())
}

/// SplitMix64: two words of state are two independent streams.
fn next(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mixed = (*state ^ (*state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    fn of(values: &[&str]) -> RequestId {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(REQUEST_ID, HeaderValue::from_bytes(value.as_bytes()).unwrap());
        }
        RequestId::of(&headers)
    }

    #[test]
    fn a_well_formed_name_is_taken_over() {
        let longest = "x".repeat(LONGEST);
        for good in ["a", "f81d4fae-7dec-11d0-a765-00a0c91e6bf6", &longest] {
            assert_eq!(of(&[good]).as_str(), good);
        }
    }

    #[test]
    fn any_other_is_replaced() {
        let long = "x".repeat(LONGEST + 1);
        for bad in [&[][..], &[""], &["two words"], &["키"], &[&long], &["a", "a"]] {
            let made = of(bad);
            assert_eq!(made.as_str().len(), 32, "{bad:?}");
            assert!(made.as_str().bytes().all(|byte| byte.is_ascii_hexdigit()));
        }
    }

    #[test]
    fn fresh_names_differ_in_and_between_threads() {
        let some = || (0..1_000).map(|_| RequestId::fresh().as_str().to_owned());
        let threads: Vec<_> =
            (0..4).map(|_| std::thread::spawn(move || some().collect::<Vec<_>>())).collect();
        let mut names: Vec<String> = threads.into_iter().flat_map(|t| t.join().unwrap()).collect();
        names.extend(some());
        assert_eq!(names.iter().collect::<HashSet<_>>().len(), 5_000);
    }
}
