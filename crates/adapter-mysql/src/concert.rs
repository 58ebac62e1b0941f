use async_trait::async_trait;
use concert_domain::concert::{
    Concert, ConcertReader, MAX_SCHEDULES, MAX_SEATS, Perishable, RankedConcert, Schedule,
    ScheduleListing, Seat, SeatMap, SeatOffer, SeatStatus,
};
use concert_domain::{
    ConcertId, Cursor, Page, PageRequest, Result, ScheduleId, SeatId, Seen, Timestamp,
};
use diesel::QueryableByName;
use diesel::sql_types::{BigInt, Nullable, Text};

use crate::Mysql;
use crate::batch::put;
use crate::error::{Run, typed};
use crate::sql::{Tx, now, sql};

#[async_trait]
impl ConcertReader for Mysql {
    async fn concerts(&self, page: PageRequest) -> Result<Page<Concert>> {
        self.read(page, |tx, page| Box::pin(concerts(tx, *page))).await
    }

    async fn concert(&self, id: ConcertId) -> Result<Option<Concert>> {
        self.read(id, |tx, id| Box::pin(concert(tx, *id))).await
    }

    async fn schedules(&self, concert: ConcertId) -> Result<Perishable<Vec<ScheduleListing>>> {
        self.read(concert, |tx, concert| Box::pin(schedules(tx, *concert))).await
    }

    async fn seats(&self, schedule: ScheduleId) -> Result<Option<Perishable<SeatMap>>> {
        self.read(schedule, |tx, schedule| Box::pin(seats(tx, *schedule))).await
    }

    async fn offer(&self, schedule: ScheduleId, seat: SeatId) -> Result<Option<Seen<SeatOffer>>> {
        self.batches.offers.submit(self, (schedule, seat)).await
    }

    async fn ranking(&self, page: PageRequest) -> Result<Page<RankedConcert>> {
        self.read(page, |tx, page| Box::pin(ranking(tx, *page))).await
    }
}

#[derive(QueryableByName)]
struct ConcertRow {
    #[diesel(sql_type = BigInt)]
    id: i64,
    #[diesel(sql_type = Text)]
    title: String,
    #[diesel(sql_type = Nullable<Text>)]
    description: Option<String>,
    #[diesel(sql_type = BigInt)]
    version: i64,
}

impl ConcertRow {
    fn concert(self) -> Result<Concert> {
        let Self { id, title, description, version } = self;
        Ok(Concert { id: typed("concerts.id", id)?, title, description, version })
    }
}

#[derive(QueryableByName)]
struct ScheduleRow {
    #[diesel(sql_type = BigInt)]
    id: i64,
    #[diesel(sql_type = BigInt)]
    concert_id: i64,
    #[diesel(sql_type = BigInt)]
    starts_at: i64,
    #[diesel(sql_type = BigInt)]
    reservation_opens_at: i64,
    #[diesel(sql_type = BigInt)]
    version: i64,
}

impl ScheduleRow {
    fn schedule(&self) -> Result<Schedule> {
        Ok(Schedule {
            id: typed("schedules.id", self.id)?,
            concert_id: typed("schedules.concert_id", self.concert_id)?,
            starts_at: Timestamp::from_millis(self.starts_at),
            reservation_opens_at: Timestamp::from_millis(self.reservation_opens_at),
            version: self.version,
        })
    }
}

/// The concert, inside a transaction.
pub(crate) async fn concert(tx: &mut Tx, id: ConcertId) -> Run<Option<Concert>> {
    let row = sql("SELECT id, title, description, version FROM concerts WHERE id = ?").int(id);
    Ok(row.row(tx).await?.map(ConcertRow::concert).transpose()?)
}

/// The schedule, inside a transaction.
pub(crate) async fn schedule(tx: &mut Tx, id: ScheduleId) -> Run<Option<Schedule>> {
    let row: Option<ScheduleRow> =
        sql("SELECT id, concert_id, starts_at, reservation_opens_at, version
         FROM schedules WHERE id = ?")
        .int(id)
        .row(tx)
        .await?;
    Ok(row.map(|row| row.schedule()).transpose()?)
}

async fn concerts(tx: &mut Tx, page: PageRequest) -> Run<Page<Concert>> {
    let rows: Vec<ConcertRow> = sql("SELECT id, title, description, version FROM concerts
         WHERE id > ? ORDER BY id LIMIT ?")
    .int(page.after.map_or(0, |after| after.id))
    .int(page.limit.get() + 1)
    .rows(tx)
    .await?;
    let concerts = rows.into_iter().map(ConcertRow::concert).collect::<Result<_>>()?;
    let cursor = |concert: &Concert| Cursor { key: concert.id.get(), id: concert.id.get() };
    Ok(Page::from_rows(concerts, page.limit, cursor))
}

#[derive(QueryableByName)]
struct ListingRow {
    #[diesel(embed)]
    schedule: ScheduleRow,
    #[diesel(sql_type = BigInt)]
    available_seats: i64,
    #[diesel(sql_type = Nullable<BigInt>)]
    next_end: Option<i64>,
}

async fn schedules(tx: &mut Tx, concert: ConcertId) -> Run<Perishable<Vec<ScheduleListing>>> {
    let now = now(tx).await?;
    let rows: Vec<ListingRow> =
        sql("SELECT s.id, s.concert_id, s.starts_at, s.reservation_opens_at, s.version,
             (SELECT COUNT(*) FROM seats WHERE schedule_id = s.id AND status = 'AVAILABLE')
             + (SELECT COUNT(*) FROM seats WHERE schedule_id = s.id
                AND status = 'TEMP_RESERVED' AND held_until <= ?) AS available_seats,
             (SELECT MIN(held_until) FROM seats WHERE schedule_id = s.id
              AND status = 'TEMP_RESERVED' AND held_until > ?) AS next_end
         FROM schedules s WHERE s.concert_id = ? ORDER BY s.starts_at, s.id LIMIT ?")
        .time(now)
        .time(now)
        .int(concert)
        .int(MAX_SCHEDULES)
        .rows(tx)
        .await?;
    let next_end = rows.iter().filter_map(|row| row.next_end).min();
    let listings = rows.iter().map(|row| {
        let available_seats = typed("available_seats", row.available_seats)?;
        Ok(ScheduleListing { schedule: row.schedule.schedule()?, available_seats })
    });
    Ok(perishable(now, listings.collect::<Result<_>>()?, next_end))
}

/// A value that is true until the instant at which the first hold in it ends.
fn perishable<T>(now: Timestamp, value: T, next_end: Option<i64>) -> Perishable<T> {
    let fresh_for = next_end.map(|end| Timestamp::from_millis(end).since(now));
    Perishable { value, fresh_for }
}

#[derive(QueryableByName)]
struct SeatRow {
    #[diesel(sql_type = BigInt)]
    id: i64,
    #[diesel(sql_type = BigInt)]
    number: i64,
    #[diesel(sql_type = BigInt)]
    price: i64,
    #[diesel(sql_type = BigInt)]
    sold: i64,
    #[diesel(sql_type = Nullable<BigInt>)]
    held_until: Option<i64>,
}

impl SeatRow {
    /// When the seat's hold ends, if it has one that has not ended.
    fn hold_ends(&self, now: Timestamp) -> Option<i64> {
        self.held_until.filter(|until| *until > now.as_millis())
    }

    fn seat(&self, now: Timestamp) -> Result<Seat> {
        let status = match self.hold_ends(now) {
            _ if self.sold != 0 => SeatStatus::Reserved,
            Some(_) => SeatStatus::TempReserved,
            None => SeatStatus::Available,
        };
        Ok(Seat {
            id: typed("seats.id", self.id)?,
            number: typed("seats.number", self.number)?,
            status,
            price: typed("seats.price", self.price)?,
        })
    }
}

async fn seats(tx: &mut Tx, id: ScheduleId) -> Run<Option<Perishable<SeatMap>>> {
    let Some(schedule) = schedule(tx, id).await? else { return Ok(None) };
    let now = now(tx).await?;
    let rows: Vec<SeatRow> =
        sql("SELECT id, number, price, status = 'RESERVED' AS sold, held_until
         FROM seats WHERE schedule_id = ? ORDER BY number LIMIT ?")
        .int(id)
        .int(MAX_SEATS)
        .rows(tx)
        .await?;
    let seats = rows.iter().map(|row| row.seat(now)).collect::<Result<_>>()?;
    let next_end = rows.iter().filter_map(|row| row.hold_ends(now)).min();
    let map = SeatMap { schedule_id: id, concert_id: schedule.concert_id, seats };
    Ok(Some(perishable(now, map, next_end)))
}

#[derive(QueryableByName)]
struct OfferRow {
    #[diesel(sql_type = BigInt)]
    place: i64,
    #[diesel(embed)]
    schedule: ScheduleRow,
    #[diesel(sql_type = Nullable<BigInt>)]
    price: Option<i64>,
    #[diesel(sql_type = Nullable<BigInt>)]
    taken_until: Option<i64>,
    #[diesel(sql_type = BigInt)]
    now: i64,
}

impl OfferRow {
    fn offer(&self) -> Result<Seen<SeatOffer>> {
        let offer = SeatOffer {
            schedule: self.schedule.schedule()?,
            price: self.price.map(|price| typed("seats.price", price)).transpose()?,
            taken_until: self.taken_until.map(Timestamp::from_millis),
        };
        Ok(Seen { now: Timestamp::from_millis(self.now), value: offer })
    }
}

/// Offers for many callers. A sold seat is taken for ever.
pub(crate) async fn offers(
    tx: &mut Tx,
    asked: &[(ScheduleId, SeatId)],
) -> Run<Vec<Result<Option<Seen<SeatOffer>>>>> {
    let rows: Vec<OfferRow> = sql("SELECT a.place, s.id, s.concert_id, s.starts_at,
             s.reservation_opens_at, s.version, t.price, {now} AS now,
             CASE WHEN t.status = 'RESERVED' THEN ?
                 WHEN t.status = 'TEMP_RESERVED' AND t.held_until > {now} THEN t.held_until END
             AS taken_until
         FROM JSON_TABLE(?, '$[*]' COLUMNS (place FOR ORDINALITY,
             schedule_id BIGINT PATH '$[0]', seat_id BIGINT PATH '$[1]')) a
         STRAIGHT_JOIN schedules s ON s.id = a.schedule_id
         LEFT JOIN seats t ON t.id = a.seat_id AND t.schedule_id = s.id")
    .time(Timestamp::MAX)
    .json(asked)?
    .rows(tx)
    .await?;
    let mut offers: Vec<_> = asked.iter().map(|_| Ok(None)).collect();
    for row in rows {
        put(&mut offers, row.place, row.offer().map(Some));
    }
    Ok(offers)
}

#[derive(QueryableByName)]
struct RankedRow {
    #[diesel(sql_type = BigInt)]
    id: i64,
    #[diesel(sql_type = Text)]
    title: String,
    #[diesel(sql_type = BigInt)]
    sold_seats: i64,
    #[diesel(sql_type = BigInt)]
    total_seats: i64,
    #[diesel(sql_type = BigInt)]
    sales: i64,
    #[diesel(sql_type = Nullable<BigInt>)]
    sold_out_at: Option<i64>,
    #[diesel(sql_type = Nullable<BigInt>)]
    sold_out_after_ms: Option<i64>,
}

impl RankedRow {
    fn line(self) -> Result<RankedConcert> {
        Ok(RankedConcert {
            id: typed("concerts.id", self.id)?,
            title: self.title,
            sold_seats: typed("sold_seats", self.sold_seats)?,
            total_seats: typed("total_seats", self.total_seats)?,
            sales: typed("sales", self.sales)?,
            sold_out_at: self.sold_out_at.map(Timestamp::from_millis),
            sold_out_after_ms: self.sold_out_after_ms,
        })
    }
}

/// Sales can be below zero for a while, when a refund was consumed and its payment waits as a
/// dead letter; they read as none. NO_MERGE, so that seats are counted once per concert.
const RANKING: &str = "
    WITH figures AS (
        SELECT c.id, c.title,
            GREATEST(COALESCE(f.sold_seats, 0), 0) AS sold_seats,
            GREATEST(COALESCE(f.sales, 0), 0) AS sales,
            f.last_sold_at,
            (SELECT COUNT(*) FROM schedules s JOIN seats t ON t.schedule_id = s.id
             WHERE s.concert_id = c.id) AS total_seats,
            (SELECT MIN(reservation_opens_at) FROM schedules
             WHERE concert_id = c.id) AS opened_at
        FROM concerts c LEFT JOIN concert_sales f ON f.concert_id = c.id
    ), listed AS (
        SELECT /*+ NO_MERGE(figures) */ id, title, sold_seats, total_seats, sales, opened_at,
            CASE WHEN total_seats > 0 AND sold_seats >= total_seats
                THEN last_sold_at END AS sold_out_at
        FROM figures
    )
    SELECT /*+ NO_MERGE(listed) */ id, title, sold_seats, total_seats, sales, sold_out_at,
        sold_out_at - opened_at AS sold_out_after_ms
    FROM listed
    ORDER BY sold_out_after_ms IS NULL, sold_out_after_ms, sales DESC, id
    LIMIT ? OFFSET ?";

async fn ranking(tx: &mut Tx, page: PageRequest) -> Run<Page<RankedConcert>> {
    let before = page.after.map_or(0, |after| after.key);
    let rows: Vec<RankedRow> = sql(RANKING).int(page.limit.get() + 1).int(before).rows(tx).await?;
    let lines = rows.into_iter().map(RankedRow::line).collect::<Result<_>>()?;
    let key = before.saturating_add(page.limit.get().into());
    Ok(Page::from_rows(lines, page.limit, |line| Cursor { key, id: line.id.get() }))
}
