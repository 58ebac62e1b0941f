//! The way of a request to its handler, and of the answer back.

use std::future::{Ready, pending, ready};
use std::rc::Rc;
use std::time::Duration;

use actix_web::body::{BoxBody, MessageBody};
use actix_web::dev::{Service, ServiceRequest, ServiceResponse, Transform};
use actix_web::http::header::{CACHE_CONTROL, HeaderValue, RETRY_AFTER, X_CONTENT_TYPE_OPTIONS};
use actix_web::http::{ConnectionType, Method, StatusCode};
use actix_web::{Error, HttpMessage, HttpResponse, ResponseError};
use futures::future::{FutureExt, LocalBoxFuture};

use super::class::Class;
use super::{Admission, Guard};
use crate::error::{ApiError, ErrorCode};
use crate::request_id::RequestId;
use crate::state::Readiness;

/// The layer around all routes: who asks too often is refused, the others have a place and a
/// deadline; refusals name the path, a HEAD is answered as its GET, and nothing is kept by whoever
/// is in between. While the process drains, every answer ends its connection, so that clients leave
/// before they are left.
#[derive(Clone)]
pub(crate) struct Door(Option<(Guard, Readiness)>);

impl Door {
    /// A door with a guard.
    pub fn new(guard: Guard, readiness: Readiness) -> Self {
        Self(Some((guard, readiness)))
    }

    /// A door that lets everybody in.
    #[cfg(test)]
    pub fn open() -> Self {
        Self(None)
    }
}

impl<S, B> Transform<S, ServiceRequest> for Door
where
    S: Service<ServiceRequest, Response = ServiceResponse<B>, Error = Error> + 'static,
    B: MessageBody + 'static,
{
    type Response = ServiceResponse<BoxBody>;
    type Error = Error;
    type Transform = WithDoor<S>;
    type InitError = ();
    type Future = Ready<Result<Self::Transform, ()>>;

    fn new_transform(&self, inner: S) -> Self::Future {
        ready(Ok(WithDoor(Rc::new(Behind { door: self.0.clone(), inner }))))
    }
}

/// The routes behind the door.
pub(crate) struct WithDoor<S>(Rc<Behind<S>>);

struct Behind<S> {
    door: Option<(Guard, Readiness)>,
    inner: S,
}

impl<S, B> Service<ServiceRequest> for WithDoor<S>
where
    S: Service<ServiceRequest, Response = ServiceResponse<B>, Error = Error> + 'static,
    B: MessageBody + 'static,
{
    type Response = ServiceResponse<BoxBody>;
    type Error = Error;
    type Future = LocalBoxFuture<'static, Result<ServiceResponse<BoxBody>, Error>>;

    fn poll_ready(
        &self,
        context: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Result<(), Error>> {
        self.0.inner.poll_ready(context)
    }

    fn call(&self, mut request: ServiceRequest) -> Self::Future {
        if request.method() == Method::HEAD {
            // The server itself leaves the body out: it has noted what was asked.
            request.head_mut().method = Method::GET;
        }
        let behind = self.0.clone();
        async move { behind.answer(request).await.map(finish) }.boxed_local()
    }
}

impl<S, B> Behind<S>
where
    S: Service<ServiceRequest, Response = ServiceResponse<B>, Error = Error>,
    B: MessageBody + 'static,
{
    async fn answer(&self, request: ServiceRequest) -> Result<ServiceResponse, Error> {
        let Some((guard, readiness)) = &self.door else { return self.handle(request).await };
        let crowded = guard.is_crowded(&request);
        let mut response = match Class::of(request.method(), request.path()) {
            Some(class) => self.guarded(guard, class, crowded, request).await?,
            None => self.handle(request).await?,
        };
        if crowded || !readiness.get() {
            response.response_mut().head_mut().set_connection_type(ConnectionType::Close);
        }
        Ok(response)
    }

    async fn handle(&self, request: ServiceRequest) -> Result<ServiceResponse, Error> {
        self.inner.call(request).await.map(ServiceResponse::map_into_boxed_body)
    }

    async fn guarded(
        &self,
        guard: &Guard,
        class: Class,
        crowded: bool,
        request: ServiceRequest,
    ) -> Result<ServiceResponse, Error> {
        if let Err(refusal) = guard.check(&request, class, crowded) {
            return Ok(request.error_response(refusal));
        }
        if let Err(refusal) = guard.check_with_others(&request, class).await {
            return Ok(request.error_response(refusal));
        }
        let poller = guard.0.rates.as_ref().filter(|_| class == Class::Poll);
        let poller = poller.and_then(|rates| Some((rates, rates.caller(&request)?)));
        let response = self.with_place(guard, class, request).await?;
        if let Some((rates, poller)) = poller.filter(|_| response.status() == StatusCode::OK) {
            let told = response.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok());
            let seconds = told.and_then(|text| text.parse().ok()).unwrap_or(1);
            rates.polls.told(poller, Duration::from_secs(seconds));
        }
        Ok(response)
    }

    /// Works on a request in a place of its own, for a limited time. Operators' work may be large
    /// and takes the time that it takes.
    async fn with_place(
        &self,
        guard: &Guard,
        class: Class,
        request: ServiceRequest,
    ) -> Result<ServiceResponse, Error> {
        let admission = Admission::new(guard.0.gate.clone(), class);
        if has_body(&request) {
            // It enters when its body has been read.
            request.extensions_mut().insert(admission.clone());
        } else if let Err(refusal) = admission.enter().await {
            return Ok(request.error_response(refusal));
        }
        let path = request.path().to_owned();
        let id = request.extensions().get::<RequestId>().cloned();
        let overdue = async {
            match class {
                Class::Admin => pending().await,
                _ => admission.overdue(guard.0.limits.request_deadline).await,
            }
        };
        // Dropping the handler cancels no statement: those run in tasks and threads of the stores.
        let answer = tokio::select! {
            biased;
            answer = self.handle(request) => answer,
            () = overdue => Err(Overdue { path, id }.into()),
        };
        admission.leave();
        answer
    }
}

/// Whether a handler reads a body before it does anything else.
fn has_body(request: &ServiceRequest) -> bool {
    let method = request.method();
    (*method == Method::POST || *method == Method::PATCH) && !request.path().ends_with("/refund")
}

/// What every answer of a route has in common.
fn finish(response: ServiceResponse) -> ServiceResponse {
    let refusal = response.response().error().map(refusal_of);
    let mut response = match refusal {
        Some(refusal) => refused(response, &refusal),
        None => response,
    };
    let headers = response.headers_mut();
    if !headers.contains_key(CACHE_CONTROL) {
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    }
    response
}

/// Handlers refuse with an [`ApiError`]; anything else is a mistake of ours.
fn refusal_of(error: &Error) -> ApiError {
    match error.as_error::<ApiError>() {
        Some(refusal) => refusal.clone(),
        None => concert_domain::Error::bug(error.to_string()).into(),
    }
}

/// The refusal with the path and the name of its request.
fn refused(response: ServiceResponse, refusal: &ApiError) -> ServiceResponse {
    metrics::counter!("concert_refusals_total", "code" => refusal.code.as_str()).increment(1);
    let ends = response.response().head().connection_type() == ConnectionType::Close;
    let answer = {
        let request = response.request();
        let id = request.extensions().get::<RequestId>().cloned();
        refusal.answer(request.path(), id.as_ref().map(RequestId::as_str))
    };
    let mut answer = response.into_response(answer);
    if ends {
        answer.response_mut().head_mut().set_connection_type(ConnectionType::Close);
    }
    answer
}

/// A request that was worked on for too long.
#[derive(Debug, thiserror::Error)]
#[error("the request to {path} was not done in time")]
struct Overdue {
    path: String,
    id: Option<RequestId>,
}

impl Overdue {
    fn refusal() -> ApiError {
        let detail = "this took too long; it may or may not have had its effect, so repeat it \
                      with the same Idempotency-Key";
        ApiError::later(ErrorCode::ServiceUnavailable, detail, Duration::from_secs(1))
    }
}

impl ResponseError for Overdue {
    fn status_code(&self) -> StatusCode {
        Self::refusal().code.status()
    }

    fn error_response(&self) -> HttpResponse {
        let mut response =
            Self::refusal().answer(&self.path, self.id.as_ref().map(RequestId::as_str));
        let headers = response.headers_mut();
        for (name, value) in [(X_CONTENT_TYPE_OPTIONS, "nosniff"), (CACHE_CONTROL, "no-store")] {
            headers.insert(name, HeaderValue::from_static(value));
        }
        response
    }
}
