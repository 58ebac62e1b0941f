use actix_web::{HttpRequest, HttpResponse, get};
use concert_domain::audit::{Entry, Filter, Resource};
use concert_domain::id::MAX_ID;
use concert_domain::{Timestamp, UserId};
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use crate::error::ErrorCode::InvalidInput;
use crate::error::{ApiError, ApiResult};
use crate::extract::{Caller, PageQuery, single};
use crate::openapi::{CALLER, CursorQuery, LimitQuery, ResourceIdQuery, ResourceQuery, refusals};
use crate::routes::Routes;
use crate::routes::State;
use crate::routes::reply::PageOf;
use crate::routes::schema::{ActionName, Id, Instant, ResourceKind};

const CHANGES: PageQuery = PageQuery::of("changes");

pub(super) fn configure(cfg: &mut impl Routes) {
    cfg.service(list_changes);
}

/// A change that an operator made.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct ChangeView {
    /// Grows with every change.
    #[schema(minimum = 1, example = 1)]
    id: i64,
    /// When it was made.
    #[schema(value_type = Instant)]
    at: Timestamp,
    /// The operator; null where the caller was not named.
    #[schema(required, value_type = Option<i64>, minimum = 1)]
    actor: Option<UserId>,
    /// The name of the request, as in `X-Request-Id`.
    #[schema(required)]
    request_id: Option<String>,
    /// What was done.
    #[schema(value_type = ActionName)]
    action: &'static str,
    /// To what sort of thing.
    #[schema(value_type = ResourceKind)]
    resource: &'static str,
    /// The thing; of SEATS it is their schedule, of QUEUE its concert.
    #[schema(value_type = Id)]
    resource_id: i64,
    /// How it was; null if it was made.
    #[schema(required, value_type = Option<Object>)]
    before: Option<Value>,
    /// How it is; null if it was removed.
    #[schema(required, value_type = Option<Object>)]
    after: Option<Value>,
}

impl From<Entry> for ChangeView {
    fn from(entry: Entry) -> Self {
        Self {
            id: entry.id,
            at: entry.at,
            actor: entry.editor.user,
            request_id: entry.editor.request_id,
            action: entry.action.word(),
            resource: entry.resource.word(),
            resource_id: entry.resource_id,
            before: entry.before,
            after: entry.after,
        }
    }
}

refusals!(ListRefusals = CALLER, &[InvalidInput]);

/// List what operators changed, newest first.
#[utoipa::path(
    tag = "admin",
    params(LimitQuery, CursorQuery, ResourceQuery, ResourceIdQuery),
    responses((status = 200, description = "A page", body = PageOf<ChangeView>), ListRefusals),
)]
#[get("/admin/audit")]
async fn list_changes(
    state: State,
    request: HttpRequest,
    caller: Caller,
) -> ApiResult<HttpResponse> {
    caller.admin()?;
    let (filter, page) = (wanted(&request)?, CHANGES.read(&request)?);
    let changes = state.ports.audit.changes(filter, page).await?;
    Ok(PageOf::answer(changes, CHANGES, ChangeView::from))
}

fn wanted(request: &HttpRequest) -> ApiResult<Filter> {
    let resource = single(request, "resource")?.map(|word| {
        let names = Resource::ALL.iter().map(|one| one.word()).collect::<Vec<_>>().join(", ");
        Resource::of_word(&word)
            .ok_or_else(|| ApiError::invalid("resource", format!("must be one of {names}")))
    });
    let id = single(request, "resourceId")?.map(|text| {
        let id = text.parse().ok().filter(|id| (1..=MAX_ID).contains(id));
        id.ok_or_else(|| ApiError::invalid("resourceId", "must be a positive integer below 2^53"))
    });
    match (resource.transpose()?, id.transpose()?) {
        (None, None) => Ok(Filter::All),
        (Some(resource), None) => Ok(Filter::Of(resource)),
        (Some(resource), Some(id)) => Ok(Filter::One(resource, id)),
        (None, Some(_)) => Err(ApiError::invalid("resource", "is needed beside resourceId")),
    }
}
