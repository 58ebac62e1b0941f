//! Paying for holds: many in one transaction, or one by itself.

use std::collections::{BTreeMap, HashMap, HashSet};

use concert_domain::event::PAYMENT_TOPIC;
use concert_domain::payment::{Payment, Settlement};
use concert_domain::point::EntryKind;
use concert_domain::reservation::{Reservation, ReservationStatus};
use concert_domain::{Error, Result, UserId};
use diesel::QueryableByName;
use diesel::sql_types::{BigInt, Text};

use crate::error::{Run, unknown_word};
use crate::group::{Plan, Verdict, all};
use crate::idempotency::{Name, in_use, keep_all, name_of};
use crate::payment::{entry, finish, one, posted_before};
use crate::point::{Line, post, write_lines};
use crate::sql::{Tx, sql};
use crate::{outbox, reservation};

/// How payments are made, many at once.
pub(crate) const SETTLEMENTS: Plan<Settlement, Payment> = Plan {
    name: "settle",
    together: |tx, settlements| Box::pin(settle_all(tx, settlements)),
    alone: |tx, settlement| Box::pin(settle_one(tx, settlement)),
    verify: |tx, s| Box::pin(posted_before(tx, s.transaction_id, &s.payment)),
};

async fn settle_all(tx: &mut Tx, settlements: &[Settlement]) -> Run<Vec<Verdict<Payment>>> {
    let rows = lock_rows(tx, settlements).await?;
    let claims = in_use(tx, settlements.iter().filter_map(|s| s.claim.as_ref())).await?;
    let (verdicts, paid) = judge(settlements, &rows, claims)?;
    if !paid.is_empty() {
        apply_all(tx, &paid).await?;
    }
    Ok(verdicts)
}

/// A reservation with its seat and its owner's account, all locked by this transaction.
#[derive(QueryableByName)]
struct Locked {
    #[diesel(sql_type = BigInt)]
    id: i64,
    #[diesel(sql_type = BigInt)]
    seat_id: i64,
    #[diesel(sql_type = BigInt)]
    user_id: i64,
    #[diesel(sql_type = Text)]
    status: String,
    #[diesel(sql_type = BigInt)]
    ended: i64,
    #[diesel(sql_type = BigInt)]
    held: i64,
    #[diesel(sql_type = BigInt)]
    balance: i64,
    #[diesel(sql_type = BigInt)]
    sequence: i64,
}

/// Locks what nobody else has locked: of each payment the seat, then the reservation, then the
/// account. Where one of them is in other hands or missing, there is no row.
async fn lock_rows(tx: &mut Tx, settlements: &[Settlement]) -> Run<HashMap<i64, Locked>> {
    let mut ids: Vec<_> =
        settlements.iter().map(|s| (s.reservation.seat_id, s.reservation.id)).collect();
    ids.sort_unstable();
    ids.dedup();
    let locked: Vec<Locked> = sql("SELECT r.id, r.seat_id, r.user_id, r.status,
             r.expires_at <= {now} AS ended,
             s.status = 'TEMP_RESERVED' AND s.reservation_id = r.id AS held,
             a.balance, a.sequence
         FROM JSON_TABLE(?, '$[*]' COLUMNS (seat_id BIGINT PATH '$[0]',
             reservation_id BIGINT PATH '$[1]')) t
         STRAIGHT_JOIN seats s ON s.id = t.seat_id
         STRAIGHT_JOIN reservations r ON r.id = t.reservation_id
         STRAIGHT_JOIN point_accounts a ON a.user_id = r.user_id
         FOR UPDATE OF s, r, a SKIP LOCKED")
    .json(&ids)?
    .rows(tx)
    .await?;
    Ok(locked.into_iter().map(|row| (row.id, row)).collect())
}

/// A payment that is to be applied, with its ledger line.
struct Paid<'a> {
    settlement: &'a Settlement,
    sequence: i64,
    balance_after: i64,
}

/// Judges one after the other: of two payments for one reservation the first counts, and what one
/// payment has spent the user's next one here does not find. Whose key has an answer already, or is
/// used by another one here, is judged alone.
fn judge<'a>(
    settlements: &'a [Settlement],
    rows: &HashMap<i64, Locked>,
    mut claims: HashSet<Name<'a>>,
) -> Result<(Vec<Verdict<Payment>>, Vec<Paid<'a>>)> {
    let (mut verdicts, mut paid) = (Vec::new(), Vec::new());
    let mut confirmed = HashSet::new();
    let mut accounts: HashMap<UserId, (i64, i64)> = HashMap::new();
    for settlement in settlements {
        let (reservation, payment) = (&settlement.reservation, &settlement.payment);
        let own = |row: &&Locked| {
            (row.user_id, row.seat_id) == (payment.user_id.get(), reservation.seat_id.get())
        };
        let Some(row) = rows.get(&reservation.id.get()).filter(own) else {
            verdicts.push(Verdict::Alone);
            continue;
        };
        let account = accounts.entry(payment.user_id).or_insert((row.balance, row.sequence));
        let amount = payment.amount.get();
        let verdict = match row.status.as_str() {
            "PENDING" if row.ended != 0 => Verdict::Refused(Error::ReservationExpired),
            "EXPIRED" => Verdict::Refused(Error::ReservationExpired),
            "CONFIRMED" | "CANCELLED" => Verdict::Refused(Error::ReservationNotPending),
            "PENDING" if confirmed.contains(&row.id) => {
                Verdict::Refused(Error::ReservationNotPending)
            }
            "PENDING" if row.held == 0 => Verdict::Alone,
            "PENDING" if account.0 < amount => Verdict::Refused(Error::InsufficientPoints),
            "PENDING" if settlement.claim.as_ref().is_some_and(|c| !claims.insert(name_of(c))) => {
                Verdict::Alone
            }
            "PENDING" => {
                confirmed.insert(row.id);
                *account = (account.0 - amount, account.1 + 1);
                let (balance_after, sequence) = *account;
                paid.push(Paid { settlement, sequence, balance_after });
                Verdict::Done(payment.clone())
            }
            other => return Err(unknown_word("reservations.status", other)),
        };
        verdicts.push(verdict);
    }
    Ok((verdicts, paid))
}

async fn apply_all(tx: &mut Tx, paid: &[Paid<'_>]) -> Run<()> {
    confirm_all(tx, paid).await?;
    spend_all(tx, paid).await?;
    insert_all(tx, paid).await?;
    outbox::record_all(tx, PAYMENT_TOPIC, paid.iter().map(|p| &p.settlement.event)).await?;
    let kept = paid.iter().map(|p| (p.settlement.claim.as_ref(), &p.settlement.payment));
    keep_all(tx, kept).await
}

/// The guards are those of a single payment, although the rows are locked and were judged.
async fn confirm_all(tx: &mut Tx, paid: &[Paid<'_>]) -> Run<()> {
    let rows: Vec<_> = paid
        .iter()
        .map(|p| &p.settlement.reservation)
        .map(|r| (r.seat_id, r.id, r.user_id))
        .collect();
    let sold = sql("UPDATE JSON_TABLE(?, '$[*]' COLUMNS (seat_id BIGINT PATH '$[0]',
             reservation_id BIGINT PATH '$[1]')) t STRAIGHT_JOIN seats s ON s.id = t.seat_id
         SET s.status = 'RESERVED', s.held_until = NULL
         WHERE s.reservation_id = t.reservation_id AND s.status = 'TEMP_RESERVED'")
    .json(&rows)?
    .run(tx)
    .await?;
    all(sold, rows.len(), "seats to be sold")?;
    let confirmed = sql("UPDATE JSON_TABLE(?, '$[*]' COLUMNS (seat_id BIGINT PATH '$[0]',
             reservation_id BIGINT PATH '$[1]', user_id BIGINT PATH '$[2]')) t
         STRAIGHT_JOIN reservations r ON r.id = t.reservation_id
         SET r.status = 'CONFIRMED'
         WHERE r.user_id = t.user_id AND r.seat_id = t.seat_id AND r.status = 'PENDING'
           AND r.expires_at > {now}")
    .json(&rows)?
    .run(tx)
    .await?;
    all(confirmed, rows.len(), "reservations to be confirmed")
}

/// The accounts, each by the sum of what its user pays here, and a ledger line for each payment.
async fn spend_all(tx: &mut Tx, paid: &[Paid<'_>]) -> Run<()> {
    let mut spent: BTreeMap<UserId, (i64, i64)> = BTreeMap::new();
    for Settlement { payment, .. } in paid.iter().map(|p| p.settlement) {
        let sum = spent.entry(payment.user_id).or_default();
        *sum = (sum.0 + payment.amount.get(), sum.1 + 1);
    }
    let rows: Vec<_> = spent.into_iter().map(|(user, sum)| (user, sum.0, sum.1)).collect();
    let moved = sql("UPDATE JSON_TABLE(?, '$[*]' COLUMNS (user_id BIGINT PATH '$[0]',
             amount BIGINT PATH '$[1]', line_count BIGINT PATH '$[2]')) t
         STRAIGHT_JOIN point_accounts a ON a.user_id = t.user_id
         SET a.balance = a.balance - t.amount, a.sequence = a.sequence + t.line_count
         WHERE a.balance >= t.amount")
    .json(&rows)?
    .run(tx)
    .await?;
    all(moved, rows.len(), "accounts")?;
    let line = |p: &Paid<'_>| Line {
        id: p.settlement.transaction_id,
        user: p.settlement.payment.user_id,
        sequence: p.sequence,
        kind: EntryKind::Use,
        amount: p.settlement.payment.amount,
        balance_after: p.balance_after,
        payment: Some(p.settlement.payment.id),
        at: None,
    };
    write_lines(tx, &paid.iter().map(line).collect::<Vec<_>>()).await
}

async fn insert_all(tx: &mut Tx, paid: &[Paid<'_>]) -> Run<()> {
    let rows: Vec<_> = paid
        .iter()
        .map(|p| &p.settlement.payment)
        .map(|p| (p.id, p.reservation_id, p.user_id, p.amount, p.paid_at.as_millis()))
        .collect();
    let inserted = sql("INSERT INTO payments
             (id, reservation_id, user_id, amount, status, paid_at)
         SELECT t.id, t.reservation_id, t.user_id, t.amount, 'COMPLETED', t.paid_at
         FROM JSON_TABLE(?, '$[*]' COLUMNS (id BIGINT PATH '$[0]',
             reservation_id BIGINT PATH '$[1]', user_id BIGINT PATH '$[2]',
             amount BIGINT PATH '$[3]', paid_at BIGINT PATH '$[4]')) t")
    .json(&rows)?
    .run(tx)
    .await?;
    all(inserted, rows.len(), "payments")
}

async fn settle_one(tx: &mut Tx, settlement: &Settlement) -> Run<Payment> {
    let Settlement { payment, reservation, transaction_id, event, claim } = settlement;
    confirm(tx, reservation).await?;
    post(tx, &entry(EntryKind::Use, *transaction_id, payment)).await?;
    insert(tx, payment).await?;
    finish(tx, payment, event, claim.as_ref()).await
}

/// The seat and its reservation, each by one conditional update.
async fn confirm(tx: &mut Tx, reservation: &Reservation) -> Run<()> {
    let sold = sql("UPDATE seats SET status = 'RESERVED', held_until = NULL
         WHERE id = ? AND reservation_id = ? AND status = 'TEMP_RESERVED'")
    .int(reservation.seat_id)
    .int(reservation.id)
    .run(tx)
    .await?;
    let confirmed = sql("UPDATE reservations SET status = 'CONFIRMED'
         WHERE id = ? AND user_id = ? AND seat_id = ? AND status = 'PENDING'
           AND expires_at > {now}")
    .int(reservation.id)
    .int(reservation.user_id)
    .int(reservation.seat_id)
    .run(tx)
    .await?;
    match (sold, confirmed) {
        (1, 1) => Ok(()),
        (_, 0) => Err(why_not_payable(tx, reservation).await?.into()),
        _ => Err(Error::bug("the seat of a pending reservation is not held by it").into()),
    }
}

async fn why_not_payable(tx: &mut Tx, reservation: &Reservation) -> Run<Error> {
    let now = reservation::find(tx, reservation.id).await?;
    Ok(match now.map(|seen| seen.value.status) {
        Some(ReservationStatus::Expired) => Error::ReservationExpired,
        Some(_) => Error::ReservationNotPending,
        None => Error::ReservationNotFound,
    })
}

async fn insert(tx: &mut Tx, payment: &Payment) -> Run<()> {
    let inserted =
        sql("INSERT INTO payments (id, reservation_id, user_id, amount, status, paid_at)
         VALUES (?, ?, ?, ?, 'COMPLETED', ?)")
        .int(payment.id)
        .int(payment.reservation_id)
        .int(payment.user_id)
        .int(payment.amount)
        .time(payment.paid_at)
        .insert(tx)
        .await?;
    one(usize::from(inserted), "a pending reservation has a payment")
}
