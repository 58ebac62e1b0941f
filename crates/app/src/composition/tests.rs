use std::path::Path;

use concert_domain::event::{Record, partition_of};

use super::*;
use crate::config::ServerUrl;

fn config(path: &Path) -> Config {
    Config { engines: Engines::embedded(path), ..Config::default() }
}

/// Nothing listens on a port that needs root and that no service uses any more.
const NOBODY: &str = "127.0.0.1:1";

fn refusal(outcome: Result<Ports>) -> String {
    format!("{:#}", outcome.err().unwrap())
}

#[tokio::test]
async fn a_store_that_is_behind_is_refused_until_it_is_migrated() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a new folder/concert.db");
    let config = Config { migrate_on_start: false, ..config(&path) };
    let refusal = refusal(engine(&config).await);
    assert!(refusal.contains("`concert migrate`"), "{refusal}");
    let place = path.display().to_string();
    let [(named, steps)] = &migrate(&config.engines).await.unwrap()[..] else { panic!() };
    assert_eq!(*named, place);
    assert!(*steps > 0);
    assert_eq!(migrate(&config.engines).await.unwrap(), [(place, 0)]);
    assert!(engine(&config).await.is_ok());
}

#[tokio::test]
async fn a_file_that_cannot_be_opened_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let refusal = refusal(engine(&config(folder.path())).await);
    assert!(refusal.contains(&folder.path().display().to_string()), "{refusal}");
}

#[tokio::test]
async fn services_with_different_topic_prefixes_do_not_meet_in_one_log() {
    let folder = tempfile::tempdir().unwrap();
    let config = config(&folder.path().join("concert.db"));
    let mut other = config.clone();
    other.engines.kafka_topic_prefix = "other".to_owned();
    let [ours, again, theirs] = [
        engine(&config).await.unwrap().log,
        engine(&config).await.unwrap().log,
        engine(&other).await.unwrap().log,
    ];
    let record = Record::new("1", b"{}");
    ours.append("t", &[record]).await.unwrap();
    let partition = partition_of("1", ours.partitions());
    assert_eq!(again.end("t", partition).await, Ok(1));
    assert_eq!(again.read("t", partition, 0, 10).await.unwrap().len(), 1);
    assert_eq!(theirs.end("t", partition).await, Ok(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn without_redis_and_kafka_the_service_starts_and_says_what_is_down() {
    let folder = tempfile::tempdir().unwrap();
    let mut config = config(&folder.path().join("concert.db"));
    config.engines.redis_url = Some(ServerUrl::redis(&format!("redis://{NOBODY}")).unwrap());
    config.engines.kafka_brokers = Some(NOBODY.to_owned());
    let ports = engine(&config).await.unwrap();
    let mut seen = Vec::new();
    for probe in &ports.probes {
        seen.push((probe.name(), probe.required(), probe.check().await.is_ok()));
    }
    let expected = [("database", true, true), ("redis", true, false), ("kafka", false, false)];
    assert_eq!(seen, expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_mysql_the_start_fails_in_bounded_time_and_keeps_the_password() {
    let url = format!("mysql://root:secret@{NOBODY}/concert");
    let mut config = Config::default();
    config.engines.database_url = url.parse().unwrap();
    let refusal = refusal(engine(&config).await);
    assert!(refusal.contains("mysql://...@127.0.0.1:1/concert"), "{refusal}");
    assert!(!refusal.contains("secret"), "{refusal}");
}
