//! The Envoy files that we ship, with nothing replaced but addresses, ports and the loopback line of the guard; each replacement must
//! find what it replaces.

use std::net::{Ipv4Addr, SocketAddr};

use serde_json::{Value, json};

use crate::parts;

/// Names of the shipped files, below `envoy/`.
pub const FILES: [&str; 4] = ["envoy.yaml", "one-hop.yaml", "contract-routing.yaml", "contract-one-hop.yaml"];

const ADMIN: u16 = 9901;
const LISTENER: u16 = 10000;
const EXT_AUTHZ: u16 = 9191;
const RATELIMIT: u16 = 8081;
const ACME_BILLING: u16 = 18081;
const GLOBEX_INVENTORY: u16 = 18082;

/// A shipped file on its way to becoming a bootstrap.
pub struct Shipped {
    bootstrap: Value,
}

impl Shipped {
    /// `envoy/contract-routing.yaml`, for two services, on a laptop: its upstreams are on loopback, so that line of the guard goes.
    #[must_use]
    pub fn contract_routing(ext_authz: SocketAddr, ratelimit: SocketAddr) -> Self {
        let mut shipped = Self::guarded(ext_authz, ratelimit);
        shipped.allow_loopback();
        shipped
    }

    /// `envoy/contract-routing.yaml` with its guard whole (S3).
    #[must_use]
    pub fn guarded(ext_authz: SocketAddr, ratelimit: SocketAddr) -> Self {
        let mut shipped = Self::load("contract-routing.yaml");
        shipped.services(ext_authz, ratelimit);
        shipped
    }

    /// `envoy/envoy.yaml`: the user's own routes, to the upstreams that they name.
    #[must_use]
    pub fn own_routes(ext_authz: SocketAddr, ratelimit: SocketAddr, acme_billing: SocketAddr, globex_inventory: SocketAddr) -> Self {
        let mut shipped = Self::load("envoy.yaml");
        shipped.services(ext_authz, ratelimit);
        shipped.address(ACME_BILLING, acme_billing);
        shipped.address(GLOBEX_INVENTORY, globex_inventory);
        shipped
    }

    /// `envoy/one-hop.yaml`: the same routes, without the rate limit filter.
    #[must_use]
    pub fn one_hop(ext_authz: SocketAddr, acme_billing: SocketAddr, globex_inventory: SocketAddr) -> Self {
        let mut shipped = Self::load("one-hop.yaml");
        shipped.address(EXT_AUTHZ, ext_authz);
        shipped.address(ACME_BILLING, acme_billing);
        shipped.address(GLOBEX_INVENTORY, globex_inventory);
        shipped
    }

    /// `envoy/contract-one-hop.yaml`, on a laptop.
    #[must_use]
    pub fn contract_one_hop(ext_authz: SocketAddr) -> Self {
        let mut shipped = Self::load("contract-one-hop.yaml");
        shipped.address(EXT_AUTHZ, ext_authz);
        shipped.allow_loopback();
        shipped
    }

    /// The finished bootstrap. [`Shipped::edit`] is for tests that attack a shipped file.
    #[must_use]
    pub fn bootstrap(&self) -> &Value {
        &self.bootstrap
    }

    /// Changes more than an address: only for a test whose point is that change.
    #[must_use]
    pub fn edit(mut self, change: impl FnOnce(&mut Value)) -> Self {
        change(&mut self.bootstrap);
        self
    }

    /// A file as it is shipped.
    ///
    /// # Panics
    /// Where it is no YAML.
    #[must_use]
    pub fn parse(file: &str) -> Value {
        let path = parts::workspace().join("envoy").join(file);
        let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        serde_saphyr::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
    }

    fn load(file: &str) -> Self {
        let mut shipped = Self { bootstrap: Self::parse(file) };
        let free = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        shipped.address(ADMIN, free);
        shipped.address(LISTENER, free);
        shipped
    }

    fn services(&mut self, ext_authz: SocketAddr, ratelimit: SocketAddr) {
        self.address(EXT_AUTHZ, ext_authz);
        self.address(RATELIMIT, ratelimit);
    }

    fn address(&mut self, port: u16, to: SocketAddr) {
        let replacement = json!({ "address": to.ip().to_string(), "port_value": to.port() });
        let found = replace(&mut self.bootstrap, &|value| value["port_value"] == port && value["address"].is_string(), &replacement);
        assert_eq!(found, 1, "the shipped file has one address with port {port}");
    }

    fn allow_loopback(&mut self) {
        let permissions = &mut filter(&mut self.bootstrap, "rbac")["rules"]["policies"]["not-an-upstream"]["permissions"];
        let permissions = permissions.as_array_mut().expect("the guard's lines");
        let before = permissions.len();
        permissions.retain(|line| line["matcher"]["typed_config"]["upstream_ip"]["address_prefix"] != "127.0.0.0");
        assert_eq!(permissions.len() + 1, before, "the guard has one loopback line");
    }
}

/// Gives the services five seconds for an answer, in place of 250 and 100 ms, and of a second for a body: for tests whose point is the answer and not how soon it comes,
/// on machines that do much else.
///
/// # Panics
/// Where the bootstrap has no such filters.
pub fn patient(bootstrap: &mut Value) {
    let authorizer = filter(bootstrap, "ext_authz");
    authorizer["grpc_service"]["timeout"] = "5s".into();
    // It is the time-out of each try as well.
    authorizer["grpc_service"]["retry_policy"]["retry_back_off"]["max_interval"] = "5s".into();
    if has(bootstrap, "ratelimit") {
        filter(bootstrap, "ratelimit")["timeout"] = "5s".into();
    }
    processor(bootstrap)["message_timeout"] = "5s".into();
}

/// The connection manager of the one listener.
///
/// # Panics
/// Where there is none.
pub fn manager(bootstrap: &mut Value) -> &mut Value {
    let manager = &mut bootstrap["static_resources"]["listeners"][0]["filter_chains"][0]["filters"][0]["typed_config"];
    assert!(manager.is_object(), "the listener has a connection manager");
    manager
}

/// The routes of the one virtual host.
///
/// # Panics
/// Where there is none.
pub fn routes(bootstrap: &mut Value) -> &mut Value {
    let routes = &mut manager(bootstrap)["route_config"]["virtual_hosts"][0]["routes"];
    assert!(routes.is_array(), "the virtual host has routes");
    routes
}

/// The HTTP filters, in their order.
///
/// # Panics
/// Where there are none.
pub fn filters(bootstrap: &mut Value) -> &mut Vec<Value> {
    manager(bootstrap)["http_filters"].as_array_mut().expect("HTTP filters")
}

/// Whether an HTTP filter stands in the chain.
#[must_use]
pub fn has(bootstrap: &mut Value, name: &str) -> bool {
    let name = format!("envoy.filters.http.{name}");
    filters(bootstrap).iter().any(|filter| filter["name"] == name.as_str())
}

/// What an HTTP filter is configured with: `ext_authz`, `ratelimit`, `rbac`.
///
/// # Panics
/// Where there is no such filter.
pub fn filter<'b>(bootstrap: &'b mut Value, name: &str) -> &'b mut Value {
    let name = format!("envoy.filters.http.{name}");
    &mut filters(bootstrap).iter_mut().find(|filter| filter["name"] == name.as_str()).unwrap_or_else(|| panic!("no {name}"))["typed_config"]
}

/// What ext_proc is configured with, inside the matcher that skips it.
///
/// # Panics
/// Where there is no such filter.
pub fn processor(bootstrap: &mut Value) -> &mut Value {
    &mut filter(bootstrap, "ext_proc")["extension_config"]["typed_config"]
}

/// A cluster, by its name.
///
/// # Panics
/// Where there is none.
pub fn cluster<'b>(bootstrap: &'b mut Value, name: &str) -> &'b mut Value {
    let clusters = bootstrap["static_resources"]["clusters"].as_array_mut().expect("clusters");
    clusters.iter_mut().find(|cluster| cluster["name"] == name).unwrap_or_else(|| panic!("no cluster {name}"))
}

/// Replaces every value that fits; tells how many did.
fn replace(value: &mut Value, fits: &impl Fn(&Value) -> bool, with: &Value) -> usize {
    if fits(value) {
        *value = with.clone();
        return 1;
    }
    match value {
        Value::Array(items) => items.iter_mut().map(|item| replace(item, fits, with)).sum(),
        Value::Object(fields) => fields.values_mut().map(|field| replace(field, fits, with)).sum(),
        _ => 0,
    }
}
