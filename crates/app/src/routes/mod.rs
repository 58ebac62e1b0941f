//! The HTTP routes, one module per slice.

mod admin;
pub(crate) mod concert;
mod docs;
mod health;
mod payment;
mod point;
mod queue;
mod reply;
mod reservation;
pub(crate) mod schema;
mod unrouted;
mod user;

use actix_web::body::{BoxBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::header::{CACHE_CONTROL, HeaderValue, X_CONTENT_TYPE_OPTIONS};
use actix_web::http::{ConnectionType, Method};
use actix_web::middleware::{Next, from_fn};
use actix_web::{HttpMessage, HttpRequest, HttpResponse, web};
use concert_domain::queue::{QueueService, SealedToken};
use concert_domain::{Error, IdempotencyKey};
use serde::de::DeserializeOwned;
use utoipa_actix_web::scope::scope;
use utoipa_actix_web::service_config::ServiceConfig;

use crate::AppState;
use crate::error::{ApiError, ApiResult};
use crate::extract::{Body, Caller, idempotency_key};
use crate::middleware::guard;
use crate::request_id::RequestId;

/// Under which the API lies; only what serves operators is beside it.
pub const BASE_PATH: &str = "/api/v1";

/// What handlers share.
type State = web::Data<AppState>;

/// Mounts everything: the API, the probes, the document and its explorer, and the answer to
/// requests that fit no route. Needs an [`AppState`] in the application's data.
pub fn mount(cfg: &mut web::ServiceConfig) {
    declare(&mut ServiceConfig::new(cfg));
    cfg.default_service(web::to(unrouted::refuse));
}

/// Mounts what a process answers that has not opened its stores yet. Needs a
/// [`Readiness`](crate::state::Readiness) in the application's data.
pub fn mount_lobby(cfg: &mut web::ServiceConfig) {
    health::configure_lobby(cfg);
}

/// The routes, declared so that the OpenAPI document can be collected from them.
pub(crate) fn declare(cfg: &mut ServiceConfig<'_>) {
    let api = scope(BASE_PATH)
        .configure(queue::configure)
        .configure(concert::configure)
        .configure(reservation::configure)
        .configure(payment::configure)
        .configure(point::configure)
        .configure(user::configure)
        .configure(admin::configure);
    let all = scope("").configure(health::configure).configure(docs::configure).service(api);
    cfg.service(all.wrap(from_fn(guard)).wrap(from_fn(finish)));
}

/// What every answer has in common: refusals name the path, a HEAD is answered as its GET, and
/// nothing is kept or guessed at by whoever is in between.
async fn finish(
    mut request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, actix_web::Error> {
    if request.method() == Method::HEAD {
        // The server itself leaves the body out: it has noted what was asked.
        request.head_mut().method = Method::GET;
    }
    let path = request.path().to_owned();
    let response = next.call(request).await?.map_into_boxed_body();
    let refusal = response.response().error().map(refusal_of);
    let mut response = match refusal {
        Some(refusal) => {
            metrics::counter!("concert_refusals_total", "code" => refusal.code.as_str())
                .increment(1);
            let id = response.request().extensions().get::<RequestId>().cloned();
            let ends = response.response().head().connection_type() == ConnectionType::Close;
            let answer = refusal.answer(&path, id.as_ref().map(RequestId::as_str));
            let mut answer = response.into_response(answer);
            if ends {
                answer.response_mut().head_mut().set_connection_type(ConnectionType::Close);
            }
            answer
        }
        None => response,
    };
    let headers = response.headers_mut();
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    if !headers.contains_key(CACHE_CONTROL) {
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    }
    Ok(response)
}

/// Handlers refuse with an [`ApiError`]; anything else is a mistake of ours.
fn refusal_of(error: &actix_web::Error) -> ApiError {
    match error.as_error::<ApiError>() {
        Some(refusal) => refusal.clone(),
        None => Error::bug(error.to_string()).into(),
    }
}

/// The body and the key of a request under a queue token.
///
/// When both are well formed the use case judges the token, because a replay is answered whatever
/// became of it. When they are not, the token is judged here: who is calling goes before what is
/// being said.
async fn read_admitted<T: DeserializeOwned>(
    queue: &QueueService,
    token: &SealedToken,
    caller: &Caller,
    request: &HttpRequest,
    body: &Body,
) -> ApiResult<(T, Option<IdempotencyKey>)> {
    let read = body.json().and_then(|body| Ok((body, idempotency_key(request)?)));
    if read.is_err() {
        queue.enter(token, caller.holder()).await?;
    }
    read
}

/// 204.
fn no_content() -> HttpResponse {
    HttpResponse::NoContent().finish()
}

#[cfg(test)]
mod tests {
    use actix_web::http::header::{ALLOW, CONTENT_TYPE};
    use actix_web::{App, test};
    use serde_json::Value;

    use super::*;

    async fn ask(request: test::TestRequest) -> ServiceResponse<impl MessageBody> {
        let app = test::init_service(App::new().configure(mount)).await;
        test::call_service(&app, request.to_request()).await
    }

    #[actix_web::test]
    async fn what_fits_no_route_is_a_problem_that_names_its_path() {
        let response = ask(test::TestRequest::get().uri("/api/v1/nothing")).await;
        assert_eq!(response.status(), 404);
        assert_eq!(response.headers().get(CONTENT_TYPE).unwrap(), crate::error::PROBLEM_JSON);
        assert_eq!(response.headers().get(X_CONTENT_TYPE_OPTIONS).unwrap(), "nosniff");
        let problem: Value = test::read_body_json(response).await;
        assert_eq!(problem["code"], "ROUTE_NOT_FOUND");
        assert_eq!(problem["instance"], "/api/v1/nothing");
        assert_eq!(problem["type"], "/problems/route-not-found");
    }

    #[actix_web::test]
    async fn a_method_that_a_route_has_not_is_told_which_it_has() {
        let response = ask(test::TestRequest::put().uri("/api/v1/queue/tokens")).await;
        assert_eq!(response.status(), 405);
        assert_eq!(response.headers().get(ALLOW).unwrap(), "DELETE, POST");
        let response = ask(test::TestRequest::delete().uri("/api/v1/concerts/5")).await;
        assert_eq!(response.headers().get(ALLOW).unwrap(), "GET, HEAD");
    }

    #[actix_web::test]
    async fn head_is_answered_where_get_is() {
        let head = test::TestRequest::default().method(Method::HEAD).uri("/openapi.json");
        assert_eq!(ask(head).await.status(), 200);
    }
}
