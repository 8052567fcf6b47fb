//! Event streams that go on: what a server sends is filtered, and passed on as it comes.

use std::{
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use axum::{body::Body, extract::State, http::header::CONTENT_TYPE, response::IntoResponse};
use bulkhead_tests::{
    client::Request,
    deadline::{self, PATIENCE},
    envoy::shipped,
    issuer::{key::Key, token::now},
};
use serde_json::{Value, json};
use tokio::{
    net::TcpListener,
    sync::{Mutex, mpsc},
};
use tokio_stream::wrappers::UnboundedReceiverStream;

use super::Stage;

pub(crate) type Piece = Result<String, std::io::Error>;

/// An MCP server that answers everything with an event stream, in which the test says what comes and when.
pub(crate) struct Source {
    pub(crate) address: SocketAddr,
    opened: Mutex<mpsc::UnboundedReceiver<mpsc::UnboundedSender<Piece>>>,
}

impl Source {
    pub(crate) async fn start() -> Self {
        let (opens, opened) = mpsc::unbounded_channel();
        let open = |State(opens): State<Arc<mpsc::UnboundedSender<mpsc::UnboundedSender<Piece>>>>| async move {
            let (sender, pieces) = mpsc::unbounded_channel();
            opens.send(sender).expect("the test takes streams");
            ([(CONTENT_TYPE, "text/event-stream")], Body::from_stream(UnboundedReceiverStream::new(pieces))).into_response()
        };
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a free port");
        let address = listener.local_addr().expect("an address");
        let app = axum::Router::new().fallback(open).with_state(Arc::new(opens));
        tokio::spawn(async move { axum::serve(listener, app).await.expect("it serves") });
        Self { address, opened: Mutex::new(opened) }
    }

    /// The next stream that is opened.
    pub(crate) async fn opened(&self) -> mpsc::UnboundedSender<Piece> {
        tokio::time::timeout(PATIENCE, async { self.opened.lock().await.recv().await }).await.expect("in time").expect("a stream")
    }
}

/// What a client has seen of a stream.
pub(crate) struct Seen {
    pub(crate) answer: reqwest::Response,
    pub(crate) text: String,
}

impl Seen {
    pub(crate) async fn until(&mut self, what: &str) {
        while !self.text.contains(what) {
            let chunk = tokio::time::timeout(PATIENCE, self.answer.chunk()).await;
            let chunk = chunk.unwrap_or_else(|_| panic!("{what:?} does not come: {:?}", self.text)).expect("a stream that goes on");
            self.text.push_str(&String::from_utf8_lossy(&chunk.expect("a stream that does not end")));
        }
    }

    /// Waits until it ends, and does something again and again meanwhile.
    pub(crate) async fn ends(&mut self, meanwhile: impl Fn()) {
        let late = Instant::now() + PATIENCE;
        loop {
            match tokio::time::timeout(Duration::from_millis(50), self.answer.chunk()).await {
                Ok(Ok(Some(chunk))) => self.text.push_str(&String::from_utf8_lossy(&chunk)),
                Ok(_) => return,
                Err(_) => {}
            }
            meanwhile();
            assert!(Instant::now() < late, "it goes on: {}", self.text);
        }
    }
}

fn event(message: &Value) -> String {
    format!("event: message\nid: s/1\ndata: {message}\n\n")
}

#[tokio::test(flavor = "multi_thread")]
async fn events_of_get_and_post_are_filtered_and_go_on_as_they_come() {
    let source = Source::start().await;
    let world = Stage::world([source.address, source.address], 10_000, true).await;
    let stage = Stage { world, _servers: Vec::new() };
    let uri = format!("http://{}/acme/tools-api", stage.world.envoy.address());
    let bearer = stage.token("acme", "clerk");
    let client = reqwest::Client::builder().no_proxy().build().expect("a client");
    let tools = json!({ "jsonrpc": "2.0", "id": 1, "result": { "tools": [{ "name": "weather" }, { "name": "hidden" }, { "name": "get_Ledger.v2" }] } });
    let progress =
        |nth: u32| json!({ "jsonrpc": "2.0", "method": "notifications/progress", "params": { "progressToken": 1, "progress": nth } });

    for post in [true, false] {
        let request = if post {
            let body = json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/list" }).to_string();
            client.post(&uri).header("content-type", "application/json").body(body)
        } else {
            // A stream that is resumed may begin with any answer.
            client.get(&uri).header("last-event-id", "s/0")
        };
        let request = request.bearer_auth(&bearer).header("accept", "application/json, text/event-stream");
        let (answer, sends) = tokio::join!(request.send(), source.opened());
        let mut seen = Seen { answer: answer.expect("an answer"), text: String::new() };
        assert_eq!((seen.answer.status().as_u16(), seen.answer.headers().get("content-length")), (200, None));
        let send = |piece: &str| sends.send(Ok(piece.to_owned())).expect("a stream that is open");

        // The stream stays open, and each event is there before the next is sent; one that comes in parts is whole.
        send(&event(&progress(1)));
        seen.until(r#""progress":1"#).await;
        assert!(seen.text.contains("id: s/1\n"), "by which a client resumes");
        let list = event(&tools);
        let (half, rest) = list.split_at(list.len() / 2);
        send(half);
        send(rest);
        seen.until("get_Ledger.v2").await;
        send(": alive\n\n");
        send(&event(&progress(2)));
        seen.until(r#""progress":2"#).await;
        assert!(seen.text.contains("weather") && !seen.text.contains("hidden"), "{}", seen.text);
        assert!(seen.text.contains(":\n\n"), "what keeps the connection open");

        // What cannot be read ends the stream, and nothing of it goes on.
        send("data: hidden\n\n");
        seen.ends(|| ()).await;
        assert!(!seen.text.contains("hidden"));
    }

    // A stream does not outlive the policy that it was opened under.
    let (answer, sends) = tokio::join!(client.get(&uri).bearer_auth(&bearer).send(), source.opened());
    let mut seen = Seen { answer: answer.expect("an answer"), text: String::new() };
    sends.send(Ok(event(&progress(1)))).expect("open");
    seen.until(r#""progress":1"#).await;
    let file = "namespaces/tenant-acme/mcp.yaml";
    let text = stage.world.config.read(file).replace("tools-api, weather, ledger]", "tools-api, weather]");
    stage.world.config.write(file, &text);
    seen.ends(|| drop(sends.send(Ok(event(&progress(2)))))).await;
    // Where the API itself is not allowed, its server has no stream to offer.
    let generation = async || stage.world.ext_authz.snapshot().await["generation"].as_u64().expect("a generation");
    let before = generation().await;
    stage.world.config.write(file, &text.replace("orders-api, tools-api, weather]", "orders-api, weather]"));
    deadline::until("the new configuration", PATIENCE, || async { (generation().await > before).then_some(()) }).await;
    let get = stage.world.send(&Request::get("/acme/tools-api").bearer(&bearer)).await;
    assert_eq!((get.status, get.header("allow")), (405, Some("POST, DELETE")));
}

/// Waits until so many bodies of acme's were counted with this outcome.
async fn counted(stage: &Stage, outcome: &str, times: u64) {
    let label = format!("outcome=\"{outcome}\"");
    let line =
        |line: &&str| line.starts_with("bulkhead_authz_bodies_total{") && line.contains(r#"tenant_id="acme""#) && line.contains(&label);
    deadline::until(&label, PATIENCE, || async {
        let metrics = stage.world.ext_authz.metrics().await;
        metrics.lines().find(line).is_some_and(|line| line.ends_with(&format!(" {times}"))).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_ends_with_the_token_that_opened_it_though_nothing_comes_in_it() {
    let source = Source::start().await;
    let exact = |config: &bulkhead_tests::config::Config| {
        config.edit("tenants/acme.yaml", |tenant| tenant["spec"]["issuers"][0]["leewaySeconds"] = 0.into());
    };
    let world = Stage::builder([source.address, source.address], 10_000, true).config(exact).start().await;
    let stage = Stage { world, _servers: Vec::new() };
    let uri = format!("http://{}/acme/tools-api", stage.world.envoy.address());
    let client = reqwest::Client::builder().no_proxy().build().expect("a client");
    let open = async |expires: u64| {
        let bearer = stage.world.acme.issuer.token().claim("exp", expires).sign();
        let (answer, sends) = tokio::join!(client.get(&uri).bearer_auth(&bearer).send(), source.opened());
        let mut seen = Seen { answer: answer.expect("an answer"), text: String::new() };
        sends.send(Ok("data: {\"jsonrpc\":\"2.0\",\"method\":\"notifications/progress\"}\n\n".to_owned())).expect("open");
        seen.until("progress").await;
        (seen, sends)
    };
    let start = now();
    let (mut lasting, _lasting) = open(start + 300).await;
    let (mut short, _short) = open(start + 8).await;
    assert!(now() < start + 8, "too slow a machine to see it open");
    short.ends(|| ()).await;
    assert!(now() >= start + 8, "no sooner");
    counted(&stage, "response_denied", 1).await;
    // The other goes on, until its caller leaves: which is on record, too.
    let more = tokio::time::timeout(Duration::from_millis(200), lasting.answer.chunk()).await;
    assert!(more.is_err(), "{more:?}");
    drop(lasting);
    counted(&stage, "response_cut", 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn s23_a_stream_ends_with_the_key_of_the_token_that_opened_it() {
    let source = Source::start().await;
    let world = Stage::world([source.address, source.address], 10_000, true).await;
    let stage = Stage { world, _servers: Vec::new() };
    let uri = format!("http://{}/acme/tools-api", stage.world.envoy.address());
    let client = reqwest::Client::builder().no_proxy().build().expect("a client");
    let issuer = &stage.world.acme.issuer;
    let open = async |bearer: String| {
        let (answer, sends) = tokio::join!(client.get(&uri).bearer_auth(&bearer).send(), source.opened());
        let mut seen = Seen { answer: answer.expect("an answer"), text: String::new() };
        sends.send(Ok("data: {\"jsonrpc\":\"2.0\",\"method\":\"notifications/progress\"}\n\n".to_owned())).expect("open");
        seen.until("progress").await;
        (seen, sends)
    };
    let (mut old, _old) = open(stage.token("acme", "clerk")).await;
    issuer.rotate(Key::eddsa("newer"));
    let next = stage.token("acme", "clerk");
    issuer.publish(vec![issuer.key().jwk()]);
    // Whoever comes with a token of the new key has the set fetched, in which the old one is not any more.
    let ping = json!({ "jsonrpc": "2.0", "id": 1, "method": "nonsense" }).to_string();
    deadline::until("the new key is known", PATIENCE, || async {
        let request = client.post(&uri).bearer_auth(&next).header("content-type", "application/json").body(ping.clone());
        let status = request.send().await.expect("an answer").status().as_u16();
        (!matches!(status, 401 | 503)).then_some(())
    })
    .await;
    let (mut lasting, _lasting) = open(next).await;
    old.ends(|| ()).await;
    counted(&stage, "response_denied", 1).await;
    let more = tokio::time::timeout(Duration::from_millis(200), lasting.answer.chunk()).await;
    assert!(more.is_err(), "{more:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_nobody_reads_ends_by_envoys_own_bound_whatever_comes_in_it() {
    let source = Source::start().await;
    let bound = |bootstrap: &mut Value| {
        shipped::manager(bootstrap)["common_http_protocol_options"]["max_stream_duration"] = "3s".into();
    };
    let world = Stage::builder([source.address, source.address], 10_000, true).bootstrap(bound).start().await;
    let stage = Stage { world, _servers: Vec::new() };
    let uri = format!("http://{}/acme/tools-api", stage.world.envoy.address());
    let client = reqwest::Client::builder().no_proxy().build().expect("a client");
    let ping = json!({ "jsonrpc": "2.0", "id": 1, "method": "ping" }).to_string();
    let request = client.post(&uri).header("content-type", "application/json").header("accept", "application/json, text/event-stream");
    let request = request.bearer_auth(stage.token("acme", "clerk")).body(ping);
    let (answer, sends) = tokio::join!(request.send(), source.opened());
    let mut seen = Seen { answer: answer.expect("an answer"), text: String::new() };
    sends.send(Ok("data: unread".to_owned())).expect("open");
    seen.until("data: unread").await;
    seen.ends(|| drop(sends.send(Ok("\n\n".to_owned())))).await;
}
