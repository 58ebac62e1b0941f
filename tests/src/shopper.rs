use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use concert_domain::cache::NEAR_FOR;
use tokio::time::sleep;

use crate::buyer::id;
use crate::crowd::Crowd;
use crate::{Answer, Buyer, Call, PRICE, Told};

/// How long a shopper goes on asking for one thing.
const PATIENCE: Duration = Duration::from_secs(60);
/// How long after a failure it asks again.
const AGAIN: Duration = Duration::from_millis(150);
/// How many seats it tries before it gives up for this time.
const SEATS_TRIED: usize = 6;

/// What a shopper does when its turn comes.
#[derive(Clone, Copy, PartialEq)]
enum Habit {
    NeverLooksBack,
    LeavesTheLine,
    HoldsAndVanishes,
    ThinksBetterOfIt,
    WantsTheMoneyBack,
    Buys,
}

impl Habit {
    fn of(turn: usize) -> Self {
        match turn % 8 {
            0 => Self::NeverLooksBack,
            1 => Self::LeavesTheLine,
            2 => Self::HoldsAndVanishes,
            3 => Self::ThinksBetterOfIt,
            4 => Self::WantsTheMoneyBack,
            _ => Self::Buys,
        }
    }
}

/// What came of wishing for a seat.
enum Held {
    Reservation(i64),
    NoSeat,
    NoToken,
}

/// What came of paying.
enum Paid {
    Payment(i64),
    TooLate,
    NoToken,
}

/// One user of a [`Crowd`].
pub(crate) struct Shopper<'a> {
    crowd: &'a Crowd,
    place: usize,
    user: i64,
    token: String,
    in_first_line: bool,
    purse: i64,
    /// Counts what it asked for, to make keys.
    wishes: u32,
    told: Told,
}

impl<'a> Shopper<'a> {
    pub fn new(crowd: &'a Crowd, place: usize, user: i64) -> Self {
        let (token, told) = (String::new(), Told::default());
        Self { crowd, place, user, token, in_first_line: false, purse: 0, wishes: 0, told }
    }

    /// Takes its place in the line that is there before the doors open.
    pub async fn join(&mut self) {
        self.take_place().await;
        self.in_first_line = self.crowd.keeps_order();
    }

    /// Comes once, or again and again until the crowd closes.
    pub async fn come_and_go(mut self) -> Told {
        let comes_once = self.crowd.is_closing();
        for visit in 0.. {
            self.visit(Habit::of(self.place + visit)).await;
            if self.crowd.is_closing() {
                break;
            }
            sleep(AGAIN).await;
        }
        if !comes_once {
            // Those who walked away come for the last time; nobody has to wait for their end.
            self.take_place().await;
            self.leave().await;
        }
        self.told
    }

    async fn visit(&mut self, habit: Habit) {
        match habit {
            Habit::NeverLooksBack => {
                self.take_place().await;
                self.lose_place();
                return;
            }
            Habit::LeavesTheLine => {
                self.take_place().await;
                return self.leave().await;
            }
            _ => {}
        }
        let mut held = None;
        loop {
            self.enter().await;
            let reservation = match held {
                Some(reservation) => reservation,
                None => match self.hold_any().await {
                    Held::Reservation(reservation) => reservation,
                    Held::NoSeat => return self.leave().await,
                    Held::NoToken => {
                        self.lose_place();
                        continue;
                    }
                },
            };
            match habit {
                Habit::HoldsAndVanishes => return self.lose_place(),
                Habit::ThinksBetterOfIt => {
                    let answer = self.send("cancel", |buyer| buyer.cancel(reservation)).await;
                    answer.ok(204);
                    return self.leave().await;
                }
                _ => {}
            }
            match self.pay(reservation).await {
                Paid::Payment(payment) => return self.settle(habit, payment).await,
                Paid::TooLate => held = None,
                Paid::NoToken => held = Some(reservation),
            }
            self.lose_place();
        }
    }

    async fn take_place(&mut self) {
        if self.token.is_empty() {
            let concert = self.crowd.show.concert;
            let answer = self.send("join", |buyer| buyer.joining(concert)).await;
            assert!(matches!(answer.status, 200 | 201), "{answer:?}");
            answer.body["token"].as_str().expect("a token").clone_into(&mut self.token);
        }
    }

    fn lose_place(&mut self) {
        self.token.clear();
        self.in_first_line = false;
    }

    async fn leave(&mut self) {
        self.send("leave", |buyer| buyer.leave()).await.ok(204);
        self.lose_place();
    }

    /// Waits until admitted; from the end of the line if the place is lost.
    async fn enter(&mut self) {
        let mut last = u64::MAX;
        loop {
            self.take_place().await;
            let farthest = self.crowd.farthest.load(Ordering::SeqCst);
            let seen = self.send("poll", |buyer| buyer.status()).await;
            match (seen.status, seen.body["status"].as_str()) {
                (200, Some("ACTIVE")) => {
                    if self.in_first_line {
                        self.crowd.farthest.fetch_max(self.place, Ordering::SeqCst);
                    }
                    return;
                }
                (200, Some("WAITING")) => {
                    let rank = seen.body["rank"].as_u64().expect("a rank");
                    if self.in_first_line && (farthest > self.place || rank > last) {
                        self.look_again(farthest, last).await;
                    }
                    last = rank.min(last);
                    sleep(Duration::from_millis((30 + 6 * rank).min(600))).await;
                }
                (200, Some("EXPIRED")) | (401, _) => {
                    self.lose_place();
                    last = u64::MAX;
                }
                _ => panic!("{seen:?}"),
            }
        }
    }

    /// What happened through another instance may show after [`NEAR_FOR`]; then nobody who is
    /// farther back must have been admitted before, and no rank must have grown.
    async fn look_again(&mut self, farthest: usize, last: u64) {
        sleep(NEAR_FOR).await;
        let seen = self.send("poll", |buyer| buyer.status()).await;
        if seen.body["status"] == "WAITING" {
            let (place, rank) = (self.place, seen.body["rank"].as_u64().expect("a rank"));
            assert!(farthest <= place, "{farthest} was admitted before {place}");
            assert!(rank <= last, "{place} went back from rank {last} to {rank}");
        }
    }

    async fn hold_any(&mut self) -> Held {
        let show = &self.crowd.show;
        for attempt in 0..SEATS_TRIED {
            let wish = self.wish("hold");
            let nth = self.place * 7 + (self.wishes as usize + attempt) * 5;
            let seat = show.seats[nth % show.seats.len()];
            let answer =
                self.send("hold", |buyer| buyer.hold(show.schedule, seat).key(&wish)).await;
            match answer.status {
                201 => return Held::Reservation(id(&answer.body["reservationId"])),
                401 => return Held::NoToken,
                _ => answer.refused(409, "SEAT_NOT_AVAILABLE"),
            }
        }
        Held::NoSeat
    }

    /// Pays, under one key however often it has to come back for it.
    async fn pay(&mut self, reservation: i64) -> Paid {
        if self.purse < PRICE {
            let wish = self.wish("charge");
            self.send("charge", |buyer| buyer.charge(PRICE).key(&wish)).await.ok(200);
            self.purse += PRICE;
        }
        let wish = format!("pay-{reservation}");
        let answer = self.send("pay", |buyer| buyer.pay(reservation).key(&wish)).await;
        match (answer.status, answer.body["code"].as_str()) {
            (201, _) => Paid::Payment(id(&answer.body["paymentId"])),
            (401, _) => Paid::NoToken,
            (410, _) | (409, Some("RESERVATION_NOT_PENDING")) => Paid::TooLate,
            _ => panic!("{answer:?}"),
        }
    }

    async fn settle(&mut self, habit: Habit, payment: i64) {
        self.told.paid += PRICE;
        self.purse -= PRICE;
        if habit == Habit::WantsTheMoneyBack {
            let wish = format!("refund-{payment}");
            self.send("refund", |buyer| buyer.refund(payment).key(&wish)).await.ok(200);
            self.told.refunded += PRICE;
            self.purse += PRICE;
        }
        self.lose_place();
    }

    fn wish(&mut self, what: &str) -> String {
        self.wishes += 1;
        format!("{what}-{}", self.wishes)
    }

    /// Sends until somebody decides: what is gone for a moment, or still being worked on, is
    /// waited for.
    async fn send(&self, what: &'static str, call: impl Fn(Buyer) -> Call) -> Answer {
        let begun = Instant::now();
        loop {
            let buyer = self.crowd.instances.next().buyer(self.user).with_token(&self.token);
            match self.crowd.notes.send(what, call(buyer)).await {
                Some(answer) if !is_for_later(&answer) => return answer,
                undecided => assert!(begun.elapsed() < PATIENCE, "no {what}: {undecided:?}"),
            }
            sleep(AGAIN).await;
        }
    }
}

fn is_for_later(answer: &Answer) -> bool {
    let code = answer.body["code"].as_str().unwrap_or_default();
    matches!(answer.status, 429 | 503)
        || matches!(code, "IDEMPOTENCY_IN_PROGRESS" | "CONCURRENCY_CONFLICT")
}
