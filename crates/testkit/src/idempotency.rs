//! Laws of [`IdempotencyStore`](concert_domain::IdempotencyStore).

use std::time::Duration;

use concert_domain::idempotency::KEY_LIFETIME_HOURS;
use concert_domain::reservation::Reservation;
use concert_domain::{IdempotencyClaim, UserId};

use crate::fixtures::{LONG, Show, claim, fresh};
use crate::{Harness, World};

/// One test for each law of the answers under keys.
#[macro_export]
macro_rules! idempotency_contract {
    ($harness:ty) => {
        $crate::laws! { $harness, idempotency:
            an_answer_is_found_under_its_caller_route_and_key_only,
            answers_survive_a_restart,
            a_key_ends_after_24_hours_purged_or_not,
            a_purge_removes_only_ended_keys_in_batches,
        }
    };
}

/// Answers are written only with an effect: a hold under a key.
async fn answered<H: Harness>(
    world: &World<H>,
    show: &Show,
    seat: usize,
    user: UserId,
) -> (IdempotencyClaim, Reservation) {
    let key = claim(user, &format!("key-{seat}"), "hold");
    let mut hold = world.hold(show, seat, user, LONG).await;
    hold.claim = Some(key.clone());
    (key, fresh(world.ports().reservations.hold(hold).await.unwrap()))
}

pub async fn an_answer_is_found_under_its_caller_route_and_key_only<H: Harness>() {
    let world = World::<H>::start().await;
    let (show, user) = (world.show(1).await, world.id());
    let (key, held) = answered(&world, &show, 0, user).await;
    let answers = world.ports().answers;
    let stored = answers.find(&key).await.unwrap().expect("the answer is kept");
    assert_eq!(stored.replay::<Reservation>(&key), Ok(held));
    for other in [
        IdempotencyClaim { user: world.id(), ..key.clone() },
        IdempotencyClaim { route: "other", ..key.clone() },
        claim(user, "Key-0", "hold"),
        claim(user, "key-1", "hold"),
    ] {
        assert_eq!(answers.find(&other).await.unwrap(), None, "{other:?}");
    }
}

pub async fn answers_survive_a_restart<H: Harness>() {
    let mut world = World::<H>::start().await;
    let (show, user) = (world.show(1).await, world.id());
    let (key, held) = answered(&world, &show, 0, user).await;
    world.harness.restart().await;
    let stored = world.ports().answers.find(&key).await.unwrap().expect("the answer is kept");
    assert_eq!(stored.replay::<Reservation>(&key), Ok(held));
}

/// An engine that cannot jump shows only that a young key is found.
pub async fn a_key_ends_after_24_hours_purged_or_not<H: Harness>() {
    let world = World::<H>::start().await;
    let (show, user) = (world.show(2).await, world.id());
    let (key, held) = answered(&world, &show, 0, user).await;
    assert!(world.ports().answers.find(&key).await.unwrap().is_some());
    if !world.harness.can_jump() {
        return;
    }
    world.pass(Duration::from_secs(KEY_LIFETIME_HOURS * 3_600)).await;
    assert_eq!(world.ports().answers.find(&key).await.unwrap(), None);
    // The key counts as absent for a change too: it may name another request now.
    let mut hold = world.hold(&show, 1, user, LONG).await;
    hold.claim = Some(claim(user, "key-0", "another hold"));
    let second = fresh(world.ports().reservations.hold(hold).await.unwrap());
    assert_ne!(second.id, held.id);
}

/// An engine that cannot jump shows only that young keys stay.
pub async fn a_purge_removes_only_ended_keys_in_batches<H: Harness>() {
    let world = World::<H>::start().await;
    let (show, user) = (world.show(6).await, world.id());
    let answers = world.ports().answers;
    for seat in 0..5 {
        answered(&world, &show, seat, user).await;
    }
    assert_eq!(answers.purge(10).await, Ok(0));
    if world.harness.can_jump() {
        world.pass(Duration::from_secs(KEY_LIFETIME_HOURS * 3_600)).await;
        let (young, _) = answered(&world, &show, 5, user).await;
        for removed in [2, 2, 1, 0] {
            assert_eq!(answers.purge(2).await, Ok(removed));
        }
        assert!(answers.find(&young).await.unwrap().is_some());
    }
}
