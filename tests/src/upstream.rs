//! An upstream double: it answers 200 with what it saw, or as a test says, counts, and can hang.

use std::{
    collections::HashMap,
    net::{Ipv4Addr, SocketAddr},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use axum::{
    Json, Router,
    body::Body,
    extract::{Request, State},
    response::{IntoResponse as _, Response},
};
use http_body_util::BodyExt as _;
use serde::{Deserialize, Serialize};
use tokio::{net::TcpListener, sync::watch, task::JoinHandle};

mod tls;

/// A request header whose values are counted one by one: how a test knows its own requests among those of others.
pub const MARK: &str = "x-test-mark";

/// A running upstream, over HTTP/1.1 and HTTP/2 without TLS.
pub struct Upstream {
    address: SocketAddr,
    state: Arc<Shared>,
    serving: JoinHandle<()>,
}

/// What an upstream saw of a request.
#[derive(Debug, Clone, Serialize, Deserialize, PartialEq, Eq)]
pub struct Seen {
    /// The upstream's own name.
    pub upstream: String,
    /// The method.
    pub method: String,
    /// Path and query, as received.
    pub path: String,
    /// Headers, names in lower case.
    pub headers: Vec<(String, String)>,
    /// Trailers, names in lower case.
    pub trailers: Vec<(String, String)>,
    /// The body.
    pub body: String,
}

impl Seen {
    /// Every value of that (lower case) header.
    #[must_use]
    pub fn header(&self, name: &str) -> Vec<&str> {
        self.headers.iter().filter(|(header, _)| header == name).map(|(_, value)| value.as_str()).collect()
    }
}

struct Shared {
    name: String,
    count: AtomicU64,
    marks: Mutex<HashMap<Vec<u8>, u64>>,
    hangs: watch::Sender<bool>,
    seen: Mutex<Option<Seen>>,
    answer: Mutex<Option<Answering>>,
}

type Answering = Arc<dyn Fn(&Seen) -> Response + Send + Sync>;

impl Upstream {
    /// Starts one on a free loopback port.
    ///
    /// # Panics
    /// Where it cannot listen.
    pub async fn start(name: &str) -> Self {
        Self::listening(name, Ipv4Addr::LOCALHOST).await
    }

    /// Starts one at a free port of every address of this machine, all of 127.0.0.0/8 among them: thousands of hosts, and one server.
    ///
    /// # Panics
    /// Where it cannot listen.
    pub async fn everywhere(name: &str) -> Self {
        Self::listening(name, Ipv4Addr::UNSPECIFIED).await
    }

    async fn listening(name: &str, at: Ipv4Addr) -> Self {
        let (listener, state, app) = Self::prepare(name, at).await;
        let address = listener.local_addr().expect("a bound listener has an address");
        let serving = tokio::spawn(async move { axum::serve(listener, app).await.expect("an upstream serves until it is dropped") });
        Self { address, state, serving }
    }

    /// Starts one that speaks TLS with a certificate for this host, which only those trust who are given its PEM.
    ///
    /// # Panics
    /// Where it cannot listen.
    pub async fn start_tls(name: &str, host: &str) -> (Self, String) {
        let (listener, state, app) = Self::prepare(name, Ipv4Addr::LOCALHOST).await;
        let address = listener.local_addr().expect("a bound listener has an address");
        let (acceptor, pem) = tls::acceptor(host);
        let serving = tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.expect("an upstream serves until it is dropped");
                tokio::spawn(tls::serve(acceptor.clone(), stream, app.clone()));
            }
        });
        (Self { address, state, serving }, pem)
    }

    async fn prepare(name: &str, at: Ipv4Addr) -> (TcpListener, Arc<Shared>, Router) {
        let listener = TcpListener::bind((at, 0)).await.expect("a free port");
        let state = Arc::new(Shared {
            name: name.to_owned(),
            count: AtomicU64::new(0),
            marks: Mutex::default(),
            hangs: watch::Sender::new(false),
            seen: Mutex::new(None),
            answer: Mutex::new(None),
        });
        let app = Router::new().fallback(answer).with_state(Arc::clone(&state));
        (listener, state, app)
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// `http://127.0.0.1:PORT`.
    #[must_use]
    pub fn origin(&self) -> String {
        format!("http://{}", self.address)
    }

    /// How many requests reached it.
    #[must_use]
    pub fn requests(&self) -> u64 {
        self.state.count.load(Ordering::SeqCst)
    }

    /// How many requests with this [`MARK`] reached it.
    #[must_use]
    pub fn requests_marked(&self, mark: &str) -> u64 {
        self.state.marks.lock().unwrap_or_else(PoisonError::into_inner).get(mark.as_bytes()).copied().unwrap_or_default()
    }

    /// The last request that reached it.
    #[must_use]
    pub fn last(&self) -> Option<Seen> {
        self.state.seen.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// From now on it answers so.
    pub fn answers(&self, answer: impl Fn(&Seen) -> Response + Send + Sync + 'static) {
        *self.state.answer.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(answer));
    }

    /// From now on requests are taken and not answered, until [`Upstream::release`].
    pub fn hang(&self) {
        self.state.hangs.send_replace(true);
    }

    /// Answers what hangs and what comes.
    pub fn release(&self) {
        self.state.hangs.send_replace(false);
    }
}

impl Drop for Upstream {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

async fn answer(State(state): State<Arc<Shared>>, request: Request) -> Response {
    state.count.fetch_add(1, Ordering::SeqCst);
    for mark in request.headers().get_all(MARK) {
        *state.marks.lock().unwrap_or_else(PoisonError::into_inner).entry(mark.as_bytes().to_vec()).or_default() += 1;
    }
    let (parts, body) = request.into_parts();
    let (body, trailers) = read(body).await;
    let seen = Seen {
        upstream: state.name.clone(),
        method: parts.method.to_string(),
        path: parts.uri.path_and_query().map_or_else(|| parts.uri.path().to_owned(), ToString::to_string),
        headers: lines(&parts.headers),
        trailers,
        body,
    };
    *state.seen.lock().unwrap_or_else(PoisonError::into_inner) = Some(seen.clone());
    let mut hangs = state.hangs.subscribe();
    // The sender lives in the state, so waiting ends by its word only.
    drop(hangs.wait_for(|hangs| !hangs).await);
    let answer = state.answer.lock().unwrap_or_else(PoisonError::into_inner).clone();
    answer.map_or_else(|| Json(&seen).into_response(), |answer| answer(&seen))
}

async fn read(body: Body) -> (String, Vec<(String, String)>) {
    match body.collect().await {
        Ok(collected) => {
            let trailers = collected.trailers().map(lines).unwrap_or_default();
            (String::from_utf8_lossy(&collected.to_bytes()).into_owned(), trailers)
        }
        Err(error) => (format!("the body broke off: {error}"), Vec::new()),
    }
}

fn lines(headers: &http::HeaderMap) -> Vec<(String, String)> {
    headers.iter().map(|(name, value)| (name.to_string(), String::from_utf8_lossy(value.as_bytes()).into_owned())).collect()
}
