use std::convert::Infallible;
use std::fmt;
use std::marker::PhantomData;
use std::time::Duration;

use actix_web::dev::Payload;
use actix_web::http::header::{CONTENT_ENCODING, CONTENT_LENGTH};
use actix_web::web::{Bytes, BytesMut};
use actix_web::{FromRequest, HttpMessage, HttpRequest};
use futures::StreamExt;
use futures::future::{FutureExt, LocalBoxFuture};
use serde::de::value::MapAccessDeserializer;
use serde::de::{DeserializeOwned, IntoDeserializer, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::error::Category;

use crate::error::{ApiError, ApiResult, ErrorCode};
use crate::middleware::Admission;

/// The largest body in bytes.
const DEFAULT_LIMIT: usize = 64 * 1024;
/// How long a client may take to begin a body, and how many bytes a second it sends at least: who
/// sends a byte now and then would else keep a handler for ever.
const BODY_GRACE: Duration = Duration::from_secs(10);
const SLOWEST_BODY: usize = 64 * 1024;
/// How deep arrays and objects may lie in one another.
const MAX_DEPTH: usize = 128;
/// How much of a parser's message is passed on; it may quote the client's own text at length.
const MAX_MESSAGE: usize = 200;

/// The body of a request, read and not yet understood.
#[derive(Debug)]
pub struct Body<const LIMIT: usize = DEFAULT_LIMIT>(pub(super) ApiResult<Bytes>);

impl<const LIMIT: usize> Body<LIMIT> {
    /// The JSON object in the body.
    pub fn json<T: DeserializeOwned>(&self) -> ApiResult<T> {
        parse(self.0.as_ref().map_err(Clone::clone)?)
    }
}

impl<const LIMIT: usize> FromRequest for Body<LIMIT> {
    type Error = Infallible;
    type Future = LocalBoxFuture<'static, Result<Self, Infallible>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let body = receive::<LIMIT>(request, payload, &[Media::Json]);
        async move { Ok(Self(body.await.map(|(_, bytes)| bytes))) }.boxed_local()
    }
}

/// What a body is written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Media {
    Json,
    Csv,
}

impl Media {
    fn name(self) -> &'static str {
        match self {
            Self::Json => "application/json",
            Self::Csv => "text/csv",
        }
    }
}

/// Reads a body of one of these kinds.
pub(super) fn receive<const LIMIT: usize>(
    request: &HttpRequest,
    payload: &mut Payload,
    kinds: &'static [Media],
) -> LocalBoxFuture<'static, ApiResult<(Media, Bytes)>> {
    let announced = check_size::<LIMIT>(request).and_then(|()| check_type(request, kinds));
    let payload = payload.take();
    let admission = request.extensions().get::<Admission>().cloned();
    async move {
        let read = match announced {
            Ok(media) => read::<LIMIT>(payload).await.map(|bytes| (media, bytes)),
            Err(refusal) => Err(refusal),
        };
        // Only now: a slow sender takes nobody's place.
        let entered = match admission {
            Some(admission) => admission.enter().await,
            None => Ok(()),
        };
        entered.and(read)
    }
    .boxed_local()
}

fn check_size<const LIMIT: usize>(request: &HttpRequest) -> ApiResult<()> {
    let length = request.headers().get(CONTENT_LENGTH).and_then(|value| value.to_str().ok());
    match length.and_then(|text| text.parse::<u64>().ok()) {
        Some(length) if length > LIMIT as u64 => Err(too_large(LIMIT)),
        _ => Ok(()),
    }
}

fn check_type(request: &HttpRequest, kinds: &[Media]) -> ApiResult<Media> {
    let refuse = |detail| Err(ApiError::new(ErrorCode::UnsupportedMediaType, detail));
    let encoded = request.headers().get(CONTENT_ENCODING);
    if encoded.is_some_and(|encoding| !encoding.as_bytes().eq_ignore_ascii_case(b"identity")) {
        return refuse("the body must be sent without a content encoding".to_owned());
    }
    let mime = request.mime_type().ok().flatten();
    let charset = mime.as_ref().and_then(|mime| mime.get_param("charset"));
    let essence = mime.as_ref().map(|mime| mime.essence_str());
    match kinds.iter().find(|kind| essence == Some(kind.name())) {
        Some(kind) if charset.is_none_or(|charset| charset == "utf-8") => Ok(*kind),
        _ => {
            let names: Vec<_> = kinds.iter().map(|kind| kind.name()).collect();
            refuse(format!("the body must be {} in UTF-8", names.join(" or ")))
        }
    }
}

async fn read<const LIMIT: usize>(payload: Payload) -> ApiResult<Bytes> {
    let deadline = BODY_GRACE + Duration::from_secs((LIMIT / SLOWEST_BODY) as u64);
    match tokio::time::timeout(deadline, collect(payload, LIMIT)).await {
        Ok(read) => read,
        Err(_) => {
            let message = format!("must arrive within {} seconds", deadline.as_secs());
            Err(ApiError::invalid("body", message))
        }
    }
}

/// All of a body, in no more room than it needs: the server's own way takes 32 KiB for each, which
/// with a thousand requests under way was more than all the rest of the process.
async fn collect(mut payload: Payload, limit: usize) -> ApiResult<Bytes> {
    let mut whole = Bytes::new();
    while let Some(piece) = payload.next().await {
        let piece = piece.map_err(|_| ApiError::invalid("body", "could not be read to its end"))?;
        if piece.len() > limit - whole.len() {
            return Err(too_large(limit));
        }
        // Most have one piece, which is not copied.
        whole = if whole.is_empty() { piece } else { joined(whole, &piece) };
    }
    Ok(whole)
}

fn joined(first: Bytes, second: &[u8]) -> Bytes {
    let mut both = BytesMut::from(first);
    both.extend_from_slice(second);
    both.freeze()
}

fn too_large(limit: usize) -> ApiError {
    let detail = format!("the body must not be larger than {} KiB", limit / 1024);
    ApiError::new(ErrorCode::PayloadTooLarge, detail)
}

fn parse<T: DeserializeOwned>(bytes: &[u8]) -> ApiResult<T> {
    // The parser skips over members that nobody asks for without looking at their characters or
    // their depth.
    let text =
        std::str::from_utf8(bytes).map_err(|_| ApiError::invalid("body", "must be UTF-8"))?;
    if depth(text) > MAX_DEPTH {
        let message = format!("must not be nested deeper than {MAX_DEPTH}");
        return Err(ApiError::invalid("body", message));
    }
    let mut json = serde_json::Deserializer::from_str(text);
    let object: Object<T> = serde_path_to_error::deserialize(&mut json)
        .map_err(|error| explain(&error.path().to_string(), error.inner()))?;
    json.end().map_err(|error| explain(".", &error))?;
    Ok(object.0)
}

/// How deep a JSON text is nested.
fn depth(json: &str) -> usize {
    let (mut depth, mut deepest) = (0_usize, 0);
    let (mut quoted, mut escaped) = (false, false);
    for byte in json.bytes() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = quoted,
            b'"' => quoted = !quoted,
            b'[' | b'{' if !quoted => depth += 1,
            b']' | b'}' if !quoted => depth = depth.saturating_sub(1),
            _ => {}
        }
        deepest = deepest.max(depth);
    }
    deepest
}

/// Names the member that a parser stumbled over.
fn explain(path: &str, error: &serde_json::Error) -> ApiError {
    let text = error.to_string();
    let path = if path == "." { "" } else { path };
    // A number like 1e400 is JSON; the parser takes it for malformed because nothing holds it.
    if text.starts_with("number out of range") && !path.is_empty() {
        return ApiError::invalid(path, "is a number beyond every limit");
    }
    if error.classify() != Category::Data {
        return ApiError::invalid("body", format!("must be well-formed JSON: {text}"));
    }
    for (start, message) in
        [("missing field `", "is missing"), ("duplicate field `", "must be given once")]
    {
        if let Some((name, _)) = text.strip_prefix(start).and_then(|rest| rest.split_once('`')) {
            return ApiError::invalid(member(path, name), message);
        }
    }
    let message = text.split(" at line ").next().unwrap_or_default();
    let message = message.replace("expected i64", "expected an integer");
    let field = if path.is_empty() { "body" } else { path };
    ApiError::invalid(field, message.chars().take(MAX_MESSAGE).collect::<String>())
}

fn member(path: &str, name: &str) -> String {
    match path {
        "" => name.to_owned(),
        // A doubled member may already be the end of the path.
        path if path == name || path.ends_with(&format!(".{name}")) => path.to_owned(),
        path => format!("{path}.{name}"),
    }
}

/// A JSON object. Without this, a JSON array would be taken for an object with its members in
/// the order of the fields.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Object<T>(pub T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Members<T>(PhantomData<T>);

        impl<'de, T: Deserialize<'de>> Visitor<'de> for Members<T> {
            type Value = T;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a JSON object")
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<T, A::Error> {
                T::deserialize(MapAccessDeserializer::new(map))
            }
        }

        deserializer.deserialize_map(Members(PhantomData)).map(Self)
    }
}

/// One of the names that a unit-only enum has. Without this, the parser would call a number in its
/// place malformed JSON and name no member, and would take an object for a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Named<T>(pub T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Named<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = String::deserialize(deserializer)?;
        T::deserialize(name.into_deserializer()).map(Self)
    }
}

/// For a member that may be absent and must not be null.
pub fn given<'de, T, D>(deserializer: D) -> Result<Option<T>, D::Error>
where
    T: Deserialize<'de>,
    D: Deserializer<'de>,
{
    T::deserialize(deserializer).map(Some)
}

/// For a member that may be absent (nothing changes) or null (back to nothing).
pub fn nullable<'de, T, D>(deserializer: D) -> Result<Option<Option<T>>, D::Error>
where
    T: Deserialize<'de>,
    D: Deserializer<'de>,
{
    Option::deserialize(deserializer).map(Some)
}

/// An integer from 1 to `MAX`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "i64")]
pub struct Bounded<const MAX: u32>(u32);

impl<const MAX: u32> Bounded<MAX> {
    /// The integer.
    pub fn get(self) -> u32 {
        self.0
    }
}

impl<const MAX: u32> TryFrom<i64> for Bounded<MAX> {
    type Error = String;

    fn try_from(value: i64) -> Result<Self, String> {
        let fits = u32::try_from(value).ok().filter(|value| (1..=MAX).contains(value));
        fits.map(Self).ok_or_else(|| format!("must be an integer from 1 to {MAX}"))
    }
}

#[cfg(test)]
mod tests {
    use actix_web::http::header::CONTENT_TYPE;
    use actix_web::test::TestRequest;
    use concert_domain::queue::Mode;
    use concert_domain::{SeatId, Timestamp};
    use futures::stream;

    use super::*;

    #[derive(Debug, PartialEq, Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Sample {
        seat_id: SeatId,
        #[serde(default, deserialize_with = "nullable")]
        note: Option<Option<String>>,
        #[serde(default, deserialize_with = "given")]
        at: Option<Timestamp>,
        #[serde(default)]
        parts: Vec<Object<Part>>,
        #[serde(default, deserialize_with = "given")]
        mode: Option<Named<Mode>>,
    }

    #[derive(Debug, PartialEq, Deserialize)]
    struct Part {
        from: Bounded<10>,
    }

    fn field(json: &str) -> String {
        parse::<Sample>(json.as_bytes()).unwrap_err().fields()[0].field.clone()
    }

    #[test]
    fn a_refusal_names_the_member() {
        for (json, name) in [
            (r#"{}"#, "seatId"),
            (r#"{"seatId":null}"#, "seatId"),
            (r#"{"seatId":"1"}"#, "seatId"),
            (r#"{"seatId":1.0}"#, "seatId"),
            (r#"{"seatId":0}"#, "seatId"),
            (r#"{"seatId":1e400}"#, "seatId"),
            (r#"{"seatId":1,"parts":[{"from":1e400}]}"#, "parts[0].from"),
            (r#"{"seatId":99999999999999999999}"#, "seatId"),
            (r#"{"seatId":1,"seatId":1}"#, "seatId"),
            (r#"{"seatId":1,"at":"tomorrow"}"#, "at"),
            (r#"{"seatId":1,"at":null}"#, "at"),
            (r#"{"seatId":1,"mode":"open"}"#, "mode"),
            (r#"{"seatId":1,"mode":1}"#, "mode"),
            (r#"{"seatId":1,"mode":{"OPEN":null}}"#, "mode"),
            (r#"{"seatId":1,"parts":[{"from":1},{}]}"#, "parts[1].from"),
            (r#"{"seatId":1,"parts":[{"from":11}]}"#, "parts[0].from"),
            (r#"{"seatId":1,"parts":[[1]]}"#, "parts[0]"),
            (r#"{"seatId":1} x"#, "body"),
            (r#"[1]"#, "body"),
            (r#""seatId""#, "body"),
            ("", "body"),
            (r#"{"seatId":"#, "body"),
        ] {
            assert_eq!(field(json), name, "{json}");
        }
    }

    #[test]
    fn a_wrong_number_is_explained_without_the_words_of_a_programming_language() {
        for json in [r#"{"seatId":1.5}"#, r#"{"seatId":99999999999999999999}"#, r#"{"seatId":1e9}"#]
        {
            let refusal = parse::<Sample>(json.as_bytes()).unwrap_err();
            let message = &refusal.fields()[0].message;
            assert!(message.ends_with("expected an integer"), "{json}: {message}");
        }
    }

    #[test]
    fn depth_is_bounded_also_where_nobody_looks() {
        let nested = |n| format!(r#"{{"seatId":1,"x":{}{}}}"#, "[".repeat(n), "]".repeat(n));
        assert_eq!(field(&nested(MAX_DEPTH)), "body");
        assert!(parse::<Sample>(nested(MAX_DEPTH - 1).as_bytes()).is_ok());
        let quoted = format!(r#"{{"seatId":1,"x":"\"{}"}}"#, "[".repeat(1_000));
        assert!(parse::<Sample>(quoted.as_bytes()).is_ok());
    }

    #[test]
    fn bytes_that_are_no_utf8_are_refused_even_in_ignored_members() {
        let mut json = br#"{"seatId":1,"ignored":"_"}"#.to_vec();
        let at = json.iter().position(|byte| *byte == b'_').unwrap();
        json[at] = 0xff;
        assert_eq!(parse::<Sample>(&json).unwrap_err().fields()[0].field, "body");
    }

    #[test]
    fn unknown_members_are_ignored_and_absent_is_not_null() {
        let read = |json: &str| parse::<Sample>(json.as_bytes()).unwrap();
        assert_eq!(read(r#"{"seatId":1,"x":{"y":[]}}"#).note, None);
        assert_eq!(read(r#"{"seatId":1,"note":null}"#).note, Some(None));
        assert_eq!(read(r#"{"seatId":1,"note":"n"}"#).note, Some(Some("n".to_owned())));
    }

    async fn outcome(request: TestRequest) -> Result<Sample, ErrorCode> {
        let (request, mut payload) = request.to_http_parts();
        let body = Body::<32>::from_request(&request, &mut payload).await.unwrap();
        body.json::<Sample>().map_err(|refusal| refusal.code)
    }

    #[actix_web::test]
    async fn only_json_of_bounded_size_is_read() {
        let json = "application/json; charset=utf-8";
        let small = TestRequest::post().set_payload(r#"{"seatId":1}"#);
        assert!(outcome(small.insert_header((CONTENT_TYPE, json))).await.is_ok());
        let large = TestRequest::post().set_payload(format!(r#"{{"seatId":1{}}}"#, " ".repeat(30)));
        assert_eq!(
            outcome(large.insert_header((CONTENT_TYPE, json))).await,
            Err(ErrorCode::PayloadTooLarge)
        );
        for kind in ["text/plain", "application/json; charset=latin1", "nonsense"] {
            let request = TestRequest::post().set_payload(r#"{"seatId":1}"#);
            let refusal = outcome(request.insert_header((CONTENT_TYPE, kind))).await;
            assert_eq!(refusal, Err(ErrorCode::UnsupportedMediaType), "{kind}");
        }
        let untyped = TestRequest::post().set_payload(r#"{"seatId":1}"#);
        assert_eq!(outcome(untyped).await, Err(ErrorCode::UnsupportedMediaType));
    }

    fn pieces(of: Vec<&'static [u8]>) -> Payload {
        let pieces = of.into_iter().map(|piece| Ok(Bytes::from_static(piece)));
        Payload::Stream { payload: Box::pin(stream::iter(pieces)) }
    }

    #[actix_web::test]
    async fn a_body_of_many_pieces_is_whole_and_one_of_one_piece_is_not_copied() {
        let many = pieces(vec![b"{\"seat", b"", b"Id\":", b"1}"]);
        assert_eq!(collect(many, 12).await.unwrap(), Bytes::from_static(b"{\"seatId\":1}"));
        let too_many = collect(pieces(vec![b"{\"seatId\":1}", b" "]), 12).await;
        assert_eq!(too_many.unwrap_err().code, ErrorCode::PayloadTooLarge);
        assert_eq!(collect(pieces(vec![]), 12).await.unwrap(), Bytes::new());
        let piece: &[u8] = b"{}";
        let whole = collect(pieces(vec![piece]), 12).await.unwrap();
        assert_eq!(whole.as_ptr(), piece.as_ptr(), "it takes no room of its own");
    }

    /// A body of which no more comes than this.
    fn trickle(beginning: &'static [u8]) -> Payload {
        let beginning = stream::once(std::future::ready(Ok(Bytes::from_static(beginning))));
        Payload::Stream { payload: Box::pin(beginning.chain(stream::pending())) }
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_that_does_not_arrive_is_not_waited_for() {
        let request = TestRequest::post().insert_header((CONTENT_TYPE, "application/json"));
        let request = request.to_http_request();
        for beginning in [&b""[..], br#"{"seatId":"#] {
            let started = tokio::time::Instant::now();
            let body = Body::<32>::from_request(&request, &mut trickle(beginning)).await.unwrap();
            let refusal = body.json::<Sample>().unwrap_err();
            assert_eq!(refusal.fields()[0].message, "must arrive within 10 seconds");
            assert!(started.elapsed() < Duration::from_secs(11));
        }
    }
}
