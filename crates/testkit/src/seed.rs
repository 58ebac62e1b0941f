//! Laws of [`SeedStore`](concert_domain::seed::SeedStore) and
//! [`QueueSeeds`](concert_domain::seed::QueueSeeds).

use concert_domain::concert::{Concert, NewSeat, Schedule, SeatStatus};
use concert_domain::payment::{Payment, PaymentStatus};
use concert_domain::queue::{Join, Standing};
use concert_domain::reservation::{Reservation, ReservationStatus};
use concert_domain::seed::{Dataset, Part, Sale};
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
            a_loaded_past_is_as_if_it_had_happened,
            a_part_of_a_run_is_loaded_once,
            a_part_that_failed_is_not_noted,
            the_first_plan_of_a_run_is_kept,
            a_queue_that_is_filled_again_stays_as_it_is,
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
        ..Dataset::default()
    }
}

/// The same, with seat 1 sold to the first user and seat 2 held by the second one, after a hold
/// that ended.
fn past(base: i64, now: Timestamp) -> Dataset {
    let mut set = data(base);
    let hour = std::time::Duration::from_secs(3_600);
    let held = |number: i64, seat: usize, status, expires_at| Reservation {
        id: (base + number).try_into().unwrap(),
        user_id: set.users[seat].id,
        concert_id: set.concerts[0].id,
        schedule_id: set.schedules[0].id,
        seat_id: set.seats[seat].1.id,
        price: PRICE,
        status,
        created_at: now.minus(hour),
        expires_at,
    };
    set.reservations = vec![
        held(1, 0, ReservationStatus::Confirmed, now),
        held(2, 1, ReservationStatus::Expired, now),
        held(3, 1, ReservationStatus::Pending, now.plus(hour)),
    ];
    let sold = &set.reservations[0];
    let payment = Payment {
        id: (base + 1).try_into().unwrap(),
        reservation_id: sold.id,
        user_id: sold.user_id,
        amount: sold.price,
        status: PaymentStatus::Completed,
        paid_at: now.minus(hour),
        refunded_at: None,
    };
    set.sales = vec![Sale {
        concert: sold.concert_id,
        payment,
        charged: PRICE,
        charge_line: (base + 11).try_into().unwrap(),
        spend_line: (base + 12).try_into().unwrap(),
    }];
    set
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

pub async fn a_loaded_past_is_as_if_it_had_happened<H: Harness>() {
    let world = World::<H>::start().await;
    let ports = world.ports();
    let now = ports.seeds.now().await.unwrap();
    let set = past(500, now);
    ports.seeds.load(set.clone()).await.unwrap();

    let schedule = set.schedules[0].id;
    let seats = ports.concerts.seats(schedule).await.unwrap().unwrap().value.seats;
    let states: Vec<_> = seats.iter().map(|seat| seat.status).collect();
    assert_eq!(states, [SeatStatus::Reserved, SeatStatus::TempReserved]);
    for held in &set.reservations {
        let found = ports.reservations.find(held.id).await.unwrap().unwrap();
        assert_eq!(found.value, *held);
    }
    let sale = &set.sales[0];
    assert_eq!(ports.payments.find(sale.payment.id).await.unwrap().as_ref(), Some(&sale.payment));
    let ledger = world.ledger(sale.payment.user_id).await;
    let lines: Vec<_> =
        ledger.iter().map(|line| (line.transaction_id, line.balance_after)).collect();
    let before = set.charges[0].2.checked_add(PRICE).unwrap();
    let first = (set.charges[0].0, set.charges[0].2);
    assert_eq!(lines, [(sale.spend_line, first.1), (sale.charge_line, before), first]);
    assert_eq!(ports.points.balance(sale.payment.user_id).await, Ok(first.1));
    let ranked = ports.concerts.ranking(page(10, None)).await.unwrap().items;
    assert_eq!((ranked[0].sold_seats, ranked[0].sales), (1, PRICE));
    for (kind, highest) in
        [(IdKind::Reservation, 503), (IdKind::Payment, 501), (IdKind::Transaction, 512)]
    {
        assert!(ports.ids.take(kind, 1).await.unwrap().first > highest, "{kind:?}");
    }
    // A seat that was sold or is held is nobody else's; what was held can be let go.
    let held = &set.reservations[2];
    assert_eq!(ports.reservations.cancel(held.id, held.user_id).await, Ok(true));
}

fn part(number: u32) -> Part {
    Part { run: "a run".to_owned(), number }
}

pub async fn a_part_of_a_run_is_loaded_once<H: Harness>() {
    let world = World::<H>::start().await;
    let seeds = world.ports().seeds;
    let loaded = race(8, |caller| {
        let seeds = seeds.clone();
        async move { seeds.load_part(part(3), data(100 * caller as i64)).await.unwrap() }
    })
    .await;
    assert_eq!(loaded.into_iter().filter(|loaded| *loaded).count(), 1);
    assert_eq!(concerts(&world).await, 1);
    assert_eq!(seeds.load_part(part(2), data(1_000)).await, Ok(true));
    assert_eq!(seeds.load_part(part(2), data(2_000)).await, Ok(false));
    assert_eq!(concerts(&world).await, 2);
    let mut parts = seeds.loaded_parts("a run".to_owned()).await.unwrap();
    parts.sort_unstable();
    assert_eq!(parts, [2, 3]);
    assert_eq!(seeds.loaded_parts("another".to_owned()).await, Ok(vec![]));
}

pub async fn a_part_that_failed_is_not_noted<H: Harness>() {
    let world = World::<H>::start().await;
    let seeds = world.ports().seeds;
    let mut bad = data(0);
    bad.seats[1].1.number = bad.seats[0].1.number;
    seeds.load_part(part(1), bad).await.unwrap_err();
    assert_eq!(seeds.loaded_parts("a run".to_owned()).await, Ok(vec![]));
    assert_eq!(seeds.load_part(part(1), data(0)).await, Ok(true));
}

pub async fn the_first_plan_of_a_run_is_kept<H: Harness>() {
    let world = World::<H>::start().await;
    let seeds = world.ports().seeds;
    let kept = race(8, |caller| {
        let seeds = seeds.clone();
        let run = "a run".to_owned();
        async move { seeds.keep_plan(run, format!("plan {caller}")).await.unwrap() }
    })
    .await;
    assert!(kept.iter().all(|plan| *plan == kept[0]), "{kept:?}");
    assert_eq!(seeds.keep_plan("another".to_owned(), "p".to_owned()).await, Ok("p".to_owned()));
    assert_eq!(seeds.loaded_parts("a run".to_owned()).await, Ok(vec![]));
}

pub async fn a_queue_that_is_filled_again_stays_as_it_is<H: Harness>() {
    let world = World::<H>::start().await;
    let ports = world.ports();
    let concert = world.concert().await;
    fill(&ports, concert, 700).await;
    fill(&ports, concert, 900).await;
    assert_eq!(ports.queue.counts(concert).await.unwrap().waiting, 900);
    for user in [701, 900] {
        let join = Join { concert, user: user.try_into().unwrap(), token: ports.tokens.fresh() };
        let place = ports.queue.join(join, &rules(1).into()).await.unwrap().place;
        assert_eq!(place.standing, Standing::Waiting { rank: user as u64 - 1 });
    }
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
        ports.queue.join(join, &rules(1).into()).await.unwrap().place
    };
    join(world.id()).await;
    let before = join(world.id()).await;
    fill(&ports, concert, 1_000).await;
    let after = join(world.id()).await;
    assert_eq!(before.standing, Standing::Waiting { rank: 1 });
    assert_eq!(after.standing, Standing::Waiting { rank: 1_002 });
    let known = join(1_000.try_into().unwrap()).await;
    assert_eq!(known.standing, Standing::Waiting { rank: 1_001 });
    assert_eq!(ports.queue.counts(concert).await.unwrap().waiting, 1_002);
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
        let place = ports.queue.join(join, &rules(1).into()).await.unwrap().place;
        assert_eq!(place.standing, Standing::Waiting { rank }, "user {user}");
    }
}
