//! What runs beside the requests: small steps, repeated until told to stop.
//!
//! Every step is atomic in the store and harmless in parallel, so any number of instances may run
//! the same workers.

mod admission;
mod consumer;
mod housekeeping;
mod policies;
mod reconciler;
mod relay;
mod sampler;
mod supervisor;
mod sweeper;

use concert_domain::Ports;
use concert_domain::ports::Services;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::composition::instance_name;
use crate::config::Config;
pub use supervisor::Worker;
use supervisor::supervise;

/// Starts what every process does, whatever its roles are; it ends soon after the token is cancelled.
pub fn start_always(
    config: &Config,
    services: &Services,
    stop: &CancellationToken,
    tasks: &TaskTracker,
) {
    let policies = Box::new(policies::Policies(services.queue.clone()));
    tasks.spawn(supervise(policies, config.queue_tick, stop.clone()));
}

/// Starts every worker of this process; each ends soon after the token is cancelled.
pub fn start(
    config: &Config,
    ports: &Ports,
    services: &Services,
    stop: &CancellationToken,
    tasks: &TaskTracker,
) {
    let owner = instance_name();
    let places = sampler::Places::default();
    let consumer = consumer::consumer(config, ports, services, &owner, places.clone());
    let keep = config.audit.audit_retention;
    let housekeeping = housekeeping::Housekeeping::new(ports, services, keep);
    let sampler = sampler::Sampler::new(ports, places);
    let workers: [(Box<dyn Worker>, _); 7] = [
        (Box::new(admission::Admission(services.queue.clone())), config.queue_tick),
        (Box::new(sweeper::Sweeper(services.reservations.clone())), config.sweep_interval),
        (Box::new(relay::relay(ports, &owner)), config.relay_interval),
        (Box::new(consumer), config.consume_interval),
        (Box::new(housekeeping), config.housekeeping_interval),
        (Box::new(reconciler::Reconciler::new(services.points.clone())), config.reconcile_interval),
        (Box::new(sampler), config.telemetry.metrics_interval),
    ];
    for (worker, interval) in workers {
        tasks.spawn(supervise(worker, interval, stop.clone()));
    }
}
