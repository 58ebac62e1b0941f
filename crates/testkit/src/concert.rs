//! Laws of [`ConcertReader`](concert_domain::concert::ConcertReader) and
//! [`ConcertWriter`](concert_domain::concert::ConcertWriter). The ranking has a module of its own.

use concert_domain::audit::Edit;
use concert_domain::concert::{
    ConcertPatch, MAX_SCHEDULES, MAX_SEATS, NewSeat, Schedule, SchedulePatch, SeatPatch, SeatStatus,
};
use concert_domain::seed::Dataset;
use concert_domain::{Error, Timestamp, Won};

use crate::fixtures::{LONG, PRICE, SHORT, Show, every_page};
use crate::{Harness, World, race};

/// One test for each law of the catalogue.
#[macro_export]
macro_rules! concert_contract {
    ($harness:ty) => {
        $crate::laws! { $harness, concert:
            concerts_page_by_id,
            schedules_come_by_start_with_their_free_seats,
            seats_come_by_number,
            what_does_not_exist_reads_as_such,
            an_offer_tells_the_price_of_the_schedules_own_seats_only,
            an_offer_tells_until_when_its_seat_is_taken,
            a_list_says_for_how_long_it_is_true,
            every_edit_adds_one_to_the_version,
            concurrent_edits_are_all_counted,
            what_does_not_exist_cannot_be_edited,
            two_seats_of_a_schedule_never_have_one_number,
            a_schedule_never_opens_after_its_start,
            a_held_seat_is_neither_changed_nor_removed,
            a_sold_seat_is_neither_changed_nor_removed,
            of_holding_and_deleting_a_seat_one_wins,
            a_concert_has_a_bounded_number_of_schedules,
            a_schedule_has_a_bounded_number_of_seats,
            removing_a_concert_removes_all_of_it,
            the_catalogue_survives_a_restart,
        }
    };
}

pub async fn concerts_page_by_id<H: Harness>() {
    let world = World::<H>::start().await;
    let mut made = Vec::new();
    for _ in 0..7 {
        made.push(world.concert().await);
    }
    let concerts = world.ports().concerts;
    let read = every_page(|page| concerts.concerts(page), |concert| concert.id).await;
    assert_eq!(read.iter().map(|concert| concert.id).collect::<Vec<_>>(), made);
    let one = concerts.concert(made[3]).await.unwrap().unwrap();
    assert_eq!((one.version, one.title), (1, format!("Concert {}", made[3])));
}

pub async fn schedules_come_by_start_with_their_free_seats<H: Harness>() {
    let world = World::<H>::start().await;
    let concert = world.concert().await;
    let late = world.schedule(concert, 2).await;
    let early = world.schedule(concert, 3).await;
    world.show(5).await;
    let patch = SchedulePatch {
        starts_at: Some(Timestamp::from_millis(4_000_000_000_000)),
        ..SchedulePatch::default()
    };
    world.ports().catalogue.update_schedule(Edit::default(), early.schedule, patch).await.unwrap();
    world.held(&early, 0, world.id(), LONG).await;
    let listed = world.ports().concerts.schedules(concert).await.unwrap().value;
    let seen: Vec<_> = listed.iter().map(|l| (l.schedule.id, l.available_seats)).collect();
    assert_eq!(seen, [(early.schedule, 2), (late.schedule, 2)]);
}

pub async fn seats_come_by_number<H: Harness>() {
    let world = World::<H>::start().await;
    let show = world.show(1).await;
    let seats = [30, 10, 20].map(|number| NewSeat { id: world.id(), number, price: PRICE });
    let catalogue = world.ports().catalogue;
    let concert =
        catalogue.create_seats(Edit::default(), show.schedule, seats.to_vec()).await.unwrap();
    assert_eq!(concert, show.concert);
    let map = world.ports().concerts.seats(show.schedule).await.unwrap().unwrap().value;
    assert_eq!((map.schedule_id, map.concert_id), (show.schedule, show.concert));
    let numbers: Vec<_> = map.seats.iter().map(|seat| seat.number).collect();
    assert_eq!(numbers, [1, 10, 20, 30]);
    assert!(map.seats.iter().all(|s| s.status == SeatStatus::Available && s.price == PRICE));
}

pub async fn what_does_not_exist_reads_as_such<H: Harness>() {
    let world = World::<H>::start().await;
    let concerts = world.ports().concerts;
    assert_eq!(concerts.concert(world.id()).await.unwrap(), None);
    assert_eq!(concerts.schedules(world.id()).await.unwrap().value, []);
    assert_eq!(concerts.seats(world.id()).await.unwrap(), None);
    assert_eq!(concerts.offer(world.id(), world.id()).await.unwrap(), None);
}

/// S6: a seat that is not checked against its schedule can be held through another one's rules.
pub async fn an_offer_tells_the_price_of_the_schedules_own_seats_only<H: Harness>() {
    let world = World::<H>::start().await;
    let concert = world.concert().await;
    let (one, other) = (world.schedule(concert, 1).await, world.schedule(concert, 1).await);
    let concerts = world.ports().concerts;
    let own = concerts.offer(one.schedule, one.seats[0]).await.unwrap().unwrap().value;
    assert_eq!((own.schedule.id, own.price), (one.schedule, Some(PRICE)));
    let foreign = concerts.offer(one.schedule, other.seats[0]).await.unwrap().unwrap().value;
    assert_eq!(foreign.price, None);
}

pub async fn an_offer_tells_until_when_its_seat_is_taken<H: Harness>() {
    let world = World::<H>::start().await;
    let show = world.show(3).await;
    let concerts = world.ports().concerts;
    let taken = async |seat: usize| {
        let offer = concerts.offer(show.schedule, show.seats[seat]).await.unwrap().unwrap();
        offer.value.taken_until
    };
    assert_eq!((taken(0).await, taken(1).await), (None, None));
    let hold = world.held(&show, 0, world.id(), LONG).await;
    world.paid(&show, 1).await;
    assert_eq!((taken(0).await, taken(1).await), (Some(hold.expires_at), Some(Timestamp::MAX)));
    world.held(&show, 2, world.id(), SHORT).await;
    world.pass(SHORT).await;
    assert_eq!(taken(2).await, None, "swept or not");
}

pub async fn a_list_says_for_how_long_it_is_true<H: Harness>() {
    let world = World::<H>::start().await;
    let show = world.show(3).await;
    let concerts = world.ports().concerts;
    let fresh_for = async || {
        let seats = concerts.seats(show.schedule).await.unwrap().unwrap().fresh_for;
        (seats, concerts.schedules(show.concert).await.unwrap().fresh_for)
    };
    assert_eq!(fresh_for().await, (None, None));
    world.held(&show, 0, world.id(), LONG).await;
    world.held(&show, 1, world.id(), SHORT).await;
    let (seats, schedules) = fresh_for().await;
    assert!(seats.is_some_and(|time| time <= SHORT), "{seats:?}");
    assert!(schedules.is_some_and(|time| time <= SHORT), "{schedules:?}");
    world.pass(SHORT).await;
    let (seats, schedules) = fresh_for().await;
    assert!(seats.is_some_and(|time| time > SHORT && time <= LONG), "{seats:?}");
    assert!(schedules.is_some_and(|time| time > SHORT && time <= LONG), "{schedules:?}");
}

pub(crate) fn retitled(title: &str) -> ConcertPatch {
    ConcertPatch { title: Some(title.to_owned()), description: None }
}

pub async fn every_edit_adds_one_to_the_version<H: Harness>() {
    let world = World::<H>::start().await;
    let show = world.show(1).await;
    let catalogue = world.ports().catalogue;
    let first = ConcertPatch { description: Some(Some("new".to_owned())), ..retitled("봄") };
    let concert = catalogue.update_concert(Edit::default(), show.concert, first).await.unwrap();
    assert_eq!((concert.version, concert.description.as_deref()), (2, Some("new")));
    let second = ConcertPatch { title: None, description: Some(None) };
    let concert = catalogue.update_concert(Edit::default(), show.concert, second).await.unwrap();
    assert_eq!((concert.version, &*concert.title, &concert.description), (3, "봄", &None));
    let read = world.ports().concerts.concert(show.concert).await.unwrap();
    assert_eq!(read, Some(concert));
    let patch = SchedulePatch {
        starts_at: None,
        reservation_opens_at: Some(Timestamp::MIN),
        ..SchedulePatch::default()
    };
    let schedule = catalogue.update_schedule(Edit::default(), show.schedule, patch).await.unwrap();
    assert_eq!((schedule.version, schedule.reservation_opens_at), (2, Timestamp::MIN));
    let edit = SeatPatch { number: Some(9), price: Some(Won::of(5)) };
    let edited = catalogue.update_seat(Edit::default(), show.seats[0], edit).await.unwrap();
    assert_eq!((edited.seat.number, edited.seat.price), (9, Won::of(5)));
    assert_eq!((edited.location.schedule, edited.location.concert), (show.schedule, show.concert));
}

pub async fn concurrent_edits_are_all_counted<H: Harness>() {
    let world = World::<H>::start().await;
    let concert = world.concert().await;
    let catalogue = world.ports().catalogue;
    race(20, |caller| {
        let catalogue = catalogue.clone();
        async move {
            catalogue
                .update_concert(Edit::default(), concert, retitled(&format!("T{caller}")))
                .await
                .unwrap();
        }
    })
    .await;
    assert_eq!(world.ports().concerts.concert(concert).await.unwrap().unwrap().version, 21);
}

pub async fn what_does_not_exist_cannot_be_edited<H: Harness>() {
    let world = World::<H>::start().await;
    let show = world.show(1).await;
    let catalogue = world.ports().catalogue;
    let edited = catalogue.update_concert(Edit::default(), world.id(), retitled("x")).await;
    assert_eq!(edited, Err(Error::ConcertNotFound));
    assert_eq!(
        catalogue.delete_concert(Edit::default(), world.id()).await,
        Err(Error::ConcertNotFound)
    );
    let edited =
        catalogue.update_schedule(Edit::default(), world.id(), SchedulePatch::default()).await;
    assert_eq!(edited, Err(Error::ScheduleNotFound));
    assert_eq!(
        catalogue.delete_schedule(Edit::default(), world.id()).await,
        Err(Error::ScheduleNotFound)
    );
    let edited = catalogue.update_seat(Edit::default(), world.id(), SeatPatch::default()).await;
    assert_eq!(edited, Err(Error::SeatNotFound));
    assert_eq!(catalogue.delete_seat(Edit::default(), world.id()).await, Err(Error::SeatNotFound));
    let seat = NewSeat { id: world.id(), number: 1, price: PRICE };
    let added = catalogue.create_seats(Edit::default(), world.id(), vec![seat]).await;
    assert_eq!(added, Err(Error::ScheduleNotFound));
    let listed = world.ports().concerts.schedules(show.concert).await.unwrap().value;
    let schedule =
        Schedule { id: world.id(), concert_id: world.id(), ..listed[0].schedule.clone() };
    assert_eq!(
        catalogue.create_schedule(Edit::default(), schedule).await,
        Err(Error::ConcertNotFound)
    );
}

pub async fn two_seats_of_a_schedule_never_have_one_number<H: Harness>() {
    let world = World::<H>::start().await;
    let show = world.show(2).await;
    let catalogue = world.ports().catalogue;
    let seats = [3, 2].map(|number| NewSeat { id: world.id(), number, price: PRICE });
    let added = catalogue.create_seats(Edit::default(), show.schedule, seats.to_vec()).await;
    assert!(matches!(added, Err(Error::Conflict(_))), "{added:?}");
    let edit = SeatPatch { number: Some(2), price: None };
    let edited = catalogue.update_seat(Edit::default(), show.seats[0], edit).await;
    assert!(matches!(edited, Err(Error::Conflict(_))), "{edited:?}");
    let map = world.ports().concerts.seats(show.schedule).await.unwrap().unwrap().value;
    assert_eq!(map.seats.iter().map(|s| s.number).collect::<Vec<_>>(), [1, 2], "all or none");
}

pub async fn a_schedule_never_opens_after_its_start<H: Harness>() {
    let world = World::<H>::start().await;
    let show = world.show(1).await;
    let catalogue = world.ports().catalogue;
    let opens = Some(Timestamp::MAX);
    let patch = SchedulePatch { reservation_opens_at: opens, ..SchedulePatch::default() };
    let edited = catalogue.update_schedule(Edit::default(), show.schedule, patch).await;
    assert!(matches!(edited, Err(Error::Invalid(_))), "{edited:?}");
    let listed = world.ports().concerts.schedules(show.concert).await.unwrap().value;
    assert_eq!(listed[0].schedule.version, 1);
}

/// Whatever would pull the seat from under its owner is refused.
async fn assert_kept<H: Harness>(world: &World<H>, show: &Show) {
    let catalogue = world.ports().catalogue;
    let edit = SeatPatch { number: None, price: Some(Won::of(1)) };
    let refused = Err(Error::SeatNotAvailable);
    assert_eq!(
        catalogue.update_seat(Edit::default(), show.seats[0], edit).await.map(drop),
        refused
    );
    assert_eq!(catalogue.delete_seat(Edit::default(), show.seats[0]).await.map(drop), refused);
    assert_eq!(catalogue.delete_schedule(Edit::default(), show.schedule).await.map(drop), refused);
    assert_eq!(catalogue.delete_concert(Edit::default(), show.concert).await.map(drop), refused);
    let map = world.ports().concerts.seats(show.schedule).await.unwrap().unwrap().value;
    assert_eq!((map.seats[0].price, map.seats.len()), (PRICE, show.seats.len()));
}

pub async fn a_held_seat_is_neither_changed_nor_removed<H: Harness>() {
    let world = World::<H>::start().await;
    let show = world.show(2).await;
    world.held(&show, 0, world.id(), SHORT).await;
    assert_kept(&world, &show).await;
    let catalogue = world.ports().catalogue;
    let edit = SeatPatch { number: None, price: Some(Won::of(7)) };
    catalogue.update_seat(Edit::default(), show.seats[1], edit).await.unwrap();
    world.pass(SHORT).await;
    // The hold has ended, and nobody has tidied it.
    catalogue.update_seat(Edit::default(), show.seats[0], edit).await.unwrap();
    let location = catalogue.delete_seat(Edit::default(), show.seats[0]).await.unwrap();
    assert_eq!((location.schedule, location.concert), (show.schedule, show.concert));
    assert_eq!(catalogue.delete_schedule(Edit::default(), show.schedule).await, Ok(show.concert));
}

pub async fn a_sold_seat_is_neither_changed_nor_removed<H: Harness>() {
    let world = World::<H>::start().await;
    let show = world.show(2).await;
    let (_, payment) = world.paid(&show, 0).await;
    assert_kept(&world, &show).await;
    let catalogue = world.ports().catalogue;
    let moved = SchedulePatch {
        starts_at: Some(Timestamp::MAX),
        reservation_opens_at: None,
        ..SchedulePatch::default()
    };
    let edited = catalogue.update_schedule(Edit::default(), show.schedule, moved).await;
    assert_eq!(edited, Err(Error::SeatNotAvailable));
    let refund = world.refund(&payment).await;
    world.ports().payments.refund(refund).await.unwrap();
    catalogue.update_schedule(Edit::default(), show.schedule, moved).await.unwrap();
    assert_eq!(
        catalogue.delete_concert(Edit::default(), show.concert).await,
        Ok(vec![show.schedule])
    );
}

pub async fn of_holding_and_deleting_a_seat_one_wins<H: Harness>() {
    let world = World::<H>::start().await;
    let show = world.show(10).await;
    for seat in 0..10 {
        let hold = world.hold(&show, seat, world.id(), LONG).await;
        let ports = world.ports();
        let wins = race(2, |caller| {
            let (ports, hold) = (ports.clone(), hold.clone());
            async move {
                match caller {
                    0 => ports.reservations.hold(hold).await.is_ok(),
                    _ => ports
                        .catalogue
                        .delete_seat(Edit::default(), hold.reservation.seat_id)
                        .await
                        .is_ok(),
                }
            }
        })
        .await;
        assert_eq!(wins.iter().filter(|won| **won).count(), 1, "{wins:?}");
        if wins[1] {
            assert_eq!(ports.reservations.find(hold.reservation.id).await.unwrap(), None);
        }
    }
}

pub async fn a_concert_has_a_bounded_number_of_schedules<H: Harness>() {
    let world = World::<H>::start().await;
    let show = world.show(0).await;
    let ports = world.ports();
    let one = ports.concerts.schedules(show.concert).await.unwrap().value[0].schedule.clone();
    let another = || Schedule { id: world.id(), ..one.clone() };
    let schedules = (1..MAX_SCHEDULES).map(|_| another()).collect();
    ports.seeds.load(Dataset { schedules, ..Dataset::default() }).await.unwrap();
    let added = ports.catalogue.create_schedule(Edit::default(), another()).await;
    assert!(matches!(added, Err(Error::Conflict(_))), "{added:?}");
    let listed = ports.concerts.schedules(show.concert).await.unwrap().value;
    assert_eq!(listed.len(), MAX_SCHEDULES as usize);
}

pub async fn a_schedule_has_a_bounded_number_of_seats<H: Harness>() {
    let world = World::<H>::start().await;
    let show = world.show(1).await;
    let seat = |number| NewSeat { id: world.id(), number, price: PRICE };
    let too_many = (2..=MAX_SEATS + 1).map(seat).collect();
    let added =
        world.ports().catalogue.create_seats(Edit::default(), show.schedule, too_many).await;
    assert!(matches!(added, Err(Error::Conflict(_))), "{added:?}");
    let map = world.ports().concerts.seats(show.schedule).await.unwrap().unwrap().value;
    assert_eq!(map.seats.len(), 1);
}

pub async fn removing_a_concert_removes_all_of_it<H: Harness>() {
    let world = World::<H>::start().await;
    let concert = world.concert().await;
    let shows = [world.schedule(concert, 2).await, world.schedule(concert, 1).await];
    let mut removed =
        world.ports().catalogue.delete_concert(Edit::default(), concert).await.unwrap();
    removed.sort_unstable();
    assert_eq!(removed, [shows[0].schedule, shows[1].schedule]);
    let concerts = world.ports().concerts;
    assert_eq!(concerts.concert(concert).await.unwrap(), None);
    for show in shows {
        assert_eq!(concerts.seats(show.schedule).await.unwrap(), None);
        assert_eq!(concerts.offer(show.schedule, show.seats[0]).await.unwrap(), None);
    }
}

pub async fn the_catalogue_survives_a_restart<H: Harness>() {
    let mut world = World::<H>::start().await;
    let show = world.show(4).await;
    let before = world.ports().concerts.seats(show.schedule).await.unwrap();
    world.harness.restart().await;
    assert_eq!(world.ports().concerts.seats(show.schedule).await.unwrap(), before);
}
