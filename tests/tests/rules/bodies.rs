//! S14, S15: bodies of requests on their way through the real Envoy, and the tenants whose bodies nobody reads.

use std::{net::SocketAddr, time::Duration};

use axum::{body::Body, http::Response};
use base64::{Engine as _, prelude::BASE64_STANDARD};
use bulkhead_proto::{contract::metadata as key, pb::envoy::service::auth::v3::CheckResponse};
use bulkhead_tests::{
    client::{Answer, Connection, Request},
    config::Config,
    deadline::{self, PATIENCE},
    double::{Authorizer, allow},
    envoy::{Envoy, chain, shipped},
    service::Service,
    upstream::{Seen, Upstream},
    world::{Builder, World},
};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use super::{ACME_GUARDRAILS, INVOICES, PRODUCTS, lenient, until_status, world};

const EMAIL: &str = "jane.doe@example.com";
/// `{"note":"write to jane.doe@example.com"}`, compressed with gzip.
const GZIPPED: &str = "H4sIAAAAAAACA6tWyssvSVWyUiovyixJVSjJV8hKzEvVS8lPdUitSMwtyEnVS87PVaoFAD0eMTYoAAAA";

/// A world in which acme's policy looks for this.
pub(crate) fn filtered<'a>(filter: Value) -> Builder<'a> {
    world().config(move |config| ask(config, &filter))
}

/// Makes acme's policy look for this.
fn ask(config: &Config, filter: &Value) {
    config.edit(ACME_GUARDRAILS, |policy| policy["spec"]["contentFilter"] = filter.clone());
}

fn redact() -> Value {
    json!({ "piiDetection": "redact" })
}

/// The ways in which a body can arrive.
#[derive(Debug, Clone, Copy)]
enum Way {
    Whole,
    Chunked,
    Http2,
    Http2WithTrailers,
}

impl Way {
    const ALL: [Self; 4] = [Self::Whole, Self::Chunked, Self::Http2, Self::Http2WithTrailers];

    async fn send(self, path: &str, body: &str, token: &str, to: SocketAddr) -> Answer {
        let request = Request::post(path, body).bearer(token).header("content-type", "application/json");
        match self {
            Self::Whole => request.send(to).await,
            Self::Http2 => request.send_http2(to).await,
            Self::Http2WithTrailers => request.trailer("x-end", "1").send_http2(to).await,
            Self::Chunked => {
                let mut wire = format!(
                    "POST {path} HTTP/1.1\r\nhost: {to}\r\nauthorization: Bearer {token}\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n"
                );
                // A size that cuts the address in two somewhere.
                for chunk in body.as_bytes().chunks(17) {
                    wire.push_str(&format!("{:x}\r\n{}\r\n", chunk.len(), String::from_utf8_lossy(chunk)));
                }
                wire.push_str("0\r\n\r\n");
                Connection::open(to).await.send_raw(wire.as_bytes()).await
            }
        }
    }
}

/// Sends a body of each size in each way; asserts that the upstream saw each rewritten, and JSON still.
async fn rewritten_however_it_arrives(world: &World, path: &str) {
    let token = world.acme.issuer.token().sign();
    for size in [0, 3_000, 40_000, 100_000] {
        for way in Way::ALL {
            let body = json!({ "pad": "x ".repeat(size / 2), "note": format!("write to {EMAIL}"), "count": 7 });
            let answer = way.send(path, &body.to_string(), &token, world.envoy.address()).await;
            let seen = answer.seen();
            assert!(!seen.body.contains("jane"), "{way:?} of {size} passed raw");
            let sent: Value = serde_json::from_str(&seen.body).unwrap_or_else(|error| panic!("{way:?} of {size}: {error}"));
            assert_eq!((&sent["count"], sent["pad"].as_str().map(str::len)), (&json!(7), Some(size / 2 * 2)), "{way:?} of {size}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn s14_a_body_is_rewritten_however_it_arrives() {
    let world = filtered(redact()).start().await;
    rewritten_however_it_arrives(&world, INVOICES).await;
    let metrics = world.ext_authz.metrics().await;
    let counted = metrics.lines().find(|line| line.starts_with("bulkhead_authz_bodies_total") && line.contains("request_redacted"));
    assert!(counted.is_some_and(|line| line.contains(r#"tenant_id="acme""#) && line.ends_with(" 16")), "{counted:?}");
    assert!(!world.ext_authz.log().contains("jane") && !metrics.contains("jane"), "what is found is nobody's to read");
    assert_eq!(world.envoy.stat("http.gateway.ext_proc.bulkhead.server_half_closed").await, 0, "fact 3");

    let world = filtered(redact()).own_routes().start().await;
    rewritten_however_it_arrives(&world, INVOICES).await;
    // The route that binds acme by its context alone.
    rewritten_however_it_arrives(&world, "/billing/invoices").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_compressed_body_is_rewritten_and_sent_as_it_is() {
    let world = filtered(redact()).start().await;
    let token = world.acme.issuer.token().sign();
    let gzipped = BASE64_STANDARD.decode(GZIPPED).expect("base64");
    let request = Request::post(INVOICES, gzipped.clone()).bearer(&token).header("content-type", "application/json");
    let seen = world.send(&request.clone().header("content-encoding", "gzip").header("content-md5", "of-the-old-body")).await.seen();
    assert!(seen.body.contains("write to") && !seen.body.contains("jane"), "{}", seen.body);
    assert_eq!((seen.header("content-encoding"), seen.header("content-md5")), (vec![], vec![]));
    assert_eq!(seen.header("content-length"), [seen.body.len().to_string()]);
    // What says it is compressed in a way that nobody reads goes nowhere.
    let reached = world.acme.requests();
    let answer = world.send(&request.header("content-encoding", "compress")).await;
    assert!([400, 415].contains(&answer.status), "{answer:?}");
    assert_eq!((answer.reason().as_str(), world.acme.requests()), ("unreadable", reached));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_with_nothing_in_it_goes_on_byte_by_byte() {
    let world = filtered(redact()).start().await;
    let token = world.acme.issuer.token().sign();
    let body = "{ \"a\" : 1.0 ,\"b\":[ ] }";
    let seen = world.send(&Request::post(INVOICES, body).bearer(&token).header("content-type", "application/json")).await.seen();
    assert_eq!(seen.body, body);
    let seen = world.send(&Request::get(INVOICES).bearer(&token)).await.seen();
    assert_eq!(seen.body, "");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_blocked_topic_reaches_no_upstream() {
    let topics = json!({ "piiDetection": "redact", "blockedTopics": ["rivals"], "topics": { "rivals": { "phrases": ["Initech"] } } });
    let world = filtered(topics).start().await;
    let token = world.acme.issuer.token().sign();
    let body = json!({ "note": format!("ask initech, or {EMAIL}") }).to_string();
    let answer = world.send(&Request::post(INVOICES, body).bearer(&token).header("content-type", "application/json")).await;
    assert_eq!((answer.status, answer.reason().as_str(), world.acme.requests()), (403, "topic", 0));
}

/// Sends the head and a part of a body, and says whether the upstream has the request before the body ends.
async fn flows(world: &World, path: &str, token: &str, upstream: &Upstream) -> bool {
    let before = upstream.requests();
    let to = world.envoy.address();
    let mut stream = TcpStream::connect(to).await.expect("Envoy listens");
    let head = format!(
        "POST {path} HTTP/1.1\r\nhost: {to}\r\nauthorization: Bearer {token}\r\nconnection: close\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n"
    );
    stream.write_all(head.as_bytes()).await.expect("an open connection");
    let reached = tokio::time::timeout(Duration::from_secs(2), async {
        while upstream.requests() == before {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    });
    let reached = reached.await.is_ok();
    stream.write_all(b"0\r\n\r\n").await.expect("an open connection");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.expect("an answer");
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    reached
}

#[tokio::test(flavor = "multi_thread")]
async fn another_tenants_bodies_are_neither_held_nor_shown_to_ext_proc() {
    let world = filtered(redact()).start().await;
    let (acme, globex) = (world.acme.issuer.token().sign(), world.globex.issuer.token().sign());
    assert!(flows(&world, PRODUCTS, &globex, world.globex.upstream("inventory")).await, "globex's upload goes on as it comes");
    assert_eq!(world.envoy.stat("http.gateway.ext_proc.bulkhead.streams_started").await, 0, "and ext_proc is not asked about it");
    assert!(!flows(&world, INVOICES, &acme, world.acme.upstream("billing")).await, "acme's is read whole before it goes on");
    assert_eq!(world.envoy.stat("http.gateway.ext_proc.bulkhead.streams_started").await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn s14_a_policy_that_reads_bodies_denies_while_nobody_is_declared_to_show_them() {
    let body = json!({ "email": EMAIL }).to_string();
    let rewrites = ["--body", "on"];
    for (declared, filter) in [(&[][..], json!({ "piiDetection": "block" })), (&rewrites, redact()), (&["--process", "on"], redact())] {
        let world = filtered(filter.clone()).undeclared().ext_authz(declared).start().await;
        let (acme, globex) = (world.acme.issuer.token().sign(), world.globex.issuer.token().sign());
        let answer = world.send(&Request::post(INVOICES, body.clone()).bearer(&acme).header("content-type", "application/json")).await;
        assert_eq!((answer.status, answer.reason().as_str(), world.acme.requests()), (503, "unavailable", 0), "{declared:?} {filter}");
        assert_eq!(world.send(&Request::post(PRODUCTS, body.clone()).bearer(&globex)).await.status, 200);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn s14_a_route_that_shows_no_bodies_denies_where_a_policy_reads_them() {
    let policy = json!({
        "apiVersion": "gostoa.dev/v1alpha1", "kind": "GuardrailPolicy", "metadata": { "name": "late", "namespace": "tenant-globex" },
        "spec": { "contentFilter": { "piiDetection": "block" } },
    });
    let world = world().start().await;
    let globex = world.globex.issuer.token().sign();
    let request = Request::post(PRODUCTS, json!({ "email": EMAIL }).to_string()).bearer(&globex).header("content-type", "application/json");
    assert_eq!(world.send(&request).await.status, 200);
    world.config.put("namespaces/tenant-globex/guardrails.yaml", &policy);
    assert_eq!(until_status(&world, &request, 503).await.reason(), "unavailable");
    // Over HTTP/2 a body needs no header that announces it.
    assert_eq!(request.send_http2(world.envoy.address()).await.status, 503);
}

/// Envoy with an authorizer of the test's own, if any, and the real Process; acme's policy takes out personal data.
struct Between {
    envoy: Envoy,
    upstream: Upstream,
    _authorizer: Option<Authorizer>,
    _ext_authz: Service,
    _config: Config,
}

impl Between {
    async fn start(filter: Value, check: Option<CheckResponse>) -> Self {
        Self::start_in(|_| {}, filter, check).await
    }

    /// Where Envoy is set up otherwise.
    async fn start_in(change: impl FnOnce(&mut Value), filter: Value, check: Option<CheckResponse>) -> Self {
        let config = Config::examples();
        lenient(&config);
        ask(&config, &filter);
        let ext_authz = Service::ext_authz(&config.path(), &["--body", "on", "--process", "on"]).await;
        let upstream = Upstream::start("upstream").await;
        let mut filters = Vec::new();
        let authorizer = match check {
            Some(check) => {
                filters.push(chain::ext_authz());
                Some(Authorizer::start(move |_| Ok(check.clone())).await)
            }
            None => None,
        };
        let mut processor = chain::ext_proc("SEND");
        processor["typed_config"]["allow_mode_override"] = true.into();
        processor["typed_config"]["processing_mode"]["response_body_mode"] = "BUFFERED".into();
        processor["typed_config"]["processing_mode"]["response_header_mode"] = "SEND".into();
        filters.push(processor);
        let mut services = vec![("ext-proc", ext_authz.grpc())];
        services.extend(authorizer.as_ref().map(|authorizer| ("ext-authz", authorizer.address())));
        let mut bootstrap = chain::bootstrap(&filters, upstream.address(), &services);
        change(&mut bootstrap);
        let envoy = Envoy::start(&bootstrap).await;
        Self { envoy, upstream, _authorizer: authorizer, _ext_authz: ext_authz, _config: config }
    }

    async fn post(&self) -> (Answer, Option<Seen>) {
        let body = json!({ "note": EMAIL }).to_string();
        let answer = Request::post("/", body).header("content-type", "application/json").send(self.envoy.address()).await;
        (answer, self.upstream.last())
    }
}

fn told(process: &str, policy: &str) -> Option<CheckResponse> {
    let metadata = [
        (key::VERDICT, "allow"),
        (key::TENANT, "acme"),
        (key::API, "billing-api"),
        (key::DECISION_ID, "0190-d"),
        (key::PROCESS, process),
        (key::POLICY, policy),
    ];
    Some(allow(&metadata, Some(1.0)))
}

#[tokio::test(flavor = "multi_thread")]
async fn s14_ext_proc_without_metadata_of_ours_denies() {
    for check in [None, Some(allow(&[(key::TENANT, "acme"), (key::PROCESS, "none")], Some(1.0)))] {
        let between = Between::start(redact(), check).await;
        let (answer, seen) = between.post().await;
        assert_eq!((answer.status, answer.reason().as_str(), seen), (503, "unavailable", None));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn s14_an_error_of_an_upstream_that_was_shown_no_body_by_us_is_not_taken_for_envoys_own() {
    // By Envoy's word for where an answer is from, and by the header of its router, where one of them is there.
    for (asked, suppressed) in [(true, true), (false, false)] {
        let bypass = |bootstrap: &mut Value| {
            let processor = shipped::filter(bootstrap, "ext_proc");
            processor["processing_mode"]["request_header_mode"] = "SKIP".into();
            processor["processing_mode"]["request_body_mode"] = "NONE".into();
            if asked {
                processor["response_attributes"] = json!(["response.code_details"]);
            }
            shipped::filter(bootstrap, "router")["suppress_envoy_headers"] = suppressed.into();
        };
        let between = Between::start_in(bypass, redact(), told("request", "before")).await;
        between.upstream.answers(|_| Response::builder().status(404).body(Body::from("jane")).expect("an answer"));
        let (answer, _) = between.post().await;
        assert_eq!((answer.status, answer.reason().as_str()), (503, "unavailable"), "{asked}");
        assert!(!answer.text().contains("jane"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn s14_of_two_policies_the_stricter_holds() {
    // Check let it in by a policy that asked for nothing; the one that stands now takes personal data out.
    let between = Between::start(redact(), told("none", "before")).await;
    let (answer, seen) = between.post().await;
    assert_eq!(answer.status, 200);
    assert!(seen.is_some_and(|seen| seen.body.contains("note") && !seen.body.contains("jane")));
    // Check asked for it, and the policy that stands now looks for something else alone.
    let between = Between::start(json!({ "piiDetection": "redact", "detectors": ["iban"] }), told("request", "before")).await;
    let (answer, seen) = between.post().await;
    assert_eq!(answer.status, 200);
    assert!(seen.is_some_and(|seen| seen.body.contains("note") && !seen.body.contains("jane")));
    // Check asked for it, and the policy that stands now knows nothing of bodies.
    let between = Between::start(json!({ "piiDetection": "off" }), told("request", "before")).await;
    let (answer, seen) = between.post().await;
    assert_eq!((answer.status, answer.reason().as_str(), seen), (503, "unavailable", None));
    assert_eq!(answer.json()["decision_id"], "0190-d");
}

#[tokio::test(flavor = "multi_thread")]
async fn s14_an_ext_authz_that_is_killed_lets_no_answer_through_unread() {
    let mut world = filtered(json!({ "piiDetection": "redact", "apply": ["request", "response"] })).start().await;
    let token = world.acme.issuer.token().sign();
    let billing = world.acme.upstream("billing");
    billing.hang();
    let before = billing.requests();
    let (to, request) = (world.envoy.address(), Request::get(&format!("{INVOICES}?who={EMAIL}")).bearer(&token));
    let waiting = tokio::spawn(async move { request.send(to).await });
    deadline::until("the request at the upstream", PATIENCE, || async { (billing.requests() > before).then_some(()) }).await;
    world.ext_authz.kill();
    world.acme.upstream("billing").release();
    let answer = waiting.await.expect("an answer");
    assert!(answer.status >= 500, "{answer:?}");
    assert!(!answer.text().contains("acme-billing"), "the upstream's answer was not read");
}
