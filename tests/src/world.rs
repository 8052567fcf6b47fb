//! Everything at once: an issuer a tenant, two upstreams a tenant, both services, a store and Envoy, from `examples/config` and one of the
//! shipped Envoy files.
//!
//! ```no_run
//! # use bulkhead_tests::{client::Request, world::World};
//! # async fn example() {
//! let world = World::start().await;
//! let token = world.acme.issuer.token().sign();
//! let answer = world.send(&Request::get("/acme/billing-api/invoices").bearer(&token)).await;
//! assert_eq!(answer.seen().upstream, "acme-billing");
//!
//! // Changed on disk, live without a restart:
//! world.config.edit("tenants/acme.yaml", |tenant| tenant["spec"]["status"] = "suspended".into());
//! # }
//! ```

use std::collections::BTreeMap;

use serde_json::Value;
use tempfile::TempDir;

use crate::{
    client::{Answer, Request},
    config::Config,
    envoy::{
        Envoy,
        shipped::{self, Shipped},
    },
    issuer::Issuer,
    service::Service,
    upstream::Upstream,
    valkey::Valkey,
};

/// One tenant's surroundings.
pub struct Tenant {
    /// Its name.
    pub name: &'static str,
    /// Its issuer.
    pub issuer: Issuer,
    upstreams: BTreeMap<&'static str, Upstream>,
}

impl Tenant {
    async fn start(name: &'static str, upstreams: [&'static str; 2]) -> Self {
        let mut started = BTreeMap::new();
        for upstream in upstreams {
            started.insert(upstream, Upstream::start(&format!("{name}-{upstream}")).await);
        }
        Self { name, issuer: Issuer::start(name).await, upstreams: started }
    }

    /// The upstream of that name: `billing` and `orders` of acme, `inventory` and `catalog` of globex. It calls itself `acme-billing`.
    ///
    /// # Panics
    /// Where there is none.
    #[must_use]
    pub fn upstream(&self, name: &str) -> &Upstream {
        self.upstreams.get(name).unwrap_or_else(|| panic!("{} has no upstream {name}", self.name))
    }

    /// How many requests reached any of its upstreams.
    #[must_use]
    pub fn requests(&self) -> u64 {
        self.upstreams.values().map(Upstream::requests).sum()
    }

    /// How many requests with this [`MARK`](crate::upstream::MARK) reached any of its upstreams.
    #[must_use]
    pub fn requests_marked(&self, mark: &str) -> u64 {
        self.upstreams.values().map(|upstream| upstream.requests_marked(mark)).sum()
    }
}

/// Everything, running.
pub struct World {
    /// acme, on the plan `professional`.
    pub acme: Tenant,
    /// globex, on the plan `starter`.
    pub globex: Tenant,
    /// The configuration that both services watch.
    pub config: Config,
    /// The real Envoy.
    pub envoy: Envoy,
    /// The authorizer.
    pub ext_authz: Service,
    /// The limiter.
    pub ratelimit: Service,
    /// The store, where the limiter does not keep the limits in its own memory.
    pub valkey: Option<Valkey>,
    /// Where both services keep their records, if they do.
    pub audit: Option<TempDir>,
}

type Configure<'a> = Box<dyn FnOnce(&Config) + 'a>;
type Rewrite<'a> = Box<dyn FnOnce(&mut Value) + 'a>;
type Tell<'a> = Box<dyn Fn(&str) + 'a>;

/// What a world is made of.
#[derive(Default)]
pub struct Builder<'a> {
    own_routes: bool,
    one_hop: bool,
    punctual: bool,
    guarded: bool,
    undeclared: bool,
    as_shipped: bool,
    store: Store,
    configure: Vec<Configure<'a>>,
    bootstrap: Vec<Rewrite<'a>>,
    ext_authz: Vec<&'a str>,
    ratelimit: Vec<&'a str>,
    progress: Option<Tell<'a>>,
}

/// Where the limits are kept.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Store {
    /// In the limiter's own memory.
    #[default]
    Memory,
    /// In a Valkey of the world's own.
    Valkey,
    /// In the server at this URL, which others may use as well.
    At(String),
}

impl World {
    /// Contract routing, limits in memory.
    pub async fn start() -> Self {
        Self::builder().start().await
    }

    /// A world with something different about it.
    #[must_use]
    pub fn builder<'a>() -> Builder<'a> {
        Builder::default()
    }

    /// Sends a request to Envoy.
    pub async fn send(&self, request: &Request) -> Answer {
        request.send(self.envoy.address()).await
    }
}

impl<'a> Builder<'a> {
    /// `envoy/envoy.yaml` and `routing: own`, in place of contract routing.
    #[must_use]
    pub fn own_routes(mut self) -> Self {
        self.own_routes = true;
        self
    }

    /// `envoy/one-hop.yaml` and `routing: own`: ext-authz charges the limits, in the same store that ratelimit has, which nobody asks.
    ///
    /// In the limiter's own memory ([`Store::Memory`]) each of the two has limits of its own.
    #[must_use]
    pub fn one_hop(mut self) -> Self {
        self.one_hop = true;
        self.own_routes()
    }

    /// `envoy/contract-one-hop.yaml`: the same with contract routing.
    #[must_use]
    pub fn contract_one_hop(mut self) -> Self {
        self.one_hop = true;
        self
    }

    /// Contract routing with Envoy's guard whole: no upstream on loopback answers then (S3).
    #[must_use]
    pub fn guarded(mut self) -> Self {
        self.guarded = true;
        self
    }

    /// Nobody tells ext-authz that Envoy shows bodies, though it does.
    #[must_use]
    pub fn undeclared(mut self) -> Self {
        self.undeclared = true;
        self
    }

    /// acme's manifests as the examples have them: its bodies are read and rewritten, and nothing is answered without a record (which both
    /// services then keep in a folder of the world's own). Else acme reads no bodies and records denials: a test says what it wants read.
    #[must_use]
    pub fn as_shipped(mut self) -> Self {
        self.as_shipped = true;
        self
    }

    /// Limits in a Valkey of its own.
    #[must_use]
    pub fn valkey(self) -> Self {
        self.store(Store::Valkey)
    }

    /// Limits in this store.
    #[must_use]
    pub fn store(mut self, store: Store) -> Self {
        self.store = store;
        self
    }

    /// Changes the configuration before the services read it.
    #[must_use]
    pub fn config(mut self, change: impl FnOnce(&Config) + 'a) -> Self {
        self.configure.push(Box::new(change));
        self
    }

    /// Changes more in the shipped Envoy file than addresses: for tests whose point is that change.
    #[must_use]
    pub fn bootstrap(mut self, change: impl FnOnce(&mut Value) + 'a) -> Self {
        self.bootstrap.push(Box::new(change));
        self
    }

    /// The time-outs that the shipped files and the services have, for tests whose point is when something is answered. Else both services and the store may take seconds
    /// ([`shipped::patient`]): a machine that does much else must not turn an answer into another.
    #[must_use]
    pub fn punctual(mut self) -> Self {
        self.punctual = true;
        self
    }

    /// More arguments for ext-authz.
    #[must_use]
    pub fn ext_authz(mut self, arguments: &[&'a str]) -> Self {
        self.ext_authz.extend(arguments);
        self
    }

    /// More arguments for ratelimit.
    #[must_use]
    pub fn ratelimit(mut self, arguments: &[&'a str]) -> Self {
        self.ratelimit.extend(arguments);
        self
    }

    /// Tells what is started, as it is.
    #[must_use]
    pub fn progress(mut self, tell: impl Fn(&str) + 'a) -> Self {
        self.progress = Some(Box::new(tell));
        self
    }

    fn tell(&self, part: &str) {
        if let Some(tell) = &self.progress {
            tell(part);
        }
    }

    /// Starts it, all of it ready.
    ///
    /// # Panics
    /// Where any part does not start.
    pub async fn start(mut self) -> World {
        self.tell("an issuer and two upstreams for each of acme and globex");
        let acme = Tenant::start("acme", ["billing", "orders"]).await;
        let globex = Tenant::start("globex", ["inventory", "catalog"]).await;
        let config = if self.as_shipped { Config::as_shipped() } else { Config::examples() };
        surroundings(&config, [&acme, &globex]);
        if self.own_routes {
            config.edit("platform.yaml", |platform| platform["spec"]["routing"] = "own".into());
        }
        for change in self.configure.drain(..) {
            change(&config);
        }

        let valkey = if self.store == Store::Valkey {
            self.tell("Valkey");
            Some(Valkey::start().await)
        } else {
            None
        };
        let store = match (&self.store, &valkey) {
            (Store::At(url), _) => url.clone(),
            (_, Some(valkey)) => valkey.url(),
            (_, None) => "memory".to_owned(),
        };
        if let Store::At(_) = self.store {
            strangers(&config);
        }
        self.tell("ext-authz and ratelimit");
        // Tests say when keys are fetched, and how the provider answers then.
        if !self.ext_authz.contains(&"--keys-ahead") {
            self.ext_authz.extend(["--keys-ahead", "off"]);
        }
        let path = config.path();
        // As the shipped files are: Envoy shows bodies to Check, and ext_proc stands in the chain (S14).
        let declared = if self.undeclared { Vec::new() } else { vec!["--body", "on", "--process", "on"] };
        let audit = self.as_shipped.then(|| TempDir::new().expect("a temporary directory"));
        let folder = audit.as_ref().map(|folder| folder.path().display().to_string());
        let recorded: Vec<&str> = folder.iter().flat_map(|folder| ["--audit-dir", folder]).collect();
        let mut charging = if self.one_hop { vec!["--store", store.as_str()] } else { Vec::new() };
        let (mut of_processing, mut of_store) = (Vec::new(), Vec::new());
        if !self.punctual {
            of_processing.extend(["--process-deadline", "4s"]);
            of_store.extend(["--store-deadline", "2s"]);
        }
        if self.one_hop {
            charging.extend(of_store.clone());
        }
        let of_authz = [declared, recorded.clone(), charging, of_processing, self.ext_authz.clone()].concat();
        let of_limiter = [recorded, of_store, self.ratelimit.clone()].concat();
        let (ext_authz, ratelimit) = tokio::join!(Service::ext_authz(&path, &of_authz), Service::ratelimit(&path, &store, &of_limiter));

        let mut file = match (self.own_routes, self.guarded) {
            (true, _) => {
                let (billing, inventory) = (acme.upstream("billing").address(), globex.upstream("inventory").address());
                if self.one_hop {
                    Shipped::one_hop(ext_authz.grpc(), billing, inventory)
                } else {
                    Shipped::own_routes(ext_authz.grpc(), ratelimit.grpc(), billing, inventory)
                }
            }
            (false, _) if self.one_hop => Shipped::contract_one_hop(ext_authz.grpc()),
            (false, true) => Shipped::guarded(ext_authz.grpc(), ratelimit.grpc()),
            (false, false) => Shipped::contract_routing(ext_authz.grpc(), ratelimit.grpc()),
        };
        if !self.punctual {
            file = file.edit(shipped::patient);
        }
        for change in self.bootstrap.drain(..) {
            file = file.edit(change);
        }
        self.tell("Envoy");
        let envoy = Envoy::start(file.bootstrap()).await;
        World { acme, globex, config, envoy, ext_authz, ratelimit, valkey, audit }
    }
}

/// Replaces the addresses in `examples/config` by those of the doubles, and nothing else.
fn surroundings(config: &Config, tenants: [&Tenant; 2]) {
    for tenant in tenants {
        let file = format!("tenants/{}.yaml", tenant.name);
        config.replace(&file, "http://keycloak:8080", &format!("http://{}", tenant.issuer.address()));
        for (name, upstream) in &tenant.upstreams {
            config.replace("platform.yaml", &format!("http://{}-{name}:8080", tenant.name), &upstream.origin());
        }
    }
}

/// In a store that others use as well our tenants are new ones, which inherit nothing (S23).
fn strangers(config: &Config) {
    let born = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("a clock after 1970").as_nanos();
    for tenant in ["acme", "globex"] {
        let uid = format!("{tenant}-{}-{born}", std::process::id());
        config.edit(&format!("tenants/{tenant}.yaml"), |resource| resource["spec"]["uid"] = uid.into());
    }
}
