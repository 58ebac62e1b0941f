use serde::Serialize;
use sha2::{Digest, Sha256};

use crate::cache::Value;
use crate::{ConcertId, Error, Result};

const CONCERT: usize = 8;
const TAG: usize = 34;
const BODY_AT: usize = CONCERT + TAG;

/// How an answer is written; the name tells it from other ways to write the same.
#[derive(Debug, Clone, Copy)]
pub struct Form<T> {
    /// Its name, of which there is one for each way.
    pub name: &'static str,
    /// Writes the answer.
    pub write: fn(&T) -> Result<Vec<u8>>,
}

/// An answer as it goes to a client, with a tag that names its content. It is made once, by
/// whoever read the store, and then only handed on.
///
/// The tag is a digest, and not the generation of the list: two reads under one generation may
/// differ, when a hold ended between them or a change was committed and not yet announced.
#[derive(Debug, Clone)]
pub struct Finished(Value);

impl Finished {
    /// As bytes for a cache: the concert, the tag, the body.
    pub(super) fn pack(concert: ConcertId, body: &[u8]) -> Vec<u8> {
        let mut packed = Vec::with_capacity(BODY_AT + body.len());
        packed.extend_from_slice(&concert.get().to_be_bytes());
        packed.push(b'"');
        for byte in &Sha256::digest(body)[..16] {
            packed.extend(
                [byte >> 4, byte & 15].map(|digit| b"0123456789abcdef"[usize::from(digit)]),
            );
        }
        packed.push(b'"');
        packed.extend_from_slice(body);
        packed
    }

    /// From bytes that [`Finished::pack`] made.
    pub(super) fn unpack(packed: Value) -> Result<Self> {
        if packed.len() < BODY_AT {
            return Err(Error::bug("a copy is cut off"));
        }
        Ok(Self(packed))
    }

    /// The concert that the answer is about.
    pub(super) fn is_of(&self, concert: ConcertId) -> bool {
        self.0[..CONCERT] == concert.get().to_be_bytes()
    }

    /// The strong entity tag, quotes included.
    pub fn tag(&self) -> &[u8] {
        &self.0[CONCERT..BODY_AT]
    }

    /// The body.
    pub fn body(&self) -> &[u8] {
        &self.0[BODY_AT..]
    }
}

/// The body, so that it can be handed on without a copy.
impl AsRef<[u8]> for Finished {
    fn as_ref(&self) -> &[u8] {
        self.body()
    }
}

/// The form in which use cases read a list themselves.
pub(super) fn plain<T: Serialize>() -> Form<T> {
    Form { name: "plain", write: to_json }
}

/// A value as JSON.
pub(super) fn to_json<T: Serialize>(value: &T) -> Result<Vec<u8>> {
    serde_json::to_vec(value).map_err(|error| Error::bug(error.to_string()))
}

/// A value from what [`to_json`] wrote.
pub(super) fn from_json<T: serde::de::DeserializeOwned>(bytes: &[u8]) -> Result<T> {
    serde_json::from_slice(bytes).map_err(|error| Error::bug(error.to_string()))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    fn finished(concert: i64, body: &[u8]) -> Finished {
        let concert = ConcertId::try_from(concert).unwrap();
        Finished::unpack(Arc::new(Finished::pack(concert, body))).unwrap()
    }

    #[test]
    fn an_answer_is_whole_after_the_cache() {
        let answer = finished(7, b"[1,2]");
        assert_eq!(answer.body(), b"[1,2]");
        assert!(answer.is_of(7.try_into().unwrap()) && !answer.is_of(8.try_into().unwrap()));
        assert!(Finished::unpack(Value::default()).is_err());
    }

    #[test]
    fn a_tag_names_one_content() {
        let tag = finished(7, b"[1,2]").tag().to_vec();
        assert_eq!((tag.len(), tag[0], tag[33]), (34, b'"', b'"'));
        assert_eq!(finished(7, b"[1,2]").tag(), tag);
        assert_ne!(finished(7, b"[1,3]").tag(), tag);
    }
}
