use serde_json::json;

use crate::{NO_IDS, id, no_ids, start};

#[tokio::test]
async fn a_user_without_an_id_gets_a_new_one() {
    let app = start().await;
    let mut ids = std::collections::HashSet::new();
    for name in ["Kim", "김하늘"] {
        let answer = app.post("/users").json(json!({ "name": name })).await;
        let location = answer.header("location").expect("a Location").to_owned();
        let user = answer.ok(201);
        assert_eq!(location, format!("/api/v1/users/{}", user["userId"]));
        assert_eq!(user["name"], name);
        app.assert_now(&user["createdAt"]);
        assert!(ids.insert(id(&user["userId"])));
        assert_eq!(app.get(format!("/users/{}", user["userId"])).await.ok(200), user);
    }
}

#[tokio::test]
async fn a_new_id_is_never_one_that_was_named_before() {
    let app = start().await;
    for taken in [1, 2, 3] {
        app.post("/users").json(json!({ "userId": taken, "name": "Lee" })).await.ok(201);
    }
    let user = app.post("/users").json(json!({ "name": "Park" })).await.ok(201);
    assert!(id(&user["userId"]) > 3, "{user}");
}

#[tokio::test]
async fn a_name_can_be_kept_for_a_given_id_and_changed() {
    let app = start().await;
    let keep = |name: &str| app.post("/users").json(json!({ "userId": 77, "name": name }));
    let first = keep("Lee").await.ok(201);
    assert_eq!(first["userId"], 77);
    let again = keep("Choi").await.ok(200);
    assert_eq!((&again["name"], &again["createdAt"]), (&json!("Choi"), &first["createdAt"]));
    assert_eq!(app.get("/users/77").await.ok(200), again);
}

#[tokio::test]
async fn names_and_ids_must_be_well_formed() {
    let app = start().await;
    for name in [json!(""), json!("  "), json!("a\nb"), json!("x".repeat(101)), json!(1)] {
        app.post("/users").json(json!({ "name": name })).await.names("name");
    }
    app.post("/users").json(json!({})).await.names("name");
    for bad in no_ids() {
        app.post("/users").json(json!({ "userId": bad, "name": "Kim" })).await.names("userId");
    }
    for bad in NO_IDS {
        app.get(format!("/users/{bad}")).await.refused(400, "INVALID_INPUT");
        app.get(format!("/users/{bad}/payments")).await.refused(400, "INVALID_INPUT");
        app.get(format!("/users/{bad}/reservations")).await.refused(400, "INVALID_INPUT");
    }
    app.get("/users/9007199254740991").await.refused(404, "USER_NOT_FOUND");
}
