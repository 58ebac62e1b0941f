//! One call to the bridge: signed, bounded in time and size, tried again while that may help.

use std::fmt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use concert_domain::event::Headers;
use concert_domain::{Error, Result};
use reqwest::header::CONTENT_TYPE;
use reqwest::{Client, Method, Response, StatusCode, redirect};
use tokio::sync::Semaphore;
use tokio::time::{sleep, timeout};
use url::Url;

use crate::signature::{SIGNATURE, Signed, TIMESTAMP};
use crate::wire::Answer;

/// Calls at a time; more wait, within their deadline.
const MOST_AT_ONCE: usize = 64;
/// Connections that are kept for the next call, and for how long.
const MOST_IDLE: usize = 16;
const IDLE: Duration = Duration::from_secs(30);
/// More of an answer is not read.
const ANSWER_BYTES: usize = 16 * 1024;
/// How often a call is tried, and the wait before the second time, doubled before the third.
const TRIES: u32 = 3;
const PAUSE: Duration = Duration::from_millis(50);

/// Which bridge, and how it is spoken to.
#[derive(Clone)]
pub struct Options {
    /// The address below which the protocol's paths lie.
    pub url: String,
    /// What requests are signed with.
    pub secret: Vec<u8>,
    /// Longest time for a call, every try included.
    pub deadline: Duration,
}

impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (url, deadline) = (&self.url, self.deadline);
        f.debug_struct("Options").field("url", url).field("deadline", &deadline).finish()
    }
}

/// Why there is no gateway behind some options.
#[derive(Debug, thiserror::Error)]
pub enum NotAGateway {
    /// The address is none.
    #[error("the gateway's address is no URL")]
    Url,
    /// There is no client for it.
    #[error("no HTTP client can be made: {0}")]
    Client(#[from] reqwest::Error),
}

/// A request of the protocol.
pub(crate) struct Call<'a> {
    pub name: &'static str,
    pub method: Method,
    pub path: String,
    pub key: &'a str,
    pub body: Vec<u8>,
    pub headers: Headers,
}

impl<'a> Call<'a> {
    /// Without a body, for nobody's request.
    pub fn of(name: &'static str, method: Method, path: String, key: &'a str) -> Self {
        Self { name, method, path, key, body: Vec::new(), headers: Headers::default() }
    }
}

/// Why a try has no answer. Nothing in it comes from a body.
#[derive(Debug, thiserror::Error)]
enum Failure {
    /// The same again may help.
    #[error("{0}")]
    Temporary(String),
    #[error("{0}")]
    Final(String),
}

#[derive(Debug)]
pub(crate) struct Exchange {
    client: Client,
    base: Url,
    options: Options,
    places: Semaphore,
}

impl Exchange {
    pub fn new(options: Options) -> Result<Self, NotAGateway> {
        // Another one that was chosen before is as good.
        rustls::crypto::ring::default_provider().install_default().ok();
        let base = format!("{}/", options.url.trim_end_matches('/'));
        let base = Url::parse(&base).map_err(|_| NotAGateway::Url)?;
        let client = Client::builder()
            .no_proxy()
            .redirect(redirect::Policy::none())
            .pool_max_idle_per_host(MOST_IDLE)
            .pool_idle_timeout(IDLE)
            .timeout(options.deadline)
            .build()?;
        Ok(Self { client, base, options, places: Semaphore::new(MOST_AT_ONCE) })
    }

    /// The bridge's answer, or that its outcome is unknown.
    pub async fn make(&self, call: &Call<'_>) -> Result<Answer> {
        let made = timeout(self.options.deadline, self.persist(call)).await;
        made.unwrap_or_else(|_| {
            tracing::warn!(
                charge = call.key,
                call = call.name,
                "the gateway did not answer in time"
            );
            Err(Error::GatewayTimedOut)
        })
    }

    async fn persist(&self, call: &Call<'_>) -> Result<Answer> {
        let _place = self.places.acquire().await.map_err(|e| Error::bug(e.to_string()))?;
        let mut tries = 1;
        loop {
            // One that stands still leaves time for another try.
            let made = timeout(self.options.deadline / 2, self.attempt(call)).await;
            let (end, again, reason) = match made {
                Ok(Ok(answer)) => return Ok(answer),
                Ok(Err(Failure::Final(reason))) => (Error::GatewayFailed, false, reason),
                Ok(Err(Failure::Temporary(reason))) => (Error::GatewayFailed, true, reason),
                Err(_) => (Error::GatewayTimedOut, true, "no answer yet".to_owned()),
            };
            tracing::warn!(
                charge = call.key,
                call = call.name,
                tries,
                reason,
                "the gateway failed"
            );
            if !again || tries == TRIES {
                return Err(end);
            }
            sleep(PAUSE * 2_u32.pow(tries - 1)).await;
            tries += 1;
        }
    }

    async fn attempt(&self, call: &Call<'_>) -> Result<Answer, Failure> {
        let url = self.base.join(&call.path).map_err(|e| Failure::Final(e.to_string()))?;
        let timestamp = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let timestamp = timestamp.as_secs().to_string();
        let signed = Signed {
            timestamp: &timestamp,
            method: call.method.as_str(),
            path: url.path(),
            body: &call.body,
        };
        let signature = signed.sign(&self.options.secret);
        let mut request = self
            .client
            .request(call.method.clone(), url)
            .header("idempotency-key", call.key)
            .header(TIMESTAMP, &timestamp)
            .header(SIGNATURE, signature);
        for (name, value) in call.headers.iter() {
            request = request.header(name, value);
        }
        if !call.body.is_empty() {
            request = request.header(CONTENT_TYPE, "application/json").body(call.body.clone());
        }
        read(request.send().await.map_err(unsent)?).await
    }
}

/// Without the address, which is configuration.
fn unsent(error: reqwest::Error) -> Failure {
    let (faulty, text) = (error.is_builder(), error.without_url().to_string());
    if faulty { Failure::Final(text) } else { Failure::Temporary(text) }
}

async fn read(mut response: Response) -> Result<Answer, Failure> {
    let status = response.status();
    match status {
        StatusCode::OK | StatusCode::CREATED | StatusCode::NOT_FOUND => {}
        StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_MANY_REQUESTS => {
            return Err(Failure::Temporary(status.to_string()));
        }
        _ if status.is_server_error() => return Err(Failure::Temporary(status.to_string())),
        _ => return Err(Failure::Final(status.to_string())),
    }
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(unsent)? {
        if body.len() + chunk.len() > ANSWER_BYTES {
            return Err(Failure::Final("the answer is too long".to_owned()));
        }
        body.extend_from_slice(&chunk);
    }
    // What is wrong with it could repeat a part of it.
    let answer = serde_json::from_slice(&body);
    answer.map_err(|_| Failure::Final(format!("{status}, and no answer of the protocol")))
}
