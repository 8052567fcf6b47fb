//! An OIDC issuer double, one realm of its own: discovery, JWKS, and tokens with any header and any claims.
//!
//! ```no_run
//! # use bulkhead_tests::issuer::Issuer;
//! # async fn example() {
//! let acme = Issuer::start("acme").await;
//! let token = acme.token().claim("roles", ["billing-reader"]).sign();
//! let expired = acme.token().claim("exp", 1).sign();
//! # }
//! ```

use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use axum::{
    Router,
    extract::{Path, State},
    http::{StatusCode, header},
    response::{IntoResponse as _, Response},
    routing::get,
};
use serde_json::{Value, json};
use tokio::{net::TcpListener, task::JoinHandle};

pub mod key;
pub mod token;

use key::Key;
use token::Token;

/// A running issuer.
pub struct Issuer {
    tenant: String,
    issuer: String,
    address: SocketAddr,
    state: Arc<Shared>,
    serving: Option<JoinHandle<()>>,
}

/// How it answers.
#[derive(Debug, Clone, Default)]
pub enum Mood {
    /// As it should.
    #[default]
    Well,
    /// With this status.
    Failing(u16),
    /// After this long.
    Slow(Duration),
    /// Never.
    Hanging,
    /// With a key set of at least this many bytes.
    Huge(usize),
    /// With this text instead of a key set.
    Saying(String),
}

struct Shared {
    realm: String,
    inner: Mutex<Inner>,
    key_fetches: AtomicU64,
    discoveries: AtomicU64,
}

struct Inner {
    signing: Arc<Key>,
    published: Vec<Value>,
    mood: Mood,
    discovery: Value,
}

impl Issuer {
    /// The issuer of a tenant, `https://auth.gostoa.dev/realms/tenant-<tenant>` as `examples/config` knows it; its keys are on a free
    /// loopback port ([`Issuer::jwks_uri`]).
    ///
    /// # Panics
    /// Where it cannot listen.
    pub async fn start(tenant: &str) -> Self {
        Self::named(tenant, Some(format!("https://auth.gostoa.dev/realms/tenant-{tenant}"))).await
    }

    /// An issuer that is reached where its name says, on loopback, so that OIDC discovery finds it.
    ///
    /// # Panics
    /// Where it cannot listen.
    pub async fn discoverable(tenant: &str) -> Self {
        Self::named(tenant, None).await
    }

    async fn named(tenant: &str, issuer: Option<String>) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a free port");
        let address = listener.local_addr().expect("a bound listener has an address");
        let realm = format!("tenant-{tenant}");
        let issuer = issuer.unwrap_or_else(|| format!("http://{address}/realms/{realm}"));
        let signing = Arc::new(Key::rs256(&format!("{tenant}-1")));
        let discovery = json!({
            "issuer": issuer,
            "jwks_uri": format!("http://{address}/realms/{realm}/protocol/openid-connect/certs"),
            "token_endpoint": format!("http://{address}/realms/{realm}/protocol/openid-connect/token"),
        });
        let inner = Inner { published: vec![signing.jwk()], signing, mood: Mood::Well, discovery };
        let state = Arc::new(Shared { realm, inner: Mutex::new(inner), key_fetches: AtomicU64::new(0), discoveries: AtomicU64::new(0) });
        let app = Router::new()
            .route("/realms/{realm}/.well-known/openid-configuration", get(discover))
            .route("/realms/{realm}/protocol/openid-connect/certs", get(certs))
            .with_state(Arc::clone(&state));
        let serving = tokio::spawn(async move { axum::serve(listener, app).await.expect("an issuer serves until it is dropped") });
        Self { tenant: tenant.to_owned(), issuer, address, state, serving: Some(serving) }
    }

    /// The text of `iss`.
    #[must_use]
    pub fn issuer(&self) -> &str {
        &self.issuer
    }

    /// Where its keys are.
    #[must_use]
    pub fn jwks_uri(&self) -> String {
        format!("http://{}/realms/{}/protocol/openid-connect/certs", self.address, self.state.realm)
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// A token of the tenant's user `user-123`, valid for five minutes, as Keycloak would write it; every part can be changed before it is signed.
    #[must_use]
    pub fn token(&self) -> Token {
        let signing = Arc::clone(&self.lock().signing);
        Token::new(&self.issuer, &self.tenant, signing)
    }

    /// The key that signs now.
    #[must_use]
    pub fn key(&self) -> Arc<Key> {
        Arc::clone(&self.lock().signing)
    }

    /// Signs with another key from now on. The old one stays published, as Keycloak keeps it; [`Issuer::publish`] takes it away.
    pub fn rotate(&self, key: Key) {
        let mut inner = self.lock();
        inner.published.push(key.jwk());
        inner.signing = Arc::new(key);
    }

    /// Publishes exactly these JWKs.
    pub fn publish(&self, jwks: Vec<Value>) {
        self.lock().published = jwks;
    }

    /// Changes how it answers.
    pub fn mood(&self, mood: Mood) {
        self.lock().mood = mood;
    }

    /// Changes its discovery document.
    pub fn discovery(&self, change: impl FnOnce(&mut Value)) {
        change(&mut self.lock().discovery);
    }

    /// Stops listening: connections are refused.
    pub fn die(&mut self) {
        if let Some(serving) = self.serving.take() {
            serving.abort();
        }
    }

    /// How often its keys were fetched.
    #[must_use]
    pub fn key_fetches(&self) -> u64 {
        self.state.key_fetches.load(Ordering::SeqCst)
    }

    /// How often its discovery document was fetched.
    #[must_use]
    pub fn discoveries(&self) -> u64 {
        self.state.discoveries.load(Ordering::SeqCst)
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.state.lock()
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Issuer {
    fn drop(&mut self) {
        self.die();
    }
}

async fn discover(State(state): State<Arc<Shared>>, Path(realm): Path<String>) -> Response {
    state.discoveries.fetch_add(1, Ordering::SeqCst);
    let (mood, document) = {
        let inner = state.lock();
        (inner.mood.clone(), inner.discovery.to_string())
    };
    reply(mood, realm == state.realm, document).await
}

async fn certs(State(state): State<Arc<Shared>>, Path(realm): Path<String>) -> Response {
    state.key_fetches.fetch_add(1, Ordering::SeqCst);
    let (mood, keys) = {
        let inner = state.lock();
        let keys = match &inner.mood {
            Mood::Huge(bytes) => json!({ "keys": inner.published, "padding": "x".repeat(*bytes) }).to_string(),
            Mood::Saying(text) => text.clone(),
            _ => json!({ "keys": inner.published }).to_string(),
        };
        (inner.mood.clone(), keys)
    };
    reply(mood, realm == state.realm, keys).await
}

async fn reply(mood: Mood, exists: bool, body: String) -> Response {
    match mood {
        Mood::Failing(status) => return StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR).into_response(),
        Mood::Slow(delay) => tokio::time::sleep(delay).await,
        Mood::Hanging => std::future::pending().await,
        Mood::Well | Mood::Huge(_) | Mood::Saying(_) => {}
    }
    if !exists {
        return StatusCode::NOT_FOUND.into_response();
    }
    ([(header::CONTENT_TYPE, "application/json"), (header::CACHE_CONTROL, "no-cache")], body).into_response()
}
