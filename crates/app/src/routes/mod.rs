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

use actix_web::dev::HttpServiceFactory;
use actix_web::{HttpRequest, HttpResponse, web};
use concert_domain::IdempotencyKey;
use concert_domain::queue::{QueueService, SealedToken};
use serde::de::DeserializeOwned;
use utoipa_actix_web::OpenApiFactory;
use utoipa_actix_web::scope::scope;
use utoipa_actix_web::service_config::ServiceConfig as Declared;

use crate::AppState;
use crate::error::ApiResult;
use crate::extract::{Body, Caller, idempotency_key};

/// Under which the API lies; only what serves operators is beside it.
pub const BASE_PATH: &str = "/api/v1";

/// What handlers share.
type State = web::Data<AppState>;

/// Where the routes of a slice are put: into a server, which answers them, or into the OpenAPI
/// document, which describes them. Every thread has a server of its own; the document, several
/// megabytes while it is made, is made once.
pub(crate) trait Routes {
    /// Puts in a handler.
    fn service<F>(&mut self, handler: F) -> &mut Self
    where
        F: HttpServiceFactory + OpenApiFactory + 'static;

    /// Puts in what the document does not tell of.
    fn untold(&mut self, handler: impl HttpServiceFactory + 'static) -> &mut Self;
}

impl Routes for web::ServiceConfig {
    fn service<F>(&mut self, handler: F) -> &mut Self
    where
        F: HttpServiceFactory + OpenApiFactory + 'static,
    {
        self.service(handler)
    }

    fn untold(&mut self, handler: impl HttpServiceFactory + 'static) -> &mut Self {
        self.service(handler)
    }
}

impl Routes for Declared<'_> {
    fn service<F>(&mut self, handler: F) -> &mut Self
    where
        F: HttpServiceFactory + OpenApiFactory + 'static,
    {
        self.service(handler)
    }

    fn untold(&mut self, _handler: impl HttpServiceFactory + 'static) -> &mut Self {
        self
    }
}

/// Mounts everything: the API, the probes, the document and its explorer, and the answer to
/// requests that fit no route. Needs an [`AppState`] in the application's data, and the
/// `Door` around it.
pub fn mount(cfg: &mut web::ServiceConfig) {
    cfg.service(web::scope(BASE_PATH).configure(api));
    beside(cfg);
    cfg.default_service(web::to(unrouted::refuse));
}

/// Declares the same to the OpenAPI document.
pub(crate) fn declare(cfg: &mut Declared<'_>) {
    cfg.service(scope(BASE_PATH).configure(|cfg: &mut Declared<'_>| api(cfg)));
    beside(cfg);
}

/// What lies under [`BASE_PATH`].
fn api(cfg: &mut impl Routes) {
    queue::configure(cfg);
    concert::configure(cfg);
    reservation::configure(cfg);
    payment::configure(cfg);
    point::configure(cfg);
    user::configure(cfg);
    admin::configure(cfg);
}

/// What lies beside it.
fn beside(cfg: &mut impl Routes) {
    health::configure(cfg);
    docs::configure(cfg);
}

/// Mounts what a process answers that has not opened its stores yet. Needs a
/// [`Readiness`](crate::state::Readiness) in the application's data.
pub fn mount_lobby(cfg: &mut web::ServiceConfig) {
    health::configure_lobby(cfg);
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
    use actix_web::body::MessageBody;
    use actix_web::dev::ServiceResponse;
    use actix_web::http::Method;
    use actix_web::http::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE};
    use actix_web::{App, test};
    use serde_json::Value;

    use super::*;
    use crate::middleware::Door;

    async fn ask(request: test::TestRequest) -> ServiceResponse<impl MessageBody> {
        let app = test::init_service(App::new().wrap(Door::open()).configure(mount)).await;
        test::call_service(&app, request.to_request()).await
    }

    #[actix_web::test]
    async fn what_fits_no_route_is_a_problem_that_names_its_path() {
        let response = ask(test::TestRequest::get().uri("/api/v1/nothing")).await;
        assert_eq!(response.status(), 404);
        assert_eq!(response.headers().get(CONTENT_TYPE).unwrap(), crate::error::PROBLEM_JSON);
        assert_eq!(response.headers().get(CACHE_CONTROL).unwrap(), "no-store");
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
