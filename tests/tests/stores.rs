//! Every kind of store, as real processes, and what becomes of decisions while one fails: what was admitted is counted, and never beyond the stated bound.
//!
//! The bound of one primary: each time its data is lost (a restart without a dump, a fail-over to a replica that lags) a bucket may be full again, so a
//! limit of C admits at most C more. Nothing else adds to it: not a lost script, a moved slot, a store that hangs or is slow.

#[path = "stores/cluster.rs"]
mod cluster;
#[path = "stores/faults.rs"]
mod faults;
#[path = "stores/kinds.rs"]
mod kinds;
#[path = "stores/load.rs"]
mod load;
#[path = "stores/sentinel.rs"]
mod sentinel;
#[path = "stores/service.rs"]
mod service;
