use std::time::Duration;

use bulkhead_tenancy::{
    catalog::{Catalog, changes_of},
    clock::SystemClock,
    fault::Severity,
    policy::TenantPolicy,
    snapshot::Snapshot,
    tenant::Policy,
};
use tokio::time::Instant;

use super::*;
use crate::{
    attributes::Attributes,
    decide::Declared,
    fixture::{self, Asked as Sent, get},
};

/// As the second article prints it.
const ARTICLE: &str = "allow {\ninput.resource.namespace == input.caller.tenant_namespace\ninput.caller.roles[_] == \"tenant-admin\"\n}\n";

/// Two tenants, `acme` with these policies: name, spec beside its rules, rules.
fn snapshot(policies: &[(&str, &str, &str)]) -> Arc<Snapshot> {
    let operator = "
apiVersion: gostoa.dev/v1alpha1
kind: Platform
metadata: { name: platform }
spec: { rateLimit: { requestsPerMinute: 100000 } }
---
apiVersion: gostoa.dev/v1alpha1
kind: Plan
metadata: { name: standard }
spec: { rateLimit: { requestsPerMinute: 1000 } }
---
apiVersion: gostoa.dev/v1alpha1
kind: Tenant
metadata: { name: acme }
spec: { plan: standard, uid: uid-acme, issuers: [ { issuer: https://auth.example.com/acme } ] }
---
apiVersion: gostoa.dev/v1alpha1
kind: Tenant
metadata: { name: globex }
spec: { plan: standard, uid: uid-globex, issuers: [ { issuer: https://auth.example.com/globex } ] }
";
    let contract = |tenant: &str| {
        format!(
            "apiVersion: gostoa.dev/v1alpha1
kind: UniversalAPIContract
metadata: {{ name: contract, namespace: tenant-{tenant} }}
spec: {{ apis: [ {{ name: billing-api, upstream: 'https://billing.{tenant}.internal' }} ] }}
"
        )
    };
    let mut acme = contract("acme");
    for (name, spec, rules) in policies {
        acme += &format!(
            "---\napiVersion: gostoa.dev/v1alpha1\nkind: GuardrailPolicy\nmetadata: {{ name: {name}, namespace: tenant-acme }}\nspec: {{ {spec} rules: {} }}\n",
            serde_json::Value::from(*rules)
        );
    }
    let globex = contract("globex")
        + "---\napiVersion: gostoa.dev/v1alpha1\nkind: GuardrailPolicy\nmetadata: { name: g, namespace: tenant-globex }\nspec: { rules: 'allow := true' }\n";
    let files = [
        ("operator.yaml", operator),
        ("namespaces/tenant-acme/own.yaml", acme.as_str()),
        ("namespaces/tenant-globex/own.yaml", globex.as_str()),
    ];
    let mut catalog = Catalog::new(Arc::new(SystemClock));
    let snapshot = catalog.apply(changes_of(&files)).unwrap();
    let errors: Vec<_> = catalog.faults().into_iter().filter(|fault| fault.severity == Severity::Error).collect();
    assert!(errors.is_empty(), "{errors:?}");
    snapshot
}

fn policy<'a>(snapshot: &'a Snapshot, tenant: &str) -> &'a Arc<TenantPolicy> {
    match &snapshot.tenant(tenant).unwrap().policy {
        Policy::Ready(policy) => policy,
        Policy::Unavailable(why) => panic!("{why}"),
    }
}

/// What the rules say of a caller, and what was found.
async fn asked(snapshot: &Snapshot, offload: &Offload, words: &str, sent: Sent) -> (Result<(), Denial>, Found) {
    asked_of(snapshot, offload, words, sent, None).await
}

/// The same of messages of MCP.
async fn asked_of(snapshot: &Snapshot, offload: &Offload, words: &str, sent: Sent, said: Option<&[Said]>) -> (Result<(), Denial>, Found) {
    let caller = fixture::caller(snapshot, words).unwrap();
    let policy = policy(snapshot, caller.tenant.name.as_str());
    let api = policy.api("billing-api").unwrap();
    let request = Attributes::of(sent.request()).unwrap();
    let mut found = Found::default();
    let asked = Asked {
        policy,
        api,
        caller: &caller,
        subscription: None,
        request: &request,
        path: "/invoices",
        declared: Declared::default(),
        now: 1_800_000_000,
        until: Instant::now() + Duration::from_secs(30),
    };
    let judged = judge(&asked, said.map(<[Said]>::to_vec), offload, &mut found).await;
    (judged, found)
}

async fn judged(policies: &[(&str, &str, &str)], words: &str) -> (Result<(), Denial>, Found) {
    asked(&snapshot(policies), &Offload::default(), words, get("/acme/billing-api/invoices")).await
}

#[tokio::test]
async fn the_articles_rule_decides_by_the_callers_roles() {
    let (admin, _) = judged(&[("article", "", ARTICLE)], "acme role:tenant-admin").await;
    assert_eq!(admin, Ok(()));
    let (reader, found) = judged(&[("article", "", ARTICLE)], "acme role:reader").await;
    assert_eq!(reader.map_err(|denial| (denial.reason, denial.detail.into_owned())), {
        Err((Reason::Rule, "the rules of the policy article: `allow` is not true".to_owned()))
    });
    assert_eq!(found.findings.rule.as_deref(), Some("article"));
}

#[tokio::test]
async fn every_policy_must_allow() {
    let two = [("one", "", "allow := true"), ("two", "", "allow if \"reader\" in input.caller.roles")];
    assert_eq!(judged(&two, "acme role:reader").await.0, Ok(()));
    let (denied, found) = judged(&two, "acme role:writer").await;
    assert_eq!((denied.unwrap_err().reason, found.findings.rule.as_deref()), (Reason::Rule, Some("two")));
}

#[tokio::test]
async fn a_rule_in_shadow_is_recorded_and_denies_nothing() {
    let policies =
        [("strict", "", "allow := true"), ("trial", "shadow: true,", "allow := false"), ("fine", "shadow: true,", "allow := true")];
    let (allowed, found) = judged(&policies, "acme").await;
    assert_eq!(allowed, Ok(()));
    assert_eq!(found.shadow, [ShadowMark::new("trial", Would::Deny(Reason::Rule))]);
    assert_eq!(found.findings.rule, None);
}

#[tokio::test]
async fn a_rule_that_fails_or_takes_too_much_denies() {
    let spinning = "allow if { some a, b in split(input.request.path, \"\"); some c, d in split(input.request.path, \"\"); some e, f in \
                    split(input.request.path, \"\"); some g, h in split(input.request.path, \"\"); [a, c, e, g] == 1 }";
    for (rules, says) in [("allow if not startswith(1, 2)", "failed"), (spinning, "budget"), ("allow := \"yes\"", "neither")] {
        let (denied, _) = judged(&[("g", "", rules)], "acme").await;
        let denied = denied.unwrap_err();
        assert_eq!(denied.reason, Reason::Rule, "{rules}");
        assert!(denied.detail.contains(says), "{}", denied.detail);
    }
}

#[tokio::test]
async fn rules_see_who_asks_and_what_for_and_no_credentials() {
    let sent = get("/acme/billing-api/invoices?year=2026")
        .by("acme role:reader")
        .with("X-Api-Key", "acme.s3cret")
        .with("x_api_key", "s3cret")
        .with("X-Two", "a")
        .with("x-two", "b");
    let policies = [("g", "", "allow := true")];
    let (allowed, found) = asked(&snapshot(&policies), &Offload::default(), "acme role:reader client:app", sent).await;
    assert_eq!(allowed, Ok(()));
    let input: serde_json::Value = serde_json::from_str(&found.rule_input[0].to_json()).unwrap();
    assert_eq!(
        input,
        serde_json::json!({
            "caller": { "tenant": "acme", "tenant_namespace": "tenant-acme", "subject": "alice", "client": "app", "roles": ["reader"], "scopes": [], "by": "token" },
            "resource": { "namespace": "tenant-acme", "api": "billing-api", "path": "/invoices", "method": "GET" },
            "request": {
                "method": "GET", "path": "/acme/billing-api/invoices", "query": "year=2026", "host": "gateway.example.com", "scheme": "https",
                "headers": { "x-two": "a,b" },
            },
        })
    );
}

/// While one tenant's rules have all places that it may have, another's are judged.
#[tokio::test(flavor = "multi_thread")]
async fn a_tenant_whose_rules_are_at_their_limit_keeps_no_other_waiting() {
    let snapshot = snapshot(&[("g", "", "allow := true")]);
    let offload = Arc::new(Offload::with_places(4));
    let (release, held) = std::sync::mpsc::channel::<()>();
    let uid = snapshot.tenant("acme").unwrap().uid.clone();
    let holding = {
        let (offload, uid) = (Arc::clone(&offload), uid.clone());
        tokio::spawn(async move { offload.run(&uid, Instant::now() + Duration::from_secs(60), move || held.recv().is_err()).await })
    };
    // Acme's only place is taken; what waits for it is late, and globex has not noticed.
    while !holding.is_finished() {
        let (globex, _) = asked(&snapshot, &offload, "globex", get("/globex/billing-api")).await;
        assert_eq!(globex, Ok(()));
        let waiting = offload.run(&uid, Instant::now() + Duration::from_millis(20), || ()).await;
        if waiting == Err(Undone::Late) {
            break;
        }
    }
    drop(release);
    assert_eq!(holding.await.unwrap(), Ok(true));
}

#[tokio::test]
async fn every_message_must_pass_and_a_call_is_judged_with_its_tool_and_arguments() {
    let call = |tool: &str, amount: u64| Said {
        method: Some("tools/call".to_owned()),
        tool: Some((tool.parse().unwrap(), format!("wire_{}", tool.replace('-', "_")).parse().unwrap())),
        arguments: Some(Arc::new(serde_json::json!({ "amount": amount }))),
    };
    let ping = Said { method: Some("ping".to_owned()), ..Said::default() };
    let judged = async |rule: &str, said: &[Said]| {
        asked_of(&snapshot(&[("g", "", rule)]), &Offload::default(), "acme", get("/acme/billing-api"), Some(said)).await
    };
    let small = r#"allow if input.mcp.method == "ping"
        allow if { input.resource.tool == "pay-out"; input.mcp.tool == "wire_pay_out"; input.mcp.arguments.amount < 100 }"#;
    for (said, passes) in [
        (vec![ping.clone()], true),
        (vec![ping.clone(), call("pay-out", 99)], true),
        (vec![ping.clone(), call("pay-out", 99), call("pay-out", 100)], false),
        (vec![call("other", 1), ping.clone()], false),
        (vec![Said::default()], false),
    ] {
        assert_eq!(judged(small, &said).await.0.is_ok(), passes);
    }
    // Arguments are shown where a rule may read them, and nowhere else.
    let (large, input) =
        (call("pay-out", 1), |found: &Found| serde_json::from_str::<serde_json::Value>(&found.rule_input[0].to_json()).unwrap());
    let large = Said { arguments: Some(Arc::new(serde_json::json!({ "text": "x".repeat(100_000) }))), ..large };
    let (passed, found) = judged(r#"allow if input.mcp.tool == "wire_pay_out""#, std::slice::from_ref(&large)).await;
    assert_eq!((passed, &input(&found)["mcp"]), (Ok(()), &serde_json::json!({ "method": "tools/call", "tool": "wire_pay_out" })));
    assert!(judged("allow if not input.mcp.arguments.evil", &[large]).await.0.is_err());
    assert!(
        asked(&snapshot(&[("g", "", "allow if not input.mcp")]), &Offload::default(), "acme", get("/x/y")).await.0.is_ok(),
        "an API that is no MCP"
    );
}

#[tokio::test]
async fn what_a_rule_in_shadow_alone_reads_denies_nothing() {
    let policies =
        [("strict", "", r#"allow if input.mcp.tool == "search""#), ("trial", "shadow: true,", "allow if not input.mcp.arguments.evil")];
    let name = "search";
    let large = Said {
        method: Some("tools/call".to_owned()),
        tool: Some((name.parse().unwrap(), name.parse().unwrap())),
        arguments: Some(Arc::new(serde_json::json!({ "text": "x".repeat(100_000) }))),
    };
    let (passed, found) = asked_of(&snapshot(&policies), &Offload::default(), "acme", get("/acme/billing-api"), Some(&[large])).await;
    assert_eq!((passed, found.shadow), (Ok(()), vec![ShadowMark::new("trial", Would::Deny(Reason::Rule))]));
    assert_eq!(found.rule_input.len(), 1);
}

/// What rules are asked about is as large as its caller made it: it is not made on an I/O thread.
#[tokio::test]
async fn s5_a_tenant_without_a_place_has_nothing_made_for_its_rules() {
    let snapshot = snapshot(&[("g", "", "allow := true")]);
    let offload = Offload::default();
    let uid = snapshot.tenant("acme").unwrap().uid.clone();
    let _waiting: Vec<_> = (0..offload.room_of(&uid)).map(|_| offload.idle(&uid)).collect();
    let (denied, found) = asked(&snapshot, &offload, "acme", get("/acme/billing-api")).await;
    assert_eq!((denied.unwrap_err().reason, found.rule_input.len()), (Reason::Unavailable, 0));
}

#[tokio::test]
async fn s6_a_path_is_told_as_servers_read_it_however_it_is_encoded() {
    let rule = "allow if not startswith(input.request.path, \"/acme/billing-api/admin\")";
    let snapshot = snapshot(&[("p", "", rule)]);
    let offload = Offload::with_places(4);
    for (path, passes) in [
        ("/acme/billing-api/invoices", true),
        ("/acme/billing-api/admin", false),
        ("/acme/billing-api/%61dmin", false),
        ("/acme/billing-api/%61%64%6D%69%6e/x", false),
        ("/acme/billing-api/%2561dmin", false),
        ("/acme/billing-api/%25%36%31dmin", false),
        ("/acme/billing-api/%C3%A9", true),
    ] {
        let (judged, _) = asked(&snapshot, &offload, "acme", get(path)).await;
        assert_eq!(judged.is_ok(), passes, "{path}");
    }
}
