use concert_tests::{PRICE, TestApp, days};
use serde_json::{Value, json};

use crate::{NO_IDS, id, start};

#[tokio::test]
async fn a_concert_is_created_edited_and_removed() {
    let app = start().await;
    let answer = app.post("/admin/concerts").json(json!({ "title": "가을 밤" })).await;
    let location = answer.header("location").expect("a Location").to_owned();
    let made = answer.ok(201);
    assert_eq!((&made["title"], &made["version"]), (&json!("가을 밤"), &json!(1)));
    assert!(made["description"].is_null());
    assert_eq!(location, format!("/api/v1/concerts/{}", made["id"]));

    let path = format!("/admin/concerts/{}", made["id"]);
    let edited = app.patch(&path).json(json!({ "description": "late" })).await.ok(200);
    assert_eq!(edited["description"], "late");
    assert_eq!((&edited["title"], &edited["version"]), (&json!("가을 밤"), &json!(2)));
    let read = format!("/concerts/{}", made["id"]);
    assert_eq!(app.get(&read).await.ok(200), edited);
    let cleared = app.patch(&path).json(json!({ "description": null })).await.ok(200);
    assert!(cleared["description"].is_null());

    app.delete(&path).await.ok(204);
    app.get(&read).await.refused(404, "CONCERT_NOT_FOUND");
    app.delete(&path).await.refused(404, "CONCERT_NOT_FOUND");
    app.patch(&path).json(json!({})).await.refused(404, "CONCERT_NOT_FOUND");
}

#[tokio::test]
async fn a_concert_must_be_well_formed() {
    let app = start().await;
    let post = |body: Value| app.post("/admin/concerts").json(body);
    let long = "x".repeat(201);
    for title in [json!(""), json!(" "), json!(long), json!(1), json!(null), json!("a\u{0}b")] {
        post(json!({ "title": title })).await.names("title");
    }
    post(json!({})).await.names("title");
    post(json!({ "title": "t", "description": "x".repeat(2_001) })).await.names("description");
    for bad in NO_IDS {
        let path = format!("/admin/concerts/{bad}");
        app.delete(&path).await.refused(400, "INVALID_INPUT");
        app.patch(&path).json(json!({})).await.refused(400, "INVALID_INPUT");
        app.get(format!("{path}/queue")).await.refused(400, "INVALID_INPUT");
    }
}

#[tokio::test]
async fn a_schedule_is_created_edited_and_removed() {
    let app = start().await;
    let concert = app.concert().await;
    let body = json!({
        "startsAt": "2026-06-01T19:00:00+09:00",
        "reservationOpensAt": "2026-05-01T00:00:00Z",
    });
    let answer = app.post(format!("/admin/concerts/{concert}/schedules")).json(body).await;
    assert!(answer.header("location").is_some());
    let made = answer.ok(201);
    let expected = json!({
        "id": made["id"],
        "concertId": concert,
        "date": "2026-06-01",
        "startsAt": "2026-06-01T10:00:00.000Z",
        "reservationOpensAt": "2026-05-01T00:00:00.000Z",
        "version": 1,
    });
    assert_eq!(made, expected);
    let path = format!("/admin/schedules/{}", made["id"]);
    let patch = json!({ "startsAt": "2026-06-02T10:00:00.000Z" });
    let edited = app.patch(&path).json(patch).await.ok(200);
    assert_eq!((&edited["date"], &edited["version"]), (&json!("2026-06-02"), &json!(2)));
    app.delete(&path).await.ok(204);
    app.delete(&path).await.refused(404, "SCHEDULE_NOT_FOUND");
    app.patch(&path).json(json!({})).await.refused(404, "SCHEDULE_NOT_FOUND");
}

#[tokio::test]
async fn a_schedule_must_be_well_formed_and_have_a_concert() {
    let app = start().await;
    let concert = app.concert().await;
    let path = format!("/admin/concerts/{concert}/schedules");
    let good = "2026-06-01T10:00:00.000Z";
    for bad in [json!("2026-06-01"), json!("soon"), json!(0), json!("1969-12-31T00:00:00Z")] {
        let body = json!({ "startsAt": bad, "reservationOpensAt": good });
        app.post(&path).json(body).await.names("startsAt");
        let body = json!({ "startsAt": good, "reservationOpensAt": bad });
        app.post(&path).json(body).await.names("reservationOpensAt");
    }
    app.post(&path).json(json!({ "startsAt": good })).await.names("reservationOpensAt");
    let late = json!({ "startsAt": good, "reservationOpensAt": "2026-06-01T10:00:00.001Z" });
    app.post(&path).json(late.clone()).await.names("reservationOpensAt");
    let schedule = app.schedule(concert, good, good).await;
    let patch = json!({ "startsAt": "2026-05-31T10:00:00.000Z" });
    let edited = app.patch(format!("/admin/schedules/{schedule}")).json(patch).await;
    edited.refused(400, "INVALID_INPUT");
    let missing = format!("/admin/concerts/{}/schedules", concert + 1);
    let body = json!({ "startsAt": good, "reservationOpensAt": good });
    app.post(missing).json(body).await.refused(404, "CONCERT_NOT_FOUND");
}

#[tokio::test]
async fn seats_are_created_in_ranges_edited_and_removed() {
    let app = start().await;
    let show = app.show(2).await;
    let path = format!("/admin/schedules/{}/seats", show.schedule);
    let body = json!({ "ranges": [
        { "from": 3, "to": 4, "price": 1_000 },
        { "from": 11, "to": 13, "price": 2_000 },
    ] });
    let made = app.post(&path).json(body).await.ok(201);
    assert_eq!(made, json!({ "scheduleId": show.schedule, "created": 5 }));
    let seat = format!("/admin/seats/{}", show.seats[0]);
    let edited = app.patch(&seat).json(json!({ "number": 20, "price": 5 })).await.ok(200);
    assert_eq!((&edited["number"], &edited["price"]), (&json!(20), &json!(5)));
    app.patch(&seat).json(json!({ "number": 2 })).await.refused(409, "CONCURRENCY_CONFLICT");
    app.delete(&seat).await.ok(204);
    app.delete(&seat).await.refused(404, "SEAT_NOT_FOUND");
    app.patch(&seat).json(json!({})).await.refused(404, "SEAT_NOT_FOUND");
    assert_eq!(app.seat_ids(show.concert, show.schedule).await.len(), 6);
}

#[tokio::test]
async fn seats_are_created_all_or_none() {
    let app = start().await;
    let show = app.show(2).await;
    let path = format!("/admin/schedules/{}/seats", show.schedule);
    let overlapping = json!({ "ranges": [{ "from": 2, "to": 9, "price": 1 }] });
    app.post(&path).json(overlapping).await.refused(409, "CONCURRENCY_CONFLICT");
    assert_eq!(app.seat_ids(show.concert, show.schedule).await.len(), 2);
    let range = |from: Value, to: Value, price: Value| json!({ "ranges": [{ "from": from, "to": to, "price": price }] });
    for bad in [
        json!({ "ranges": [] }),
        range(json!(0), json!(5), json!(1)),
        range(json!(5), json!(4), json!(1)),
        range(json!(-1), json!(4), json!(1)),
        range(json!(10), json!(1_000_001), json!(1)),
        range(json!(10), json!(11), json!(0)),
        range(json!(10), json!(11), json!(1_000_001)),
        range(json!(10), json!(11), json!("1")),
        range(json!(10), json!(100_010), json!(1)),
        json!({ "ranges": "1-10" }),
        json!({}),
    ] {
        app.post(&path).json(bad).await.refused(400, "INVALID_INPUT");
    }
    let missing = format!("/admin/schedules/{}/seats", show.schedule + 1);
    let body = range(json!(1), json!(1), json!(1));
    app.post(missing).json(body).await.refused(404, "SCHEDULE_NOT_FOUND");
    for bad in NO_IDS {
        app.delete(format!("/admin/seats/{bad}")).await.refused(400, "INVALID_INPUT");
        app.delete(format!("/admin/schedules/{bad}")).await.refused(400, "INVALID_INPUT");
    }
}

#[tokio::test]
async fn a_hundred_thousand_seats_come_in_one_call() {
    let app = start().await;
    let concert = app.concert().await;
    let starts_at = app.now().plus(days(9)).to_string();
    let schedule = app.schedule(concert, &starts_at, &starts_at).await;
    app.add_seats(schedule, 100_000).await;
    let buyer = app.buyer(1).admitted(concert).await;
    let schedules = buyer.schedules(concert).await.ok(200);
    assert_eq!(schedules["schedules"][0]["availableSeats"], 100_000);
}

#[tokio::test]
async fn what_is_held_or_sold_cannot_be_edited_away() {
    let app = start().await;
    let show = app.show(2).await;
    let buyer = app.buyer(1).admitted(show.concert).await;
    let reservation = buyer.held(show.schedule, show.seats[0]).await;
    assert_is_protected(&app, &show).await;
    buyer.cancel(reservation).await.ok(204);
    buyer.bought(&show, show.seats[0]).await;
    assert_is_protected(&app, &show).await;
    let path = format!("/admin/schedules/{}", show.schedule);
    let patch = json!({ "startsAt": app.now().plus(days(40)).to_string() });
    app.patch(path).json(patch).await.refused(409, "SEAT_NOT_AVAILABLE");
    app.delete(format!("/admin/seats/{}", show.seats[1])).await.ok(204);
}

async fn assert_is_protected(app: &TestApp, show: &concert_tests::Show) {
    let seat = format!("/admin/seats/{}", show.seats[0]);
    app.patch(&seat).json(json!({ "price": 1 })).await.refused(409, "SEAT_NOT_AVAILABLE");
    for path in [
        seat,
        format!("/admin/schedules/{}", show.schedule),
        format!("/admin/concerts/{}", show.concert),
    ] {
        app.delete(path).await.refused(409, "SEAT_NOT_AVAILABLE");
    }
}

#[tokio::test]
async fn a_price_that_changes_shows_in_the_next_read_and_hold() {
    let app = start().await;
    let show = app.show(1).await;
    let buyer = app.buyer(1).admitted(show.concert).await;
    assert_eq!(buyer.seats(show.schedule).await.ok(200)["seats"][0]["price"], PRICE);
    let path = format!("/admin/seats/{}", show.seats[0]);
    app.patch(path).json(json!({ "price": 7 })).await.ok(200);
    assert_eq!(buyer.seats(show.schedule).await.ok(200)["seats"][0]["price"], 7);
    assert_eq!(buyer.hold(show.schedule, show.seats[0]).await.ok(201)["price"], 7);
}

#[tokio::test]
async fn the_queue_of_a_concert_can_be_watched_and_steered() {
    let app = start().await;
    let concert = app.concert().await;
    let expected = json!({
        "concertId": concert,
        "mode": "OPEN",
        "activeLimit": 50,
        "admissionsPerSecond": null,
        "waiting": 0,
        "active": 0,
        "admitted": 0,
    });
    assert_eq!(app.queue(concert).await, expected);
    let patched = app.policy(concert, json!({ "activeLimit": 1 })).await;
    assert_eq!((&patched["activeLimit"], &patched["mode"]), (&json!(1), &json!("OPEN")));
    let first = app.buyer(1).admitted(concert).await;
    app.buyer(2).join(concert).await;
    first.leave().await.ok(204);
    let seen = app.queue(concert).await;
    let counts = ["waiting", "active", "admitted"].map(|member| id(&seen[member]));
    assert_eq!(counts, [0, 1, 2]);
    let wider = app.policy(concert, json!({ "activeLimit": null })).await;
    assert_eq!(wider["activeLimit"], 50, "null goes back to the service's own limit");
}

#[tokio::test]
async fn a_policy_must_be_well_formed_and_have_a_concert() {
    let app = start().await;
    let concert = app.concert().await;
    let path = format!("/admin/concerts/{concert}/queue");
    for mode in [json!("CLOSED"), json!("open"), json!(1)] {
        app.patch(&path).json(json!({ "mode": mode })).await.names("mode");
    }
    for field in ["activeLimit", "admissionsPerSecond"] {
        for bad in [json!(0), json!(-1), json!(1_000_001), json!("5"), json!(1.5)] {
            app.patch(&path).json(json!({ field: bad })).await.names(field);
        }
    }
    let missing = format!("/admin/concerts/{}/queue", concert + 1);
    app.get(&missing).await.refused(404, "CONCERT_NOT_FOUND");
    app.patch(&missing).json(json!({})).await.refused(404, "CONCERT_NOT_FOUND");
    assert_eq!(app.queue(concert).await["activeLimit"], 50);
}

#[tokio::test]
async fn seats_come_in_a_csv_file_all_or_none() {
    let app = start().await;
    let show = app.show(2).await;
    let path = format!("/admin/schedules/{}/seats", show.schedule);
    let post = |text: &str| app.post(&path).typed("text/csv; charset=utf-8", text);
    let made = post("number,from,to,price\n3,,,1000\n,4,6,2000\n").await.ok(201);
    assert_eq!(made, json!({ "scheduleId": show.schedule, "created": 4 }));
    let refused = post("number,price\n7,1000\n8,free\n7,1000\n").await;
    refused.names("line 3, price");
    refused.names("line 4, number");
    post("number,price\n9,1\n2,1\n").await.refused(409, "CONCURRENCY_CONFLICT");
    post("").await.names("line 1");
    app.post(&path)
        .typed("text/csv; charset=latin1", "x")
        .await
        .refused(415, "UNSUPPORTED_MEDIA_TYPE");
    app.post(&path).typed("text/plain", "x").await.refused(415, "UNSUPPORTED_MEDIA_TYPE");
    let concerts = app.post("/admin/concerts").typed("text/csv", "title\nt\n").await;
    concerts.refused(415, "UNSUPPORTED_MEDIA_TYPE");
    post(&"x".repeat(4 * 1024 * 1024 + 1)).await.refused(413, "PAYLOAD_TOO_LARGE");
    assert_eq!(app.seat_ids(show.concert, show.schedule).await.len(), 6);
}

#[tokio::test]
async fn a_hundred_thousand_seats_come_in_one_file() {
    let app = start().await;
    let concert = app.concert().await;
    let starts_at = app.now().plus(days(9)).to_string();
    let schedule = app.schedule(concert, &starts_at, &starts_at).await;
    let lines: String =
        (1..=100_000).map(|number| format!("{number},{}\n", number % 7 + 1)).collect();
    let path = format!("/admin/schedules/{schedule}/seats");
    let made = app.post(path).typed("text/csv", format!("number,price\n{lines}")).await.ok(201);
    assert_eq!(made["created"], 100_000);
    let buyer = app.buyer(1).admitted(concert).await;
    let schedules = buyer.schedules(concert).await.ok(200);
    assert_eq!(schedules["schedules"][0]["availableSeats"], 100_000);
}
