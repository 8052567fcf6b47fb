//! Rules and OpenAPI documents, through the real Envoy and live on reload.

use bulkhead_tests::{client::Request, world::World};
use serde_json::json;

use super::{INVOICES, PRODUCTS, until_status};

const RULES: &str = "namespaces/tenant-acme/rules.yaml";
const CONTRACT: &str = "namespaces/tenant-acme/contract.yaml";

fn rules(name: &str, spec: &str, text: &str) -> String {
    let text: String = text.lines().map(|line| format!("    {line}\n")).collect();
    format!(
        "apiVersion: gostoa.dev/v1alpha1\nkind: GuardrailPolicy\nmetadata: {{ name: {name}, namespace: tenant-acme }}\nspec:\n{spec}  rules: |\n{text}"
    )
}

/// As the second article prints it.
const ARTICLE: &str = "allow {\ninput.resource.namespace == input.caller.tenant_namespace\ninput.caller.roles[_] == \"tenant-admin\"\n}";

#[tokio::test(flavor = "multi_thread")]
async fn the_articles_rule_decides_and_follows_its_file() {
    let world = World::builder().config(|config| config.write(RULES, &rules("article", "", ARTICLE))).start().await;
    let with_role = |role: &str| Request::get(INVOICES).bearer(&world.acme.issuer.token().claim("roles", json!([role])).sign());
    let (admin, reader) = (with_role("tenant-admin"), with_role("reader"));
    assert_eq!(world.send(&admin).await.seen().path, "/v1/invoices");
    let denied = world.send(&reader).await;
    assert_eq!((denied.status, denied.reason()), (403, "rule".to_owned()));
    assert!(!denied.text().contains("article") && !denied.text().contains("tenant-admin"), "{}", denied.text());

    world.config.write(RULES, &rules("article", "  shadow: true\n", ARTICLE));
    until_status(&world, &reader, 200).await;
    // Broken, the last good one decides: this time the one in shadow.
    world.config.write(RULES, &rules("article", "", "allow if http.send({})"));
    world.ext_authz.until_tenant("acme", "last_good").await;
    assert_eq!(world.send(&reader).await.status, 200);
    world.config.write(RULES, &rules("article", "", "allow if { input.caller.tenant == \"globex\" }"));
    assert_eq!(until_status(&world, &admin, 403).await.reason(), "rule");
    world.config.remove(RULES);
    until_status(&world, &admin, 200).await;
}

/// A rule that always spends its whole budget denies its own tenant's requests, and globex is served beside it.
#[tokio::test(flavor = "multi_thread")]
async fn a_rule_at_its_limit_costs_its_own_tenant_only() {
    let spinning = "allow if {\n  some a in split(input.request.path, \"\")\n  some b in split(input.request.path, \"\")\n  \
                    some c in split(input.request.path, \"\")\n  some d in split(input.request.path, \"\")\n  [a, b, c, d] == 1\n}";
    let world = World::builder().config(|config| config.write(RULES, &rules("spinning", "", spinning))).start().await;
    let acme = Request::get(INVOICES).bearer(&world.acme.issuer.token().sign());
    let globex = Request::get(PRODUCTS).bearer(&world.globex.issuer.token().sign());
    let (to, request) = (world.envoy.address(), acme.clone());
    let flood = tokio::spawn(async move {
        let mut answers = Vec::new();
        for _ in 0..4 {
            answers.extend(futures::future::join_all((0..8).map(|_| request.send(to))).await);
        }
        answers
    });
    while !flood.is_finished() {
        assert_eq!(world.send(&globex).await.status, 200);
    }
    for answer in flood.await.expect("the flood") {
        assert!(
            matches!((answer.status, answer.reason().as_str()), (403, "rule") | (503, "unavailable")),
            "{}: {}",
            answer.status,
            answer.text()
        );
    }
    assert_eq!(world.acme.requests(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_openapi_document_does_not_hold_is_not_reached_and_the_document_is_followed() {
    const DOCUMENT: &str = "namespaces/tenant-acme/billing.json";
    let paths = |paths: &str| format!("{{\n\t\"openapi\": \"3.1.0\",\n\t\"paths\": {{ {paths} }}\n}}\n");
    let one = paths("\"/invoices\": { \"get\": {} }, \"/invoices/{id}\": { \"get\": {}, \"delete\": {} }");
    let world = World::builder()
        .config(|config| {
            config.write(DOCUMENT, &one);
            config.edit(CONTRACT, |contract| contract["spec"]["apis"][0]["openapi"] = "billing.json".into());
        })
        .start()
        .await;
    let token = world.acme.issuer.token().sign();
    let asked = |method: &str, path: &str| Request::new(method, &format!("/acme/billing-api{path}")).bearer(&token);
    assert_eq!(world.send(&asked("GET", "/invoices")).await.seen().path, "/v1/invoices");
    assert_eq!(world.send(&asked("DELETE", "/invoices/7")).await.seen().path, "/v1/invoices/7");
    for path in ["/admin", "", "/invoices/", "/invoices/7/8", "/Invoices"] {
        let denied = world.send(&asked("GET", path)).await;
        assert_eq!((denied.status, denied.reason()), (404, "unknown_api".to_owned()), "{path}");
    }
    let denied = world.send(&asked("DELETE", "/invoices")).await;
    assert_eq!((denied.status, denied.header("allow")), (405, Some("GET")));

    world.config.write(DOCUMENT, &paths("\"/admin\": { \"get\": {} }"));
    until_status(&world, &asked("GET", "/admin"), 200).await;
    assert_eq!(world.send(&asked("GET", "/invoices")).await.status, 404);
    // A document that went away leaves what it said.
    world.config.remove(DOCUMENT);
    world.ext_authz.until_tenant("acme", "last_good").await;
    assert_eq!(world.send(&asked("GET", "/invoices")).await.status, 404);
}

#[test]
fn check_envoy_passes_the_shipped_files_and_names_what_a_changed_one_breaks() {
    let envoy = bulkhead_tests::parts::workspace().join("envoy");
    let files = bulkhead_tests::envoy::shipped::FILES.map(|file| envoy.join(file).display().to_string());
    let checked = |files: &[&str]| bulkhead_tests::service::run("bulkhead-ext-authz", &[&["check-envoy"], files].concat());
    let clean = checked(&files.each_ref().map(String::as_str));
    assert_eq!((clean.status.code(), String::from_utf8_lossy(&clean.stdout).as_ref()), (Some(0), ""));

    let open = tempfile::NamedTempFile::new().expect("a temporary file");
    let text = std::fs::read_to_string(&files[0]).expect("a shipped file");
    std::fs::write(open.path(), text.replace("failure_mode_allow: false", "failure_mode_allow: true")).expect("a writable file");
    let path = open.path().display().to_string();
    let found = checked(&[&path]);
    let line = text.lines().position(|line| line.contains("failure_mode_allow: false")).expect("the line") + 1;
    let said = String::from_utf8_lossy(&found.stdout);
    assert_eq!(found.status.code(), Some(2));
    assert!(said.starts_with(&format!("{path}:{line}: S9: ext_authz fails open")), "{said}");
    assert_eq!(checked(&["/no/such/file"]).status.code(), Some(2));
}

#[tokio::test(flavor = "multi_thread")]
async fn check_envoy_reads_what_a_running_envoy_says_of_itself() {
    let world = World::builder().start().await;
    let dump = Request::get("/config_dump").send(world.envoy.admin()).await.text();
    let checked = |text: &str| {
        let file = tempfile::NamedTempFile::new().expect("a temporary file");
        std::fs::write(file.path(), text).expect("a writable file");
        let path = file.path().display().to_string();
        let checked = bulkhead_tests::service::run("bulkhead-ext-authz", &["check-envoy", &path]);
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).replace(&path, "FILE");
        (checked.status.code(), text(&checked.stdout), text(&checked.stderr))
    };
    // Upstreams of tests stand on this machine, and the shipped guard is told so.
    let own = |said: &str| {
        let others = said.lines().filter(|line| !line.contains("S3: a contract's upstream may resolve to this machine"));
        others.map(str::to_owned).collect::<Vec<_>>()
    };
    let (_, said, noted) = checked(&dump);
    assert_eq!((own(&said), noted), (Vec::new(), String::new()));
    let open = dump.replace("\"failure_mode_deny\": true", "\"failure_mode_deny\": false");
    assert_ne!(open, dump);
    let (code, said, _) = checked(&open);
    let said = own(&said);
    assert_eq!((code, said.len()), (Some(2), 1), "once, not of the bootstrap besides: {said:?}");
    let line = open.lines().position(|line| line.contains("failure_mode_deny")).expect("the line");
    let last = open.lines().count() - open.lines().rev().position(|line| line.contains("failure_mode_deny")).expect("the line");
    assert!(last > line + 1, "it is dumped twice");
    assert!(said[0].starts_with(&format!("FILE:{last}: S9: ratelimit fails open")), "{said:?}");
}
