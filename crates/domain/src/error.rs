//! Every way in which a request can be refused, typed.

use std::time::Duration;

/// What a use case or a port answers.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// One member of the input and what is wrong with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldError {
    /// The name of the member, header or parameter, as the client wrote it.
    pub field: String,
    /// What is allowed there.
    pub message: String,
}

/// What sort of refusal it is; who must act, and whether trying again can help.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ErrorKind {
    /// The request can never be right as it is.
    BadInput,
    /// The caller has not shown who is calling, or its queue token is not good for this now.
    Unauthenticated,
    /// The caller is known and may not do this.
    Forbidden,
    /// The thing does not exist, or not for this caller.
    Missing,
    /// Money is lacking.
    PaymentRequired,
    /// The present state does not allow it.
    Conflict,
    /// It did exist, and its time is over.
    Gone,
    /// Something that the service needs does not answer; the same request may work later.
    Unavailable,
    /// A mistake in this program.
    Bug,
}

/// A refusal. A port method documents which of these it answers.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The input breaks a rule; each field is named.
    #[error("the request has {} invalid field(s)", .0.len())]
    Invalid(Vec<FieldError>),

    /// No queue token of that name is known (any more).
    #[error("the queue token is unknown; join the queue")]
    TokenNotFound,
    /// The queue token is still waiting.
    #[error("the queue token is not admitted yet; poll its status")]
    TokenNotActive,
    /// The queue token's time is over.
    #[error("the queue token has ended; join the queue again")]
    TokenExpired,
    /// The queue token belongs to another user or another concert.
    #[error("the queue token belongs to another user or another concert")]
    TokenMismatch,
    /// The concert's queue takes no newcomers (mode DRAIN).
    #[error("the queue of this concert takes nobody new")]
    QueueClosed,

    /// Reservations for the schedule open later.
    #[error("reservations for this schedule open at {opens_at}")]
    ReservationNotOpen {
        /// When they open.
        opens_at: crate::Timestamp,
    },

    /// No such concert.
    #[error("there is no such concert")]
    ConcertNotFound,
    /// No such schedule.
    #[error("there is no such schedule")]
    ScheduleNotFound,
    /// No such seat in the named schedule.
    #[error("there is no such seat in this schedule")]
    SeatNotFound,
    /// No such reservation of this caller.
    #[error("there is no such reservation")]
    ReservationNotFound,
    /// No such payment of this caller.
    #[error("there is no such payment")]
    PaymentNotFound,
    /// No name is kept for this user.
    #[error("there is no such user")]
    UserNotFound,
    /// No dead letter of that number waits for a replay.
    #[error("there is no such dead letter, or it was replayed before")]
    DeadLetterNotFound,

    /// Somebody else holds or owns the seat.
    #[error("the seat is held or sold")]
    SeatNotAvailable,
    /// The user holds as many seats of the concert as one may.
    #[error("you hold as many seats of this concert as one may; pay for one or let one go")]
    HoldLimitExceeded,
    /// The thing was changed since the caller read it.
    #[error("it was changed since you read it; read it again")]
    StaleVersion,
    /// The thing is in a state that does not allow the change; the text says which.
    #[error("{0}")]
    Conflict(&'static str),
    /// The reservation is paid or cancelled.
    #[error("the reservation is not pending")]
    ReservationNotPending,
    /// The hold ended before it was paid.
    #[error("the hold has expired; hold a seat again")]
    ReservationExpired,
    /// The cut-off has passed, or the payment was refunded before.
    #[error("the payment cannot be refunded (any more)")]
    RefundNotAllowed,
    /// The balance would exceed its limit.
    #[error("the balance would exceed {limit} won", limit = crate::point::MAX_BALANCE)]
    PointLimitExceeded,
    /// The balance is lower than the price.
    #[error("the point balance is too low; charge points first")]
    InsufficientPoints,

    /// The idempotency key was used for another request.
    #[error("the idempotency key was used for a different request")]
    IdempotencyKeyReused,
    /// A request with this idempotency key is still running.
    #[error("a request with this idempotency key is still running")]
    IdempotencyInProgress,

    /// The payment gateway refused the charge.
    #[error("the payment gateway declined the charge")]
    PaymentDeclined,
    /// The payment gateway answered with an error; whether it charged is settled later.
    #[error("the payment gateway failed; the charge is settled later, retry under the same key")]
    GatewayFailed,
    /// The payment gateway did not answer in time; whether it charged is settled later.
    #[error(
        "the payment gateway did not answer; the charge is settled later, retry under the same key"
    )]
    GatewayTimedOut,

    /// Something that the service needs is not there or is overloaded.
    #[error("{what} is not available")]
    Unavailable {
        /// What is missing.
        what: &'static str,
        /// When a client should try again.
        retry_after: Duration,
    },
    /// A mistake in this program or in its data.
    #[error("internal error: {0}")]
    Bug(String),
}

impl Error {
    /// A dependency is down or full; to be tried again after a second.
    pub fn unavailable(what: &'static str) -> Self {
        Self::Unavailable { what, retry_after: Duration::from_secs(1) }
    }

    /// Something that cannot be, if the program is right.
    pub fn bug(what: impl Into<String>) -> Self {
        Self::Bug(what.into())
    }

    /// One field that breaks a rule.
    pub fn invalid(field: impl Into<String>, message: impl Into<String>) -> Self {
        Self::Invalid(vec![FieldError { field: field.into(), message: message.into() }])
    }

    /// What sort of refusal this is.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Invalid(_) | Self::IdempotencyKeyReused => ErrorKind::BadInput,
            Self::TokenNotFound | Self::TokenNotActive | Self::TokenExpired => {
                ErrorKind::Unauthenticated
            }
            Self::TokenMismatch | Self::ReservationNotOpen { .. } => ErrorKind::Forbidden,
            Self::ConcertNotFound
            | Self::ScheduleNotFound
            | Self::SeatNotFound
            | Self::ReservationNotFound
            | Self::PaymentNotFound
            | Self::UserNotFound
            | Self::DeadLetterNotFound => ErrorKind::Missing,
            Self::InsufficientPoints | Self::PaymentDeclined => ErrorKind::PaymentRequired,
            Self::QueueClosed
            | Self::SeatNotAvailable
            | Self::HoldLimitExceeded
            | Self::StaleVersion
            | Self::Conflict(_)
            | Self::ReservationNotPending
            | Self::RefundNotAllowed
            | Self::PointLimitExceeded
            | Self::IdempotencyInProgress => ErrorKind::Conflict,
            Self::ReservationExpired => ErrorKind::Gone,
            Self::GatewayFailed | Self::GatewayTimedOut | Self::Unavailable { .. } => {
                ErrorKind::Unavailable
            }
            Self::Bug(_) => ErrorKind::Bug,
        }
    }
}
