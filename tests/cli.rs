//! The binary as an operator uses it.

use std::process::Output;
use std::sync::Arc;

use concert_adapter_sqlite::{Sqlite, SystemClock};
use concert_domain::event::{EventLog, PAYMENT_TOPIC, Record};
use concert_tests::{Service, concert, concert_in, eventually};
use serde_json::json;

fn stdout(output: &Output) -> String {
    assert!(output.status.success(), "{output:?}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[tokio::test]
async fn help_names_every_command() {
    let help = stdout(&concert(&["--help"], &[]).await);
    for command in ["serve", "migrate", "seed", "openapi", "outbox", "health", "token", "bench"] {
        assert!(help.contains(command), "{command} is not in:\n{help}");
    }
}

#[tokio::test]
async fn every_command_explains_itself() {
    for command in ["serve", "migrate", "seed", "openapi", "outbox", "health", "token", "bench"] {
        let help = stdout(&concert(&[command, "--help"], &[]).await);
        assert!(help.contains("concert "), "{command} shows no example:\n{help}");
    }
}

#[tokio::test]
async fn every_bench_shows_examples() {
    for bench in ["http", "journey", "growth", "overload", "cache", "indexes", "locks"] {
        let help = stdout(&concert(&["bench", bench, "--help"], &[]).await);
        assert!(help.contains(&format!("concert bench {bench} ")), "no example:\n{help}");
    }
}

#[tokio::test]
async fn the_help_of_serve_lists_every_variable_with_its_default() {
    let help = stdout(&concert(&["serve", "--help"], &[]).await);
    for (variable, default) in [
        ("HTTP_ADDR", "127.0.0.1:8080"),
        ("DATABASE_URL", "sqlite:var/concert.db"),
        ("ROLES", "api,worker"),
        ("SEED_DEMO", "false"),
        ("AUTH_MODE", "trusted"),
        ("MIGRATE_ON_START", "true"),
        ("QUEUE_ACTIVE_LIMIT", "50"),
        ("QUEUE_TICK", "1s"),
        ("QUEUE_CLAIM_TTL", "60s"),
        ("QUEUE_ACTIVE_TTL", "10m"),
        ("QUEUE_WAITING_TTL", "24h"),
        ("HOLD_TTL", "5m"),
        ("SWEEP_INTERVAL", "1s"),
        ("REFUND_CUTOFF", "24h"),
        ("SHUTDOWN_GRACE", "10s"),
        ("LOG_FORMAT", "pretty"),
        ("RUST_LOG", "info"),
    ] {
        assert!(help.contains(variable), "{variable} is missing:\n{help}");
        assert!(help.contains(default), "the default {default} of {variable} is missing:\n{help}");
    }
}

#[tokio::test]
async fn a_wrong_value_stops_the_start_with_one_sentence() {
    for (variable, value) in [
        ("HTTP_ADDR", "nowhere"),
        ("DATABASE_URL", "postgres://localhost/x"),
        ("ROLES", "cook"),
        ("AUTH_MODE", "open"),
        ("SEED_DEMO", "perhaps"),
        ("QUEUE_ACTIVE_LIMIT", "0"),
        ("QUEUE_ACTIVE_LIMIT", "1000001"),
        ("QUEUE_TICK", "5"),
        ("QUEUE_CLAIM_TTL", "1ms"),
        ("HOLD_TTL", "-5m"),
        ("HOLD_TTL", "400d"),
        ("REFUND_CUTOFF", "soon"),
        ("SHUTDOWN_GRACE", ""),
        ("LOG_FORMAT", "xml"),
        ("HTTP_ADDR", "0.0.0.0:0"),
    ] {
        let output = concert(&["serve"], &[(variable, value)]).await;
        assert_eq!(output.status.code(), Some(2), "{variable}={value}: {output:?}");
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        let named = told.contains(variable) || (value == "0.0.0.0:0" && told.contains("AUTH_MODE"));
        assert!(named && told.contains(value), "{variable}={value}: {told}");
        assert_eq!(told.trim().lines().count(), 1, "{variable}={value}: {told}");
    }
}

#[tokio::test]
async fn a_flag_does_what_its_variable_does() {
    let output = concert(&["serve", "--hold-ttl", "5"], &[]).await;
    assert_eq!(output.status.code(), Some(2), "{output:?}");
}

#[tokio::test]
async fn an_unknown_command_or_flag_is_refused() {
    for arguments in [&["dance"][..], &["serve", "--colour", "red"]] {
        let output = concert(arguments, &[]).await;
        assert_eq!(output.status.code(), Some(2), "{output:?}");
    }
}

#[tokio::test]
async fn a_signal_to_stop_ends_the_service_in_order() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let service = Service::start(folder.path(), &[("SEED_DEMO", "true")]).await;
    assert_eq!(service.client.all("/concerts").await.len(), 10);
    assert_eq!(service.terminate().await, Some(0));
}

#[tokio::test]
async fn a_service_that_is_gone_is_not_healthy() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let service = Service::start(folder.path(), &[]).await;
    let address = service.client.address().to_owned();
    let variables = [("HTTP_ADDR", address.as_str())];
    assert!(stdout(&concert(&["health"], &variables).await).contains("is ready"));
    service.kill().await;
    let output = concert(&["health"], &variables).await;
    assert_eq!(output.status.code(), Some(1), "{output:?}");
}

#[tokio::test]
async fn a_file_of_variables_is_read() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join(".env");
    std::fs::write(&file, "SEED_DEMO=true\nQUEUE_ACTIVE_LIMIT=7\n").expect("it is written");
    let service = Service::start(folder.path(), &[]).await;
    assert_eq!(service.client.queue(1).await["activeLimit"], 7);
    std::fs::write(&file, "HOLD_TTL=5\n").expect("it is written");
    let output = concert_in(folder.path(), &["serve"], &[]).await;
    assert_eq!(output.status.code(), Some(2), "{output:?}");
}

#[tokio::test]
async fn a_store_is_migrated_and_seeded_once_however_often_it_is_asked() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let variables = [("DATABASE_URL", "sqlite:data/concert.db")];
    for command in [&["migrate"][..], &["migrate"], &["seed", "--demo"], &["seed", "--demo"]] {
        let output = concert_in(folder.path(), command, &variables).await;
        assert!(output.status.success(), "{command:?}: {output:?}");
    }
    let service = Service::start(folder.path(), &variables).await;
    assert_eq!(service.client.all("/concerts").await.len(), 10);
    assert_eq!(service.client.all("/users/1/points/history").await.len(), 1);
}

#[tokio::test]
async fn the_outbox_can_be_looked_at() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let variables = [("DATABASE_URL", "sqlite:concert.db")];
    concert_in(folder.path(), &["migrate"], &variables).await;
    for command in [&["outbox", "list"][..], &["outbox", "dead"]] {
        let output = concert_in(folder.path(), command, &variables).await;
        assert!(output.status.success(), "{command:?}: {output:?}");
    }
    let output = concert_in(folder.path(), &["outbox", "replay", "1"], &variables).await;
    assert_eq!(output.status.code(), Some(1), "there is no such letter: {output:?}");
}

/// A dead letter is listed with its reason, on a line of its own whatever the event holds, and put
/// back on its way once; a cause that is still there makes it a new letter.
#[tokio::test]
async fn a_dead_letter_is_explained_and_replayed_once() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("concert.db");
    let store = Sqlite::open(&path, Arc::new(SystemClock::default())).await.expect("a store");
    store.migrate().await.expect("its tables");
    let poison = json!({
        "id": "e-1", "type": "a\u{1b}[31m\nb", "version": 1, "key": "1",
        "occurredAt": "2026-05-01T10:00:00.000Z",
        "data": { "paymentId": 1, "reservationId": 1, "userId": 1, "concertId": 1,
                  "scheduleId": 1, "seatId": 1, "amount": 1 },
    });
    let record = Record::new("1", poison.to_string());
    let topic = format!("concert.{PAYMENT_TOPIC}");
    store.append(&topic, &[record]).await.expect("the log takes it");
    drop(store);

    let service = Service::start(folder.path(), &[]).await;
    let variables = [("DATABASE_URL", "sqlite:concert.db")];
    let outbox = async |arguments: &[&str]| {
        concert_in(folder.path(), &[&["outbox"], arguments].concat(), &variables).await
    };
    let dead = async |letters: usize| {
        eventually("the event dies", async || {
            let table = stdout(&outbox(&["dead"]).await);
            (table.matches("is unknown").count() == letters).then_some(table)
        })
        .await
    };
    let table = dead(1).await;
    assert_eq!(table.lines().count(), 3, "a head, a letter, a hint:\n{table}");
    assert!(table.lines().all(|line| !line.contains(char::is_control)), "{table:?}");
    stdout(&outbox(&["replay", "1"]).await);
    dead(2).await;
    assert_eq!(outbox(&["replay", "1"]).await.status.code(), Some(1));
    stdout(&outbox(&["replay", "--all"]).await);
    dead(3).await;
    assert_eq!(service.terminate().await, Some(0));
}
