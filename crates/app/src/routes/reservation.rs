//! Holding a seat, looking at holds, letting one go.

use actix_web::{HttpRequest, HttpResponse, delete, get, post};
use concert_domain::reservation::{HoldRequest, Reservation, ReservationStatus};
use concert_domain::{ConcertId, ReservationId, ScheduleId, SeatId, Timestamp, UserId, Won};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::Routes;
use super::reply::{PageOf, applied, count, created};
use super::schema::{Id, Instant, Money, ReservationState};
use super::{BASE_PATH, State, no_content, read_admitted};
use crate::error::ApiResult;
use crate::error::ErrorCode::{
    ConcurrencyConflict, HoldLimitExceeded, InvalidInput, ReservationNotFound, ReservationNotOpen,
    ReservationNotPending, ScheduleNotFound, SeatNotAvailable, SeatNotFound,
};
use crate::extract::{Body, Caller, PageQuery, claim, given, path_id, queue_token};
use crate::openapi::{
    BODY, CALLER, CursorQuery, KEY, KeyHeader, LimitQuery, PASS, ReservationIdPath, TokenHeader,
    UserHeader, UserIdPath, refusals,
};

const RESERVATIONS: PageQuery = PageQuery::of("reservations");

pub(super) fn configure(cfg: &mut impl Routes) {
    cfg.service(hold_seat)
        .service(list_reservations)
        .service(find_reservation)
        .service(cancel_reservation);
}

/// A wish to hold a seat.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct HoldBody {
    /// Who; the owner of the queue token if absent.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<Id>, nullable = false)]
    user_id: Option<UserId>,
    /// The schedule of the seat.
    #[schema(value_type = Id)]
    schedule_id: ScheduleId,
    /// The seat.
    #[schema(value_type = Id)]
    seat_id: SeatId,
}

/// A hold and what became of it.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct ReservationView {
    /// Its id.
    #[schema(value_type = Id)]
    reservation_id: ReservationId,
    /// What became of it.
    #[schema(value_type = ReservationState)]
    status: ReservationStatus,
    /// Whose it is.
    #[schema(value_type = Id)]
    user_id: UserId,
    /// The seat.
    #[schema(value_type = Id)]
    seat_id: SeatId,
    /// The schedule of the seat.
    #[schema(value_type = Id)]
    schedule_id: ScheduleId,
    /// The concert of the schedule.
    #[schema(value_type = Id)]
    concert_id: ConcertId,
    /// What is to be paid, or was.
    #[schema(value_type = Money)]
    price: Won,
    /// When the seat was held.
    #[schema(value_type = Instant)]
    created_at: Timestamp,
    /// When the hold ends if it is not paid.
    #[schema(value_type = Instant)]
    expires_at: Timestamp,
}

impl From<&Reservation> for ReservationView {
    fn from(reservation: &Reservation) -> Self {
        Self {
            reservation_id: reservation.id,
            status: reservation.status,
            user_id: reservation.user_id,
            seat_id: reservation.seat_id,
            schedule_id: reservation.schedule_id,
            concert_id: reservation.concert_id,
            price: reservation.price,
            created_at: reservation.created_at,
            expires_at: reservation.expires_at,
        }
    }
}

refusals!(
    HoldRefusals = BODY,
    CALLER,
    PASS,
    KEY,
    &[
        ScheduleNotFound,
        SeatNotFound,
        SeatNotAvailable,
        ConcurrencyConflict,
        HoldLimitExceeded,
        ReservationNotOpen
    ]
);
refusals!(HistoryRefusals = CALLER, &[InvalidInput]);
refusals!(FindRefusals = CALLER, &[InvalidInput, ReservationNotFound]);
refusals!(CancelRefusals = CALLER, &[InvalidInput, ReservationNotFound, ReservationNotPending]);

/// Hold a seat for a limited time. Of any number of callers one gets it. A user holds only a few
/// seats of a concert at once.
#[utoipa::path(
    tag = "reservations",
    params(TokenHeader, KeyHeader),
    request_body = HoldBody,
    responses(
        (status = 201, description = "The seat is held", body = ReservationView, headers(
            ("Location" = String, description = "The reservation"),
            ("Idempotency-Replayed" = String, description = "`true` on a repeated answer"),
        )),
        HoldRefusals,
    ),
)]
#[post("/reservations")]
async fn hold_seat(
    state: State,
    request: HttpRequest,
    caller: Caller,
    body: Body,
) -> ApiResult<HttpResponse> {
    let queue = &state.services.queue;
    let token = queue_token(&request)?;
    let (body, key) = read_admitted::<HoldBody>(queue, &token, &caller, &request, &body).await?;
    let user = caller.user_or_token_owner(body.user_id, queue, &token).await?;
    let (schedule, seat) = (body.schedule_id, body.seat_id);
    let claim = claim(&request, "POST /reservations", key, user, &(schedule, seat))?;
    let wish = HoldRequest { user, token, schedule, seat, claim };
    let held = state.services.reservations.hold(wish).await?;
    count(&held, "concert_holds_total");
    Ok(applied(held, |reservation| {
        let location = format!("{BASE_PATH}/reservations/{}", reservation.id);
        created(location, &ReservationView::from(reservation))
    }))
}

/// List a user's reservations, newest first.
#[utoipa::path(
    tag = "reservations",
    params(UserIdPath, LimitQuery, CursorQuery),
    responses(
        (status = 200, description = "A page", body = PageOf<ReservationView>),
        HistoryRefusals,
    ),
)]
#[get("/users/{userId}/reservations")]
async fn list_reservations(
    state: State,
    request: HttpRequest,
    caller: Caller,
) -> ApiResult<HttpResponse> {
    let named = path_id(&request, "userId")?;
    let wanted = RESERVATIONS.read(&request)?;
    let page = state.services.reservations.list(caller.user(named)?, wanted).await?;
    Ok(PageOf::answer(page, RESERVATIONS, |reservation| ReservationView::from(&reservation)))
}

/// Look a reservation up. Somebody else's answers as a missing one.
#[utoipa::path(
    tag = "reservations",
    params(UserHeader, ReservationIdPath),
    responses(
        (status = 200, description = "The reservation", body = ReservationView),
        FindRefusals,
    ),
)]
#[get("/reservations/{reservationId}")]
async fn find_reservation(
    state: State,
    request: HttpRequest,
    caller: Caller,
) -> ApiResult<HttpResponse> {
    let user = caller.owner()?;
    let id = path_id(&request, "reservationId")?;
    let reservation = state.services.reservations.find(user, id).await?;
    Ok(HttpResponse::Ok().json(ReservationView::from(&reservation)))
}

/// Let a pending hold go; the seat is free at once. Letting go what has ended changes nothing.
#[utoipa::path(
    tag = "reservations",
    params(UserHeader, ReservationIdPath),
    responses((status = 204, description = "The hold has ended"), CancelRefusals),
)]
#[delete("/reservations/{reservationId}")]
async fn cancel_reservation(
    state: State,
    request: HttpRequest,
    caller: Caller,
) -> ApiResult<HttpResponse> {
    let user = caller.owner()?;
    let id = path_id(&request, "reservationId")?;
    if state.services.reservations.cancel(user, id).await? {
        metrics::counter!("concert_holds_cancelled_total").increment(1);
    }
    Ok(no_content())
}
