//! How domain values look in the OpenAPI document.
//!
//! The domain crate knows nothing of OpenAPI, so its value types get their schemas here, once;
//! fields name them with `#[schema(value_type = ...)]`.

use concert_domain::audit::{Action, Resource};
use concert_domain::concert::SeatStatus;
use concert_domain::id::MAX_ID;
use concert_domain::payment::PaymentStatus;
use concert_domain::point::{EntryKind, PaymentMethod};
use concert_domain::queue::Mode;
use concert_domain::reservation::ReservationStatus;
use serde_json::json;
use utoipa::openapi::schema::{KnownFormat, Object, ObjectBuilder, SchemaFormat, Type};
use utoipa::openapi::{RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};

macro_rules! schemas {
    ($($(#[$doc:meta])* $name:ident: $schema:expr;)*) => {$(
        $(#[$doc])*
        pub struct $name;

        impl PartialSchema for $name {
            fn schema() -> RefOr<Schema> {
                $schema.into()
            }
        }

        impl ToSchema for $name {}
    )*};
}

schemas! {
    /// An id of anything.
    Id: integer("A positive integer below 2^53.", 1, MAX_ID, 1);
    /// An amount of money.
    Money: integer("Whole Korean won.", 0, i64::MAX, 150_000);
    /// An instant.
    Instant: text("An instant: RFC 3339, in UTC and with milliseconds when answered.",
        KnownFormat::DateTime, "2026-05-01T10:00:00.000Z");
    /// A calendar day.
    Day: text("A calendar day in UTC.", KnownFormat::Date, "2026-05-01");
    /// The state of a seat.
    SeatState: names("The state of a seat.",
        [SeatStatus::Available, SeatStatus::TempReserved, SeatStatus::Reserved]);
    /// What became of a hold.
    ReservationState: names("What became of a hold.", [
        ReservationStatus::Pending,
        ReservationStatus::Confirmed,
        ReservationStatus::Expired,
        ReservationStatus::Cancelled,
    ]);
    /// What became of a payment.
    PaymentState: names("What became of a payment.",
        [PaymentStatus::Completed, PaymentStatus::Refunded]);
    /// How points are bought.
    ChargeMethod: names("How points are bought.", [PaymentMethod::Card, PaymentMethod::Transfer]);
    /// Why a balance changed.
    EntryType: names("Why a balance changed.",
        [EntryKind::Charge, EntryKind::Use, EntryKind::Refund]);
    /// What a queue does.
    QueueMode: names("OPEN admits; HOLD admits nobody; DRAIN takes nobody new.",
        [Mode::Open, Mode::Hold, Mode::Drain]);
    /// Seats as comma-separated values.
    SeatSheet: ObjectBuilder::new().schema_type(Type::String).description(Some(
        "Comma-separated values in UTF-8. The first line names the columns, in any order: `price`, and \
         `number`, or `from` and `to`, or all four, of which each further line then has `number` or \
         the two others. Whole numbers from 1 to 1000000 in digits; at most 100000 seats.",
    )).examples([json!("from,to,price\n1,10,150000\n11,50,120000\n")]).build();
    /// What sort of thing an operator changed.
    ResourceKind: words("What sort of thing was changed.", Resource::ALL.iter().map(|r| r.word()));
    /// What an operator did to a thing.
    ActionName: words("What was done to it.", Action::ALL.iter().map(|action| action.word()));
}

fn integer(description: &str, minimum: i64, maximum: i64, example: i64) -> Object {
    ObjectBuilder::new()
        .schema_type(Type::Integer)
        .format(Some(SchemaFormat::KnownFormat(KnownFormat::Int64)))
        .description(Some(description))
        .minimum(Some(minimum))
        .maximum(Some(maximum))
        .examples([json!(example)])
        .build()
}

fn text(description: &str, format: KnownFormat, example: &str) -> Object {
    ObjectBuilder::new()
        .schema_type(Type::String)
        .format(Some(SchemaFormat::KnownFormat(format)))
        .description(Some(description))
        .examples([json!(example)])
        .build()
}

/// The names are those that the values are written with, so the document cannot differ.
fn names<T: serde::Serialize, const N: usize>(description: &str, values: [T; N]) -> Object {
    ObjectBuilder::new()
        .schema_type(Type::String)
        .description(Some(description))
        .enum_values(Some(values.map(|value| json!(value))))
        .build()
}

fn words(description: &str, words: impl Iterator<Item = &'static str>) -> Object {
    ObjectBuilder::new()
        .schema_type(Type::String)
        .description(Some(description))
        .enum_values(Some(words))
        .build()
}
