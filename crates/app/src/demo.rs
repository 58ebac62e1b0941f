//! The demo data: ten concerts on sale, and a hundred users with points.

use std::time::Duration;

use concert_domain::concert::{Concert, NewSeat, Schedule};
use concert_domain::id::NotAnId;
use concert_domain::seed::{Dataset, SeedStore};
use concert_domain::user::{User, UserName};
use concert_domain::{Error, Result, Timestamp, Won};

/// The seed of the balances: the same users have the same points in every demo.
const SEED: u64 = 20_260_501;

const DAY: Duration = Duration::from_secs(24 * 3_600);
/// The hour of every show in UTC, seven in the evening in Seoul.
const SHOW_TIME: Duration = Duration::from_secs(10 * 3_600);
/// Each concert has a show on the first day of its week and on these days after it.
const SHOW_DAYS: [u32; 3] = [0, 2, 5];

const TITLES: [&str; 10] = [
    "Spring Breeze Live",
    "Han River Night",
    "City Lights Tour",
    "Winter Garden Strings",
    "Blue Hour Jazz",
    "Moonlit Pansori",
    "Electric Dawn",
    "Old Town Acoustic",
    "Northern Choir",
    "Grand Finale",
];

const USERS: i64 = 100;

/// Loads the demo data if the store has no concert; answers whether it did.
pub async fn load_if_empty(seeds: &dyn SeedStore) -> Result<bool> {
    let data = dataset(seeds.now().await?)?;
    seeds.load_if_empty(data).await
}

/// The demo data as of `now`, with ids from 1 in order.
pub fn dataset(now: Timestamp) -> Result<Dataset> {
    let mut data = Dataset::default();
    add_concerts(&mut data, now).map_err(|e| Error::bug(e.to_string()))?;
    add_users(&mut data, now)?;
    Ok(data)
}

fn add_concerts(data: &mut Dataset, now: Timestamp) -> Result<(), NotAnId> {
    let today = midnight(now);
    for (index, title) in (1_u32..).zip(TITLES) {
        let concert_id = i64::from(index).try_into()?;
        data.concerts.push(Concert {
            id: concert_id,
            title: title.to_owned(),
            description: Some(format!("Demo concert {index}: three shows of fifty seats.")),
            version: 1,
        });
        for offset in SHOW_DAYS {
            let id = next_id(data.schedules.len()).try_into()?;
            // Counted from tomorrow, so that the first show is never less than a week away.
            let days = 1 + 7 * index + offset;
            data.schedules.push(Schedule {
                id,
                concert_id,
                starts_at: today.plus(DAY * days).plus(SHOW_TIME),
                reservation_opens_at: today.minus(DAY),
                version: 1,
            });
            for number in 1..=50 {
                let seat = next_id(data.seats.len()).try_into()?;
                data.seats.push((id, NewSeat { id: seat, number, price: price_of(number) }));
            }
        }
    }
    Ok(())
}

fn price_of(number: u32) -> Won {
    match number {
        ..=10 => Won::of(150_000),
        11..=30 => Won::of(120_000),
        _ => Won::of(80_000),
    }
}

fn add_users(data: &mut Dataset, now: Timestamp) -> Result<()> {
    let bug = |e: &dyn std::fmt::Display| Error::bug(e.to_string());
    let mut state = SEED;
    for number in 1..=USERS {
        let id = number.try_into().map_err(|e: NotAnId| bug(&e))?;
        let name = UserName::try_from(format!("Demo user {number}"))?;
        data.users.push(User { id, name, created_at: now });
        let tens_of_thousands = i64::try_from(splitmix64(&mut state) % 50).unwrap_or(0) + 1;
        let points = Won::try_from(tens_of_thousands * 10_000).map_err(|e| bug(&e))?;
        let transaction = number.try_into().map_err(|e: NotAnId| bug(&e))?;
        data.charges.push((transaction, id, points));
    }
    Ok(())
}

fn next_id(rows: usize) -> i64 {
    i64::try_from(rows).unwrap_or(i64::MAX - 1) + 1
}

fn midnight(at: Timestamp) -> Timestamp {
    let day = i64::try_from(DAY.as_millis()).unwrap_or(i64::MAX);
    Timestamp::from_millis(at.as_millis() - at.as_millis().rem_euclid(day))
}

/// The splitmix64 generator: a few lines that give the same numbers on every machine.
pub(crate) fn splitmix64(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut mixed = *state;
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_demo_is_what_the_manual_says() {
        let now: Timestamp = "2026-05-01T23:59:59.999Z".parse().unwrap();
        let data = dataset(now).unwrap();
        assert_eq!((data.concerts.len(), data.schedules.len()), (10, 30));
        assert_eq!((data.seats.len(), data.users.len(), data.charges.len()), (1_500, 100, 100));

        let ids: Vec<i64> = data.seats.iter().map(|(_, seat)| seat.id.get()).collect();
        assert_eq!(ids, (1..=1_500).collect::<Vec<_>>());
        assert!(data.concerts.iter().zip(1..).all(|(concert, id)| concert.id.get() == id));
        assert!(data.schedules.iter().zip(1..).all(|(schedule, id)| schedule.id.get() == id));
        assert!(data.users.iter().zip(1..).all(|(user, id)| user.id.get() == id));

        for (schedule, seats) in data.schedules.iter().zip(data.seats.chunks(50)) {
            assert!(
                seats
                    .iter()
                    .zip(1..)
                    .all(|((at, seat), number)| { *at == schedule.id && seat.number == number })
            );
            let prices: Vec<i64> = seats.iter().map(|(_, seat)| seat.price.get()).collect();
            let by_block = [&prices[..10], &prices[10..30], &prices[30..]];
            for (block, price) in by_block.into_iter().zip([150_000, 120_000, 80_000]) {
                assert!(block.iter().all(|p| *p == price));
            }
        }
    }

    #[test]
    fn shows_are_one_to_eleven_weeks_ahead_and_on_sale_at_any_time_of_the_day() {
        for now in ["2026-05-01T00:00:00.000Z", "2026-05-01T23:59:59.999Z"] {
            let now: Timestamp = now.parse().unwrap();
            for schedule in dataset(now).unwrap().schedules {
                let ahead = schedule.starts_at.since(now);
                assert!((DAY * 7..=DAY * 77).contains(&ahead), "{ahead:?}");
                assert!(schedule.reservation_opens_at <= now);
            }
        }
    }

    #[test]
    fn balances_are_the_same_in_every_demo() {
        let points = |at: &str| -> Vec<i64> {
            let data = dataset(at.parse().unwrap()).unwrap();
            data.charges.iter().map(|(_, _, amount)| amount.get()).collect()
        };
        let once = points("2026-05-01T00:00:00.000Z");
        assert_eq!(once, points("2027-01-01T00:00:00.000Z"));
        assert!(once.iter().all(|amount| (10_000..=500_000).contains(amount)));
        assert!(once.iter().any(|amount| *amount != once[0]));
    }

    #[test]
    fn the_generator_gives_the_published_numbers() {
        // The reference sequence for seed 1234567.
        let mut state = 1_234_567;
        let first: Vec<u64> = (0..3).map(|_| splitmix64(&mut state)).collect();
        let known =
            [6_457_827_717_110_365_317, 3_203_168_211_198_807_973, 9_817_491_932_198_370_423];
        assert_eq!(first, known);
    }
}
