//! The OpenAPI document and its explorer; everything needed is inside the binary.

use std::sync::{Arc, LazyLock};

use actix_web::http::header::{CACHE_CONTROL, CONTENT_ENCODING};
use actix_web::{HttpRequest, HttpResponse, get, guard, web};
use concert_domain::Error;
use utoipa_swagger_ui::Config;

use super::Routes;
use crate::error::{ApiError, ApiResult, ErrorCode};
use crate::openapi;

pub(super) fn configure(cfg: &mut impl Routes) {
    let files = web::resource("/docs/{file:.*}").guard(guard::Get()).to(explorer_file);
    cfg.service(openapi_document).service(explorer).untold(files);
}

static EXPLORER: LazyLock<Arc<Config<'static>>> =
    LazyLock::new(|| Arc::new(Config::from("/openapi.json")));

/// This document.
#[utoipa::path(
    tag = "operations",
    responses((status = 200, description = "The document", content_type = "application/json")),
)]
#[get("/openapi.json")]
async fn openapi_document() -> HttpResponse {
    HttpResponse::Ok().insert_header((CACHE_CONTROL, "no-cache")).json(openapi::document())
}

/// The explorer of this document.
#[utoipa::path(
    tag = "operations",
    responses((status = 200, description = "The page", body = String, content_type = "text/html")),
)]
#[get("/docs")]
async fn explorer() -> HttpResponse {
    explorer_page()
}

fn explorer_page() -> HttpResponse {
    HttpResponse::Ok()
        .content_type("text/html; charset=utf-8")
        .insert_header((CACHE_CONTROL, "no-cache"))
        .body(include_str!("explorer.html"))
}

async fn explorer_file(request: HttpRequest) -> ApiResult<HttpResponse> {
    let name = request.match_info().get("file").unwrap_or_default();
    if name.is_empty() {
        return Ok(explorer_page());
    }
    let file = utoipa_swagger_ui::serve(name, EXPLORER.clone())
        .map_err(|error| Error::bug(error.to_string()))?
        .ok_or_else(|| ApiError::new(ErrorCode::RouteNotFound, "the explorer has no such file"))?;
    let mut response = HttpResponse::Ok();
    response.content_type(file.content_type).insert_header((CACHE_CONTROL, "no-cache"));
    if file.gzpipped {
        response.insert_header((CONTENT_ENCODING, "gzip"));
    }
    Ok(response.body(file.bytes.into_owned()))
}
