//! Something of each kind that belongs to the owner, and every route with a right request for it.

use concert_tests::{Call, Client, PRICE, Show, TestApp};
use serde_json::{Value, json};

use super::OWNER;

/// Whom a route is for.
pub enum For {
    Everyone,
    /// The owner; anybody else is refused like this.
    Owner(u16, &'static str),
    Admin,
}

pub struct Route {
    pub name: &'static str,
    pub whom: For,
    pub call: Box<dyn Fn(&Client) -> Call>,
}

fn route(name: &'static str, whom: For, call: impl Fn(&Client) -> Call + 'static) -> Route {
    Route { name, whom, call: Box::new(call) }
}

/// What belongs to the owner, made by a service that believes everybody.
pub struct World {
    concert: i64,
    schedule: i64,
    seats: Vec<i64>,
    token: String,
    paid: i64,
    pending: i64,
    cancelled: i64,
    /// A token for another concert.
    spare_token: String,
    /// What admins may spoil.
    spoilt: Show,
}

impl World {
    pub async fn made(trusted: &TestApp) -> Self {
        let show = trusted.show(10).await;
        let other = trusted.show(1).await;
        let spoilt = trusted.show(2).await;
        trusted.post("/users").json(json!({ "name": "Kim", "userId": OWNER })).await.ok(201);
        let paid = trusted.buyer(OWNER).bought(&show, show.seats[0]).await;
        let buyer = trusted.buyer(OWNER).rich(PRICE).await.admitted(show.concert).await;
        Self {
            paid,
            pending: buyer.held(show.schedule, show.seats[1]).await,
            cancelled: buyer.held(show.schedule, show.seats[2]).await,
            token: buyer.token,
            spare_token: trusted.buyer(OWNER).admitted(other.concert).await.token,
            concert: show.concert,
            schedule: show.schedule,
            seats: show.seats,
            spoilt,
        }
    }

    /// Every route, in an order in which the owner and the admin can use each.
    pub fn routes(&self) -> Vec<Route> {
        let mut all = public(self.concert);
        all.extend(self.of_the_owner());
        all.extend(self.of_the_queue());
        all.extend(self.of_admins());
        all
    }

    fn of_the_owner(&self) -> Vec<Route> {
        let forbidden = || For::Owner(403, "FORBIDDEN");
        let no_payment = || For::Owner(404, "PAYMENT_NOT_FOUND");
        let no_reservation = || For::Owner(404, "RESERVATION_NOT_FOUND");
        let (paid, pending, cancelled) = (self.paid, self.pending, self.cancelled);
        let path = |rest: &str| format!("/users/{OWNER}{rest}");
        let (user, holds, payments, ledger) =
            (path(""), path("/reservations"), path("/payments"), path("/points/history"));
        vec![
            route("GET /api/v1/users/{}", forbidden(), move |c| c.get(&user)),
            route("GET /api/v1/users/{}/reservations", forbidden(), move |c| c.get(&holds)),
            route("GET /api/v1/users/{}/payments", forbidden(), move |c| c.get(&payments)),
            route("GET /api/v1/users/{}/points/history", forbidden(), move |c| c.get(&ledger)),
            route("GET /api/v1/points/{}", forbidden(), |c| c.get(format!("/points/{OWNER}"))),
            route("PATCH /api/v1/points/charge", forbidden(), |c| c.buyer(OWNER).charge(1_000)),
            route("POST /api/v1/users", forbidden(), |c| {
                c.post("/users").json(json!({ "name": "Lee", "userId": OWNER }))
            }),
            // The header that names a user where the service believes everybody means nothing here.
            route("GET /api/v1/reservations/{}", no_reservation(), move |c| {
                c.buyer(OWNER).reservation(pending)
            }),
            route("DELETE /api/v1/reservations/{}", no_reservation(), move |c| {
                c.buyer(OWNER).cancel(cancelled)
            }),
            route("GET /api/v1/payments/{}", no_payment(), move |c| c.buyer(OWNER).payment(paid)),
            route("POST /api/v1/payments/{}/refund", no_payment(), move |c| {
                c.buyer(OWNER).refund(paid)
            }),
        ]
    }

    fn of_the_queue(&self) -> Vec<Route> {
        let forbidden = || For::Owner(403, "FORBIDDEN");
        let mismatch = || For::Owner(403, "TOKEN_MISMATCH");
        let (concert, schedule, seat) = (self.concert, self.schedule, self.seats[3]);
        let pending = self.pending;
        let with = |token: &str| {
            let token = token.to_owned();
            move |client: &Client| client.buyer(OWNER).with_token(&token)
        };
        let [a, b, c, d, e] = [0; 5].map(|_| with(&self.token));
        let spare = with(&self.spare_token);
        vec![
            route("POST /api/v1/queue/tokens", forbidden(), move |client| {
                client.buyer(OWNER).joining(concert)
            }),
            route("GET /api/v1/queue/status", mismatch(), move |client| a(client).status()),
            route("GET /api/v1/concerts/{}/schedules", mismatch(), move |client| {
                b(client).schedules(concert)
            }),
            route("GET /api/v1/schedules/{}/seats", mismatch(), move |client| {
                c(client).seats(schedule)
            }),
            route("POST /api/v1/reservations", forbidden(), move |client| {
                d(client).hold(schedule, seat)
            }),
            // Ends the token.
            route("POST /api/v1/payments", forbidden(), move |client| e(client).pay(pending)),
            route("DELETE /api/v1/queue/tokens", mismatch(), move |client| spare(client).leave()),
        ]
    }

    fn of_admins(&self) -> Vec<Route> {
        let Show { concert, schedule, ref seats } = self.spoilt;
        let (first, second) = (seats[0], seats[1]);
        let concerts = format!("/admin/concerts/{concert}");
        let schedules = format!("/admin/schedules/{schedule}");
        let times = json!({ "startsAt": "2099-01-01T00:00:00Z", "reservationOpensAt": "2020-01-01T00:00:00Z" });
        let ranges = json!({ "ranges": [{ "from": 11, "to": 12, "price": 1_000 }] });
        let call = |method: &'static str, path: String, body: Value| {
            move |client: &Client| {
                let call = client.call(method.parse().unwrap(), &path);
                if body.is_null() { call } else { call.json(body.clone()) }
            }
        };
        let queue = format!("{concerts}/queue");
        let admin = |name, call| Route { name, whom: For::Admin, call };
        let mut all = Vec::new();
        for (name, method, path, body) in [
            (
                "POST /api/v1/admin/concerts",
                "POST",
                "/admin/concerts".to_owned(),
                json!({ "title": "t" }),
            ),
            ("PATCH /api/v1/admin/concerts/{}", "PATCH", concerts.clone(), json!({ "title": "t" })),
            (
                "POST /api/v1/admin/concerts/{}/schedules",
                "POST",
                format!("{concerts}/schedules"),
                times.clone(),
            ),
            ("GET /api/v1/admin/schedules/{}", "GET", schedules.clone(), Value::Null),
            ("GET /api/v1/admin/audit", "GET", "/admin/audit".to_owned(), Value::Null),
            ("PATCH /api/v1/admin/schedules/{}", "PATCH", schedules.clone(), times),
            ("POST /api/v1/admin/schedules/{}/seats", "POST", format!("{schedules}/seats"), ranges),
            (
                "PATCH /api/v1/admin/seats/{}",
                "PATCH",
                format!("/admin/seats/{first}"),
                json!({ "price": 2_000 }),
            ),
            ("GET /api/v1/admin/concerts/{}/queue", "GET", queue.clone(), Value::Null),
            ("PATCH /api/v1/admin/concerts/{}/queue", "PATCH", queue, json!({ "activeLimit": 5 })),
            (
                "DELETE /api/v1/admin/seats/{}",
                "DELETE",
                format!("/admin/seats/{second}"),
                Value::Null,
            ),
            ("DELETE /api/v1/admin/schedules/{}", "DELETE", schedules, Value::Null),
            ("DELETE /api/v1/admin/concerts/{}", "DELETE", concerts, Value::Null),
        ] {
            all.push(admin(
                name,
                Box::new(call(method, path, body)) as Box<dyn Fn(&Client) -> Call>,
            ));
        }
        all
    }
}

fn public(concert: i64) -> Vec<Route> {
    let everyone = |name, path: String| route(name, For::Everyone, move |c: &Client| c.get(&path));
    vec![
        everyone("GET /api/v1/concerts", "/concerts".to_owned()),
        everyone("GET /api/v1/concerts/ranking", "/concerts/ranking".to_owned()),
        everyone("GET /api/v1/concerts/{}", format!("/concerts/{concert}")),
        everyone("GET /healthz", "//healthz".to_owned()),
        everyone("GET /readyz", "//readyz".to_owned()),
        everyone("GET /metrics", "//metrics".to_owned()),
        everyone("GET /openapi.json", "//openapi.json".to_owned()),
        everyone("GET /docs", "//docs".to_owned()),
    ]
}
