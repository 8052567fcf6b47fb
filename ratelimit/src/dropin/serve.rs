//! The drop-in's own ports, opened and served beside the doors of the service.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs},
    sync::Arc,
};

use bulkhead_doors::{
    address::Address,
    fatal::Fatal,
    http::{Guests, serve},
    listener::Listener,
};
use tokio_util::sync::CancellationToken;

use super::{
    health::Health,
    http,
    service::Dropin,
    settings::{Listen, Settings},
    stats::statsd::Statsd,
};

/// The ports, bound and not yet served.
pub struct Ports {
    http: Listener,
    debug: Listener,
    prometheus: Option<(Listener, String)>,
    statsd: Option<Statsd>,
}

impl Ports {
    /// Binds them. They listen in plaintext, as the original's do: nothing of a tenant is served there (S2).
    ///
    /// # Errors
    /// A host that has no address, or an address that cannot be bound, named.
    pub async fn bind(settings: &Settings, statsd: Option<Statsd>) -> Result<Self, Fatal> {
        let prometheus = match &settings.statistics.prometheus {
            Some(prometheus) => Some((bind(&prometheus.listen).await?, prometheus.path.clone())),
            None => None,
        };
        Ok(Self { http: bind(&settings.doors.http).await?, debug: bind(&settings.doors.debug).await?, prometheus, statsd })
    }

    /// Serves them until `end`; then requests in progress are finished, and statsd is told the rest. They answer while the process drains:
    /// `/healthcheck` then says so.
    ///
    /// # Errors
    /// The kernel does not say where a port listens.
    pub fn serve(self, dropin: &Arc<Dropin>, health: Health, end: &CancellationToken) -> Result<impl Future<Output = ()> + use<>, Fatal> {
        let prometheus = self.prometheus.as_ref().map(|(listener, _)| listener.address()).transpose()?;
        // At the level that the original says it: with its default LOG_LEVEL this is the line that tells an operator that it listens.
        tracing::warn!(
            port.http = %self.http.address()?,
            port.debug = %self.debug.address()?,
            port.prometheus = prometheus.map(|address| address.to_string()),
            "listening as envoyproxy/ratelimit"
        );
        let end = || end.clone().cancelled_owned();
        let main = serve(self.http, http::main(Arc::clone(dropin), health), Guests::MANY, end());
        let debug = serve(self.debug, http::debug(dropin), Guests::FEW, end());
        let scraped = self.prometheus.map(|(listener, path)| serve(listener, http::prometheus(dropin, &path), Guests::FEW, end()));
        let stats = Arc::clone(dropin.stats());
        let told = self.statsd.map(|statsd| {
            let end = end();
            async move { statsd.follow(&stats, end).await }
        });
        Ok(async move {
            tokio::join!(main, debug, optional(scraped), optional(told));
        })
    }
}

async fn optional(task: Option<impl Future<Output = ()>>) {
    if let Some(task) = task {
        task.await;
    }
}

async fn bind(listen: &Listen) -> Result<Listener, Fatal> {
    let address = address(listen)?;
    match Listener::bind(&Address::Tcp(address), None).await {
        // Every address of both families, where the machine has both.
        Err(_) if listen.host.is_empty() => Listener::bind(&Address::Tcp((Ipv4Addr::UNSPECIFIED, listen.port).into()), None).await,
        bound => bound,
    }
}

/// The address that a host and port stand for. A name is looked up once, at the start.
///
/// # Errors
/// A name without an address.
pub fn address(listen: &Listen) -> Result<SocketAddr, Fatal> {
    if listen.host.is_empty() {
        return Ok((Ipv6Addr::UNSPECIFIED, listen.port).into());
    }
    if let Ok(ip) = listen.host.parse::<IpAddr>() {
        return Ok((ip, listen.port).into());
    }
    let found = (listen.host.as_str(), listen.port).to_socket_addrs().ok().and_then(|mut all| all.next());
    found.ok_or_else(|| Fatal::usage(format!("cannot listen on {}: the name has no address", listen.host)))
}
