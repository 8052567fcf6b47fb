//! REDIS_* as the settings of a store.

use std::{fs, path::Path, sync::Arc, time::Duration};

use bulkhead_doors::fatal::Fatal;

use super::settings::{Endpoint, Redis, StoreTls, Topology};
use crate::{
    args,
    store::{
        Store,
        redis::{
            address::{HostPort, Login, StoreAddress, StorePlace},
            dial::TlsFiles,
            settings::StoreSettings,
        },
    },
};

/// How long a start waits for a store before it serves without: calls fail until it is there.
const PATIENCE: Duration = Duration::from_secs(2);

/// Opens the store that a group of variables names (`REDIS` or `REDIS_PERSECOND`).
///
/// # Errors
/// Usage (status 2): files that cannot be read or used. A store that is away is no error.
pub(super) async fn open(group: &str, redis: &Redis) -> Result<Arc<dyn Store>, Fatal> {
    let (store, ready) = args::open(&settings(redis)?, PATIENCE).await.map_err(|why| Fatal::usage(format!("{group}_*: {why}")))?;
    if !ready {
        tracing::warn!(variables = group, "serving without the store: calls fail until it is there");
    }
    Ok(store)
}

fn settings(redis: &Redis) -> Result<StoreSettings, Fatal> {
    let address = StoreAddress {
        place: place(&redis.topology)?,
        tls: redis.tls.is_some(),
        login: Login { user: redis.user.clone(), password: redis.password.clone() },
        database: redis.database,
    };
    let sentinel = Login { user: redis.sentinel_user.clone(), password: redis.sentinel_password.clone() };
    let tls = redis.tls.as_ref().map(files).transpose()?.flatten();
    Ok(StoreSettings { sentinel, tls, ..StoreSettings::new(address, redis.timeout) })
}

fn place(topology: &Topology) -> Result<StorePlace, Fatal> {
    Ok(match topology {
        Topology::Single(Endpoint::Unix(path)) => StorePlace::Unix(path.clone()),
        Topology::Single(Endpoint::Tcp(host, port)) => StorePlace::Host(HostPort { host: host.as_str().into(), port: *port }),
        Topology::Sentinel { primary, sentinels } => {
            StorePlace::Sentinel { sentinels: hosts(sentinels)?, primary: primary.as_str().into() }
        }
        Topology::Cluster(nodes) => StorePlace::Cluster(hosts(nodes)?),
    })
}

fn hosts(endpoints: &[Endpoint]) -> Result<Vec<HostPort>, Fatal> {
    let host = |endpoint: &Endpoint| match endpoint {
        Endpoint::Tcp(host, port) => Ok(HostPort { host: host.as_str().into(), port: *port }),
        Endpoint::Unix(_) => Err(Fatal::usage("REDIS_URL: sentinels and nodes of a cluster are host:port (REDIS_SOCKET_TYPE=tcp)")),
    };
    endpoints.iter().map(host).collect()
}

fn files(tls: &StoreTls) -> Result<Option<TlsFiles>, Fatal> {
    let read = |variable: &str, path: &Path| fs::read(path).map_err(|why| Fatal::usage(format!("{variable}: {}: {why}", path.display())));
    let ca = tls.ca.as_deref().map(|ca| read("REDIS_TLS_CACERT", ca)).transpose()?;
    let identity = match &tls.identity {
        Some((cert, key)) => Some((read("REDIS_TLS_CLIENT_CERT", cert)?, read("REDIS_TLS_CLIENT_KEY", key)?)),
        None => None,
    };
    Ok((ca.is_some() || identity.is_some()).then_some(TlsFiles { ca, identity }))
}
