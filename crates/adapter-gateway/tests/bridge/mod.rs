//! A small bridge for tests: it checks signatures, keeps the books of a sandbox, and fails in the
//! ways that it is told to. The tests of the whole service use this file too.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use actix_web::http::{Method, StatusCode};
use actix_web::web::{Bytes, Data};
use actix_web::{App, HttpRequest, HttpResponse, HttpServer, web};
use concert_adapter_gateway::SandboxGateway;
use concert_adapter_gateway::signature::{SIGNATURE, Signed, TIMESTAMP};
use concert_domain::event::Origin;
use concert_domain::point::{ChargeIntent, GatewayVerdict, PaymentGateway, PaymentMethod};
use concert_domain::{Error, TransactionId, Won};
use futures::stream;
use serde_json::{Value, json};

/// What bridge and service share.
pub const SECRET: &str = "a secret that only tests share..";

/// What becomes of the next request, instead of its answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(dead_code, reason = "two test programs use this file, each a part of it")]
pub enum Fault {
    /// Refused before anything is done.
    Status(u16),
    /// Done, and the connection is cut instead of the answer.
    CutAfter,
    /// Done, and no answer ever comes.
    HangAfter,
    /// Done, and answered with no JSON.
    Garbage,
    /// Done, and answered without an end.
    Huge,
    /// Done, and answered for another key.
    OtherKey,
    /// Done, and answered for another amount.
    OtherAmount,
    /// Not decided yet.
    Pending,
    /// Sent elsewhere.
    Redirect,
}

/// A request that came with a right signature.
#[derive(Debug, Clone)]
#[allow(dead_code, reason = "two test programs use this file, each a part of it")]
pub struct Seen {
    /// Method and path.
    pub line: String,
    /// Its headers, by lower-case names.
    pub headers: Vec<(String, String)>,
    /// Its body; null if it had none.
    pub body: Value,
}

#[allow(dead_code, reason = "two test programs use this file, each a part of it")]
impl Seen {
    /// The value of a header.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}

#[derive(Default)]
struct State {
    sandbox: SandboxGateway,
    faults: Mutex<VecDeque<Fault>>,
    seen: Mutex<Vec<Seen>>,
    charges: Mutex<Vec<ChargeIntent>>,
}

/// The bridge; it ends with its runtime.
pub struct Bridge {
    /// What `GATEWAY_URL` is to be.
    pub url: String,
    state: Arc<State>,
}

#[allow(dead_code, reason = "two test programs use this file, each a part of it")]
impl Bridge {
    /// Starts one on a free port.
    pub async fn start() -> Self {
        let state = Arc::<State>::default();
        let data = Data::from(state.clone());
        let server = HttpServer::new(move || {
            App::new().app_data(data.clone()).default_service(web::to(serve))
        });
        let server = server.workers(1).disable_signals().bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/v1", server.addrs()[0]);
        tokio::spawn(server.run());
        Self { url, state }
    }

    /// Lets the next requests fail so, in this order.
    pub fn fail(&self, faults: impl IntoIterator<Item = Fault>) {
        self.state.faults.lock().unwrap().extend(faults);
    }

    /// Lets no further request fail.
    pub fn heal(&self) {
        self.state.faults.lock().unwrap().clear();
    }

    /// What came with a right signature so far.
    pub fn seen(&self) -> Vec<Seen> {
        self.state.seen.lock().unwrap().clone()
    }

    /// How much it has taken for a charge and not given back.
    pub fn taken(&self, id: TransactionId) -> Won {
        self.state.sandbox.taken(id)
    }

    /// How much it has of a user's money.
    pub fn money_of(&self, user: i64) -> i64 {
        let charges = self.state.charges.lock().unwrap();
        let mut ids: Vec<_> =
            charges.iter().filter(|c| c.user_id.get() == user).map(|c| c.id).collect();
        ids.sort();
        ids.dedup();
        ids.into_iter().map(|id| self.taken(id).get()).sum()
    }
}

async fn serve(state: Data<State>, request: HttpRequest, body: Bytes) -> HttpResponse {
    if !is_signed(&request, &body) {
        return HttpResponse::Unauthorized().finish();
    }
    let body = serde_json::from_slice(&body).unwrap_or(Value::Null);
    state.note(&request, &body);
    let fault = state.faults.lock().unwrap().pop_front();
    match fault {
        Some(Fault::Status(status)) => {
            return HttpResponse::new(StatusCode::from_u16(status).unwrap());
        }
        Some(Fault::Redirect) => {
            return HttpResponse::Found().insert_header(("location", "/v1/elsewhere")).finish();
        }
        _ => {}
    }
    let Some((status, mut answer)) = state.answer(&request, &body).await else {
        return HttpResponse::InternalServerError().finish();
    };
    match fault {
        None => HttpResponse::build(status).json(answer),
        Some(Fault::HangAfter) => std::future::pending().await,
        Some(Fault::CutAfter) => {
            let cut = stream::iter([Err::<Bytes, _>(std::io::Error::other("cut"))]);
            HttpResponse::build(status).streaming(cut)
        }
        Some(Fault::Garbage) => HttpResponse::Ok().body("<html>all is well</html>"),
        Some(Fault::Huge) => HttpResponse::Ok().body(vec![b' '; 1_000_000]),
        Some(other) => {
            match other {
                Fault::OtherKey => answer["key"] = json!("999999"),
                Fault::OtherAmount => answer["amount"] = json!(1),
                _ => answer["status"] = json!("PENDING"),
            }
            HttpResponse::build(status).json(answer)
        }
    }
}

fn is_signed(request: &HttpRequest, body: &[u8]) -> bool {
    let header = |name| request.headers().get(name).and_then(|value| value.to_str().ok());
    let Some(timestamp) = header(TIMESTAMP) else { return false };
    let signed =
        Signed { timestamp, method: request.method().as_str(), path: request.path(), body };
    header(SIGNATURE) == Some(&signed.sign(SECRET.as_bytes()))
}

impl State {
    fn note(&self, request: &HttpRequest, body: &Value) {
        let header = |(name, value): (&_, &actix_web::http::header::HeaderValue)| {
            let name: &actix_web::http::header::HeaderName = name;
            (name.as_str().to_owned(), value.to_str().unwrap_or_default().to_owned())
        };
        let seen = Seen {
            line: format!("{} {}", request.method(), request.path()),
            headers: request.headers().iter().map(header).collect(),
            body: body.clone(),
        };
        self.seen.lock().unwrap().push(seen);
    }

    /// What the protocol says, by the books of the sandbox. `None`: the sandbox has failed.
    async fn answer(&self, request: &HttpRequest, body: &Value) -> Option<(StatusCode, Value)> {
        let key = request.headers().get("idempotency-key")?.to_str().ok()?.to_owned();
        let parts: Vec<&str> = request.path().split('/').skip(2).collect();
        let (status, intent) = match (request.method(), &parts[..]) {
            (&Method::POST, ["charges"]) => {
                let intent = asked(&key, body)?;
                self.charges.lock().unwrap().push(intent.clone());
                (self.charge(&intent).await?, intent)
            }
            (&Method::GET, ["charges", id]) if *id == key => {
                let intent = self.known(&key)?;
                let outcome = self.sandbox.outcome(&intent).await.ok()?;
                (outcome.map_or("UNKNOWN", word), intent)
            }
            (&Method::POST, ["charges", id, "void"]) if *id == key => {
                let intent = self.known(&key)?;
                self.sandbox.void(&intent).await.ok()?;
                ("VOIDED", intent)
            }
            _ => return Some((StatusCode::NOT_FOUND, json!({ "error": "no such path" }))),
        };
        let code = if status == "UNKNOWN" { StatusCode::NOT_FOUND } else { StatusCode::OK };
        Some((code, json!({ "key": key, "status": status, "amount": intent.amount.get() })))
    }

    async fn charge(&self, intent: &ChargeIntent) -> Option<&'static str> {
        match self.sandbox.charge(intent, &Origin::default()).await {
            Ok(verdict) => Some(word(verdict)),
            // Whoever asks finds out by waiting.
            Err(Error::GatewayTimedOut) => std::future::pending().await,
            Err(_) => None,
        }
    }

    /// The charge of this key, or as much as a key says of one that never came.
    fn known(&self, key: &str) -> Option<ChargeIntent> {
        let id: TransactionId = key.parse::<i64>().ok()?.try_into().ok()?;
        let charges = self.charges.lock().unwrap();
        let came = charges.iter().find(|intent| intent.id == id).cloned();
        came.or_else(|| asked(key, &json!({ "userId": 1, "amount": 1 })))
    }
}

fn word(verdict: GatewayVerdict) -> &'static str {
    match verdict {
        GatewayVerdict::Approved => "APPROVED",
        GatewayVerdict::Declined => "DECLINED",
    }
}

fn asked(key: &str, body: &Value) -> Option<ChargeIntent> {
    let detail = body["detail"].as_str().map(|text| text.to_owned().try_into().unwrap());
    Some(ChargeIntent {
        id: key.parse::<i64>().ok()?.try_into().ok()?,
        user_id: body["userId"].as_i64()?.try_into().ok()?,
        amount: body["amount"].as_i64()?.try_into().ok()?,
        method: PaymentMethod::Card,
        detail,
    })
}
