use std::{sync::Arc, time::Duration};

use bulkhead_tenancy::{
    catalog::{Catalog, changes_of},
    clock::SystemClock,
    fault::Severity,
    snapshot::Snapshot,
    tenant::Policy,
};
use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::{
    attributes::Attributes,
    decide::Declared,
    fixture::{self, get},
};

mod messages;
mod representation;
mod rewritten;

const PLATFORM: &str = "
apiVersion: gostoa.dev/v1alpha1
kind: Platform
metadata: { name: platform }
spec: { rateLimit: { requestsPerMinute: 100000 }, addressing: { path: '/{tenant}/{api}' } }
---
apiVersion: gostoa.dev/v1alpha1
kind: Plan
metadata: { name: standard }
spec: { rateLimit: { requestsPerMinute: 1000 }, guaranteed: { requestsPerMinute: 10 } }
";

const TENANT: &str = "
apiVersion: gostoa.dev/v1alpha1
kind: Tenant
metadata: { name: acme }
spec: { plan: standard, uid: uid-acme, issuers: [ { issuer: https://auth.example.com/realms/acme } ] }
";

const ACME: &str = "
apiVersion: gostoa.dev/v1alpha1
kind: UniversalAPIContract
metadata: { name: contract, namespace: tenant-acme }
spec:
  apis:
  - { name: tools-api, upstream: 'https://tools.acme.internal', protocol: mcp }
  - { name: more-api, upstream: 'https://more.acme.internal', protocol: mcp, methods: [POST] }
---
apiVersion: gostoa.dev/v1alpha1
kind: GuardrailPolicy
metadata: { name: lists, namespace: tenant-acme }
spec: { toolAllowlist: [tools-api, weather, ledger, forecast, agents-only, more-tool] }
---
apiVersion: gostoa.dev/v1alpha1
kind: GuardrailPolicy
metadata: { name: trial, namespace: tenant-acme }
spec: { shadow: true, toolAllowlist: [weather] }
---
apiVersion: gostoa.dev/v1alpha1
kind: Tool
metadata: { name: weather, namespace: tenant-acme }
spec:
  api: tools-api
  inputSchema: { type: object, properties: { city: { type: string, pattern: '^[A-Z]' } }, required: [city], additionalProperties: false }
---
apiVersion: gostoa.dev/v1alpha1
kind: Tool
metadata: { name: ledger, namespace: tenant-acme }
spec: { api: tools-api }
---
apiVersion: gostoa.dev/v1alpha1
kind: Tool
metadata: { name: forecast, namespace: tenant-acme }
spec: { api: tools-api, name: Get_Forecast.v2 }
---
apiVersion: gostoa.dev/v1alpha1
kind: Tool
metadata: { name: agents-only, namespace: tenant-acme }
spec: { api: tools-api }
---
apiVersion: gostoa.dev/v1alpha1
kind: Tool
metadata: { name: unlisted, namespace: tenant-acme }
spec: { api: tools-api }
---
apiVersion: gostoa.dev/v1alpha1
kind: Tool
metadata: { name: in-no-set, namespace: tenant-acme }
spec: { api: tools-api }
---
apiVersion: gostoa.dev/v1alpha1
kind: Tool
metadata: { name: more-tool, namespace: tenant-acme }
spec: { api: more-api }
---
apiVersion: gostoa.dev/v1alpha1
kind: ToolSet
metadata: { name: all, namespace: tenant-acme }
spec: { tools: [weather, ledger, forecast, unlisted, more-tool] }
---
apiVersion: gostoa.dev/v1alpha1
kind: ToolSet
metadata: { name: agents, namespace: tenant-acme }
spec: { tools: [agents-only, in-no-set], access: { roles: [agent] } }
";

fn world() -> Arc<Snapshot> {
    let files = [("platform.yaml", PLATFORM), ("tenants/acme.yaml", TENANT), ("namespaces/tenant-acme/all.yaml", ACME)];
    let mut catalog = Catalog::new(Arc::new(SystemClock));
    let snapshot = catalog.apply(changes_of(&files)).unwrap();
    assert!(catalog.faults().iter().all(|fault| fault.severity == Severity::Warning), "{:?}", catalog.faults());
    snapshot
}

/// What a request is, beside its body.
#[derive(Clone)]
struct Sent {
    api: &'static str,
    by: &'static str,
    method: &'static str,
    headers: Vec<(&'static str, &'static str)>,
    process: bool,
    /// How Envoy shows the body.
    shown: fn(&'static [u8]) -> Body<'static>,
}

fn post() -> Sent {
    Sent {
        api: "tools-api",
        by: "acme",
        method: "POST",
        headers: vec![("content-type", "application/json")],
        process: true,
        shown: Body::Whole,
    }
}

impl Sent {
    fn with(mut self, name: &'static str, value: &'static str) -> Self {
        self.headers.push((name, value));
        self
    }

    async fn full(&self, body: &[u8]) -> (Result<Passed, Denial>, Found) {
        let (judged, found) = self.judged(body).await;
        (judged.map(|(passed, _)| passed), found)
    }

    /// What comes of it, with what rules are to be asked about.
    async fn judged(&self, body: &[u8]) -> (Result<(Passed, Vec<Said>), Denial>, Found) {
        let snapshot = world();
        let Policy::Ready(policy) = &snapshot.tenant("acme").unwrap().policy else { panic!("no policy") };
        let caller = fixture::caller(&snapshot, self.by).unwrap();
        let mut request = get("/acme/tools-api").method(self.method);
        request.headers.clone_from(&self.headers);
        let body = if body.is_empty() { Body::Absent } else { (self.shown)(body.to_vec().leak()) };
        let request = Attributes { body, ..Attributes::of(request.request()).unwrap() };
        let asked = Asked {
            policy,
            api: policy.api(self.api).unwrap(),
            caller: &caller,
            subscription: None,
            request: &request,
            path: "",
            declared: Declared { body: true, process: self.process, ..Declared::default() },
            now: 0,
            until: tokio::time::Instant::now() + Duration::from_secs(30),
        };
        let mut found = Found::default();
        let offload = Offload::default();
        let judged = judge(&asked, &offload, &mut found).await;
        // Where the tenant has no time left of the I/O threads, nobody is told the difference.
        offload.exhaust(&caller.tenant.uid);
        let elsewhere = judge(&asked, &offload, &mut Found::default()).await;
        assert_eq!(
            format!("{:?}", judged.as_ref().map(|(passed, _)| passed)),
            format!("{:?}", elsewhere.map(|(passed, _)| passed).as_ref())
        );
        (judged, found)
    }

    /// `allow`, or status and reason.
    async fn send(&self, body: &str) -> String {
        match self.full(body.as_bytes()).await.0 {
            Ok(_) => "allow".to_owned(),
            Err(denial) => format!("{} {}", denial.status, denial.reason.name()),
        }
    }
}

fn call(name: &str, arguments: &Value) -> String {
    request("tools/call", &json!({ "name": name, "arguments": arguments }))
}

fn request(method: &str, params: &Value) -> String {
    json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params }).to_string()
}

#[tokio::test]
async fn a_tool_needs_registry_api_allowlist_and_set() {
    for (tool, verdict) in [
        ("ledger", "allow"),
        ("agents-only", "403 tool"),
        ("unlisted", "403 tool"),
        ("in-no-set", "403 tool"),
        ("more-tool", "403 tool"),
        ("nothing", "403 tool"),
        ("Ledger", "403 tool"),
        ("ledger ", "403 tool"),
        ("Get_Forecast.v2", "allow"),
        ("get_forecast.v2", "403 tool"),
        ("forecast", "403 tool"),
        ("", "403 tool"),
    ] {
        assert_eq!(post().send(&call(tool, &json!({}))).await, verdict, "{tool}");
    }
    let agent = Sent { by: "acme role:agent", ..post() };
    assert_eq!(agent.send(&call("agents-only", &json!({}))).await, "allow");
    assert_eq!(agent.send(&call("in-no-set", &json!({}))).await, "403 tool");
    let more = Sent { api: "more-api", ..post() };
    assert_eq!(more.send(&call("more-tool", &json!({}))).await, "allow");
    assert_eq!(more.send(&call("ledger", &json!({}))).await, "403 tool");
}

#[tokio::test]
async fn arguments_that_do_not_fit_are_400() {
    assert_eq!(post().send(&call("weather", &json!({ "city": "Paris" }))).await, "allow");
    for arguments in [
        json!({}),
        json!({ "city": 1 }),
        json!({ "city": "paris" }),
        json!({ "city": "Paris", "City": "Rome" }),
        json!({ "city": "P", "x": 1 }),
    ] {
        assert_eq!(post().send(&call("weather", &arguments)).await, "400 tool", "{arguments}");
    }
    assert_eq!(post().send(&request("tools/call", &json!({ "name": "weather" }))).await, "400 tool");
    // Judged on its own, off the I/O thread, and denied all the same.
    assert_eq!(post().send(&call("weather", &json!({ "city": "x".repeat(100_000) }))).await, "400 tool");
}

#[tokio::test]
async fn what_passes_is_a_list_and_all_else_is_denied() {
    for method in ["initialize", "ping", "resources/read", "prompts/get", "completion/complete", "logging/setLevel"] {
        assert_eq!(post().send(&request(method, &json!({}))).await, "allow", "{method}");
    }
    for method in [
        "sampling/createMessage",
        "roots/list",
        "tasks/result",
        "tools/Call",
        "TOOLS/CALL",
        "tools/call\u{0}",
        " tools/call",
        "tools",
        "",
        "x/y",
    ] {
        assert_eq!(post().send(&request(method, &json!({ "name": "ledger" }))).await, "403 tool", "{method:?}");
    }
    let notify = |method: &str| json!({ "jsonrpc": "2.0", "method": method }).to_string();
    assert_eq!(post().send(&notify("notifications/initialized")).await, "allow");
    assert_eq!(post().send(&notify("notifications/tools/list_changed")).await, "403 tool");
    assert_eq!(post().send(r#"{"jsonrpc":"2.0","id":"a","result":{}}"#).await, "allow");
    // The allowlist holds a tool of this API, and not the API itself.
    let more = Sent { api: "more-api", ..post() };
    assert_eq!(more.send(&request("initialize", &json!({}))).await, "allow");
    assert_eq!(more.send(&request("resources/read", &json!({ "uri": "x" }))).await, "403 tool");
}

#[tokio::test]
async fn a_list_passes_only_where_its_answer_is_filtered() {
    let list = request("tools/list", &json!({ "cursor": "x" }));
    let passed = post().full(list.as_bytes()).await.0.unwrap();
    assert_eq!((passed.process, passed.shown.unwrap().to_string().as_str()), (Process::Response, "list Get_Forecast.v2 ledger weather"));
    let agent = Sent { by: "acme role:agent", ..post() }.full(list.as_bytes()).await.0.unwrap();
    assert_eq!(agent.shown.unwrap().to_string(), "list Get_Forecast.v2 agents-only ledger weather");
    assert_eq!(Sent { process: false, ..post() }.send(&list).await, "503 unavailable");
    assert_eq!(Sent { process: false, ..post() }.send(&call("ledger", &json!({}))).await, "allow");
    assert_eq!(post().send(&request("tools/list", &json!({ "task": {} }))).await, "400 unreadable");
    let mixed = format!("[{list},{}]", call("ledger", &json!({})));
    assert!(!post().full(mixed.as_bytes()).await.0.unwrap().shown.unwrap().every);
}

#[tokio::test]
async fn a_batch_is_judged_element_by_element_and_each_call_costs() {
    let calls = |names: &[&str]| format!("[{}]", names.iter().map(|name| call(name, &json!({}))).collect::<Vec<_>>().join(","));
    assert_eq!(post().full(calls(&["ledger", "ledger", "ledger"]).as_bytes()).await.0.unwrap().cost, 3);
    assert_eq!(post().full(request("ping", &json!({})).as_bytes()).await.0.unwrap().cost, 1);
    assert_eq!(post().send(&calls(&["ledger", "unlisted"])).await, "403 tool");
    assert_eq!(post().send(&calls(&["ledger", "weather"])).await, "400 tool");
    assert_eq!(post().send("[]").await, "400 unreadable");
    assert_eq!(post().send(&format!("[{}]", calls(&["ledger"]))).await, "400 unreadable");
    assert_eq!(post().send(&calls(&["ledger"; 65])).await, "400 unreadable");
    let (_, found) = post().full(calls(&["Get_Forecast.v2", "weather", "nothing", "ledger", "ledger"]).as_bytes()).await;
    assert_eq!(found.findings.action.as_deref(), Some("tools/call forecast, tools/call weather, tools/call (no such tool), 2 more"));
}

#[tokio::test]
async fn nothing_of_the_callers_words_is_recorded() {
    for body in [
        request("secret/method", &json!({})),
        call("secret-tool", &json!({})),
        json!({ "jsonrpc": "2.0", "method": "notifications/secret" }).to_string(),
    ] {
        let (judged, found) = post().full(body.as_bytes()).await;
        assert!(!format!("{judged:?} {:?}", found.findings).contains("secret"));
    }
}

#[tokio::test]
async fn a_policy_in_shadow_marks_each_tool_that_it_would_deny_once() {
    let batch = format!("[{},{}]", call("ledger", &json!({})), call("ledger", &json!({})));
    let (judged, found) = post().full(batch.as_bytes()).await;
    assert!(judged.is_ok());
    assert_eq!(found.shadow.iter().map(|mark| mark.policy.as_str()).collect::<Vec<_>>(), ["trial"]);
    assert!(post().full(call("weather", &json!({ "city": "Paris" })).as_bytes()).await.1.shadow.is_empty());
}

#[tokio::test]
async fn methods_besides_post_get_and_delete_are_405() {
    let sent = |method, api| Sent { method, api, headers: Vec::new(), ..post() };
    assert_eq!(sent("DELETE", "tools-api").send("").await, "allow");
    assert_eq!(sent("DELETE", "tools-api").send(&call("unlisted", &json!({}))).await, "400 unreadable");
    for method in ["PUT", "PATCH", "HEAD", "OPTIONS", "post", "get"] {
        let denial = sent(method, "tools-api").full(b"").await.0.unwrap_err();
        assert_eq!((denial.status, denial.allow), (405, ["POST", "GET", "DELETE"].map(str::to_owned).to_vec()), "{method}");
    }
}

#[tokio::test]
async fn the_servers_stream_is_opened_where_what_comes_in_it_is_filtered() {
    let get = |api| Sent { method: "GET", api, headers: Vec::new(), ..post() };
    let (passed, found) = get("tools-api").full(b"").await;
    let passed = passed.unwrap();
    let shown = passed.shown.unwrap().to_string();
    assert_eq!((passed.process, passed.cost, shown.as_str()), (Process::Response, 1, "any Get_Forecast.v2 ledger weather"));
    assert_eq!(found.findings.action.as_deref(), Some("session/stream"));
    for (name, value, verdict) in [
        ("last-event-id", "7/1", "allow"),
        ("last-event-id", "", "400 unreadable"),
        ("last-event-id", "a b", "400 unreadable"),
        ("mcp-session-id", "a b", "400 unreadable"),
        ("x-http-method-override", "POST", "400 unreadable"),
    ] {
        assert_eq!(get("tools-api").with(name, value).send("").await, verdict, "{name}: {value}");
    }
    assert_eq!(get("tools-api").with("last-event-id", "7").with("last-event-id", "8").send("").await, "400 unreadable");
    assert_eq!(get("tools-api").send(&call("ledger", &json!({}))).await, "400 unreadable");
    // Where nobody filters it, and where the API itself is not allowed, it is not offered, as a server says that has none.
    let undeclared = Sent { process: false, ..get("tools-api") }.full(b"").await.0.unwrap_err();
    assert_eq!((undeclared.status, undeclared.allow), (405, ["POST", "DELETE"].map(str::to_owned).to_vec()));
    assert_eq!(get("more-api").full(b"").await.0.unwrap_err().allow, ["POST"]);
}

#[tokio::test]
async fn what_rules_are_asked_about_is_each_message_by_itself() {
    let said = async |body: &str| {
        let (_, said) = post().judged(body.as_bytes()).await.0.unwrap();
        let told = |one: &Said| {
            let tool = one.tool.as_ref().map(|(name, wire)| format!("{name}={wire}"));
            [one.method.clone(), tool, one.arguments.as_ref().map(|arguments| arguments.to_string())]
                .map(Option::unwrap_or_default)
                .join(" ")
        };
        said.iter().map(told).collect::<Vec<_>>()
    };
    let (ping, answer) = (request("ping", &json!({})), r#"{"jsonrpc":"2.0","id":"a","result":{}}"#);
    assert_eq!(said(&ping).await, ["ping  "]);
    let forecast = call("Get_Forecast.v2", &json!({ "days": 2 }));
    assert_eq!(
        said(&format!("[{ping},{forecast},{ping},{answer},{forecast}]")).await,
        ["ping  ", r#"tools/call forecast=Get_Forecast.v2 {"days":2}"#, "  ", r#"tools/call forecast=Get_Forecast.v2 {"days":2}"#]
    );
}
