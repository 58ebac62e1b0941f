use actix_web::{HttpRequest, HttpResponse, delete, patch, post};
use concert_domain::concert::ConcertPatch;
use serde::Deserialize;
use utoipa::ToSchema;

use crate::error::ApiResult;
use crate::error::ErrorCode::{ConcertNotFound, ConcurrencyConflict, SeatNotAvailable};
use crate::extract::{Body, Caller, edit, given, nullable, path_id};
use crate::openapi::{BODY, CALLER, ConcertIdPath, EDIT, IfMatchHeader, refusals};
use crate::routes::Routes;
use crate::routes::concert::ConcertView;
use crate::routes::reply::{created, versioned};
use crate::routes::{BASE_PATH, State, no_content};

pub(super) fn configure(cfg: &mut impl Routes) {
    cfg.service(create_concert).service(update_concert).service(delete_concert);
}

/// A concert to add.
#[derive(Debug, Deserialize, ToSchema)]
struct NewConcert {
    /// Its title.
    #[schema(min_length = 1, max_length = 200, example = "Spring Concert")]
    title: String,
    /// What it is about.
    #[serde(default)]
    #[schema(max_length = 2_000)]
    description: Option<String>,
}

/// A change of a concert; what is absent stays.
#[derive(Debug, Deserialize, ToSchema)]
struct ConcertChange {
    /// The new title.
    #[serde(default, deserialize_with = "given")]
    #[schema(nullable = false, min_length = 1, max_length = 200)]
    title: Option<String>,
    /// The new description; null removes it.
    #[serde(default, deserialize_with = "nullable")]
    #[schema(value_type = Option<String>, max_length = 2_000)]
    description: Option<Option<String>>,
}

refusals!(CreateRefusals = BODY, CALLER);
refusals!(UpdateRefusals = BODY, CALLER, EDIT, &[ConcertNotFound, ConcurrencyConflict]);
refusals!(DeleteRefusals = CALLER, EDIT, &[ConcertNotFound, SeatNotAvailable, ConcurrencyConflict]);

/// Add a concert.
#[utoipa::path(
    tag = "admin",
    request_body = NewConcert,
    responses(
        (status = 201, description = "The concert", body = ConcertView,
            headers(
                ("Location" = String, description = "The concert"),
                ("ETag" = String, description = "Its version"),
            )),
        CreateRefusals,
    ),
)]
#[post("/admin/concerts")]
async fn create_concert(
    state: State,
    request: HttpRequest,
    caller: Caller,
    body: Body,
) -> ApiResult<HttpResponse> {
    let edit = edit(&request, &caller)?;
    let NewConcert { title, description } = body.json()?;
    let concert = state.services.admin.create_concert(edit, title, description).await?;
    let (location, version) = (format!("{BASE_PATH}/concerts/{}", concert.id), concert.version);
    Ok(versioned(created(location, &ConcertView::from(concert)), version))
}

/// Edit a concert.
#[utoipa::path(
    tag = "admin",
    params(ConcertIdPath, IfMatchHeader),
    request_body = ConcertChange,
    responses(
        (status = 200, description = "The concert", body = ConcertView,
            headers(("ETag" = String, description = "Its version"))),
        UpdateRefusals,
    ),
)]
#[patch("/admin/concerts/{concertId}")]
async fn update_concert(
    state: State,
    request: HttpRequest,
    caller: Caller,
    body: Body,
) -> ApiResult<HttpResponse> {
    let edit = edit(&request, &caller)?;
    let id = path_id(&request, "concertId")?;
    let ConcertChange { title, description } = body.json()?;
    let patch = ConcertPatch { title, description };
    let concert = state.services.admin.update_concert(edit, id, patch).await?;
    Ok(ConcertView::from(concert).answer(HttpResponse::Ok()))
}

/// Remove a concert with its schedules and seats, unless a seat is held or sold.
#[utoipa::path(
    tag = "admin",
    params(ConcertIdPath, IfMatchHeader),
    responses((status = 204, description = "It is gone"), DeleteRefusals),
)]
#[delete("/admin/concerts/{concertId}")]
async fn delete_concert(
    state: State,
    request: HttpRequest,
    caller: Caller,
) -> ApiResult<HttpResponse> {
    let edit = edit(&request, &caller)?;
    state.services.admin.delete_concert(edit, path_id(&request, "concertId")?).await?;
    Ok(no_content())
}
