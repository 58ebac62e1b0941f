//! Laws of edits by operators: on which version they are made, and what is taken stays.

use concert_domain::audit::{Condition, Edit};
use concert_domain::concert::{SchedulePatch, SeatPatch};
use concert_domain::{Error, Timestamp, Won};

use crate::concert::retitled;
use crate::fixtures::{LONG, PRICE, SHORT};
use crate::{Harness, World, race};

/// One test for each law of edits.
#[macro_export]
macro_rules! edits_contract {
    ($harness:ty) => {
        $crate::laws! { $harness, edits:
            of_two_edits_on_one_version_one_is_made,
            an_edit_on_another_version_changes_nothing,
            a_schedule_with_taken_seats_moves_only_when_told_so,
            of_holding_and_moving_its_schedule_neither_is_silent,
            a_seat_that_is_held_in_a_race_keeps_what_it_is,
        }
    };
}

/// An edit on one version.
fn on(version: i64) -> Edit {
    Edit { condition: Condition::OneOf(vec![version]), ..Edit::default() }
}

/// Two operators who read the same: the second would undo what the first did.
pub async fn of_two_edits_on_one_version_one_is_made<H: Harness>() {
    let world = World::<H>::start().await;
    let show = world.show(1).await;
    for version in 1_i64..=5 {
        let won = race(2, |caller| {
            let (ports, show) = (world.ports(), show.clone());
            async move {
                let title = retitled(&format!("T{caller}"));
                let opens = Some(Timestamp::from_millis(version * 10 + caller as i64));
                let patch =
                    SchedulePatch { reservation_opens_at: opens, ..SchedulePatch::default() };
                let mode = crate::queue::limit(caller as u32 + 1);
                let before = version - 1;
                [
                    ports
                        .catalogue
                        .update_concert(on(version), show.concert, title)
                        .await
                        .map(drop),
                    ports
                        .catalogue
                        .update_schedule(on(version), show.schedule, patch)
                        .await
                        .map(drop),
                    ports.policies.set_policy(on(before), show.concert, mode).await.map(drop),
                ]
            }
        })
        .await;
        for (one, other) in won[0].iter().zip(&won[1]) {
            let both = [one, other];
            assert_eq!(both.iter().filter(|made| made.is_ok()).count(), 1, "{both:?}");
            assert!(both.contains(&&Err(Error::StaleVersion)), "{both:?}");
        }
    }
    let concert = world.ports().concerts.concert(show.concert).await.unwrap().unwrap();
    let policy = world.ports().policies.policy(show.concert).await.unwrap();
    let schedule = world.ports().catalogue.find_schedule(show.schedule).await.unwrap();
    assert_eq!((concert.version, schedule.version, policy.version), (6, 6, 5));
}

pub async fn an_edit_on_another_version_changes_nothing<H: Harness>() {
    let world = World::<H>::start().await;
    let show = world.show(2).await;
    let catalogue = world.ports().catalogue;
    let before = catalogue.find_schedule(show.schedule).await.unwrap();
    let stale = Err(Error::StaleVersion);
    for bad in [on(2), on(0), Edit { condition: Condition::OneOf(vec![]), ..Edit::default() }] {
        let edited = catalogue.update_concert(bad.clone(), show.concert, retitled("x")).await;
        assert_eq!(edited.map(drop), stale);
        let edit = catalogue.update_schedule(bad.clone(), show.schedule, SchedulePatch::default());
        assert_eq!(edit.await.map(drop), stale);
        assert_eq!(catalogue.delete_schedule(bad.clone(), show.schedule).await.map(drop), stale);
        assert_eq!(catalogue.delete_concert(bad, show.concert).await.map(drop), stale);
    }
    assert_eq!(catalogue.find_schedule(show.schedule).await, Ok(before));
    let missing = catalogue.delete_schedule(on(1), world.id()).await;
    assert_eq!(missing, Err(Error::ScheduleNotFound), "what is not there has no version");
    let any = Edit { condition: Condition::OneOf(vec![7, 1]), ..Edit::default() };
    assert_eq!(catalogue.delete_concert(any, show.concert).await, Ok(vec![show.schedule]));
}

pub async fn a_schedule_with_taken_seats_moves_only_when_told_so<H: Harness>() {
    let world = World::<H>::start().await;
    let show = world.show(2).await;
    let catalogue = world.ports().catalogue;
    let to = |millis: i64| SchedulePatch {
        starts_at: Some(Timestamp::from_millis(4_000_000_000_000_i64 + millis)),
        ..SchedulePatch::default()
    };
    let moved =
        async |patch| catalogue.update_schedule(Edit::default(), show.schedule, patch).await;
    moved(to(1)).await.unwrap();
    world.held(&show, 0, world.id(), SHORT).await;
    assert_eq!(moved(to(2)).await, Err(Error::SeatNotAvailable));
    let opening = SchedulePatch {
        reservation_opens_at: Some(Timestamp::MIN),
        starts_at: to(1).starts_at,
        move_taken: false,
    };
    moved(opening).await.unwrap();
    world.pass(SHORT).await;
    moved(to(3)).await.unwrap();
    world.paid(&show, 1).await;
    assert_eq!(moved(to(4)).await, Err(Error::SeatNotAvailable));
    let schedule = moved(SchedulePatch { move_taken: true, ..to(4) }).await.unwrap();
    assert_eq!(schedule.starts_at, to(4).starts_at.unwrap());
}

/// Whoever holds a seat before the schedule is moved keeps it from being moved.
pub async fn of_holding_and_moving_its_schedule_neither_is_silent<H: Harness>() {
    let world = World::<H>::start().await;
    for _ in 0..6 {
        let show = world.show(3).await;
        let holds = [
            world.hold(&show, 0, world.id(), LONG).await,
            world.hold(&show, 1, world.id(), LONG).await,
        ];
        let before = world.ports().catalogue.find_schedule(show.schedule).await.unwrap();
        race(3, |caller| {
            let (ports, hold) = (world.ports(), holds.get(caller).cloned());
            async move {
                match hold {
                    Some(hold) => drop(ports.reservations.hold(hold).await),
                    None => {
                        let later = before.starts_at.plus(LONG);
                        let patch =
                            SchedulePatch { starts_at: Some(later), ..SchedulePatch::default() };
                        let edit =
                            ports.catalogue.update_schedule(Edit::default(), show.schedule, patch);
                        drop(edit.await);
                    }
                }
            }
        })
        .await;
        // Now both seats are held: whatever came first, it does not move any more.
        let patch = SchedulePatch { starts_at: Some(Timestamp::MAX), ..SchedulePatch::default() };
        let catalogue = world.ports().catalogue;
        let moved = catalogue.update_schedule(Edit::default(), show.schedule, patch).await;
        assert_eq!(moved, Err(Error::SeatNotAvailable));
    }
}

/// A price or a number that changes under a hold would change what was sold.
pub async fn a_seat_that_is_held_in_a_race_keeps_what_it_is<H: Harness>() {
    let world = World::<H>::start().await;
    let show = world.show(8).await;
    for seat in 0..8 {
        let hold = world.hold(&show, seat, world.id(), LONG).await;
        let ports = world.ports();
        let patch = SeatPatch { number: None, price: Some(Won::of(7)) };
        let done = race(2, |caller| {
            let (ports, hold) = (ports.clone(), hold.clone());
            async move {
                match caller {
                    0 => ports.reservations.hold(hold).await.is_ok(),
                    _ => {
                        let seat = hold.reservation.seat_id;
                        ports.catalogue.update_seat(Edit::default(), seat, patch).await.is_ok()
                    }
                }
            }
        })
        .await;
        assert_ne!(done[0], done[1], "one of them is made");
        let map = ports.concerts.seats(show.schedule).await.unwrap().unwrap().value;
        let price = map.seats[seat].price;
        assert_eq!(price, if done[1] { Won::of(7) } else { PRICE });
        if done[0] {
            let again = ports.catalogue.update_seat(Edit::default(), show.seats[seat], patch).await;
            assert_eq!(again.map(drop), Err(Error::SeatNotAvailable));
        }
    }
}
