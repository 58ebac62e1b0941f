//! Laws of [`IdBlocks`](concert_domain::IdBlocks).

use std::collections::HashSet;

use concert_domain::{IdBlock, IdKind};

use crate::{Harness, World, race};

/// One test for each law of the counters for ids.
#[macro_export]
macro_rules! ids_contract {
    ($harness:ty) => {
        $crate::laws! { $harness, ids:
            the_first_block_of_every_kind_starts_at_1,
            kinds_count_apart,
            concurrent_blocks_are_disjoint,
            no_id_comes_twice_over_a_restart,
        }
    };
}

pub async fn the_first_block_of_every_kind_starts_at_1<H: Harness>() {
    let world = World::<H>::start().await;
    for kind in IdKind::ALL {
        let block = world.ports().ids.take(kind, 10).await.unwrap();
        assert_eq!(block, IdBlock { first: 1, count: 10 }, "{kind:?}");
    }
}

pub async fn kinds_count_apart<H: Harness>() {
    let world = World::<H>::start().await;
    let ids = world.ports().ids;
    ids.take(IdKind::Seat, 1_000).await.unwrap();
    assert_eq!(ids.take(IdKind::User, 1).await.unwrap().first, 1);
    assert!(ids.take(IdKind::Seat, 1).await.unwrap().first > 1_000);
}

pub async fn concurrent_blocks_are_disjoint<H: Harness>() {
    let world = World::<H>::start().await;
    let ids = world.ports().ids;
    let blocks = race(50, |_| {
        let ids = ids.clone();
        async move { ids.take(IdKind::Reservation, 7).await.unwrap() }
    })
    .await;
    let handed_out: Vec<i64> =
        blocks.iter().flat_map(|b| b.first..b.first + i64::from(b.count)).collect();
    let distinct: HashSet<_> = handed_out.iter().collect();
    assert_eq!(handed_out.len(), 350);
    assert_eq!(distinct.len(), 350);
}

pub async fn no_id_comes_twice_over_a_restart<H: Harness>() {
    let mut world = World::<H>::start().await;
    let before = world.ports().ids.take(IdKind::Payment, 5).await.unwrap();
    world.harness.restart().await;
    let after = world.ports().ids.take(IdKind::Payment, 5).await.unwrap();
    assert!(after.first >= before.first + 5, "{before:?} {after:?}");
}
