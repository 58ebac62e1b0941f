//! What a request, or a journey, costs, as the page tells it.

use super::meter::Cost;
use super::report::{Cell, figure, median};
use super::rows::rounds;

type Part = fn(&Cost) -> Option<f64>;

/// The figures of a cost in their order, with what stands above them.
const PARTS: [(&str, Part); 8] = [
    ("us of processor time in the service", |cost| Some(cost.cpu)),
    ("in MySQL", |cost| cost.others[0]),
    ("in Redis", |cost| cost.others[1]),
    ("in Kafka", |cost| cost.others[2]),
    ("in the load", |cost| cost.others[3]),
    ("of all processors in use", |cost| cost.busy),
    ("statements at MySQL", |cost| cost.statements),
    ("commands at Redis", |cost| cost.commands),
];

/// What stands above the cells.
pub(super) fn columns() -> impl Iterator<Item = &'static str> {
    PARTS.iter().map(|(column, _)| *column)
}

/// A row's cells for these rounds.
pub(super) fn cells(costs: &[Cost]) -> impl Iterator<Item = Cell> {
    PARTS.iter().map(|(_, part)| Cell::from(rounds(&each(costs, *part))))
}

/// What stops whoever has these costs: the processors, by whom they are used, and round trips.
pub(super) fn told(costs: &[Cost]) -> String {
    let middle = |part| {
        let figures = each(costs, part);
        (!figures.is_empty()).then(|| figure(median(&figures)))
    };
    let of = |(column, part): &(&str, Part)| Some(format!("{} {column}", middle(*part)?));
    PARTS.iter().filter_map(of).collect::<Vec<_>>().join(", ")
}

fn each(costs: &[Cost], part: Part) -> Vec<f64> {
    costs.iter().filter_map(part).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_not_counted_is_not_told() {
        let cost = |cpu, busy| Cost {
            cpu,
            others: [Some(1.0), None, None, None],
            statements: None,
            commands: None,
            busy: Some(busy),
        };
        assert_eq!(
            told(&[cost(10.0, 0.5), cost(30.0, 0.7), cost(20.0, 0.9)]),
            "20.0 us of processor time in the service, 1.00 in MySQL, 0.700 of all processors in use"
        );
        assert_eq!(cells(&[]).count(), columns().count());
    }
}
