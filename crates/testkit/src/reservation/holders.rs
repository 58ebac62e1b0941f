//! How many seats a user may hold.

use concert_domain::concert::SeatStatus;
use concert_domain::reservation::Hold;
use concert_domain::{Applied, Error};

use crate::fixtures::{LONG, SHORT, claim, every_page};
use crate::{Harness, World, race};

pub async fn a_user_holds_only_so_many_seats_of_a_concert<H: Harness>() {
    let world = World::<H>::start().await;
    let (show, other, user) = (world.show(4).await, world.show(1).await, world.id());
    let store = world.ports().reservations;
    let at_most_two =
        async |show, seat, user| Hold { most: 2, ..world.hold(show, seat, user, LONG).await };
    for seat in 0..2 {
        store.hold(at_most_two(&show, seat, user).await).await.unwrap();
    }
    let mut third = at_most_two(&show, 2, user).await;
    third.claim = Some(claim(user, "third", "one"));
    assert_eq!(store.hold(third.clone()).await, Err(Error::HoldLimitExceeded));
    assert_eq!(world.seat(&show, 2).await, SeatStatus::Available);
    assert_eq!(store.find(third.reservation.id).await.unwrap(), None);
    // Others, and other concerts, have bounds of their own.
    store.hold(at_most_two(&other, 0, user).await).await.unwrap();
    store.hold(at_most_two(&show, 3, world.id()).await).await.unwrap();
    // A taken seat is that before anything else.
    let taken = at_most_two(&show, 3, user).await;
    assert_eq!(store.hold(taken).await, Err(Error::SeatNotAvailable));
    // A refusal has kept no answer.
    third.most = 3;
    assert!(matches!(store.hold(third).await, Ok(Applied::Fresh(_))));
}

pub async fn of_concurrent_holds_of_one_user_only_so_many_win<H: Harness>() {
    let world = World::<H>::start().await;
    let (show, user) = (world.show(40).await, world.id());
    let store = world.ports().reservations;
    let mut holds = Vec::new();
    for seat in 0..40 {
        holds.push(Hold { most: 4, ..world.hold(&show, seat, user, LONG).await });
    }
    let results = race(40, |caller| {
        let (store, hold) = (store.clone(), holds[caller].clone());
        async move { store.hold(hold).await }
    })
    .await;
    let (won, lost): (Vec<_>, Vec<_>) = results.into_iter().partition(Result::is_ok);
    assert_eq!(won.len(), 4);
    assert!(lost.into_iter().all(|refusal| refusal == Err(Error::HoldLimitExceeded)));
    let listed = every_page(|page| store.list(user, page), |r| r.id).await;
    assert_eq!(listed.len(), 4);
}

pub async fn a_hold_that_ended_or_was_let_go_or_paid_counts_no_more<H: Harness>() {
    let world = World::<H>::start().await;
    let (show, user) = (world.show(6).await, world.rich_user(10_000).await);
    let store = world.ports().reservations;
    world.held(&show, 0, user, SHORT).await;
    let left = world.held(&show, 1, user, LONG).await;
    let paid = world.held(&show, 2, user, LONG).await;
    let three = async |seat| Hold { most: 3, ..world.hold(&show, seat, user, LONG).await };
    assert_eq!(store.hold(three(3).await).await, Err(Error::HoldLimitExceeded));
    world.pass(SHORT).await;
    store.hold(three(3).await).await.unwrap();
    store.cancel(left.id, user).await.unwrap();
    store.hold(three(4).await).await.unwrap();
    let settlement = world.settlement(&paid).await;
    world.ports().payments.settle(settlement).await.unwrap();
    store.hold(three(5).await).await.unwrap();
    assert_eq!(store.hold(three(0).await).await, Err(Error::HoldLimitExceeded));
}
