use concert_app::Config;
use concert_tests::{PRICE, TestApp, days, quick, seconds};
use serde_json::{Value, json};

use crate::{NO_IDS, id, start, start_with, start_with_demo};

#[tokio::test]
async fn the_catalogue_needs_no_token() {
    let app = start().await;
    let concert = app.concert().await;
    let one = app.get(format!("/concerts/{concert}")).await.ok(200);
    assert_eq!((&one["id"], &one["title"]), (&json!(concert), &json!("Spring Night")));
    assert_eq!(app.all("/concerts").await, [one]);
    app.get(format!("/concerts/{}", concert + 1)).await.refused(404, "CONCERT_NOT_FOUND");
    for bad in NO_IDS {
        app.get(format!("/concerts/{bad}")).await.refused(400, "INVALID_INPUT");
    }
}

#[tokio::test]
async fn pages_lose_nothing_and_repeat_nothing() {
    let app = start().await;
    let mut made = Vec::new();
    for _ in 0..7 {
        made.push(app.concert().await);
    }
    for (limit, sizes) in [(1, vec![1; 7]), (3, vec![3, 3, 1]), (7, vec![7]), (100, vec![7])] {
        let pages = app.pages("/concerts", limit).await;
        assert_eq!(pages.iter().map(Vec::len).collect::<Vec<_>>(), sizes);
        let ids: Vec<_> = pages.concat().iter().map(|concert| id(&concert["id"])).collect();
        assert_eq!(ids, made);
    }
}

#[tokio::test]
async fn a_page_stays_right_while_concerts_come_and_go() {
    let app = start().await;
    let mut made = Vec::new();
    for _ in 0..4 {
        made.push(app.concert().await);
    }
    let first = app.get("/concerts?limit=2").await.ok(200);
    app.delete(format!("/admin/concerts/{}", made[0])).await.ok(204);
    let cursor = first["nextCursor"].as_str().unwrap();
    let next = app.get(format!("/concerts?limit=2&cursor={cursor}")).await.ok(200);
    let ids: Vec<_> = next["items"].as_array().unwrap().iter().map(|c| id(&c["id"])).collect();
    assert_eq!(ids, made[2..]);
}

#[tokio::test]
async fn a_limit_or_cursor_that_cannot_be_right_is_named() {
    let app = start().await;
    let lists = [
        "/concerts",
        "/concerts/ranking",
        "/users/1/reservations",
        "/users/1/payments",
        "/users/1/points/history",
    ];
    for list in lists {
        for limit in ["0", "101", "-1", "1.5", "many", "", "99999999999999999999"] {
            app.get(format!("{list}?limit={limit}")).await.names("limit");
        }
        for cursor in ["garbage", "0", "%00", "AAAA", "%ED%95%9C", &"f".repeat(300)] {
            app.get(format!("{list}?cursor={cursor}")).await.names("cursor");
        }
        app.get(format!("{list}?limit=1&limit=2")).await.names("limit");
        app.get(format!("{list}?limit=100&colour=red")).await.ok(200);
    }
}

#[tokio::test]
async fn schedules_show_dates_and_free_seats() {
    let app = start().await;
    let show = app.show_in(days(30), 3).await;
    let buyer = app.buyer(1).admitted(show.concert).await;
    let seen = buyer.schedules(show.concert).await.ok(200);
    let starts_at = seen["schedules"][0]["startsAt"].clone();
    app.assert_from_now(days(30), &starts_at);
    let expected = json!({
        "concertId": show.concert,
        "schedules": [{
            "id": show.schedule,
            "date": starts_at.as_str().unwrap()[..10],
            "startsAt": starts_at,
            "reservationOpensAt": "2020-01-01T00:00:00.000Z",
            "availableSeats": 3,
        }],
    });
    assert_eq!(seen, expected);
    buyer.held(show.schedule, show.seats[0]).await;
    let seen = buyer.schedules(show.concert).await.ok(200);
    assert_eq!(seen["schedules"][0]["availableSeats"], 2);
}

#[tokio::test]
async fn schedules_and_seats_are_for_those_admitted_to_their_concert() {
    let app = start().await;
    let (show, other) = (app.show(1).await, app.show(1).await);
    let buyer = app.buyer(1).admitted(show.concert).await;
    buyer.schedules(other.concert).await.refused(403, "TOKEN_MISMATCH");
    buyer.seats(other.schedule).await.refused(403, "TOKEN_MISMATCH");
    buyer.schedules(other.concert + 1).await.refused(404, "CONCERT_NOT_FOUND");
    buyer.seats(other.schedule + 1).await.refused(404, "SCHEDULE_NOT_FOUND");
    app.get(format!("/concerts/{}/schedules", show.concert)).await.refused(400, "MISSING_HEADER");
    app.get(format!("/schedules/{}/seats", show.schedule)).await.refused(400, "MISSING_HEADER");
    for bad in NO_IDS {
        let path = format!("/schedules/{bad}/seats");
        app.get(&path).token(&buyer.token).await.refused(400, "INVALID_INPUT");
        let path = format!("/concerts/{bad}/schedules");
        app.get(&path).token(&buyer.token).await.refused(400, "INVALID_INPUT");
    }
}

#[tokio::test]
async fn seats_show_number_price_and_state_and_can_be_filtered() {
    let app = start().await;
    let show = app.show(3).await;
    app.buyer(1).bought(&show, show.seats[2]).await;
    let buyer = app.buyer(2).admitted(show.concert).await;
    buyer.held(show.schedule, show.seats[1]).await;

    let all = buyer.seats(show.schedule).await.ok(200);
    let seat = |number: usize, status: &str| json!({ "id": show.seats[number - 1], "number": number, "status": status, "price": PRICE });
    let expected = [seat(1, "AVAILABLE"), seat(2, "TEMP_RESERVED"), seat(3, "RESERVED")];
    assert_eq!(all, json!({ "scheduleId": show.schedule, "seats": expected }));

    for (query, numbers) in [
        ("status=AVAILABLE", vec![1]),
        ("status=TEMP_RESERVED", vec![2]),
        ("status=RESERVED&status=AVAILABLE", vec![1, 3]),
        ("status=AVAILABLE&status=AVAILABLE", vec![1]),
    ] {
        let path = format!("/schedules/{}/seats?{query}", show.schedule);
        let seen = app.get(path).token(&buyer.token).await.ok(200);
        let seats = seen["seats"].as_array().unwrap();
        let seen: Vec<_> = seats.iter().map(|seat| id(&seat["number"])).collect();
        assert_eq!(seen, numbers, "{query}");
    }
    for bad in ["SOLD", "available", "", "AVAILABLE&status=X"] {
        let path = format!("/schedules/{}/seats?status={bad}", show.schedule);
        app.get(path).token(&buyer.token).await.names("status");
    }
}

#[tokio::test]
async fn an_unchanged_seat_list_is_304_and_a_changed_one_is_sent_again() {
    let app = start().await;
    let show = app.show(2).await;
    let buyer = app.buyer(1).admitted(show.concert).await;
    let tag = buyer.seats(show.schedule).await.header("etag").expect("an ETag").to_owned();
    let weak = format!("W/{tag}");
    let list = format!("\"other\", {tag}");
    for matching in [&tag, &weak, &list, "*"] {
        let answer = buyer.seats(show.schedule).header("If-None-Match", matching).await;
        assert_eq!(answer.header("etag"), Some(&*tag), "{matching}");
        assert!(answer.bytes.is_empty());
        answer.ok(304);
    }
    buyer.held(show.schedule, show.seats[0]).await;
    let answer = buyer.seats(show.schedule).header("If-None-Match", &tag).await;
    assert_ne!(answer.header("etag"), Some(&*tag));
    answer.ok(200);
}

#[tokio::test]
async fn a_filtered_list_has_a_tag_of_its_own() {
    let app = start().await;
    let show = app.show(2).await;
    let buyer = app.buyer(1).admitted(show.concert).await;
    let tag = buyer.seats(show.schedule).await.header("etag").expect("an ETag").to_owned();
    let path = format!("/schedules/{}/seats?status=RESERVED", show.schedule);
    app.get(path).token(&buyer.token).header("If-None-Match", &tag).await.ok(200);
}

#[tokio::test]
async fn every_change_of_a_seat_shows_in_the_next_read() {
    let app = start_with(Config { hold_ttl: seconds(3), ..quick() }).await;
    let show = app.show(1).await;
    let seat = show.seats[0];
    assert_eq!(app.seat_status(&show, seat).await, "AVAILABLE");
    let buyer = app.buyer(1).rich(PRICE).await.admitted(show.concert).await;
    let reservation = buyer.held(show.schedule, seat).await;
    assert_eq!(app.seat_status(&show, seat).await, "TEMP_RESERVED");
    buyer.cancel(reservation).await.ok(204);
    assert_eq!(app.seat_status(&show, seat).await, "AVAILABLE");
    buyer.held(show.schedule, seat).await;
    assert_eq!(app.seat_status(&show, seat).await, "TEMP_RESERVED");
    app.pass(seconds(3)).await;
    assert_eq!(app.seat_status(&show, seat).await, "AVAILABLE", "the hold has ended");
    let payment = buyer.pay(buyer.held(show.schedule, seat).await).await.ok(201);
    assert_eq!(app.seat_status(&show, seat).await, "RESERVED");
    buyer.refund(id(&payment["paymentId"])).await.ok(200);
    assert_eq!(app.seat_status(&show, seat).await, "AVAILABLE");
}

#[tokio::test]
async fn the_demo_data_is_what_is_promised() {
    let app = start_with_demo().await;
    let concerts = app.all("/concerts").await;
    assert_eq!(ids(&concerts), (1..=10).collect::<Vec<_>>());
    let buyer = app.buyer(1).admitted(1).await;
    let schedules = buyer.schedules(1).await.ok(200)["schedules"].as_array().unwrap().clone();
    assert_eq!(ids(&schedules), [1, 2, 3]);
    assert_demo_prices(&app, &buyer.token).await;
    for user in [1, 100] {
        let points = app.buyer(user).balance().await;
        assert!((10_000..=500_000).contains(&points), "user {user} has {points}");
        app.get(format!("/users/{user}")).await.ok(200);
    }
    assert_eq!(app.buyer(101).balance().await, 0);
}

async fn assert_demo_prices(app: &TestApp, token: &str) {
    let seats = app.get("/schedules/1/seats").token(token).await.ok(200);
    let seats = seats["seats"].as_array().unwrap();
    let prices: Vec<_> = seats.iter().map(|seat| id(&seat["price"])).collect();
    let expected = [vec![150_000; 10], vec![120_000; 20], vec![80_000; 20]].concat();
    assert_eq!(prices, expected);
    assert_eq!(ids(seats), (1..=50).collect::<Vec<_>>());
}

fn ids(items: &[Value]) -> Vec<i64> {
    items.iter().map(|item| id(&item["id"])).collect()
}
