//! What is done for many callers at once.

use std::sync::Arc;

use concert_domain::concert::SeatOffer;
use concert_domain::idempotency::StoredAnswer;
use concert_domain::payment::{Payment, Settlement};
use concert_domain::point::Opened;
use concert_domain::reservation::{Hold, Reservation};
use concert_domain::{IdempotencyClaim, ReservationId, ScheduleId, SeatId, Seen, TransactionId};

use crate::batch::Batcher;
use crate::charge::Settled;
use crate::charges::{APPROVALS, OPENINGS, Opening};
use crate::hold::HOLDS;
use crate::settle::SETTLEMENTS;
use crate::{concert, group, idempotency, reservation};

/// How many batches of changes of one kind are under way at the most. What comes while one commits
/// is the next: a second one beside it makes both smaller, and one skips the rows that the other has
/// locked. (`concert bench journey --clients 64`, one concert: 254 and 246 whole journeys a second with
/// one, 217 and 207 with two.)
const COMMITS: usize = 1;
/// The same for batches of reads, which are in nobody's way.
const LOOKS: usize = 2;

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
            holds: Batcher::new(HOLDS.name, COMMITS, |store, batch| {
                Box::pin(group::commit(store, batch, &HOLDS))
            }),
            settlements: Batcher::new(SETTLEMENTS.name, COMMITS, |store, batch| {
                Box::pin(group::commit(store, batch, &SETTLEMENTS))
            }),
            openings: Batcher::new(OPENINGS.name, COMMITS, |store, batch| {
                Box::pin(group::commit(store, batch, &OPENINGS))
            }),
            approvals: Batcher::new(APPROVALS.name, COMMITS, |store, batch| {
                Box::pin(group::commit(store, batch, &APPROVALS))
            }),
            offers: Batcher::new("offer", LOOKS, |store, batch| {
                Box::pin(group::read(store, batch, |tx, asked| {
                    Box::pin(concert::offers(tx, asked))
                }))
            }),
            reservations: Batcher::new("reservation", LOOKS, |store, batch| {
                Box::pin(group::read(store, batch, |tx, ids| {
                    Box::pin(reservation::find_all(tx, ids))
                }))
            }),
            answers: Batcher::new("answer", LOOKS, |store, batch| {
                Box::pin(group::read(store, batch, |tx, claims| {
                    Box::pin(idempotency::stored_all(tx, claims))
                }))
            }),
        }
    }
}
