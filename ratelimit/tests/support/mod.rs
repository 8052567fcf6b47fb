//! What the tests of this crate share.
#![allow(dead_code, reason = "each test binary uses a part of it")]

pub(crate) mod valkey;

use std::sync::atomic::{AtomicU64, Ordering};

use bulkhead_ratelimit::key::Keyspace;

/// Keys that no other test has, in this process or another.
pub(crate) fn own_keys() -> Keyspace {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let started = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("after 1970").as_nanos();
    Keyspace::new(&format!("test-{}-{started}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed)))
}
