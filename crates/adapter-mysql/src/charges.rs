//! Charges of many callers in one transaction: intents that are recorded, approvals that become
//! points. What is not plain (a repeated request, an account in other hands) is done by itself, see
//! `charge.rs`.

use std::collections::{BTreeMap, HashMap, HashSet};

use concert_domain::point::{
    ChargeIntent, Charged, EntryKind, GatewayVerdict, MAX_BALANCE, Opened, PaymentDetail,
};
use concert_domain::{Applied, Error, IdempotencyClaim, Result, Timestamp, TransactionId};
use diesel::QueryableByName;
use diesel::sql_types::BigInt;

use crate::charge::{self, IntentRow, Settled, answer_of, method_word};
use crate::error::{Run, typed};
use crate::group::{Plan, Verdict, all};
use crate::idempotency::{Name, at_places, hex, in_use, keep_rows, name_of, names_in_use};
use crate::point::{Line, write_lines};
use crate::sql::{Number, Tx, sql};

/// An intent to be recorded, and the key of its request.
pub(crate) type Opening = (ChargeIntent, Option<IdempotencyClaim>);

/// How intents are recorded, many at once.
pub(crate) const OPENINGS: Plan<Opening, Opened> = Plan {
    name: "charge",
    together: |tx, openings| Box::pin(open_all(tx, openings)),
    alone: |tx, (intent, claim)| Box::pin(charge::open(tx, intent, claim.as_ref())),
    verify: |tx, (intent, _)| Box::pin(charge::opened_before(tx, intent)),
};

/// How approved intents become points, many at once.
pub(crate) const APPROVALS: Plan<TransactionId, Settled> = Plan {
    name: "approve",
    together: |tx, ids| Box::pin(approve_all(tx, ids)),
    alone: |tx, id| Box::pin(charge::settle(tx, *id, GatewayVerdict::Approved)),
    verify: |tx, id| Box::pin(charge::settled_before(tx, *id)),
};

async fn open_all(tx: &mut Tx, openings: &[Opening]) -> Run<Vec<Verdict<Opened>>> {
    let mut users: Vec<i64> = openings.iter().map(|(intent, _)| intent.user_id.get()).collect();
    users.sort_unstable();
    users.dedup();
    make_accounts(tx, &users).await?;
    let rooms = lock_accounts(tx, &users).await?;
    let claims: Vec<_> = openings.iter().filter_map(|(_, claim)| claim.as_ref()).collect();
    let mut names = in_use(tx, claims.iter().copied()).await?;
    names.extend(open_names(tx, claims.into_iter().map(name_of).collect()).await?);
    let (verdicts, opened) = judge_openings(openings, rooms, names);
    if !opened.is_empty() {
        reserve_all(tx, &opened).await?;
        insert_all(tx, &opened).await?;
    }
    Ok(verdicts)
}

/// Makes the accounts that are missing. Those that are there are neither locked nor waited for.
async fn make_accounts(tx: &mut Tx, users: &[i64]) -> Run<()> {
    sql("INSERT INTO point_accounts (user_id, balance, pending, sequence)
         SELECT t.user_id, 0, 0, 0
         FROM JSON_TABLE(?, '$[*]' COLUMNS (user_id BIGINT PATH '$')) t
         LEFT JOIN point_accounts there ON there.user_id = t.user_id
         WHERE there.user_id IS NULL
         ON DUPLICATE KEY UPDATE user_id = point_accounts.user_id")
    .json(users)?
    .run(tx)
    .await?;
    Ok(())
}

#[derive(QueryableByName)]
struct Account {
    #[diesel(sql_type = BigInt)]
    user_id: i64,
    #[diesel(sql_type = BigInt)]
    taken: i64,
}

/// Locks the accounts that nobody else has locked; answers how much of each one's limit is taken.
async fn lock_accounts(tx: &mut Tx, users: &[i64]) -> Run<HashMap<i64, i64>> {
    let accounts: Vec<Account> = sql("SELECT a.user_id, a.balance + a.pending AS taken
         FROM JSON_TABLE(?, '$[*]' COLUMNS (user_id BIGINT PATH '$')) t
         STRAIGHT_JOIN point_accounts a ON a.user_id = t.user_id
         FOR UPDATE OF a SKIP LOCKED")
    .json(users)?
    .rows(tx)
    .await?;
    Ok(accounts.into_iter().map(|account| (account.user_id, account.taken)).collect())
}

/// Which of these names an intent has that is not settled.
async fn open_names<'a>(tx: &mut Tx, names: Vec<Name<'a>>) -> Run<Vec<Name<'a>>> {
    if names.is_empty() {
        return Ok(names);
    }
    let rows: Vec<Number> = sql("SELECT t.place AS n
         FROM JSON_TABLE(?, '$[*]' COLUMNS (place FOR ORDINALITY, user_id BIGINT PATH '$[0]',
             route VARCHAR(100) COLLATE utf8mb4_0900_bin PATH '$[1]',
             name VARCHAR(255) COLLATE utf8mb4_0900_bin PATH '$[2]')) t
         STRAIGHT_JOIN charge_intents i
             ON i.user_id = t.user_id AND i.route = t.route AND i.idempotency_key = t.name
             AND i.is_open = 1")
    .json(&names)?
    .rows(tx)
    .await?;
    Ok(at_places(&names, &rows).collect())
}

/// Judges one after the other: what one intent has reserved the user's next one here does not find.
fn judge_openings<'a>(
    openings: &'a [Opening],
    mut taken: HashMap<i64, i64>,
    mut names: HashSet<Name<'a>>,
) -> (Vec<Verdict<Opened>>, Vec<&'a Opening>) {
    let mut opened = Vec::new();
    let judge = |opening: &'a Opening| {
        let (intent, claim) = opening;
        let amount = intent.amount.get();
        match taken.get_mut(&intent.user_id.get()) {
            None => Verdict::Alone,
            Some(_) if claim.as_ref().is_some_and(|claim| !names.insert(name_of(claim))) => {
                Verdict::Alone
            }
            Some(taken) if *taken + amount > MAX_BALANCE.get() => {
                Verdict::Refused(Error::PointLimitExceeded)
            }
            Some(taken) => {
                *taken += amount;
                opened.push(opening);
                Verdict::Done(Opened::Pending(intent.clone()))
            }
        }
    };
    let verdicts = openings.iter().map(judge).collect();
    (verdicts, opened)
}

/// The guard is that of a single intent, although the accounts are locked and were judged.
async fn reserve_all(tx: &mut Tx, opened: &[&Opening]) -> Run<()> {
    let mut sums = BTreeMap::new();
    for (intent, _) in opened {
        *sums.entry(intent.user_id.get()).or_insert(0) += intent.amount.get();
    }
    let sums: Vec<(i64, i64)> = sums.into_iter().collect();
    let reserved = sql("UPDATE JSON_TABLE(?, '$[*]' COLUMNS (user_id BIGINT PATH '$[0]',
             amount BIGINT PATH '$[1]')) t
         STRAIGHT_JOIN point_accounts a ON a.user_id = t.user_id
         SET a.pending = a.pending + t.amount
         WHERE a.balance + a.pending + t.amount <= ?")
    .json(&sums)?
    .int(MAX_BALANCE)
    .run(tx)
    .await?;
    all(reserved, sums.len(), "accounts with room")
}

async fn insert_all(tx: &mut Tx, opened: &[&Opening]) -> Run<()> {
    let rows: Vec<_> = opened
        .iter()
        .map(|(intent, claim)| {
            let (route, key) =
                claim.as_ref().map(|claim| (claim.route, claim.key.as_str())).unzip();
            let fingerprint = claim.as_ref().map(|claim| hex(claim.fingerprint.as_bytes()));
            let detail = intent.detail.as_ref().map(PaymentDetail::as_str);
            let (method, amount) = (method_word(intent.method), intent.amount);
            (intent.id, intent.user_id, amount, method, detail, route, key, fingerprint)
        })
        .collect();
    let inserted = sql("INSERT INTO charge_intents (id, user_id, amount, method, detail, status,
             created_at, route, idempotency_key, fingerprint)
         SELECT t.id, t.user_id, t.amount, t.method, t.detail, 'PENDING', {now}, t.route, t.name,
             UNHEX(t.fingerprint)
         FROM JSON_TABLE(?, '$[*]' COLUMNS (id BIGINT PATH '$[0]', user_id BIGINT PATH '$[1]',
             amount BIGINT PATH '$[2]', method VARCHAR(16) PATH '$[3]',
             detail VARCHAR(200) PATH '$[4]', route VARCHAR(100) PATH '$[5]',
             name VARCHAR(255) PATH '$[6]', fingerprint VARCHAR(128) PATH '$[7]')) t")
    .json(&rows)?
    .run(tx)
    .await?;
    all(inserted, rows.len(), "intents")
}

async fn approve_all(tx: &mut Tx, ids: &[TransactionId]) -> Run<Vec<Verdict<Settled>>> {
    let rows = lock_intents(tx, ids).await?;
    let kept =
        names_in_use(tx, rows.values().filter_map(|row| row.intent.name()).collect()).await?;
    let (verdicts, approved) = judge_approvals(ids, &rows, kept)?;
    if !approved.is_empty() {
        close_all(tx, &approved).await?;
        credit_all(tx, &approved).await?;
        let lines: Vec<_> = approved.iter().map(Approved::line).collect();
        write_lines(tx, &lines).await?;
        keep_answers(tx, &approved).await?;
    }
    Ok(verdicts)
}

/// An intent with its account, both locked by this transaction.
#[derive(QueryableByName)]
struct Locked {
    #[diesel(embed)]
    intent: IntentRow,
    #[diesel(sql_type = BigInt)]
    balance: i64,
    #[diesel(sql_type = BigInt)]
    sequence: i64,
    #[diesel(sql_type = BigInt)]
    now: i64,
}

/// Locks the intents and accounts that nobody else has locked.
async fn lock_intents(tx: &mut Tx, ids: &[TransactionId]) -> Run<HashMap<i64, Locked>> {
    let locked: Vec<Locked> = sql("SELECT i.*, a.balance, a.sequence, {now} AS now
         FROM JSON_TABLE(?, '$[*]' COLUMNS (id BIGINT PATH '$')) t
         STRAIGHT_JOIN charge_intents i ON i.id = t.id
         STRAIGHT_JOIN point_accounts a ON a.user_id = i.user_id
         FOR UPDATE OF i, a SKIP LOCKED")
    .json(ids)?
    .rows(tx)
    .await?;
    Ok(locked.into_iter().map(|row| (row.intent.id, row)).collect())
}

/// An intent that becomes points.
struct Approved<'a> {
    row: &'a IntentRow,
    charged: Charged,
    sequence: i64,
}

impl Approved<'_> {
    fn line(&self) -> Line {
        let charged = &self.charged;
        Line {
            id: charged.transaction_id,
            user: charged.user_id,
            sequence: self.sequence,
            kind: EntryKind::Charge,
            amount: charged.amount,
            balance_after: charged.balance.get(),
            payment: None,
            at: Some(charged.charged_at),
        }
    }
}

/// Judges one after the other. Whatever is not a pending intent with a free key is judged alone.
fn judge_approvals<'a>(
    ids: &[TransactionId],
    rows: &'a HashMap<i64, Locked>,
    mut kept: HashSet<Name<'a>>,
) -> Result<(Vec<Verdict<Settled>>, Vec<Approved<'a>>)> {
    let (mut verdicts, mut approved) = (Vec::new(), Vec::new());
    let mut seen = HashSet::new();
    let mut accounts: HashMap<i64, (i64, i64)> = HashMap::new();
    for id in ids {
        let open = |locked: &&Locked| locked.intent.is_pending() && seen.insert(locked.intent.id);
        let Some(locked) = rows.get(&id.get()).filter(open) else {
            verdicts.push(Verdict::Alone);
            continue;
        };
        let row = &locked.intent;
        let account = accounts.entry(row.user_id).or_insert((locked.balance, locked.sequence));
        let (balance, sequence) = (account.0 + row.amount, account.1 + 1);
        let is_kept = row.name().is_some_and(|name| !kept.insert(name));
        if is_kept || balance > MAX_BALANCE.get() {
            verdicts.push(Verdict::Alone);
            continue;
        }
        *account = (balance, sequence);
        let intent = row.intent()?;
        let charged = Charged {
            transaction_id: intent.id,
            user_id: intent.user_id,
            amount: intent.amount,
            balance: typed("point_accounts.balance", balance)?,
            charged_at: Timestamp::from_millis(locked.now),
        };
        verdicts.push(Verdict::Done(Some(Applied::Fresh(charged.clone()))));
        approved.push(Approved { row, charged, sequence });
    }
    Ok((verdicts, approved))
}

async fn close_all(tx: &mut Tx, approved: &[Approved<'_>]) -> Run<()> {
    let ids: Vec<i64> = approved.iter().map(|a| a.row.id).collect();
    let closed = sql("UPDATE JSON_TABLE(?, '$[*]' COLUMNS (id BIGINT PATH '$')) t
         STRAIGHT_JOIN charge_intents i ON i.id = t.id
         SET i.status = 'APPROVED', i.settled_at = {now}
         WHERE i.status = 'PENDING' AND i.given_up_at IS NULL")
    .json(&ids)?
    .run(tx)
    .await?;
    all(closed, ids.len(), "approved intents")
}

/// The room of each intent becomes balance.
async fn credit_all(tx: &mut Tx, approved: &[Approved<'_>]) -> Run<()> {
    let mut sums = BTreeMap::new();
    for Approved { row, .. } in approved {
        let (amount, lines) = sums.entry(row.user_id).or_insert((0, 0));
        (*amount, *lines) = (*amount + row.amount, *lines + 1);
    }
    let sums: Vec<(i64, i64, i64)> =
        sums.into_iter().map(|(user, (amount, lines))| (user, amount, lines)).collect();
    let credited = sql("UPDATE JSON_TABLE(?, '$[*]' COLUMNS (user_id BIGINT PATH '$[0]',
             amount BIGINT PATH '$[1]', line_count BIGINT PATH '$[2]')) t
         STRAIGHT_JOIN point_accounts a ON a.user_id = t.user_id
         SET a.balance = a.balance + t.amount, a.pending = a.pending - t.amount,
             a.sequence = a.sequence + t.line_count
         WHERE a.pending >= t.amount AND a.balance + t.amount <= ?")
    .json(&sums)?
    .int(MAX_BALANCE)
    .run(tx)
    .await?;
    all(credited, sums.len(), "credited accounts")
}

async fn keep_answers(tx: &mut Tx, approved: &[Approved<'_>]) -> Run<()> {
    let mut rows = Vec::new();
    for Approved { row, charged, .. } in approved {
        let (Some((user, route, key)), Some(fingerprint)) = (row.name(), &row.fingerprint) else {
            continue;
        };
        let answer = answer_of(fingerprint.clone(), charged)?;
        rows.push((user, route, key, hex(fingerprint), answer.answer));
    }
    keep_rows(tx, &rows).await
}
