use concert_app::Config;
use concert_app::config::Limits;
use concert_tests::{PRICE, TestApp, days, quick, seconds};
use futures::future::join_all;
use serde_json::json;

use crate::{NO_IDS, engines, id, no_ids, start, start_with};

#[tokio::test]
async fn a_hold_is_created_pending_for_five_minutes() {
    let app = start().await;
    let show = app.show(1).await;
    let buyer = app.buyer(1).admitted(show.concert).await;
    let answer = buyer.hold(show.schedule, show.seats[0]).await;
    let location = answer.header("location").expect("a Location").to_owned();
    let held = answer.ok(201);
    assert_eq!(location, format!("/api/v1/reservations/{}", held["reservationId"]));
    for (member, value) in [
        ("status", json!("PENDING")),
        ("seatId", json!(show.seats[0])),
        ("scheduleId", json!(show.schedule)),
        ("price", json!(PRICE)),
    ] {
        assert_eq!(held[member], value, "{member}");
    }
    app.assert_from_now(seconds(300), &held["expiresAt"]);
    assert_eq!(buyer.reservation(id(&held["reservationId"])).await.ok(200), held);
}

#[tokio::test]
async fn of_many_who_want_one_seat_one_gets_it() {
    let app = start().await;
    let show = app.show(1).await;
    let mut buyers = Vec::new();
    for user in 1..=30 {
        buyers.push(app.buyer(user).admitted(show.concert).await);
    }
    let answers =
        join_all(buyers.iter().map(|b| async { b.hold(show.schedule, show.seats[0]).await })).await;
    let (won, lost): (Vec<_>, Vec<_>) = answers.into_iter().partition(|a| a.status == 201);
    assert_eq!((won.len(), lost.len()), (1, 29));
    for answer in lost {
        answer.refused(409, "SEAT_NOT_AVAILABLE");
    }
}

/// The ids, the locks and the queues of two processes must never meet in a wrong way.
#[tokio::test]
async fn two_processes_over_one_store_sell_a_seat_once_and_admit_no_more() {
    let engines = engines().await;
    let apps = [TestApp::start(engines.clone()).await, TestApp::start(engines).await];
    let show = apps[0].show(2).await;
    apps[1].policy(show.concert, json!({ "activeLimit": 10 })).await;
    let joins = (1..=20).map(|user| apps[user % 2].buyer(user as i64).join(show.concert));
    let buyers = join_all(joins).await;
    assert_eq!(apps[0].queue(show.concert).await["active"], 10);
    let answers =
        join_all(buyers.iter().map(|b| async { b.hold(show.schedule, show.seats[0]).await })).await;
    let won = answers.iter().filter(|answer| answer.status == 201).count();
    let late = answers.iter().filter(|answer| answer.status == 401).count();
    assert_eq!((won, late), (1, 10), "{answers:?}");
}

#[tokio::test]
async fn the_owner_of_the_token_holds_where_the_body_names_nobody() {
    let app = start().await;
    let show = app.show(1).await;
    let buyer = app.buyer(5).admitted(show.concert).await;
    let body = json!({ "scheduleId": show.schedule, "seatId": show.seats[0] });
    let held = app.post("/reservations").token(&buyer.token).json(body).await.ok(201);
    buyer.reservation(id(&held["reservationId"])).await.ok(200);
}

#[tokio::test]
async fn a_token_is_good_for_its_user_its_concert_and_seats_of_the_schedule() {
    let app = start().await;
    let (show, other) = (app.show(1).await, app.show(1).await);
    let buyer = app.buyer(1).admitted(show.concert).await;
    let thief = app.buyer(2).with_token(&buyer.token);
    thief.hold(show.schedule, show.seats[0]).await.refused(403, "TOKEN_MISMATCH");
    buyer.hold(other.schedule, other.seats[0]).await.refused(403, "TOKEN_MISMATCH");
    buyer.hold(show.schedule, other.seats[0]).await.refused(404, "SEAT_NOT_FOUND");
    buyer.hold(show.schedule, other.seats[0] + 100).await.refused(404, "SEAT_NOT_FOUND");
    buyer.hold(other.schedule + 1, show.seats[0]).await.refused(404, "SCHEDULE_NOT_FOUND");
    assert_eq!(app.seat_status(&show, show.seats[0]).await, "AVAILABLE");
}

#[tokio::test]
async fn nothing_can_be_held_before_reservations_open() {
    let app = start().await;
    let concert = app.concert().await;
    let opens_at = app.now().plus(seconds(4)).to_string();
    let starts_at = app.now().plus(days(9)).to_string();
    let schedule = app.schedule(concert, &starts_at, &opens_at).await;
    app.add_seats(schedule, 1).await;
    let seats = app.seat_ids(concert, schedule).await;
    let buyer = app.buyer(1).admitted(concert).await;
    buyer.hold(schedule, seats[0]).await.refused(403, "RESERVATION_NOT_OPEN");
    app.pass(seconds(4)).await;
    buyer.held(schedule, seats[0]).await;
}

#[tokio::test]
async fn a_pending_hold_can_be_let_go_and_again() {
    let app = start().await;
    let show = app.show(1).await;
    let buyer = app.buyer(1).admitted(show.concert).await;
    let reservation = buyer.held(show.schedule, show.seats[0]).await;
    buyer.cancel(reservation).await.ok(204);
    buyer.cancel(reservation).await.ok(204);
    assert_eq!(buyer.reservation(reservation).await.ok(200)["status"], "CANCELLED");
    app.buyer(2).admitted(show.concert).await.held(show.schedule, show.seats[0]).await;
    buyer.cancel(reservation).await.ok(204);
    assert_eq!(app.seat_status(&show, show.seats[0]).await, "TEMP_RESERVED");
}

#[tokio::test]
async fn an_expired_hold_can_be_let_go_and_a_paid_one_cannot() {
    let app = start_with(Config { hold_ttl: seconds(3), ..quick() }).await;
    let show = app.show(2).await;
    let buyer = app.buyer(1).rich(PRICE).await.admitted(show.concert).await;
    let expired = buyer.held(show.schedule, show.seats[0]).await;
    app.pass(seconds(3)).await;
    buyer.cancel(expired).await.ok(204);
    assert_eq!(buyer.reservation(expired).await.ok(200)["status"], "EXPIRED");
    let paid = buyer.held(show.schedule, show.seats[1]).await;
    buyer.pay(paid).await.ok(201);
    buyer.cancel(paid).await.refused(409, "RESERVATION_NOT_PENDING");
}

#[tokio::test]
async fn someone_elses_reservation_answers_as_a_missing_one() {
    let app = start().await;
    let show = app.show(1).await;
    let buyer = app.buyer(1).admitted(show.concert).await;
    let reservation = buyer.held(show.schedule, show.seats[0]).await;
    let stranger = app.buyer(2);
    for id in [reservation, reservation + 9_999] {
        stranger.reservation(id).await.refused(404, "RESERVATION_NOT_FOUND");
        stranger.cancel(id).await.refused(404, "RESERVATION_NOT_FOUND");
    }
    let theirs = stranger.reservation(reservation).await;
    let missing = stranger.reservation(reservation + 9_999).await;
    assert_eq!(theirs.body["detail"], missing.body["detail"]);
    assert_eq!(app.seat_status(&show, show.seats[0]).await, "TEMP_RESERVED");
    let path = format!("/reservations/{reservation}");
    app.get(&path).await.refused(401, "UNAUTHENTICATED");
    app.delete(&path).await.refused(401, "UNAUTHENTICATED");
    for bad in NO_IDS {
        app.get(format!("/reservations/{bad}")).user(1).await.refused(400, "INVALID_INPUT");
    }
}

#[tokio::test]
async fn the_history_is_the_users_own_newest_first_in_pages() {
    let app = start().await;
    let show = app.show(5).await;
    let buyer = app.buyer(1).admitted(show.concert).await;
    let mut made = Vec::new();
    for seat in &show.seats {
        // No more holds at a time than one may have.
        if let Some(last) = made.last() {
            buyer.cancel(*last).await.ok(204);
        }
        made.push(buyer.held(show.schedule, *seat).await);
    }
    made.reverse();
    buyer.cancel(made[0]).await.ok(204);
    let pages = app.pages("/users/1/reservations", 2).await;
    assert_eq!(pages.iter().map(Vec::len).collect::<Vec<_>>(), [2, 2, 1]);
    let items = pages.concat();
    let ids: Vec<_> = items.iter().map(|item| id(&item["reservationId"])).collect();
    assert_eq!(ids, made);
    assert_eq!(items[0], buyer.reservation(made[0]).await.ok(200));
    assert!(app.all("/users/2/reservations").await.is_empty());
}

#[tokio::test]
async fn a_hold_must_be_well_formed() {
    let app = start().await;
    let show = app.show(1).await;
    let buyer = app.buyer(1).admitted(show.concert).await;
    for field in ["userId", "scheduleId", "seatId"] {
        for bad in no_ids() {
            let mut body =
                json!({ "userId": 1, "scheduleId": show.schedule, "seatId": show.seats[0] });
            body[field] = bad;
            app.post("/reservations").token(&buyer.token).json(body).await.names(field);
        }
    }
    for (field, body) in [
        ("seatId", json!({ "userId": 1, "scheduleId": show.schedule })),
        ("scheduleId", json!({ "userId": 1, "seatId": show.seats[0] })),
    ] {
        app.post("/reservations").token(&buyer.token).json(body).await.names(field);
    }
    let body = json!({ "scheduleId": show.schedule, "seatId": show.seats[0] });
    app.post("/reservations").json(body).await.refused(400, "MISSING_HEADER");
}

#[tokio::test]
async fn refusals_come_in_the_order_who_what_may_and_state() {
    let app = start().await;
    let (show, other) = (app.show(1).await, app.show(1).await);
    let buyer = app.buyer(1).admitted(show.concert).await;
    app.buyer(2).admitted(show.concert).await.held(show.schedule, show.seats[0]).await;
    let malformed = json!({ "userId": 1, "scheduleId": other.schedule, "seatId": 0 });
    let hold = |token: &str, body| app.post("/reservations").token(token).json(body);

    hold("garbage", malformed.clone()).await.refused(401, "TOKEN_NOT_FOUND");
    hold(&buyer.token, malformed).await.refused(400, "INVALID_INPUT");
    let mismatch = json!({ "userId": 1, "scheduleId": other.schedule, "seatId": show.seats[0] });
    hold(&buyer.token, mismatch).await.refused(403, "TOKEN_MISMATCH");
    buyer.hold(show.schedule, other.seats[0]).await.refused(404, "SEAT_NOT_FOUND");
    buyer.hold(show.schedule, show.seats[0]).await.refused(409, "SEAT_NOT_AVAILABLE");
}

#[tokio::test]
async fn a_user_holds_only_a_few_seats_of_a_concert_at_once() {
    let app =
        start_with(Config { limits: Limits { holds_per_user: 2, ..quick().limits }, ..quick() })
            .await;
    let (show, other) = (app.show(4).await, app.show(1).await);
    let buyer = app.buyer(7).admitted(show.concert).await;
    let first = buyer.held(show.schedule, show.seats[0]).await;
    buyer.held(show.schedule, show.seats[1]).await;
    buyer.hold(show.schedule, show.seats[2]).await.refused(409, "HOLD_LIMIT_EXCEEDED");
    let elsewhere = app.buyer(7).admitted(other.concert).await;
    elsewhere.held(other.schedule, other.seats[0]).await;
    app.buyer(8).admitted(show.concert).await.held(show.schedule, show.seats[3]).await;
    buyer.cancel(first).await.ok(204);
    buyer.held(show.schedule, show.seats[2]).await;
}
