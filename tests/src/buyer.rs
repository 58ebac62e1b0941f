use serde_json::{Value, json};

use crate::{Call, Client, Show};

/// A user with the queue token that was given last.
#[derive(Clone)]
pub struct Buyer {
    client: Client,
    /// The user's id.
    pub user: i64,
    /// The queue token; empty before the first join.
    pub token: String,
}

impl Buyer {
    pub(crate) fn of(client: &Client, user: i64) -> Self {
        Self { client: client.clone(), user, token: String::new() }
    }

    /// With a token that was given elsewhere.
    pub fn with_token(mut self, token: &str) -> Self {
        token.clone_into(&mut self.token);
        self
    }

    /// The request that joins a queue.
    pub fn joining(&self, concert: i64) -> Call {
        self.client.post("/queue/tokens").json(json!({ "userId": self.user, "concertId": concert }))
    }

    /// Joins, wherever that leads.
    pub async fn join(mut self, concert: i64) -> Self {
        let answer = self.joining(concert).await;
        assert!(matches!(answer.status, 200 | 201), "{answer:?}");
        self.token = text(&answer.body["token"]);
        self
    }

    /// Joins and is admitted at once.
    pub async fn admitted(self, concert: i64) -> Self {
        let buyer = self.join(concert).await;
        assert_eq!(buyer.standing().await, "ACTIVE");
        buyer
    }

    /// The status of the token: WAITING, ACTIVE or EXPIRED.
    pub async fn standing(&self) -> String {
        text(&self.status().await.ok(200)["status"])
    }

    /// The rank of the token.
    pub async fn rank(&self) -> u64 {
        self.status().await.ok(200)["rank"].as_u64().expect("a rank")
    }

    /// The request that polls.
    pub fn status(&self) -> Call {
        self.client.get("/queue/status").token(&self.token)
    }

    /// The request that leaves the queue.
    pub fn leave(&self) -> Call {
        self.client.delete("/queue/tokens").token(&self.token)
    }

    /// The request for the schedules of a concert.
    pub fn schedules(&self, concert: i64) -> Call {
        self.client.get(format!("/concerts/{concert}/schedules")).token(&self.token)
    }

    /// The request for the seats of a schedule.
    pub fn seats(&self, schedule: i64) -> Call {
        self.client.get(format!("/schedules/{schedule}/seats")).token(&self.token)
    }

    /// The request that holds a seat.
    pub fn hold(&self, schedule: i64, seat: i64) -> Call {
        let body = json!({ "userId": self.user, "scheduleId": schedule, "seatId": seat });
        self.client.post("/reservations").token(&self.token).json(body)
    }

    /// The request that lets a hold go.
    pub fn cancel(&self, reservation: i64) -> Call {
        self.client.delete(format!("/reservations/{reservation}")).user(self.user)
    }

    /// The request that buys points.
    pub fn charge(&self, amount: i64) -> Call {
        self.charge_with(amount, json!(null))
    }

    /// The request that buys points with this means of payment.
    pub fn charge_with(&self, amount: i64, detail: Value) -> Call {
        let mut body = json!({ "userId": self.user, "amount": amount, "paymentMethod": "CARD" });
        if !detail.is_null() {
            body["paymentDetail"] = detail;
        }
        self.client.patch("/points/charge").json(body)
    }

    /// The request that pays for a hold.
    pub fn pay(&self, reservation: i64) -> Call {
        let body = json!({ "userId": self.user, "reservationId": reservation });
        self.client.post("/payments").token(&self.token).json(body)
    }

    /// The request that gives the money back.
    pub fn refund(&self, payment: i64) -> Call {
        self.client.post(format!("/payments/{payment}/refund")).user(self.user)
    }

    /// One of the user's reservations.
    pub fn reservation(&self, id: i64) -> Call {
        self.client.get(format!("/reservations/{id}")).user(self.user)
    }

    /// One of the user's payments.
    pub fn payment(&self, id: i64) -> Call {
        self.client.get(format!("/payments/{id}")).user(self.user)
    }

    /// The points of the user.
    pub async fn balance(&self) -> i64 {
        let points = self.client.get(format!("/points/{}", self.user)).await.ok(200);
        points["point"].as_i64().expect("a number of points")
    }

    /// With so many points more.
    pub async fn rich(self, amount: i64) -> Self {
        self.charge(amount).await.ok(200);
        self
    }

    /// Holds a seat; answers the reservation.
    pub async fn held(&self, schedule: i64, seat: i64) -> i64 {
        id(&self.hold(schedule, seat).await.ok(201)["reservationId"])
    }

    /// Joins, charges, holds and pays; answers the payment.
    pub async fn bought(&self, show: &Show, seat: i64) -> i64 {
        let buyer = self.clone().rich(crate::PRICE).await.admitted(show.concert).await;
        let reservation = buyer.held(show.schedule, seat).await;
        id(&buyer.pay(reservation).await.ok(201)["paymentId"])
    }
}

fn text(value: &Value) -> String {
    value.as_str().expect("a text").to_owned()
}

pub(crate) fn id(value: &Value) -> i64 {
    value.as_i64().expect("an id")
}
