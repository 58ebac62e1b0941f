use async_trait::async_trait;
use concert_domain::concert::{
    Concert, ConcertReader, MAX_SCHEDULES, MAX_SEATS, Perishable, RankedConcert, Schedule,
    ScheduleListing, Seat, SeatMap, SeatOffer, SeatStatus,
};
use concert_domain::{
    ConcertId, Cursor, Page, PageRequest, Result, ScheduleId, SeatId, Seen, Timestamp,
};
use diesel::QueryableByName;
use diesel::sql_types::{BigInt, Bool, Nullable, Text};

use crate::Sqlite;
use crate::db::Tx;
use crate::sql::{sql, typed};

#[async_trait]
impl ConcertReader for Sqlite {
    async fn concerts(&self, page: PageRequest) -> Result<Page<Concert>> {
        self.read(move |tx| concerts(tx, page)).await
    }

    async fn concert(&self, id: ConcertId) -> Result<Option<Concert>> {
        self.read(move |tx| concert(tx, id)).await
    }

    async fn schedules(&self, concert: ConcertId) -> Result<Perishable<Vec<ScheduleListing>>> {
        self.read(move |tx| schedules(tx, concert)).await
    }

    async fn seats(&self, schedule: ScheduleId) -> Result<Option<Perishable<SeatMap>>> {
        self.read(move |tx| seats(tx, schedule)).await
    }

    async fn offer(&self, schedule: ScheduleId, seat: SeatId) -> Result<Option<Seen<SeatOffer>>> {
        self.read(move |tx| offer(tx, schedule, seat)).await
    }

    async fn ranking(&self, page: PageRequest) -> Result<Page<RankedConcert>> {
        self.read(move |tx| ranking(tx, page)).await
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
pub(crate) fn concert(tx: &mut Tx<'_>, id: ConcertId) -> Result<Option<Concert>> {
    let row = sql("SELECT id, title, description, version FROM concerts WHERE id = ?").int(id);
    row.row(tx.conn)?.map(ConcertRow::concert).transpose()
}

/// The schedule, inside a transaction.
pub(crate) fn schedule(tx: &mut Tx<'_>, id: ScheduleId) -> Result<Option<Schedule>> {
    let row: Option<ScheduleRow> =
        sql("SELECT id, concert_id, starts_at, reservation_opens_at, version
         FROM schedules WHERE id = ?")
        .int(id)
        .row(tx.conn)?;
    row.map(|row| row.schedule()).transpose()
}

fn concerts(tx: &mut Tx<'_>, page: PageRequest) -> Result<Page<Concert>> {
    let rows: Vec<ConcertRow> = sql("SELECT id, title, description, version FROM concerts
         WHERE id > ? ORDER BY id LIMIT ?")
    .int(page.after.map_or(0, |after| after.id))
    .int(page.limit.get() + 1)
    .rows(tx.conn)?;
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

fn schedules(tx: &mut Tx<'_>, concert: ConcertId) -> Result<Perishable<Vec<ScheduleListing>>> {
    let rows: Vec<ListingRow> =
        sql("SELECT s.id, s.concert_id, s.starts_at, s.reservation_opens_at, s.version,
             (SELECT COUNT(*) FROM seats WHERE schedule_id = s.id AND status = 'AVAILABLE')
             + (SELECT COUNT(*) FROM seats WHERE schedule_id = s.id
                AND status = 'TEMP_RESERVED' AND held_until <= ?) AS available_seats,
             (SELECT MIN(held_until) FROM seats WHERE schedule_id = s.id
              AND status = 'TEMP_RESERVED' AND held_until > ?) AS next_end
         FROM schedules s WHERE s.concert_id = ? ORDER BY s.starts_at, s.id LIMIT ?")
        .time(tx.now)
        .time(tx.now)
        .int(concert)
        .int(MAX_SCHEDULES)
        .rows(tx.conn)?;
    let next_end = rows.iter().filter_map(|row| row.next_end).min();
    let listings = rows.iter().map(|row| {
        let available_seats = typed("available_seats", row.available_seats)?;
        Ok(ScheduleListing { schedule: row.schedule.schedule()?, available_seats })
    });
    Ok(perishable(tx, listings.collect::<Result<_>>()?, next_end))
}

/// A value that is true until the instant at which the first hold in it ends.
fn perishable<T>(tx: &Tx<'_>, value: T, next_end: Option<i64>) -> Perishable<T> {
    let fresh_for = next_end.map(|end| Timestamp::from_millis(end).since(tx.now));
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
    #[diesel(sql_type = Bool)]
    sold: bool,
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
            _ if self.sold => SeatStatus::Reserved,
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

fn seats(tx: &mut Tx<'_>, id: ScheduleId) -> Result<Option<Perishable<SeatMap>>> {
    let Some(schedule) = schedule(tx, id)? else { return Ok(None) };
    let rows: Vec<SeatRow> =
        sql("SELECT id, number, price, status = 'RESERVED' AS sold, held_until
         FROM seats WHERE schedule_id = ? ORDER BY number LIMIT ?")
        .int(id)
        .int(MAX_SEATS)
        .rows(tx.conn)?;
    let seats = rows.iter().map(|row| row.seat(tx.now)).collect::<Result<_>>()?;
    let next_end = rows.iter().filter_map(|row| row.hold_ends(tx.now)).min();
    let map = SeatMap { schedule_id: id, concert_id: schedule.concert_id, seats };
    Ok(Some(perishable(tx, map, next_end)))
}

#[derive(QueryableByName)]
struct OfferRow {
    #[diesel(embed)]
    schedule: ScheduleRow,
    #[diesel(sql_type = Nullable<BigInt>)]
    price: Option<i64>,
    #[diesel(sql_type = Nullable<BigInt>)]
    taken_until: Option<i64>,
}

/// A sold seat is taken for ever.
fn offer(tx: &mut Tx<'_>, schedule: ScheduleId, seat: SeatId) -> Result<Option<Seen<SeatOffer>>> {
    let row: Option<OfferRow> =
        sql("SELECT s.id, s.concert_id, s.starts_at, s.reservation_opens_at, s.version, t.price,
             CASE WHEN t.status = 'RESERVED' THEN ? ELSE t.held_until END AS taken_until
         FROM schedules s LEFT JOIN seats t ON t.id = ? AND t.schedule_id = s.id
         WHERE s.id = ?")
        .time(Timestamp::MAX)
        .int(seat)
        .int(schedule)
        .row(tx.conn)?;
    let Some(row) = row else { return Ok(None) };
    let price = row.price.map(|price| typed("seats.price", price)).transpose()?;
    let taken_until = row.taken_until.map(Timestamp::from_millis).filter(|end| *end > tx.now);
    let offer = SeatOffer { schedule: row.schedule.schedule()?, price, taken_until };
    Ok(Some(Seen { now: tx.now, value: offer }))
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
/// dead letter; they read as none. MATERIALIZED, so that seats are counted once per concert.
const RANKING: &str = "
    WITH figures AS MATERIALIZED (
        SELECT c.id, c.title,
            MAX(COALESCE(f.sold_seats, 0), 0) AS sold_seats,
            MAX(COALESCE(f.sales, 0), 0) AS sales,
            f.last_sold_at,
            (SELECT COUNT(*) FROM schedules s JOIN seats t ON t.schedule_id = s.id
             WHERE s.concert_id = c.id) AS total_seats,
            (SELECT MIN(reservation_opens_at) FROM schedules
             WHERE concert_id = c.id) AS opened_at
        FROM concerts c LEFT JOIN concert_sales f ON f.concert_id = c.id
    ), lines AS (
        SELECT id, title, sold_seats, total_seats, sales, opened_at,
            CASE WHEN total_seats > 0 AND sold_seats >= total_seats
                THEN last_sold_at END AS sold_out_at
        FROM figures
    )
    SELECT id, title, sold_seats, total_seats, sales, sold_out_at,
        sold_out_at - opened_at AS sold_out_after_ms
    FROM lines
    ORDER BY sold_out_after_ms IS NULL, sold_out_after_ms, sales DESC, id
    LIMIT ? OFFSET ?";

fn ranking(tx: &mut Tx<'_>, page: PageRequest) -> Result<Page<RankedConcert>> {
    let before = page.after.map_or(0, |after| after.key);
    let rows: Vec<RankedRow> = sql(RANKING).int(page.limit.get() + 1).int(before).rows(tx.conn)?;
    let lines = rows.into_iter().map(RankedRow::line).collect::<Result<_>>()?;
    let key = before.saturating_add(page.limit.get().into());
    Ok(Page::from_rows(lines, page.limit, |line| Cursor { key, id: line.id.get() }))
}
