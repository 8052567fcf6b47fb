//! The limiter as a process runs it, whichever door it stands behind: its store with leases before it, what is answered without the store and billed
//! later, and the end, when all of that comes back.

use std::{sync::Arc, time::Duration};

use bulkhead_audit::audit::Audit;
use bulkhead_doors::{admin::AdminRoutes, fatal::Fatal};
use bulkhead_tenancy::{clock::SystemClock, snapshot::Live};

use crate::{
    admin::{self, Inside},
    args::LimitArgs,
    dropin::service::Dropin,
    key::Keyspace,
    levels::Levels,
    limiter::Limiter,
    metering::later::Later,
    store::{Store, leasing::Leasing},
};

/// How long the end waits for the store: to take back what was taken in advance, and to be told what was answered without it.
const LAST_RETURNS: Duration = Duration::from_secs(1);

/// The limiter of a process.
pub struct Limits {
    store: Arc<dyn Store>,
    later: Arc<Later>,
    leases: Arc<Leasing>,
    limiter: Arc<Limiter>,
    levels: Levels,
}

impl Limits {
    /// Over the store that the flags name, with the stores of silo tenants beside it.
    ///
    /// # Errors
    /// As [`crate::args::StoreArgs::open`].
    pub async fn open(args: &LimitArgs, live: Live) -> Result<Self, Fatal> {
        let main = args.store.open(Arc::new(SystemClock)).await?;
        Ok(Self::over(args.store.with_silos(main, live)?, args))
    }

    /// As [`Limits::open`], if the flags name a store.
    ///
    /// # Errors
    /// Also usage (status 2): they say something of a store that they do not name.
    pub async fn open_if_named(args: &LimitArgs, live: Live) -> Result<Option<Self>, Fatal> {
        if args.store.store.is_none() {
            return args.about_a_store().map_or(Ok(None), |flag| Err(Fatal::usage(format!("{flag}: without --store there is no store"))));
        }
        Self::open(args, live).await.map(Some)
    }

    /// Over a store that is open.
    #[must_use]
    pub fn over(store: Arc<dyn Store>, args: &LimitArgs) -> Self {
        let later = Arc::new(Later::new(Arc::clone(&store), Arc::new(SystemClock)));
        let leases = Arc::new(Leasing::before(Arc::clone(&store), Arc::clone(&later)));
        let limiter = Limiter::new(leases.clone(), Arc::new(SystemClock), args.store.deadline()).billing(Arc::clone(&later));
        Self { store, later, leases, limiter: Arc::new(limiter), levels: Levels::default().metering(args.metering.unwrap_or(true)) }
    }

    /// Whoever decides.
    #[must_use]
    pub fn limiter(&self) -> &Arc<Limiter> {
        &self.limiter
    }

    /// Whoever builds charges.
    #[must_use]
    pub fn levels(&self) -> &Levels {
        &self.levels
    }

    /// Counters and the bill, on the admin door. They are the store's own: leases do not stand before them.
    #[must_use]
    pub fn admin(&self, live: Live, dropin: Option<Arc<Dropin>>, audit: Arc<Audit>) -> AdminRoutes {
        let store = Arc::clone(&self.store);
        admin::routes(Inside { live, store, keys: Keyspace::default(), dropin, audit: Some(audit), clock: Arc::new(SystemClock) })
    }

    /// Serves, and tells the store what was answered without it; the last of it at the end, if the store is there.
    ///
    /// # Errors
    /// As `serving` has them.
    pub async fn billing(&self, serving: impl Future<Output = Result<(), Fatal>>) -> Result<(), Fatal> {
        let ended = tokio::select! {
            ended = serving => ended,
            () = self.later.follow() => Ok(()),
        };
        let _ = tokio::time::timeout(LAST_RETURNS, self.later.settle()).await;
        ended
    }

    /// The end, once no call is in progress any more: what was taken in advance for them is the other replicas' now.
    pub async fn drain(&self) {
        self.leases.drain(LAST_RETURNS).await;
    }
}
