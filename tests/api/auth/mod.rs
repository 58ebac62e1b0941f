//! Who may do what, with bearer tokens: every route of the API, with every kind of caller.

mod issuer;
mod world;

use std::collections::BTreeSet;

use concert_app::Config;
use concert_app::config::Callers;
use concert_tests::{PRICE, ROUTES, TestApp, quick};
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use serde_json::json;

use crate::engines;
use issuer::{Issuer, claims, rsa};
use world::{For, Route, World};

const OWNER: i64 = 7;
const STRANGER: i64 = 8;
const ADMIN: i64 = 9;

async fn walk_every_route(issuer: Issuer) {
    let engines = engines().await;
    let world = World::made(&TestApp::start(engines.clone()).await).await;
    let app = TestApp::with(engines, issuer.config()).await;
    let routes = world.routes();
    let named: BTreeSet<_> = routes.iter().map(|route| route.name).collect();
    assert_eq!(named, ROUTES.iter().copied().collect(), "the table and the document differ");
    let (owner, stranger) = (issuer.token(OWNER), issuer.token(STRANGER));
    let admin = issuer.admin(ADMIN);
    for Route { name, whom, call } in &routes {
        let as_user = |token: &str| call(&app).bearer(token);
        for (kind, forged) in issuer.forged() {
            let answer = call(&app).header("Authorization", forged).await;
            refused_or_public(whom, &format!("{name}, {kind}"), &answer);
        }
        refused_or_public(whom, name, &call(&app).await);
        match whom {
            For::Everyone => {}
            For::Owner(status, code) => {
                as_user(&stranger).await.refused(*status, code);
                as_user(&admin).await.refused(*status, code);
                let answer = as_user(&owner).await;
                assert!((200..300).contains(&answer.status), "{name}: {answer:?}");
            }
            For::Admin => {
                as_user(&owner).await.refused(403, "FORBIDDEN");
                as_user(&stranger).await.refused(403, "FORBIDDEN");
                let answer = as_user(&admin).await;
                let tried = matches!(answer.status, 200..300 | 409);
                assert!(tried, "{name}: {answer:?}");
            }
        }
    }
}

fn refused_or_public(whom: &For, about: &str, answer: &concert_tests::Answer) {
    if let For::Everyone = whom {
        assert_eq!(answer.status, 200, "{about}: {answer:?}");
        return;
    }
    assert_eq!(answer.status, 401, "{about}: {answer:?}");
    answer.refused(401, "UNAUTHENTICATED");
    assert_eq!(answer.header("www-authenticate"), Some("Bearer"), "{about}");
}

#[tokio::test]
async fn every_route_knows_its_callers_by_a_shared_secret() {
    walk_every_route(Issuer::shared()).await;
}

#[tokio::test]
async fn every_route_knows_its_callers_by_a_public_key() {
    walk_every_route(Issuer::public()).await;
}

#[tokio::test]
async fn a_body_without_a_user_is_about_the_caller() {
    let issuer = Issuer::shared();
    let engines = engines().await;
    let show = TestApp::start(engines.clone()).await.show(3).await;
    let app = TestApp::with(engines, issuer.config()).await;
    let (owner, stranger) = (issuer.token(OWNER), issuer.token(STRANGER));
    let named = app.post("/users").json(json!({ "name": "Kim" })).bearer(&owner).await.ok(201);
    assert_eq!(named["userId"], OWNER);
    let charge = json!({ "amount": PRICE, "paymentMethod": "CARD" });
    let charged = app.patch("/points/charge").json(charge).bearer(&owner).await.ok(200);
    assert_eq!(charged["userId"], OWNER);
    let join = app.post("/queue/tokens").json(json!({ "concertId": show.concert }));
    let token = join.bearer(&owner).await.ok(201)["token"].as_str().unwrap().to_owned();
    let hold = json!({ "scheduleId": show.schedule, "seatId": show.seats[0] });
    let hold = || app.post("/reservations").token(&token).json(hold.clone());
    hold().bearer(&stranger).await.refused(403, "TOKEN_MISMATCH");
    let held = hold().bearer(&owner).await.ok(201);
    assert_eq!(held["userId"], OWNER);
    let pay = json!({ "reservationId": held["reservationId"] });
    let pay = || app.post("/payments").token(&token).json(pay.clone());
    assert!(matches!(pay().bearer(&stranger).await.status, 403 | 404));
    pay().bearer(&owner).await.ok(201);
}

#[tokio::test]
async fn keys_in_a_file_are_taken_over_while_the_service_runs() {
    use jsonwebtoken::jwk::{Jwk, JwkSet};
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("keys.json");
    let write = |kid: &str, key: &EncodingKey| {
        let mut jwk = Jwk::from_encoding_key(key, Algorithm::RS256).unwrap();
        jwk.common.key_id = Some(kid.to_owned());
        let text = serde_json::to_string(&JwkSet { keys: vec![jwk] }).unwrap();
        std::fs::write(folder.path().join("new.json"), text).unwrap();
        std::fs::rename(folder.path().join("new.json"), &path).unwrap();
    };
    let (old, next) = (rsa("rs256_issuer.pem"), rsa("rs256_next.pem"));
    write("old", &old);
    let callers = Callers {
        jwt_algorithm: Algorithm::RS256,
        jwt_jwks_file: Some(path.clone()),
        ..Issuer::told()
    };
    let app = TestApp::with(engines().await, Config { callers, ..quick() }).await;
    let points = async |kid: &str, key: &EncodingKey| {
        let header = Header { kid: Some(kid.to_owned()), ..Header::new(Algorithm::RS256) };
        let token = encode(&header, &claims(OWNER), key).unwrap();
        app.get(format!("/points/{OWNER}")).bearer(&token).await.status
    };
    assert_eq!((points("old", &old).await, points("next", &next).await), (200, 401));
    write("next", &next);
    concert_tests::eventually("the new key is known", async || {
        (points("next", &next).await == 200).then_some(())
    })
    .await;
    assert_eq!(points("old", &old).await, 401);
}
