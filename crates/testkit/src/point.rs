//! Laws of [`PointStore`](concert_domain::point::PointStore).

use std::time::Duration;

use concert_domain::point::{ChargeIntent, GatewayVerdict, MAX_BALANCE, Opened};
use concert_domain::{Applied, Error, Result, Won};

use crate::fixtures::{SHORT, charge, claim, every_page, fresh};
use crate::{Harness, World, race};

/// One test for each law of points.
#[macro_export]
macro_rules! point_contract {
    ($harness:ty) => {
        $crate::laws! { $harness, point:
            a_user_who_never_charged_has_nothing,
            of_100_concurrent_charges_none_is_lost,
            the_ledger_pages_newest_first,
            an_open_intent_keeps_its_room,
            concurrent_intents_never_exceed_the_limit,
            an_intent_is_settled_once_whoever_settles_it,
            a_declined_intent_stays_declined,
            a_claim_finds_its_pending_intent_and_then_its_answer,
            concurrent_equal_claims_record_one_intent,
            a_claim_is_judged_anew_after_a_decline,
            a_claim_for_another_charge_is_refused,
            unsettled_intents_come_oldest_first_when_they_are_old,
            points_survive_a_restart,
            a_given_up_intent_is_never_approved,
            what_was_settled_is_not_given_up,
            of_giving_up_and_approving_one_wins,
            each_open_intent_is_taken_by_one_caller_at_a_time,
        }
    };
}

pub async fn a_user_who_never_charged_has_nothing<H: Harness>() {
    let world = World::<H>::start().await;
    let user = world.id();
    assert_eq!(world.ports().points.balance(user).await, Ok(Won::ZERO));
    assert!(world.ledger(user).await.is_empty());
}

/// A balance that is read, raised and written back loses charges here.
pub async fn of_100_concurrent_charges_none_is_lost<H: Harness>() {
    let world = World::<H>::start().await;
    let (user, ports) = (world.id(), world.ports());
    race(100, |caller| {
        let intent = world.intent(user, 100 + caller as u32);
        let ports = ports.clone();
        async move { charge(&ports, intent).await.unwrap() }
    })
    .await;
    let lines = world.ledger(user).await;
    assert_eq!(lines.len(), 100);
    assert_eq!(lines[0].balance_after.get(), (100..200).sum::<i64>());
}

pub async fn the_ledger_pages_newest_first<H: Harness>() {
    let world = World::<H>::start().await;
    let (user, other) = (world.id(), world.id());
    for amount in 1..=7 {
        world.charged(user, 100 * amount).await;
        world.charged(other, 100).await;
    }
    let points = world.ports().points;
    let lines = every_page(|page| points.history(user, page), |line| line.sequence).await;
    let amounts: Vec<i64> = lines.iter().map(|line| line.amount).collect();
    assert_eq!(amounts, [700, 600, 500, 400, 300, 200, 100]);
}

pub async fn an_open_intent_keeps_its_room<H: Harness>() {
    let world = World::<H>::start().await;
    let user = world.rich_user(300_000).await;
    let points = world.ports().points;
    let open = world.intent(user, 600_000);
    points.open_charge(open.clone(), None).await.unwrap();
    let too_much = world.intent(user, 100_001);
    let refused = points.open_charge(too_much.clone(), None).await;
    assert_eq!(refused, Err(Error::PointLimitExceeded));
    points.open_charge(world.intent(user, 100_000), None).await.unwrap();
    let declined = points.settle_charge(open.id, GatewayVerdict::Declined).await;
    assert_eq!(declined, Err(Error::PaymentDeclined));
    points.open_charge(too_much, None).await.unwrap();
}

pub async fn concurrent_intents_never_exceed_the_limit<H: Harness>() {
    let world = World::<H>::start().await;
    let (user, ports) = (world.id(), world.ports());
    let results = race(20, |_| {
        let intent = world.intent(user, 150_000);
        let ports = ports.clone();
        async move { charge(&ports, intent).await }
    })
    .await;
    let (won, lost): (Vec<_>, Vec<_>) = results.into_iter().partition(Result::is_ok);
    assert_eq!(won.len(), 6);
    assert!(lost.into_iter().all(|refusal| refusal == Err(Error::PointLimitExceeded)));
    assert!(ports.points.balance(user).await.unwrap() <= MAX_BALANCE);
    assert_eq!(world.ledger(user).await.len(), 6);
}

pub async fn an_intent_is_settled_once_whoever_settles_it<H: Harness>() {
    let world = World::<H>::start().await;
    let (user, points) = (world.id(), world.ports().points);
    let intent = world.intent(user, 500);
    points.open_charge(intent.clone(), None).await.unwrap();
    let results = race(20, |_| {
        let (points, id) = (points.clone(), intent.id);
        async move { points.settle_charge(id, GatewayVerdict::Approved).await.unwrap() }
    })
    .await;
    let first = results[0].value().clone();
    assert_eq!((first.transaction_id, first.balance), (intent.id, Won::of(500)));
    assert!(results.iter().all(|applied| *applied.value() == first), "two answers");
    assert_eq!(results.iter().filter(|a| matches!(a, Applied::Fresh(_))).count(), 1);
    assert_eq!(world.ledger(user).await.len(), 1);
}

pub async fn a_declined_intent_stays_declined<H: Harness>() {
    let world = World::<H>::start().await;
    let (user, points) = (world.id(), world.ports().points);
    let intent = world.intent(user, 500);
    points.open_charge(intent.clone(), None).await.unwrap();
    for _ in 0..2 {
        let settled = points.settle_charge(intent.id, GatewayVerdict::Declined).await;
        assert_eq!(settled, Err(Error::PaymentDeclined));
    }
    // A gateway that keeps its law never says this.
    let late = points.settle_charge(intent.id, GatewayVerdict::Approved).await;
    assert_eq!(late, Err(Error::PaymentDeclined));
    assert!(world.ledger(user).await.is_empty());
}

pub async fn a_claim_finds_its_pending_intent_and_then_its_answer<H: Harness>() {
    let world = World::<H>::start().await;
    let (user, points) = (world.id(), world.ports().points);
    let key = Some(claim(user, "key", "charge"));
    let first = world.intent(user, 500);
    let opened = points.open_charge(first.clone(), key.clone()).await;
    assert_eq!(opened, Ok(Opened::Pending(first.clone())));
    let again = points.open_charge(world.intent(user, 500), key.clone()).await;
    assert_eq!(again, Ok(Opened::Pending(first.clone())));
    let settled = points.settle_charge(first.id, GatewayVerdict::Approved).await.unwrap();
    let replayed = points.open_charge(world.intent(user, 500), key).await;
    assert_eq!(replayed, Ok(Opened::Replayed(fresh(settled))));
    assert_eq!(world.ledger(user).await.len(), 1);
}

pub async fn concurrent_equal_claims_record_one_intent<H: Harness>() {
    let world = World::<H>::start().await;
    let (user, points) = (world.id(), world.ports().points);
    let opened = race(20, |_| {
        let (points, intent) = (points.clone(), world.intent(user, 500));
        async move { points.open_charge(intent, Some(claim(user, "key", "charge"))).await.unwrap() }
    })
    .await;
    assert!(opened.iter().all(|one| *one == opened[0]), "two intents for one key");
    world.harness.pass(SHORT).await;
    assert_eq!(taken(&world, Duration::from_millis(1), 10).await.len(), 1);
}

pub async fn a_claim_is_judged_anew_after_a_decline<H: Harness>() {
    let world = World::<H>::start().await;
    let (user, points) = (world.id(), world.ports().points);
    let key = Some(claim(user, "key", "charge"));
    let first = world.intent(user, 500);
    points.open_charge(first.clone(), key.clone()).await.unwrap();
    points.settle_charge(first.id, GatewayVerdict::Declined).await.unwrap_err();
    let second = world.intent(user, 500);
    let opened = points.open_charge(second.clone(), key).await;
    assert_eq!(opened, Ok(Opened::Pending(second)));
}

pub async fn a_claim_for_another_charge_is_refused<H: Harness>() {
    let world = World::<H>::start().await;
    let (user, points) = (world.id(), world.ports().points);
    let open = async |amount, body| {
        let key = claim(user, "key", body);
        points.open_charge(world.intent(user, amount), Some(key)).await
    };
    let Opened::Pending(first) = open(500, "500").await.unwrap() else { panic!("a new key") };
    assert_eq!(open(600, "600").await, Err(Error::IdempotencyKeyReused));
    points.settle_charge(first.id, GatewayVerdict::Approved).await.unwrap();
    assert_eq!(open(600, "600").await, Err(Error::IdempotencyKeyReused));
    assert_eq!(points.balance(user).await, Ok(Won::of(500)));
}

pub async fn unsettled_intents_come_oldest_first_when_they_are_old<H: Harness>() {
    let world = World::<H>::start().await;
    let (user, points) = (world.id(), world.ports().points);
    let mut old = Vec::new();
    for _ in 0..3 {
        let intent = world.intent(user, 500);
        points.open_charge(intent.clone(), None).await.unwrap();
        world.harness.pass(Duration::from_millis(2)).await;
        old.push(intent);
    }
    points.settle_charge(old[1].id, GatewayVerdict::Approved).await.unwrap();
    old.remove(1);
    world.pass(SHORT).await;
    points.open_charge(world.intent(user, 500), None).await.unwrap();
    assert_eq!(taken(&world, SHORT, 1).await, old[..1]);
    assert_eq!(taken(&world, SHORT, 10).await, old[1..]);
    assert_eq!(taken(&world, SHORT, 10).await, [], "they were taken a moment ago");
}

/// Open intents that are taken now.
async fn taken<H: Harness>(world: &World<H>, age: Duration, limit: u32) -> Vec<ChargeIntent> {
    let open = world.ports().points.take_unsettled(age, limit).await.unwrap();
    open.into_iter().map(|open| open.intent).collect()
}

pub async fn points_survive_a_restart<H: Harness>() {
    let mut world = World::<H>::start().await;
    let user = world.rich_user(700).await;
    let open = world.intent(user, 500);
    let key = Some(claim(user, "key", "charge"));
    world.ports().points.open_charge(open.clone(), key.clone()).await.unwrap();
    world.harness.restart().await;
    assert_eq!(world.ledger(user).await[0].balance_after, Won::of(700));
    let again = world.ports().points.open_charge(world.intent(user, 500), key).await;
    assert_eq!(again, Ok(Opened::Pending(open)));
}

pub async fn a_given_up_intent_is_never_approved<H: Harness>() {
    let world = World::<H>::start().await;
    let (user, points) = (world.id(), world.ports().points);
    let key = Some(claim(user, "key", "charge"));
    let (intent, other) = (world.intent(user, 900_000), world.intent(user, 900_000));
    points.open_charge(intent.clone(), key.clone()).await.unwrap();
    for _ in 0..2 {
        assert_eq!(points.give_up_charge(intent.id).await, Ok(true));
    }
    let approved = points.settle_charge(intent.id, GatewayVerdict::Approved).await;
    assert_eq!(approved, Err(Error::PaymentDeclined));
    assert!(world.ledger(user).await.is_empty());
    // Until the gateway has let it go it is open: it keeps its room, and its key.
    let open = points.take_unsettled(Duration::ZERO, 10).await.unwrap();
    assert!(open.len() == 1 && open[0].given_up, "{open:?}");
    let refused = points.open_charge(other.clone(), None).await;
    assert_eq!(refused, Err(Error::PointLimitExceeded));
    let refused = points.open_charge(other.clone(), key.clone()).await;
    assert_eq!(refused, Err(Error::IdempotencyInProgress));

    let closed = points.settle_charge(intent.id, GatewayVerdict::Declined).await;
    assert_eq!(closed, Err(Error::PaymentDeclined));
    assert_eq!(points.open_charge(other.clone(), key).await, Ok(Opened::Pending(other)));
}

pub async fn what_was_settled_is_not_given_up<H: Harness>() {
    let world = World::<H>::start().await;
    let (user, points) = (world.id(), world.ports().points);
    for verdict in [GatewayVerdict::Approved, GatewayVerdict::Declined] {
        let intent = world.intent(user, 500);
        points.open_charge(intent.clone(), None).await.unwrap();
        points.settle_charge(intent.id, verdict).await.ok();
        assert_eq!(points.give_up_charge(intent.id).await, Ok(false), "{verdict:?}");
    }
    assert_eq!(world.ledger(user).await.len(), 1);
}

/// Whoever reads the state and then writes it lets both happen here: money that is given back, and
/// points for it.
pub async fn of_giving_up_and_approving_one_wins<H: Harness>() {
    let world = World::<H>::start().await;
    let (user, points) = (world.id(), world.ports().points);
    for round in 0..10 {
        let intent = world.intent(user, 500);
        points.open_charge(intent.clone(), None).await.unwrap();
        let before = world.ledger(user).await.len();
        let ends: Vec<Result<bool>> = race(6, |caller| {
            let (points, id) = (points.clone(), intent.id);
            async move {
                if (caller + round) % 2 == 0 {
                    points.give_up_charge(id).await
                } else {
                    let settled = points.settle_charge(id, GatewayVerdict::Approved).await;
                    settled.map(|_| false)
                }
            }
        })
        .await;
        let added = world.ledger(user).await.len() - before;
        let expected = if added == 1 { Ok(false) } else { Ok(true) };
        for end in ends {
            let agrees = end == expected || (added == 0 && end == Err(Error::PaymentDeclined));
            assert!(agrees, "{added} lines, but {end:?}");
        }
    }
}

pub async fn each_open_intent_is_taken_by_one_caller_at_a_time<H: Harness>() {
    let world = World::<H>::start().await;
    let points = world.ports().points;
    let mut all = Vec::new();
    for _ in 0..12 {
        let intent = world.intent(world.id(), 500);
        points.open_charge(intent.clone(), None).await.unwrap();
        all.push(intent.id);
    }
    world.pass(SHORT).await;
    let parts = race(6, |_| {
        let points = points.clone();
        async move { points.take_unsettled(SHORT, 3).await.unwrap() }
    })
    .await;
    let mut taken: Vec<_> = parts.into_iter().flatten().map(|open| open.intent.id).collect();
    // Who was looked at by another is passed by, so that a caller may get fewer than there are.
    taken.extend(points.take_unsettled(SHORT, 12).await.unwrap().iter().map(|o| o.intent.id));
    taken.sort();
    assert_eq!(taken, all, "one was taken twice, or by nobody");
}
