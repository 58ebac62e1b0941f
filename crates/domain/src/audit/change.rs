use serde_json::{Value, json};

use crate::concert::{Concert, NewSeat, Schedule};
use crate::queue::KeptPolicy;
use crate::{ConcertId, ScheduleId, SeatId, Won};

/// How many runs of seats a line names; further ones it only counts.
const MOST_RANGES: usize = 100;

macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($(#[$about:meta])* $variant:ident $word:literal)+ }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum $name {
            $($(#[$about])* $variant,)+
        }

        impl $name {
            /// Each of them.
            pub const ALL: &[Self] = &[$(Self::$variant),+];

            /// The word that stores and answers have for it.
            pub fn word(self) -> &'static str {
                match self {
                    $(Self::$variant => $word,)+
                }
            }

            /// What a word stands for.
            pub fn of_word(word: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|one| one.word() == word)
            }
        }
    };
}

words! {
    /// What was done to a thing.
    Action {
        /// It was made.
        Create "CREATE"
        /// It was changed.
        Update "UPDATE"
        /// It was removed.
        Delete "DELETE"
    }
}

words! {
    /// What sort of thing was changed.
    Resource {
        /// A concert.
        Concert "CONCERT"
        /// A schedule.
        Schedule "SCHEDULE"
        /// Seats that were made together; the thing is their schedule.
        Seats "SEATS"
        /// A seat.
        Seat "SEAT"
        /// The policy of a queue; the thing is its concert.
        Queue "QUEUE"
    }
}

/// The line that a change leaves. It says nothing of buyers.
#[derive(Debug, Clone, PartialEq)]
pub struct Change {
    /// What sort of thing.
    pub resource: Resource,
    /// Which one.
    pub id: i64,
    /// How it was; absent if it was made.
    pub before: Option<Value>,
    /// How it is; absent if it was removed.
    pub after: Option<Value>,
}

impl Change {
    /// What was done.
    pub fn action(&self) -> Action {
        match (&self.before, &self.after) {
            (None, _) => Action::Create,
            (Some(_), Some(_)) => Action::Update,
            (Some(_), None) => Action::Delete,
        }
    }

    /// A concert was made.
    pub fn made_concert(concert: &Concert) -> Self {
        Self::concert(concert.id, None, Some(concert_state(concert)))
    }

    /// A concert was changed.
    pub fn edited_concert(before: &Concert, after: &Concert) -> Self {
        Self::concert(after.id, Some(concert_state(before)), Some(concert_state(after)))
    }

    /// A concert was removed, with so many schedules and seats.
    pub fn removed_concert(concert: &Concert, schedules: usize, seats: usize) -> Self {
        let mut state = concert_state(concert);
        state["schedules"] = json!(schedules);
        state["seats"] = json!(seats);
        Self::concert(concert.id, Some(state), None)
    }

    fn concert(id: ConcertId, before: Option<Value>, after: Option<Value>) -> Self {
        Self { resource: Resource::Concert, id: id.get(), before, after }
    }

    /// A schedule was made.
    pub fn made_schedule(schedule: &Schedule) -> Self {
        Self::schedule(schedule.id, None, Some(schedule_state(schedule)))
    }

    /// A schedule was changed; `taken` if it was moved although seats were held or sold.
    pub fn edited_schedule(before: &Schedule, after: &Schedule, taken: bool) -> Self {
        let mut state = schedule_state(after);
        if taken {
            state["movedWithTakenSeats"] = json!(true);
        }
        Self::schedule(after.id, Some(schedule_state(before)), Some(state))
    }

    /// A schedule was removed, with so many seats.
    pub fn removed_schedule(schedule: &Schedule, seats: usize) -> Self {
        let mut state = schedule_state(schedule);
        state["seats"] = json!(seats);
        Self::schedule(schedule.id, Some(state), None)
    }

    fn schedule(id: ScheduleId, before: Option<Value>, after: Option<Value>) -> Self {
        Self { resource: Resource::Schedule, id: id.get(), before, after }
    }

    /// Seats were made, however many: one line, which says how many and in which runs.
    pub fn made_seats(schedule: ScheduleId, seats: &[NewSeat]) -> Self {
        let after = Some(seats_state(seats));
        Self { resource: Resource::Seats, id: schedule.get(), before: None, after }
    }

    /// A seat was changed.
    pub fn edited_seat(id: SeatId, before: Value, after: Value) -> Self {
        Self { resource: Resource::Seat, id: id.get(), before: Some(before), after: Some(after) }
    }

    /// A seat was removed.
    pub fn removed_seat(id: SeatId, before: Value) -> Self {
        Self { resource: Resource::Seat, id: id.get(), before: Some(before), after: None }
    }

    /// A seat as a line has it.
    pub fn seat_state(schedule: ScheduleId, number: u32, price: Won) -> Value {
        json!({ "scheduleId": schedule, "number": number, "price": price })
    }

    /// The policy of a queue was changed.
    pub fn edited_queue(concert: ConcertId, before: KeptPolicy, after: KeptPolicy) -> Self {
        let (before, after) = (Some(queue_state(before)), Some(queue_state(after)));
        Self { resource: Resource::Queue, id: concert.get(), before, after }
    }
}

fn concert_state(concert: &Concert) -> Value {
    let Concert { title, description, version, .. } = concert;
    json!({ "title": title, "description": description, "version": version })
}

fn schedule_state(schedule: &Schedule) -> Value {
    json!({
        "concertId": schedule.concert_id,
        "startsAt": schedule.starts_at,
        "reservationOpensAt": schedule.reservation_opens_at,
        "version": schedule.version,
    })
}

fn queue_state(kept: KeptPolicy) -> Value {
    json!({
        "mode": kept.policy.mode,
        "activeLimit": kept.policy.active_limit,
        "admissionsPerSecond": kept.policy.admissions_per_second,
        "version": kept.version,
    })
}

/// Seats of following numbers and one price are one run.
fn seats_state(seats: &[NewSeat]) -> Value {
    let mut sorted: Vec<_> = seats.iter().map(|seat| (seat.number, seat.price)).collect();
    sorted.sort_unstable_by_key(|(number, _)| *number);
    let mut runs: Vec<(u32, u32, Won)> = Vec::new();
    for (number, price) in sorted {
        match runs.last_mut() {
            Some((_, to, same)) if *same == price && to.checked_add(1) == Some(number) => {
                *to = number;
            }
            _ => runs.push((number, number, price)),
        }
    }
    let more = runs.len().saturating_sub(MOST_RANGES);
    let run = |(from, to, price): &_| json!({ "from": from, "to": to, "price": price });
    let ranges: Vec<_> = runs.iter().take(MOST_RANGES).map(run).collect();
    json!({ "seats": seats.len(), "ranges": ranges, "moreRanges": more })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seat(number: u32, price: u32) -> NewSeat {
        NewSeat { id: SeatId::try_from(i64::from(number)).unwrap(), number, price: Won::of(price) }
    }

    #[test]
    fn a_hundred_thousand_seats_are_a_short_line() {
        let seats: Vec<_> = (1..=100_000).map(|number| seat(number, number % 2 + 1)).collect();
        let state = seats_state(&seats);
        assert_eq!((&state["seats"], &state["moreRanges"]), (&json!(100_000), &json!(99_900)));
        assert!(state.to_string().len() < 10_000);
        let few = seats_state(&[seat(3, 5), seat(2, 5), seat(9, 5), seat(1, 7)]);
        let ranges = json!([
            { "from": 1, "to": 1, "price": 7 },
            { "from": 2, "to": 3, "price": 5 },
            { "from": 9, "to": 9, "price": 5 },
        ]);
        assert_eq!(few, json!({ "seats": 4, "ranges": ranges, "moreRanges": 0 }));
    }

    #[test]
    fn words_read_back() {
        for resource in Resource::ALL {
            assert_eq!(Resource::of_word(resource.word()), Some(*resource));
        }
        for action in Action::ALL {
            assert_eq!(Action::of_word(action.word()), Some(*action));
        }
    }
}
