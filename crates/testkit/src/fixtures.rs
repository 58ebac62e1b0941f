//! What most laws need first: an engine, a show with seats, users with points.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use concert_domain::audit::Edit;
use concert_domain::concert::{Concert, NewSeat, Schedule, SeatOffer, SeatStatus};
use concert_domain::event::{Event, Headers};
use concert_domain::id::NotAnId;
use concert_domain::idempotency::Fingerprint;
use concert_domain::payment::{Payment, PaymentStatus, Refund, Settlement};
use concert_domain::point::{ChargeIntent, Charged, GatewayVerdict, PaymentMethod};
use concert_domain::ports::{Services, Settings};
use concert_domain::queue::{QueueToken, Rules};
use concert_domain::reservation::{Hold, Reservation, ReservationStatus};
use concert_domain::{
    Applied, ConcertId, Cursor, IdempotencyClaim, Limit, PageRequest, Ports, Result, ScheduleId,
    SeatId, Seen, Timestamp, UserId, Won,
};
use tokio::sync::Barrier;

use crate::Harness;

/// A time to live that ends within a law, also where time really has to pass.
pub const SHORT: Duration = Duration::from_millis(300);
/// A time to live that does not end within a law.
pub const LONG: Duration = Duration::from_secs(3_600);
/// More seats than anybody holds in a law that is not about that.
pub const MANY: u32 = 1_000_000;
/// The price of a seat unless told otherwise.
pub const PRICE: Won = Won::of(10_000);
/// A day that is over.
const LAST_YEAR: i64 = 1_600_000_000_000;
/// A day that is far off.
const NEXT_CENTURY: i64 = 4_200_000_000_000;

/// An engine and what is made on it.
pub struct World<H> {
    /// The engine.
    pub harness: H,
    next_id: AtomicI64,
}

/// A concert with one schedule.
#[derive(Debug, Clone)]
pub struct Show {
    /// The concert.
    pub concert: ConcertId,
    /// Its schedule: open for reservations, and far from its start.
    pub schedule: ScheduleId,
    /// The schedule's seats, numbers from 1.
    pub seats: Vec<SeatId>,
}

impl<H: Harness> World<H> {
    /// A fresh engine.
    pub async fn start() -> Self {
        // Above every id that a use case draws from the counters within a law.
        Self { harness: H::start().await, next_id: AtomicI64::new(1_000_000) }
    }

    /// The engine's ports.
    pub fn ports(&self) -> Ports {
        self.harness.ports()
    }

    /// The use cases over the engine, with rules that end nothing within a law.
    pub fn services(&self) -> Services {
        Services::new(&self.ports(), settings())
    }

    /// Lets a time to live come to its end.
    pub async fn pass(&self, ttl: Duration) {
        self.harness.pass(ttl + Duration::from_millis(5)).await;
    }

    /// A fresh id of any kind.
    pub fn id<T: TryFrom<i64, Error = NotAnId>>(&self) -> T {
        self.next_id.fetch_add(1, Ordering::Relaxed).try_into().unwrap()
    }

    /// A concert with one schedule of so many seats at [`PRICE`].
    pub async fn show(&self, seats: u32) -> Show {
        let concert = self.concert().await;
        self.schedule(concert, seats).await
    }

    /// A concert without schedules.
    pub async fn concert(&self) -> ConcertId {
        let id = self.id();
        let title = format!("Concert {id}");
        let concert = Concert { id, title, description: None, version: 1 };
        self.ports().catalogue.create_concert(Edit::default(), concert).await.unwrap();
        id
    }

    /// A schedule of a concert with so many seats.
    pub async fn schedule(&self, concert: ConcertId, seats: u32) -> Show {
        let schedule = Schedule {
            id: self.id(),
            concert_id: concert,
            starts_at: Timestamp::from_millis(NEXT_CENTURY),
            reservation_opens_at: Timestamp::from_millis(LAST_YEAR),
            version: 1,
        };
        let id = schedule.id;
        let catalogue = self.ports().catalogue;
        catalogue.create_schedule(Edit::default(), schedule).await.unwrap();
        let new: Vec<NewSeat> =
            (1..=seats).map(|number| NewSeat { id: self.id(), number, price: PRICE }).collect();
        let seats = new.iter().map(|seat| seat.id).collect();
        catalogue.create_seats(Edit::default(), id, new).await.unwrap();
        Show { concert, schedule: id, seats }
    }

    async fn offer(&self, show: &Show, seat: usize) -> Seen<SeatOffer> {
        let offer = self.ports().concerts.offer(show.schedule, show.seats[seat]).await;
        offer.unwrap().expect("the schedule exists")
    }

    /// The store's time, as a buyer of the show sees it.
    pub async fn now(&self, show: &Show) -> Timestamp {
        self.offer(show, 0).await.now
    }

    /// A decided hold of one seat, at its price.
    pub async fn hold(&self, show: &Show, seat: usize, user: UserId, ttl: Duration) -> Hold {
        let Seen { now, value: offer } = self.offer(show, seat).await;
        let reservation = Reservation {
            id: self.id(),
            user_id: user,
            concert_id: show.concert,
            schedule_id: show.schedule,
            seat_id: show.seats[seat],
            price: offer.price.expect("the seat exists"),
            status: ReservationStatus::Pending,
            created_at: now,
            expires_at: now.plus(ttl),
        };
        Hold { reservation, most: MANY, claim: None }
    }

    /// A hold that was made.
    pub async fn held(&self, show: &Show, seat: usize, user: UserId, ttl: Duration) -> Reservation {
        let hold = self.hold(show, seat, user, ttl).await;
        let made = self.ports().reservations.hold(hold).await.unwrap();
        fresh(made)
    }

    /// A decided charge.
    pub fn intent(&self, user: UserId, amount: u32) -> ChargeIntent {
        let (amount, method) = (Won::of(amount), PaymentMethod::Card);
        ChargeIntent { id: self.id(), user_id: user, amount, method, detail: None }
    }

    /// A charge that was made.
    pub async fn charged(&self, user: UserId, amount: u32) -> Charged {
        charge(&self.ports(), self.intent(user, amount)).await.unwrap()
    }

    /// A user with points.
    pub async fn rich_user(&self, amount: u32) -> UserId {
        let user = self.id();
        self.charged(user, amount).await;
        user
    }

    /// A decided payment of a hold.
    pub async fn settlement(&self, reservation: &Reservation) -> Settlement {
        let seen = self.ports().reservations.find(reservation.id).await.unwrap();
        let payment = Payment {
            id: self.id(),
            reservation_id: reservation.id,
            user_id: reservation.user_id,
            amount: reservation.price,
            status: PaymentStatus::Completed,
            paid_at: seen.expect("the reservation exists").now,
            refunded_at: None,
        };
        let place = QueueToken::from_bytes([7; 16]).digest();
        let event = Event::payment_completed(&payment, reservation, place).unwrap();
        let (reservation, transaction_id) = (reservation.clone(), self.id());
        Settlement { payment, reservation, transaction_id, event, claim: None }
    }

    /// A hold by a new user that was paid.
    pub async fn paid(&self, show: &Show, seat: usize) -> (Reservation, Payment) {
        let user = self.rich_user(10_000).await;
        let reservation = self.held(show, seat, user, LONG).await;
        let settlement = self.settlement(&reservation).await;
        let payment = fresh(self.ports().payments.settle(settlement).await.unwrap());
        (reservation, payment)
    }

    /// A decided refund.
    pub async fn refund(&self, payment: &Payment) -> Refund {
        let seen = self.ports().payments.refund_case(payment.id).await.unwrap();
        let seen = seen.expect("the payment exists");
        let (status, refunded_at) = (PaymentStatus::Refunded, Some(seen.now));
        let payment = Payment { status, refunded_at, ..seen.value.payment };
        let event = Event::payment_refunded(&payment, &seen.value.reservation).unwrap();
        let (reservation, transaction_id) = (seen.value.reservation, self.id());
        Refund { payment, reservation, transaction_id, event, claim: None }
    }

    /// The status of one seat.
    pub async fn seat(&self, show: &Show, seat: usize) -> SeatStatus {
        seat_status(&self.ports(), show.schedule, show.seats[seat]).await
    }

    /// What became of a reservation.
    pub async fn status(&self, reservation: &Reservation) -> ReservationStatus {
        let seen = self.ports().reservations.find(reservation.id).await.unwrap();
        seen.expect("the reservation exists").value.status
    }

    /// Every line of a user's ledger, newest first, checked to be gapless and to sum to the
    /// balance.
    pub async fn ledger(&self, user: UserId) -> Vec<concert_domain::point::LedgerLine> {
        let points = self.ports().points;
        let lines = every_page(|page| points.history(user, page), |line| (line.sequence, 0)).await;
        let mut balance = 0;
        for (index, line) in lines.iter().rev().enumerate() {
            balance += line.amount;
            assert_eq!(line.sequence, index as i64 + 1, "the ledger has a gap");
            assert_eq!(line.balance_after.get(), balance, "a line tells another balance");
        }
        assert_eq!(points.balance(user).await.unwrap().get(), balance, "balance and ledger differ");
        lines
    }
}

/// Settings under which nothing ends within a law.
pub fn settings() -> Settings {
    Settings {
        queue: rules(100),
        hold_ttl: LONG,
        holds_per_user: MANY,
        refund_cutoff: LONG,
        charge_grace: LONG,
    }
}

/// Rules with a limit, under which nothing ends within a law.
pub fn rules(active_limit: u32) -> Rules {
    Rules { active_limit, claim_ttl: LONG, active_ttl: LONG, waiting_ttl: LONG, remember_ttl: LONG }
}

/// A claim of a user to a key, for a request that said `body`.
pub fn claim(user: UserId, key: &str, body: &str) -> IdempotencyClaim {
    IdempotencyClaim {
        user,
        route: "test",
        key: key.parse().unwrap(),
        fingerprint: Fingerprint::of("POST", "/test", &body).unwrap(),
    }
}

/// Records and settles a charge as the gateway's approval would.
pub async fn charge(ports: &Ports, intent: ChargeIntent) -> Result<Charged> {
    let id = intent.id;
    ports.points.open_charge(intent, None).await?;
    let settled = ports.points.settle_charge(id, GatewayVerdict::Approved).await?;
    Ok(settled.value().clone())
}

/// The status of one seat, as the store's list says it.
pub async fn seat_status(ports: &Ports, schedule: ScheduleId, seat: SeatId) -> SeatStatus {
    let map = ports.concerts.seats(schedule).await.unwrap().expect("the schedule exists").value;
    map.seats.iter().find(|s| s.id == seat).expect("the seat is in its list").status
}

/// The value of a change that was made now, not before.
pub fn fresh<T: std::fmt::Debug>(applied: Applied<T>) -> T {
    match applied {
        Applied::Fresh(value) => value,
        Applied::Replayed(value) => panic!("{value:?} was made before"),
    }
}

/// A page request.
pub fn page(limit: u32, after: Option<Cursor>) -> PageRequest {
    PageRequest { limit: Limit::new(limit).unwrap(), after }
}

/// Follows the cursors of a list in small pages to its end, and checks that no page is too long
/// and no item comes twice.
pub async fn every_page<T, K, F, Fut>(read: F, key: impl Fn(&T) -> K) -> Vec<T>
where
    K: PartialEq + std::fmt::Debug,
    F: Fn(PageRequest) -> Fut,
    Fut: Future<Output = Result<concert_domain::Page<T>>>,
{
    let mut all: Vec<T> = Vec::new();
    let mut after = None;
    loop {
        let read = read(page(3, after)).await.unwrap();
        assert!(read.items.len() <= 3, "a page is longer than asked for");
        for item in read.items {
            assert!(all.iter().all(|seen| key(seen) != key(&item)), "{:?} twice", key(&item));
            all.push(item);
        }
        match read.next {
            Some(next) => after = Some(next),
            None => return all,
        }
    }
}

/// Runs a call in so many tasks that start together; answers what each came to.
pub async fn race<T, F, Fut>(callers: usize, call: F) -> Vec<T>
where
    T: Send + 'static,
    F: Fn(usize) -> Fut,
    Fut: Future<Output = T> + Send + 'static,
{
    let start = Arc::new(Barrier::new(callers));
    let tasks: Vec<_> = (0..callers)
        .map(|caller| {
            let (start, call) = (start.clone(), call(caller));
            tokio::spawn(async move {
                start.wait().await;
                call.await
            })
        })
        .collect();
    let mut results = Vec::with_capacity(callers);
    for task in tasks {
        results.push(task.await.expect("a racing task failed"));
    }
    results
}

/// Headers as nobody would choose them.
pub fn odd_headers() -> Headers {
    [("traceparent", "00-1-2-01"), ("x-quoted", "a \"b\" \\"), ("empty", "")].into_iter().collect()
}
