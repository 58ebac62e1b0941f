//! Who may do what with which token, and what a key makes of a repeated request.

use concert_domain::audit::Edit;
use concert_domain::concert::{Schedule, SeatStatus};
use concert_domain::event::Origin;
use concert_domain::idempotency::Fingerprint;
use concert_domain::payment::PayRequest;
use concert_domain::ports::{Services, Settings};
use concert_domain::queue::TicketStatus;
use concert_domain::reservation::HoldRequest;
use concert_domain::{Applied, Error, IdempotencyClaim, Result, Timestamp};

use super::{Booking, join, stranger};
use crate::fixtures::{Show, claim, fresh, rules, settings};
use crate::{Harness, World, race};

pub async fn s6_a_token_of_another_user_buys_nothing<H: Harness>() {
    let world = World::<H>::start().await;
    let booking = Booking::open(&world).await;
    let thief = world.rich_user(100_000).await;
    let stolen = HoldRequest { user: thief, ..booking.request(0, None) };
    let refused = booking.services.reservations.hold(stolen).await;
    assert_eq!(refused, Err(Error::TokenMismatch));
    let held = booking.hold(0).await;
    let stolen = PayRequest { user: thief, ..booking.payment_of(&held, None) };
    assert_eq!(booking.services.payments.pay(stolen).await, Err(Error::TokenMismatch));
    assert_eq!(world.seat(&booking.show, 0).await, SeatStatus::TempReserved);
}

pub async fn s6_a_token_of_another_concert_opens_nothing<H: Harness>() {
    let world = World::<H>::start().await;
    let booking = Booking::open(&world).await;
    let other = world.show(1).await;
    let services = &booking.services;
    let mismatch = Err(Error::TokenMismatch);
    let own = booking.show.concert;
    assert_eq!(services.concerts.seats(own, other.schedule).await.map(drop), mismatch);
    assert_eq!(services.concerts.schedules(own, other.concert).await.map(drop), mismatch);
    let (schedule, seat) = (other.schedule, other.seats[0]);
    let crossed = HoldRequest { schedule, seat, ..booking.request(0, None) };
    assert_eq!(services.reservations.hold(crossed).await.map(drop), mismatch);
    let held = booking.hold(0).await;
    let token = join(services, booking.user, other.concert).await;
    let crossed = PayRequest { token, ..booking.payment_of(&held, None) };
    assert_eq!(services.payments.pay(crossed).await.map(drop), mismatch);
}

pub async fn s6_a_seat_of_another_schedule_is_not_found<H: Harness>() {
    let world = World::<H>::start().await;
    let booking = Booking::open(&world).await;
    let other = world.schedule(booking.show.concert, 1).await;
    let crossed = HoldRequest { seat: other.seats[0], ..booking.request(0, None) };
    let refused = booking.services.reservations.hold(crossed).await;
    assert_eq!(refused, Err(Error::SeatNotFound));
    let unknown = HoldRequest { schedule: world.id(), ..booking.request(0, None) };
    let refused = booking.services.reservations.hold(unknown).await;
    assert_eq!(refused, Err(Error::ScheduleNotFound));
}

pub async fn a_token_that_is_not_active_buys_nothing<H: Harness>() {
    let world = World::<H>::start().await;
    let settings = Settings { queue: rules(1), ..settings() };
    let show = world.show(3).await;
    let booking = Booking::with(&world, &world.ports(), settings, show).await;
    let services = &booking.services;
    let waiting = stranger(&world, services, &booking.show, booking.show.seats[0]).await;
    let unknown = HoldRequest { token: "9".repeat(32).parse().unwrap(), ..waiting.clone() };
    let hold = async |request| services.reservations.hold(request).await.map(drop);
    assert_eq!(hold(waiting).await, Err(Error::TokenNotActive));
    assert_eq!(hold(unknown).await, Err(Error::TokenNotFound));
    let held = booking.hold(0).await;
    services.queue.leave(&booking.token, None).await.unwrap();
    assert_eq!(hold(booking.request(1, None)).await, Err(Error::TokenExpired));
    let late = services.payments.pay(booking.payment_of(&held, None)).await;
    assert_eq!(late, Err(Error::TokenExpired));
}

pub async fn somebody_elses_things_answer_as_missing_ones<H: Harness>() {
    let world = World::<H>::start().await;
    let booking = Booking::open(&world).await;
    let services = &booking.services;
    let held = booking.hold(0).await;
    let other = world.rich_user(100_000).await;
    let token = join(services, other, booking.show.concert).await;
    let missing = Err(Error::ReservationNotFound);
    assert_eq!(services.reservations.find(other, held.id).await.map(drop), missing);
    assert_eq!(services.reservations.cancel(other, held.id).await.map(drop), missing);
    let origin = Origin::default();
    let foreign = PayRequest { user: other, token, reservation: held.id, claim: None, origin };
    assert_eq!(services.payments.pay(foreign).await.map(drop), missing);
    let payment = booking.pay(&held).await;
    let missing = Err(Error::PaymentNotFound);
    assert_eq!(services.payments.find(other, payment.id).await.map(drop), missing);
    let thief = Booking {
        services: services.clone(),
        show: booking.show.clone(),
        user: other,
        token: booking.token.clone(),
    };
    assert_eq!(thief.refund(&payment, None).await.map(drop), missing);
}

/// A show whose schedule has the given times.
async fn show_at<H: Harness>(world: &World<H>, opens: Timestamp, starts: Timestamp) -> Show {
    let show = world.show(1).await;
    let schedule = Schedule {
        id: world.id(),
        concert_id: show.concert,
        starts_at: starts,
        reservation_opens_at: opens,
        version: 1,
    };
    let id = schedule.id;
    let catalogue = world.ports().catalogue;
    catalogue.create_schedule(Edit::default(), schedule).await.unwrap();
    let (seat, price) = (world.id(), crate::fixtures::PRICE);
    let new = concert_domain::concert::NewSeat { id: seat, number: 1, price };
    catalogue.create_seats(Edit::default(), id, vec![new]).await.unwrap();
    Show { schedule: id, seats: vec![seat], ..show }
}

pub async fn a_seat_is_not_held_before_reservations_open<H: Harness>() {
    let world = World::<H>::start().await;
    let show = show_at(&world, Timestamp::MAX, Timestamp::MAX).await;
    let booking = Booking::with(&world, &world.ports(), settings(), show).await;
    let refused = booking.services.reservations.hold(booking.request(0, None)).await;
    assert_eq!(refused, Err(Error::ReservationNotOpen { opens_at: Timestamp::MAX }));
    assert_eq!(world.seat(&booking.show, 0).await, SeatStatus::Available);
}

pub async fn a_refund_after_the_cut_off_is_refused<H: Harness>() {
    let world = World::<H>::start().await;
    let clock = world.show(1).await;
    // The show starts before the cut-off is over.
    let soon = world.now(&clock).await.plus(settings().refund_cutoff / 2);
    let show = show_at(&world, Timestamp::MIN, soon).await;
    let booking = Booking::with(&world, &world.ports(), settings(), show).await;
    let held = booking.hold(0).await;
    let payment = booking.pay(&held).await;
    assert_eq!(booking.refund(&payment, None).await, Err(Error::RefundNotAllowed));
    assert_eq!(world.seat(&booking.show, 0).await, SeatStatus::Reserved);
    assert_eq!(world.ledger(booking.user).await.len(), 2);
}

pub async fn a_replay_answers_after_the_token_has_ended<H: Harness>() {
    let world = World::<H>::start().await;
    let booking = Booking::open(&world).await;
    let services = &booking.services;
    let hold = booking.request(0, Some("hold-1"));
    let held = fresh(services.reservations.hold(hold.clone()).await.unwrap());
    let pay = booking.payment_of(&held, Some("pay-1"));
    let payment = fresh(services.payments.pay(pay.clone()).await.unwrap());
    // Paying has ended the token; the reservation is no longer pending.
    assert_eq!(services.reservations.hold(hold).await, Ok(Applied::Replayed(held)));
    assert_eq!(services.payments.pay(pay).await, Ok(Applied::Replayed(payment.clone())));
    let key = Some(claim(booking.user, "refund-1", "refund"));
    let refunded = fresh(booking.refund(&payment, key.clone()).await.unwrap());
    assert_eq!(booking.refund(&payment, key).await, Ok(Applied::Replayed(refunded)));
    assert_eq!(booking.refund(&payment, None).await, Err(Error::RefundNotAllowed));
    assert_eq!(world.ledger(booking.user).await.len(), 3);
}

/// One effect, and everybody was told the same.
fn assert_one_answer<T: PartialEq + std::fmt::Debug>(answers: Vec<Result<Applied<T>>>) -> T {
    let made = answers.iter().filter(|a| matches!(a, Ok(Applied::Fresh(_)))).count();
    assert_eq!(made, 1, "{answers:?}");
    let mut values = answers.into_iter().map(|answer| match answer.unwrap() {
        Applied::Fresh(value) | Applied::Replayed(value) => value,
    });
    let first = values.next().unwrap();
    values.for_each(|value| assert_eq!(value, first));
    first
}

pub async fn equal_requests_at_once_have_one_effect_and_one_answer<H: Harness>() {
    let world = World::<H>::start().await;
    let booking = std::sync::Arc::new(Booking::open(&world).await);
    let held = race(20, |_| {
        let booking = booking.clone();
        async move { booking.services.reservations.hold(booking.request(0, Some("hold"))).await }
    });
    let held = assert_one_answer(held.await);
    // The first to pay ends the token that the others still need.
    let paid = race(20, |_| {
        let (booking, request) = (booking.clone(), booking.payment_of(&held, Some("pay")));
        async move { booking.services.payments.pay(request).await }
    });
    let paid = assert_one_answer(paid.await);
    let refunded = race(20, |_| {
        let (booking, paid) = (booking.clone(), paid.clone());
        async move { booking.refund(&paid, Some(claim(booking.user, "refund", "refund"))).await }
    });
    assert_one_answer(refunded.await);
    assert_eq!(world.ledger(booking.user).await.len(), 3);
    assert_eq!(world.ports().outbox.backlog().await.unwrap().pending, 2);
}

pub async fn a_key_for_another_request_is_refused<H: Harness>() {
    let world = World::<H>::start().await;
    let booking = Booking::open(&world).await;
    let services = &booking.services;
    let first = booking.request(0, Some("key"));
    services.reservations.hold(first.clone()).await.unwrap();
    let fingerprint = Fingerprint::of("POST", "/test", &"another hold").unwrap();
    let claim = first.claim.map(|claim| IdempotencyClaim { fingerprint, ..claim });
    let second = HoldRequest { claim, ..booking.request(1, None) };
    let refused = services.reservations.hold(second).await;
    assert_eq!(refused, Err(Error::IdempotencyKeyReused));
    assert_eq!(world.seat(&booking.show, 1).await, SeatStatus::Available);
}

pub async fn paying_frees_the_slot_for_the_next_in_line<H: Harness>() {
    let world = World::<H>::start().await;
    let settings = Settings { queue: rules(1), ..settings() };
    let show = world.show(3).await;
    let booking = Booking::with(&world, &world.ports(), settings, show).await;
    let services: &Services = &booking.services;
    let next = join(services, world.id(), booking.show.concert).await;
    let after = join(services, world.id(), booking.show.concert).await;
    let held = booking.hold(0).await;
    booking.pay(&held).await;
    assert_eq!(services.queue.status(&next, None).await.unwrap().status, TicketStatus::Active);
    assert_eq!(services.queue.status(&after, None).await.unwrap().rank, 1);
}
