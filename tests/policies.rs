//! A queue's policy is the database's: what one process is told, the others know within a tick, and
//! a Redis that forgets everything forgets nothing of it. One test, since it empties Redis.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests fail by panicking")]

use std::sync::atomic::{AtomicI64, Ordering};

use concert_tests::{Client, FullSet, Service, eventually};
use serde_json::json;

/// How often what was seen once is to be seen again.
const ROUNDS: usize = 5;

struct Scene {
    set: FullSet,
    concert: i64,
    next_user: AtomicI64,
}

impl Scene {
    /// What somebody new is told right after Redis has lost everything.
    async fn newcomer(&self, client: &Client) -> String {
        self.set.flush_redis().await;
        let user = self.next_user.fetch_add(1, Ordering::Relaxed);
        let answer = client.buyer(user).joining(self.concert).await;
        let member = if answer.status == 201 { "status" } else { "code" };
        answer.body[member].as_str().expect("a status or a code").to_owned()
    }

    /// A process comes to know the policy, and from then on never goes back.
    async fn learns(&self, client: &Client, told: &str) {
        eventually(told, async || (self.newcomer(client).await == told).then_some(())).await;
        for _ in 0..ROUNDS {
            assert_eq!(self.newcomer(client).await, told);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_policy_set_on_one_process_holds_on_the_other_and_outlives_redis() {
    let set = FullSet::shared().await;
    let one = Service::on(&set, &[]).await;
    // It has no workers: it knows all the same.
    let other = Service::on(&set, &[("ROLES", "api")]).await;
    let (first, second) = (one.client.clone(), other.client.clone());
    let concert = first.concert().await;
    let scene = Scene { set, concert, next_user: AtomicI64::new(1) };
    assert_eq!(scene.newcomer(&second).await, "ACTIVE");

    // While Redis is whole a change holds everywhere at once, and the next tick admits.
    first.policy(concert, json!({ "mode": "HOLD" })).await;
    let waiting = second.buyer(1_000).join(concert).await;
    assert_eq!(waiting.standing().await, "WAITING");
    first.policy(concert, json!({ "mode": "OPEN" })).await;
    eventually("the one who waited is admitted", async || {
        (waiting.standing().await == "ACTIVE").then_some(())
    })
    .await;

    for (mode, told) in [("HOLD", "WAITING"), ("DRAIN", "QUEUE_CLOSED"), ("OPEN", "ACTIVE")] {
        first.policy(concert, json!({ "mode": mode })).await;
        assert_eq!(scene.newcomer(&first).await, told, "who was told knows at once");
        scene.learns(&second, told).await;
        assert_eq!(second.queue(concert).await["mode"], mode);
    }

    // A limit of its own as well, and for a process that starts later.
    second.policy(concert, json!({ "activeLimit": 1, "mode": "HOLD" })).await;
    assert_eq!(one.terminate().await, Some(0));
    assert_eq!(other.terminate().await, Some(0));
    let later = Service::on(&scene.set, &[]).await;
    assert_eq!(scene.newcomer(&later.client).await, "WAITING");
    let queue = later.client.queue(concert).await;
    assert_eq!((&queue["mode"], &queue["activeLimit"]), (&json!("HOLD"), &json!(1)));
}
