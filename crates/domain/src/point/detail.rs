use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{Error, Result};

/// The gateway's token for the means of payment: 1 to 200 printable ASCII characters, and never a
/// card number, so that none is ever stored or passed on. It is in no log line: `{:?}` hides it.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct PaymentDetail(String);

/// The longest token.
const LONGEST: usize = 200;
/// How many digits a card number has.
const CARD_DIGITS: std::ops::RangeInclusive<usize> = 13..=19;
/// So many digits in a row are refused whatever they are: a card number with a digit wrong or left
/// out is still somebody's.
const SUSPICIOUS: usize = 12;

impl PaymentDetail {
    /// What a store has kept. It was judged when it was taken; a rule that has become stricter
    /// since must not keep an open charge from being settled.
    pub fn stored(text: String) -> Self {
        Self(text)
    }

    /// The token as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for PaymentDetail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PaymentDetail(hidden)")
    }
}

impl TryFrom<String> for PaymentDetail {
    type Error = Error;

    fn try_from(text: String) -> Result<Self> {
        let refuse = |message: &str| Err(Error::invalid("paymentDetail", message));
        let fits = (1..=LONGEST).contains(&text.len());
        if !fits || !text.bytes().all(|byte| (0x20..0x7f).contains(&byte)) {
            return refuse("must be 1 to 200 printable ASCII characters");
        }
        if has_a_long_number(&text) || has_a_card_number(&text) {
            return refuse("must be the gateway's token, never a card number");
        }
        Ok(Self(text))
    }
}

/// Digits in a row, however they are grouped by spaces or dashes.
fn has_a_long_number(text: &str) -> bool {
    let mut run = 0;
    text.bytes().filter(|byte| !matches!(byte, b' ' | b'-')).any(|byte| {
        run = if byte.is_ascii_digit() { run + 1 } else { 0 };
        run >= SUSPICIOUS
    })
}

/// The digits of a card number with anything but letters between them, check digit (Luhn) included.
fn has_a_card_number(text: &str) -> bool {
    text.split(|c: char| c.is_ascii_alphabetic()).any(|part| {
        let digits: Vec<u8> =
            part.bytes().filter(u8::is_ascii_digit).map(|byte| byte - b'0').collect();
        CARD_DIGITS.into_iter().any(|length| digits.windows(length).any(is_checked))
    })
}

/// Whether the last digit is the check digit of those before it.
fn is_checked(digits: &[u8]) -> bool {
    let doubled = |digit: u8| if digit > 4 { 2 * digit - 9 } else { 2 * digit };
    let weigh = |(place, digit): (usize, &u8)| match place % 2 {
        0 => u32::from(*digit),
        _ => u32::from(doubled(*digit)),
    };
    let sum: u32 = digits.iter().rev().enumerate().map(weigh).sum();
    sum.is_multiple_of(10)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn of(text: &str) -> Result<PaymentDetail> {
        PaymentDetail::try_from(text.to_owned())
    }

    /// Numbers that card schemes publish for tests.
    const CARDS: [&str; 6] = [
        "4111111111111111",
        "5555555555554444",
        "378282246310005",
        "6011111111111117",
        "4222222222222",
        "6304000000000000000",
    ];

    #[test]
    fn a_card_number_is_never_taken_for_a_token() {
        for card in CARDS {
            let spaced: Vec<_> = card.as_bytes().chunks(4).map(String::from_utf8_lossy).collect();
            for between in ["", " ", "-", ".", "_", "/", " - ", ":"] {
                let number = spaced.join(between);
                for text in [number.clone(), format!("tok_{number}"), format!("pan={number};v")] {
                    let refusal = of(&text).unwrap_err();
                    assert!(!refusal.to_string().contains(&number), "{refusal}");
                    assert!(!format!("{refusal:?}").contains(&number), "{refusal:?}");
                }
            }
        }
        // One digit wrong.
        assert!(of("4111 1111 1111 1112").is_err());
    }

    #[test]
    fn a_token_is_taken_and_not_shown() {
        for token in ["tok_1Nabc234", "sandbox:decline", "src-18eYal/2eZv.KYlo2", "~", " "] {
            let detail = of(token).unwrap();
            assert_eq!(detail.as_str(), token);
            assert!(!format!("{detail:?}").contains(token) || token == " " || token == "~");
        }
        let longest = "x".repeat(LONGEST);
        assert!(of(&longest).is_ok() && of(&format!("{longest}x")).is_err());
        for bad in ["", "line\nbreak", "토큰", "\u{7f}"] {
            assert!(of(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn what_was_stored_is_read_again_whatever_the_rule_says_now() {
        assert_eq!(PaymentDetail::stored("4111.1111.1111.1111".to_owned()).as_str().len(), 19);
    }

    proptest! {
        #[test]
        fn no_number_with_its_check_digit_gets_through(
            digits in proptest::collection::vec(0..10_u8, 12..19),
            between in "[ ./_:-]{0,2}",
            front in "[a-z]{0,5}",
        ) {
            let mut all = digits.clone();
            all.push(0);
            let check = (0..10).find(|check| { all[digits.len()] = *check; is_checked(&all) });
            all[digits.len()] = check.unwrap();
            let texts: Vec<String> = all.iter().map(u8::to_string).collect();
            let text = format!("{front}{}", texts.join(&between));
            prop_assert!(of(&text).is_err(), "{text}");
        }
    }
}
