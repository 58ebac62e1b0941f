use actix_web::{HttpRequest, HttpResponse, HttpResponseBuilder, delete, get, patch, post};
use concert_domain::concert::{Schedule, SchedulePatch};
use concert_domain::{ConcertId, ScheduleId, Timestamp};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::error::ApiResult;
use crate::error::ErrorCode::{
    ConcertNotFound, ConcurrencyConflict, InvalidInput, ScheduleNotFound, SeatNotAvailable,
};
use crate::extract::{Body, Caller, edit, given, path_id};
use crate::openapi::{BODY, CALLER, ConcertIdPath, EDIT, IfMatchHeader, ScheduleIdPath, refusals};
use crate::routes::Routes;
use crate::routes::reply::{created, versioned};
use crate::routes::schema::{Day, Id, Instant};
use crate::routes::{BASE_PATH, State, no_content};

pub(super) fn configure(cfg: &mut impl Routes) {
    cfg.service(create_schedule)
        .service(find_schedule)
        .service(update_schedule)
        .service(delete_schedule);
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
    /// Must be true to move the start of a schedule with held or sold seats: who has them came for
    /// another time. The audit log says that it was done.
    #[serde(default, deserialize_with = "given")]
    #[schema(nullable = false)]
    move_sold: Option<bool>,
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

impl ScheduleView {
    /// The schedule under the tag of its version.
    fn answer(self, mut response: HttpResponseBuilder) -> HttpResponse {
        versioned(response.json(&self), self.version)
    }
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
refusals!(FindRefusals = CALLER, &[InvalidInput, ScheduleNotFound]);
refusals!(
    UpdateRefusals = BODY,
    CALLER,
    EDIT,
    &[ScheduleNotFound, SeatNotAvailable, ConcurrencyConflict]
);
refusals!(
    DeleteRefusals = CALLER,
    EDIT,
    &[ScheduleNotFound, SeatNotAvailable, ConcurrencyConflict]
);

/// Add a schedule to a concert.
#[utoipa::path(
    tag = "admin",
    params(ConcertIdPath),
    request_body = NewSchedule,
    responses(
        (status = 201, description = "The schedule", body = ScheduleView,
            headers(
                ("Location" = String, description = "The schedule"),
                ("ETag" = String, description = "Its version"),
            )),
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
    let edit = edit(&request, &caller)?;
    let concert = path_id(&request, "concertId")?;
    let NewSchedule { starts_at, reservation_opens_at } = body.json()?;
    let admin = &state.services.admin;
    let schedule = admin.create_schedule(edit, concert, starts_at, reservation_opens_at).await?;
    let location = format!("{BASE_PATH}/admin/schedules/{}", schedule.id);
    let version = schedule.version;
    Ok(versioned(created(location, &ScheduleView::from(schedule)), version))
}

/// Look at a schedule before editing it.
#[utoipa::path(
    tag = "admin",
    params(ScheduleIdPath),
    responses(
        (status = 200, description = "The schedule", body = ScheduleView,
            headers(("ETag" = String, description = "Its version"))),
        FindRefusals,
    ),
)]
#[get("/admin/schedules/{scheduleId}")]
async fn find_schedule(
    state: State,
    request: HttpRequest,
    caller: Caller,
) -> ApiResult<HttpResponse> {
    caller.admin()?;
    let schedule = state.services.admin.find_schedule(path_id(&request, "scheduleId")?).await?;
    Ok(ScheduleView::from(schedule).answer(HttpResponse::Ok()))
}

/// Edit a schedule. With held or sold seats its start moves only when `moveSold` is true.
#[utoipa::path(
    tag = "admin",
    params(ScheduleIdPath, IfMatchHeader),
    request_body = ScheduleChange,
    responses(
        (status = 200, description = "The schedule", body = ScheduleView,
            headers(("ETag" = String, description = "Its version"))),
        UpdateRefusals,
    ),
)]
#[patch("/admin/schedules/{scheduleId}")]
async fn update_schedule(
    state: State,
    request: HttpRequest,
    caller: Caller,
    body: Body,
) -> ApiResult<HttpResponse> {
    let edit = edit(&request, &caller)?;
    let id = path_id(&request, "scheduleId")?;
    let ScheduleChange { starts_at, reservation_opens_at, move_sold } = body.json()?;
    let move_taken = move_sold.unwrap_or(false);
    let patch = SchedulePatch { starts_at, reservation_opens_at, move_taken };
    let schedule = state.services.admin.update_schedule(edit, id, patch).await?;
    Ok(ScheduleView::from(schedule).answer(HttpResponse::Ok()))
}

/// Remove a schedule with its seats, unless one is held or sold.
#[utoipa::path(
    tag = "admin",
    params(ScheduleIdPath, IfMatchHeader),
    responses((status = 204, description = "It is gone"), DeleteRefusals),
)]
#[delete("/admin/schedules/{scheduleId}")]
async fn delete_schedule(
    state: State,
    request: HttpRequest,
    caller: Caller,
) -> ApiResult<HttpResponse> {
    let edit = edit(&request, &caller)?;
    state.services.admin.delete_schedule(edit, path_id(&request, "scheduleId")?).await?;
    Ok(no_content())
}
