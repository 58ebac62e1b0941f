//! Laws of [`PaymentStore`](concert_domain::payment::PaymentStore).

use concert_domain::concert::SeatStatus;
use concert_domain::payment::{Payment, PaymentStatus};
use concert_domain::point::EntryKind;
use concert_domain::reservation::{Reservation, ReservationStatus};
use concert_domain::{Applied, Error, Result};

use crate::fixtures::{LONG, SHORT, Show, claim, every_page, fresh, page};
use crate::{Harness, World, race};

/// One test for each law of payments.
#[macro_export]
macro_rules! payment_contract {
    ($harness:ty) => {
        $crate::laws! { $harness, payment:
            a_settlement_changes_everything_at_once,
            a_refused_settlement_changes_nothing,
            of_20_equal_payments_with_a_key_one_has_an_effect_and_all_are_answered,
            of_20_equal_payments_without_a_key_one_has_an_effect,
            payments_from_one_balance_never_overdraw_it,
            a_payment_after_the_end_of_the_hold_is_refused,
            a_payment_never_takes_a_seat_from_its_next_owner,
            a_cancelled_hold_cannot_be_paid,
            a_hold_is_paid_by_nobody_but_its_owner,
            a_refund_undoes_everything_at_once,
            of_20_equal_refunds_one_has_an_effect,
            a_refund_without_room_changes_nothing,
            a_refunded_seat_can_be_sold_again,
            a_key_of_another_request_is_refused,
            the_list_is_the_users_own_and_newest_first,
            payments_survive_a_restart,
        }
    };
}

/// What a payment touches, in one value.
#[derive(Debug, PartialEq)]
struct Books {
    balance: i64,
    lines: usize,
    reservation: ReservationStatus,
    seat: SeatStatus,
    payments: usize,
    events: u64,
}

async fn books<H: Harness>(world: &World<H>, show: &Show, reservation: &Reservation) -> Books {
    let (ports, user) = (world.ports(), reservation.user_id);
    Books {
        balance: ports.points.balance(user).await.unwrap().get(),
        lines: world.ledger(user).await.len(),
        reservation: world.status(reservation).await,
        seat: world.seat(show, 0).await,
        payments: ports.payments.list(user, page(100, None)).await.unwrap().items.len(),
        events: ports.outbox.backlog().await.unwrap().pending,
    }
}

pub async fn a_settlement_changes_everything_at_once<H: Harness>() {
    let world = World::<H>::start().await;
    let (show, user) = (world.show(1).await, world.rich_user(15_000).await);
    let held = world.held(&show, 0, user, LONG).await;
    let settlement = world.settlement(&held).await;
    let payment = fresh(world.ports().payments.settle(settlement.clone()).await.unwrap());
    assert_eq!(payment, settlement.payment);
    let expected = Books {
        balance: 5_000,
        lines: 2,
        reservation: ReservationStatus::Confirmed,
        seat: SeatStatus::Reserved,
        payments: 1,
        events: 1,
    };
    assert_eq!(books(&world, &show, &held).await, expected);
    let line = world.ledger(user).await.remove(0);
    assert_eq!((line.kind, line.amount), (EntryKind::Use, -10_000));
    assert_eq!(line.transaction_id, settlement.transaction_id);
    assert_eq!(line.payment_id, Some(payment.id));
    let ports = world.ports();
    assert_eq!(ports.payments.find(payment.id).await.unwrap(), Some(payment));
    let recorded = ports.outbox.pending(page(10, None)).await.unwrap().items.remove(0);
    assert_eq!(recorded.record, settlement.event.to_record().unwrap());
}

pub async fn a_refused_settlement_changes_nothing<H: Harness>() {
    let world = World::<H>::start().await;
    let (show, user) = (world.show(1).await, world.rich_user(9_999).await);
    let held = world.held(&show, 0, user, LONG).await;
    let before = books(&world, &show, &held).await;
    let mut settlement = world.settlement(&held).await;
    settlement.claim = Some(claim(user, "key", "pay"));
    let payments = world.ports().payments;
    assert_eq!(payments.settle(settlement.clone()).await, Err(Error::InsufficientPoints));
    assert_eq!(books(&world, &show, &held).await, before);
    assert_eq!(payments.find(settlement.payment.id).await.unwrap(), None);
    // A refusal is judged anew under the same key.
    world.charged(user, 100).await;
    fresh(payments.settle(settlement).await.unwrap());
}

/// Twenty settlements of one reservation at once, each with ids of its own.
async fn settle_20_times<H: Harness>(
    world: &World<H>,
    held: &Reservation,
    key: Option<&str>,
) -> Vec<Result<Applied<Payment>>> {
    let mut template = world.settlement(held).await;
    template.claim = key.map(|key| claim(held.user_id, key, "pay"));
    let store = world.ports().payments;
    race(20, |_| {
        let mut settlement = template.clone();
        settlement.payment.id = world.id();
        settlement.transaction_id = world.id();
        settlement.event.id = format!("payment.completed-{}", settlement.payment.id);
        let store = store.clone();
        async move { store.settle(settlement).await }
    })
    .await
}

pub async fn of_20_equal_payments_with_a_key_one_has_an_effect_and_all_are_answered<H: Harness>() {
    let world = World::<H>::start().await;
    let (show, user) = (world.show(1).await, world.rich_user(50_000).await);
    let held = world.held(&show, 0, user, LONG).await;
    let results = settle_20_times(&world, &held, Some("key")).await;
    let paid = results[0].as_ref().unwrap().value().clone();
    assert!(results.iter().all(|r| *r.as_ref().unwrap().value() == paid), "two answers to a key");
    let made = results.iter().filter(|r| matches!(r, Ok(Applied::Fresh(_)))).count();
    assert_eq!(made, 1);
    let after = books(&world, &show, &held).await;
    assert_eq!((after.balance, after.payments, after.events), (40_000, 1, 1));
}

pub async fn of_20_equal_payments_without_a_key_one_has_an_effect<H: Harness>() {
    let world = World::<H>::start().await;
    let (show, user) = (world.show(1).await, world.rich_user(50_000).await);
    let held = world.held(&show, 0, user, LONG).await;
    let results = settle_20_times(&world, &held, None).await;
    let (won, lost): (Vec<_>, Vec<_>) = results.into_iter().partition(Result::is_ok);
    assert_eq!(won.len(), 1);
    assert!(lost.into_iter().all(|refusal| refusal == Err(Error::ReservationNotPending)));
    let after = books(&world, &show, &held).await;
    assert_eq!((after.balance, after.payments, after.events), (40_000, 1, 1));
}

/// A balance that is read, lowered and written back loses one of two payments.
pub async fn payments_from_one_balance_never_overdraw_it<H: Harness>() {
    let world = World::<H>::start().await;
    let (show, user) = (world.show(12).await, world.rich_user(35_000).await);
    let mut settlements = Vec::new();
    for seat in 0..12 {
        let held = world.held(&show, seat, user, LONG).await;
        settlements.push(world.settlement(&held).await);
    }
    let store = world.ports().payments;
    let results = race(12, |caller| {
        let (store, settlement) = (store.clone(), settlements[caller].clone());
        async move { store.settle(settlement).await }
    })
    .await;
    let (won, lost): (Vec<_>, Vec<_>) = results.into_iter().partition(Result::is_ok);
    assert_eq!(won.len(), 3);
    assert!(lost.into_iter().all(|refusal| refusal == Err(Error::InsufficientPoints)));
    assert_eq!(world.ledger(user).await[0].balance_after.get(), 5_000);
}

pub async fn a_payment_after_the_end_of_the_hold_is_refused<H: Harness>() {
    let world = World::<H>::start().await;
    let (show, user) = (world.show(1).await, world.rich_user(10_000).await);
    let held = world.held(&show, 0, user, SHORT).await;
    // Decided while the hold lived; the store's time within the transaction is what counts.
    let settlement = world.settlement(&held).await;
    world.pass(SHORT).await;
    let payments = world.ports().payments;
    assert_eq!(payments.settle(settlement.clone()).await, Err(Error::ReservationExpired));
    world.ports().reservations.sweep(10).await.unwrap();
    assert_eq!(payments.settle(settlement).await, Err(Error::ReservationExpired));
    let after = books(&world, &show, &held).await;
    assert_eq!((after.balance, after.lines, after.events), (10_000, 1, 0));
    assert_eq!(after.seat, SeatStatus::Available);
}

pub async fn a_payment_never_takes_a_seat_from_its_next_owner<H: Harness>() {
    let world = World::<H>::start().await;
    let (show, user) = (world.show(1).await, world.rich_user(10_000).await);
    let held = world.held(&show, 0, user, SHORT).await;
    let settlement = world.settlement(&held).await;
    world.pass(SHORT).await;
    let next = world.held(&show, 0, world.id(), LONG).await;
    let refused = world.ports().payments.settle(settlement).await;
    assert_eq!(refused, Err(Error::ReservationExpired));
    assert_eq!(world.status(&next).await, ReservationStatus::Pending);
    assert_eq!(world.seat(&show, 0).await, SeatStatus::TempReserved);
}

pub async fn a_cancelled_hold_cannot_be_paid<H: Harness>() {
    let world = World::<H>::start().await;
    let (show, user) = (world.show(1).await, world.rich_user(10_000).await);
    let held = world.held(&show, 0, user, LONG).await;
    let settlement = world.settlement(&held).await;
    world.ports().reservations.cancel(held.id, user).await.unwrap();
    let before = books(&world, &show, &held).await;
    let refused = world.ports().payments.settle(settlement).await;
    assert_eq!(refused, Err(Error::ReservationNotPending));
    assert_eq!(books(&world, &show, &held).await, before);
}

pub async fn a_hold_is_paid_by_nobody_but_its_owner<H: Harness>() {
    let world = World::<H>::start().await;
    let show = world.show(1).await;
    let held = world.held(&show, 0, world.id(), LONG).await;
    let stranger = world.rich_user(10_000).await;
    let mut settlement = world.settlement(&held).await;
    (settlement.payment.user_id, settlement.reservation.user_id) = (stranger, stranger);
    world.ports().payments.settle(settlement).await.unwrap_err();
    assert_eq!(world.status(&held).await, ReservationStatus::Pending);
    assert_eq!(world.ledger(stranger).await.len(), 1, "the stranger's points were touched");
}

pub async fn a_refund_undoes_everything_at_once<H: Harness>() {
    let world = World::<H>::start().await;
    let show = world.show(1).await;
    let (reservation, payment) = world.paid(&show, 0).await;
    let refund = world.refund(&payment).await;
    let refunded = fresh(world.ports().payments.refund(refund.clone()).await.unwrap());
    assert_eq!((refunded.status, refunded.id), (PaymentStatus::Refunded, payment.id));
    assert!(refunded.refunded_at.is_some());
    let expected = Books {
        balance: 10_000,
        lines: 3,
        reservation: ReservationStatus::Cancelled,
        seat: SeatStatus::Available,
        payments: 1,
        events: 2,
    };
    assert_eq!(books(&world, &show, &reservation).await, expected);
    let line = world.ledger(payment.user_id).await.remove(0);
    assert_eq!((line.kind, line.amount), (EntryKind::Refund, 10_000));
    assert_eq!(line.payment_id, Some(payment.id));
    assert_eq!(world.ports().payments.find(payment.id).await.unwrap(), Some(refunded));
}

pub async fn of_20_equal_refunds_one_has_an_effect<H: Harness>() {
    for key in [Some("key"), None] {
        let world = World::<H>::start().await;
        let show = world.show(1).await;
        let (reservation, payment) = world.paid(&show, 0).await;
        let mut template = world.refund(&payment).await;
        template.claim = key.map(|key| claim(payment.user_id, key, "refund"));
        let store = world.ports().payments;
        let results = race(20, |_| {
            let mut refund = template.clone();
            refund.transaction_id = world.id();
            let store = store.clone();
            async move { store.refund(refund).await }
        })
        .await;
        let made = results.iter().filter(|r| matches!(r, Ok(Applied::Fresh(_)))).count();
        assert_eq!(made, 1);
        for result in results {
            match (key, result) {
                (Some(_), result) => drop(result.unwrap()),
                (None, Err(refusal)) => assert_eq!(refusal, Error::RefundNotAllowed),
                (None, Ok(_)) => {}
            }
        }
        let after = books(&world, &show, &reservation).await;
        assert_eq!((after.balance, after.lines, after.events), (10_000, 3, 2));
    }
}

pub async fn a_refund_without_room_changes_nothing<H: Harness>() {
    let world = World::<H>::start().await;
    let show = world.show(1).await;
    let (reservation, payment) = world.paid(&show, 0).await;
    world.charged(payment.user_id, 900_000).await;
    // A charge under way keeps its room free, against refunds too.
    let under_way = world.intent(payment.user_id, 100_000);
    world.ports().points.open_charge(under_way, None).await.unwrap();
    let before = books(&world, &show, &reservation).await;
    let refund = world.refund(&payment).await;
    let refused = world.ports().payments.refund(refund).await;
    assert_eq!(refused, Err(Error::PointLimitExceeded));
    assert_eq!(books(&world, &show, &reservation).await, before);
    let kept = world.ports().payments.find(payment.id).await.unwrap().unwrap();
    assert_eq!(kept.status, PaymentStatus::Completed);
}

pub async fn a_refunded_seat_can_be_sold_again<H: Harness>() {
    let world = World::<H>::start().await;
    let show = world.show(1).await;
    let (_, first) = world.paid(&show, 0).await;
    let refund = world.refund(&first).await;
    world.ports().payments.refund(refund.clone()).await.unwrap();
    let (second, _) = world.paid(&show, 0).await;
    let again = world.ports().payments.refund(refund).await;
    assert_eq!(again, Err(Error::RefundNotAllowed));
    assert_eq!(world.status(&second).await, ReservationStatus::Confirmed);
    assert_eq!(world.seat(&show, 0).await, SeatStatus::Reserved);
}

pub async fn a_key_of_another_request_is_refused<H: Harness>() {
    let world = World::<H>::start().await;
    let (show, user) = (world.show(2).await, world.rich_user(50_000).await);
    let payments = world.ports().payments;
    let mut made = Vec::new();
    for (seat, body) in ["pay 0", "pay 1"].into_iter().enumerate() {
        let held = world.held(&show, seat, user, LONG).await;
        let mut settlement = world.settlement(&held).await;
        settlement.claim = Some(claim(user, "key", body));
        made.push(payments.settle(settlement).await);
    }
    let paid = made[0].as_ref().unwrap().value().clone();
    assert_eq!(made[1], Err(Error::IdempotencyKeyReused));
    assert_eq!(world.seat(&show, 1).await, SeatStatus::TempReserved);
    let mut refund = world.refund(&paid).await;
    refund.claim = Some(claim(user, "key", "refund"));
    assert_eq!(payments.refund(refund).await, Err(Error::IdempotencyKeyReused));
    assert_eq!(world.seat(&show, 0).await, SeatStatus::Reserved);
}

pub async fn the_list_is_the_users_own_and_newest_first<H: Harness>() {
    let world = World::<H>::start().await;
    let (show, user) = (world.show(6).await, world.rich_user(100_000).await);
    let payments = world.ports().payments;
    let mut made = Vec::new();
    for seat in 0..5 {
        let held = world.held(&show, seat, user, LONG).await;
        let settlement = world.settlement(&held).await;
        made.push(fresh(payments.settle(settlement).await.unwrap()));
    }
    world.paid(&show, 5).await;
    made.reverse();
    assert_eq!(every_page(|page| payments.list(user, page), |p| p.id).await, made);
    assert_eq!(payments.find(world.id()).await.unwrap(), None);
    assert_eq!(payments.refund_case(world.id()).await.unwrap(), None);
}

pub async fn payments_survive_a_restart<H: Harness>() {
    let mut world = World::<H>::start().await;
    let show = world.show(1).await;
    let (reservation, payment) = world.paid(&show, 0).await;
    let before = books(&world, &show, &reservation).await;
    world.harness.restart().await;
    assert_eq!(books(&world, &show, &reservation).await, before);
    assert_eq!(world.ports().payments.find(payment.id).await.unwrap(), Some(payment));
}
