//! Laws of [`PointStore`](concert_domain::point::PointStore), and of charging through a gateway.

use std::sync::Arc;
use std::time::Duration;

use concert_domain::point::{ChargeRequest, GatewayVerdict, MAX_BALANCE, Opened, PaymentMethod};
use concert_domain::ports::Services;
use concert_domain::{Applied, Error, UserId, Won};

use crate::fixtures::{SHORT, charge, claim, every_page, fresh, settings};
use crate::gateway::Script;
use crate::{Harness, ScriptedGateway, World, race};

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
            a_lost_answer_of_the_gateway_is_settled_by_the_retry,
            equal_charges_at_once_take_the_money_once,
            an_abandoned_charge_is_settled_by_asking_the_gateway,
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
    // A gateway that keeps its law never says this; how it is refused is the adapter's business.
    points.settle_charge(intent.id, GatewayVerdict::Approved).await.unwrap_err();
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
    assert_eq!(points.unsettled(Duration::from_millis(1), 10).await.unwrap().len(), 1);
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
    assert_eq!(points.unsettled(SHORT, 10).await.unwrap(), old);
    assert_eq!(points.unsettled(SHORT, 1).await.unwrap(), old[..1]);
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

fn services<H: Harness>(world: &World<H>, gateway: &Arc<ScriptedGateway>) -> Services {
    let mut ports = world.ports();
    ports.gateway = gateway.clone();
    Services::new(&ports, settings())
}

fn request(user: UserId, key: Option<&str>) -> ChargeRequest {
    ChargeRequest {
        user,
        amount: Won::of(500),
        method: PaymentMethod::Transfer,
        detail: Some("tok_1Nabc234".to_owned().try_into().unwrap()),
        claim: key.map(|key| claim(user, key, "charge 500")),
    }
}

pub async fn a_lost_answer_of_the_gateway_is_settled_by_the_retry<H: Harness>() {
    let world = World::<H>::start().await;
    let gateway = Arc::new(ScriptedGateway::new([Script::ApproveAndLoseTheAnswer]));
    let (points, user) = (services(&world, &gateway).points, world.id());
    let lost = points.charge(request(user, Some("key"))).await;
    assert_eq!(lost, Err(Error::GatewayTimedOut));
    let charged = fresh(points.charge(request(user, Some("key"))).await.unwrap());
    assert_eq!(charged.balance, Won::of(500));
    let again = points.charge(request(user, Some("key"))).await;
    assert_eq!(again, Ok(Applied::Replayed(charged)));
    assert_eq!((gateway.approved(), world.ledger(user).await.len()), (1, 1));
}

pub async fn equal_charges_at_once_take_the_money_once<H: Harness>() {
    let world = World::<H>::start().await;
    let gateway = Arc::new(ScriptedGateway::default());
    let (points, user) = (services(&world, &gateway).points, world.id());
    let results = race(20, |_| {
        let (points, request) = (points.clone(), request(user, Some("key")));
        async move { points.charge(request).await.unwrap() }
    })
    .await;
    let first = results[0].value();
    assert!(results.iter().all(|applied| applied.value() == first), "two answers to one key");
    assert_eq!(results.iter().filter(|a| matches!(a, Applied::Fresh(_))).count(), 1);
    assert_eq!((gateway.approved(), world.ledger(user).await.len()), (1, 1));
}

/// An engine that cannot jump does not wait the minute after which a charge counts as abandoned;
/// it only shows that a charge with a request at work is left alone.
pub async fn an_abandoned_charge_is_settled_by_asking_the_gateway<H: Harness>() {
    let world = World::<H>::start().await;
    let script = [Script::ApproveAndLoseTheAnswer, Script::NeverArrives];
    let gateway = Arc::new(ScriptedGateway::new(script));
    let (points, approved, missed) = (services(&world, &gateway).points, world.id(), world.id());
    for user in [approved, missed] {
        let lost = points.charge(request(user, None)).await;
        assert_eq!(lost, Err(Error::GatewayTimedOut));
    }
    assert_eq!(points.reconcile().await, Ok(0));
    if !world.harness.can_jump() {
        return;
    }
    world.pass(Duration::from_secs(60)).await;
    assert_eq!(points.reconcile().await, Ok(2));
    assert_eq!(points.reconcile().await, Ok(0));
    assert_eq!(points.balance(approved).await, Ok(Won::of(500)));
    assert_eq!(points.balance(missed).await, Ok(Won::ZERO));
    assert_eq!(gateway.approved(), 1);
}
