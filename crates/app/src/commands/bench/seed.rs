//! What the application that this one replaces did, as its own measurements say.

/// Where those figures come from.
pub(super) const WHERE: &str = "The seed's own figures were measured elsewhere: on another machine of \
    two cores with everything on it (application, load tool, MySQL 9.7, Redis 8, Kafka 4.1), good to \
    about a factor of two. The factor beside them says no more than that.";

/// Good answers in a second with 32 and with 128 clients.
const PATHS: [(&str, [f64; 2]); 12] = [
    ("token issue", [4_036.0, 4_082.0]),
    ("status", [6_632.0, 6_643.0]),
    ("schedules", [1_632.0, 1_474.0]),
    ("seats, hall of 50", [4_057.0, 4_477.0]),
    ("seats, hall of 2000", [519.0, 578.0]),
    ("hold, hall of 50", [453.0, 484.0]),
    // Its largest hall had 2,000 seats.
    ("hold, hall of 50000", [100.0, 95.0]),
    ("charge, many users", [1_159.0, 1_362.0]),
    ("charge, one user", [104.0, 95.0]),
    ("pay", [583.0, 557.0]),
    ("journeys, one concert", [7.6, 7.9]),
    ("journeys, ten concerts", [70.0, 57.0]),
];
/// Clients who wanted one seat, and how long their burst took in milliseconds.
pub(super) const HOT_SEAT: (u32, f64) = (500, 1_034.0);
pub(super) const READY_S: f64 = 13.0;
pub(super) const IDLE_MIB: f64 = 590.0;
pub(super) const LOADED_MIB: f64 = 1_126.0;

/// Its figure for a path, if it has one for about so many clients.
pub(super) fn per_second(path: &str, clients: usize) -> Option<f64> {
    let (_, figures) = PATHS.iter().find(|(name, _)| *name == path)?;
    match clients {
        16..=64 => Some(figures[0]),
        65..=256 => Some(figures[1]),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_figure_is_compared_with_one_of_about_as_many_clients() {
        assert_eq!(per_second("pay", 32), Some(583.0));
        assert_eq!(per_second("pay", 128), Some(557.0));
        assert_eq!((per_second("pay", 1), per_second("else", 32)), (None, None));
    }
}
