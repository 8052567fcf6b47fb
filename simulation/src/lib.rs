//! The limiter's protocol as a seeded event loop without I/O: replicas with their books of leases, batches, deadlines and local failure modes; a network
//! that delays and loses; the memory store as the store (`ratelimit/tests/store` holds the script to it), with fail-over to a replica that lags,
//! restarts and clocks that jump; and an oracle that knows what may be admitted at most. `cargo xtask simulate`.

mod chance;
mod oracle;
mod plan;
mod queue;
mod spread;
mod world;

pub use crate::world::{Report, Violation};

/// Runs one seed for so many decisions.
///
/// # Errors
/// The first thing that may not be.
pub fn simulate(seed: u64, decisions: u64, trace: bool) -> Result<Report, Violation> {
    // Every fourth plays a store of several places, and every eighth the queue before a store.
    match seed % 8 {
        3 | 7 => spread::run(seed, decisions, trace),
        5 => queue::run(seed, decisions, trace),
        _ => world::run(seed, decisions, trace),
    }
}
