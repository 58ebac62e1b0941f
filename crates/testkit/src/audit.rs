//! Laws of [`AuditLog`](concert_domain::audit::AuditLog).

use std::time::Duration;

use concert_domain::audit::{Action, Condition, Edit, Editor, Entry, Filter, Resource};
use concert_domain::concert::{ConcertPatch, NewSeat, SchedulePatch, SeatPatch};
use concert_domain::queue::{Mode, PolicyPatch};
use concert_domain::{Error, Timestamp, Won};
use serde_json::json;

use crate::fixtures::{LONG, PRICE, SHORT, every_page};
use crate::queue::mode;
use crate::{Harness, World, race};

/// One test for each law of the audit log.
#[macro_export]
macro_rules! audit_contract {
    ($harness:ty) => {
        $crate::laws! { $harness, audit:
            every_change_leaves_one_line,
            a_refused_change_leaves_no_line,
            a_line_says_how_it_was_and_how_it_is,
            lines_are_found_by_what_was_changed,
            concurrent_changes_leave_a_line_each,
            old_lines_are_forgotten_in_batches,
        }
    };
}

async fn lines<H: Harness>(world: &World<H>, filter: Filter) -> Vec<Entry> {
    let audit = world.ports().audit;
    every_page(|page| audit.changes(filter, page), |entry| entry.id).await
}

fn by(user: i64) -> Edit {
    let editor = Editor {
        user: Some(user.try_into().unwrap()),
        request_id: Some(format!("request-{user}")),
    };
    Edit { editor, ..Edit::default() }
}

fn opens_early() -> SchedulePatch {
    SchedulePatch { reservation_opens_at: Some(Timestamp::MIN), ..SchedulePatch::default() }
}

pub async fn every_change_leaves_one_line<H: Harness>() {
    let world = World::<H>::start().await;
    let show = world.show(2).await;
    let (ports, spare) = (world.ports(), world.schedule(show.concert, 0).await);
    let catalogue = ports.catalogue;
    let (concert, schedule) = (show.concert, show.schedule);
    let before = lines(&world, Filter::All).await.len();
    catalogue.update_concert(by(1), concert, ConcertPatch::default()).await.unwrap();
    catalogue.update_schedule(by(2), schedule, opens_early()).await.unwrap();
    let seats = vec![NewSeat { id: world.id(), number: 9, price: PRICE }];
    catalogue.create_seats(by(3), schedule, seats).await.unwrap();
    catalogue.update_seat(by(4), show.seats[0], SeatPatch::default()).await.unwrap();
    catalogue.delete_seat(by(5), show.seats[1]).await.unwrap();
    ports.policies.set_policy(by(6), concert, mode(Mode::Hold)).await.unwrap();
    catalogue.delete_schedule(by(7), spare.schedule).await.unwrap();
    catalogue.delete_concert(by(8), concert).await.unwrap();

    let mut made = lines(&world, Filter::All).await;
    made.truncate(made.len() - before);
    made.reverse();
    let concert = (Resource::Concert, concert.get());
    let schedule = (Resource::Schedule, schedule.get());
    let expected = [
        (Action::Update, concert),
        (Action::Update, schedule),
        (Action::Create, (Resource::Seats, schedule.1)),
        (Action::Update, (Resource::Seat, show.seats[0].get())),
        (Action::Delete, (Resource::Seat, show.seats[1].get())),
        (Action::Update, (Resource::Queue, concert.1)),
        (Action::Delete, (Resource::Schedule, spare.schedule.get())),
        (Action::Delete, concert),
    ];
    let seen: Vec<_> =
        made.iter().map(|line| (line.action, (line.resource, line.resource_id))).collect();
    assert_eq!(seen, expected);
    for (line, user) in made.iter().zip(1..) {
        assert_eq!(line.editor, by(user).editor);
        assert_eq!(line.before.is_none(), line.action == Action::Create);
        assert_eq!(line.after.is_none(), line.action == Action::Delete);
    }
}

pub async fn a_refused_change_leaves_no_line<H: Harness>() {
    let world = World::<H>::start().await;
    let show = world.show(2).await;
    world.held(&show, 0, world.id(), LONG).await;
    let ports = world.ports();
    let catalogue = ports.catalogue;
    let before = lines(&world, Filter::All).await;
    let stale = Edit { condition: Condition::OneOf(vec![9]), ..Edit::default() };
    let price = SeatPatch { number: None, price: Some(Won::of(7)) };
    let doubled = NewSeat { id: world.id(), number: 2, price: PRICE };
    let moved = SchedulePatch { starts_at: Some(Timestamp::MAX), ..SchedulePatch::default() };
    let refused = [
        catalogue.update_concert(stale.clone(), show.concert, ConcertPatch::default()).await.err(),
        catalogue.update_concert(by(1), world.id(), ConcertPatch::default()).await.err(),
        catalogue.delete_concert(by(1), show.concert).await.err(),
        catalogue.update_schedule(by(1), show.schedule, moved).await.err(),
        catalogue.delete_schedule(by(1), show.schedule).await.err(),
        catalogue.create_seats(by(1), show.schedule, vec![doubled]).await.err(),
        catalogue.update_seat(by(1), show.seats[0], price).await.err(),
        catalogue.delete_seat(by(1), show.seats[0]).await.err(),
        ports.policies.set_policy(stale, show.concert, PolicyPatch::default()).await.err(),
        ports.policies.set_policy(by(1), world.id(), PolicyPatch::default()).await.err(),
    ];
    assert!(refused.iter().all(Option::is_some), "{refused:?}");
    assert_eq!(refused[0], Some(Error::StaleVersion));
    assert_eq!(lines(&world, Filter::All).await, before);
}

pub async fn a_line_says_how_it_was_and_how_it_is<H: Harness>() {
    let world = World::<H>::start().await;
    let show = world.show(1).await;
    let ports = world.ports();
    let edit = SeatPatch { number: Some(5), price: Some(Won::of(7)) };
    ports.catalogue.update_seat(by(1), show.seats[0], edit).await.unwrap();
    let seat = lines(&world, Filter::One(Resource::Seat, show.seats[0].get())).await.remove(0);
    let of = |number: u32, price: Won| {
        Some(json!({ "scheduleId": show.schedule, "number": number, "price": price }))
    };
    assert_eq!((seat.before, seat.after), (of(1, PRICE), of(5, Won::of(7))));

    ports.policies.set_policy(by(2), show.concert, mode(Mode::Drain)).await.unwrap();
    let queue = lines(&world, Filter::Of(Resource::Queue)).await.remove(0);
    let policy = |mode: &str, version: i64| {
        Some(json!({ "mode": mode, "activeLimit": null, "admissionsPerSecond": null,
            "version": version }))
    };
    assert_eq!((queue.before, queue.after), (policy("OPEN", 0), policy("DRAIN", 1)));

    world.paid(&show, 0).await;
    let moved = SchedulePatch {
        starts_at: Some(Timestamp::MAX),
        move_taken: true,
        ..SchedulePatch::default()
    };
    ports.catalogue.update_schedule(by(3), show.schedule, moved).await.unwrap();
    let line = lines(&world, Filter::One(Resource::Schedule, show.schedule.get())).await.remove(0);
    assert_eq!(line.after.unwrap()["movedWithTakenSeats"], true);
    assert_eq!(line.before.unwrap()["version"], 1);
}

pub async fn lines_are_found_by_what_was_changed<H: Harness>() {
    let world = World::<H>::start().await;
    let (one, other) = (world.concert().await, world.concert().await);
    let catalogue = world.ports().catalogue;
    for _ in 0..4 {
        catalogue.update_concert(by(1), one, ConcertPatch::default()).await.unwrap();
        catalogue.update_concert(by(2), other, ConcertPatch::default()).await.unwrap();
    }
    let found = lines(&world, Filter::One(Resource::Concert, one.get())).await;
    assert_eq!(found.len(), 5);
    assert!(found.iter().all(|line| line.resource_id == one.get()));
    assert!(found.is_sorted_by(|newer, older| newer.id > older.id && newer.at >= older.at));
    assert_eq!(lines(&world, Filter::Of(Resource::Concert)).await.len(), 10);
    assert_eq!(lines(&world, Filter::Of(Resource::Seat)).await, []);
}

pub async fn concurrent_changes_leave_a_line_each<H: Harness>() {
    let world = World::<H>::start().await;
    let concert = world.concert().await;
    let made = race(12, |caller| {
        let catalogue = world.ports().catalogue;
        let edit = Edit { condition: Condition::OneOf(vec![1, 2, 3]), ..by(caller as i64 + 1) };
        async move { catalogue.update_concert(edit, concert, ConcertPatch::default()).await.is_ok() }
    })
    .await;
    assert_eq!(made.iter().filter(|made| **made).count(), 3);
    let mut versions = Vec::new();
    for line in lines(&world, Filter::One(Resource::Concert, concert.get())).await {
        versions.push(line.after.unwrap()["version"].as_i64().unwrap());
    }
    assert_eq!(versions, [4, 3, 2, 1]);
}

pub async fn old_lines_are_forgotten_in_batches<H: Harness>() {
    let world = World::<H>::start().await;
    let concert = world.concert().await;
    let ports = world.ports();
    for _ in 0..4 {
        ports.catalogue.update_concert(by(1), concert, ConcertPatch::default()).await.unwrap();
    }
    assert_eq!(ports.audit.purge(Duration::from_secs(60), 3).await, Ok(0));
    world.pass(SHORT).await;
    assert_eq!(ports.audit.purge(SHORT, 3).await, Ok(3));
    assert_eq!(ports.audit.purge(SHORT, 3).await, Ok(2));
    assert_eq!(ports.audit.purge(SHORT, 3).await, Ok(0));
    ports.catalogue.update_concert(by(2), concert, ConcertPatch::default()).await.unwrap();
    assert_eq!(lines(&world, Filter::All).await.len(), 1);
}
