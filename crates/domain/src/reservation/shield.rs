use std::sync::Arc;
use std::time::Duration;

use super::{Hold, Reservation, ReservationStore};
use crate::concert::SeatLocation;
use crate::lock::{Lock, Locked, Turn, while_kept};
use crate::{Applied, Error, IdempotencyClaim, Result, SeatId};

/// How long the lock of a seat outlasts a holder that died, and a hold that was made; who works
/// renews it.
const LEASE: Duration = Duration::from_secs(3);
/// Holds that last at least so long leave their lock behind. A shorter one might end before it.
const LONG: Duration = Duration::from_secs(30);

/// Keeps a crowd around one seat away from the store. It is never the proof that a seat is free
/// or taken: without it everything is slower and nothing is wrong.
///
/// * Who comes when the process knows that somebody has the seat is refused at once.
/// * Only a few callers of a process work at one seat at once; the others wait for their turn.
/// * Who works has the lock of the seat. It is taken after the offer was read and found good, so
///   that it never hides another refusal (the token, the schedule, the opening) behind "taken".
/// * When the seat was held, the lock stays until its lease ends, and says so to all who come
///   next. Whatever frees the seat before ends the lock first.
#[derive(Clone)]
pub(crate) struct Shield(Arc<dyn Lock>);

impl Shield {
    /// Over a lock.
    pub fn new(lock: Arc<dyn Lock>) -> Self {
        Self(lock)
    }

    /// Waits for a turn at the seat. Where others want it, or had it a while ago, the first question
    /// is whether somebody has it: a crowd that comes one by one is a crowd too.
    pub async fn enter(
        &self,
        location: SeatLocation,
        seat: SeatId,
        claim: Option<&IdempotencyClaim>,
    ) -> Result<Turn> {
        let (name, own) = (name(location, seat), claim.map(owner_of));
        let free = |holder: Option<String>| match holder {
            Some(holder) if own.as_ref() != Some(&holder) => Err(Error::SeatNotAvailable),
            _ => Ok(()),
        };
        free(self.0.seen_holder(&name))?;
        let turn = self.0.turn(&name).await;
        if turn.as_ref().is_ok_and(|turn| !turn.contended) {
            return turn;
        }
        // Those before may have found out, also for who waited in vain.
        free(self.0.seen_holder(&name))?;
        if let Ok(holder) = self.0.holder(&name).await {
            free(holder)?;
        }
        turn
    }

    /// Puts the lock of the seat around the transaction. When it cannot be reached, or an equal
    /// request of the same caller has it, the store decides.
    pub async fn hold(
        &self,
        store: &dyn ReservationStore,
        hold: Hold,
    ) -> Result<Applied<Reservation>> {
        let reservation = &hold.reservation;
        let name = name(reservation.location(), reservation.seat_id);
        let owner = hold.claim.as_ref().map_or_else(|| reservation.id.to_string(), owner_of);
        let long = reservation.expires_at.since(reservation.created_at) >= LONG;
        match self.0.acquire(&name, &owner, LEASE).await {
            Ok(Locked::HeldBy(other)) if other != owner => Err(Error::SeatNotAvailable),
            Ok(Locked::Acquired) => {
                let keep = self.0.keep(&name, &owner, LEASE);
                let held = while_kept(keep, store.hold(hold)).await;
                if !(long && matches!(held, Ok(Applied::Fresh(_)))) {
                    self.0.release(&name, &owner).await.ok();
                }
                held
            }
            Ok(Locked::HeldBy(_)) | Err(_) => store.hold(hold).await,
        }
    }

    /// Says that the seat of the reservation is free again, after the change that freed it. If the
    /// lock cannot be reached, callers are turned away for the rest of its lease.
    pub async fn lift(&self, reservation: &Reservation) {
        let name = name(reservation.location(), reservation.seat_id);
        self.0.clear(&name).await.ok();
    }
}

/// The concert and the schedule as the caller has named them: a seat that is asked for in the
/// wrong place is none, whoever has it.
fn name(location: SeatLocation, seat: SeatId) -> String {
    format!("seat:{}:{}:{seat}", location.concert, location.schedule)
}

fn owner_of(claim: &IdempotencyClaim) -> String {
    format!("{}:{}", claim.user, claim.key.as_str())
}

#[cfg(test)]
mod tests {
    use futures::executor::block_on;

    use super::*;
    use crate::lock::MockLock;

    fn enter(lock: MockLock) -> Result<()> {
        let shield = Shield::new(Arc::new(lock));
        let (concert, schedule) = (1.try_into().unwrap(), 2.try_into().unwrap());
        let location = SeatLocation { concert, schedule };
        block_on(shield.enter(location, 3.try_into().unwrap(), None)).map(drop)
    }

    #[test]
    fn who_comes_where_others_are_or_were_asks_who_has_the_seat() {
        for (holder, refused) in [(Some("another"), true), (None, false)] {
            let mut lock = MockLock::new();
            lock.expect_seen_holder().returning(|_| None);
            lock.expect_turn().returning(|_| Ok(Turn::with(true, ())));
            lock.expect_holder().returning(move |_| Ok(holder.map(str::to_owned)));
            assert_eq!(enter(lock) == Err(Error::SeatNotAvailable), refused);
        }
    }

    #[test]
    fn who_waits_in_vain_for_a_turn_at_a_taken_seat_is_told_that_it_is_taken() {
        let mut lock = MockLock::new();
        let (mut known, in_vain) =
            ([None, Some("another")].into_iter(), Error::unavailable("the lock"));
        lock.expect_seen_holder().returning(move |_| known.next()?.map(str::to_owned));
        lock.expect_turn().returning(move |_| Err(in_vain.clone()));
        assert_eq!(enter(lock), Err(Error::SeatNotAvailable));
    }

    #[test]
    fn who_comes_when_the_seat_is_known_to_be_taken_waits_for_nobody() {
        let mut lock = MockLock::new();
        lock.expect_seen_holder().returning(|_| Some("another".to_owned()));
        // A turn, or a question to whoever keeps the locks, is not expected.
        assert_eq!(enter(lock), Err(Error::SeatNotAvailable));
    }
}
