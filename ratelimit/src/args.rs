//! The limiter's own flags: its store.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use bulkhead_doors::{args::duration, fatal::Fatal};
use bulkhead_tenancy::clock::Clock;
use redis::{Client, ClientTlsConfig, ConnectionAddr, ConnectionInfo, IntoConnectionInfo, TlsCertificates};
use secrecy::{ExposeSecret, SecretString};

use crate::store::{
    Store,
    batching::{Batching, Bounds},
    memory::MemoryStore,
    redis::RedisStore,
};

/// How long a start waits for the store before it serves without: each tenant's failure mode answers until it is there.
const PATIENCE: Duration = Duration::from_secs(2);

/// Where buckets live.
#[derive(Debug, Clone, clap::Args)]
pub struct StoreArgs {
    /// Redis 6.2 or later, or Valkey: redis://, rediss:// (TLS) or redis+unix://; or `memory`: in this process, for one replica
    #[arg(long, value_name = "URL|memory", default_value = "redis://127.0.0.1:6379")]
    pub store: SecretString,
    /// How long the store may take to decide, and never more than three quarters of the call's own deadline
    #[arg(long, value_name = "DURATION", value_parser = deadline, default_value = "20ms")]
    pub store_deadline: Duration,
    /// The store's user, if it is not in the URL
    #[arg(long, value_name = "NAME")]
    pub store_user: Option<String>,
    /// A file with the store's password
    #[arg(long, value_name = "FILE")]
    pub store_password_file: Option<PathBuf>,
    /// The authority that the store's certificate must chain to (PEM), instead of the system's
    #[arg(long, value_name = "FILE")]
    pub store_tls_ca: Option<PathBuf>,
    /// This service's certificate for the store (PEM)
    #[arg(long, value_name = "FILE", requires = "store_tls_key")]
    pub store_tls_cert: Option<PathBuf>,
    /// Its private key (PEM)
    #[arg(long, value_name = "FILE", requires = "store_tls_cert")]
    pub store_tls_key: Option<PathBuf>,
}

impl StoreArgs {
    /// The store that the flags name. A store that cannot be reached now is no error: it is waited for briefly, and then in the background.
    ///
    /// # Errors
    /// Usage (status 2): an address that is none, or a file that cannot be used. The text never holds the address, which may hold a password.
    pub async fn open(&self, clock: Arc<dyn Clock>) -> Result<Arc<dyn Store>, Fatal> {
        if self.store.expose_secret() == "memory" {
            return Ok(Arc::new(MemoryStore::new(clock)));
        }
        let store = RedisStore::start(self.client()?, self.store_deadline);
        if !store.ready(PATIENCE).await {
            tracing::warn!("serving without the store: each tenant's failure mode answers until it is there");
        }
        Ok(Arc::new(Batching::before(Arc::new(store), Bounds::default())))
    }

    fn client(&self) -> Result<Client, Fatal> {
        let mut info = self.store.expose_secret().into_connection_info().map_err(|_| unusable())?;
        let mut settings = info.redis_settings().clone();
        if let Some(user) = &self.store_user {
            settings = settings.set_username(user);
        }
        if let Some(file) = &self.store_password_file {
            let password = SecretString::from(read_text("--store-password-file", file)?);
            settings = settings.set_password(password.expose_secret().trim_end_matches(['\r', '\n']));
        }
        info = info.set_redis_settings(settings);
        self.connect_with(info)
    }

    fn connect_with(&self, info: ConnectionInfo) -> Result<Client, Fatal> {
        let files = self.store_tls_ca.is_some() || self.store_tls_cert.is_some();
        if !matches!(info.addr(), ConnectionAddr::TcpTls { .. }) {
            // A certificate that is never checked would be a promise that is not kept.
            if files {
                return Err(Fatal::usage("--store-tls-*: the store's address must be rediss://"));
            }
            return Client::open(info).map_err(|_| unusable());
        }
        if matches!(info.addr(), ConnectionAddr::TcpTls { insecure: true, .. }) {
            return Err(Fatal::usage("--store: #insecure is not taken; name the authority of the store's certificate with --store-tls-ca"));
        }
        let read = |flag, file: &Option<PathBuf>| file.as_deref().map(|file| read_bytes(flag, file)).transpose();
        let client_tls = match (read("--store-tls-cert", &self.store_tls_cert)?, read("--store-tls-key", &self.store_tls_key)?) {
            (Some(client_cert), Some(client_key)) => Some(ClientTlsConfig { client_cert, client_key }),
            _ => None,
        };
        let certificates = TlsCertificates { client_tls, root_cert: read("--store-tls-ca", &self.store_tls_ca)? };
        Client::build_with_tls(info, certificates).map_err(|_| Fatal::usage("--store-tls-*: the files cannot be used (PEM is expected)"))
    }
}

/// A duration that leaves the store some time: with none, no decision would ever be the store's.
fn deadline(text: &str) -> Result<Duration, String> {
    duration(text).and_then(|time| if time.is_zero() { Err("must be above zero".to_owned()) } else { Ok(time) })
}

fn unusable() -> Fatal {
    Fatal::usage("--store: must be redis://, rediss:// or redis+unix:// and an address, or `memory`")
}

fn read_bytes(flag: &str, file: &Path) -> Result<Vec<u8>, Fatal> {
    fs::read(file).map_err(|why| Fatal::usage(format!("{flag}: {}: {why}", file.display())))
}

fn read_text(flag: &str, file: &Path) -> Result<String, Fatal> {
    fs::read_to_string(file).map_err(|why| Fatal::usage(format!("{flag}: {}: {why}", file.display())))
}

#[cfg(test)]
mod tests {
    use bulkhead_tenancy::clock::SystemClock;

    use super::*;

    fn args(store: &str) -> StoreArgs {
        StoreArgs {
            store: SecretString::from(store.to_owned()),
            store_deadline: Duration::from_millis(20),
            store_user: None,
            store_password_file: None,
            store_tls_ca: None,
            store_tls_cert: None,
            store_tls_key: None,
        }
    }

    #[tokio::test]
    async fn an_address_that_is_none_is_refused_and_never_shown() {
        for store in ["", "http://u:hunter2@host", "redis://:hunter2@host:port", "hunter2"] {
            let Err(error) = args(store).open(Arc::new(SystemClock)).await else { panic!("{store} was taken") };
            assert!(!error.to_string().contains("hunter2"), "{error}");
        }
        assert!(!format!("{:?}", args("redis://:hunter2@host")).contains("hunter2"));
    }

    #[test]
    fn user_and_password_come_from_flags_too() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("password");
        fs::write(&file, "from-a-file\n").unwrap();
        let given = StoreArgs { store_user: Some("limiter".into()), store_password_file: Some(file), ..args("redis://host:1") };
        let client = given.client().unwrap();
        let settings = client.get_connection_info().redis_settings();
        assert_eq!((settings.username(), settings.password()), (Some("limiter"), Some("from-a-file")));
    }

    #[test]
    fn a_store_whose_certificate_nobody_checks_is_refused() {
        assert!(args("rediss://host:1").client().is_ok());
        let error = args("rediss://u:hunter2@host:1/#insecure").client().unwrap_err().to_string();
        assert!(error.contains("--store-tls-ca") && !error.contains("hunter2"), "{error}");
    }

    #[test]
    fn a_deadline_that_leaves_the_store_no_time_is_refused() {
        assert_eq!(deadline("5ms"), Ok(Duration::from_millis(5)));
        assert!(deadline("0ms").is_err());
    }

    #[test]
    fn tls_files_without_a_tls_address_are_refused() {
        let given = StoreArgs { store_tls_ca: Some("ca.pem".into()), ..args("redis://host:1") };
        assert!(given.client().is_err());
    }
}
