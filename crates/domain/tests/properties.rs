//! Properties of the pure parts, over inputs that nobody thought of.
// Test code: a broken property is reported by a panic.
#![allow(clippy::unwrap_used)]

use std::time::Duration;

use concert_domain::event::partition_of;
use concert_domain::idempotency::Fingerprint;
use concert_domain::point::PaymentDetail;
use concert_domain::queue::{
    Mode, Pace, Policy, PolicyPatch, QueueToken, Seal, SealKey, SealedToken, TokenDigest,
};
use concert_domain::{Cursor, IdempotencyKey, Limit, Page, SeatId, Timestamp, Won};
use proptest::prelude::*;

fn timestamps() -> impl Strategy<Value = Timestamp> {
    (0..=Timestamp::MAX.as_millis()).prop_map(Timestamp::from_millis)
}

fn durations() -> impl Strategy<Value = Duration> {
    prop_oneof![
        (0..100_000_u64).prop_map(Duration::from_millis),
        any::<u64>().prop_map(Duration::from_millis)
    ]
}

fn policies() -> impl Strategy<Value = Policy> {
    (modes(), any::<Option<u32>>(), any::<Option<u32>>()).prop_map(
        |(mode, active_limit, admissions_per_second)| Policy {
            mode,
            active_limit,
            admissions_per_second,
        },
    )
}

fn modes() -> impl Strategy<Value = Mode> {
    prop_oneof![Just(Mode::Open), Just(Mode::Hold), Just(Mode::Drain)]
}

proptest! {
    #[test]
    fn an_instant_reads_back_as_it_was_written(at in timestamps()) {
        prop_assert_eq!(at.to_string().parse(), Ok(at));
        let json = serde_json::to_string(&at).unwrap();
        prop_assert_eq!(serde_json::from_str::<Timestamp>(&json).unwrap(), at);
        prop_assert!(at.to_string().starts_with(&at.date()));
    }

    #[test]
    fn no_text_makes_an_instant_out_of_range(
        text in "[+-]?[0-9]{4,5}-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-5][0-9]:[0-6][0-9](Z|[+-][0-2][0-9]:[0-5][0-9])",
    ) {
        if let Ok(at) = text.parse::<Timestamp>() {
            prop_assert!((Timestamp::MIN..=Timestamp::MAX).contains(&at));
        }
    }

    #[test]
    fn moving_in_time_keeps_order_and_range(at in timestamps(), by in durations()) {
        let (later, earlier) = (at.plus(by), at.minus(by));
        prop_assert!(earlier <= at && at <= later);
        prop_assert!(later.since(at) <= by);
        if later < Timestamp::MAX {
            prop_assert_eq!(later.since(at), by);
            prop_assert_eq!(later.minus(by), at);
        }
        prop_assert_eq!(earlier.since(at), Duration::ZERO);
    }

    #[test]
    fn amounts_add_and_take_away_exactly_or_not_at_all(a in 0..=i64::MAX, b in 0..=i64::MAX) {
        let (left, right) = (Won::try_from(a).unwrap(), Won::try_from(b).unwrap());
        prop_assert_eq!(left.checked_add(right).map(Won::get), a.checked_add(b));
        prop_assert_eq!(left.checked_sub(right).map(Won::get), (a >= b).then(|| a - b));
    }

    #[test]
    fn an_id_is_read_only_from_its_own_digits(number in any::<i64>(), text in "[+0 ]?[0-9]{1,17}[.a]?") {
        let valid = (1..=concert_domain::id::MAX_ID).contains(&number);
        prop_assert_eq!(number.to_string().parse::<SeatId>().is_ok(), valid);
        prop_assert_eq!(serde_json::from_str::<SeatId>(&number.to_string()).is_ok(), valid);
        if let Ok(id) = text.parse::<SeatId>() {
            prop_assert_eq!(text.trim_start_matches(['+', '0']), id.to_string());
        }
    }

    #[test]
    fn tokens_and_digests_read_back_and_differ(one in any::<[u8; 16]>(), other in any::<[u8; 16]>()) {
        let token = QueueToken::from_bytes(one);
        let digest = token.digest();
        prop_assert_eq!(TokenDigest::try_from(digest.to_string()), Ok(digest));
        prop_assert_ne!(digest.as_bytes(), token.as_bytes());
        prop_assert_eq!(one == other, digest == QueueToken::from_bytes(other).digest());
    }

    #[test]
    fn what_is_sealed_reads_back_and_opens_under_its_own_key_only(
        kept in any::<[u8; 16]>(), one in any::<[u8; 16]>(), other in any::<[u8; 16]>(),
    ) {
        let kept = QueueToken::from_bytes(kept);
        let [one, other] = [one, other].map(|key| (key, Seal::new(&SealKey::from_bytes(key))));
        let sealed = one.1.seal(&kept);
        prop_assert_eq!(sealed.to_string().parse(), Ok(sealed.clone()));
        prop_assert_eq!(one.1.open(&sealed), kept.clone());
        prop_assert_eq!(one.0 == other.0, other.1.open(&sealed) == kept);
    }

    #[test]
    fn no_text_but_32_hexadecimal_digits_is_a_token(text in "[0-9a-fA-F]{31,33}|[0-9a-g]{32}|[0-9a-f]{30}é") {
        let hex = text.len() == 32 && text.bytes().all(|b| b.is_ascii_hexdigit());
        prop_assert_eq!(text.parse::<SealedToken>().is_ok(), hex);
    }

    #[test]
    fn a_key_is_in_one_partition_that_exists(key in "\\PC{0,30}", partitions in 0..100_u32) {
        let partition = partition_of(&key, partitions);
        prop_assert!(partition < partitions.max(1));
        prop_assert_eq!(partition, partition_of(&key, partitions));
    }

    #[test]
    fn a_pace_is_never_negative_and_a_wait_never_above_its_bound(
        steps in prop::collection::vec((durations(), 0..10_000_u64), 0..30),
        rank in any::<u64>(),
        bound in 0..100_000_u64,
    ) {
        let (mut pace, mut now) = (Pace::NONE, Timestamp::MIN);
        for (passed, admitted) in steps {
            now = now.plus(passed);
            pace = pace.after(now, admitted);
            prop_assert!(pace.per_second().is_finite() && pace.per_second() >= 0.0);
        }
        let bound = Duration::from_secs(bound);
        prop_assert!(pace.wait_for(rank, bound) <= bound);
        prop_assert!(pace.wait_for(rank / 2, bound) <= pace.wait_for(rank, bound));
        let idle = pace.after(now.plus(Duration::from_secs(10)), 0);
        prop_assert!(idle.wait_for(rank, bound) >= pace.wait_for(rank, bound));
    }

    #[test]
    fn a_patch_changes_what_it_names_and_nothing_else(
        policy in policies(),
        to in policies(),
        names in any::<[bool; 3]>(),
    ) {
        let patch = PolicyPatch {
            mode: names[0].then_some(to.mode),
            active_limit: names[1].then_some(to.active_limit),
            admissions_per_second: names[2].then_some(to.admissions_per_second),
        };
        let patched = policy.patched(patch);
        let expected = |named: bool| if named { to } else { policy };
        prop_assert_eq!(patched.mode, expected(names[0]).mode);
        prop_assert_eq!(patched.active_limit, expected(names[1]).active_limit);
        let rate = expected(names[2]).admissions_per_second;
        prop_assert_eq!(patched.admissions_per_second, rate);
        prop_assert_eq!(patched.patched(patch), patched);
    }

    #[test]
    fn pages_put_together_are_the_list(items in 0..50_i64, limit in 1..=10_u32) {
        let limit = Limit::new(limit).unwrap();
        let (mut read, mut after) = (Vec::new(), Some(Cursor { key: -1, id: -1 }));
        while let Some(cursor) = after {
            let rows = (cursor.id + 1..items).take(limit.get() as usize + 1).collect();
            let page = Page::from_rows(rows, limit, |n| Cursor { key: *n, id: *n });
            prop_assert!(page.items.len() <= limit.get() as usize);
            read.extend(page.items);
            after = page.next;
        }
        prop_assert_eq!(read, (0..items).collect::<Vec<_>>());
    }

    #[test]
    fn an_idempotency_key_is_visible_ascii(text in "[!-~]{0,300}|[ -~é]{1,20}") {
        let fits = (1..=255).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic());
        prop_assert_eq!(text.parse::<IdempotencyKey>().is_ok(), fits);
    }

    #[test]
    fn different_requests_have_different_fingerprints(
        one in ("[A-Z]{1,6}", "/[a-z/]{0,10}", "\\PC{0,20}"),
        other in ("[A-Z]{1,6}", "/[a-z/]{0,10}", "\\PC{0,20}"),
    ) {
        let of = |r: &(String, String, String)| Fingerprint::of(&r.0, &r.1, &r.2).unwrap();
        prop_assert_eq!(one == other, of(&one) == of(&other));
    }

    #[test]
    fn no_card_number_passes_as_a_token(
        digits in "[0-9]{12,19}",
        spread in prop::collection::vec(prop_oneof![Just(""), Just(" "), Just("-")], 19),
        before in "[a-z_]{0,10}",
    ) {
        let written: String =
            digits.chars().zip(spread).flat_map(|(d, gap)| [d.to_string(), gap.to_owned()]).collect();
        prop_assert!(PaymentDetail::try_from(before + &written).is_err());
    }
}
