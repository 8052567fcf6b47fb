//! What lets a stream of events in is taken away while it is open: it ends, though nothing comes in it (S23).

use bulkhead_tests::{config::Config, deadline, deadline::PATIENCE};
use serde_json::json;
use sha2::{Digest as _, Sha256};

use super::{
    Stage,
    stream::{Seen, Source},
};

const KEY: &str = "a-key-of-acme-that-is-long-enough-0123456789";
const SUBSCRIPTIONS: &str = "namespaces/tenant-acme/more-subscriptions.yaml";

fn write_key(config: &Config, key: &str) {
    let spec = json!({ "apis": ["tools-api"], "keyHash": format!("sha256:{}", hex::encode(Sha256::digest(key))) });
    let metadata = json!({ "name": "by-key", "namespace": "tenant-acme" });
    config.put(SUBSCRIPTIONS, &json!({ "apiVersion": "gostoa.dev/v1alpha1", "kind": "Subscription", "metadata": metadata, "spec": spec }));
}

#[tokio::test(flavor = "multi_thread")]
async fn s23_a_stream_ends_with_the_key_the_claim_the_host_or_the_plan_that_let_it_in() {
    let source = Source::start().await;
    let prepared = |config: &Config| {
        write_key(config, KEY);
        config.replace("namespaces/tenant-acme/mcp.yaml", "protocol: mcp,", "protocol: mcp, policies: [ { auth: any } ],");
        config.edit("tenants/acme.yaml", |tenant| {
            tenant["spec"]["hosts"] = json!(["api.acme.example", "*.acme.example"]);
            tenant["spec"]["issuers"][0]["tenantClaim"]["required"] = false.into();
        });
    };
    let world = Stage::builder([source.address, source.address], 10_000, true).config(prepared).start().await;
    let stage = Stage { world, _servers: Vec::new() };
    let uri = format!("http://{}/acme/tools-api", stage.world.envoy.address());
    let client = reqwest::Client::builder().no_proxy().build().expect("a client");
    let open = async |by_key: bool| {
        let request = client.get(&uri).header("accept", "text/event-stream");
        let request = if by_key { request.header("x-api-key", KEY) } else { request.bearer_auth(stage.token("acme", "clerk")) };
        let (answer, sends) = tokio::join!(request.send(), source.opened());
        let mut seen = Seen { answer: answer.expect("an answer"), text: String::new() };
        sends.send(Ok("data: {\"jsonrpc\":\"2.0\",\"method\":\"notifications/progress\"}\n\n".to_owned())).expect("open");
        seen.until("progress").await;
        (seen, sends)
    };
    let config = &stage.world.config;
    let changes: [(&str, bool, &dyn Fn()); 4] = [
        ("another API key in its place", true, &|| write_key(config, &KEY.to_uppercase())),
        ("a claim that the plan requires", false, &|| config.edit("plans.yaml", |plan| plan["spec"]["requireTenantClaim"] = true.into())),
        ("a host", false, &|| config.edit("tenants/acme.yaml", |tenant| tenant["spec"]["hosts"] = json!(["api.acme.example"]))),
        ("a grant of upstreams", false, &|| {
            config.edit("tenants/acme.yaml", |tenant| {
                tenant["spec"]["upstreams"] = json!(["*.acme.internal", "more.example"]);
            });
        }),
    ];
    for (what, by_key, change) in changes {
        let (mut seen, _sends) = open(by_key).await;
        let before = stage.world.ext_authz.snapshot().await["generation"].as_u64().expect("a generation");
        change();
        deadline::until(what, PATIENCE, || async {
            let now = stage.world.ext_authz.snapshot().await["generation"].as_u64().expect("a generation");
            (now > before).then_some(())
        })
        .await;
        seen.ends(|| ()).await;
    }
}
