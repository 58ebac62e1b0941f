//! Paying for a hold, looking at payments, giving money back.

use actix_web::{HttpRequest, HttpResponse, get, post};
use concert_domain::payment::{PayRequest, Payment, PaymentStatus, RefundRequest};
use concert_domain::{PaymentId, ReservationId, Timestamp, UserId, Won};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::Routes;
use super::reply::{PageOf, applied, count, created};
use super::schema::{Id, Instant, Money, PaymentState};
use super::{BASE_PATH, State, read_admitted};
use crate::error::ApiResult;
use crate::error::ErrorCode::{
    InsufficientPoints, InvalidInput, PaymentNotFound, PointLimitExceeded, RefundNotAllowed,
    ReservationExpired, ReservationNotFound, ReservationNotPending,
};
use crate::extract::{
    Body, Caller, PageQuery, claim, given, idempotency_key, origin, path_id, queue_token,
};
use crate::openapi::{
    BODY, CALLER, CursorQuery, KEY, KeyHeader, LimitQuery, PASS, PaymentIdPath, TokenHeader,
    UserHeader, UserIdPath, refusals,
};

const PAYMENTS: PageQuery = PageQuery::of("payments");

pub(super) fn configure(cfg: &mut impl Routes) {
    cfg.service(pay).service(list_payments).service(find_payment).service(refund_payment);
}

/// A wish to pay.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct PayBody {
    /// Who; the owner of the queue token if absent.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<Id>, nullable = false)]
    user_id: Option<UserId>,
    /// What for.
    #[schema(value_type = Id)]
    reservation_id: ReservationId,
}

/// A payment.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct PaymentView {
    /// Its id.
    #[schema(value_type = Id)]
    payment_id: PaymentId,
    /// What was paid for.
    #[schema(value_type = Id)]
    reservation_id: ReservationId,
    /// What became of it.
    #[schema(value_type = PaymentState)]
    status: PaymentStatus,
    /// What was paid.
    #[schema(value_type = Money)]
    paid_amount: Won,
    /// When.
    #[schema(value_type = Instant)]
    paid_at: Timestamp,
    /// When the money was given back.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Instant>, nullable = false)]
    refunded_at: Option<Timestamp>,
}

impl From<&Payment> for PaymentView {
    fn from(payment: &Payment) -> Self {
        Self {
            payment_id: payment.id,
            reservation_id: payment.reservation_id,
            status: payment.status,
            paid_amount: payment.amount,
            paid_at: payment.paid_at,
            refunded_at: payment.refunded_at,
        }
    }
}

refusals!(
    PayRefusals = BODY,
    CALLER,
    PASS,
    KEY,
    &[ReservationNotFound, ReservationNotPending, ReservationExpired, InsufficientPoints]
);
refusals!(HistoryRefusals = CALLER, &[InvalidInput]);
refusals!(FindRefusals = CALLER, &[InvalidInput, PaymentNotFound]);
refusals!(RefundRefusals = CALLER, KEY, &[PaymentNotFound, RefundNotAllowed, PointLimitExceeded]);

/// Pay for a hold with points. The seat is sold and the queue token ends.
#[utoipa::path(
    tag = "payments",
    params(TokenHeader, KeyHeader),
    request_body = PayBody,
    responses(
        (status = 201, description = "Paid", body = PaymentView, headers(
            ("Location" = String, description = "The payment"),
            ("Idempotency-Replayed" = String, description = "`true` on a repeated answer"),
        )),
        PayRefusals,
    ),
)]
#[post("/payments")]
async fn pay(
    state: State,
    request: HttpRequest,
    caller: Caller,
    body: Body,
) -> ApiResult<HttpResponse> {
    let queue = &state.services.queue;
    let token = queue_token(&request)?;
    let (body, key) = read_admitted::<PayBody>(queue, &token, &caller, &request, &body).await?;
    let user = caller.user_or_token_owner(body.user_id, queue, &token).await?;
    let claim = claim(&request, "POST /payments", key, user, &body.reservation_id)?;
    let origin = origin(&request);
    let wish = PayRequest { user, token, reservation: body.reservation_id, claim, origin };
    let paid = state.services.payments.pay(wish).await?;
    count(&paid, "concert_payments_total");
    Ok(applied(paid, |payment| {
        let location = format!("{BASE_PATH}/payments/{}", payment.id);
        created(location, &PaymentView::from(payment))
    }))
}

/// List a user's payments, newest first.
#[utoipa::path(
    tag = "payments",
    params(UserIdPath, LimitQuery, CursorQuery),
    responses((status = 200, description = "A page", body = PageOf<PaymentView>), HistoryRefusals),
)]
#[get("/users/{userId}/payments")]
async fn list_payments(
    state: State,
    request: HttpRequest,
    caller: Caller,
) -> ApiResult<HttpResponse> {
    let named = path_id(&request, "userId")?;
    let wanted = PAYMENTS.read(&request)?;
    let page = state.services.payments.list(caller.user(named)?, wanted).await?;
    Ok(PageOf::answer(page, PAYMENTS, |payment| PaymentView::from(&payment)))
}

/// Look a payment up. Somebody else's answers as a missing one.
#[utoipa::path(
    tag = "payments",
    params(UserHeader, PaymentIdPath),
    responses((status = 200, description = "The payment", body = PaymentView), FindRefusals),
)]
#[get("/payments/{paymentId}")]
async fn find_payment(
    state: State,
    request: HttpRequest,
    caller: Caller,
) -> ApiResult<HttpResponse> {
    let user = caller.owner()?;
    let payment = state.services.payments.find(user, path_id(&request, "paymentId")?).await?;
    Ok(HttpResponse::Ok().json(PaymentView::from(&payment)))
}

/// Give the money back, until the cut-off before the show. The seat is free again.
#[utoipa::path(
    tag = "payments",
    params(UserHeader, PaymentIdPath, KeyHeader),
    responses(
        (status = 200, description = "The refunded payment", body = PaymentView,
            headers(("Idempotency-Replayed" = String, description = "`true` on a repeated answer"))),
        RefundRefusals,
    ),
)]
#[post("/payments/{paymentId}/refund")]
async fn refund_payment(
    state: State,
    request: HttpRequest,
    caller: Caller,
) -> ApiResult<HttpResponse> {
    let user = caller.owner()?;
    let payment = path_id(&request, "paymentId")?;
    let key = idempotency_key(&request)?;
    let claim = claim(&request, "POST /payments/{paymentId}/refund", key, user, &payment)?;
    let wish = RefundRequest { user, payment, claim, origin: origin(&request) };
    let refunded = state.services.payments.refund(wish).await?;
    count(&refunded, "concert_refunds_total");
    Ok(applied(refunded, |payment| HttpResponse::Ok().json(PaymentView::from(payment))))
}
