//! Requests that fit no route.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use actix_web::dev::ResourceDef;
use actix_web::{HttpRequest, HttpResponse};
use utoipa::openapi::PathItem;

use crate::error::{ApiError, ApiResult, ErrorCode};
use crate::openapi::document;

/// Which methods a path has, from the OpenAPI document, so that the two cannot differ.
static METHODS: LazyLock<Vec<(ResourceDef, Vec<&str>)>> = LazyLock::new(|| {
    let paths = &document().paths.paths;
    paths.iter().map(|(path, item)| (ResourceDef::new(path.as_str()), methods(item))).collect()
});

fn methods(item: &PathItem) -> Vec<&'static str> {
    let all = [
        ("GET", &item.get),
        ("HEAD", &item.get),
        ("POST", &item.post),
        ("PUT", &item.put),
        ("PATCH", &item.patch),
        ("DELETE", &item.delete),
    ];
    all.into_iter().filter(|(_, operation)| operation.is_some()).map(|(name, _)| name).collect()
}

/// 405 if the path exists with other methods, else 404.
pub(super) async fn refuse(request: HttpRequest) -> ApiResult<HttpResponse> {
    let fitting = METHODS.iter().filter(|(path, _)| path.is_match(request.path()));
    // The most literal path is meant, as OpenAPI has it.
    let variables =
        |(path, _): &&(ResourceDef, _)| path.pattern().map_or(0, |text| text.matches('{').count());
    let meant = fitting.min_by_key(variables);
    let allowed: BTreeSet<&str> = meant.iter().flat_map(|(_, methods)| methods).copied().collect();
    if allowed.is_empty() {
        let detail = format!("there is nothing at {}", request.path());
        return Err(ApiError::new(ErrorCode::RouteNotFound, detail));
    }
    let allow = allowed.into_iter().collect::<Vec<_>>().join(", ");
    Err(ApiError::method_not_allowed(request.method().as_str(), allow))
}
