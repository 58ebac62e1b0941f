//! Seats as a file of comma-separated values: a line a seat, or a line a run of seats.

use concert_domain::concert::{MAX_SEATS_PER_CALL, SeatRange};
use concert_domain::{FieldError, Won};
use csv::{ByteRecord, ReaderBuilder};

use crate::error::{ApiError, ApiResult};

/// How many mistakes one answer names.
const MOST_ERRORS: usize = 20;
/// The largest number of a seat, and the largest price.
const LARGEST: u32 = 1_000_000;

/// Which column is where.
#[derive(Default)]
struct Columns {
    number: Option<usize>,
    from: Option<usize>,
    to: Option<usize>,
    price: Option<usize>,
    count: usize,
}

/// The mistakes that were found, as many of them as one answer names.
#[derive(Default)]
struct Mistakes(Vec<FieldError>);

impl Mistakes {
    fn add(&mut self, line: usize, column: &str, message: impl Into<String>) {
        let field = format!("line {line}, {column}");
        self.0.push(FieldError { field, message: message.into() });
    }

    fn is_full(&self) -> bool {
        self.0.len() >= MOST_ERRORS
    }
}

/// The runs that a file describes. Its first line names the columns: `price`, and `number`, or `from`
/// and `to`, or all three, of which each line then has the one or the others. Nothing is guessed at:
/// no other columns, no spaces, no signs. Each mistake is named by its line and column.
pub(super) fn parse(bytes: &[u8]) -> ApiResult<Vec<SeatRange>> {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let mut reader = ReaderBuilder::new().has_headers(false).flexible(true).from_reader(bytes);
    let mut lines = Lines { bytes, at: 0, line: 1 };
    let mut record = ByteRecord::new();
    let unreadable = |error: csv::Error| ApiError::invalid("body", error.to_string());
    if !reader.read_byte_record(&mut record).map_err(unreadable)? {
        return Err(ApiError::invalid("line 1", "must name the columns"));
    }
    let columns = Columns::read(&record)?;
    let (mut runs, mut mistakes) = (Vec::new(), Mistakes::default());
    while !mistakes.is_full() && reader.read_byte_record(&mut record).map_err(unreadable)? {
        let start = record.position().map_or(0, |position| position.byte());
        let line = lines.of(usize::try_from(start).unwrap_or(bytes.len()));
        if let Some(run) = columns.run(&record, line, &mut mistakes) {
            runs.push((run, line));
        }
    }
    let column = if columns.number.is_some() { "number" } else { "from" };
    check_numbers(&mut runs, column, &mut mistakes);
    if mistakes.0.is_empty() {
        Ok(runs.into_iter().map(|(run, _)| run).collect())
    } else {
        mistakes.0.truncate(MOST_ERRORS);
        Err(ApiError::all_invalid(mistakes.0))
    }
}

/// Counts lines by what ends them, since the reader counts the end of one with the next.
struct Lines<'a> {
    bytes: &'a [u8],
    at: usize,
    line: usize,
}

impl Lines<'_> {
    /// The line of the record that starts here, or behind the ends of lines that are here.
    fn of(&mut self, start: usize) -> usize {
        let rest = self.bytes.get(start..).unwrap_or_default();
        let start = start + rest.iter().take_while(|byte| matches!(byte, b'\r' | b'\n')).count();
        let passed = self.bytes.get(self.at..start).unwrap_or_default();
        self.line += passed.iter().filter(|byte| **byte == b'\n').count();
        self.at = start;
        self.line
    }
}

impl Columns {
    fn read(header: &ByteRecord) -> ApiResult<Self> {
        let mut columns = Self { count: header.len(), ..Self::default() };
        for (index, name) in header.iter().enumerate() {
            let column = match name {
                b"number" => &mut columns.number,
                b"from" => &mut columns.from,
                b"to" => &mut columns.to,
                b"price" => &mut columns.price,
                _ => {
                    let message = "must be number, from, to or price";
                    return Err(ApiError::invalid(
                        format!("line 1, column {}", index + 1),
                        message,
                    ));
                }
            };
            if column.replace(index).is_some() {
                let message = "is named twice";
                return Err(ApiError::invalid(format!("line 1, column {}", index + 1), message));
            }
        }
        let run = columns.from.is_some() && columns.to.is_some();
        let half = columns.from.is_some() != columns.to.is_some();
        if columns.price.is_none() || half || (columns.number.is_none() && !run) {
            let message = "must name price, and number, or from and to";
            return Err(ApiError::invalid("line 1", message));
        }
        Ok(columns)
    }

    /// The run of a line, if nothing is wrong with it.
    fn run(&self, record: &ByteRecord, line: usize, mistakes: &mut Mistakes) -> Option<SeatRange> {
        if record.len() != self.count {
            let message = format!("must have {} values, not {}", self.count, record.len());
            mistakes.add(line, "values", message);
            return None;
        }
        let told = |column: Option<usize>| {
            column.and_then(|index| record.get(index)).filter(|value| !value.is_empty())
        };
        let (number, from, to) = (told(self.number), told(self.from), told(self.to));
        let numbers = match (number, from, to) {
            (Some(number), None, None) => {
                value(number, line, "number", mistakes).map(|number| (number, number))
            }
            (None, Some(from), Some(to)) => {
                let from = value(from, line, "from", mistakes);
                from.zip(value(to, line, "to", mistakes))
            }
            (Some(_), _, _) => {
                mistakes.add(line, "number", "must stand alone, without from and to");
                None
            }
            (None, None, Some(_)) => missing(line, "from", mistakes),
            (None, Some(_), None) => missing(line, "to", mistakes),
            (None, None, None) => {
                missing(line, if self.number.is_some() { "number" } else { "from" }, mistakes)
            }
        };
        if numbers.is_some_and(|(from, to)| from > to) {
            mistakes.add(line, "to", "must not be below from");
            return None;
        }
        let price = match told(self.price) {
            Some(price) => value(price, line, "price", mistakes),
            None => missing(line, "price", mistakes),
        };
        let ((from, to), price) = numbers.zip(price)?;
        Some(SeatRange { from, to, price: Won::of(price) })
    }
}

fn missing<T>(line: usize, column: &str, mistakes: &mut Mistakes) -> Option<T> {
    mistakes.add(line, column, "is missing");
    None
}

/// A whole number from 1 to a million, written in digits only.
fn value(text: &[u8], line: usize, column: &str, mistakes: &mut Mistakes) -> Option<u32> {
    let digits = text.iter().all(u8::is_ascii_digit) && text.len() <= 7 && text[0] != b'0';
    let number =
        std::str::from_utf8(text).ok().filter(|_| digits).and_then(|text| text.parse().ok());
    if let Some(number @ 1..=LARGEST) = number {
        return Some(number);
    }
    mistakes.add(line, column, format!("must be a whole number from 1 to {LARGEST}"));
    None
}

/// No number twice, and not too many.
fn check_numbers(runs: &mut [(SeatRange, usize)], column: &str, mistakes: &mut Mistakes) {
    let seats: u64 = runs.iter().map(|(run, _)| u64::from(run.to - run.from) + 1).sum();
    if mistakes.0.is_empty() && !(1..=u64::from(MAX_SEATS_PER_CALL)).contains(&seats) {
        let message = format!("must make 1 to {MAX_SEATS_PER_CALL} seats, not {seats}");
        mistakes.0.push(FieldError { field: "body".to_owned(), message });
        return;
    }
    runs.sort_unstable_by_key(|(run, line)| (run.from, *line));
    let mut reach: Option<(SeatRange, usize)> = None;
    for (run, line) in runs.iter() {
        if mistakes.is_full() {
            return;
        }
        match reach {
            Some((before, other)) if run.from <= before.to => {
                let (first, second) = (other.min(*line), other.max(*line));
                let message = format!("seat {} is in line {first} as well", run.from);
                mistakes.add(second, column, message);
                if run.to > before.to {
                    reach = Some((*run, *line));
                }
            }
            _ => reach = Some((*run, *line)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn runs(text: &str) -> Vec<(u32, u32, i64)> {
        let runs = parse(text.as_bytes()).unwrap();
        runs.iter().map(|run| (run.from, run.to, run.price.get())).collect()
    }

    fn mistakes(text: &str) -> Vec<String> {
        let refusal = parse(text.as_bytes()).unwrap_err();
        refusal.fields().iter().map(|error| error.field.clone()).collect()
    }

    #[test]
    fn seats_and_runs_are_read_in_any_order_of_columns() {
        assert_eq!(runs("number,price\n7,100\n1,50\n"), [(1, 1, 50), (7, 7, 100)]);
        assert_eq!(runs("price,to,from\r\n9,20,11\r\n"), [(11, 20, 9)]);
        let both = "number,from,to,price\n5,,,1\n,6,9,2\n";
        assert_eq!(runs(both), [(5, 5, 1), (6, 9, 2)]);
        assert_eq!(runs("\u{feff}number,price\n\"3\",\"1000000\""), [(3, 3, 1_000_000)]);
    }

    #[test]
    fn a_mistake_is_named_by_line_and_column() {
        for (text, field) in [
            ("", "line 1"),
            ("number\n1\n", "line 1"),
            ("from,price\n1,1\n", "line 1"),
            ("number,price,row\n", "line 1, column 3"),
            ("number,number,price\n", "line 1, column 2"),
            ("Number,price\n1,1\n", "line 1, column 1"),
            ("number, price\n1,1\n", "line 1, column 2"),
            ("number,price\n", "body"),
            ("number,price\n1,1\n2\n", "line 3, values"),
            ("number,price\n1,1,1\n", "line 2, values"),
            ("number,price\n,1\n", "line 2, number"),
            ("number,price\n1,\n", "line 2, price"),
            ("number,price\n1,0\n", "line 2, price"),
            ("number,price\n1,1000001\n", "line 2, price"),
            ("number,price\n1,99999999999\n", "line 2, price"),
            ("number,price\n 1,1\n", "line 2, number"),
            ("number,price\n+1,1\n", "line 2, number"),
            ("number,price\n01,1\n", "line 2, number"),
            ("number,price\n1.0,1\n", "line 2, number"),
            ("number,price\n\u{661},1\n", "line 2, number"),
            ("from,to,price\n5,4,1\n", "line 2, to"),
            ("from,to,price\n5,,1\n", "line 2, to"),
            ("number,from,to,price\n5,6,7,1\n", "line 2, number"),
            ("number,from,to,price\n,,,1\n", "line 2, number"),
            ("number,price\r\n1,1\r\n\r\n1,1\r\n", "line 4, number"),
            ("from,to,price\n1,9,1\n20,30,1\n9,12,1\n", "line 4, from"),
            ("from,to,price\n1,100001,1\n", "body"),
        ] {
            assert_eq!(mistakes(text), [field], "{text:?}");
        }
    }

    #[test]
    fn every_mistake_is_named_up_to_a_bound() {
        let text = "number,price\n0,1\n1,x\n2,2\ny,z\n2,3\n";
        let expected = [
            "line 2, number",
            "line 3, price",
            "line 5, number",
            "line 5, price",
            "line 6, number",
        ];
        assert_eq!(mistakes(text), expected);
        let many = format!("number,price\n{}", "0,0\n".repeat(50_000));
        assert_eq!(mistakes(&many).len(), MOST_ERRORS);
        let doubled = format!("number,price\n{}", "7,1\n".repeat(50_000));
        assert_eq!(mistakes(&doubled).len(), MOST_ERRORS);
    }

    #[test]
    fn a_hundred_thousand_lines_are_read() {
        let lines: String = (1..=100_000).map(|number| format!("{number},{number}\n")).collect();
        assert_eq!(runs(&format!("number,price\n{lines}")).len(), 100_000);
    }
}
