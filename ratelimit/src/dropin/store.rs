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
    Ok((ca.is_some() || identity.is_some()).then_some(TlsFiles { ca, identity, any_name: tls.any_name }))
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret;

    use super::*;
    use crate::dropin::settings::{Settings, Variables};

    fn of(variables: &[(&str, &str)]) -> Result<StoreSettings, Fatal> {
        let all = [&[("REDIS_SOCKET_TYPE", "tcp")], variables].concat();
        settings(&Settings::read(Variables::new(all)).unwrap().redis)
    }

    fn host(host: &str, port: u16) -> HostPort {
        HostPort { host: host.into(), port }
    }

    #[test]
    fn every_kind_of_store_is_found_where_the_variables_say() {
        let single = of(&[("REDIS_URL", "redis.example:6380"), ("REDIS_AUTH", "limiter:pw"), ("REDIS_TIMEOUT", "3s")]).unwrap();
        assert_eq!(single.address.place, StorePlace::Host(host("redis.example", 6380)));
        assert_eq!(single.address.login.user.as_deref(), Some("limiter"));
        assert_eq!(single.address.login.password.map(|password| password.expose_secret().to_owned()).as_deref(), Some("pw"));
        assert_eq!(single.deadline, Duration::from_secs(3));

        let sentinel = of(&[("REDIS_TYPE", "SENTINEL"), ("REDIS_URL", "primary,a:1,b:2"), ("REDIS_SENTINEL_AUTH", "s:pw")]).unwrap();
        let sentinels = vec![host("a", 1), host("b", 2)];
        assert_eq!(sentinel.address.place, StorePlace::Sentinel { sentinels, primary: "primary".into() });
        assert_eq!((sentinel.sentinel.user.as_deref(), sentinel.address.login.user), (Some("s"), None));

        let cluster = of(&[("REDIS_TYPE", "CLUSTER"), ("REDIS_URL", "a:1,b:2")]).unwrap();
        assert_eq!(cluster.address.place, StorePlace::Cluster(vec![host("a", 1), host("b", 2)]));

        let unix = of(&[("REDIS_SOCKET_TYPE", "unix"), ("REDIS_URL", "/run/redis.sock")]).unwrap();
        assert_eq!(unix.address.place, StorePlace::Unix("/run/redis.sock".into()));
    }

    #[test]
    fn files_that_cannot_be_read_are_named_by_their_variable() {
        let tls = [("REDIS_URL", "a:1"), ("REDIS_TLS", "true"), ("REDIS_TLS_CACERT", "/nowhere/ca.pem")];
        let Err(error) = of(&tls) else { panic!("it was taken") };
        assert!(error.to_string().starts_with("REDIS_TLS_CACERT: /nowhere/ca.pem: "), "{error}");
        assert!(of(&tls[..2]).unwrap().address.tls);
    }
}
