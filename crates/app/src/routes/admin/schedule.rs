use actix_web::{HttpRequest, HttpResponse, delete, patch, post};
use concert_domain::concert::{Schedule, SchedulePatch};
use concert_domain::{ConcertId, ScheduleId, Timestamp};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_actix_web::service_config::ServiceConfig;

use crate::error::ApiResult;
use crate::error::ErrorCode::{
    ConcertNotFound, ConcurrencyConflict, InvalidInput, ScheduleNotFound, SeatNotAvailable,
};
use crate::extract::{Body, Caller, given, path_id};
use crate::openapi::{BODY, CALLER, ConcertIdPath, ScheduleIdPath, refusals};
use crate::routes::reply::created;
use crate::routes::schema::{Day, Id, Instant};
use crate::routes::{BASE_PATH, State, no_content};

pub(super) fn configure(cfg: &mut ServiceConfig<'_>) {
    cfg.service(create_schedule).service(update_schedule).service(delete_schedule);
}

/// A schedule to add.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct NewSchedule {
    /// When the show starts.
    #[schema(value_type = Instant)]
    starts_at: Timestamp,
    /// From when on seats can be held; not after the start.
    #[schema(value_type = Instant)]
    reservation_opens_at: Timestamp,
}

/// A change of a schedule; what is absent stays.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct ScheduleChange {
    /// The new start.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<Instant>, nullable = false)]
    starts_at: Option<Timestamp>,
    /// The new opening.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<Instant>, nullable = false)]
    reservation_opens_at: Option<Timestamp>,
}

/// One showing of a concert.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct ScheduleView {
    /// Its id.
    #[schema(value_type = Id)]
    id: ScheduleId,
    /// The concert that is shown.
    #[schema(value_type = Id)]
    concert_id: ConcertId,
    /// The day of the show in UTC.
    #[schema(value_type = Day)]
    date: String,
    /// When the show starts.
    #[schema(value_type = Instant)]
    starts_at: Timestamp,
    /// From when on seats can be held.
    #[schema(value_type = Instant)]
    reservation_opens_at: Timestamp,
    /// Grows by one with every edit.
    #[schema(minimum = 1, example = 1)]
    version: i64,
}

impl From<Schedule> for ScheduleView {
    fn from(schedule: Schedule) -> Self {
        Self {
            id: schedule.id,
            concert_id: schedule.concert_id,
            date: schedule.starts_at.date(),
            starts_at: schedule.starts_at,
            reservation_opens_at: schedule.reservation_opens_at,
            version: schedule.version,
        }
    }
}

refusals!(CreateRefusals = BODY, CALLER, &[ConcertNotFound, ConcurrencyConflict]);
refusals!(
    UpdateRefusals = BODY,
    CALLER,
    &[ScheduleNotFound, SeatNotAvailable, ConcurrencyConflict]
);
refusals!(
    DeleteRefusals = CALLER,
    &[InvalidInput, ScheduleNotFound, SeatNotAvailable, ConcurrencyConflict]
);

/// Add a schedule to a concert.
#[utoipa::path(
    tag = "admin",
    params(ConcertIdPath),
    request_body = NewSchedule,
    responses(
        (status = 201, description = "The schedule", body = ScheduleView,
            headers(("Location" = String, description = "The schedule"))),
        CreateRefusals,
    ),
)]
#[post("/admin/concerts/{concertId}/schedules")]
async fn create_schedule(
    state: State,
    request: HttpRequest,
    caller: Caller,
    body: Body,
) -> ApiResult<HttpResponse> {
    caller.admin()?;
    let concert = path_id(&request, "concertId")?;
    let NewSchedule { starts_at, reservation_opens_at } = body.json()?;
    let schedule =
        state.services.admin.create_schedule(concert, starts_at, reservation_opens_at).await?;
    let location = format!("{BASE_PATH}/admin/schedules/{}", schedule.id);
    Ok(created(location, &ScheduleView::from(schedule)))
}

/// Edit a schedule. Its start stays once a seat is sold.
#[utoipa::path(
    tag = "admin",
    params(ScheduleIdPath),
    request_body = ScheduleChange,
    responses((status = 200, description = "The schedule", body = ScheduleView), UpdateRefusals),
)]
#[patch("/admin/schedules/{scheduleId}")]
async fn update_schedule(
    state: State,
    request: HttpRequest,
    caller: Caller,
    body: Body,
) -> ApiResult<HttpResponse> {
    caller.admin()?;
    let id = path_id(&request, "scheduleId")?;
    let ScheduleChange { starts_at, reservation_opens_at } = body.json()?;
    let patch = SchedulePatch { starts_at, reservation_opens_at };
    let schedule = state.services.admin.update_schedule(id, patch).await?;
    Ok(HttpResponse::Ok().json(ScheduleView::from(schedule)))
}

/// Remove a schedule with its seats, unless one is held or sold.
#[utoipa::path(
    tag = "admin",
    params(ScheduleIdPath),
    responses((status = 204, description = "It is gone"), DeleteRefusals),
)]
#[delete("/admin/schedules/{scheduleId}")]
async fn delete_schedule(
    state: State,
    request: HttpRequest,
    caller: Caller,
) -> ApiResult<HttpResponse> {
    caller.admin()?;
    state.services.admin.delete_schedule(path_id(&request, "scheduleId")?).await?;
    Ok(no_content())
}
