//! Who reads a store of queues has no queue token to show.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests fail by panicking")]

use std::path::Path;

use concert_domain::queue::{Seal, SealKey, SealedToken};
use concert_tests::{FullSet, Service};

const KEY: &str = "the secret of the queue tokens of this test";
const OTHER_KEY: &str = "another secret of the queue tokens of this test";

/// Users who wait, are inside, or have left; answers the tokens that they were given.
async fn crowd(service: &Service) -> Vec<String> {
    let client = &service.client;
    let show = client.show(1).await;
    let policy = serde_json::json!({ "activeLimit": 2 });
    client.patch(format!("/admin/concerts/{}/queue", show.concert)).json(policy).await.ok(200);
    let mut tokens = Vec::new();
    for user in 1..=6 {
        tokens.push(client.buyer(user).join(show.concert).await.token);
    }
    client.delete("/queue/tokens").token(&tokens[0]).await.ok(204);
    tokens
}

/// A token must not be there as text or as bytes; what it stands for must, or nothing was searched.
#[track_caller]
fn assert_sealed(store: &[u8], tokens: &[String]) {
    let seal = Seal::new(&SealKey::from_secret(KEY.as_bytes()));
    let has = |wanted: &[u8]| store.windows(wanted.len()).any(|part| part == wanted);
    for token in tokens {
        let raw = u128::from_str_radix(token, 16).unwrap().to_be_bytes();
        assert!(!has(token.as_bytes()) && !has(&raw), "{token} is in the store");
        let sealed: SealedToken = token.parse().unwrap();
        assert!(has(seal.open(&sealed).as_bytes()), "the place of {token} is not in the store");
    }
}

fn files(folder: &Path) -> Vec<u8> {
    let files = std::fs::read_dir(folder).unwrap().map(|file| file.unwrap().path());
    files.flat_map(|file| std::fs::read(file).unwrap()).collect()
}

#[tokio::test]
async fn the_embedded_file_has_no_queue_token() {
    let folder = tempfile::tempdir().unwrap();
    let service = Service::start(folder.path(), &[("QUEUE_TOKEN_KEY", KEY)]).await;
    let tokens = crowd(&service).await;
    service.kill().await;
    assert_sealed(&files(folder.path()), &tokens);
}

#[tokio::test]
async fn redis_has_no_queue_token() {
    let set = FullSet::shared().await;
    let service = Service::on(&set, &[("QUEUE_TOKEN_KEY", KEY)]).await;
    let tokens = crowd(&service).await;
    assert_sealed(&set.redis_content().await, &tokens);
    service.terminate().await;
}

#[tokio::test]
async fn tokens_outlive_a_restart_and_with_another_key_clients_find_their_places_again() {
    let folder = tempfile::tempdir().unwrap();
    let service = Service::start(folder.path(), &[]).await;
    let tokens = crowd(&service).await;
    service.terminate().await;

    let service = Service::start(folder.path(), &[]).await;
    let poll = service.client.get("/queue/status").token(&tokens[5]).await.ok(200);
    assert_eq!(poll["rank"], 3);
    service.terminate().await;

    let service = Service::start(folder.path(), &[("QUEUE_TOKEN_KEY", OTHER_KEY)]).await;
    let poll = service.client.get("/queue/status").token(&tokens[5]).await;
    poll.refused(401, "TOKEN_NOT_FOUND");
    let concert = service.client.get("/concerts").await.ok(200)["items"][0]["id"].clone();
    let wish = serde_json::json!({ "userId": 6, "concertId": concert });
    let again = service.client.post("/queue/tokens").json(wish).await.ok(200);
    assert_eq!(again["rank"], 3);
    assert_ne!(again["token"], tokens[5]);
}
