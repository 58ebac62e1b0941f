//! Laws of charging through a gateway: whatever dies, and whenever, the store and the gateway have the
//! same books in the end.

mod doubles;

use std::sync::Arc;
use std::time::Duration;

use concert_domain::event::Origin;
use concert_domain::point::{
    ChargeRequest, GatewayVerdict, MAX_BALANCE, PaymentMethod, PointService, Reconciled,
};
use concert_domain::ports::{Services, Settings};
use concert_domain::{Applied, Error, Ports, UserId, Won};

use crate::fixtures::{claim, fresh, settings};
use crate::scripted::Script;
use crate::{Harness, ScriptedGateway, World, race};
use doubles::Fuse;

/// One test for each law of charging.
#[macro_export]
macro_rules! charge_contract {
    ($harness:ty) => {
        $crate::laws! { $harness, charge:
            a_lost_answer_of_the_gateway_is_settled_by_the_retry,
            equal_charges_at_once_take_the_money_once,
            an_abandoned_charge_is_settled_by_asking_the_gateway,
            a_charge_with_a_request_at_work_is_left_alone,
            a_charge_that_arrives_after_it_was_given_up_takes_no_money,
            a_death_between_any_two_steps_leaves_books_that_agree,
            a_death_is_survived_by_a_retry_as_well,
            retries_and_reconcilers_at_once_leave_books_that_agree,
        }
    };
}

/// A charge counts as abandoned at once.
fn at_once() -> Settings {
    Settings { charge_grace: Duration::ZERO, ..settings() }
}

const SCRIPTS: [Script; 5] = [
    Script::Approve,
    Script::Decline,
    Script::ApproveAndLoseTheAnswer,
    Script::DeclineAndLoseTheAnswer,
    Script::NeverArrives,
];

fn points(
    mut ports: Ports,
    gateway: &Arc<ScriptedGateway>,
    settings: Settings,
) -> Arc<PointService> {
    ports.gateway = gateway.clone();
    Services::new(&ports, settings).points
}

fn request(user: UserId, key: Option<&str>) -> ChargeRequest {
    ChargeRequest {
        user,
        amount: Won::of(500),
        method: PaymentMethod::Transfer,
        detail: Some("tok_1Nabc234".to_owned().try_into().unwrap()),
        claim: key.map(|key| claim(user, key, "charge 500")),
        origin: Origin::default(),
    }
}

/// The store says of the user what the gateway says, nothing is open and all room is free.
async fn assert_books<H: Harness>(
    world: &World<H>,
    gateway: &ScriptedGateway,
    user: UserId,
    context: &str,
) {
    let store = world.ports().points;
    let open = store.take_unsettled(Duration::ZERO, 10).await.unwrap();
    assert!(open.is_empty(), "{context}: {open:?} is open");
    let charged: i64 = world.ledger(user).await.iter().map(|line| line.amount).sum();
    assert_eq!(charged, gateway.money_of(user), "{context}: points and money differ");
    let room = u32::try_from(MAX_BALANCE.get() - charged).unwrap();
    let all = world.intent(user, room);
    let opened = store.open_charge(all.clone(), None).await;
    assert!(opened.is_ok(), "{context}: room is lost: {opened:?}");
    let closed = store.settle_charge(all.id, GatewayVerdict::Declined).await;
    assert_eq!(closed, Err(Error::PaymentDeclined));
}

pub async fn a_lost_answer_of_the_gateway_is_settled_by_the_retry<H: Harness>() {
    let world = World::<H>::start().await;
    let gateway = Arc::new(ScriptedGateway::new([Script::ApproveAndLoseTheAnswer]));
    let (points, user) = (points(world.ports(), &gateway, settings()), world.id());
    let lost = points.charge(request(user, Some("key"))).await;
    assert_eq!(lost, Err(Error::GatewayTimedOut));
    let charged = fresh(points.charge(request(user, Some("key"))).await.unwrap());
    assert_eq!(charged.balance, Won::of(500));
    let again = points.charge(request(user, Some("key"))).await;
    assert_eq!(again, Ok(Applied::Replayed(charged)));
    assert_books(&world, &gateway, user, "a retry").await;
    assert_eq!(gateway.approved(), 1);
}

pub async fn equal_charges_at_once_take_the_money_once<H: Harness>() {
    let world = World::<H>::start().await;
    let gateway = Arc::new(ScriptedGateway::default());
    let (points, user) = (points(world.ports(), &gateway, settings()), world.id());
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

pub async fn an_abandoned_charge_is_settled_by_asking_the_gateway<H: Harness>() {
    let world = World::<H>::start().await;
    let script = [Script::ApproveAndLoseTheAnswer, Script::NeverArrives];
    let gateway = Arc::new(ScriptedGateway::new(script));
    let points = points(world.ports(), &gateway, at_once());
    let (approved, missed) = (world.id(), world.id());
    for user in [approved, missed] {
        let lost = points.charge(request(user, None)).await;
        assert_eq!(lost, Err(Error::GatewayTimedOut));
    }
    let done = Reconciled { approved: 1, declined: 1, waiting: 0 };
    assert_eq!(points.reconcile().await, Ok(done));
    assert_eq!(points.reconcile().await, Ok(Reconciled::default()));
    assert_eq!(points.balance(approved).await, Ok(Won::of(500)));
    assert_eq!(points.balance(missed).await, Ok(Won::ZERO));
    assert_books(&world, &gateway, approved, "approved").await;
    assert_books(&world, &gateway, missed, "missed").await;
}

pub async fn a_charge_with_a_request_at_work_is_left_alone<H: Harness>() {
    let world = World::<H>::start().await;
    let gateway = Arc::new(ScriptedGateway::new([Script::NeverArrives]));
    let (points, user) = (points(world.ports(), &gateway, settings()), world.id());
    points.charge(request(user, Some("key"))).await.unwrap_err();
    assert_eq!(points.reconcile().await, Ok(Reconciled::default()));
    fresh(points.charge(request(user, Some("key"))).await.unwrap());
    assert_books(&world, &gateway, user, "a retry").await;
}

/// Closing a charge that the gateway has not heard of loses money here.
pub async fn a_charge_that_arrives_after_it_was_given_up_takes_no_money<H: Harness>() {
    let world = World::<H>::start().await;
    let gateway = Arc::new(ScriptedGateway::new([Script::NeverArrives]));
    let (points, user) = (points(world.ports(), &gateway, at_once()), world.id());
    points.charge(request(user, None)).await.unwrap_err();
    assert_eq!(points.reconcile().await.unwrap().declined, 1);
    gateway.arrive_late();
    assert_eq!(gateway.money_of(user), 0);
    assert_books(&world, &gateway, user, "it came late").await;
}

/// How a process that died is made up for.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Cure {
    Reconciler,
    Retry,
}

/// Lets a process that charges and then reconciles die after each number of steps, before and after
/// every call of a port, until it does not die any more; what it left is cured each time.
async fn die_everywhere<H: Harness>(cure: Cure) {
    let world = World::<H>::start().await;
    for script in SCRIPTS {
        for steps in 0.. {
            let context = format!("{script:?}, dead after {steps} steps, {cure:?}");
            let gateway = Arc::new(ScriptedGateway::new([script]));
            let (user, fuse) = (world.id(), Fuse::new(steps));
            let mut ports = world.ports();
            ports.gateway = gateway.clone();
            let dying = Services::new(&fuse.clone().over(ports), at_once()).points;
            dying.charge(request(user, Some("key"))).await.ok();
            dying.reconcile().await.ok();

            let alive = points(world.ports(), &gateway, at_once());
            if cure == Cure::Retry {
                alive.charge(request(user, Some("key"))).await.ok();
            }
            while alive.reconcile().await.unwrap() != Reconciled::default() {}
            gateway.arrive_late();
            assert_books(&world, &gateway, user, &context).await;
            if !fuse.is_burnt() {
                assert!(steps > 6, "{context}: nothing was called");
                break;
            }
        }
    }
}

pub async fn a_death_between_any_two_steps_leaves_books_that_agree<H: Harness>() {
    die_everywhere::<H>(Cure::Reconciler).await;
}

pub async fn a_death_is_survived_by_a_retry_as_well<H: Harness>() {
    die_everywhere::<H>(Cure::Retry).await;
}

/// A reconciler that voids what a retry turns into points at the same time parts the books here.
pub async fn retries_and_reconcilers_at_once_leave_books_that_agree<H: Harness>() {
    let world = World::<H>::start().await;
    for (round, script) in SCRIPTS.into_iter().cycle().take(H::CASES as usize).enumerate() {
        let gateway = Arc::new(ScriptedGateway::new([script]));
        let (points, user) = (points(world.ports(), &gateway, at_once()), world.id());
        points.charge(request(user, Some("key"))).await.ok();
        race(8, |caller| {
            let (points, request) = (points.clone(), request(user, Some("key")));
            let late = gateway.clone();
            async move {
                match caller % 4 {
                    0 | 2 => drop(points.charge(request).await),
                    1 => drop(points.reconcile().await),
                    _ => late.arrive_late(),
                }
            }
        })
        .await;
        while points.reconcile().await.unwrap() != Reconciled::default() {}
        assert_books(&world, &gateway, user, &format!("round {round}, {script:?}")).await;
    }
}
