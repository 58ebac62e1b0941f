//! Laws of [`SeedStore`](concert_domain::seed::SeedStore) and
//! [`QueueSeeds`](concert_domain::seed::QueueSeeds).

use concert_domain::concert::{Concert, NewSeat, Schedule};
use concert_domain::queue::{Join, Standing};
use concert_domain::seed::Dataset;
use concert_domain::user::User;
use concert_domain::{ConcertId, IdKind, Ports, Timestamp, UserId, Won};

use crate::fixtures::{PRICE, page, rules};
use crate::{Harness, World, race};

/// One test for each law of seeding.
#[macro_export]
macro_rules! seed_contract {
    ($harness:ty) => {
        $crate::laws! { $harness, seed:
            an_empty_store_is_loaded_once,
            of_concurrent_loads_one_loads,
            a_store_with_a_concert_is_left_alone,
            a_bad_data_set_leaves_nothing_behind,
            ids_go_on_above_what_was_loaded,
            loaded_balances_equal_their_ledgers,
            a_second_data_set_is_added,
            a_filled_queue_waits_in_order_behind_those_who_wait,
            a_long_queue_tells_every_place_right,
        }
    };
}

/// One concert with a schedule, two seats and two users with points; ids from `base` on.
fn data(base: i64) -> Dataset {
    let id = |n: i64| base + n;
    let starts_at = Timestamp::from_millis(4_200_000_000_000);
    let schedule = Schedule {
        id: id(1).try_into().unwrap(),
        concert_id: id(1).try_into().unwrap(),
        starts_at,
        reservation_opens_at: Timestamp::MIN,
        version: 1,
    };
    let seats = [1, 2].map(|number| {
        let seat = id(i64::from(number)).try_into().unwrap();
        (schedule.id, NewSeat { id: seat, number, price: PRICE })
    });
    let users = [1, 2].map(|n| User {
        id: id(n).try_into().unwrap(),
        name: format!("User {n}").try_into().unwrap(),
        created_at: Timestamp::MIN,
    });
    let charges = users.iter().enumerate().map(|(n, user)| {
        let line = id(n as i64 + 1).try_into().unwrap();
        (line, user.id, Won::of(10_000))
    });
    Dataset {
        charges: charges.collect(),
        users: users.to_vec(),
        concerts: vec![Concert {
            id: schedule.concert_id,
            title: "Demo".to_owned(),
            description: None,
            version: 1,
        }],
        seats: seats.to_vec(),
        schedules: vec![schedule],
    }
}

async fn concerts<H: Harness>(world: &World<H>) -> usize {
    world.ports().concerts.concerts(page(100, None)).await.unwrap().items.len()
}

pub async fn an_empty_store_is_loaded_once<H: Harness>() {
    let world = World::<H>::start().await;
    let ports = world.ports();
    assert_eq!(ports.seeds.load_if_empty(data(0)).await, Ok(true));
    assert_eq!(ports.seeds.load_if_empty(data(100)).await, Ok(false));
    assert_eq!(concerts(&world).await, 1);
    let schedule = 1.try_into().unwrap();
    assert_eq!(ports.concerts.seats(schedule).await.unwrap().unwrap().value.seats.len(), 2);
    let user = ports.users.find(1.try_into().unwrap()).await.unwrap().unwrap();
    assert_eq!(user.name.as_str(), "User 1");
}

pub async fn of_concurrent_loads_one_loads<H: Harness>() {
    let world = World::<H>::start().await;
    let seeds = world.ports().seeds;
    let loaded = race(8, |_| {
        let seeds = seeds.clone();
        async move { seeds.load_if_empty(data(0)).await.unwrap() }
    })
    .await;
    assert_eq!(loaded.into_iter().filter(|loaded| *loaded).count(), 1);
    assert_eq!(world.ledger(1.try_into().unwrap()).await.len(), 1);
}

pub async fn a_store_with_a_concert_is_left_alone<H: Harness>() {
    let world = World::<H>::start().await;
    world.concert().await;
    assert_eq!(world.ports().seeds.load_if_empty(data(0)).await, Ok(false));
    assert_eq!(concerts(&world).await, 1);
    assert!(world.ledger(1.try_into().unwrap()).await.is_empty());
}

pub async fn a_bad_data_set_leaves_nothing_behind<H: Harness>() {
    let world = World::<H>::start().await;
    let seeds = world.ports().seeds;
    let mut bad = data(0);
    bad.seats[1].1.number = bad.seats[0].1.number;
    seeds.load(bad.clone()).await.unwrap_err();
    seeds.load_if_empty(bad).await.unwrap_err();
    assert_eq!(concerts(&world).await, 0);
    assert_eq!(world.ports().users.find(1.try_into().unwrap()).await, Ok(None));
    assert!(world.ledger(1.try_into().unwrap()).await.is_empty());
}

pub async fn ids_go_on_above_what_was_loaded<H: Harness>() {
    let world = World::<H>::start().await;
    let ports = world.ports();
    ports.seeds.load_if_empty(data(500)).await.unwrap();
    for (kind, highest) in [
        (IdKind::User, 502),
        (IdKind::Concert, 501),
        (IdKind::Schedule, 501),
        (IdKind::Seat, 502),
        (IdKind::Transaction, 502),
    ] {
        let block = ports.ids.take(kind, 1).await.unwrap();
        assert!(block.first > highest, "{kind:?} goes on at {}", block.first);
    }
}

pub async fn loaded_balances_equal_their_ledgers<H: Harness>() {
    let world = World::<H>::start().await;
    let mut set = data(0);
    set.charges.push((3.try_into().unwrap(), 1.try_into().unwrap(), Won::of(500)));
    world.ports().seeds.load(set).await.unwrap();
    let user: UserId = 1.try_into().unwrap();
    assert_eq!(world.ledger(user).await.len(), 2);
    world.charged(user, 500).await;
    assert_eq!(world.ledger(user).await[0].balance_after, Won::of(11_000));
}

pub async fn a_second_data_set_is_added<H: Harness>() {
    let world = World::<H>::start().await;
    let seeds = world.ports().seeds;
    seeds.load(data(0)).await.unwrap();
    seeds.load(data(100)).await.unwrap();
    assert_eq!(concerts(&world).await, 2);
    assert_eq!(world.ledger(101.try_into().unwrap()).await.len(), 1);
}

/// Users from 1 on wait.
async fn fill(ports: &Ports, concert: ConcertId, count: i64) {
    let waiting = (1..=count).map(|user| (user.try_into().unwrap(), ports.tokens.fresh()));
    ports.queue_seeds.fill_queue(concert, waiting.collect(), &rules(1)).await.unwrap();
}

pub async fn a_filled_queue_waits_in_order_behind_those_who_wait<H: Harness>() {
    let world = World::<H>::start().await;
    let concert = world.concert().await;
    let ports = world.ports();
    let join = async |user: UserId| {
        let join = Join { concert, user, token: ports.tokens.fresh() };
        ports.queue.join(join, &rules(1)).await.unwrap().place
    };
    join(world.id()).await;
    let before = join(world.id()).await;
    fill(&ports, concert, 1_000).await;
    let after = join(world.id()).await;
    assert_eq!(before.standing, Standing::Waiting { rank: 1 });
    assert_eq!(after.standing, Standing::Waiting { rank: 1_002 });
    let known = join(1_000.try_into().unwrap()).await;
    assert_eq!(known.standing, Standing::Waiting { rank: 1_001 });
    assert_eq!(ports.queue.overview(concert).await.unwrap().waiting, 1_002);
    assert_eq!(ports.queue.live_concerts().await.unwrap(), [concert]);
}

/// What a poll costs in a long queue is measured by `concert bench queue`, not asserted here; this
/// is that the short way of counting counts right.
pub async fn a_long_queue_tells_every_place_right<H: Harness>() {
    let world = World::<H>::start().await;
    let ports = world.ports();
    let concert = world.concert().await;
    fill(&ports, concert, 100_000).await;
    // The admission step of the first join admits the head.
    for (user, rank) in
        [(100_001, 100_000), (2, 1), (258, 257), (65_538, 65_537), (100_000, 99_999)]
    {
        let join = Join { concert, user: user.try_into().unwrap(), token: ports.tokens.fresh() };
        let place = ports.queue.join(join, &rules(1)).await.unwrap().place;
        assert_eq!(place.standing, Standing::Waiting { rank }, "user {user}");
    }
}
