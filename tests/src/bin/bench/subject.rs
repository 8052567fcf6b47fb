//! The services as they are measured: the released binaries, each with a configuration and, where it has one, a store of its own.

use std::{collections::HashMap, path::Path};

use bulkhead_tests::{
    issuer::key::Key,
    scale::{Limits, Scale},
    service::Service,
    valkey::Valkey,
};
use tempfile::TempDir;

use crate::{
    calls::Calls,
    load::Subject,
    matrix::{Setup, Sockets, What},
};

/// Configuration folders, each written once.
pub(crate) struct Configs {
    key: Key,
    /// By the number of tenants, whether they are leased, and whether they are audited.
    written: HashMap<(usize, bool, bool), TempDir>,
}

impl Configs {
    pub(crate) fn new() -> Self {
        Self { key: Key::es256("bench"), written: HashMap::new() }
    }

    fn scale(&self, setup: Setup) -> Scale {
        let key = Some(self.key.jwk().to_string());
        let (leased, audited) = (setup.what == What::Leased, setup.what == What::Audited);
        Scale { tenants: setup.tenants, limits: Limits::Unreached, leased, audited, key, ..Scale::TEN_THOUSAND }
    }

    /// The folder of a setup.
    pub(crate) fn folder(&mut self, setup: Setup) -> &Path {
        let scale = self.scale(setup);
        let folder = self.written.entry((scale.tenants, scale.leased, scale.audited)).or_insert_with(|| {
            let folder = TempDir::new().expect("a temporary directory");
            scale.write(folder.path()).expect("a writable directory");
            folder
        });
        folder.path()
    }

    /// The key that signs every token.
    pub(crate) fn key(&self) -> &Key {
        &self.key
    }

    /// The calls that a setup is measured by.
    pub(crate) fn calls(&self, setup: Setup) -> Calls {
        let scale = self.scale(setup);
        match setup.what {
            What::ExtAuthz | What::Audited => Calls::check(&scale, &self.key),
            What::ApiKey => Calls::check_by_key(&scale),
            What::FirstSight => Calls::check_first_sight(&scale, &self.key),
            What::Exact | What::Leased | What::Memory => Calls::should_rate_limit(&scale),
        }
    }
}

/// A running setup.
pub(crate) struct Running {
    service: Service,
    store: Option<Valkey>,
    socket: Option<String>,
    _directory: TempDir,
}

impl Running {
    /// Starts a setup on its configuration folder.
    pub(crate) async fn start(setup: Setup, config: &Path) -> Self {
        let directory = TempDir::new().expect("a temporary directory");
        let socket = (setup.sockets == Sockets::Unix).then(|| format!("unix:{}", directory.path().join("grpc").display()));
        let audit = directory.path().join("audit").display().to_string();
        let mut arguments = Vec::new();
        if let Some(socket) = &socket {
            arguments.extend(["--grpc", socket]);
        }
        let store = if setup.what.has_store() { Some(Valkey::start().await) } else { None };
        let service = match setup.what {
            What::ExtAuthz | What::Audited | What::ApiKey | What::FirstSight => {
                // Where records are written, whether or not there are any: what is not denied has one under `audit: full` alone.
                arguments.extend(["--audit-dir", audit.as_str()]);
                Service::ext_authz(config, &arguments).await
            }
            What::Exact | What::Leased | What::Memory => {
                let url = store.as_ref().map_or_else(
                    || "memory".to_owned(),
                    |store| if setup.sockets == Sockets::Unix { store.unix_url() } else { store.url() },
                );
                // The store shares the two cores with everything else: a deadline that is never the subject here.
                arguments.extend(["--store-deadline", "1s", "--metering", if setup.metering { "on" } else { "off" }]);
                Service::ratelimit(config, &url, &arguments).await
            }
        };
        Self { service, store, socket, _directory: directory }
    }

    /// What is to be measured.
    pub(crate) fn subject(&self) -> Subject {
        let uri = self.socket.clone().unwrap_or_else(|| format!("http://{}", self.service.grpc()));
        Subject { uri, process: self.service.id(), store: self.store.as_ref().map(Valkey::id) }
    }
}
