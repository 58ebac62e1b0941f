//! Three processes of the real binary on one MySQL, Redis and Kafka, workers on all three.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests fail by panicking")]

use concert_tests::{Crowd, FullSet, Instances, Service, audit, eventually, reconcile};

const CLIENTS: i64 = 120;
const SEATS: u32 = 40;
const LIMIT: u64 = 10;

/// Time limits that make those who walk away matter within seconds.
const IMPATIENT: &[(&str, &str)] =
    &[("HOLD_TTL", "1500ms"), ("QUEUE_CLAIM_TTL", "2s"), ("QUEUE_ACTIVE_TTL", "4s")];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_processes_are_as_correct_as_one_although_one_is_killed_in_mid_storm() {
    let set = FullSet::shared().await;
    let mut processes = Vec::new();
    for _ in 0..3 {
        processes.push(Service::on(&set, IMPATIENT).await);
    }
    let client = processes[0].client.clone();
    let show = client.show(SEATS).await;
    let clients = processes.iter().map(|process| process.client.clone());
    let crowd = Crowd::new(Instances::of(clients), &show, LIMIT);
    let victim = processes.remove(1);

    let power_cut = async {
        eventually("a third of the line has been admitted", async || {
            (crowd.farthest_admitted() > CLIENTS as usize / 3).then_some(())
        })
        .await;
        victim.kill().await;
        let back = Service::on(&set, IMPATIENT).await;
        crowd.instances.replace(1, back.client.clone());
        back
    };
    let (told, back) = tokio::join!(crowd.storm(CLIENTS), power_cut);
    processes.push(back);

    let seen = crowd.notes.take();
    println!("three processes, one killed and restarted; clients saw\n{seen}");
    assert!(seen.disturbed() > 0, "the kill came too late to disturb anybody");
    assert!(told.paid > told.refunded && told.refunded > 0, "{told:?}");
    assert_eq!(crowd.most_active(), LIMIT, "the storm filled every slot");
    crowd.until_gone().await;
    let users: Vec<i64> = (1..=CLIENTS).collect();
    let books = audit(&client, &show, &users).await;
    assert_eq!((books.paid, books.refunded), (told.paid, told.refunded), "told and booked differ");
    let second_copies = reconcile(&set, books).await;
    println!("{books:?}, records that were published twice: {second_copies}");
    for process in processes {
        assert_eq!(process.terminate().await, Some(0));
    }
}
