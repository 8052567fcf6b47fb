//! Spans, through the real Envoy with its own OpenTelemetry tracer, to one collector.

use bulkhead_tests::{
    client::Request,
    deadline::{self, PATIENCE},
    double::{Collector, Received},
    envoy::shipped,
    port::free_address,
    service,
    world::{Builder, World},
};
use serde_json::{Value, json};

const INVOICES: &str = "/acme/billing-api/invoices";
/// What stands in a request and in no span.
const QUERY: &str = "needle-of-the-query";
const HEADER: &str = "needle-of-a-header";
const BODY: &str = "needle-of-the-body";
const MAIL: &str = "needle@example.com";

/// A client's own context: sampled.
const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";

/// Envoy traces every request, and tells this collector.
fn tracing(collector: std::net::SocketAddr) -> impl FnOnce(&mut Value) {
    move |bootstrap| {
        shipped::manager(bootstrap)["tracing"] = json!({
            "random_sampling": { "value": 100.0 },
            "provider": {
                "name": "envoy.tracers.opentelemetry",
                "typed_config": {
                    "@type": "type.googleapis.com/envoy.config.trace.v3.OpenTelemetryConfig",
                    "grpc_service": { "envoy_grpc": { "cluster_name": "collector" }, "timeout": "1s" },
                    "service_name": "envoy",
                },
            },
        });
        let address = json!({ "address": collector.ip().to_string(), "port_value": collector.port() });
        bootstrap["static_resources"]["clusters"].as_array_mut().expect("clusters").push(json!({
            "name": "collector",
            "type": "STATIC",
            "typed_extension_protocol_options": {
                "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
                    "@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
                    "explicit_http_config": { "http2_protocol_options": {} },
                },
            },
            "load_assignment": {
                "cluster_name": "collector",
                "endpoints": [{ "lb_endpoints": [{ "endpoint": { "address": { "socket_address": address } } }] }],
            },
        }));
    }
}

fn sending<'a>(builder: Builder<'a>, flags: &[&'a str]) -> Builder<'a> {
    builder.as_shipped().ext_authz(flags).ratelimit(flags)
}

fn hex(id: &[u8]) -> String {
    hex::encode(id)
}

/// The newest span of ours of that name that fits.
fn ours(spans: &[Received], name: &str, fits: impl Fn(&Received) -> bool) -> Option<Received> {
    spans.iter().rev().find(|one| one.service.starts_with("bulkhead-") && one.span.name == name && fits(one)).cloned()
}

/// One request that all three of our services see, with everything in it that must stand nowhere.
fn request(world: &World) -> (Request, String) {
    let token = world.acme.issuer.token().claim("azp", "acme-billing-app").sign();
    let body = format!("{{\"note\":\"{BODY}\",\"mail\":\"{MAIL}\"}}");
    let request = Request::post(&format!("{INVOICES}?q={QUERY}"), body).bearer(&token).header("content-type", "application/json");
    (request.header("x-note", HEADER), token)
}

#[tokio::test(flavor = "multi_thread")]
async fn one_trace_holds_envoys_spans_and_ours_and_nothing_of_what_was_sent() {
    let collector = Collector::start().await;
    let endpoint = collector.endpoint();
    // Without a parent there is no span: every span of ours below is one of Envoy's trace.
    let flags = ["--otlp-endpoint", &endpoint, "--otlp-sample-ratio", "0"];
    let world = sending(World::builder(), &flags).bootstrap(tracing(collector.address())).start().await;
    let (plain, token) = request(&world);
    for asked in [plain.clone(), plain.clone().header("traceparent", &format!("00-{TRACE}-b7ad6b7169203331-01"))] {
        let known = collector.spans().len();
        let answer = world.send(&asked).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        let names = ["Check", "ShouldRateLimit", "Process"];
        let spans = deadline::until("the spans of one request", PATIENCE, || async {
            let spans = collector.spans().split_off(known);
            let check = ours(&spans, "Check", |_| true)?;
            let trace: Vec<Received> = spans.into_iter().filter(|one| one.span.trace_id == check.span.trace_id).collect();
            let has = |parent: &[u8]| trace.iter().any(|one| one.service == "envoy" && one.span.span_id == parent);
            names.iter().all(|name| ours(&trace, name, |one| has(&one.span.parent_span_id)).is_some()).then_some(trace)
        })
        .await;
        for name in names {
            let span = ours(&spans, name, |_| true).expect("a span");
            let service = if name == "ShouldRateLimit" { "bulkhead-ratelimit" } else { "bulkhead-ext-authz" };
            assert_eq!((span.service.as_str(), span.attribute("tenant_id").as_str()), (service, "acme"), "{name}");
            assert_eq!(
                (span.attribute("bulkhead.api").as_str(), span.attribute("bulkhead.verdict").as_str()),
                ("billing-api", "allow"),
                "{name}"
            );
            assert_eq!(
                span.attribute("bulkhead.decision_id"),
                ours(&spans, "Check", |_| true).expect("a span").attribute("bulkhead.decision_id")
            );
            assert!(
                span.span.end_time_unix_nano > span.span.start_time_unix_nano && span.span.status.is_none_or(|status| status.code == 0)
            );
        }
        assert_eq!(ours(&spans, "Process", |_| true).expect("a span").attribute("bulkhead.request_body"), "redacted");
    }
    // Envoy believed the second client, so its trace is the client's.
    assert!(collector.spans().iter().any(|one| one.service.starts_with("bulkhead-") && hex(&one.span.trace_id) == TRACE));

    let denied = world.send(&Request::get("/globex/inventory-api/x").bearer(&token)).await;
    assert_eq!(denied.status, 401);
    let spans = || async { ours(&collector.spans(), "Check", |one| one.attribute("bulkhead.verdict") == "wrong_tenant") };
    let span = deadline::until("the span of a denial", PATIENCE, spans).await;
    assert!(span.span.status.is_none_or(|status| status.code == 0), "a denial is no failure of ours");

    let sent = collector.sent_by(|service| service.starts_with("bulkhead-"));
    assert!(sent.windows(4).any(|window| window == b"acme"));
    let signature = token.rsplit('.').next().expect("a signature").to_owned();
    for needle in [QUERY, HEADER, BODY, MAIL, "needle", "invoices", "authorization", &signature] {
        let found = sent.windows(needle.len()).any(|window| window == needle.as_bytes());
        assert!(!found, "{needle} stands in what our services sent");
    }
    for metrics in [world.ext_authz.metrics().await, world.ratelimit.metrics().await] {
        assert!(metrics.lines().any(|line| line == "bulkhead_trace_spans_lost_total 0"), "{metrics}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clients_own_word_is_no_parent_where_envoy_says_none() {
    let collector = Collector::start().await;
    let endpoint = collector.endpoint();
    let world = sending(World::builder(), &["--otlp-endpoint", &endpoint]).start().await;
    let (asked, _) = request(&world);
    assert_eq!(world.send(&asked.header("traceparent", &format!("00-{TRACE}-b7ad6b7169203331-01"))).await.status, 200);
    for name in ["Check", "ShouldRateLimit", "Process"] {
        let span = deadline::until(name, PATIENCE, || async { ours(&collector.spans(), name, |_| true) }).await;
        assert_ne!(hex(&span.span.trace_id), TRACE);
        assert!(span.span.parent_span_id.is_empty(), "{name} begins a trace");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_collector_that_is_not_there_or_hangs_costs_nobody_an_answer_and_holds_up_no_end() {
    let hanging = Collector::hanging().await;
    for endpoint in [hanging.endpoint(), format!("http://{}", free_address())] {
        let mut world = sending(World::builder(), &["--otlp-endpoint", &endpoint]).start().await;
        let (asked, _) = request(&world);
        for _ in 0..20 {
            assert_eq!(world.send(&asked).await.status, 200);
        }
        deadline::until("lost spans to be counted", PATIENCE, || async {
            let metrics = world.ext_authz.metrics().await;
            let lost = metrics.lines().find_map(|line| line.strip_prefix("bulkhead_trace_spans_lost_total "))?.parse::<u64>().ok()?;
            (lost > 0).then_some(())
        })
        .await;
        assert_eq!(world.ext_authz.log().matches("the collector does not take spans").count(), 1, "said once, not for each span");
        assert!(world.ext_authz.terminate().await.success());
        assert!(world.ratelimit.terminate().await.success());
    }
}

#[test]
fn an_endpoint_that_does_not_do_is_a_wrong_flag() {
    for service in ["bulkhead-ext-authz", "bulkhead-ratelimit"] {
        let wrong = service::run(service, &["serve", "--config", "/no/such/folder", "--otlp-endpoint", "collector"]);
        assert_eq!(wrong.status.code(), Some(2));
        assert!(String::from_utf8_lossy(&wrong.stderr).contains("--otlp-endpoint"), "{wrong:?}");
    }
}
