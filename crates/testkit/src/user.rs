//! Laws of [`UserStore`](concert_domain::user::UserStore).

use concert_domain::UserId;
use concert_domain::user::{Kept, UserName};

use crate::fixtures::{LONG, SHORT};
use crate::{Harness, World, race};

/// One test for each law of the names of users.
#[macro_export]
macro_rules! user_contract {
    ($harness:ty) => {
        $crate::laws! { $harness, user:
            a_name_is_kept_and_can_be_replaced,
            an_id_with_a_name_is_given_to_nobody,
            an_id_with_points_is_given_to_nobody,
            an_id_with_a_reservation_is_given_to_nobody,
            an_id_under_charge_is_given_to_nobody,
            of_concurrent_creations_of_one_id_one_wins,
        }
    };
}

fn name(text: &str) -> UserName {
    UserName::try_from(text.to_owned()).unwrap()
}

pub async fn a_name_is_kept_and_can_be_replaced<H: Harness>() {
    let world = World::<H>::start().await;
    let (users, id) = (world.ports().users, world.id());
    assert_eq!(users.find(id).await.unwrap(), None);
    let Kept::Created(first) = users.keep(id, name("Kim")).await.unwrap() else {
        panic!("the first name is a new one");
    };
    assert_eq!(users.find(id).await.unwrap(), Some(first.clone()));
    world.pass(SHORT).await;
    let Kept::Renamed(second) = users.keep(id, name("이서연")).await.unwrap() else {
        panic!("the second name replaces the first");
    };
    assert_eq!((second.name, second.created_at), (name("이서연"), first.created_at));
}

async fn assert_taken<H: Harness>(world: &World<H>, id: UserId) {
    let users = world.ports().users;
    let before = users.find(id).await.unwrap();
    assert_eq!(users.create(id, name("Stranger")).await.unwrap(), None);
    assert_eq!(users.find(id).await.unwrap(), before, "a refused creation changed the user");
}

pub async fn an_id_with_a_name_is_given_to_nobody<H: Harness>() {
    let world = World::<H>::start().await;
    let (kept, created) = (world.id(), world.id());
    world.ports().users.keep(kept, name("Kim")).await.unwrap();
    assert_taken(&world, kept).await;
    assert!(world.ports().users.create(created, name("Lee")).await.unwrap().is_some());
    assert_taken(&world, created).await;
}

pub async fn an_id_with_points_is_given_to_nobody<H: Harness>() {
    let world = World::<H>::start().await;
    let user = world.rich_user(100).await;
    assert_taken(&world, user).await;
}

pub async fn an_id_with_a_reservation_is_given_to_nobody<H: Harness>() {
    let world = World::<H>::start().await;
    let (show, user) = (world.show(1).await, world.id());
    world.held(&show, 0, user, LONG).await;
    assert_taken(&world, user).await;
}

pub async fn an_id_under_charge_is_given_to_nobody<H: Harness>() {
    let world = World::<H>::start().await;
    let user = world.id();
    // The points are on their way: whoever got the id now would get them.
    world.ports().points.open_charge(world.intent(user, 500), None).await.unwrap();
    assert_taken(&world, user).await;
}

pub async fn of_concurrent_creations_of_one_id_one_wins<H: Harness>() {
    let world = World::<H>::start().await;
    let (users, id) = (world.ports().users, world.id());
    let created = race(20, |caller| {
        let users = users.clone();
        async move { users.create(id, name(&format!("User {caller}"))).await.unwrap() }
    })
    .await;
    let winners: Vec<_> = created.into_iter().flatten().collect();
    assert_eq!(winners.len(), 1);
    assert_eq!(users.find(id).await.unwrap().as_ref(), winners.first());
}
