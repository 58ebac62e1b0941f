//! What buyers look at: concerts, schedules, seats and the ranking.

pub(crate) mod written;

use actix_web::{HttpRequest, HttpResponse, HttpResponseBuilder, get};
use concert_domain::concert::{Concert, RankedConcert, ScheduleListing, Seat, SeatStatus};
use concert_domain::{ConcertId, ScheduleId, SeatId, Timestamp, Won};
use serde::Serialize;
use utoipa::ToSchema;

use self::written::{SCHEDULES, tagged, untagged, wanted_seats};
use super::reply::{PageOf, versioned};
use super::schema::{Day, Id, Instant, Money, SeatState};
use super::{Routes, State};
use crate::error::ApiResult;
use crate::error::ErrorCode::{ConcertNotFound, InvalidInput, ScheduleNotFound};
use crate::extract::{Caller, PageQuery, path_id, queue_token};
use crate::openapi::{
    CALLER, ConcertIdPath, CursorQuery, IfNoneMatchHeader, LimitQuery, PASS, ScheduleIdPath,
    StatusQuery, TokenHeader, refusals,
};

const CONCERTS: PageQuery = PageQuery::of("concerts");
const RANKING: PageQuery = PageQuery::of("ranking");

/// The ranking comes before the concert: its path would also read as a concert's.
pub(super) fn configure(cfg: &mut impl Routes) {
    cfg.service(list_concerts)
        .service(rank_concerts)
        .service(find_concert)
        .service(list_schedules)
        .service(list_seats);
}

/// A concert.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ConcertView {
    /// Its id.
    #[schema(value_type = Id)]
    id: ConcertId,
    /// Its title.
    #[schema(example = "Spring Concert")]
    title: String,
    /// What it is about; null if not said.
    #[schema(required)]
    description: Option<String>,
    /// Grows by one with every edit.
    #[schema(minimum = 1, example = 1)]
    version: i64,
}

impl ConcertView {
    /// The concert under the tag of its version.
    pub(super) fn answer(self, mut response: HttpResponseBuilder) -> HttpResponse {
        versioned(response.json(&self), self.version)
    }
}

impl From<Concert> for ConcertView {
    fn from(concert: Concert) -> Self {
        let Concert { id, title, description, version } = concert;
        Self { id, title, description, version }
    }
}

/// A concert with its place in the ranking.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct RankedView {
    /// The place, from 1.
    #[schema(minimum = 1, example = 1)]
    rank: i64,
    /// The concert.
    #[schema(value_type = Id)]
    concert_id: ConcertId,
    /// Its title.
    #[schema(example = "Spring Concert")]
    title: String,
    /// Seats sold and not refunded.
    #[schema(example = 150)]
    sold_seats: u64,
    /// Seats that the concert has.
    #[schema(example = 150)]
    total_seats: u64,
    /// What the sold seats brought in.
    #[schema(value_type = Money)]
    sales: Won,
    /// When the last seat was sold; absent while seats are left.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Instant>, nullable = false)]
    sold_out_at: Option<Timestamp>,
    /// Seconds from the opening of reservations to the last seat.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = 12.5)]
    sold_out_in_seconds: Option<f64>,
}

impl RankedView {
    fn new(rank: i64, concert: RankedConcert) -> Self {
        Self {
            rank,
            concert_id: concert.id,
            title: concert.title,
            sold_seats: concert.sold_seats,
            total_seats: concert.total_seats,
            sales: concert.sales,
            sold_out_at: concert.sold_out_at,
            sold_out_in_seconds: concert.sold_out_after_ms.map(|millis| millis as f64 / 1_000.0),
        }
    }
}

/// The schedules of a concert.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct SchedulesView {
    /// The concert.
    #[schema(value_type = Id)]
    concert_id: ConcertId,
    /// Its schedules by start.
    schedules: Vec<ScheduleListingView>,
}

/// A schedule with the number of its free seats.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct ScheduleListingView {
    /// Its id.
    #[schema(value_type = Id)]
    id: ScheduleId,
    /// The day of the show in UTC.
    #[schema(value_type = Day)]
    date: String,
    /// When the show starts.
    #[schema(value_type = Instant)]
    starts_at: Timestamp,
    /// From when on seats can be held.
    #[schema(value_type = Instant)]
    reservation_opens_at: Timestamp,
    /// Seats that can be held now.
    #[schema(example = 50)]
    available_seats: u64,
}

impl From<ScheduleListing> for ScheduleListingView {
    fn from(listing: ScheduleListing) -> Self {
        let schedule = listing.schedule;
        Self {
            id: schedule.id,
            date: schedule.starts_at.date(),
            starts_at: schedule.starts_at,
            reservation_opens_at: schedule.reservation_opens_at,
            available_seats: listing.available_seats,
        }
    }
}

/// The seats of a schedule.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct SeatsView {
    /// The schedule.
    #[schema(value_type = Id)]
    schedule_id: ScheduleId,
    /// Its seats by number.
    seats: Vec<SeatView>,
}

/// A seat.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct SeatView {
    /// Its id.
    #[schema(value_type = Id)]
    id: SeatId,
    /// Its number, unique in the schedule.
    #[schema(minimum = 1, example = 7)]
    number: u32,
    /// Its state.
    #[schema(value_type = SeatState)]
    status: SeatStatus,
    /// Its price.
    #[schema(value_type = Money)]
    price: Won,
}

impl From<Seat> for SeatView {
    fn from(seat: Seat) -> Self {
        let Seat { id, number, status, price } = seat;
        Self { id, number, status, price }
    }
}

refusals!(ListRefusals = &[InvalidInput]);
refusals!(FindConcertRefusals = &[InvalidInput, ConcertNotFound]);
refusals!(SchedulesRefusals = PASS, CALLER, &[ConcertNotFound]);
refusals!(SeatsRefusals = PASS, CALLER, &[ScheduleNotFound]);

/// List the concerts.
#[utoipa::path(
    tag = "concerts",
    params(LimitQuery, CursorQuery),
    responses((status = 200, description = "A page", body = PageOf<ConcertView>), ListRefusals),
)]
#[get("/concerts")]
async fn list_concerts(state: State, request: HttpRequest) -> ApiResult<HttpResponse> {
    let page = state.services.concerts.concerts(CONCERTS.read(&request)?).await?;
    Ok(PageOf::answer(page, CONCERTS, ConcertView::from))
}

/// Rank the concerts by how fast they sold out, then by sales.
#[utoipa::path(
    tag = "concerts",
    params(LimitQuery, CursorQuery),
    responses((status = 200, description = "A page", body = PageOf<RankedView>), ListRefusals),
)]
#[get("/concerts/ranking")]
async fn rank_concerts(state: State, request: HttpRequest) -> ApiResult<HttpResponse> {
    let wanted = RANKING.read(&request)?;
    let before = wanted.after.map_or(0, |cursor| cursor.key);
    let page = state.services.concerts.ranking(wanted).await?;
    let mut ranks = before + 1..;
    Ok(PageOf::answer(page, RANKING, |concert| {
        RankedView::new(ranks.next().unwrap_or(before), concert)
    }))
}

/// Look a concert up.
#[utoipa::path(
    tag = "concerts",
    params(ConcertIdPath),
    responses(
        (status = 200, description = "The concert", body = ConcertView,
            headers(("ETag" = String, description = "Its version"))),
        FindConcertRefusals,
    ),
)]
#[get("/concerts/{concertId}")]
async fn find_concert(state: State, request: HttpRequest) -> ApiResult<HttpResponse> {
    let concert = state.services.concerts.concert(path_id(&request, "concertId")?).await?;
    Ok(ConcertView::from(concert).answer(HttpResponse::Ok()))
}

/// List the schedules of the concert that the token is admitted to.
///
/// A token that ended through another instance is refused within 100 ms.
#[utoipa::path(
    tag = "concerts",
    params(TokenHeader, ConcertIdPath),
    responses(
        (status = 200, description = "The schedules", body = SchedulesView),
        SchedulesRefusals,
    ),
)]
#[get("/concerts/{concertId}/schedules")]
async fn list_schedules(
    state: State,
    request: HttpRequest,
    caller: Caller,
) -> ApiResult<HttpResponse> {
    let token = queue_token(&request)?;
    let pass = state.services.queue.glance(&token, caller.holder()).await?;
    let concert = path_id(&request, "concertId")?;
    let list = state.services.concerts.schedules_as(pass.concert, concert, &SCHEDULES).await?;
    Ok(untagged(list))
}

/// List the seats of a schedule of the concert that the token is admitted to.
///
/// A token that ended through another instance is refused within 100 ms.
#[utoipa::path(
    tag = "concerts",
    params(TokenHeader, ScheduleIdPath, StatusQuery, IfNoneMatchHeader),
    responses(
        (status = 200, description = "The seats", body = SeatsView,
            headers(("ETag" = String, description = "Names this content"))),
        (status = 304, description = "The client has this content",
            headers(("ETag" = String, description = "Names this content"))),
        SeatsRefusals,
    ),
)]
#[get("/schedules/{scheduleId}/seats")]
async fn list_seats(state: State, request: HttpRequest, caller: Caller) -> ApiResult<HttpResponse> {
    let token = queue_token(&request)?;
    let pass = state.services.queue.glance(&token, caller.holder()).await?;
    let schedule_id = path_id(&request, "scheduleId")?;
    let wanted = wanted_seats(&request)?;
    tagged(&request, state.services.concerts.seats_as(pass.concert, schedule_id, wanted).await?)
}
