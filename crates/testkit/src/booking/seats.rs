//! One owner per seat whatever the lock does, and lists that are never older than a change.

use std::sync::Arc;

use concert_domain::Error;
use concert_domain::audit::Edit;
use concert_domain::concert::{SeatPatch, SeatStatus};
use concert_domain::lock::{Lock, Locked};
use concert_domain::ports::{Services, Settings};
use concert_domain::queue::TicketStatus;
use concert_domain::reservation::ReservationStatus;

use super::doubles::{DeadCache, RacingReader, StuckLock};
use super::{Booking, stranger};
use crate::fixtures::{PRICE, SHORT, Show, rules, settings};
use crate::{Harness, World, race};

impl Booking {
    /// What the buyer sees of one seat, and how many the schedule says are free.
    async fn seen(&self, seat: usize) -> (SeatStatus, u64) {
        let (concert, schedule) = (self.show.concert, self.show.schedule);
        let map = self.services.concerts.seats(concert, schedule).await.unwrap();
        let listed = self.services.concerts.schedules(concert, concert).await.unwrap();
        (map.seats[seat].status, listed[0].available_seats)
    }
}

pub async fn the_whole_journey_of_a_buyer<H: Harness>() {
    let world = World::<H>::start().await;
    let booking = Booking::open(&world).await;
    let ticket = booking.services.queue.status(&booking.token, None).await.unwrap();
    assert_eq!((ticket.status, ticket.rank), (TicketStatus::Active, 0));
    let held = booking.hold(1).await;
    assert_eq!((held.status, held.price), (ReservationStatus::Pending, PRICE));
    let payment = booking.pay(&held).await;
    assert_eq!((payment.amount, payment.reservation_id), (PRICE, held.id));
    let ended = booking.services.queue.status(&booking.token, None).await.unwrap();
    assert_eq!(ended.status, TicketStatus::Expired);
    assert_eq!(world.status(&held).await, ReservationStatus::Confirmed);
    assert_eq!(world.ledger(booking.user).await[0].balance_after.get(), 90_000);
    assert_eq!(world.ports().outbox.backlog().await.unwrap().pending, 1);
}

/// Fifty callers of one seat over a lock of the law's own; answers how many hold it afterwards.
async fn crowd<H: Harness>(lock: impl Lock + 'static) -> (usize, World<H>, Show) {
    let world = World::<H>::start().await;
    let mut ports = world.ports();
    ports.lock = Arc::new(lock);
    let services = Services::new(&ports, settings());
    let show = world.show(1).await;
    let mut requests = Vec::new();
    for _ in 0..50 {
        requests.push(stranger(&world, &services, &show, show.seats[0]).await);
    }
    let results = race(50, |caller| {
        let (service, request) = (services.reservations.clone(), requests[caller].clone());
        async move { service.hold(request).await }
    })
    .await;
    let (won, lost): (Vec<_>, Vec<_>) = results.into_iter().partition(Result::is_ok);
    assert!(lost.into_iter().all(|refusal| refusal == Err(Error::SeatNotAvailable)));
    (won.len(), world, show)
}

pub async fn a_lock_that_does_not_answer_stops_nobody_and_sells_no_seat_twice<H: Harness>() {
    let down = StuckLock(Err(Error::unavailable("lock")));
    let (winners, world, show) = crowd::<H>(down).await;
    assert_eq!((winners, world.seat(&show, 0).await), (1, SeatStatus::TempReserved));
}

/// A hold that trusts its lease instead of the row sells the seat once per caller.
pub async fn s11_a_lock_that_ends_at_once_sells_no_seat_twice<H: Harness>() {
    let (winners, world, show) = crowd::<H>(StuckLock(Ok(Locked::Acquired))).await;
    assert_eq!((winners, world.seat(&show, 0).await), (1, SeatStatus::TempReserved));
}

pub async fn a_lock_in_other_hands_turns_callers_away<H: Harness>() {
    let taken = StuckLock(Ok(Locked::HeldBy("somebody".to_owned())));
    let (winners, world, show) = crowd::<H>(taken).await;
    assert_eq!((winners, world.seat(&show, 0).await), (0, SeatStatus::Available));
}

/// The shield remembers for a while that a seat was taken, and not longer than it is.
pub async fn a_seat_that_was_given_back_can_be_held_at_once<H: Harness>() {
    let world = World::<H>::start().await;
    let booking = Booking::open(&world).await;
    let services = &booking.services;
    let other = stranger(&world, services, &booking.show, booking.show.seats[0]).await;
    let held = booking.hold(0).await;
    let refused = services.reservations.hold(other.clone()).await;
    assert_eq!(refused, Err(Error::SeatNotAvailable));
    services.reservations.cancel(booking.user, held.id).await.unwrap();
    let held = booking.hold(0).await;
    let payment = booking.pay(&held).await;
    let refused = services.reservations.hold(other.clone()).await;
    assert_eq!(refused, Err(Error::SeatNotAvailable));
    booking.refund(&payment, None).await.unwrap();
    assert!(services.reservations.hold(other).await.is_ok());
}

pub async fn a_cache_that_does_not_answer_makes_nothing_wrong<H: Harness>() {
    let world = World::<H>::start().await;
    let mut ports = world.ports();
    ports.cache = Arc::new(DeadCache);
    let show = world.show(3).await;
    let booking = Booking::with(&world, &ports, settings(), show).await;
    assert_eq!(booking.seen(0).await, (SeatStatus::Available, 3));
    let held = booking.hold(0).await;
    assert_eq!(booking.seen(0).await, (SeatStatus::TempReserved, 2));
    booking.pay(&held).await;
    assert_eq!(booking.seen(0).await, (SeatStatus::Reserved, 2));
}

/// A crowd that finds no copy, or whose copy ends under it, must not become a crowd of queries.
pub async fn of_1000_readers_of_a_cold_list_one_reads_the_store<H: Harness>() {
    let world = World::<H>::start().await;
    let mut ports = world.ports();
    let reader = Arc::new(RacingReader::new(ports.concerts.clone()));
    ports.concerts = reader.clone();
    let show = world.show(3).await;
    let booking = Booking::with(&world, &ports, settings(), show).await;
    let before = reader.lists();
    let (concert, schedule) = (booking.show.concert, booking.show.schedule);
    let concerts = booking.services.concerts.clone();
    let lists = race(1_000, |_| {
        let concerts = concerts.clone();
        async move { concerts.seats(concert, schedule).await }
    })
    .await;
    assert!(lists.iter().all(|list| list.as_ref().is_ok_and(|map| map.seats.len() == 3)));
    assert_eq!(reader.lists() - before, 1);
}

pub async fn s10_a_fill_that_raced_a_sale_never_stores_the_older_list<H: Harness>() {
    let world = World::<H>::start().await;
    let mut ports = world.ports();
    let reader = Arc::new(RacingReader::new(ports.concerts.clone()));
    ports.concerts = reader.clone();
    let show = world.show(2).await;
    let booking = Booking::with(&world, &ports, settings(), show).await;
    let (concert, schedule) = (booking.show.concert, booking.show.schedule);
    let concerts = &booking.services.concerts;

    reader.arm(booking.services.reservations.clone(), booking.request(0, None)).await;
    let raced = concerts.seats(concert, schedule).await.unwrap();
    assert_eq!(raced.seats[0].status, SeatStatus::Available, "it was read before the sale");
    assert_eq!(booking.seen(0).await, (SeatStatus::TempReserved, 1));

    world.ports().cache.bump(&[format!("schedules:{concert}")]).await.unwrap();
    reader.arm(booking.services.reservations.clone(), booking.request(1, None)).await;
    let raced = concerts.schedules(concert, concert).await.unwrap();
    assert_eq!(raced[0].available_seats, 1, "it was read before the sale");
    assert_eq!(booking.seen(1).await, (SeatStatus::TempReserved, 0));
}

/// A copy that is refreshed before the commit, or not on every change, is seen to be old here.
pub async fn s10_every_change_of_a_seat_is_seen_by_the_next_read<H: Harness>() {
    let world = World::<H>::start().await;
    let booking = Booking::open(&world).await;
    assert_eq!(booking.seen(0).await, (SeatStatus::Available, 3));
    let held = booking.hold(0).await;
    assert_eq!(booking.seen(0).await, (SeatStatus::TempReserved, 2));
    booking.services.reservations.cancel(booking.user, held.id).await.unwrap();
    assert_eq!(booking.seen(0).await, (SeatStatus::Available, 3));
    let held = booking.hold(0).await;
    assert_eq!(booking.seen(0).await, (SeatStatus::TempReserved, 2));
    let payment = booking.pay(&held).await;
    assert_eq!(booking.seen(0).await, (SeatStatus::Reserved, 2));
    booking.refund(&payment, None).await.unwrap();
    assert_eq!(booking.seen(0).await, (SeatStatus::Available, 3));
}

pub async fn s10_the_end_of_a_hold_is_seen_by_the_next_read<H: Harness>() {
    let world = World::<H>::start().await;
    let settings = Settings { hold_ttl: SHORT, queue: rules(10), ..settings() };
    let show = world.show(3).await;
    let booking = Booking::with(&world, &world.ports(), settings, show).await;
    booking.hold(0).await;
    assert_eq!(booking.seen(0).await, (SeatStatus::TempReserved, 2));
    world.pass(SHORT).await;
    assert_eq!(booking.seen(0).await, (SeatStatus::Available, 3), "without a sweep");
    let swept = booking.services.reservations.sweep().await;
    assert_eq!(swept.map(|swept| swept.more), Ok(false));
    assert_eq!(booking.seen(0).await, (SeatStatus::Available, 3));
}

pub async fn an_edit_of_the_catalogue_is_seen_by_the_next_read<H: Harness>() {
    let world = World::<H>::start().await;
    let booking = Booking::open(&world).await;
    assert_eq!(booking.seen(0).await, (SeatStatus::Available, 3));
    let admin = &booking.services.admin;
    let edit = SeatPatch { number: Some(7), price: None };
    admin.update_seat(Edit::default(), booking.show.seats[0], edit).await.unwrap();
    let (concert, schedule) = (booking.show.concert, booking.show.schedule);
    let map = booking.services.concerts.seats(concert, schedule).await.unwrap();
    assert_eq!(map.seats.iter().map(|s| s.number).collect::<Vec<_>>(), [2, 3, 7]);
    admin.delete_seat(Edit::default(), booking.show.seats[0]).await.unwrap();
    assert_eq!(booking.seen(0).await, (SeatStatus::Available, 2));
    admin.delete_schedule(Edit::default(), schedule).await.unwrap();
    let gone = booking.services.concerts.seats(concert, schedule).await;
    assert_eq!(gone, Err(Error::ScheduleNotFound));
    admin.delete_concert(Edit::default(), concert).await.unwrap();
    let gone = booking.services.concerts.concert(concert).await;
    assert_eq!(gone, Err(Error::ConcertNotFound));
}
