use std::future::{Future, IntoFuture};
use std::pin::Pin;

use reqwest::Method;
use reqwest::header::HeaderMap;
use serde_json::Value;

use crate::Contract;

/// A client of one running service.
#[derive(Clone)]
pub struct Client {
    http: reqwest::Client,
    origin: String,
}

impl Client {
    /// A client of the service at `origin`, such as `http://127.0.0.1:8080`.
    pub fn of(origin: impl Into<String>) -> Self {
        Self::over(reqwest::Client::builder(), origin.into())
    }

    /// The same, with a connection of its own for every request.
    pub fn without_keep_alive(origin: impl Into<String>) -> Self {
        Self::over(reqwest::Client::builder().pool_max_idle_per_host(0), origin.into())
    }

    fn over(http: reqwest::ClientBuilder, origin: String) -> Self {
        // The client wants to know what it would speak TLS with; another choice before is as good.
        rustls::crypto::ring::default_provider().install_default().ok();
        let http = http
            .timeout(std::time::Duration::from_secs(30))
            .build()
            .expect("a client without TLS can be built");
        Self { http, origin }
    }

    /// The address and port of the service.
    pub fn address(&self) -> &str {
        self.origin.trim_start_matches("http://")
    }

    /// `GET` under the base path; a path that starts with `//` lies at the root.
    pub fn get(&self, path: impl AsRef<str>) -> Call {
        self.call(Method::GET, path)
    }

    /// `POST` under the base path.
    pub fn post(&self, path: impl AsRef<str>) -> Call {
        self.call(Method::POST, path)
    }

    /// `PATCH` under the base path.
    pub fn patch(&self, path: impl AsRef<str>) -> Call {
        self.call(Method::PATCH, path)
    }

    /// `DELETE` under the base path.
    pub fn delete(&self, path: impl AsRef<str>) -> Call {
        self.call(Method::DELETE, path)
    }

    /// Any method.
    pub fn call(&self, method: Method, path: impl AsRef<str>) -> Call {
        let path = path.as_ref();
        let path = match path.strip_prefix('/') {
            Some(root) if root.starts_with('/') => root.to_owned(),
            _ => format!("/api/v1{path}"),
        };
        let request = self.http.request(method.clone(), format!("{}{path}", self.origin));
        Call { request, method, path }
    }

    /// Walks a list from its first page to its last; answers the pages.
    pub async fn pages(&self, path: &str, limit: usize) -> Vec<Vec<Value>> {
        let mut pages = Vec::new();
        let mut cursor = String::new();
        loop {
            let page = self.get(format!("{path}?limit={limit}{cursor}")).await.ok(200);
            pages.push(page["items"].as_array().expect("a list has items").clone());
            match page["nextCursor"].as_str() {
                Some(next) => cursor = format!("&cursor={next}"),
                None => return pages,
            }
            assert!(pages.len() < 10_000, "{path} has no end");
        }
    }

    /// All items of a list.
    pub async fn all(&self, path: &str) -> Vec<Value> {
        self.pages(path, 100).await.concat()
    }
}

/// A request to be sent; awaiting it sends it and checks the answer against the document.
pub struct Call {
    request: reqwest::RequestBuilder,
    method: Method,
    path: String,
}

impl Call {
    /// With a header.
    pub fn header(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        self.request = self.request.header(name, value.as_ref());
        self
    }

    /// With a queue token.
    pub fn token(self, token: &str) -> Self {
        self.header("Concert-Queue-Token", token)
    }

    /// With a bearer token.
    pub fn bearer(self, token: &str) -> Self {
        self.header("Authorization", format!("Bearer {token}"))
    }

    /// With an idempotency key.
    pub fn key(self, key: &str) -> Self {
        self.header("Idempotency-Key", key)
    }

    /// As this user, where no path, body or token says so.
    pub fn user(self, user: i64) -> Self {
        self.header("X-User-Id", user.to_string())
    }

    /// With a JSON body.
    pub fn json(self, body: Value) -> Self {
        self.raw(body.to_string())
    }

    /// With a body that claims to be JSON.
    pub fn raw(self, body: impl Into<Vec<u8>>) -> Self {
        self.typed("application/json", body)
    }

    /// With a body of any type.
    pub fn typed(mut self, content_type: &str, body: impl Into<Vec<u8>>) -> Self {
        self.request = self.request.header("Content-Type", content_type).body(body.into());
        self
    }

    /// Sends it; an error if the service does not answer.
    pub async fn attempt(self) -> reqwest::Result<Answer> {
        let response = self.request.send().await?;
        let status = response.status().as_u16();
        let headers = response.headers().clone();
        let about = format!("{} {}", self.method, self.path);
        let answer = Answer::new(about, status, headers, response.bytes().await?.to_vec());
        let document = Contract::of_this_build();
        if let Err(breach) = document.check(self.method.as_str(), &self.path, &answer) {
            panic!("{answer:?} breaks the document: {breach}");
        }
        Ok(answer)
    }
}

impl IntoFuture for Call {
    type Output = Answer;
    type IntoFuture = Pin<Box<dyn Future<Output = Answer> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async { self.attempt().await.expect("the service answers") })
    }
}

/// What came back.
pub struct Answer {
    /// The status.
    pub status: u16,
    /// The headers.
    pub headers: HeaderMap,
    /// The body as JSON; null if it is none.
    pub body: Value,
    /// The body as it came.
    pub bytes: Vec<u8>,
    about: String,
}

impl std::fmt::Debug for Answer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} -> {} {}", self.about, self.status, String::from_utf8_lossy(&self.bytes))
    }
}

impl Answer {
    /// An answer to what `about` describes.
    pub fn new(about: String, status: u16, headers: HeaderMap, bytes: Vec<u8>) -> Self {
        let body = serde_json::from_slice(&bytes).unwrap_or(Value::Null);
        Self { status, headers, body, bytes, about }
    }

    /// The body, if the status is the expected one.
    #[track_caller]
    pub fn ok(self, status: u16) -> Value {
        assert_eq!(self.status, status, "{self:?}");
        self.body
    }

    /// A header as text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().expect("visible ASCII"))
    }

    /// Checks that it tells browsers what every answer does.
    #[track_caller]
    pub fn has_rules_for_browsers(&self) {
        for (name, value) in [
            ("x-content-type-options", "nosniff"),
            ("referrer-policy", "no-referrer"),
            ("x-frame-options", "DENY"),
        ] {
            assert_eq!(self.header(name), Some(value), "{name} of {self:?}");
        }
        let policy = self.header("content-security-policy").expect("a policy");
        assert!(policy.starts_with("default-src 'none'"), "{policy}");
    }

    /// Checks that it is this refusal, in the shape that every refusal has.
    #[track_caller]
    pub fn refused(&self, status: u16, code: &str) {
        assert_eq!((self.status, self.body["code"].as_str()), (status, Some(code)), "{self:?}");
        assert_eq!(self.header("content-type"), Some("application/problem+json"), "{self:?}");
        assert_eq!(self.body["status"], status, "{self:?}");
        for member in ["type", "title", "detail", "instance"] {
            assert!(self.body[member].as_str().is_some_and(|t| !t.is_empty()), "{self:?}");
        }
        if matches!(status, 429 | 503) {
            let after = self.header("retry-after").and_then(|text| text.parse::<u64>().ok());
            assert!(after.is_some_and(|seconds| seconds > 0), "{self:?} lacks Retry-After");
        }
    }

    /// Checks that it is a 400 that names this field.
    #[track_caller]
    pub fn names(&self, field: &str) {
        self.refused(400, "INVALID_INPUT");
        let errors = self.body["errors"].as_array().expect("a 400 names its fields");
        assert!(errors.iter().any(|error| error["field"] == field), "{field}: {self:?}");
        assert!(errors.iter().all(|error| error["message"].is_string()), "{self:?}");
    }

    /// Whether it was kept from an earlier request with the same key.
    pub fn replayed(&self) -> bool {
        self.header("idempotency-replayed") == Some("true")
    }
}
