//! Every metric by name, with its unit and what it means. Labels are bounded: route patterns,
//! codes, partitions, the busiest concerts.

use metrics::{Unit, describe_counter, describe_gauge, describe_histogram};

const COUNTERS: &[(&str, &str)] = &[
    ("http_requests_total", "Requests answered, by method, route pattern and status"),
    ("concert_refusals_total", "Refusals by their code: why requests fail"),
    ("concert_holds_total", "Seats held"),
    ("concert_holds_cancelled_total", "Holds let go by their owners"),
    ("concert_holds_expired_total", "Holds that ended unpaid and were tidied"),
    ("concert_payments_total", "Payments made"),
    ("concert_refunds_total", "Payments given back"),
    ("concert_queue_joins_total", "New places in queues"),
    ("concert_queue_left_total", "Places that their holders gave up"),
    ("concert_queue_admitted_by_tick_total", "Admissions that only the passing of time made"),
    ("concert_queue_dropped_by_tick_total", "Places dropped by the tick: a deadline had passed"),
    ("concert_lock_attempts_total", "Tries to take the shield of a seat, by result"),
    ("concert_cache_lookups_total", "Look-ups by cache tier and result"),
    ("concert_requests_shed_total", "Requests refused because the service was full, by class"),
    ("concert_requests_limited_total", "Requests refused by a rate limit, by budget"),
    ("concert_batch_alone_total", "Changes that left their batch to be made alone, by batch"),
    ("concert_batch_refused_total", "Changes refused because their batch was full, by batch"),
    ("concert_db_abandoned_total", "Units of work not begun, as their caller had gone away"),
    ("concert_db_connection_timeouts_total", "Units of work that got no database connection"),
    ("concert_gateway_calls_total", "Calls of the payment gateway, by call and result"),
    ("concert_charges_reconciled_total", "Charges whose request had died, by what became of them"),
    ("concert_events_published_total", "Recorded events taken to the event log"),
    ("concert_events_consumed_total", "Events that had their effect"),
    ("concert_events_dead_total", "Events that could not be handled"),
    ("concert_worker_failures_total", "Failed steps, by worker"),
    ("concert_log_lines_left_out_total", "Warnings and errors left out of the log in bursts"),
    ("concert_double_sales_prevented_total", "ALARM: the unique key of a seat's owner fired"),
    ("concert_offset_conflicts_total", "ALARM if it keeps rising: a consumer's offset had moved"),
];

const GAUGES: &[(&str, Unit, &str)] = &[
    ("concert_queue_waiting", Unit::Count, "Users who wait, by concert (sampled)"),
    ("concert_queue_active", Unit::Count, "Users who may buy now, by concert (sampled)"),
    ("concert_queue_admitted", Unit::Count, "Users ever admitted, by concert (sampled)"),
    ("concert_outbox_pending", Unit::Count, "Recorded events not published yet (sampled)"),
    ("concert_outbox_oldest_seconds", Unit::Seconds, "Age of the oldest of them (sampled)"),
    ("concert_consumer_lag", Unit::Count, "Events not consumed yet, by partition (sampled)"),
    ("concert_db_connections_in_use", Unit::Count, "Database connections at work"),
    ("concert_worker_heartbeat_seconds", Unit::Seconds, "When a worker last succeeded (epoch)"),
    ("concert_build_info", Unit::Count, "Always 1; the label says the version"),
];

const HISTOGRAMS: &[(&str, &str)] = &[
    ("http_request_duration_seconds", "Time to answer, by method, route pattern and status"),
    ("concert_queue_wait_predicted_seconds", "The wait that was told at the join"),
    ("concert_queue_wait_observed_seconds", "The wait of the same users from join to admission"),
    ("concert_gateway_call_duration_seconds", "Time of a call of the payment gateway, by call"),
    ("concert_db_connection_wait_seconds", "Waits for a database connection"),
];

/// Sizes, whose bounds are no times.
const SIZES: &[(&str, &str)] =
    &[("concert_batch_items", "Changes that one transaction made together, by batch")];

/// Counters without labels, which are there from the start: an alert on a counter that does not
/// exist yet would miss its first step.
const FROM_ZERO: &[&str] = &[
    "concert_holds_total",
    "concert_holds_cancelled_total",
    "concert_holds_expired_total",
    "concert_payments_total",
    "concert_refunds_total",
    "concert_queue_joins_total",
    "concert_queue_left_total",
    "concert_queue_admitted_by_tick_total",
    "concert_queue_dropped_by_tick_total",
    "concert_db_abandoned_total",
    "concert_db_connection_timeouts_total",
    "concert_events_published_total",
    "concert_events_consumed_total",
    "concert_events_dead_total",
    "concert_log_lines_left_out_total",
    "concert_double_sales_prevented_total",
    "concert_offset_conflicts_total",
];

/// Tells the recorder what the names mean, and starts the counters that alerts look at.
pub(super) fn describe() {
    for (name, help) in COUNTERS {
        describe_counter!(*name, Unit::Count, *help);
    }
    for (name, unit, help) in GAUGES {
        describe_gauge!(*name, *unit, *help);
    }
    for (name, help) in HISTOGRAMS {
        describe_histogram!(*name, Unit::Seconds, *help);
    }
    for (name, help) in SIZES {
        describe_histogram!(*name, Unit::Count, *help);
    }
    for name in FROM_ZERO {
        metrics::counter!(*name).increment(0);
    }
    metrics::gauge!("concert_build_info", "version" => env!("CARGO_PKG_VERSION")).set(1.0);
}

/// Every name that `/metrics` can show.
pub fn all() -> impl Iterator<Item = &'static str> {
    let counters = COUNTERS.iter().map(|(name, _)| *name);
    counters
        .chain(GAUGES.iter().map(|(name, ..)| *name))
        .chain(HISTOGRAMS.iter().chain(SIZES).map(|h| h.0))
}
