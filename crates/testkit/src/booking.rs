//! Laws of the use cases of buyers over an engine: queue, hold, pay, refund, and the copies in
//! the cache.

mod doubles;
mod guards;
mod seats;

pub use guards::*;
pub use seats::*;

use concert_domain::event::Origin;
use concert_domain::payment::{PayRequest, Payment, RefundRequest};
use concert_domain::ports::{Services, Settings};
use concert_domain::queue::SealedToken;
use concert_domain::reservation::{HoldRequest, Reservation};
use concert_domain::{Applied, ConcertId, IdempotencyClaim, Ports, Result, SeatId, UserId};

use crate::fixtures::{Show, claim, fresh, settings};
use crate::{Harness, World};

/// One test for each law of booking.
#[macro_export]
macro_rules! booking_contract {
    ($harness:ty) => {
        $crate::laws! { $harness, booking:
            the_whole_journey_of_a_buyer,
            a_lock_that_does_not_answer_stops_nobody_and_sells_no_seat_twice,
            s11_a_lock_that_ends_at_once_sells_no_seat_twice,
            a_lock_in_other_hands_turns_callers_away,
            a_seat_that_was_given_back_can_be_held_at_once,
            a_cache_that_does_not_answer_makes_nothing_wrong,
            s10_a_fill_that_raced_a_sale_never_stores_the_older_list,
            of_1000_readers_of_a_cold_list_one_reads_the_store,
            s10_every_change_of_a_seat_is_seen_by_the_next_read,
            s10_the_end_of_a_hold_is_seen_by_the_next_read,
            an_edit_of_the_catalogue_is_seen_by_the_next_read,
            s6_a_token_of_another_user_buys_nothing,
            s6_a_token_of_another_concert_opens_nothing,
            s6_a_seat_of_another_schedule_is_not_found,
            a_token_that_is_not_active_buys_nothing,
            somebody_elses_things_answer_as_missing_ones,
            a_seat_is_not_held_before_reservations_open,
            a_refund_after_the_cut_off_is_refused,
            a_replay_answers_after_the_token_has_ended,
            equal_requests_at_once_have_one_effect_and_one_answer,
            a_key_for_another_request_is_refused,
            paying_frees_the_slot_for_the_next_in_line,
        }
    };
}

/// The use cases, and one buyer of one show.
pub(crate) struct Booking {
    pub services: Services,
    pub show: Show,
    pub user: UserId,
    pub token: SealedToken,
}

impl Booking {
    /// A buyer with points and an active token.
    pub async fn open<H: Harness>(world: &World<H>) -> Self {
        let show = world.show(3).await;
        Self::with(world, &world.ports(), settings(), show).await
    }

    /// The same over ports and settings of the law's own.
    pub async fn with<H: Harness>(
        world: &World<H>,
        ports: &Ports,
        settings: Settings,
        show: Show,
    ) -> Self {
        let services = Services::new(ports, settings);
        let user = world.rich_user(100_000).await;
        let token = join(&services, user, show.concert).await;
        Self { services, show, user, token }
    }

    pub fn request(&self, seat: usize, key: Option<&str>) -> HoldRequest {
        HoldRequest {
            user: self.user,
            token: self.token.clone(),
            schedule: self.show.schedule,
            seat: self.show.seats[seat],
            claim: key.map(|key| claim(self.user, key, "hold")),
        }
    }

    pub async fn hold(&self, seat: usize) -> Reservation {
        fresh(self.services.reservations.hold(self.request(seat, None)).await.unwrap())
    }

    pub fn payment_of(&self, held: &Reservation, key: Option<&str>) -> PayRequest {
        PayRequest {
            user: self.user,
            token: self.token.clone(),
            reservation: held.id,
            claim: key.map(|key| claim(self.user, key, "pay")),
            origin: Origin::default(),
        }
    }

    pub async fn pay(&self, held: &Reservation) -> Payment {
        fresh(self.services.payments.pay(self.payment_of(held, None)).await.unwrap())
    }

    pub async fn refund(
        &self,
        payment: &Payment,
        claim: Option<IdempotencyClaim>,
    ) -> Result<Applied<Payment>> {
        let origin = Origin::default();
        let request = RefundRequest { user: self.user, payment: payment.id, claim, origin };
        self.services.payments.refund(request).await
    }
}

/// A fresh token of the user.
pub(crate) async fn join(services: &Services, user: UserId, concert: ConcertId) -> SealedToken {
    services.queue.join(user, concert).await.unwrap().0.token
}

/// A wish to hold one seat, by a new user with a token of its own.
pub(crate) async fn stranger<H: Harness>(
    world: &World<H>,
    services: &Services,
    show: &Show,
    seat: SeatId,
) -> HoldRequest {
    let user = world.id();
    let token = join(services, user, show.concert).await;
    HoldRequest { user, token, schedule: show.schedule, seat, claim: None }
}
