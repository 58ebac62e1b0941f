//! Charges in batches.

use concert_domain::point::{
    ChargeIntent, Charged, GatewayVerdict, Opened, PaymentDetail, PaymentMethod,
};
use concert_domain::{Applied, TransactionId};

use super::*;
use crate::charges::{APPROVALS, OPENINGS, Opening};

fn opening(number: i64, user: i64, amount: u32) -> Opening {
    let intent = ChargeIntent {
        id: id(number),
        user_id: id(user),
        amount: Won::of(amount),
        method: PaymentMethod::Card,
        detail: Some(PaymentDetail::stored("tok_\"1\"".to_owned())),
    };
    (intent, None)
}

fn with(key: &str, request: &str, (intent, _): Opening) -> Opening {
    (intent, claim(key, request))
}

/// What became of each: the number of the intent to take to the gateway, or the refusal.
fn opened(results: Vec<Result<Opened>>) -> Vec<Result<i64>> {
    let number = |opened| match opened {
        Opened::Pending(intent) => intent.id.get(),
        Opened::Replayed(charged) => panic!("{charged:?} was charged before"),
    };
    results.into_iter().map(|result| result.map(number)).collect()
}

fn ids(numbers: &[i64]) -> Vec<TransactionId> {
    numbers.iter().map(|number| id(*number)).collect()
}

/// The balance that each approval made, or `None` for a decline.
fn balances(results: Vec<Result<Option<Applied<Charged>>>>) -> Vec<Option<i64>> {
    let balance = |charged: Applied<Charged>| charged.value().balance.get();
    results.into_iter().map(|result| result.unwrap().map(balance)).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_charge_of_a_batch_has_its_own_verdict() {
    let (_database, store) = store().await;
    let wishes = [(1, 7, 600_000), (2, 7, 500_000), (3, 7, 300_000), (4, 8, 500), (5, 8, 700)];
    let wishes = wishes.map(|(number, user, amount)| opening(number, user, amount)).to_vec();
    let too_much = || Err(Error::PointLimitExceeded);
    let results = opened(serve(&store, wishes.clone(), &OPENINGS).await);
    assert_eq!(results, [Ok(1), too_much(), Ok(3), Ok(4), Ok(5)]);
    let again = opened(serve(&store, vec![opening(6, 7, 200_000)], &OPENINGS).await);
    assert_eq!(again, [too_much()], "what is pending keeps its room");

    assert!(store.give_up_charge(id(4)).await.unwrap());
    let results = balances(serve(&store, ids(&[1, 3, 3, 4, 5]), &APPROVALS).await);
    assert_eq!(results, [Some(600_000), Some(900_000), Some(900_000), None, Some(700)]);
    let lines = store.history(id(7), PageRequest::default()).await.unwrap().items;
    let lines: Vec<_> =
        lines.iter().map(|l| (l.sequence, l.amount, l.balance_after.get())).collect();
    assert_eq!(lines, [(2, 300_000, 900_000), (1, 600_000, 600_000)]);
    let open = "SELECT CAST(SUM(pending) AS SIGNED) AS n FROM point_accounts";
    assert_eq!(count(&store, open).await, 500, "that of the one that was given up");
    let whole = "SELECT COUNT(*) AS n FROM charge_intents WHERE detail = 'tok_\"1\"'";
    assert_eq!(count(&store, whole).await, 4);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_key_is_one_charge_in_a_batch_and_after_it() {
    let (_database, store) = store().await;
    let batch = vec![
        with("a", "1", opening(1, 7, 500)),
        with("a", "1", opening(2, 7, 500)),
        with("a", "other", opening(3, 7, 500)),
        with("b", "2", opening(4, 7, 500)),
    ];
    let results = opened(serve(&store, batch, &OPENINGS).await);
    assert_eq!(results, [Ok(1), Ok(1), Err(Error::IdempotencyKeyReused), Ok(4)]);
    let told = serve(&store, ids(&[1, 4]), &APPROVALS).await.remove(0).unwrap().unwrap();
    let again = vec![with("a", "1", opening(5, 7, 500)), with("c", "3", opening(6, 7, 500))];
    let again = serve(&store, again, &OPENINGS).await;
    assert_eq!(again[0], Ok(Opened::Replayed(told.value().clone())));
    assert!(matches!(&again[1], Ok(Opened::Pending(intent)) if intent.id == id(6)));
    let settled = store.settle_charge(id(1), GatewayVerdict::Approved).await;
    assert_eq!(settled, Ok(Applied::Replayed(told.value().clone())));
    assert_eq!(store.balance(id(7)).await, Ok(Won::of(1_000)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_charge_that_must_wait_keeps_nobody_waiting() {
    let (database, store) = store().await;
    let accounts = "INSERT INTO point_accounts VALUES (7, 0, 0, 0), (8, 0, 0, 0)";
    let mut other = connect(&database.url).await;
    other.batch_execute(accounts).await.unwrap();
    let lock = "START TRANSACTION; UPDATE point_accounts SET sequence = 5 WHERE user_id = 7";
    other.batch_execute(lock).await.unwrap();
    let (waiting, mut told) = batch(vec![opening(1, 7, 500), opening(2, 8, 500)]);
    commit(store.clone(), waiting, &OPENINGS).await;
    assert!(told.remove(1).await.unwrap().is_ok());
    until_busy(&database, "UPDATE point_accounts").await;
    other.batch_execute("COMMIT").await.unwrap();
    assert!(told.remove(0).await.unwrap().is_ok());

    other.batch_execute(lock).await.unwrap();
    let (waiting, mut told) = batch(ids(&[1, 2]));
    commit(store.clone(), waiting, &APPROVALS).await;
    assert!(told.remove(1).await.unwrap().is_ok());
    until_busy(&database, "UPDATE point_accounts").await;
    other.batch_execute("COMMIT").await.unwrap();
    assert_eq!(balances(vec![told.remove(0).await.unwrap()]), [Some(500)]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn charges_whose_commit_is_lost_are_made_once() {
    for cut in [Cut::Command, Cut::Answer] {
        let (database, store) = store().await;
        let proxy = Proxy::start(&database.url).await;
        let behind = Mysql::connect(&proxy.url, Options { connections: 4 }).await.unwrap();
        proxy.cut_next(cut);
        let wishes = vec![opening(1, 7, 500), opening(2, 8, 600)];
        let results = opened(serve(&behind, wishes, &OPENINGS).await);
        assert!(!proxy.is_waiting(), "no commit was cut");
        assert_eq!(results, [Ok(1), Ok(2)], "{cut:?}");
        proxy.cut_next(cut);
        let results = balances(serve(&behind, ids(&[1, 2]), &APPROVALS).await);
        assert!(!proxy.is_waiting(), "no commit was cut");
        assert_eq!(results, [Some(500), Some(600)], "{cut:?}");
        let books = (store.balance(id(7)).await, store.balance(id(8)).await);
        assert_eq!(books, (Ok(Won::of(500)), Ok(Won::of(600))));
    }
}
