//! What is done for many callers at once.

use std::sync::Arc;

use concert_domain::concert::SeatOffer;
use concert_domain::idempotency::StoredAnswer;
use concert_domain::payment::{Payment, Settlement};
use concert_domain::point::Opened;
use concert_domain::reservation::{Hold, Reservation};
use concert_domain::{IdempotencyClaim, ReservationId, ScheduleId, SeatId, Seen, TransactionId};

use crate::batch::Batcher;
use crate::charges::{APPROVALS, OPENINGS, Opening, Settled};
use crate::hold::HOLDS;
use crate::settle::SETTLEMENTS;
use crate::{concert, group, idempotency, reservation};

/// How many batches of one kind are under way at the most. One commits while the next gathers; more
/// than two make batches smaller and commits more, without letting more through.
const LANES: usize = 2;

/// Reads of things that may be missing, with the time at which they were read.
type Looks<I, T> = Arc<Batcher<I, Option<Seen<T>>>>;

/// The batchers of one engine.
pub(crate) struct Batches {
    pub holds: Arc<Batcher<Hold, Reservation>>,
    pub settlements: Arc<Batcher<Settlement, Payment>>,
    pub openings: Arc<Batcher<Opening, Opened>>,
    pub approvals: Arc<Batcher<TransactionId, Settled>>,
    pub offers: Looks<(ScheduleId, SeatId), SeatOffer>,
    pub reservations: Looks<ReservationId, Reservation>,
    pub answers: Arc<Batcher<IdempotencyClaim, Option<StoredAnswer>>>,
}

impl Default for Batches {
    fn default() -> Self {
        Self {
            holds: Batcher::new(HOLDS.name, LANES, |store, batch| {
                Box::pin(group::commit(store, batch, &HOLDS))
            }),
            settlements: Batcher::new(SETTLEMENTS.name, LANES, |store, batch| {
                Box::pin(group::commit(store, batch, &SETTLEMENTS))
            }),
            openings: Batcher::new(OPENINGS.name, LANES, |store, batch| {
                Box::pin(group::commit(store, batch, &OPENINGS))
            }),
            approvals: Batcher::new(APPROVALS.name, LANES, |store, batch| {
                Box::pin(group::commit(store, batch, &APPROVALS))
            }),
            offers: Batcher::new("offer", LANES, |store, batch| {
                Box::pin(group::read(store, batch, |tx, asked| {
                    Box::pin(concert::offers(tx, asked))
                }))
            }),
            reservations: Batcher::new("reservation", LANES, |store, batch| {
                Box::pin(group::read(store, batch, |tx, ids| {
                    Box::pin(reservation::find_all(tx, ids))
                }))
            }),
            answers: Batcher::new("answer", LANES, |store, batch| {
                Box::pin(group::read(store, batch, |tx, claims| {
                    Box::pin(idempotency::stored_all(tx, claims))
                }))
            }),
        }
    }
}
