use concert_app::Config;
use concert_app::config::Roles;
use concert_domain::event::{PAYMENT_TOPIC, Record};
use concert_tests::{PRICE, Show, TestApp, audit, eventually, quick, seconds};
use serde_json::{Value, json};

use crate::{engines, id, start};

async fn sold(app: &TestApp, show: &Show, seats: u64) -> Value {
    eventually("the sales figures", async || {
        app.ranked(show.concert).await.filter(|line| line["soldSeats"] == seats)
    })
    .await
}

#[tokio::test]
async fn sales_and_refunds_reach_the_ranking() {
    let app = start().await;
    let show = app.show(3).await;
    let first = app.buyer(1).bought(&show, show.seats[0]).await;
    app.buyer(2).bought(&show, show.seats[1]).await;
    assert_eq!(sold(&app, &show, 2).await["sales"], 2 * PRICE);
    app.buyer(1).refund(first).await.ok(200);
    assert_eq!(sold(&app, &show, 1).await["sales"], PRICE);
}

#[tokio::test]
async fn concerts_are_ranked_by_how_fast_they_sold_out_and_then_by_sales() {
    let app = start().await;
    let (slow, fast) = (app.show(1).await, app.show(1).await);
    let (little, much) = (app.show(9).await, app.show(9).await);
    app.buyer(1).bought(&fast, fast.seats[0]).await;
    app.pass(seconds(1)).await;
    app.buyer(1).bought(&slow, slow.seats[0]).await;
    app.buyer(1).bought(&little, little.seats[0]).await;
    app.buyer(1).bought(&much, much.seats[0]).await;
    app.buyer(1).bought(&much, much.seats[1]).await;
    for (show, count) in [(&fast, 1), (&slow, 1), (&little, 1), (&much, 2)] {
        sold(&app, show, count).await;
    }
    let pages = app.pages("/concerts/ranking", 3).await;
    assert_eq!(pages.iter().map(Vec::len).collect::<Vec<_>>(), [3, 1]);
    let lines = pages.concat();
    let order: Vec<_> = lines.iter().map(|line| id(&line["concertId"])).collect();
    assert_eq!(order, [&fast, &slow, &much, &little].map(|show| show.concert));
    let ranks: Vec<_> = lines.iter().map(|line| id(&line["rank"])).collect();
    assert_eq!(ranks, [1, 2, 3, 4]);
    assert!(lines[0]["soldOutAt"].is_string() && lines[2]["soldOutAt"].is_null());
}

#[tokio::test]
async fn a_refund_makes_a_sold_out_concert_available_again() {
    let app = start().await;
    let show = app.show(1).await;
    let payment = app.buyer(1).bought(&show, show.seats[0]).await;
    assert!(sold(&app, &show, 1).await["soldOutAt"].is_string());
    app.buyer(1).refund(payment).await.ok(200);
    assert!(sold(&app, &show, 0).await["soldOutAt"].is_null());
}

/// An event that nobody can understand goes to the dead letters and does not block its partition.
#[tokio::test]
async fn a_poisonous_event_does_not_stop_the_others() {
    let engines = engines().await;
    let (log, outbox) = (engines.ports.log.clone(), engines.ports.outbox.clone());
    let app = TestApp::start(engines).await;
    let poison: Vec<_> = (0..32).map(|n| Record::new(n.to_string(), b"{")).collect();
    log.append(PAYMENT_TOPIC, &poison).await.unwrap();
    let show = app.show(1).await;
    app.buyer(1).bought(&show, show.seats[0]).await;
    sold(&app, &show, 1).await;
    eventually("every poisonous event is a dead letter", async || {
        let limit = concert_domain::Limit::new(100).unwrap();
        let page = concert_domain::PageRequest { limit, after: None };
        let dead = outbox.dead_letters(page).await.unwrap().items;
        let told = dead.iter().all(|letter| !letter.reason.is_empty());
        (dead.len() == 32 && told).then_some(())
    })
    .await;
    let metrics = String::from_utf8(app.get("//metrics").await.bytes).unwrap();
    assert!(metrics.contains("concert_events_dead_total 32"), "operators are not told:\n{metrics}");
}

/// A relay that dies between the log's answer and its own mark publishes once more.
#[tokio::test]
async fn an_event_that_was_published_twice_counts_once() {
    let engines = engines().await;
    let log = engines.ports.log.clone();
    let app = TestApp::start(engines).await;
    let show = app.show(2).await;
    app.buyer(1).bought(&show, show.seats[0]).await;
    sold(&app, &show, 1).await;
    for partition in 0..log.partitions() {
        let entries = log.read(PAYMENT_TOPIC, partition, 0, 100).await.unwrap();
        let again: Vec<_> = entries.into_iter().map(|entry| entry.record).collect();
        log.append(PAYMENT_TOPIC, &again).await.unwrap();
    }
    app.buyer(2).bought(&show, show.seats[1]).await;
    audit(&app, &show, &[1, 2]).await;
}

/// One process serves, another one works: what the first records, the second delivers.
#[tokio::test]
async fn a_worker_process_delivers_what_an_api_process_records() {
    let engines = engines().await;
    let roles = |api| Config { roles: Roles { api, worker: !api }, ..quick() };
    let app = TestApp::with(engines.clone(), roles(true)).await;
    let show = app.show(1).await;
    app.buyer(1).bought(&show, show.seats[0]).await;
    assert!(app.ranked(show.concert).await.is_none_or(|line| line["soldSeats"] == 0));
    let _worker = TestApp::with(engines, roles(false)).await;
    sold(&app, &show, 1).await;
}

#[tokio::test]
async fn the_queue_slot_of_a_sale_is_free_even_when_only_the_consumer_frees_it() {
    let app = start().await;
    let show = app.show(2).await;
    app.policy(show.concert, json!({ "activeLimit": 1 })).await;
    app.buyer(1).bought(&show, show.seats[0]).await;
    app.buyer(2).bought(&show, show.seats[1]).await;
    sold(&app, &show, 2).await;
    let queue = app.queue(show.concert).await;
    assert_eq!((&queue["active"], &queue["waiting"]), (&json!(0), &json!(0)));
}
