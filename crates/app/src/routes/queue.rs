//! Joining, asking and leaving a queue.

use actix_web::http::header::{HeaderValue, LOCATION, RETRY_AFTER};
use actix_web::{HttpRequest, HttpResponse, delete, get, post};
use concert_domain::queue::{Ticket, TicketStatus};
use concert_domain::{ConcertId, Timestamp, UserId};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::Routes;
use super::schema::{Id, Instant};
use super::{State, no_content};
use crate::error::ErrorCode::{ConcertNotFound, QueueClosed, TokenMismatch};
use crate::error::{ApiResult, whole_seconds};
use crate::extract::{Body, Caller, given, queue_token};
use crate::openapi::{BODY, CALLER, TOKEN, TokenHeader, UserHeader, refusals};

/// Where to ask for a place.
const STATUS: &str = "/api/v1/queue/status";

pub(super) fn configure(cfg: &mut impl Routes) {
    cfg.service(join_queue).service(queue_status).service(leave_queue);
}

/// A wish to wait.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct JoinBody {
    /// Who; the caller if absent.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<Id>, nullable = false)]
    user_id: Option<UserId>,
    /// For which concert.
    #[schema(value_type = Id)]
    concert_id: ConcertId,
}

/// Where a token stands.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "UPPERCASE")]
enum TokenStatus {
    /// In the queue.
    Waiting,
    /// May buy.
    Active,
    /// Over.
    Expired,
}

/// A place in a queue.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct PlaceView {
    /// The queue token: a secret that clients send back and do not parse.
    #[schema(example = "9f86d081884c7d659a2feaa0c55ad015")]
    token: String,
    /// Where it stands.
    status: TokenStatus,
    /// The place from 1; 0 when not waiting.
    #[schema(example = 42)]
    rank: u64,
    /// The expected wait in seconds at the observed pace; 0 when not waiting.
    #[schema(example = 30)]
    estimated_wait_time: u64,
}

impl From<Ticket> for PlaceView {
    fn from(ticket: Ticket) -> Self {
        Self {
            token: ticket.token.to_string(),
            status: match ticket.status {
                TicketStatus::Waiting => TokenStatus::Waiting,
                TicketStatus::Active => TokenStatus::Active,
                TicketStatus::Expired => TokenStatus::Expired,
            },
            rank: ticket.rank,
            estimated_wait_time: ticket.estimated_wait.as_secs_f64().ceil() as u64,
        }
    }
}

/// A place in a queue, with what a poller wants to know.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct StatusView {
    #[serde(flatten)]
    #[schema(inline)]
    place: PlaceView,
    /// Seconds to the next poll; also in `Retry-After`.
    #[schema(minimum = 1, example = 2)]
    poll_after: u64,
    /// When an ACTIVE token ends.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Instant>, nullable = false)]
    expires_at: Option<Timestamp>,
}

refusals!(JoinRefusals = BODY, CALLER, &[ConcertNotFound, QueueClosed]);
refusals!(TokenRefusals = TOKEN, CALLER, &[TokenMismatch]);

/// Take a place in a concert's queue, or find the one that the user has.
#[utoipa::path(
    tag = "queue",
    params(UserHeader),
    request_body = JoinBody,
    responses(
        (status = 201, description = "A new place", body = PlaceView,
            headers(("Location" = String, description = "Where to ask for it"))),
        (status = 200, description = "The live place that the user had", body = PlaceView),
        JoinRefusals,
    ),
)]
#[post("/queue/tokens")]
async fn join_queue(state: State, caller: Caller, body: Body) -> ApiResult<HttpResponse> {
    let body: JoinBody = body.json()?;
    let user = caller.user_or_self(body.user_id)?;
    let (ticket, first) = state.services.queue.join(user, body.concert_id).await?;
    let mut response = if first { HttpResponse::Created() } else { HttpResponse::Ok() };
    if first {
        state.waits.joined(&ticket);
        response.insert_header((LOCATION, HeaderValue::from_static(STATUS)));
    }
    Ok(response.json(PlaceView::from(ticket)))
}

/// Ask where a token stands. A poll of an admitted token counts as using it.
///
/// What happened through other instances shows within 100 ms.
#[utoipa::path(
    tag = "queue",
    params(TokenHeader),
    responses(
        (status = 200, description = "Where it stands", body = StatusView,
            headers(("Retry-After" = u64, description = "Seconds to the next poll"))),
        TokenRefusals,
    ),
)]
#[get("/queue/status")]
async fn queue_status(
    state: State,
    request: HttpRequest,
    caller: Caller,
) -> ApiResult<HttpResponse> {
    let token = queue_token(&request)?;
    let ticket = state.services.queue.status(&token, caller.holder()).await?;
    state.waits.asked(&ticket);
    let poll_after = whole_seconds(ticket.poll_after);
    let expires_at = ticket.expires_at;
    let again = HeaderValue::from(poll_after);
    Ok(HttpResponse::Ok().insert_header((RETRY_AFTER, again)).json(StatusView {
        place: ticket.into(),
        poll_after,
        expires_at,
    }))
}

/// Leave the queue, or give the slot back. Leaving twice is leaving once.
#[utoipa::path(
    tag = "queue",
    params(TokenHeader),
    responses((status = 204, description = "The place is free"), TokenRefusals),
)]
#[delete("/queue/tokens")]
async fn leave_queue(
    state: State,
    request: HttpRequest,
    caller: Caller,
) -> ApiResult<HttpResponse> {
    let token = queue_token(&request)?;
    state.services.queue.leave(&token, caller.holder()).await?;
    metrics::counter!("concert_queue_left_total").increment(1);
    Ok(no_content())
}
