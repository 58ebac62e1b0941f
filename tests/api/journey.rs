use concert_tests::{PRICE, eventually};
use serde_json::json;

use crate::{id, start, start_with_demo};

/// The main job, from the queue to the next in line.
#[tokio::test]
async fn a_buyer_queues_holds_pays_and_makes_room_for_the_next() {
    let app = start().await;
    let show = app.show(2).await;
    app.policy(show.concert, json!({ "activeLimit": 1 })).await;
    let earlier = app.buyer(1).join(show.concert).await;
    let buyer = app.buyer(2).join(show.concert).await;
    let next = app.buyer(3).join(show.concert).await;
    assert_eq!((buyer.rank().await, next.rank().await), (1, 2));
    earlier.leave().await.ok(204);
    assert_eq!(buyer.standing().await, "ACTIVE");

    let schedules = buyer.schedules(show.concert).await.ok(200);
    let schedule = &schedules["schedules"][0];
    assert_eq!(schedule["availableSeats"], 2);
    let seats = buyer.seats(id(&schedule["id"])).await.ok(200);
    let seat = seats["seats"].as_array().unwrap().iter().find(|s| s["status"] == "AVAILABLE");
    let held = buyer.hold(id(&schedule["id"]), id(&seat.unwrap()["id"])).await.ok(201);
    buyer.charge(PRICE).await.ok(200);
    let paid = buyer.pay(id(&held["reservationId"])).await.ok(201);
    assert_eq!(paid["paidAmount"], held["price"]);

    assert_eq!(next.standing().await, "ACTIVE", "the slot is free for the next in line");
    assert_eq!(buyer.standing().await, "EXPIRED");
    let line = eventually("the event is delivered and consumed", async || {
        app.ranked(show.concert).await.filter(|line| line["soldSeats"] == 1)
    })
    .await;
    assert_eq!((&line["sales"], &line["totalSeats"]), (&json!(PRICE), &json!(2)));
}

/// The same on the demo data, which is what `make run` shows.
#[tokio::test]
async fn the_demo_data_carries_the_whole_flow() {
    let app = start_with_demo().await;
    let buyer = app.buyer(1).rich(300_000).await.admitted(1).await;
    let schedules = buyer.schedules(1).await.ok(200);
    let schedule = id(&schedules["schedules"][0]["id"]);
    let seats = buyer.seats(schedule).await.ok(200);
    let reservation = buyer.held(schedule, id(&seats["seats"][0]["id"])).await;
    assert_eq!(buyer.pay(reservation).await.ok(201)["paidAmount"], 150_000);
}
