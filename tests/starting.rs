//! A process whose store is busy when it starts.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests fail by panicking")]

use concert_tests::{Service, concert_in, eventually};
use diesel::connection::SimpleConnection;
use diesel::{Connection, SqliteConnection};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_is_alive_and_not_ready_until_the_store_is_brought_to_its_version() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = [("DATABASE_URL", "sqlite:concert.db")];
    let made = concert_in(folder.path(), &["migrate"], &store).await;
    assert!(made.status.success(), "{made:?}");
    let path = folder.path().join("concert.db");
    let mut other = SqliteConnection::establish(path.to_str().expect("a path")).expect("a store");
    other.batch_execute("BEGIN IMMEDIATE").expect("nobody else writes");

    let service = Service::starting(folder.path(), &store).await;
    let client = service.client.clone();
    let waiting = eventually("it waits for the store", async || {
        let answer = client.get("//readyz").await;
        (answer.body["phase"] == "migrating").then_some(answer)
    })
    .await;
    assert_eq!(waiting.header("retry-after"), Some("1"));
    assert_eq!(waiting.ok(503)["status"], "not_ready");
    client.get("//healthz").await.ok(200);
    client.get("/concerts").await.refused(503, "SERVICE_UNAVAILABLE");

    other.batch_execute("ROLLBACK").expect("the store is given back");
    let ready = eventually("it serves", async || {
        // The connection may still be answered by the one who answers until the service does.
        let answer = client.get("//readyz").attempt().await.ok()?;
        (answer.status == 200).then_some(answer)
    })
    .await;
    assert_eq!(ready.ok(200)["phase"], "serving");
    client.get("/concerts").await.ok(200);
    assert_eq!(service.terminate().await, Some(0));
}
