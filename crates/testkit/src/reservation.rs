//! Laws of [`ReservationStore`](concert_domain::reservation::ReservationStore).

use std::time::Duration;

use concert_domain::audit::Edit;
use concert_domain::concert::{SeatPatch, SeatStatus};
use concert_domain::point::GatewayVerdict;
use concert_domain::reservation::{PRICE_CHANGED, ReservationStatus};
use concert_domain::{Applied, Error, Won};

use crate::fixtures::{LONG, SHORT, claim, every_page, fresh};
use crate::{Harness, World, race};

mod holders;

pub use holders::*;

/// One test for each law of holds.
#[macro_export]
macro_rules! reservation_contract {
    ($harness:ty) => {
        $crate::laws! { $harness, reservation:
            a_hold_is_seen_by_every_read,
            of_1000_callers_of_one_seat_one_wins,
            of_concurrent_callers_of_an_ended_hold_one_wins,
            an_ended_hold_is_takeable_at_once_with_the_sweeper_off,
            an_ended_hold_reads_as_expired_before_it_is_tidied,
            a_seat_that_is_no_more_cannot_be_held,
            a_seat_is_held_at_its_own_price_only,
            a_user_holds_only_so_many_seats_of_a_concert,
            of_concurrent_holds_of_one_user_only_so_many_win,
            a_hold_that_ended_or_was_let_go_or_paid_counts_no_more,
            a_cancelled_seat_is_free_at_once,
            cancelling_twice_or_late_changes_nothing,
            only_the_owner_cancels,
            a_paid_hold_is_not_cancelled,
            of_settling_and_cancelling_one_wins,
            s9_of_settling_cancelling_and_sweeping_at_the_end_one_wins,
            a_sweep_tidies_only_ended_holds_in_batches,
            s9_concurrent_sweeps_free_each_seat_once,
            a_sweep_leaves_a_seat_that_was_taken_again,
            concurrent_equal_claims_have_one_effect_and_one_answer,
            a_claim_answers_again_after_the_hold_has_ended,
            a_claim_for_another_request_is_refused,
            a_refused_hold_keeps_no_answer,
            the_list_is_the_users_own_and_newest_first,
            holds_survive_a_restart,
        }
    };
}

pub async fn a_hold_is_seen_by_every_read<H: Harness>() {
    let world = World::<H>::start().await;
    let (show, user) = (world.show(2).await, world.id());
    let held = world.held(&show, 0, user, LONG).await;
    let ports = world.ports();
    assert_eq!(ports.reservations.find(held.id).await.unwrap().unwrap().value, held);
    assert_eq!(world.seat(&show, 0).await, SeatStatus::TempReserved);
    assert_eq!(world.seat(&show, 1).await, SeatStatus::Available);
    let listed = ports.concerts.schedules(show.concert).await.unwrap().value;
    assert_eq!(listed[0].available_seats, 1);
    assert_eq!(ports.reservations.find(world.id()).await.unwrap(), None);
}

pub async fn of_1000_callers_of_one_seat_one_wins<H: Harness>() {
    let world = World::<H>::start().await;
    let show = world.show(1).await;
    let template = world.hold(&show, 0, world.id(), LONG).await;
    let store = world.ports().reservations;
    let results = race(1_000, |_| {
        let mut hold = template.clone();
        (hold.reservation.id, hold.reservation.user_id) = (world.id(), world.id());
        let store = store.clone();
        async move { store.hold(hold).await }
    })
    .await;
    let (won, lost): (Vec<_>, Vec<_>) = results.into_iter().partition(Result::is_ok);
    assert_eq!(won.len(), 1);
    assert!(lost.into_iter().all(|refusal| refusal == Err(Error::SeatNotAvailable)));
}

pub async fn of_concurrent_callers_of_an_ended_hold_one_wins<H: Harness>() {
    let world = World::<H>::start().await;
    let show = world.show(1).await;
    world.held(&show, 0, world.id(), SHORT).await;
    world.pass(SHORT).await;
    let template = world.hold(&show, 0, world.id(), LONG).await;
    let store = world.ports().reservations;
    let results = race(50, |_| {
        let mut hold = template.clone();
        (hold.reservation.id, hold.reservation.user_id) = (world.id(), world.id());
        let store = store.clone();
        async move { store.hold(hold).await.is_ok() }
    })
    .await;
    assert_eq!(results.into_iter().filter(|won| *won).count(), 1);
}

/// A predicate that asks only for the state AVAILABLE needs the sweeper, and fails here.
pub async fn an_ended_hold_is_takeable_at_once_with_the_sweeper_off<H: Harness>() {
    let world = World::<H>::start().await;
    let (show, first, second) = (world.show(1).await, world.id(), world.id());
    let ended = world.held(&show, 0, first, SHORT).await;
    let early = world.hold(&show, 0, second, LONG).await;
    assert_eq!(world.ports().reservations.hold(early).await, Err(Error::SeatNotAvailable));
    world.pass(SHORT).await;
    let taken = world.held(&show, 0, second, LONG).await;
    assert_eq!(world.status(&ended).await, ReservationStatus::Expired);
    assert_eq!(world.status(&taken).await, ReservationStatus::Pending);
    assert_eq!(world.seat(&show, 0).await, SeatStatus::TempReserved);
}

pub async fn an_ended_hold_reads_as_expired_before_it_is_tidied<H: Harness>() {
    let world = World::<H>::start().await;
    let (show, user) = (world.show(1).await, world.id());
    let held = world.held(&show, 0, user, SHORT).await;
    world.pass(SHORT).await;
    assert_eq!(world.status(&held).await, ReservationStatus::Expired);
    let reservations = world.ports().reservations;
    let listed = every_page(|page| reservations.list(user, page), |r| r.id).await;
    assert_eq!(listed[0].status, ReservationStatus::Expired);
    assert_eq!(world.seat(&show, 0).await, SeatStatus::Available);
}

pub async fn a_seat_that_is_no_more_cannot_be_held<H: Harness>() {
    let world = World::<H>::start().await;
    let show = world.show(2).await;
    let hold = world.hold(&show, 1, world.id(), LONG).await;
    world.ports().catalogue.delete_seat(Edit::default(), show.seats[1]).await.unwrap();
    assert_eq!(world.ports().reservations.hold(hold).await, Err(Error::SeatNotFound));
}

pub async fn a_seat_is_held_at_its_own_price_only<H: Harness>() {
    let world = World::<H>::start().await;
    let (show, store) = (world.show(2).await, world.ports().reservations);
    world.held(&show, 1, world.id(), SHORT).await;
    for seat in 0..2 {
        let decided = world.hold(&show, seat, world.id(), LONG).await;
        world.pass(SHORT).await;
        let patch = SeatPatch { number: None, price: Some(Won::of(7)) };
        let catalogue = world.ports().catalogue;
        catalogue.update_seat(Edit::default(), show.seats[seat], patch).await.unwrap();
        assert_eq!(store.hold(decided.clone()).await, Err(PRICE_CHANGED));
        assert_eq!(world.seat(&show, seat).await, SeatStatus::Available);
        let mut again = decided;
        again.reservation.price = Won::of(7);
        fresh(store.hold(again).await.unwrap());
    }
}

pub async fn a_cancelled_seat_is_free_at_once<H: Harness>() {
    let world = World::<H>::start().await;
    let (show, user) = (world.show(1).await, world.id());
    let held = world.held(&show, 0, user, LONG).await;
    assert_eq!(world.ports().reservations.cancel(held.id, user).await, Ok(true));
    assert_eq!(world.status(&held).await, ReservationStatus::Cancelled);
    assert_eq!(world.seat(&show, 0).await, SeatStatus::Available);
    world.held(&show, 0, world.id(), LONG).await;
}

pub async fn cancelling_twice_or_late_changes_nothing<H: Harness>() {
    let world = World::<H>::start().await;
    let (show, user) = (world.show(2).await, world.id());
    let reservations = world.ports().reservations;
    let cancelled = world.held(&show, 0, user, LONG).await;
    let ended = world.held(&show, 1, user, SHORT).await;
    assert_eq!(reservations.cancel(cancelled.id, user).await, Ok(true));
    let next = world.held(&show, 0, world.id(), LONG).await;
    assert_eq!(reservations.cancel(cancelled.id, user).await, Ok(false));
    world.pass(SHORT).await;
    assert_eq!(reservations.cancel(ended.id, user).await, Ok(false));
    assert_eq!(world.status(&ended).await, ReservationStatus::Expired);
    assert_eq!(world.status(&next).await, ReservationStatus::Pending);
    assert_eq!(world.seat(&show, 0).await, SeatStatus::TempReserved);
}

pub async fn only_the_owner_cancels<H: Harness>() {
    let world = World::<H>::start().await;
    let (show, user) = (world.show(1).await, world.id());
    let held = world.held(&show, 0, user, LONG).await;
    let reservations = world.ports().reservations;
    let refused = reservations.cancel(held.id, world.id()).await;
    assert_eq!(refused, Err(Error::ReservationNotFound));
    assert_eq!(reservations.cancel(world.id(), user).await, Err(Error::ReservationNotFound));
    assert_eq!(world.status(&held).await, ReservationStatus::Pending);
}

pub async fn a_paid_hold_is_not_cancelled<H: Harness>() {
    let world = World::<H>::start().await;
    let show = world.show(1).await;
    let (paid, payment) = world.paid(&show, 0).await;
    let refused = world.ports().reservations.cancel(paid.id, payment.user_id).await;
    assert_eq!(refused, Err(Error::ReservationNotPending));
    assert_eq!(world.seat(&show, 0).await, SeatStatus::Reserved);
}

pub async fn of_settling_and_cancelling_one_wins<H: Harness>() {
    let world = World::<H>::start().await;
    let show = world.show(10).await;
    for seat in 0..show.seats.len() {
        let user = world.rich_user(10_000).await;
        let held = world.held(&show, seat, user, LONG).await;
        let settlement = world.settlement(&held).await;
        let ports = world.ports();
        let wins = race(6, |caller| {
            let (ports, settlement) = (ports.clone(), settlement.clone());
            async move {
                match caller % 2 {
                    0 => ports.payments.settle(settlement).await.is_ok(),
                    _ => {
                        ports.reservations.cancel(settlement.reservation.id, user).await == Ok(true)
                    }
                }
            }
        })
        .await;
        assert_eq!(wins.iter().filter(|won| **won).count(), 1, "{wins:?}");
        assert_books_agree(&world, &show, seat, &held).await;
    }
}

/// A sweep that reads first and then updates without a guard on the row, or a payment that
/// trusts what it read, lets two of the three win.
pub async fn s9_of_settling_cancelling_and_sweeping_at_the_end_one_wins<H: Harness>() {
    let world = World::<H>::start().await;
    let show = world.show(6).await;
    for seat in 0..show.seats.len() {
        let user = world.rich_user(10_000).await;
        let held = world.held(&show, seat, user, SHORT).await;
        let settlement = world.settlement(&held).await;
        let ports = world.ports();
        let callers = race(9, |caller| {
            let (ports, settlement) = (ports.clone(), settlement.clone());
            async move {
                let id = settlement.reservation.id;
                match caller % 3 {
                    0 => ports.payments.settle(settlement).await.is_ok(),
                    1 => ports.reservations.cancel(id, user).await == Ok(true),
                    _ => !ports.reservations.sweep(10).await.unwrap().freed.is_empty(),
                }
            }
        });
        // The end of the hold falls into the race.
        let (wins, ()) = tokio::join!(callers, world.harness.pass(SHORT));
        assert!(wins.iter().filter(|won| **won).count() <= 1, "{wins:?}");
        world.pass(Duration::from_millis(1)).await;
        world.ports().reservations.sweep(10).await.unwrap();
        assert_books_agree(&world, &show, seat, &held).await;
    }
}

/// The reservation, its seat and its owner's points tell one story.
async fn assert_books_agree<H: Harness>(
    world: &World<H>,
    show: &crate::fixtures::Show,
    seat: usize,
    held: &concert_domain::reservation::Reservation,
) {
    let expected = match world.status(held).await {
        ReservationStatus::Confirmed => (SeatStatus::Reserved, 0),
        ReservationStatus::Pending => (SeatStatus::TempReserved, 10_000),
        ReservationStatus::Expired | ReservationStatus::Cancelled => {
            (SeatStatus::Available, 10_000)
        }
    };
    let balance = world.ports().points.balance(held.user_id).await.unwrap().get();
    assert_eq!((world.seat(show, seat).await, balance), expected);
}

pub async fn a_sweep_tidies_only_ended_holds_in_batches<H: Harness>() {
    let world = World::<H>::start().await;
    let (show, user) = (world.show(6).await, world.id());
    for seat in 0..5 {
        world.held(&show, seat, user, SHORT).await;
    }
    let live = world.held(&show, 5, user, LONG).await;
    world.pass(SHORT).await;
    let reservations = world.ports().reservations;
    let mut freed = Vec::new();
    for more in [true, true, false] {
        let swept = reservations.sweep(2).await.unwrap();
        assert_eq!((swept.more, swept.failed), (more, 0));
        assert!(swept.freed.len() <= 2, "a batch is larger than asked for");
        freed.extend(swept.freed);
    }
    assert_eq!(freed, vec![live.location(); 5]);
    assert_eq!(reservations.sweep(2).await.unwrap().freed, []);
    assert_eq!(world.status(&live).await, ReservationStatus::Pending);
}

/// Sweepers on every instance without row guards report, and announce, one seat twice.
pub async fn s9_concurrent_sweeps_free_each_seat_once<H: Harness>() {
    let world = World::<H>::start().await;
    let (show, user) = (world.show(20).await, world.id());
    for seat in 0..20 {
        world.held(&show, seat, user, SHORT).await;
    }
    world.pass(SHORT).await;
    let store = world.ports().reservations;
    let sweeps = race(8, |_| {
        let store = store.clone();
        async move { store.sweep(50).await.unwrap().freed.len() }
    })
    .await;
    let left = world.ports().reservations.sweep(50).await.unwrap().freed.len();
    assert_eq!(sweeps.iter().sum::<usize>() + left, 20);
}

pub async fn a_sweep_leaves_a_seat_that_was_taken_again<H: Harness>() {
    let world = World::<H>::start().await;
    let show = world.show(1).await;
    world.held(&show, 0, world.id(), SHORT).await;
    world.pass(SHORT).await;
    let next = world.held(&show, 0, world.id(), LONG).await;
    let swept = world.ports().reservations.sweep(10).await.unwrap();
    assert_eq!(swept.freed, [], "the seat was reported free although it is held");
    assert_eq!(world.status(&next).await, ReservationStatus::Pending);
    assert_eq!(world.seat(&show, 0).await, SeatStatus::TempReserved);
}

pub async fn concurrent_equal_claims_have_one_effect_and_one_answer<H: Harness>() {
    let world = World::<H>::start().await;
    let (show, user) = (world.show(1).await, world.id());
    let mut template = world.hold(&show, 0, user, LONG).await;
    template.claim = Some(claim(user, "key", "hold"));
    let store = world.ports().reservations;
    let results = race(20, |_| {
        let mut hold = template.clone();
        hold.reservation.id = world.id();
        let store = store.clone();
        async move { store.hold(hold).await.unwrap() }
    })
    .await;
    let first = results[0].value().clone();
    assert!(results.iter().all(|applied| *applied.value() == first), "two answers to one key");
    assert_eq!(results.iter().filter(|a| matches!(a, Applied::Fresh(_))).count(), 1);
    let reservations = world.ports().reservations;
    assert_eq!(every_page(|page| reservations.list(user, page), |r| r.id).await, [first]);
}

pub async fn a_claim_answers_again_after_the_hold_has_ended<H: Harness>() {
    let world = World::<H>::start().await;
    let (show, user) = (world.show(1).await, world.id());
    let mut hold = world.hold(&show, 0, user, SHORT).await;
    hold.claim = Some(claim(user, "key", "hold"));
    let reservations = world.ports().reservations;
    let held = fresh(reservations.hold(hold.clone()).await.unwrap());
    world.pass(SHORT).await;
    let other = world.held(&show, 0, world.id(), LONG).await;
    hold.reservation.id = world.id();
    assert_eq!(reservations.hold(hold).await, Ok(Applied::Replayed(held)));
    assert_eq!(world.status(&other).await, ReservationStatus::Pending);
}

pub async fn a_claim_for_another_request_is_refused<H: Harness>() {
    let world = World::<H>::start().await;
    let (show, user) = (world.show(3).await, world.id());
    let reservations = world.ports().reservations;
    let mut first = world.hold(&show, 0, user, LONG).await;
    first.claim = Some(claim(user, "key", "seat 0"));
    reservations.hold(first).await.unwrap();
    let mut second = world.hold(&show, 1, user, LONG).await;
    second.claim = Some(claim(user, "key", "seat 1"));
    assert_eq!(reservations.hold(second).await, Err(Error::IdempotencyKeyReused));
    assert_eq!(world.seat(&show, 1).await, SeatStatus::Available);
    let neighbour = world.id();
    let mut third = world.hold(&show, 2, neighbour, LONG).await;
    third.claim = Some(claim(neighbour, "key", "seat 2"));
    fresh(reservations.hold(third).await.unwrap());
}

pub async fn a_refused_hold_keeps_no_answer<H: Harness>() {
    let world = World::<H>::start().await;
    let (show, user) = (world.show(1).await, world.id());
    let reservations = world.ports().reservations;
    let other = world.held(&show, 0, world.id(), LONG).await;
    let mut hold = world.hold(&show, 0, user, LONG).await;
    hold.claim = Some(claim(user, "key", "hold"));
    assert_eq!(reservations.hold(hold.clone()).await, Err(Error::SeatNotAvailable));
    reservations.cancel(other.id, other.user_id).await.unwrap();
    hold.reservation.id = world.id();
    fresh(reservations.hold(hold).await.unwrap());
}

pub async fn the_list_is_the_users_own_and_newest_first<H: Harness>() {
    let world = World::<H>::start().await;
    let (show, user) = (world.show(9).await, world.id());
    let mut made = Vec::new();
    for seat in 0..8 {
        made.push(world.held(&show, seat, user, LONG).await);
        if seat % 3 == 0 {
            // Some holds share their instant, some do not.
            world.harness.pass(Duration::from_millis(2)).await;
        }
    }
    world.held(&show, 8, world.id(), LONG).await;
    let reservations = world.ports().reservations;
    let listed = every_page(|page| reservations.list(user, page), |r| r.id).await;
    made.reverse();
    assert_eq!(listed, made);
}

pub async fn holds_survive_a_restart<H: Harness>() {
    let mut world = World::<H>::start().await;
    let (show, user) = (world.show(2).await, world.id());
    let mut hold = world.hold(&show, 0, user, LONG).await;
    hold.claim = Some(claim(user, "key", "hold"));
    let held = fresh(world.ports().reservations.hold(hold.clone()).await.unwrap());
    let charge = world.intent(user, 500);
    world.ports().points.open_charge(charge.clone(), None).await.unwrap();
    world.harness.restart().await;
    assert_eq!(world.status(&held).await, ReservationStatus::Pending);
    assert_eq!(world.seat(&show, 0).await, SeatStatus::TempReserved);
    let ports = world.ports();
    assert_eq!(ports.reservations.hold(hold).await, Ok(Applied::Replayed(held)));
    let settled = ports.points.settle_charge(charge.id, GatewayVerdict::Approved).await.unwrap();
    assert_eq!(settled.value().balance.get(), 500);
}
