use actix_web::{HttpRequest, HttpResponse, delete, patch, post};
use concert_domain::concert::{EditedSeat, SeatPatch, SeatRange};
use concert_domain::{ScheduleId, Won};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::seat_sheet;
use crate::error::ApiResult;
use crate::error::ErrorCode::{
    ConcurrencyConflict, InvalidInput, ScheduleNotFound, SeatNotAvailable, SeatNotFound,
};
use crate::extract::{Body, Caller, Object, SeatFile, edit, given, path_id};
use crate::openapi::{BODY, CALLER, ScheduleIdPath, SeatIdPath, refusals};
use crate::routes::Routes;
use crate::routes::concert::SeatView;
use crate::routes::reply::created;
use crate::routes::schema::{Id, SeatSheet};
use crate::routes::{BASE_PATH, State, no_content};

pub(super) fn configure(cfg: &mut impl Routes) {
    cfg.service(create_seats).service(update_seat).service(delete_seat);
}

/// Seats to add, all or none.
#[derive(Debug, Deserialize, ToSchema)]
struct NewSeats {
    /// Runs of seats, which must not overlap; at most 100,000 seats together.
    #[schema(value_type = Vec<RangeBody>, min_items = 1)]
    ranges: Vec<Object<RangeBody>>,
}

/// A run of seats of one price.
#[derive(Debug, Clone, Copy, Deserialize, ToSchema)]
struct RangeBody {
    /// The first number.
    #[schema(minimum = 1, maximum = 1_000_000, example = 1)]
    from: u32,
    /// The last number, not below the first.
    #[schema(minimum = 1, maximum = 1_000_000, example = 50)]
    to: u32,
    /// The price of each in won.
    #[schema(value_type = i64, minimum = 1, maximum = 1_000_000, example = 150_000)]
    price: Won,
}

/// How many seats were added.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct SeatsCreated {
    /// The schedule.
    #[schema(value_type = Id)]
    schedule_id: ScheduleId,
    /// How many.
    #[schema(example = 50)]
    created: u32,
}

/// A change of a seat; what is absent stays.
#[derive(Debug, Deserialize, ToSchema)]
struct SeatChange {
    /// The new number.
    #[serde(default, deserialize_with = "given")]
    #[schema(nullable = false, minimum = 1, maximum = 1_000_000)]
    number: Option<u32>,
    /// The new price in won.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<i64>, nullable = false, minimum = 1, maximum = 1_000_000)]
    price: Option<Won>,
}

/// A seat and where it is.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct EditedSeatView {
    #[serde(flatten)]
    #[schema(inline)]
    seat: SeatView,
    /// The schedule of the seat.
    #[schema(value_type = Id)]
    schedule_id: ScheduleId,
}

impl From<EditedSeat> for EditedSeatView {
    fn from(edited: EditedSeat) -> Self {
        Self { seat: edited.seat.into(), schedule_id: edited.location.schedule }
    }
}

refusals!(CreateRefusals = BODY, CALLER, &[ScheduleNotFound, ConcurrencyConflict]);
refusals!(UpdateRefusals = BODY, CALLER, &[SeatNotFound, SeatNotAvailable, ConcurrencyConflict]);
refusals!(
    DeleteRefusals = CALLER,
    &[InvalidInput, SeatNotFound, SeatNotAvailable, ConcurrencyConflict]
);

/// Add seats to a schedule, all or none: JSON with ranges, or a CSV file whose first line names the
/// columns `price` and `number`, or `from` and `to`, or all of them. The body may have 4 MiB.
#[utoipa::path(
    tag = "admin",
    params(ScheduleIdPath),
    request_body(content(
        (NewSeats = "application/json"),
        (SeatSheet = "text/csv", example = json!("number,price\n1,150000\n2,150000\n")),
    )),
    responses(
        (status = 201, description = "The seats are there", body = SeatsCreated,
            headers(("Location" = String, description = "The seats of the schedule"))),
        CreateRefusals,
    ),
)]
#[post("/admin/schedules/{scheduleId}/seats")]
async fn create_seats(
    state: State,
    request: HttpRequest,
    caller: Caller,
    body: SeatFile,
) -> ApiResult<HttpResponse> {
    let edit = edit(&request, &caller)?;
    let schedule_id = path_id(&request, "scheduleId")?;
    let ranges = body.read(
        |body| {
            let NewSeats { ranges } = body.json()?;
            let range = |Object(RangeBody { from, to, price })| SeatRange { from, to, price };
            Ok(ranges.into_iter().map(range).collect())
        },
        seat_sheet::parse,
    )?;
    let count = state.services.admin.create_seats(edit, schedule_id, &ranges).await?;
    let location = format!("{BASE_PATH}/schedules/{schedule_id}/seats");
    Ok(created(location, &SeatsCreated { schedule_id, created: count }))
}

/// Edit a seat, unless it is held or sold.
#[utoipa::path(
    tag = "admin",
    params(SeatIdPath),
    request_body = SeatChange,
    responses((status = 200, description = "The seat", body = EditedSeatView), UpdateRefusals),
)]
#[patch("/admin/seats/{seatId}")]
async fn update_seat(
    state: State,
    request: HttpRequest,
    caller: Caller,
    body: Body,
) -> ApiResult<HttpResponse> {
    let edit = edit(&request, &caller)?;
    let id = path_id(&request, "seatId")?;
    let SeatChange { number, price } = body.json()?;
    let edited = state.services.admin.update_seat(edit, id, SeatPatch { number, price }).await?;
    Ok(HttpResponse::Ok().json(EditedSeatView::from(edited)))
}

/// Remove a seat, unless it is held or sold.
#[utoipa::path(
    tag = "admin",
    params(SeatIdPath),
    responses((status = 204, description = "It is gone"), DeleteRefusals),
)]
#[delete("/admin/seats/{seatId}")]
async fn delete_seat(
    state: State,
    request: HttpRequest,
    caller: Caller,
) -> ApiResult<HttpResponse> {
    let edit = edit(&request, &caller)?;
    state.services.admin.delete_seat(edit, path_id(&request, "seatId")?).await?;
    Ok(no_content())
}
