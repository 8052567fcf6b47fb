//! The limiter's own flags: its store, and what is counted in it.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use bulkhead_doors::{args::duration, fatal::Fatal};
use bulkhead_tenancy::{clock::Clock, snapshot::Live};
use clap::{ArgAction, builder::BoolishValueParser};
use secrecy::{ExposeSecret, SecretString};

use crate::key::Keyspace;
use crate::store::{
    Store,
    batching::{Batching, Bounds},
    memory::MemoryStore,
    redis::{
        address::{AddressError, Login, StoreAddress, StorePlace},
        dial::TlsFiles,
        settings::{SettingsError, StoreSettings},
        sharded::Sharded,
    },
    silos::Silos,
    split::Split,
};

/// How long a start waits for the store before it serves without: each tenant's failure mode answers until it is there.
const PATIENCE: Duration = Duration::from_secs(2);

/// How limits are charged, by whichever service does.
#[derive(Debug, Clone, clap::Args)]
pub struct LimitArgs {
    /// Where buckets live.
    #[command(flatten)]
    pub store: StoreArgs,
    /// Whether to count what each tenant, subscription and API was admitted and denied, by the hour, in the store
    /// [default: on]
    #[arg(long, value_name = "on|off", action = ArgAction::Set, value_parser = BoolishValueParser::new())]
    pub metering: Option<bool>,
}

impl LimitArgs {
    /// A flag or its variable that says something of a store, which must then be named: without one it would do nothing, and nobody would be told.
    pub(crate) fn about_a_store(&self) -> Option<&'static str> {
        self.store.about_a_store().or(self.metering.map(|_| "--metering"))
    }
}

/// How long the store may take, where nothing says it.
const DEADLINE: Duration = Duration::from_millis(20);

/// Where buckets live.
#[derive(Debug, Clone, clap::Args)]
pub struct StoreArgs {
    /// Redis 6.2 or later, or Valkey: redis://HOST, redis+unix:///PATH, redis-sentinel://HOST,HOST/PRIMARY or redis-cluster://HOST,HOST (rediss...
    /// with TLS); or `memory`: in this process, for one replica
    #[arg(long, value_name = "URL|memory")]
    pub store: Option<SecretString>,
    /// How long the store may take to decide, and never more than three quarters of the call's own deadline [default: 20ms]
    #[arg(long, value_name = "DURATION", value_parser = deadline)]
    pub store_deadline: Option<Duration>,
    /// The store's user, if it is not in the URL
    #[arg(long, value_name = "NAME")]
    pub store_user: Option<String>,
    /// A file with the store's password
    #[arg(long, value_name = "FILE")]
    pub store_password_file: Option<PathBuf>,
    /// The user of the sentinels, which have users of their own
    #[arg(long, value_name = "NAME")]
    pub store_sentinel_user: Option<String>,
    /// A file with the sentinels' password
    #[arg(long, value_name = "FILE")]
    pub store_sentinel_password_file: Option<PathBuf>,
    /// The authority that the store's certificate must chain to (PEM), instead of the system's
    #[arg(long, value_name = "FILE")]
    pub store_tls_ca: Option<PathBuf>,
    /// This service's certificate for the store (PEM)
    #[arg(long, value_name = "FILE", requires = "store_tls_key")]
    pub store_tls_cert: Option<PathBuf>,
    /// Its private key (PEM)
    #[arg(long, value_name = "FILE", requires = "store_tls_cert")]
    pub store_tls_key: Option<PathBuf>,
    /// The authority that the certificates of tenants' own stores must chain to (PEM) [default: --store-tls-ca]
    #[arg(long, value_name = "FILE")]
    pub silo_tls_ca: Option<PathBuf>,
    /// This service's certificate for tenants' own stores (PEM) [default: --store-tls-cert]
    #[arg(long, value_name = "FILE", requires = "silo_tls_key")]
    pub silo_tls_cert: Option<PathBuf>,
    /// Its private key (PEM)
    #[arg(long, value_name = "FILE", requires = "silo_tls_cert")]
    pub silo_tls_key: Option<PathBuf>,
}

impl StoreArgs {
    /// The store that the flags name. A store that cannot be reached now is no error: it is waited for briefly, and then in the background.
    ///
    /// # Errors
    /// Usage (status 2): an address that is none, or a file that cannot be used. The text never holds the address, which may hold a password.
    pub async fn open(&self, clock: Arc<dyn Clock>) -> Result<Arc<dyn Store>, Fatal> {
        if self.address()? == "memory" {
            return Ok(Arc::new(MemoryStore::new(clock)));
        }
        let settings = self.settings()?;
        let (store, ready) = open(&settings, PATIENCE).await.map_err(|why| Fatal::usage(format!("--store: {why}")))?;
        if !ready {
            tracing::warn!("serving without the store: each tenant's failure mode answers until it is there");
        }
        Ok(store)
    }

    /// The same store, with those of silo tenants beside it as the snapshot names them.
    ///
    /// # Errors
    /// Usage (status 2): a TLS file that cannot be read.
    pub fn with_silos(&self, main: Arc<dyn Store>, live: Live) -> Result<Arc<dyn Store>, Fatal> {
        let silos = Silos::beside(main, live, Keyspace::default(), self.silo_tls()?, self.deadline());
        Ok(Arc::new(Split::before(Arc::new(silos), self.deadline())))
    }

    /// What the flags say of a store that is not `memory`.
    ///
    /// # Errors
    /// As [`StoreArgs::open`].
    pub fn settings(&self) -> Result<StoreSettings, Fatal> {
        let mut address: StoreAddress =
            self.address()?.parse().map_err(|why: AddressError| Fatal::usage(format!("--store: {why} (or `memory`)")))?;
        login(&mut address.login, self.store_user.as_ref(), ("--store-password-file", self.store_password_file.as_deref()))?;
        let mut sentinel = Login::default();
        let file = ("--store-sentinel-password-file", self.store_sentinel_password_file.as_deref());
        login(&mut sentinel, self.store_sentinel_user.as_ref(), file)?;
        let settings = StoreSettings::new(address, self.deadline());
        Ok(StoreSettings { sentinel, tls: self.tls()?, ..settings })
    }

    /// How long the store may take to decide.
    #[must_use]
    pub fn deadline(&self) -> Duration {
        self.store_deadline.unwrap_or(DEADLINE)
    }

    fn about_a_store(&self) -> Option<&'static str> {
        let given = [
            ("--store-deadline", self.store_deadline.is_some()),
            ("--store-user", self.store_user.is_some()),
            ("--store-password-file", self.store_password_file.is_some()),
            ("--store-sentinel-user", self.store_sentinel_user.is_some()),
            ("--store-sentinel-password-file", self.store_sentinel_password_file.is_some()),
            ("--store-tls-ca", self.store_tls_ca.is_some()),
            ("--store-tls-cert", self.store_tls_cert.is_some()),
            ("--silo-tls-ca", self.silo_tls_ca.is_some()),
            ("--silo-tls-cert", self.silo_tls_cert.is_some()),
        ];
        given.into_iter().find_map(|(flag, given)| given.then_some(flag))
    }

    fn address(&self) -> Result<&str, Fatal> {
        self.store.as_ref().map(ExposeSecret::expose_secret).ok_or_else(|| Fatal::usage("--store: the store is missing"))
    }

    fn tls(&self) -> Result<Option<TlsFiles>, Fatal> {
        let ca = read("--store-tls-ca", self.store_tls_ca.as_deref())?;
        let certificate = read("--store-tls-cert", self.store_tls_cert.as_deref())?;
        Ok(tls(ca, certificate.zip(read("--store-tls-key", self.store_tls_key.as_deref())?)))
    }

    /// The files for tenants' own stores. Who signs for them may be another than for the platform's, which may speak no TLS at all.
    fn silo_tls(&self) -> Result<Option<TlsFiles>, Fatal> {
        let platform = self.tls()?.unwrap_or_default();
        let ca = read("--silo-tls-ca", self.silo_tls_ca.as_deref())?;
        let certificate = read("--silo-tls-cert", self.silo_tls_cert.as_deref())?;
        let identity = certificate.zip(read("--silo-tls-key", self.silo_tls_key.as_deref())?);
        Ok(tls(ca.or(platform.ca), identity.or(platform.identity)))
    }
}

/// A file's bytes, where it is named.
fn read(flag: &str, file: Option<&Path>) -> Result<Option<Vec<u8>>, Fatal> {
    file.map(|file| read_bytes(flag, file)).transpose()
}

fn tls(ca: Option<Vec<u8>>, identity: Option<(Vec<u8>, Vec<u8>)>) -> Option<TlsFiles> {
    (ca.is_some() || identity.is_some()).then_some(TlsFiles { ca, identity, any_name: false })
}

/// Puts what flags say of a login in the place of what the address says.
fn login(login: &mut Login, user: Option<&String>, (flag, file): (&str, Option<&Path>)) -> Result<(), Fatal> {
    if let Some(user) = user {
        login.user = Some(user.clone());
    }
    if let Some(file) = file {
        let password = SecretString::from(read_text(flag, file)?);
        login.password = Some(SecretString::from(password.expose_secret().trim_end_matches(['\r', '\n'])));
    }
    Ok(())
}

/// Opens a store with its queues, and waits for it briefly; whether it is there.
///
/// # Errors
/// As [`StoreSettings::open`].
pub async fn open(settings: &StoreSettings, patience: Duration) -> Result<(Arc<dyn Store>, bool), SettingsError> {
    let store = settings.open()?;
    let ready = store.ready(patience).await;
    if matches!(settings.address.place, StorePlace::Cluster(_)) {
        let sharded = Sharded::before(store, Bounds::default());
        return Ok((Arc::new(Split::before(Arc::new(sharded), settings.deadline)), ready));
    }
    Ok((Arc::new(Batching::before(Arc::new(store), Bounds::default())), ready))
}

/// A duration that leaves the store some time: with none, no decision would ever be the store's.
fn deadline(text: &str) -> Result<Duration, String> {
    duration(text).and_then(|time| if time.is_zero() { Err("must be above zero".to_owned()) } else { Ok(time) })
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
            store: Some(SecretString::from(store.to_owned())),
            store_deadline: None,
            store_user: None,
            store_password_file: None,
            store_sentinel_user: None,
            store_sentinel_password_file: None,
            store_tls_ca: None,
            store_tls_cert: None,
            store_tls_key: None,
            silo_tls_ca: None,
            silo_tls_cert: None,
            silo_tls_key: None,
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
        let login = given.settings().unwrap().address.login;
        let password = login.password.unwrap();
        assert_eq!((login.user.as_deref(), password.expose_secret()), (Some("limiter"), "from-a-file"));
    }

    #[test]
    fn whatever_is_said_of_a_store_needs_one() {
        let nothing = || LimitArgs { store: StoreArgs { store: None, ..args("") }, metering: None };
        assert_eq!(nothing().about_a_store(), None);
        let deadline = StoreArgs { store_deadline: Some(Duration::from_secs(1)), ..nothing().store };
        assert_eq!(LimitArgs { store: deadline, ..nothing() }.about_a_store(), Some("--store-deadline"));
        // Said as it would be without: it may have been meant for the store all the same.
        for metering in [true, false] {
            assert_eq!(LimitArgs { metering: Some(metering), ..nothing() }.about_a_store(), Some("--metering"));
        }
    }

    #[test]
    fn a_deadline_that_leaves_the_store_no_time_is_refused() {
        assert_eq!(deadline("5ms"), Ok(Duration::from_millis(5)));
        assert!(deadline("0ms").is_err());
    }

    #[test]
    fn tls_files_without_a_tls_address_are_refused() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("ca.pem");
        fs::write(&file, "").unwrap();
        let given = StoreArgs { store_tls_ca: Some(file), ..args("redis://host:1") };
        assert_eq!(given.settings().unwrap().open().err(), Some(SettingsError::Plaintext));
    }

    #[test]
    fn a_silo_may_have_an_authority_of_its_own_beside_a_platform_store_without_tls() {
        let directory = tempfile::tempdir().unwrap();
        let named = |name: &str| {
            let file = directory.path().join(name);
            fs::write(&file, name).unwrap();
            Some(file)
        };
        let plain = StoreArgs { silo_tls_ca: named("silo-ca"), ..args("redis://host:1") };
        assert!(plain.settings().unwrap().tls.is_none());
        assert_eq!(plain.silo_tls().unwrap().unwrap().ca.as_deref(), Some(&b"silo-ca"[..]));
        // What is not said of silos is as it is of the platform's.
        let both = StoreArgs { store_tls_ca: named("ca"), store_tls_cert: named("cert"), store_tls_key: named("key"), ..plain };
        let silo = both.silo_tls().unwrap().unwrap();
        assert_eq!((silo.ca.as_deref(), silo.identity), (Some(&b"silo-ca"[..]), Some((b"cert".to_vec(), b"key".to_vec()))));
        assert_eq!(both.settings().unwrap().tls.unwrap().ca.as_deref(), Some(&b"ca"[..]));
    }

    #[test]
    fn a_login_for_sentinels_needs_sentinels() {
        let given = |store| StoreArgs { store_sentinel_user: Some("watch".into()), ..args(store) };
        assert_eq!(given("redis://host:1").settings().unwrap().open().err(), Some(SettingsError::NoSentinels));
    }
}
