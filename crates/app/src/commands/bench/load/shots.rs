use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

/// Requests that were made beforehand and are given out in order.
#[derive(Debug)]
pub(in super::super) struct Shots {
    requests: Vec<Vec<u8>>,
    next: AtomicUsize,
    once: bool,
    /// Good answers, if they are wanted.
    kept: Option<Mutex<Vec<Kept>>>,
}

/// The number of a request, and the body of its answer.
type Kept = (usize, Vec<u8>);

impl Shots {
    /// Each of them once.
    pub(in super::super) fn once(requests: Vec<Vec<u8>>) -> Self {
        Self { requests, next: AtomicUsize::new(0), once: true, kept: None }
    }

    /// Again and again, from the first to the last.
    pub(in super::super) fn again(requests: Vec<Vec<u8>>) -> Self {
        Self { once: false, ..Self::once(requests) }
    }

    /// The same, and good answers are kept.
    pub(in super::super) fn keeping(self) -> Self {
        Self { kept: Some(Mutex::default()), ..self }
    }

    /// The number of the next request; `None` when there is none left.
    pub(super) fn take(&self) -> Option<usize> {
        let next = self.next.fetch_add(1, Ordering::Relaxed);
        let count = self.requests.len();
        if self.once { (next < count).then_some(next) } else { next.checked_rem(count) }
    }

    pub(super) fn bytes(&self, number: usize) -> &[u8] {
        &self.requests[number]
    }

    pub(super) fn answered(&self, number: usize, body: &[u8]) {
        if let Some(kept) = &self.kept {
            kept.lock().unwrap_or_else(PoisonError::into_inner).push((number, body.to_vec()));
        }
    }

    /// The answers that were kept.
    pub(in super::super) fn answers(&self) -> Vec<Kept> {
        let kept = self
            .kept
            .as_ref()
            .map(|kept| std::mem::take(&mut *kept.lock().unwrap_or_else(PoisonError::into_inner)));
        kept.unwrap_or_default()
    }
}

/// A request without a body.
pub(in crate::commands) fn get(path: &str, token: &str) -> Vec<u8> {
    request("GET", path, token, "", None)
}

/// A request; `headers` are whole lines.
pub(in super::super) fn request(
    method: &str,
    path: &str,
    token: &str,
    headers: &str,
    body: Option<&str>,
) -> Vec<u8> {
    let mut text = format!("{method} {path} HTTP/1.1\r\nhost: bench\r\n{headers}");
    if !token.is_empty() {
        text.push_str(&format!("concert-queue-token: {token}\r\n"));
    }
    if let Some(body) = body {
        let length = body.len();
        text.push_str(&format!("content-type: application/json\r\ncontent-length: {length}\r\n"));
    }
    text.push_str("\r\n");
    text.push_str(body.unwrap_or_default());
    text.into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_given_out_once_or_again() {
        let requests = || vec![get("/a", ""), get("/b", "")];
        let once = Shots::once(requests());
        assert_eq!([once.take(), once.take(), once.take()], [Some(0), Some(1), None]);
        let again = Shots::again(requests());
        assert_eq!([again.take(), again.take(), again.take()], [Some(0), Some(1), Some(0)]);
        assert_eq!(Shots::again(Vec::new()).take(), None);
    }

    #[test]
    fn answers_are_kept_if_they_are_wanted() {
        let shots = Shots::once(vec![get("/a", "")]).keeping();
        shots.answered(0, b"yes");
        assert_eq!(shots.answers(), [(0, b"yes".to_vec())]);
        let careless = Shots::once(vec![get("/a", "")]);
        careless.answered(0, b"yes");
        assert!(careless.answers().is_empty());
    }

    #[test]
    fn a_request_says_its_length() {
        let bytes = request("POST", "/p", "abc", "x: y\r\n", Some("{}"));
        let text = String::from_utf8(bytes).unwrap();
        assert_eq!(
            text,
            "POST /p HTTP/1.1\r\nhost: bench\r\nx: y\r\nconcert-queue-token: abc\r\n\
             content-type: application/json\r\ncontent-length: 2\r\n\r\n{}"
        );
    }
}
