//! Buying points, the balance and its ledger.

use actix_web::{HttpRequest, HttpResponse, get, patch, web};
use concert_domain::point::{
    ChargeRequest, Charged, EntryKind, LedgerLine, PaymentDetail, PaymentMethod,
};
use concert_domain::{PaymentId, Timestamp, TransactionId, UserId, Won};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::Routes;
use super::reply::{PageOf, applied};
use super::schema::{ChargeMethod, EntryType, Id, Instant, Money};
use super::{State, unrouted};
use crate::error::ApiResult;
use crate::error::ErrorCode::{
    InvalidInput, PaymentDeclined, PaymentGatewayError, PaymentGatewayTimeout, PointLimitExceeded,
};
use crate::extract::{
    Body, Caller, Named, PageQuery, claim, given, idempotency_key, origin, path_id,
};
use crate::openapi::{
    BODY, CALLER, CursorQuery, KEY, KeyHeader, LimitQuery, UserHeader, UserIdPath, refusals,
};

const LEDGER: PageQuery = PageQuery::of("ledger");

pub(super) fn configure(cfg: &mut impl Routes) {
    // Or else `charge` would be read as the id of a user.
    let other_methods = web::resource("/points/charge").to(unrouted::refuse);
    cfg.service(charge_points).untold(other_methods).service(find_balance).service(list_ledger);
}

/// A wish to buy points.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct ChargeBody {
    /// Whose points; the caller's if absent.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<Id>, nullable = false)]
    user_id: Option<UserId>,
    /// How many: at least 100; the balance never exceeds 1,000,000.
    #[schema(value_type = i64, minimum = 100, maximum = 1_000_000, example = 50_000)]
    amount: Won,
    /// How they are bought.
    #[schema(value_type = ChargeMethod)]
    payment_method: Named<PaymentMethod>,
    /// The gateway's token for the means of payment, 1 to 200 printable ASCII characters; never a card
    /// number. Where the gateway is the sandbox, `sandbox:approve`, `sandbox:decline`, `sandbox:slow`
    /// (a second), `sandbox:duplicate` (delivered twice), `sandbox:lost` (approved, but the answer is
    /// lost), `sandbox:timeout` and `sandbox:error` show what real money does.
    #[serde(default)]
    #[schema(min_length = 1, max_length = 200, example = "tok_visa")]
    payment_detail: Option<String>,
}

/// What a charge did.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct ChargedView {
    /// Whose points.
    #[schema(value_type = Id)]
    user_id: UserId,
    /// How many were added.
    #[schema(value_type = Money)]
    amount: Won,
    /// The balance afterwards.
    #[schema(value_type = Money)]
    total_point: Won,
    /// The ledger line.
    #[schema(value_type = Id)]
    transaction_id: TransactionId,
    /// When.
    #[schema(value_type = Instant)]
    charged_at: Timestamp,
}

impl From<&Charged> for ChargedView {
    fn from(charged: &Charged) -> Self {
        Self {
            user_id: charged.user_id,
            amount: charged.amount,
            total_point: charged.balance,
            transaction_id: charged.transaction_id,
            charged_at: charged.charged_at,
        }
    }
}

/// A balance.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct BalanceView {
    /// Whose.
    #[schema(value_type = Id)]
    user_id: UserId,
    /// How many points.
    #[schema(value_type = Money)]
    point: Won,
}

/// A line of the point ledger.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct LedgerLineView {
    /// Its id.
    #[schema(value_type = Id)]
    transaction_id: TransactionId,
    /// Why the balance changed.
    #[serde(rename = "type")]
    #[schema(value_type = EntryType)]
    kind: EntryKind,
    /// By how much; negative for USE, so that the lines sum to the balance.
    #[schema(example = -150_000)]
    amount: i64,
    /// The balance afterwards.
    #[schema(value_type = Money)]
    balance_after: Won,
    /// When.
    #[schema(value_type = Instant)]
    created_at: Timestamp,
    /// The payment that was made or refunded.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Id>, nullable = false)]
    payment_id: Option<PaymentId>,
}

impl From<LedgerLine> for LedgerLineView {
    fn from(line: LedgerLine) -> Self {
        Self {
            transaction_id: line.transaction_id,
            kind: line.kind,
            amount: line.amount,
            balance_after: line.balance_after,
            created_at: line.created_at,
            payment_id: line.payment_id,
        }
    }
}

refusals!(
    ChargeRefusals = BODY,
    CALLER,
    KEY,
    &[PaymentDeclined, PointLimitExceeded, PaymentGatewayError, PaymentGatewayTimeout]
);
refusals!(ReadRefusals = CALLER, &[InvalidInput]);

/// Buy points.
///
/// 502 and 504 mean that nobody knows yet whether the money was taken. The same request under the same
/// `Idempotency-Key` finds out; without it the charge is settled after a minute: as points if the money
/// was taken, else it is given up. A key whose charge is just being given up is 409
/// `IDEMPOTENCY_IN_PROGRESS`.
#[utoipa::path(
    tag = "points",
    params(UserHeader, KeyHeader),
    request_body = ChargeBody,
    responses(
        (status = 200, description = "The points are there", body = ChargedView,
            headers(("Idempotency-Replayed" = String, description = "`true` on a repeated answer"))),
        ChargeRefusals,
    ),
)]
#[patch("/points/charge")]
async fn charge_points(
    state: State,
    request: HttpRequest,
    caller: Caller,
    body: Body,
) -> ApiResult<HttpResponse> {
    let body: ChargeBody = body.json()?;
    let key = idempotency_key(&request)?;
    let user = caller.user_or_self(body.user_id)?;
    let detail = body.payment_detail.map(PaymentDetail::try_from).transpose()?;
    let (amount, Named(method)) = (body.amount, body.payment_method);
    let claim = claim(&request, "PATCH /points/charge", key, user, &(amount, method, &detail))?;
    let wish = ChargeRequest { user, amount, method, detail, claim, origin: origin(&request) };
    let charged = state.services.points.charge(wish).await?;
    Ok(applied(charged, |charged| HttpResponse::Ok().json(ChargedView::from(charged))))
}

/// Look a balance up; 0 for a user who never charged.
#[utoipa::path(
    tag = "points",
    params(UserIdPath),
    responses((status = 200, description = "The balance", body = BalanceView), ReadRefusals),
)]
#[get("/points/{userId}")]
async fn find_balance(
    state: State,
    request: HttpRequest,
    caller: Caller,
) -> ApiResult<HttpResponse> {
    let user_id = caller.user(path_id(&request, "userId")?)?;
    let point = state.services.points.balance(user_id).await?;
    Ok(HttpResponse::Ok().json(BalanceView { user_id, point }))
}

/// List the lines of a user's ledger, newest first.
#[utoipa::path(
    tag = "points",
    params(UserIdPath, LimitQuery, CursorQuery),
    responses((status = 200, description = "A page", body = PageOf<LedgerLineView>), ReadRefusals),
)]
#[get("/users/{userId}/points/history")]
async fn list_ledger(
    state: State,
    request: HttpRequest,
    caller: Caller,
) -> ApiResult<HttpResponse> {
    let named = path_id(&request, "userId")?;
    let wanted = LEDGER.read(&request)?;
    let page = state.services.points.history(caller.user(named)?, wanted).await?;
    Ok(PageOf::answer(page, LEDGER, LedgerLineView::from))
}
