use std::collections::HashSet;

use super::*;

fn size(seats: u32, tokens: u32, reservations: u32) -> Size {
    Size { seed: 1, seats, tokens, reservations, hold_for: DAY }
}

fn plan(size: Size) -> Plan {
    let now_ms = 1_800_000_000_000;
    let (concert, schedule, seat, reservation) = (3, 5, 7, 11);
    let begin =
        Begin { now_ms, concert, schedule, seat, reservation, payment: 13, line: 17, user: 19 };
    Plan::new(size, begin)
}

fn all(plan: &Plan) -> Dataset {
    let mut all = Dataset::default();
    for piece in plan.pieces() {
        let rows = plan.rows(piece).unwrap();
        all.seats.extend(rows.seats);
        all.reservations.extend(rows.reservations);
        all.sales.extend(rows.sales);
    }
    all
}

#[test]
fn a_million_seats_are_in_halls_of_every_size() {
    let halls = size(1_000_000, 0, 0).halls();
    assert_eq!(halls.iter().sum::<u32>(), 1_000_000);
    for size in HALLS {
        assert!(halls.contains(&size), "{size}");
    }
    assert_eq!(size(0, 5, 0).concerts(), 1);
}

#[test]
fn there_is_exactly_what_was_asked_for_and_every_id_once() {
    for (seats, tokens, reservations) in
        [(20_000, 1_000, 9_999), (60, 7, 60), (1, 1, 1), (7_000, 0, 1), (0, 50, 0)]
    {
        let plan = plan(size(seats, tokens, reservations));
        let rows = all(&plan);
        assert_eq!(rows.seats.len() as u32, seats);
        assert_eq!(rows.reservations.len() as u32, reservations);
        let seats: HashSet<_> = rows.seats.iter().map(|(_, seat)| seat.id).collect();
        let held: HashSet<_> = rows.reservations.iter().map(|held| held.seat_id).collect();
        let ids: HashSet<_> = rows.reservations.iter().map(|held| held.id).collect();
        assert_eq!((seats.len(), held.len()), (rows.seats.len(), rows.reservations.len()));
        assert!(held.is_subset(&seats) && ids.len() == held.len());
        let queues = plan.queues().unwrap();
        let waiting: HashSet<_> = queues.iter().flat_map(|(_, users)| users).collect();
        assert_eq!(waiting.len() as u32, tokens);
        assert!(rows.reservations.iter().all(|held| !waiting.contains(&held.user_id)));
    }
}

#[test]
fn parts_share_no_user_and_no_sale_is_without_its_reservation() {
    let plan = plan(size(30_000, 10, 15_000));
    let mut users = HashSet::new();
    for piece in plan.pieces() {
        let rows = plan.rows(piece).unwrap();
        let here: HashSet<_> = rows.reservations.iter().map(|held| held.user_id).collect();
        assert!(users.is_disjoint(&here));
        users.extend(here);
        let paid = rows.reservations.iter().filter(|h| h.status == ReservationStatus::Confirmed);
        let paid: Vec<_> = paid.map(|held| (held.id, held.price)).collect();
        let sales = rows.sales.iter().map(|s| (s.payment.reservation_id, s.payment.amount));
        assert_eq!(paid, sales.collect::<Vec<_>>());
        assert!(rows.sales.iter().all(|sale| sale.charged >= sale.payment.amount));
    }
}

#[test]
fn every_state_is_there_in_its_share() {
    let plan = plan(size(200_000, 0, 100_000));
    let rows = all(&plan);
    let share = |is: &dyn Fn(&Reservation) -> bool| {
        rows.reservations.iter().filter(|held| is(held)).count() as f64 / 1_000.0
    };
    let with = |status| move |held: &Reservation| held.status == status;
    let now = plan.now();
    let ended = |h: &Reservation| h.status == ReservationStatus::Pending && h.expires_at <= now;
    assert!((30.0..50.0).contains(&share(&with(ReservationStatus::Confirmed))));
    assert!((8.0..12.0).contains(&share(&with(ReservationStatus::Pending))));
    assert!((0.5..1.5).contains(&share(&ended)));
    assert!(share(&with(ReservationStatus::Expired)) > 10.0);
    assert!(share(&with(ReservationStatus::Cancelled)) > 10.0);
    let shows: Vec<_> = plan.catalogue().unwrap().schedules;
    assert!(shows.iter().any(|show| show.starts_at < now));
    assert!(shows.iter().all(|show| show.reservation_opens_at < now.minus(DAY * 31)));
}

#[test]
fn the_same_seed_makes_the_same_rows_and_another_one_others() {
    let states = |seed| {
        let rows = all(&plan(Size { seed, ..size(2_000, 0, 1_000) }));
        rows.reservations.iter().map(|held| (held.id, held.status)).collect::<Vec<_>>()
    };
    assert_eq!(states(1), states(1));
    assert_ne!(states(1), states(2));
    assert_ne!(size(1, 2, 3).run(), size(1, 3, 2).run());
}
