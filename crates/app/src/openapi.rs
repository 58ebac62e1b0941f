//! The OpenAPI 3.1 document, generated from the handlers and their types.
//!
//! Routes declare themselves where they are; here is what they share: parameters, the sets of
//! refusals, and the frame of the document.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

use actix_web::App;
use serde_json::json;
use utoipa::openapi::header::HeaderBuilder;
use utoipa::openapi::path::{Parameter, ParameterBuilder, ParameterIn};
use utoipa::openapi::schema::{
    AllOfBuilder, ArrayBuilder, KnownFormat, ObjectBuilder, SchemaFormat, Type,
};
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme};
use utoipa::openapi::{ContentBuilder, Ref, RefOr, Required, Response, ResponseBuilder, Schema};
use utoipa::{IntoParams, OpenApi, PartialSchema};
use utoipa_actix_web::AppExt;

use crate::error::{ErrorCode, FieldProblem, PROBLEM_JSON, Problem};
use crate::extract::{KEY_HEADER, TOKEN_HEADER, USER_HEADER};
use crate::routes;
use crate::routes::schema::{Id, ResourceKind, SeatState};

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Concert seat reservation",
        description = "Queue for a concert, hold a seat, pay with points. Refusals are RFC 9457 \
            problems with a stable `code`. Bodies are JSON of at most 64 KiB (descriptions of seats: \
            4 MiB) and must arrive at 64 KiB a second, with ten seconds of patience; what is no \
            HTTP is refused without a body, and the connection is closed."
    ),
    tags(
        (name = "queue", description = "Waiting for the turn to buy"),
        (name = "concerts", description = "What can be bought"),
        (name = "reservations", description = "Holding seats"),
        (name = "payments", description = "Paying and refunding"),
        (name = "points", description = "The money inside the service"),
        (name = "users", description = "Names of users"),
        (name = "admin", description = "Upkeep of the catalogue and its queues"),
        (name = "operations", description = "For operators and their tools"),
    ),
    components(schemas(Problem, FieldProblem, ErrorCode)),
)]
struct Frame;

/// The document; needs no server.
pub fn document() -> &'static utoipa::openapi::OpenApi {
    static DOCUMENT: LazyLock<utoipa::openapi::OpenApi> = LazyLock::new(|| {
        let app = App::new().into_utoipa_app().openapi(Frame::openapi());
        let mut document = app.configure(routes::declare).split_for_parts().1;
        declare_bearer(&mut document);
        document
    });
    &DOCUMENT
}

/// Says which operations need a bearer token where the service checks them: those that can refuse
/// a caller as unknown.
fn declare_bearer(document: &mut utoipa::openapi::OpenApi) {
    const NAME: &str = "bearer";
    let scheme = HttpBuilder::new()
        .scheme(HttpAuthScheme::Bearer)
        .bearer_format("JWT")
        .description(Some(
            "Where the service runs with `AUTH_MODE=jwt`: `sub` is the user, and `scope` contains \
             `admin` for the admin routes. With `AUTH_MODE=trusted` whatever is in front of the \
             service has authenticated the caller, and no token is needed.",
        ))
        .build();
    let components = document.components.get_or_insert_default();
    components.add_security_scheme(NAME, SecurityScheme::Http(scheme));
    for item in document.paths.paths.values_mut() {
        let operations = [&mut item.get, &mut item.post, &mut item.patch, &mut item.delete];
        for operation in operations.into_iter().flatten() {
            if operation.responses.responses.contains_key("401") {
                let bearer = SecurityRequirement::new(NAME, Vec::<String>::new());
                operation.security = Some(vec![bearer, SecurityRequirement::default()]);
            }
        }
    }
}

/// Refusals of every route.
const ALWAYS: &[ErrorCode] =
    &[ErrorCode::TooManyRequests, ErrorCode::Internal, ErrorCode::ServiceUnavailable];
/// Refusals of every route that changes a thing with versions.
pub const EDIT: &[ErrorCode] = &[ErrorCode::InvalidInput, ErrorCode::PreconditionFailed];
/// Refusals of every route with a body.
pub const BODY: &[ErrorCode] =
    &[ErrorCode::InvalidInput, ErrorCode::PayloadTooLarge, ErrorCode::UnsupportedMediaType];
/// Refusals of every route that acts for a user or an operator.
pub const CALLER: &[ErrorCode] = &[ErrorCode::Unauthenticated, ErrorCode::Forbidden];
/// Refusals of every route that reads a queue token.
pub const TOKEN: &[ErrorCode] =
    &[ErrorCode::MissingHeader, ErrorCode::InvalidInput, ErrorCode::TokenNotFound];
/// Refusals of every route that only admitted callers may use.
pub const PASS: &[ErrorCode] = &[
    ErrorCode::MissingHeader,
    ErrorCode::InvalidInput,
    ErrorCode::TokenNotFound,
    ErrorCode::TokenNotActive,
    ErrorCode::TokenExpired,
    ErrorCode::TokenMismatch,
];
/// Refusals of every route that takes an idempotency key.
pub const KEY: &[ErrorCode] =
    &[ErrorCode::InvalidInput, ErrorCode::IdempotencyKeyReused, ErrorCode::IdempotencyInProgress];

/// Names a type for the refusals of a route: `refusals!(Name = SET, &[Code, ...])`.
macro_rules! refusals {
    ($name:ident = $($set:expr),+ $(,)?) => {
        struct $name;

        impl utoipa::IntoResponses for $name {
            fn responses() -> std::collections::BTreeMap<
                String,
                utoipa::openapi::RefOr<utoipa::openapi::Response>,
            > {
                $crate::openapi::responses(&[$($set),+])
            }
        }
    };
}
pub(crate) use refusals;

/// One response per status that the codes have.
pub(crate) fn responses(sets: &[&[ErrorCode]]) -> BTreeMap<String, RefOr<Response>> {
    let mut by_status: BTreeMap<u16, BTreeSet<ErrorCode>> = BTreeMap::new();
    for code in sets.iter().copied().chain([ALWAYS]).flatten() {
        by_status.entry(code.status().as_u16()).or_default().insert(*code);
    }
    let response = |(status, codes)| (format!("{status}"), refusal(status, &codes).into());
    by_status.into_iter().map(response).collect()
}

fn refusal(status: u16, codes: &BTreeSet<ErrorCode>) -> Response {
    let names: Vec<&str> = codes.iter().map(|code| code.as_str()).collect();
    let code = ObjectBuilder::new().schema_type(Type::String).enum_values(Some(names.clone()));
    let schema = AllOfBuilder::new()
        .item(Ref::from_schema_name("Problem"))
        .item(ObjectBuilder::new().property("code", code));
    let response = ResponseBuilder::new()
        .description(names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", "))
        .content(PROBLEM_JSON, ContentBuilder::new().schema(Some(schema)).build());
    if matches!(status, 429 | 503) {
        let seconds = HeaderBuilder::new()
            .schema(Some(ObjectBuilder::new().schema_type(Type::Integer)))
            .description(Some("Seconds to the next try"));
        return response.header("Retry-After", seconds.build()).build();
    }
    response.build()
}

macro_rules! params {
    ($($(#[$doc:meta])* $name:ident: $place:ident $text:expr, $needed:ident, $schema:expr, $about:literal;)*) => {$(
        $(#[$doc])*
        pub struct $name;

        impl IntoParams for $name {
            fn into_params(_: impl Fn() -> Option<ParameterIn>) -> Vec<Parameter> {
                vec![
                    ParameterBuilder::new()
                        .name($text)
                        .parameter_in(ParameterIn::$place)
                        .required(Required::$needed)
                        .description(Some($about))
                        .schema(Some($schema))
                        .build(),
                ]
            }
        }
    )*};
}

params! {
    /// The queue token.
    TokenHeader: Header TOKEN_HEADER, True, string(1, 255), "The queue token";
    /// The idempotency key.
    KeyHeader: Header KEY_HEADER, False, string(1, 255),
        "Makes a retry safe: 1 to 255 visible ASCII characters, the caller's own, kept for 24 hours";
    /// The caller.
    UserHeader: Header USER_HEADER, False, Id::schema(),
        "The caller; needed where the service trusts whatever is in front of it";
    /// What the client has.
    IfNoneMatchHeader: Header "If-None-Match", False, string(1, 8_192),
        "The ETags that the client has, or `*`";
    /// On which version.
    IfMatchHeader: Header "If-Match", False, string(1, 8_192),
        "The ETags of the versions that the change may be made on, or `*`; without it the change is \
         made on whichever version there is";
    /// A sort of thing.
    ResourceQuery: Query "resource", False, ResourceKind::schema(), "Only changes of such things";
    /// A thing.
    ResourceIdQuery: Query "resourceId", False, Id::schema(),
        "Only changes of this thing; needs `resource`";
    /// The size of a page.
    LimitQuery: Query "limit", False, integer(1, 100, 20), "The most items of the page";
    /// The start of a page.
    CursorQuery: Query "cursor", False, string(1, 255), "The `nextCursor` of the page before";
    /// States of seats.
    StatusQuery: Query "status", False, ArrayBuilder::new().items(SeatState::schema()),
        "Only seats in these states; may be repeated";
    /// A concert.
    ConcertIdPath: Path "concertId", True, Id::schema(), "The concert";
    /// A schedule.
    ScheduleIdPath: Path "scheduleId", True, Id::schema(), "The schedule";
    /// A seat.
    SeatIdPath: Path "seatId", True, Id::schema(), "The seat";
    /// A reservation.
    ReservationIdPath: Path "reservationId", True, Id::schema(), "The reservation";
    /// A payment.
    PaymentIdPath: Path "paymentId", True, Id::schema(), "The payment";
    /// A user.
    UserIdPath: Path "userId", True, Id::schema(), "The user";
}

fn string(min: usize, max: usize) -> Schema {
    ObjectBuilder::new()
        .schema_type(Type::String)
        .min_length(Some(min))
        .max_length(Some(max))
        .into()
}

fn integer(minimum: i64, maximum: i64, default: i64) -> Schema {
    ObjectBuilder::new()
        .schema_type(Type::Integer)
        .format(Some(SchemaFormat::KnownFormat(KnownFormat::Int32)))
        .minimum(Some(minimum))
        .maximum(Some(maximum))
        .default(Some(json!(default)))
        .into()
}
