//! Edits of operators: on which version, and what the audit log says of them.

use concert_tests::{Answer, TestApp, days};
use serde_json::{Value, json};

use crate::start;

fn tag(answer: &Answer) -> String {
    answer.header("etag").expect("an ETag").to_owned()
}

async fn changes(app: &TestApp, query: &str) -> Vec<Value> {
    let page = app.get(format!("/admin/audit?limit=100{query}")).await.ok(200);
    page["items"].as_array().expect("items").clone()
}

#[tokio::test]
async fn an_edit_is_made_on_the_version_that_was_read_or_not_at_all() {
    let app = start().await;
    let show = app.show(1).await;
    let concert = format!("/admin/concerts/{}", show.concert);
    let schedule = format!("/admin/schedules/{}", show.schedule);
    let queue = format!("{concert}/queue");
    let public = format!("/concerts/{}", show.concert);
    for (read, path, body) in [
        (&public, &concert, json!({ "title": "new" })),
        (&schedule, &schedule, json!({ "reservationOpensAt": "2020-01-01T00:00:00.000Z" })),
        (&queue, &queue, json!({ "activeLimit": 7 })),
    ] {
        let read = tag(&app.get(read).await);
        let patch = || app.patch(path).json(body.clone());
        let edited = patch().header("If-Match", &read).await;
        let now = tag(&edited);
        edited.ok(200);
        assert_ne!(now, read);
        patch().header("If-Match", &read).await.refused(412, "PRECONDITION_FAILED");
        patch().header("If-Match", format!("W/{now}")).await.refused(412, "PRECONDITION_FAILED");
        patch().header("If-Match", "\"nonsense\"").await.refused(412, "PRECONDITION_FAILED");
        for bad in ["3", "\"3", "", "\"3\" x"] {
            patch().header("If-Match", bad).await.names("If-Match");
        }
        let one_of = format!("\"x\", {now}");
        assert_eq!(patch().header("If-Match", one_of).await.status, 200);
        assert_eq!(patch().header("If-Match", "*").await.status, 200);
        assert_eq!(patch().await.status, 200, "without a condition on whatever there is");
    }
    for path in [&schedule, &concert] {
        app.delete(path).header("If-Match", "\"1\"").await.refused(412, "PRECONDITION_FAILED");
    }
    let now = tag(&app.get(&schedule).await);
    app.delete(&schedule).header("If-Match", now).await.ok(204);
    app.delete(&schedule).header("If-Match", "*").await.refused(404, "SCHEDULE_NOT_FOUND");
    app.get(&schedule).await.refused(404, "SCHEDULE_NOT_FOUND");
    app.delete(&concert).header("If-Match", tag(&app.get(&public).await)).await.ok(204);
}

#[tokio::test]
async fn what_is_made_comes_with_its_tag() {
    let app = start().await;
    let made = app.post("/admin/concerts").json(json!({ "title": "t" })).await;
    assert_eq!(tag(&made), "\"1\"");
    let path = format!("/admin/concerts/{}/schedules", made.ok(201)["id"]);
    let times =
        json!({ "startsAt": "2099-01-01T00:00:00Z", "reservationOpensAt": "2020-01-01T00:00:00Z" });
    let made = app.post(path).json(times).await;
    assert_eq!(tag(&made), "\"1\"");
    let location = made.header("location").expect("a place").replace("/api/v1", "");
    assert_eq!(app.get(location).await.ok(200), made.ok(201));
}

#[tokio::test]
async fn a_sale_is_moved_only_when_the_operator_says_so() {
    let app = start().await;
    let show = app.show(1).await;
    app.buyer(1).admitted(show.concert).await.bought(&show, show.seats[0]).await;
    let path = format!("/admin/schedules/{}", show.schedule);
    let to = app.now().plus(days(40)).to_string();
    let silent = json!({ "startsAt": to, "moveSold": false });
    app.patch(&path).json(silent).await.refused(409, "SEAT_NOT_AVAILABLE");
    app.patch(&path).json(json!({ "startsAt": to, "moveSold": null })).await.names("moveSold");
    let moved = app.patch(&path).json(json!({ "startsAt": to, "moveSold": true })).await.ok(200);
    assert_eq!(moved["startsAt"], to);
    let line = changes(&app, &format!("&resource=SCHEDULE&resourceId={}", show.schedule)).await;
    assert_eq!(line[0]["after"]["movedWithTakenSeats"], true);
    assert_eq!(line[0]["before"]["version"], 1);
}

#[tokio::test]
async fn every_change_is_in_the_audit_log_and_a_refused_one_is_not() {
    let app = start().await;
    let made = app.post("/admin/concerts").user(77).json(json!({ "title": "t" })).await;
    let request = made.header("x-request-id").expect("a name").to_owned();
    let concert = made.ok(201)["id"].clone();
    let line = changes(&app, "").await.remove(0);
    app.assert_now(&line["at"]);
    let expected = json!({
        "id": line["id"], "at": line["at"], "actor": 77, "requestId": request, "action": "CREATE",
        "resource": "CONCERT", "resourceId": concert, "before": null,
        "after": { "title": "t", "description": null, "version": 1 },
    });
    assert_eq!(line, expected);

    let path = format!("/admin/concerts/{concert}");
    let patch = json!({ "title": "u" });
    app.patch(&path)
        .json(patch.clone())
        .header("If-Match", "\"9\"")
        .await
        .refused(412, "PRECONDITION_FAILED");
    app.patch(&path).json(json!({ "title": "" })).await.names("title");
    assert_eq!(changes(&app, "").await.len(), 1);
    app.patch(&path).json(patch).await.ok(200);
    app.policy(concert.as_i64().unwrap(), json!({ "mode": "HOLD" })).await;
    app.delete(&path).await.ok(204);
    let seen = changes(&app, "").await;
    let words: Vec<_> = seen.iter().map(|line| [&line["action"], &line["resource"]]).collect();
    assert_eq!(
        words,
        [["DELETE", "CONCERT"], ["UPDATE", "QUEUE"], ["UPDATE", "CONCERT"], ["CREATE", "CONCERT"]]
    );
    assert!(seen.iter().skip(1).take(2).all(|line| line["actor"].is_null()));
}

#[tokio::test]
async fn the_audit_log_is_read_in_pages_and_by_what_was_changed() {
    let app = start().await;
    let (one, other) = (app.concert().await, app.concert().await);
    for concert in [one, other, one] {
        app.policy(concert, json!({ "mode": "HOLD" })).await;
    }
    let all: Vec<Value> = app.pages("/admin/audit", 2).await.concat();
    assert_eq!(all.len(), 5);
    assert!(all.is_sorted_by(|newer, older| newer["id"].as_i64() > older["id"].as_i64()));
    assert_eq!(changes(&app, "&resource=QUEUE").await.len(), 3);
    assert_eq!(changes(&app, &format!("&resource=QUEUE&resourceId={one}")).await.len(), 2);
    for (bad, field) in [
        ("resource=queue", "resource"),
        ("resource=QUEUE&resource=SEAT", "resource"),
        ("resource=QUEUE&resourceId=0", "resourceId"),
        ("resource=QUEUE&resourceId=x", "resourceId"),
        ("resourceId=1", "resource"),
        ("limit=0", "limit"),
        ("cursor=1", "cursor"),
    ] {
        app.get(format!("/admin/audit?{bad}")).await.names(field);
    }
}

#[tokio::test]
async fn many_seats_are_one_line() {
    let app = start().await;
    let (concert, starts_at) = (app.concert().await, app.now().plus(days(9)).to_string());
    let schedule = app.schedule(concert, &starts_at, &starts_at).await;
    app.add_seats(schedule, 5_000).await;
    let line = changes(&app, "&resource=SEATS").await.remove(0);
    assert_eq!((&line["resourceId"], &line["after"]["seats"]), (&json!(schedule), &json!(5_000)));
    assert_eq!(line["after"]["ranges"].as_array().map(Vec::len), Some(1));
}
