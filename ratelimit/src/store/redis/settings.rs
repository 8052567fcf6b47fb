//! Everything that a store is opened with.

use std::{sync::Arc, time::Duration};

use super::{
    Reach, RedisStore,
    address::{Login, StoreAddress, StorePlace},
    cluster::Cluster,
    dial::{Dialer, TlsFiles},
    link::{Link, Route},
    sentinel::Sentinels,
};

/// The name of the store that is no tenant's own.
pub(super) const PLATFORM: &str = "platform";

/// A store's address, who we are there, and how long it may take.
#[derive(Clone)]
pub struct StoreSettings {
    /// Where it is.
    pub address: StoreAddress,
    /// Who we are to the sentinels; they have users of their own.
    pub sentinel: Login,
    /// The files of TLS. They may be given only where the address says TLS.
    pub tls: Option<TlsFiles>,
    /// How long it may take to decide.
    pub deadline: Duration,
    /// Whose it is, for logs and metrics: `platform`, or a tenant's name. A cluster's nodes add their addresses.
    pub name: Arc<str>,
}

/// Why a store cannot be opened. It holds nothing of the address or the files.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SettingsError {
    /// A certificate that is never checked would be a promise that is not kept.
    #[error("TLS files are given, and the store's address says no TLS (rediss://, rediss-sentinel://, rediss-cluster://)")]
    Plaintext,
    /// The files are not what they should be.
    #[error("the TLS files cannot be used (PEM is expected)")]
    Files,
    /// A login for sentinels, and no sentinels.
    #[error("a login for sentinels is given, and the store's address names none")]
    NoSentinels,
    /// An address that nothing can be connected to.
    #[error("the store's address cannot be used")]
    Address,
}

impl StoreSettings {
    /// The store of an address, with nothing else stated.
    #[must_use]
    pub fn new(address: StoreAddress, deadline: Duration) -> Self {
        Self { address, sentinel: Login::default(), tls: None, deadline, name: Arc::from(PLATFORM) }
    }

    /// Begins to connect in the background.
    ///
    /// # Errors
    /// When the settings do not fit together; never because the store is away.
    pub fn open(&self) -> Result<RedisStore, SettingsError> {
        let address = &self.address;
        if self.tls.is_some() && !address.tls {
            return Err(SettingsError::Plaintext);
        }
        let asks_sentinels = self.sentinel.user.is_some() || self.sentinel.password.is_some();
        if asks_sentinels && !matches!(address.place, StorePlace::Sentinel { .. }) {
            return Err(SettingsError::NoSentinels);
        }
        let unstated = TlsFiles::default();
        let tls = address.tls.then(|| self.tls.as_ref().unwrap_or(&unstated));
        let nodes = Dialer::new(&address.login, address.database, tls).map_err(|_| SettingsError::Files)?;
        let route = match &address.place {
            StorePlace::Host(node) => Route::Server(nodes.node(node)),
            StorePlace::Unix(path) => Route::Server(nodes.socket(path)),
            StorePlace::Sentinel { sentinels, primary } => {
                let dialer = Dialer::new(&self.sentinel, 0, tls).map_err(|_| SettingsError::Files)?;
                let sentinels = sentinels.iter().map(|one| dialer.node(one)).collect();
                Route::Sentinels(Sentinels::new(sentinels, primary.clone(), nodes))
            }
            StorePlace::Cluster(seeds) => {
                let reach = Reach::Cluster(Cluster::start(nodes, seeds.clone(), &self.name));
                return Ok(RedisStore::over(reach, self.deadline));
            }
        };
        Ok(RedisStore::over(Reach::One(Link::start(route, &self.name)), self.deadline))
    }
}
