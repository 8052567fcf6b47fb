//! MCP through the real Envoy, with the official SDK's client and server at its ends (docs/mcp.md).

use std::net::SocketAddr;

use bulkhead_tests::{
    client::{Answer, Request},
    envoy::shipped,
    world::{Builder, World},
};
use rmcp::{
    RoleClient, ServiceExt as _,
    model::CallToolRequestParams,
    service::RunningService,
    transport::{StreamableHttpClientTransport, streamable_http_client::StreamableHttpClientTransportConfig},
};
use serde_json::{Value, json};

use self::server::Server;

#[path = "mcp/altered.rs"]
mod altered;
#[path = "mcp/answers.rs"]
mod answers;
#[path = "mcp/attacks.rs"]
mod attacks;
#[path = "mcp/ended.rs"]
mod ended;
#[path = "mcp/server.rs"]
mod server;
#[path = "mcp/standing.rs"]
mod standing;
#[path = "mcp/stream.rs"]
mod stream;

const API: &str = "
apiVersion: gostoa.dev/v1alpha1
kind: UniversalAPIContract
metadata: { name: mcp-contract, namespace: tenant-TENANT }
spec: { apis: [ { name: tools-api, upstream: 'http://tools.TENANT.internal', protocol: mcp, rateLimit: { requestsPerMinute: LIMIT } } ] }
---
apiVersion: gostoa.dev/v1alpha1
kind: Tool
metadata: { name: weather, namespace: tenant-TENANT }
spec: { api: tools-api, inputSchema: { type: object, properties: { city: { type: string } }, required: [city], additionalProperties: false } }
";

const MORE: &str = "
---
apiVersion: gostoa.dev/v1alpha1
kind: Tool
metadata: { name: ledger, namespace: tenant-acme }
spec: { api: tools-api, name: get_Ledger.v2 }
---
apiVersion: gostoa.dev/v1alpha1
kind: ToolSet
metadata: { name: everybodys, namespace: tenant-acme }
spec: { tools: [weather] }
---
apiVersion: gostoa.dev/v1alpha1
kind: ToolSet
metadata: { name: clerks, namespace: tenant-acme }
spec: { tools: [ledger], access: { roles: [clerk] } }
---
apiVersion: gostoa.dev/v1alpha1
kind: GuardrailPolicy
metadata: { name: tools, namespace: tenant-acme }
spec: { toolAllowlist: [billing-api, orders-api, tools-api, weather, ledger] }
";

/// Both tenants with an MCP server each that has a tool `weather`, acme's with a `get_Ledger.v2`; neither has told Bulkhead of `hidden`.
struct Stage {
    world: World,
    _servers: Vec<Server>,
}

impl Stage {
    async fn set(sessions: bool, limit: u32, process: bool) -> Self {
        let acme = Server::start(&["weather", "get_Ledger.v2", "hidden"], sessions).await;
        let globex = Server::start(&["weather", "hidden"], sessions).await;
        let world = Self::world([acme.address, globex.address], limit, process).await;
        Self { world, _servers: vec![acme, globex] }
    }

    /// The same with servers of a test's own.
    async fn world(servers: [SocketAddr; 2], limit: u32, process: bool) -> World {
        Self::builder(servers, limit, process).start().await
    }

    /// The same, to be changed.
    fn builder<'a>(servers: [SocketAddr; 2], limit: u32, process: bool) -> Builder<'a> {
        // Without ext_proc, Envoy shows bodies to Check and nothing else.
        let builder = if process { World::builder() } else { World::builder().undeclared().ext_authz(&["--body", "on"]) };
        builder
            .config(move |config| {
                for (tenant, server) in ["acme", "globex"].into_iter().zip(servers) {
                    let more = if tenant == "acme" { MORE } else { "" };
                    let text = (API.to_owned() + more).replace("TENANT", tenant).replace("LIMIT", &limit.to_string());
                    config.write(&format!("namespaces/tenant-{tenant}/mcp.yaml"), &text);
                    let origin = format!("http://{server}");
                    config.edit("platform.yaml", |platform| {
                        platform["spec"]["upstreams"]["connect"][format!("http://tools.{tenant}.internal")] = origin.into();
                    });
                }
                if config.path().join("namespaces/tenant-acme/guardrails.yaml").exists() {
                    config.remove("namespaces/tenant-acme/guardrails.yaml");
                }
            })
            .bootstrap(bodies_of_globex)
    }

    fn token(&self, tenant: &str, role: &str) -> String {
        let issuer = if tenant == "acme" { &self.world.acme.issuer } else { &self.world.globex.issuer };
        issuer.token().roles(&[role]).sign()
    }

    /// The SDK's own client, through the handshake.
    async fn client(&self, tenant: &str, role: &str) -> RunningService<RoleClient, ()> {
        let uri = format!("http://{}/{tenant}/tools-api", self.world.envoy.address());
        let config = StreamableHttpClientTransportConfig::with_uri(uri).auth_header(self.token(tenant, role));
        ().serve(StreamableHttpClientTransport::from_config(config)).await.expect("an initialized client")
    }

    async fn post(&self, tenant: &str, body: &Value) -> Answer {
        let request = Request::post(&format!("/{tenant}/tools-api"), body.to_string()).bearer(&self.token(tenant, "nobody"));
        let request = request.header("content-type", "application/json").header("accept", "application/json, text/event-stream");
        self.world.send(&request).await
    }
}

/// The shipped file keeps globex's bodies from Check, which MCP needs: its tenant takes the route of all.
fn bodies_of_globex(bootstrap: &mut Value) {
    for host in shipped::manager(bootstrap)["route_config"]["virtual_hosts"].as_array_mut().expect("virtual hosts") {
        host["routes"].as_array_mut().expect("routes").retain(|route| route["match"]["path_separated_prefix"] != "/globex");
    }
}

async fn listed(client: &RunningService<RoleClient, ()>) -> Vec<String> {
    let mut names: Vec<String> = client.list_all_tools().await.expect("a list").into_iter().map(|tool| tool.name.into_owned()).collect();
    names.sort();
    names
}

fn call(name: &'static str, arguments: &Value) -> CallToolRequestParams {
    CallToolRequestParams::new(name).with_arguments(arguments.as_object().cloned().expect("an object"))
}

/// What a caller sees and may do, whichever way the server answers.
async fn a_caller_sees_and_calls_what_it_may(sessions: bool) {
    let stage = Stage::set(sessions, 10_000, true).await;
    let (anybody, clerk, other) =
        (stage.client("acme", "nobody").await, stage.client("acme", "clerk").await, stage.client("globex", "clerk").await);
    assert_eq!(listed(&anybody).await, ["weather"]);
    assert_eq!(listed(&clerk).await, ["get_Ledger.v2", "weather"]);
    assert_eq!(listed(&other).await, ["weather"]);

    for client in [&anybody, &clerk, &other] {
        let answer = client.call_tool(call("weather", &json!({ "city": "Paris" }))).await.expect("an answer");
        assert!(serde_json::to_string(&answer).expect("JSON").contains("weather"));
        assert!(client.call_tool(call("weather", &json!({ "city": 1 }))).await.is_err());
        assert!(client.call_tool(call("hidden", &json!({}))).await.is_err());
    }
    assert!(clerk.call_tool(call("get_Ledger.v2", &json!({}))).await.is_ok());
    assert!(clerk.call_tool(call("ledger", &json!({}))).await.is_err(), "the resource's name is not the server's");
    assert!(anybody.call_tool(call("get_Ledger.v2", &json!({}))).await.is_err());
    assert!(other.call_tool(call("get_Ledger.v2", &json!({}))).await.is_err());
    for client in [anybody, clerk, other] {
        client.cancel().await.expect("the end of a session");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_caller_sees_and_calls_what_it_may_of_a_server_that_answers_in_event_streams() {
    a_caller_sees_and_calls_what_it_may(true).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_caller_sees_and_calls_what_it_may_of_a_server_that_answers_in_json() {
    a_caller_sees_and_calls_what_it_may(false).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_refused_is_told_by_status_and_reason() {
    let stage = Stage::set(false, 10_000, true).await;
    let request = |method: &str, params: Value| json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params });
    let weather = request("tools/call", json!({ "name": "weather", "arguments": { "city": "Paris" } }));
    for (body, status, reason) in [
        (request("tools/call", json!({ "name": "hidden" })), 403, "tool"),
        (request("tools/call", json!({ "name": "weather", "arguments": { "town": "Paris" } })), 400, "tool"),
        (request("tasks/list", json!({})), 403, "tool"),
        (json!([weather, request("tools/call", json!({ "name": "hidden" }))]), 403, "tool"),
        (json!([]), 400, "unreadable"),
        (json!({ "jsonrpc": "2.0", "id": null, "method": "ping" }), 400, "unreadable"),
    ] {
        let answer = stage.post("acme", &body).await;
        assert_eq!(answer.status, status, "{body}: {}", answer.text());
        assert_eq!(answer.json()["type"], format!("urn:bulkhead:{reason}"), "{body}");
    }
    let path = "/acme/tools-api";
    let bearer = stage.token("acme", "nobody");
    let typed = stage.world.send(&Request::post(path, weather.to_string()).bearer(&bearer).header("content-type", "text/plain")).await;
    assert_eq!(typed.status, 415);
    let twice = weather.to_string().replacen("\"method\"", "\"method\":\"ping\",\"method\"", 1);
    let twice = stage.world.send(&Request::post(path, twice).bearer(&bearer).header("content-type", "application/json")).await;
    assert_eq!(twice.status, 400);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_ext_proc_tools_are_called_and_not_listed() {
    let stage = Stage::set(false, 10_000, false).await;
    let client = stage.client("acme", "nobody").await;
    assert!(client.call_tool(call("weather", &json!({ "city": "Paris" }))).await.is_ok());
    assert!(client.list_all_tools().await.is_err());
    let get = stage.world.send(&Request::get("/acme/tools-api").bearer(&stage.token("acme", "nobody"))).await;
    assert_eq!((get.status, get.header("allow")), (405, Some("POST, DELETE")));
    let answer = stage.post("acme", &json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/list" })).await;
    assert_eq!((answer.status, answer.json()["type"].as_str()), (503, Some("urn:bulkhead:unavailable")));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_pays_for_each_of_its_calls() {
    let stage = Stage::set(false, 4, true).await;
    let weather =
        json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": { "name": "weather", "arguments": { "city": "Paris" } } });
    // Whatever the server says of a batch: four calls have been paid for.
    let first = stage.post("acme", &json!([weather, weather, weather, weather])).await;
    assert_ne!(first.status, 429, "{}", first.text());
    assert_eq!(stage.post("acme", &weather).await.status, 429);
    assert_eq!(stage.post("globex", &weather).await.status, 200);
}
