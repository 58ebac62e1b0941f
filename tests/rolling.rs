//! Three processes of the real binary behind a small balancer, replaced one after the other while
//! buyers come and go: what a release does.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests fail by panicking")]

use concert_tests::{
    Balancer, Crowd, FullSet, Instances, Service, Table, audit, eventually, reconcile,
};

const CLIENTS: i64 = 60;
const SEATS: u32 = 40;
const LIMIT: u64 = 10;
const INSTANCES: usize = 3;

/// An instance goes on for longer than a probe of the balancer takes, and has time to finish.
const IN_ORDER: &[(&str, &str)] = &[
    ("DRAIN_DELAY", "1500ms"),
    ("SHUTDOWN_GRACE", "20s"),
    ("HOLD_TTL", "3s"),
    ("QUEUE_CLAIM_TTL", "3s"),
    ("QUEUE_ACTIVE_TTL", "6s"),
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn instances_are_replaced_one_by_one_and_no_request_fails() {
    let set = FullSet::shared().await;
    let balancer = Balancer::start().await;
    let mut processes = Vec::new();
    for _ in 0..INSTANCES {
        processes.push(added(&set, &balancer).await);
    }
    let client = balancer.client();
    let show = client.show(SEATS).await;
    let crowd = Crowd::new(Instances::of([client.clone()]), &show, LIMIT).that_comes_back();

    let release = async {
        let mut replaced = Vec::new();
        for old in processes {
            let before = crowd.farthest_admitted();
            eventually("buyers come and go between two steps", async || {
                (crowd.farthest_admitted() > before || !replaced.is_empty()).then_some(())
            })
            .await;
            let address = old.client.address().to_owned();
            assert_eq!(old.terminate().await, Some(0), "it stops in order");
            balancer.remove(&address);
            replaced.push(added(&set, &balancer).await);
        }
        crowd.close();
        replaced
    };
    let (told, replaced) = tokio::join!(crowd.storm(CLIENTS), release);

    let seen: Table = crowd.notes.take();
    println!("three instances replaced; clients saw\n{seen}");
    println!("connections that one instance refused and another took: {}", balancer.refused());
    assert_eq!(seen.disturbed(), 0, "a request failed:\n{seen}");
    assert!(told.paid > told.refunded, "somebody bought: {told:?}");
    crowd.until_gone().await;
    let users: Vec<i64> = (1..=CLIENTS).collect();
    let books = audit(&client, &show, &users).await;
    assert_eq!((books.paid, books.refunded), (told.paid, told.refunded), "told and booked differ");
    reconcile(&set, books).await;
    for process in replaced {
        assert_eq!(process.terminate().await, Some(0));
    }
}

/// Starts one more instance and waits until it gets connections.
async fn added(set: &FullSet, balancer: &Balancer) -> Service {
    let service = Service::on(set, IN_ORDER).await;
    let before = balancer.ready();
    balancer.add(&service.client);
    eventually("the new instance is ready", async || (balancer.ready() > before).then_some(()))
        .await;
    service
}
