//! Both stores, asked the same at simulated moments.

use std::sync::Arc;

use bulkhead_ratelimit::{
    charge::Charge,
    outcome::Outcome,
    store::{Micros, Store, memory::MemoryStore},
};
use bulkhead_tenancy::clock::SystemClock;
use proptest::{
    prelude::{ProptestConfig, Strategy},
    test_runner::{TestCaseError, TestRunner},
};
use tokio::runtime::Runtime;

use crate::support::valkey::Server;

/// The memory store and the script, for as long as a test runs.
pub(crate) struct Both {
    runtime: Runtime,
    stores: [(&'static str, Arc<dyn Store>); 2],
    _server: Server,
}

impl Both {
    pub(crate) fn start() -> Self {
        let runtime = Runtime::new().unwrap();
        let server = Server::get();
        let script: Arc<dyn Store> = Arc::new(runtime.block_on(server.store()));
        let memory: Arc<dyn Store> = Arc::new(MemoryStore::new(Arc::new(SystemClock)));
        Self { runtime, stores: [("memory", memory), ("script", script)], _server: server }
    }

    /// Each of them with its name.
    pub(crate) fn each(&self) -> impl Iterator<Item = One<'_>> {
        self.stores.iter().map(|(name, store)| One { name, store: &**store, runtime: &self.runtime })
    }
}

/// One store.
#[derive(Clone, Copy)]
pub(crate) struct One<'b> {
    pub(crate) name: &'static str,
    store: &'b dyn Store,
    runtime: &'b Runtime,
}

impl One<'_> {
    /// Decides a charge at a moment.
    pub(crate) fn decide(&self, now_us: u64, charge: &Charge) -> Outcome {
        self.runtime.block_on(self.store.decide_each(Some(Micros(now_us)), std::slice::from_ref(charge))).unwrap().remove(0)
    }
}

/// Holds a property against so many random values.
pub(crate) fn check<S: Strategy>(cases: u32, strategy: S, test: impl Fn(S::Value) -> Result<(), TestCaseError>)
where
    S::Value: std::fmt::Debug,
{
    let config = ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() };
    if let Err(failure) = TestRunner::new(config).run(&strategy, test) {
        panic!("{failure}");
    }
}
