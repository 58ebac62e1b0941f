//! The only place that picks HTTP statuses: every refusal of the service as problem+json.

use std::time::Duration;

use actix_web::http::StatusCode;
use actix_web::http::header::{ALLOW, HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE};
use actix_web::{HttpResponse, ResponseError};
use concert_domain::{Error, FieldError};
use serde::{Serialize, Serializer};
use utoipa::openapi::schema::{ObjectBuilder, Type};
use utoipa::openapi::{RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};

/// What a handler answers.
pub type ApiResult<T> = Result<T, ApiError>;

/// The media type of every refusal (RFC 9457).
pub const PROBLEM_JSON: &str = "application/problem+json";

macro_rules! error_codes {
    ($($variant:ident $name:literal $status:ident $title:literal)*) => {
        /// The stable name of a refusal; clients branch on it.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
        pub enum ErrorCode {
            $(
                #[doc = $title]
                $variant,
            )*
        }

        impl ErrorCode {
            /// Every code.
            pub const ALL: &[Self] = &[$(Self::$variant),*];

            /// The code as it is written.
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)*
                }
            }

            /// The status that goes with it.
            pub fn status(self) -> StatusCode {
                match self {
                    $(Self::$variant => StatusCode::$status,)*
                }
            }

            /// What it means, in general.
            pub fn title(self) -> &'static str {
                match self {
                    $(Self::$variant => $title,)*
                }
            }
        }
    };
}

error_codes! {
    InvalidInput "INVALID_INPUT" BAD_REQUEST "The request is not valid"
    MissingHeader "MISSING_HEADER" BAD_REQUEST "A required header is missing"
    IdempotencyKeyRequired "IDEMPOTENCY_KEY_REQUIRED" BAD_REQUEST "This request needs an Idempotency-Key"
    Unauthenticated "UNAUTHENTICATED" UNAUTHORIZED "The caller is not known"
    TokenNotFound "TOKEN_NOT_FOUND" UNAUTHORIZED "The queue token is not known"
    TokenNotActive "TOKEN_NOT_ACTIVE" UNAUTHORIZED "The queue token is still waiting"
    TokenExpired "TOKEN_EXPIRED" UNAUTHORIZED "The queue token has ended"
    InsufficientPoints "INSUFFICIENT_POINTS" PAYMENT_REQUIRED "The points do not suffice"
    PaymentDeclined "PAYMENT_DECLINED" PAYMENT_REQUIRED "The payment was declined"
    Forbidden "FORBIDDEN" FORBIDDEN "The caller may not do this"
    TokenMismatch "TOKEN_MISMATCH" FORBIDDEN "The queue token is for another user or concert"
    ReservationNotOpen "RESERVATION_NOT_OPEN" FORBIDDEN "Reservations are not open yet"
    ConcertNotFound "CONCERT_NOT_FOUND" NOT_FOUND "There is no such concert"
    ScheduleNotFound "SCHEDULE_NOT_FOUND" NOT_FOUND "There is no such schedule"
    SeatNotFound "SEAT_NOT_FOUND" NOT_FOUND "There is no such seat"
    ReservationNotFound "RESERVATION_NOT_FOUND" NOT_FOUND "There is no such reservation"
    PaymentNotFound "PAYMENT_NOT_FOUND" NOT_FOUND "There is no such payment"
    UserNotFound "USER_NOT_FOUND" NOT_FOUND "There is no such user"
    RouteNotFound "ROUTE_NOT_FOUND" NOT_FOUND "There is no such route"
    MethodNotAllowed "METHOD_NOT_ALLOWED" METHOD_NOT_ALLOWED "The route has no such method"
    SeatNotAvailable "SEAT_NOT_AVAILABLE" CONFLICT "The seat is held or sold"
    HoldLimitExceeded "HOLD_LIMIT_EXCEEDED" CONFLICT "The caller holds as many seats as one may"
    ConcurrencyConflict "CONCURRENCY_CONFLICT" CONFLICT "The present state does not allow the change"
    ReservationNotPending "RESERVATION_NOT_PENDING" CONFLICT "The reservation is not pending"
    RefundNotAllowed "REFUND_NOT_ALLOWED" CONFLICT "The payment cannot be refunded"
    IdempotencyInProgress "IDEMPOTENCY_IN_PROGRESS" CONFLICT "A request with this key is still running"
    PointLimitExceeded "POINT_LIMIT_EXCEEDED" CONFLICT "The balance would exceed its limit"
    QueueClosed "QUEUE_CLOSED" CONFLICT "The queue takes nobody new"
    ReservationExpired "RESERVATION_EXPIRED" GONE "The hold has expired"
    PreconditionFailed "PRECONDITION_FAILED" PRECONDITION_FAILED "It was changed since it was read"
    PayloadTooLarge "PAYLOAD_TOO_LARGE" PAYLOAD_TOO_LARGE "The body is too large"
    UnsupportedMediaType "UNSUPPORTED_MEDIA_TYPE" UNSUPPORTED_MEDIA_TYPE "The body is of a type that is not read here"
    IdempotencyKeyReused "IDEMPOTENCY_KEY_REUSED" UNPROCESSABLE_ENTITY "The key was used for another request"
    TooManyRequests "TOO_MANY_REQUESTS" TOO_MANY_REQUESTS "Too many requests"
    Internal "INTERNAL" INTERNAL_SERVER_ERROR "The service made a mistake"
    PaymentGatewayError "PAYMENT_GATEWAY_ERROR" BAD_GATEWAY "The payment gateway failed"
    ServiceUnavailable "SERVICE_UNAVAILABLE" SERVICE_UNAVAILABLE "The service cannot serve this now"
    PaymentGatewayTimeout "PAYMENT_GATEWAY_TIMEOUT" GATEWAY_TIMEOUT "The payment gateway did not answer"
}

impl ErrorCode {
    /// Names the kind of problem as a URI reference: `/problems/seat-not-available`.
    pub fn type_uri(self) -> String {
        format!("/problems/{}", self.as_str().to_lowercase().replace('_', "-"))
    }

    /// Refusals that a client is told to repeat, and must therefore be told when.
    fn is_temporary(self) -> bool {
        matches!(
            self,
            Self::TooManyRequests | Self::ServiceUnavailable | Self::IdempotencyInProgress
        )
    }

    /// What would authenticate the caller; every 401 says so.
    fn challenge(self) -> Option<&'static str> {
        match self {
            Self::Unauthenticated => Some("Bearer"),
            code if code.status() == StatusCode::UNAUTHORIZED => Some("Concert-Queue-Token"),
            _ => None,
        }
    }
}

impl Serialize for ErrorCode {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl PartialSchema for ErrorCode {
    fn schema() -> RefOr<Schema> {
        ObjectBuilder::new()
            .schema_type(Type::String)
            .description(Some("The stable name of a refusal; clients branch on it."))
            .enum_values(Some(Self::ALL.iter().map(|code| code.as_str())))
            .into()
    }
}

impl ToSchema for ErrorCode {}

/// A refusal as clients read it (RFC 9457).
#[derive(Debug, Serialize, ToSchema)]
pub struct Problem {
    /// The kind of problem, as a URI reference.
    #[serde(rename = "type")]
    #[schema(example = "/problems/seat-not-available")]
    kind: String,
    /// What the kind means, in general.
    #[schema(example = "The seat is held or sold")]
    title: &'static str,
    /// The HTTP status.
    #[schema(minimum = 400, maximum = 599, example = 409)]
    status: u16,
    /// What is wrong with this request.
    #[schema(example = "the seat is held or sold")]
    detail: String,
    /// The path of the request.
    #[schema(example = "/api/v1/reservations")]
    instance: String,
    /// The stable name of the kind.
    code: ErrorCode,
    /// The name of the request, as in `X-Request-Id`; operators find its log lines by it.
    #[serde(rename = "requestId", skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = "4bf92f3577b34da6a3ce929d0e0e4736")]
    request_id: Option<String>,
    /// The fields that break a rule, if any do.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    errors: Vec<FieldProblem>,
}

/// A member, header or parameter, and what is wrong with it.
#[derive(Debug, Serialize, ToSchema)]
pub struct FieldProblem {
    /// Its name, as the client wrote it.
    #[schema(example = "seatId")]
    field: String,
    /// What is allowed there.
    #[schema(example = "is missing")]
    message: String,
}

/// A refusal on its way to the client.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{detail}")]
pub struct ApiError {
    /// Which refusal it is.
    pub code: ErrorCode,
    detail: String,
    errors: Vec<FieldError>,
    retry_after: Duration,
    allow: Option<String>,
}

impl ApiError {
    /// A refusal, and what is wrong with this request.
    pub fn new(code: ErrorCode, detail: impl Into<String>) -> Self {
        Self {
            code,
            detail: detail.into(),
            errors: Vec::new(),
            retry_after: Duration::from_secs(1),
            allow: None,
        }
    }

    /// A refusal that is worth repeating after so long.
    pub fn later(code: ErrorCode, detail: impl Into<String>, retry_after: Duration) -> Self {
        Self { retry_after, ..Self::new(code, detail) }
    }

    /// The field that breaks a rule.
    pub fn invalid(field: impl Into<String>, message: impl Into<String>) -> Self {
        Error::invalid(field, message).into()
    }

    /// The path exists, with other methods.
    pub fn method_not_allowed(method: &str, allow: String) -> Self {
        let detail = format!("this route has no method {method}");
        Self { allow: Some(allow), ..Self::new(ErrorCode::MethodNotAllowed, detail) }
    }

    /// Several fields that break a rule.
    pub fn all_invalid(errors: Vec<FieldError>) -> Self {
        Error::Invalid(errors).into()
    }

    /// The fields that break a rule.
    pub fn fields(&self) -> &[FieldError] {
        &self.errors
    }

    /// The answer to a request for the given path, of the given name.
    pub fn answer(&self, instance: &str, request_id: Option<&str>) -> HttpResponse {
        let mut response = HttpResponse::build(self.code.status());
        response.content_type(PROBLEM_JSON);
        if self.code.is_temporary() {
            response.insert_header((RETRY_AFTER, whole_seconds(self.retry_after).to_string()));
        }
        if let Some(challenge) = self.code.challenge() {
            response.insert_header((WWW_AUTHENTICATE, HeaderValue::from_static(challenge)));
        }
        if let Some(allow) = &self.allow {
            response.insert_header((ALLOW, allow.as_str()));
        }
        response.json(self.problem(instance, request_id))
    }

    fn problem(&self, instance: &str, request_id: Option<&str>) -> Problem {
        let field = |error: &FieldError| FieldProblem {
            field: error.field.clone(),
            message: error.message.clone(),
        };
        Problem {
            kind: self.code.type_uri(),
            title: self.code.title(),
            status: self.code.status().as_u16(),
            detail: self.detail.clone(),
            instance: instance.to_owned(),
            code: self.code,
            request_id: request_id.map(str::to_owned),
            errors: self.errors.iter().map(field).collect(),
        }
    }
}

/// A time in whole seconds, rounded up and at least 1, as `Retry-After` wants it.
pub fn whole_seconds(time: Duration) -> u64 {
    (time.as_secs() + u64::from(time.subsec_nanos() > 0)).max(1)
}

/// Without the path, which only the layer around the routes knows.
impl ResponseError for ApiError {
    fn status_code(&self) -> StatusCode {
        self.code.status()
    }

    fn error_response(&self) -> HttpResponse {
        self.answer("", None)
    }
}

impl From<Error> for ApiError {
    fn from(error: Error) -> Self {
        let code = code_of(&error);
        let detail = match &error {
            // Its text is for operators: it may show what a client must not see.
            Error::Bug(_) | Error::DeadLetterNotFound => {
                tracing::error!(%error, "a request met a mistake in this program");
                "the mistake is on our side and has been logged".to_owned()
            }
            _ => error.to_string(),
        };
        let refusal = Self::new(code, detail);
        match error {
            Error::Invalid(errors) => Self { errors, ..refusal },
            Error::Unavailable { retry_after, .. } => Self { retry_after, ..refusal },
            _ => refusal,
        }
    }
}

fn code_of(error: &Error) -> ErrorCode {
    match error {
        Error::Invalid(_) => ErrorCode::InvalidInput,
        Error::TokenNotFound => ErrorCode::TokenNotFound,
        Error::TokenNotActive => ErrorCode::TokenNotActive,
        Error::TokenExpired => ErrorCode::TokenExpired,
        Error::TokenMismatch => ErrorCode::TokenMismatch,
        Error::QueueClosed => ErrorCode::QueueClosed,
        Error::ReservationNotOpen { .. } => ErrorCode::ReservationNotOpen,
        Error::ConcertNotFound => ErrorCode::ConcertNotFound,
        Error::ScheduleNotFound => ErrorCode::ScheduleNotFound,
        Error::SeatNotFound => ErrorCode::SeatNotFound,
        Error::ReservationNotFound => ErrorCode::ReservationNotFound,
        Error::PaymentNotFound => ErrorCode::PaymentNotFound,
        Error::UserNotFound => ErrorCode::UserNotFound,
        Error::SeatNotAvailable => ErrorCode::SeatNotAvailable,
        Error::HoldLimitExceeded => ErrorCode::HoldLimitExceeded,
        Error::StaleVersion => ErrorCode::PreconditionFailed,
        Error::Conflict(_) => ErrorCode::ConcurrencyConflict,
        Error::ReservationNotPending => ErrorCode::ReservationNotPending,
        Error::ReservationExpired => ErrorCode::ReservationExpired,
        Error::RefundNotAllowed => ErrorCode::RefundNotAllowed,
        Error::PointLimitExceeded => ErrorCode::PointLimitExceeded,
        Error::InsufficientPoints => ErrorCode::InsufficientPoints,
        Error::IdempotencyKeyReused => ErrorCode::IdempotencyKeyReused,
        Error::IdempotencyInProgress => ErrorCode::IdempotencyInProgress,
        Error::PaymentDeclined => ErrorCode::PaymentDeclined,
        Error::GatewayFailed => ErrorCode::PaymentGatewayError,
        Error::GatewayTimedOut => ErrorCode::PaymentGatewayTimeout,
        Error::Unavailable { .. } => ErrorCode::ServiceUnavailable,
        Error::Bug(_) | Error::DeadLetterNotFound => ErrorCode::Internal,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_is_written_as_its_variant_is_named() {
        for code in ErrorCode::ALL {
            let slug = code.as_str().to_lowercase().replace('_', "-");
            let variant = format!("{code:?}").to_lowercase();
            assert_eq!(slug.replace('-', ""), variant);
            assert_eq!(code.type_uri(), format!("/problems/{slug}"));
            assert!(code.status().is_client_error() || code.status().is_server_error());
        }
    }

    #[test]
    fn what_can_be_retried_says_when() {
        let error = Error::Unavailable { what: "store", retry_after: Duration::from_millis(2_100) };
        let response = ApiError::from(error).answer("/x", None);
        assert_eq!(response.headers().get(RETRY_AFTER).unwrap(), "3");
        let response = ApiError::from(Error::IdempotencyInProgress).answer("/x", None);
        assert_eq!(response.headers().get(RETRY_AFTER).unwrap(), "1");
        let response = ApiError::from(Error::SeatNotAvailable).answer("/x", None);
        assert!(!response.headers().contains_key(RETRY_AFTER));
    }

    #[test]
    fn a_mistake_of_ours_is_never_shown() {
        let refusal = ApiError::from(Error::bug("secret"));
        assert_eq!(refusal.code, ErrorCode::Internal);
        assert!(!refusal.to_string().contains("secret"));
    }
}
