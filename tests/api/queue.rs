use concert_app::Config;
use concert_tests::{Buyer, TestApp, eventually, quick, seconds};
use serde_json::json;

use crate::{no_ids, start, start_with};

/// A concert whose queue admits so many.
pub async fn narrow(app: &TestApp, limit: u32) -> i64 {
    let concert = app.concert().await;
    app.policy(concert, json!({ "activeLimit": limit })).await;
    concert
}

/// Users 1 to `count`, joined in that order.
pub async fn line_up(app: &TestApp, concert: i64, count: i64) -> Vec<Buyer> {
    let mut line = Vec::new();
    for user in 1..=count {
        line.push(app.buyer(user).join(concert).await);
    }
    line
}

pub async fn becomes(buyer: &Buyer, status: &str) {
    eventually(status, async || (buyer.standing().await == status).then_some(())).await;
}

#[tokio::test]
async fn a_first_join_is_created_and_asking_again_finds_the_same_place() {
    let app = start().await;
    let concert = narrow(&app, 1).await;
    line_up(&app, concert, 2).await;

    let first = app.buyer(3).joining(concert).await;
    assert_eq!(first.header("location"), Some("/api/v1/queue/status"));
    let first = first.ok(201);
    assert_eq!((&first["status"], &first["rank"]), (&json!("WAITING"), &json!(2)));
    assert!(first["estimatedWaitTime"].is_u64());

    let again = app.buyer(3).joining(concert).await.ok(200);
    assert_eq!((&again["token"], &again["rank"]), (&first["token"], &json!(2)));
}

#[tokio::test]
async fn twenty_joins_of_one_user_at_once_get_one_place() {
    let app = start().await;
    let concert = narrow(&app, 1).await;
    app.buyer(1).join(concert).await;
    let joins = (0..20).map(|_| app.buyer(2).join(concert));
    let tokens: std::collections::HashSet<_> =
        futures::future::join_all(joins).await.into_iter().map(|buyer| buyer.token).collect();
    assert_eq!(tokens.len(), 1);
    assert_eq!(app.queue(concert).await["waiting"], 1);
}

#[tokio::test]
async fn no_more_are_active_than_the_limit_and_the_rest_wait_in_order() {
    let app = start().await;
    let concert = narrow(&app, 2).await;
    let line = line_up(&app, concert, 5).await;
    let mut seen = Vec::new();
    for buyer in &line {
        seen.push((buyer.standing().await, buyer.rank().await));
    }
    let (active, waiting) = ("ACTIVE".to_owned(), "WAITING".to_owned());
    let expected = [(&active, 0), (&active, 0), (&waiting, 1), (&waiting, 2), (&waiting, 3)];
    assert_eq!(seen, expected.map(|(status, rank)| (status.clone(), rank)));
}

#[tokio::test]
async fn a_poll_tells_when_to_poll_again_and_until_when_an_active_token_lasts() {
    let app = start().await;
    let concert = narrow(&app, 1).await;
    let line = line_up(&app, concert, 2).await;
    for (buyer, active) in line.iter().zip([true, false]) {
        let answer = buyer.status().await;
        let after = answer.header("retry-after").map(str::to_owned);
        let body = answer.ok(200);
        assert_eq!(after, Some(body["pollAfter"].to_string()));
        assert!(body["pollAfter"].as_u64().is_some_and(|after| after >= 1));
        assert_eq!(body["token"], buyer.token);
        assert_eq!(body["expiresAt"].is_string(), active, "{body}");
    }
    app.assert_from_now(seconds(600), &line[0].status().await.ok(200)["expiresAt"]);
}

#[tokio::test]
async fn leaving_frees_the_slot_at_once_and_leaving_twice_is_leaving_once() {
    let app = start().await;
    let concert = narrow(&app, 1).await;
    let line = line_up(&app, concert, 4).await;
    line[1].leave().await.ok(204);
    assert_eq!(line[2].rank().await, 1, "who leaves makes the line shorter");
    line[0].leave().await.ok(204);
    line[0].leave().await.ok(204);
    assert_eq!(line[0].standing().await, "EXPIRED");
    assert_eq!(line[2].standing().await, "ACTIVE");
    assert_eq!(line[3].rank().await, 1);
}

#[tokio::test]
async fn a_newcomer_never_overtakes_those_who_wait() {
    let app = start().await;
    let concert = narrow(&app, 1).await;
    let line = line_up(&app, concert, 3).await;
    app.policy(concert, json!({ "mode": "HOLD" })).await;
    line[0].leave().await.ok(204);
    let newcomer = app.buyer(9).join(concert).await;
    assert_eq!(newcomer.rank().await, 3);
    app.policy(concert, json!({ "mode": "OPEN" })).await;
    assert_eq!(line[1].standing().await, "ACTIVE");
    assert_eq!(newcomer.rank().await, 2);
}

/// S1: after as many walk-aways as there are slots, nobody was admitted ever again.
#[tokio::test]
async fn s1_slots_of_those_who_walked_away_go_to_the_next_in_line() {
    let app = start_with(Config { queue_claim_ttl: seconds(2), ..quick() }).await;
    let concert = narrow(&app, 2).await;
    let line = line_up(&app, concert, 4).await;
    app.pass(seconds(2)).await;
    becomes(&line[2], "ACTIVE").await;
    becomes(&line[3], "ACTIVE").await;
    assert_eq!(line[0].standing().await, "EXPIRED");
}

#[tokio::test]
async fn after_the_end_a_join_starts_anew_with_another_token() {
    let app = start().await;
    let concert = app.concert().await;
    let before = app.buyer(1).admitted(concert).await;
    before.leave().await.ok(204);
    let answer = app.buyer(1).joining(concert).await.ok(201);
    assert_ne!(answer["token"], before.token);
}

#[tokio::test]
async fn hold_admits_nobody_until_the_queue_is_opened() {
    let app = start().await;
    let concert = app.concert().await;
    app.policy(concert, json!({ "mode": "HOLD" })).await;
    let line = line_up(&app, concert, 2).await;
    app.pass(seconds(1)).await;
    assert_eq!(line[0].standing().await, "WAITING");
    let queue = app.policy(concert, json!({ "mode": "OPEN" })).await;
    assert_eq!((&queue["waiting"], &queue["active"]), (&json!(0), &json!(2)));
    assert_eq!(line[1].standing().await, "ACTIVE");
}

#[tokio::test]
async fn drain_takes_nobody_new_and_admits_those_who_wait() {
    let app = start().await;
    let concert = narrow(&app, 1).await;
    let line = line_up(&app, concert, 2).await;
    app.policy(concert, json!({ "mode": "DRAIN" })).await;
    app.buyer(3).joining(concert).await.refused(409, "QUEUE_CLOSED");
    app.buyer(2).joining(concert).await.ok(200);
    line[0].leave().await.ok(204);
    assert_eq!(line[1].standing().await, "ACTIVE");
}

#[tokio::test]
async fn a_rate_bounds_the_admissions_of_a_second() {
    let app = start().await;
    let concert = app.concert().await;
    app.policy(concert, json!({ "mode": "HOLD", "admissionsPerSecond": 2 })).await;
    line_up(&app, concert, 7).await;
    let opened = app.policy(concert, json!({ "mode": "OPEN" })).await;
    assert_eq!(opened["active"], 2, "one second's worth at once");
    app.pass(seconds(1)).await;
    eventually("two more", async || (app.queue(concert).await["active"] == 4).then_some(())).await;
    let free = app.policy(concert, json!({ "admissionsPerSecond": null })).await;
    assert_eq!((&free["active"], &free["admissionsPerSecond"]), (&json!(7), &json!(null)));
}

#[tokio::test]
async fn queues_of_two_concerts_know_nothing_of_each_other() {
    let app = start().await;
    let (one, other) = (narrow(&app, 1).await, narrow(&app, 1).await);
    let here = app.buyer(1).admitted(one).await;
    let there = app.buyer(1).admitted(other).await;
    assert_ne!(here.token, there.token);
    here.schedules(other).await.refused(403, "TOKEN_MISMATCH");
}

#[tokio::test]
async fn a_token_that_waits_or_has_ended_opens_no_door() {
    let app = start().await;
    let show = app.show(1).await;
    app.policy(show.concert, json!({ "activeLimit": 1 })).await;
    let line = line_up(&app, show.concert, 2).await;
    for call in [
        line[1].schedules(show.concert),
        line[1].seats(show.schedule),
        line[1].hold(show.schedule, show.seats[0]),
        line[1].pay(1),
    ] {
        call.await.refused(401, "TOKEN_NOT_ACTIVE");
    }
    line[0].leave().await.ok(204);
    for call in [
        line[0].schedules(show.concert),
        line[0].seats(show.schedule),
        line[0].hold(show.schedule, show.seats[0]),
        line[0].pay(1),
    ] {
        call.await.refused(401, "TOKEN_EXPIRED");
    }
}

#[tokio::test]
async fn a_token_that_is_missing_unknown_or_garbage_is_told_apart() {
    let app = start().await;
    app.get("/queue/status").await.refused(400, "MISSING_HEADER");
    app.delete("/queue/tokens").await.refused(400, "MISSING_HEADER");
    for token in ["0123456789abcdef0123456789abcdef", "garbage", "0", "한국어"] {
        app.get("/queue/status").token(token).await.refused(401, "TOKEN_NOT_FOUND");
    }
    let twice = app.get("/queue/status").token("a").token("b").await;
    assert_eq!(twice.status, 400, "{twice:?}");
}

#[tokio::test]
async fn a_join_must_be_well_formed_and_name_a_concert_that_exists() {
    let app = start().await;
    let concert = app.concert().await;
    app.buyer(1).joining(concert + 1).await.refused(404, "CONCERT_NOT_FOUND");
    for bad in no_ids() {
        let body = json!({ "userId": bad, "concertId": concert });
        app.post("/queue/tokens").json(body).await.names("userId");
        let body = json!({ "userId": 1, "concertId": bad });
        app.post("/queue/tokens").json(body).await.names("concertId");
    }
    app.post("/queue/tokens").json(json!({ "userId": 1 })).await.names("concertId");
}

#[tokio::test]
async fn a_join_takes_the_caller_from_the_header_where_the_body_names_none() {
    let app = start().await;
    let concert = app.concert().await;
    let body = json!({ "concertId": concert });
    app.post("/queue/tokens").json(body.clone()).await.refused(401, "UNAUTHENTICATED");
    let joined = app.post("/queue/tokens").user(7).json(body).await.ok(201);
    assert_eq!(app.buyer(7).joining(concert).await.ok(200)["token"], joined["token"]);
}

#[tokio::test]
async fn a_queue_token_counts_in_its_header_only() {
    let app = start().await;
    let concert = app.concert().await;
    let buyer = app.buyer(1).admitted(concert).await;
    let token = &buyer.token;
    for name in ["Concert-Queue-Token", "concertQueueToken", "token"] {
        let path = format!("/queue/status?{name}={token}");
        app.get(&path).await.refused(400, "MISSING_HEADER");
        let cookie = format!("{name}={token}");
        app.get("/queue/status").header("Cookie", cookie).await.refused(400, "MISSING_HEADER");
        let body = json!({ (name): token, "scheduleId": 1, "seatId": 1 });
        app.post("/reservations").json(body).await.refused(400, "MISSING_HEADER");
    }
    app.get("/queue/status").bearer(token).await.refused(400, "MISSING_HEADER");
    assert_eq!(buyer.standing().await, "ACTIVE");
}
