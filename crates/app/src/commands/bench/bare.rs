//! The limit of an answer over HTTP: the same bytes from a handler that does nothing else.

use std::collections::HashMap;
use std::sync::{PoisonError, RwLock};

use actix_web::http::StatusCode;
use actix_web::http::header::CONTENT_TYPE;
use actix_web::web::{Bytes, Data, Path, PayloadConfig, Query};
use actix_web::{App, HttpResponse, HttpServer, web};
use anyhow::{Context, Result};
use serde::Deserialize;

use crate::application;

/// The longest answer that can be taught: a hall of 50,000 seats.
const LONGEST: usize = 16 * 1_024 * 1_024;

#[derive(Default)]
struct Answers(RwLock<HashMap<String, (StatusCode, Bytes)>>);

#[derive(Deserialize)]
struct Taught {
    status: u16,
}

/// Listens on a free port until the process is ended. `PUT /NAME?status=S` teaches an answer, any
/// other request for `/NAME` gets it.
pub(super) async fn run() -> Result<()> {
    let answers = Data::new(Answers::default());
    let app = move || {
        App::new()
            .app_data(answers.clone())
            .app_data(PayloadConfig::new(LONGEST))
            .route("/", web::get().to(HttpResponse::Ok))
            .route("/{name}", web::put().to(teach))
            .route("/{name}", web::to(answer))
    };
    let server = HttpServer::new(app)
        .workers(application::default_threads())
        .tcp_nodelay(true)
        .bind(("127.0.0.1", 0))
        .context("a free port")?;
    if let Some(addr) = server.addrs().first() {
        tracing::info!("listening on http://{addr}");
    }
    server.run().await.context("the bare handler")
}

async fn teach(
    answers: Data<Answers>,
    name: Path<String>,
    taught: Query<Taught>,
    body: Bytes,
) -> HttpResponse {
    let Ok(status) = StatusCode::from_u16(taught.status) else {
        return HttpResponse::BadRequest().finish();
    };
    let mut answers = answers.0.write().unwrap_or_else(PoisonError::into_inner);
    answers.insert(name.into_inner(), (status, body));
    HttpResponse::NoContent().finish()
}

/// Takes the body of the request too, as the service must.
async fn answer(answers: Data<Answers>, name: Path<String>, _body: Bytes) -> HttpResponse {
    let found = answers.0.read().unwrap_or_else(PoisonError::into_inner).get(&*name).cloned();
    match found {
        Some((status, body)) => {
            HttpResponse::build(status).insert_header((CONTENT_TYPE, "application/json")).body(body)
        }
        None => HttpResponse::NotFound().finish(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use actix_web::test;

    #[actix_web::test]
    async fn it_answers_what_it_was_taught() {
        let answers = Data::new(Answers::default());
        let app = App::new()
            .app_data(answers)
            .route("/{name}", web::put().to(teach))
            .route("/{name}", web::to(answer));
        let app = test::init_service(app).await;
        let teach = test::TestRequest::put().uri("/seats?status=201").set_payload("[7]");
        assert_eq!(test::call_service(&app, teach.to_request()).await.status(), 204);
        let ask = test::TestRequest::post().uri("/seats").set_payload("{}").to_request();
        let told = test::call_service(&app, ask).await;
        assert_eq!(told.status(), 201);
        assert_eq!(test::read_body(told).await, "[7]");
        let unknown = test::TestRequest::get().uri("/else").to_request();
        assert_eq!(test::call_service(&app, unknown).await.status(), 404);
    }
}
