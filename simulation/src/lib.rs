//! The limiter's protocol as a seeded event loop without I/O: replicas with their books of leases, batches, deadlines and local failure modes; a network
//! that delays and loses; the memory store as the store (`ratelimit/tests/store` holds the script to it), with fail-over to a replica that lags,
//! restarts and clocks that jump; and an oracle that knows what may be admitted at most. `cargo xtask simulate`.

mod chance;
mod oracle;
mod plan;
mod spread;
mod world;

pub use crate::world::{Report, Violation};

/// Runs one seed for so many decisions.
///
/// # Errors
/// The first thing that may not be.
pub fn simulate(seed: u64, decisions: u64, trace: bool) -> Result<Report, Violation> {
    // Every fourth plays a store of several places.
    if seed % 4 == 3 { spread::run(seed, decisions, trace) } else { world::run(seed, decisions, trace) }
}
