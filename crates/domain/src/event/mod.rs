//! What happened, told to whoever wants to know: at least once, in order per key, with effects
//! exactly once.

mod consumer;
mod headers;
mod ports;
mod relay;

pub use consumer::{BATCH as CONSUMER_BATCH, Consumer, MAX_TRIES, understand};
pub use headers::{Headers, Origin, REQUEST_ID, TRACEPARENT, TRACESTATE};
pub use ports::*;
pub use relay::{BATCH as RELAY_BATCH, Relay};

use serde::{Deserialize, Serialize};

use crate::payment::Payment;
use crate::queue::TokenDigest;
use crate::reservation::Reservation;
use crate::{
    ConcertId, Error, PaymentId, ReservationId, Result, ScheduleId, SeatId, Timestamp, UserId, Won,
};

/// The stream that an event belongs to; stores and logs add the configured prefix.
pub const PAYMENT_TOPIC: &str = "payment.v1";
/// Where events go that could not be handled.
pub const DEAD_LETTER_TOPIC: &str = "payment.v1.dead";

/// A completed payment.
pub const PAYMENT_COMPLETED: &str = "payment.completed";
/// A refunded payment.
pub const PAYMENT_REFUNDED: &str = "payment.refunded";

/// A fact, as it is stored, published and read: the envelope and its data.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Event {
    /// Its name: the same fact always has the same id, so a second copy can be told.
    pub id: String,
    /// What kind of fact it is.
    #[serde(rename = "type")]
    pub kind: String,
    /// The version of the data's shape, from 1.
    pub version: u16,
    /// Events of one key keep their order; the reservation's id.
    pub key: String,
    /// When it happened.
    pub occurred_at: Timestamp,
    /// The name of the request that made it. Events of releases that did not note it have none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_id: Option<String>,
    /// The data of this kind and version.
    pub data: serde_json::Value,
    /// What travels beside it.
    #[serde(skip)]
    pub headers: Headers,
}

/// The data of [`PAYMENT_COMPLETED`] and [`PAYMENT_REFUNDED`], version 1.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PaymentData {
    /// The payment.
    pub payment_id: PaymentId,
    /// What was paid for.
    pub reservation_id: ReservationId,
    /// Who paid.
    pub user_id: UserId,
    /// The concert.
    pub concert_id: ConcertId,
    /// The schedule.
    pub schedule_id: ScheduleId,
    /// The seat.
    pub seat_id: SeatId,
    /// The price.
    pub amount: Won,
    /// The place in the queue whose slot the payment frees.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub queue_place: Option<TokenDigest>,
}

impl Event {
    /// The fact that a reservation was paid.
    pub fn payment_completed(
        payment: &Payment,
        reservation: &Reservation,
        place: TokenDigest,
    ) -> Result<Self> {
        Self::of_payment(PAYMENT_COMPLETED, payment, reservation, payment.paid_at, Some(place))
    }

    /// The fact that a payment was refunded.
    pub fn payment_refunded(payment: &Payment, reservation: &Reservation) -> Result<Self> {
        let at = payment.refunded_at.unwrap_or(payment.paid_at);
        Self::of_payment(PAYMENT_REFUNDED, payment, reservation, at, None)
    }

    fn of_payment(
        kind: &str,
        payment: &Payment,
        reservation: &Reservation,
        occurred_at: Timestamp,
        queue_place: Option<TokenDigest>,
    ) -> Result<Self> {
        let data = PaymentData {
            payment_id: payment.id,
            reservation_id: reservation.id,
            user_id: payment.user_id,
            concert_id: reservation.concert_id,
            schedule_id: reservation.schedule_id,
            seat_id: reservation.seat_id,
            amount: payment.amount,
            queue_place,
        };
        Ok(Self {
            id: format!("{kind}-{}", payment.id),
            kind: kind.to_owned(),
            version: 1,
            key: reservation.id.to_string(),
            occurred_at,
            request_id: None,
            headers: Headers::default(),
            data: serde_json::to_value(data).map_err(|e| Error::bug(e.to_string()))?,
        })
    }

    /// The event, as one that this request made.
    pub fn because_of(self, origin: &Origin) -> Self {
        Self { request_id: origin.request_id.clone(), headers: origin.headers(), ..self }
    }

    /// The event as it is written into a log.
    pub fn to_record(&self) -> Result<Record> {
        let value = serde_json::to_vec(self).map_err(|e| Error::bug(e.to_string()))?;
        Ok(Record { key: self.key.clone(), value, headers: self.headers.clone() })
    }
}

/// The partition of a key: FNV-1a, which is the same in every process and release.
///
/// A topic's number of partitions is fixed when it is made; changing it would reorder keys.
pub fn partition_of(key: &str, partitions: u32) -> u32 {
    let hash = key.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    });
    u32::try_from(hash % u64::from(partitions.max(1))).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_stays_in_its_partition_and_keys_spread() {
        assert_eq!(partition_of("42", 8), partition_of("42", 8));
        let used: std::collections::HashSet<_> =
            (0..100).map(|n| partition_of(&n.to_string(), 8)).collect();
        assert_eq!(used.len(), 8);
        // Known answers: this must never change once events are stored.
        assert_eq!([partition_of("1", 8), partition_of("2", 8), partition_of("3", 8)], [4, 5, 2]);
    }
}
