//! The bounded fetch (S18): what is fetched, from where, how much and how long is settled here, never by the provider that answers.

use std::{collections::BTreeSet, net::SocketAddr, sync::Arc, time::Duration};

use async_trait::async_trait;
use bulkhead_tenancy::{
    address::forbidden,
    issuer::{Issuer, KeySource},
};
use reqwest::{
    Client, StatusCode,
    dns::{Addrs, Name, Resolve, Resolving},
    header::{ACCEPT, LOCATION},
};
use serde_json::Value;
use tokio::sync::Semaphore;
use url::{Host, Url};

use super::{FetchError, KeyProvider, document};

/// What one fetch may take.
#[derive(Debug, Clone, Copy)]
pub struct HttpBounds {
    /// Bytes of one answer's body.
    pub body: usize,
    /// Redirects of one document.
    pub redirects: usize,
    /// The time to connect.
    pub connect: Duration,
    /// The time from the first byte sent to the last byte read, discovery and redirects included.
    pub total: Duration,
    /// Names that are looked up at a time.
    pub lookups: usize,
}

impl Default for HttpBounds {
    fn default() -> Self {
        Self { body: 256 * 1024, redirects: 3, connect: Duration::from_secs(2), total: Duration::from_secs(5), lookups: 128 }
    }
}

/// Keys over HTTP: from a `jwksUri`, or where OIDC discovery says.
pub struct HttpKeys {
    /// For exactly the origins that the operator wrote: they may be loopback, or plain http.
    written: Client,
    /// For every other origin: https, and connected only to addresses that were checked.
    checked: Client,
    bounds: HttpBounds,
}

impl HttpKeys {
    /// A fetcher that trusts the system's certificate authorities. Where the system has none, https is refused and http to the operator's own
    /// origins still works.
    ///
    /// # Errors
    /// When no TLS client can be built.
    pub fn new(bounds: HttpBounds) -> Result<Self, reqwest::Error> {
        let places = Arc::new(Semaphore::new(bounds.lookups));
        let build = |checked: bool, no_authorities: bool| {
            let client = Client::builder()
                .dns_resolver(Arc::new(Resolver { checked, places: Arc::clone(&places) }))
                .no_proxy()
                .redirect(reqwest::redirect::Policy::none())
                .retry(reqwest::retry::never())
                .referer(false)
                .user_agent(concat!("bulkhead-ext-authz/", env!("CARGO_PKG_VERSION")))
                .connect_timeout(bounds.connect)
                .timeout(bounds.total)
                .pool_max_idle_per_host(1)
                // Long enough to ask for the keys after discovery: ten thousand providers leave no thousands of idle connections.
                .pool_idle_timeout(Duration::from_secs(2))
                .http2_max_header_list_size(16 * 1024);
            if no_authorities { client.tls_certs_only([]).build() } else { client.build() }
        };
        let (written, no_authorities) = match build(false, false) {
            Ok(client) => (client, false),
            Err(error) => {
                tracing::warn!(%error, "no certificate authorities: keys cannot be fetched over https");
                (build(false, true)?, true)
            }
        };
        let checked = build(true, no_authorities)?;
        Ok(Self { written, checked, bounds })
    }

    async fn jwks(&self, issuer: &Issuer) -> Result<Vec<Value>, FetchError> {
        let written = Written::of(issuer);
        let uri = match &issuer.keys {
            KeySource::Inline(jwks) => return Ok(jwks.clone()),
            KeySource::JwksUri(uri) => uri.clone(),
            KeySource::Discovery(issuer_url) => {
                document::jwks_uri(&self.read(document::configuration_url(issuer_url)?, &written).await?, &issuer.id)?
            }
        };
        document::jwks(&self.read(uri, &written).await?)
    }

    /// One document, each redirect judged like the first request.
    async fn read(&self, mut url: Url, written: &Written) -> Result<Vec<u8>, FetchError> {
        for _ in 0..=self.bounds.redirects {
            let client = if written.allows(&url)? { &self.written } else { &self.checked };
            let request = client.get(url.clone()).header(ACCEPT, "application/json");
            let mut response = request.send().await.map_err(unreachable)?;
            if response.status().is_redirection() {
                let location = response.headers().get(LOCATION).and_then(|value| value.to_str().ok());
                url = location.and_then(|to| url.join(to).ok()).ok_or(FetchError::Unexpected("a redirect to nowhere"))?;
                continue;
            }
            if response.status() != StatusCode::OK {
                return Err(FetchError::Status(response.status().as_u16()));
            }
            let mut body = Vec::new();
            while let Some(chunk) = response.chunk().await.map_err(unreachable)? {
                if body.len() + chunk.len() > self.bounds.body {
                    return Err(FetchError::TooLong(self.bounds.body));
                }
                body.extend_from_slice(&chunk);
            }
            return Ok(body);
        }
        Err(FetchError::Refused("too many redirects"))
    }
}

#[async_trait]
impl KeyProvider for HttpKeys {
    async fn fetch(&self, issuer: &Issuer) -> Result<Vec<Value>, FetchError> {
        // reqwest bounds each request; this bounds them all together.
        tokio::time::timeout(self.bounds.total, self.jwks(issuer)).await.map_err(|_| FetchError::TimedOut)?
    }
}

/// No answer. The URL is left out: an issuer may have written it, at any length.
fn unreachable(error: reqwest::Error) -> FetchError {
    FetchError::Unreachable(error.without_url())
}

/// The origins (scheme, host and port) of this issuer that the operator wrote.
struct Written(BTreeSet<String>);

impl Written {
    fn of(issuer: &Issuer) -> Self {
        let source = match &issuer.keys {
            KeySource::Discovery(url) | KeySource::JwksUri(url) => Some(url.clone()),
            KeySource::Inline(_) => None,
        };
        let own = Url::parse(issuer.id.as_str()).ok();
        Self(source.into_iter().chain(own).map(|url| url.origin().ascii_serialization()).collect())
    }

    /// Whether a URL is at one of the operator's own origins; another one may be fetched if it is https and no banned address.
    fn allows(&self, url: &Url) -> Result<bool, FetchError> {
        if !url.username().is_empty() || url.password().is_some() {
            return Err(FetchError::Refused("a URL with user or password"));
        }
        let origin = url.origin();
        if origin.is_tuple() && matches!(url.scheme(), "http" | "https") && self.0.contains(&origin.ascii_serialization()) {
            return Ok(true);
        }
        if url.scheme() != "https" {
            return Err(FetchError::Refused("not https, and not at an origin that the operator wrote"));
        }
        // A host that is a number is connected to without asking the resolver: it is judged here.
        let number = match url.host() {
            Some(Host::Ipv4(v4)) => Some(v4.into()),
            Some(Host::Ipv6(v6)) => Some(v6.into()),
            Some(Host::Domain(_)) => None,
            None => return Err(FetchError::Refused("a URL without host")),
        };
        if number.is_some_and(|address| forbidden(address).is_some()) {
            return Err(FetchError::Refused("an address that is banned, and not at an origin that the operator wrote"));
        }
        Ok(false)
    }
}

tokio::task_local! {
    /// The places for lookups of the tenant whose keys are fetched.
    static LOOKUPS: Arc<Semaphore>;
}

/// Fetches for a tenant, within its own places for lookups: the names of one that never resolve keep no other's from being looked up.
pub(super) async fn for_tenant<F: Future>(lookups: &Arc<Semaphore>, fetch: F) -> F::Output {
    LOOKUPS.scope(Arc::clone(lookups), fetch).await
}

/// Resolves names, so that what is connected to is what was judged: a second answer cannot differ from the first (DNS rebinding).
struct Resolver {
    /// Whether addresses that no tenant may point at are left out.
    checked: bool,
    /// Lookups on their way. One occupies a thread of the blocking pool until the system gives up, which may be long after the fetch
    /// did, and tokens are verified by threads of the same pool.
    places: Arc<Semaphore>,
}

impl Resolve for Resolver {
    fn resolve(&self, name: Name) -> Resolving {
        let (checked, places) = (self.checked, Arc::clone(&self.places));
        let of_tenant = LOOKUPS.try_with(Arc::clone).ok();
        // Spawned: whoever stops waiting does not give the places back before the lookup has ended.
        let lookup = tokio::spawn(async move {
            let _own = match of_tenant {
                Some(places) => Some(places.acquire_owned().await?),
                None => None,
            };
            let _place = places.acquire_owned().await?;
            let found: Vec<SocketAddr> = tokio::net::lookup_host((name.as_str(), 0)).await?.collect();
            Ok::<_, Box<dyn std::error::Error + Send + Sync>>(found)
        });
        Box::pin(async move {
            let mut found = lookup.await??;
            if checked {
                found.retain(|address| forbidden(address.ip()).is_none());
            }
            if found.is_empty() {
                return Err("no address that may be connected to".into());
            }
            Ok(Box::new(found.into_iter()) as Addrs)
        })
    }
}

#[cfg(test)]
mod tests;
