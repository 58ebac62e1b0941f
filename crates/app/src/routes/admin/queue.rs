use actix_web::{HttpRequest, HttpResponse, get, patch};
use concert_domain::ConcertId;
use concert_domain::queue::{Mode, Overview, PolicyPatch, QueueService};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::error::ApiResult;
use crate::error::ErrorCode::{ConcertNotFound, ConcurrencyConflict, InvalidInput};
use crate::extract::{Body, Bounded, Caller, Named, edit, given, nullable, path_id};
use crate::openapi::{BODY, CALLER, ConcertIdPath, EDIT, IfMatchHeader, refusals};
use crate::routes::Routes;
use crate::routes::State;
use crate::routes::reply::versioned;
use crate::routes::schema::{Id, QueueMode};

pub(super) fn configure(cfg: &mut impl Routes) {
    cfg.service(find_queue).service(change_queue);
}

/// How many tokens may be active, or be admitted in a second.
type Count = Bounded<1_000_000>;

/// A change of a queue's policy; what is absent stays.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct PolicyChange {
    /// The new mode.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<QueueMode>, nullable = false)]
    mode: Option<Named<Mode>>,
    /// The most ACTIVE tokens; null goes back to the service's limit.
    #[serde(default, deserialize_with = "nullable")]
    #[schema(value_type = Option<i64>, minimum = 1, maximum = 1_000_000)]
    active_limit: Option<Option<Count>>,
    /// The most admissions in a second; null removes the limit.
    #[serde(default, deserialize_with = "nullable")]
    #[schema(value_type = Option<i64>, minimum = 1, maximum = 1_000_000)]
    admissions_per_second: Option<Option<Count>>,
}

impl From<PolicyChange> for PolicyPatch {
    fn from(change: PolicyChange) -> Self {
        Self {
            mode: change.mode.map(|Named(mode)| mode),
            active_limit: change.active_limit.map(|limit| limit.map(Count::get)),
            admissions_per_second: change.admissions_per_second.map(|rate| rate.map(Count::get)),
        }
    }
}

/// A queue as its operator sees it.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct QueueView {
    /// The concert.
    #[schema(value_type = Id)]
    concert_id: ConcertId,
    /// What the queue does.
    #[schema(value_type = QueueMode)]
    mode: Mode,
    /// The most ACTIVE tokens.
    #[schema(minimum = 1, example = 50)]
    active_limit: u32,
    /// The most admissions in a second; null: no limit.
    #[schema(required, minimum = 1)]
    admissions_per_second: Option<u32>,
    /// How many wait.
    #[schema(example = 1_000)]
    waiting: u64,
    /// How many are admitted now.
    #[schema(example = 50)]
    active: u64,
    /// How many were ever admitted.
    #[schema(example = 400)]
    admitted: u64,
}

impl QueueView {
    /// The queue under the tag of its policy's version.
    fn answer(concert: ConcertId, overview: Overview, queue: &QueueService) -> HttpResponse {
        let response = HttpResponse::Ok().json(Self::new(concert, overview, queue));
        versioned(response, overview.own.version)
    }

    fn new(concert_id: ConcertId, overview: Overview, queue: &QueueService) -> Self {
        let (policy, counts) = (overview.own.policy, overview.counts);
        Self {
            concert_id,
            mode: policy.mode,
            active_limit: queue.active_limit(policy),
            admissions_per_second: policy.admissions_per_second,
            waiting: counts.waiting,
            active: counts.active,
            admitted: counts.admitted,
        }
    }
}

refusals!(FindRefusals = CALLER, &[InvalidInput, ConcertNotFound]);
refusals!(ChangeRefusals = BODY, CALLER, EDIT, &[ConcertNotFound, ConcurrencyConflict]);

/// Look at a concert's queue.
#[utoipa::path(
    tag = "admin",
    params(ConcertIdPath),
    responses(
        (status = 200, description = "The queue", body = QueueView,
            headers(("ETag" = String, description = "The version of its policy"))),
        FindRefusals,
    ),
)]
#[get("/admin/concerts/{concertId}/queue")]
async fn find_queue(state: State, request: HttpRequest, caller: Caller) -> ApiResult<HttpResponse> {
    caller.admin()?;
    let concert = path_id(&request, "concertId")?;
    let queue = &state.services.queue;
    let overview = queue.overview(concert).await?;
    Ok(QueueView::answer(concert, overview, queue))
}

/// Change a concert's queue: HOLD admits nobody, DRAIN takes nobody new.
#[utoipa::path(
    tag = "admin",
    params(ConcertIdPath, IfMatchHeader),
    request_body = PolicyChange,
    responses(
        (status = 200, description = "The queue", body = QueueView,
            headers(("ETag" = String, description = "The version of its policy"))),
        ChangeRefusals,
    ),
)]
#[patch("/admin/concerts/{concertId}/queue")]
async fn change_queue(
    state: State,
    request: HttpRequest,
    caller: Caller,
    body: Body,
) -> ApiResult<HttpResponse> {
    let edit = edit(&request, &caller)?;
    let concert = path_id(&request, "concertId")?;
    let change: PolicyChange = body.json()?;
    let queue = &state.services.queue;
    let overview = queue.set_policy(edit, concert, change.into()).await?;
    Ok(QueueView::answer(concert, overview, queue))
}
