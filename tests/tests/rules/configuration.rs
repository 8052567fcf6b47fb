//! What is written down, by whom, and what becomes of it on a running gateway: S10, S16, S17, S21.

use std::{
    fs,
    os::unix::fs::symlink,
    path::PathBuf,
    process::Command,
    time::{Duration, Instant},
};

use bulkhead_tests::{
    client::Request,
    config::Config,
    deadline::{self, PATIENCE},
    issuer::Issuer,
    service,
    world::World,
};
use serde_json::{Value, json};

use super::{ACME, ACME_CONTRACT, GLOBEX_CONTRACT, INVOICES, PRODUCTS, SERVICES, until, until_status, world};

#[tokio::test(flavor = "multi_thread")]
async fn s10_the_last_good_contract_is_judged_by_the_operators_newest_word() {
    let world = world().start().await;
    let acme = Request::get(INVOICES).bearer(&world.acme.issuer.token().sign());
    let good = world.config.read(ACME);
    world.config.write(ACME_CONTRACT, "no: [contract");
    world.ext_authz.until_tenant("acme", "last_good").await;
    assert_eq!(world.send(&acme).await.seen().path, "/v1/invoices");

    world.config.edit(ACME, |tenant| tenant["spec"]["status"] = "suspended".into());
    assert_eq!(until_status(&world, &acme, 403).await.reason(), "suspended");
    world.config.write(ACME, &good);
    until_status(&world, &acme, 200).await;
    world.config.edit(ACME, |tenant| tenant["spec"]["upstreams"] = json!(["*.elsewhere.internal"]));
    assert_eq!(until_status(&world, &acme, 503).await.reason(), "unavailable");
    world.config.write(ACME, &good);
    until_status(&world, &acme, 200).await;
    world.config.edit(ACME, |tenant| tenant["spec"]["issuers"][0]["issuer"] = "https://auth.gostoa.dev/realms/new".into());
    assert_eq!(until_status(&world, &acme, 401).await.reason(), "invalid_token");
    let globex = Request::get(PRODUCTS).bearer(&world.globex.issuer.token().sign());
    assert_eq!(world.send(&globex).await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn s10_what_the_operator_breaks_keeps_its_last_good_version_loudly() {
    let world = world().start().await;
    let acme = Request::get(INVOICES).bearer(&world.acme.issuer.token().sign());
    let globex = Request::get(PRODUCTS).bearer(&world.globex.issuer.token().sign());
    let limit = world.send(&globex).await.header("ratelimit-limit").expect("a limit").to_owned();
    for file in ["plans.yaml", "platform.yaml", ACME] {
        let good = world.config.read(file);
        world.config.write(file, &format!("{good}\n  broken: [\n"));
        for service in [&world.ext_authz, &world.ratelimit] {
            deadline::until(&format!("{file} to be complained about"), PATIENCE, || async {
                let log = service.log();
                log.lines().any(|line| line.contains("ERROR") && line.contains(&format!("{file}\""))).then_some(())
            })
            .await;
        }
        assert_eq!(world.send(&acme).await.status, 200, "{file}");
        let answer = world.send(&globex).await;
        assert_eq!((answer.status, answer.header("ratelimit-limit")), (200, Some(limit.as_str())), "{file}");
        // The tenants' own changes are followed all the while.
        let version = file.len();
        world.config.edit(GLOBEX_CONTRACT, |contract| {
            contract["spec"]["apis"][0]["upstream"] = format!("https://inventory.globex.internal/v{version}").into();
        });
        until("globex's change", &world, &globex, |answer| answer.seen().path == format!("/v{version}/products")).await;
        world.config.write(file, &good);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn s10_a_deletion_applies_at_once() {
    let world = world().start().await;
    let acme = Request::get(INVOICES).bearer(&world.acme.issuer.token().sign());
    let globex = Request::get(PRODUCTS).bearer(&world.globex.issuer.token().sign());
    assert_eq!((world.send(&acme).await.status, world.send(&globex).await.status), (200, 200));
    world.config.remove(ACME);
    assert_eq!(until_status(&world, &acme, 401).await.reason(), "invalid_token");
    let before = world.globex.requests();
    world.config.remove(GLOBEX_CONTRACT);
    until_status(&world, &globex, 404).await;
    let reached = world.globex.requests();
    assert_eq!(world.send(&globex).await.status, 404);
    assert!(reached >= before && world.globex.requests() == reached);
}

/// Fills acme's partition with all that a hostile writer could put there; what it made, to take it away again.
fn hostile(config: &Config) -> Vec<PathBuf> {
    let (acme, globex) = (config.path().join("namespaces/tenant-acme"), config.path().join("namespaces/tenant-globex"));
    let planted =
        ["fifo.yaml", "link.yaml", "folder", "circle.yaml", "device.yaml", "huge.yaml", "bomb.yaml", "foreign.yaml", "operator.yaml"];
    let [fifo, link, folder, circle, device, huge, bomb, foreign, operator] = planted.map(|name| acme.join(name));
    assert!(Command::new("mkfifo").arg(&fifo).status().is_ok_and(|status| status.success()), "a FIFO");
    symlink(globex.join("contract.yaml"), &link).expect("a link");
    symlink(&globex, &folder).expect("a link");
    symlink(&circle, &circle).expect("a link");
    symlink("/dev/zero", &device).expect("a link");
    fs::File::create(&huge).and_then(|file| file.set_len(1 << 40)).expect("a sparse file");
    let aliases: String = (1..40).map(|level| format!("a{level}: &a{level} [*a{0}, *a{0}, *a{0}]\n", level - 1)).collect();
    fs::write(&bomb, format!("a0: &a0 [x, x, x]\n{aliases}")).expect("written");
    fs::write(&foreign, fs::read(globex.join("contract.yaml")).expect("readable")).expect("written");
    fs::write(&operator, fs::read(config.path().join("tenants/globex.yaml")).expect("readable")).expect("written");
    planted.map(|name| acme.join(name)).to_vec()
}

/// What `/snapshot` says against a tenant's configuration.
async fn complaint(world: &World, tenant: &str) -> String {
    let snapshot = world.ext_authz.snapshot().await;
    let tenants = snapshot["tenants"].as_array().expect("tenants");
    let found = tenants.iter().find(|state| state["tenant"] == tenant).expect("the tenant");
    found["last_error"].as_str().unwrap_or_default().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn s16_a_hostile_partition_closes_its_own_tenant_and_shows_nothing_of_anothers() {
    let world = world().config(|config| drop(hostile(config))).start().await;
    let acme = world.acme.issuer.token().sign();
    let globex = Request::get(PRODUCTS).bearer(&world.globex.issuer.token().sign());
    assert_eq!(world.send(&globex).await.status, 200);
    for path in [INVOICES, "/acme/inventory-api/products", "/acme/catalog-api/items"] {
        let answer = world.send(&Request::get(path).bearer(&acme)).await;
        assert_eq!((answer.status, answer.reason().as_str()), (503, "unavailable"), "{path}");
    }
    assert_ne!(complaint(&world, "acme").await, "");
    assert!(!complaint(&world, "acme").await.contains("inventory"), "it quotes nothing of globex's");
    assert_eq!(complaint(&world, "globex").await, "");
}

#[tokio::test(flavor = "multi_thread")]
async fn s16_a_partition_that_turns_hostile_keeps_its_last_good_policy_and_stops_nobodys_changes() {
    let world = world().start().await;
    let acme = Request::get(INVOICES).bearer(&world.acme.issuer.token().sign());
    let globex = Request::get(PRODUCTS).bearer(&world.globex.issuer.token().sign());
    assert_eq!(world.send(&acme).await.status, 200);
    let planted = hostile(&world.config);
    world.ext_authz.until_tenant("acme", "last_good").await;
    assert_eq!(world.send(&acme).await.seen().path, "/v1/invoices");
    let foreign = Request::get("/acme/inventory-api/products").bearer(&world.acme.issuer.token().sign());
    assert_eq!(world.send(&foreign).await.status, 404);
    world.config.replace(GLOBEX_CONTRACT, "inventory.globex.internal/v1", "inventory.globex.internal/v5");
    until("globex's change", &world, &globex, |answer| answer.seen().path == "/v5/products").await;
    for path in planted {
        fs::remove_file(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    }
    world.ext_authz.until_tenant("acme", "ready").await;
    assert_eq!(world.send(&acme).await.status, 200);
}

/// initech: a newcomer of the operator's, with a contract of its own.
fn newcomer(config: &Config, spec: &Value, apis: &Value) {
    config.put(
        "namespaces/tenant-initech/contract.yaml",
        &json!({
            "apiVersion": "gostoa.dev/v1alpha1",
            "kind": "UniversalAPIContract",
            "metadata": { "name": "initech-contract", "namespace": "tenant-initech" },
            "spec": { "version": "1.0", "apis": apis },
        }),
    );
    let mut tenant = json!({
        "apiVersion": "gostoa.dev/v1alpha1",
        "kind": "Tenant",
        "metadata": { "name": "initech" },
        "spec": { "plan": "starter", "uid": "01JDINITECHEXAMPLE0000000I" },
    });
    for (name, value) in spec.as_object().expect("fields") {
        tenant["spec"][name] = value.clone();
    }
    config.put("tenants/initech.yaml", &tenant);
}

/// Waits until both services have judged the newcomer.
async fn until_judged(world: &World) {
    for service in [&world.ext_authz, &world.ratelimit] {
        deadline::until("the newcomer to be judged", PATIENCE, || async {
            (service.tenant_state("initech").await.is_some() || service.log().contains("initech")).then_some(())
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn s17_a_newcomer_that_claims_what_an_incumbent_holds_gets_none_of_it() {
    let initech = Issuer::start("initech").await;
    let world = world().start().await;
    let acme = Request::get(INVOICES).bearer(&world.acme.issuer.token().sign());
    assert_eq!(world.send(&acme).await.status, 200);
    let own = json!({ "issuer": initech.issuer(), "jwksUri": initech.jwks_uri() });
    let acmes = json!({ "issuer": world.acme.issuer.issuer(), "jwksUri": initech.jwks_uri() });
    newcomer(
        &world.config,
        &json!({ "issuers": [own, acmes], "upstreams": ["*.acme.internal", "billing.acme.internal", "*.internal"] }),
        &json!([{ "name": "billing-api", "upstream": "https://billing.acme.internal/v1" }]),
    );
    until_judged(&world).await;
    let before = world.acme.requests();
    // acme's issuer with the newcomer's keys, acme's own token, and the newcomer's: nobody reaches acme's upstream by the newcomer's name.
    let forged = world.acme.issuer.token().header("kid", initech.key().kid()).sign_with(&initech.key());
    for token in [&forged, &world.acme.issuer.token().sign(), &initech.token().sign()] {
        let status = world.send(&Request::get("/initech/billing-api/invoices").bearer(token)).await.status;
        assert!(matches!(status, 401 | 404 | 503), "{status}");
    }
    assert_eq!(world.send(&Request::get(INVOICES).bearer(&forged)).await.status, 401);
    assert_eq!(world.acme.requests(), before);
    assert_eq!(world.send(&acme).await.status, 200, "the incumbent keeps what it holds");
}

#[tokio::test(flavor = "multi_thread")]
async fn s17_a_guarantee_past_the_total_refuses_that_newcomer_alone() {
    let initech = Issuer::start("initech").await;
    let world = world()
        .config(|config| {
            config.edit_all("plans.yaml", |plans| {
                let mut greedy = plans[0].clone();
                greedy["metadata"]["name"] = "greedy".into();
                greedy["spec"]["rateLimit"] = json!({ "requestsPerMinute": 600_000 });
                greedy["spec"]["guaranteed"] = json!({ "requestsPerMinute": 599_000 });
                plans.push(greedy);
            });
        })
        .start()
        .await;
    let own = json!([{ "issuer": initech.issuer(), "jwksUri": initech.jwks_uri() }]);
    let upstream = world.acme.upstream("orders");
    world.config.edit("platform.yaml", |platform| {
        platform["spec"]["upstreams"]["connect"]["https://any.initech.internal"] = upstream.origin().into();
    });
    let fields = |plan: &str| json!({ "plan": plan, "issuers": own, "upstreams": ["*.initech.internal"] });
    let apis = json!([{ "name": "any-api", "upstream": "https://any.initech.internal/v1" }]);
    newcomer(&world.config, &fields("greedy"), &apis);
    until_judged(&world).await;
    let newcomers = Request::get("/initech/any-api/x").bearer(&initech.token().sign());
    let status = world.send(&newcomers).await.status;
    assert!(matches!(status, 401 | 503), "{status}");
    for request in [
        Request::get(INVOICES).bearer(&world.acme.issuer.token().sign()),
        Request::get(PRODUCTS).bearer(&world.globex.issuer.token().sign()),
    ] {
        assert_eq!(world.send(&request).await.status, 200);
    }
    assert_eq!(upstream.requests(), 0);
    newcomer(&world.config, &fields("starter"), &apis);
    until_status(&world, &newcomers, 200).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn s21_a_wildcard_that_overlaps_an_incumbents_host_takes_nothing_from_it() {
    let initech = Issuer::start("initech").await;
    let world = world()
        .config(|config| {
            config.edit(ACME, |tenant| tenant["spec"]["hosts"] = json!(["*.acme.example.com"]));
            config.edit(ACME_CONTRACT, |contract| contract["spec"]["apis"][0]["hosts"] = json!(["billing.acme.example.com"]));
        })
        .start()
        .await;
    let home = |token: &str| Request::get("/invoices").host("billing.acme.example.com").bearer(token);
    let acme = home(&world.acme.issuer.token().sign());
    assert_eq!(world.send(&acme).await.seen().upstream, "acme-billing");
    let own = json!([{ "issuer": initech.issuer(), "jwksUri": initech.jwks_uri() }]);
    for hosts in ["*.example.com", "*.billing.acme.example.com", "billing.acme.example.com", "*.acme.example.com"] {
        newcomer(
            &world.config,
            &json!({ "issuers": own, "hosts": [hosts], "upstreams": ["*.initech.internal"] }),
            &json!([{ "name": "any-api", "upstream": "https://any.initech.internal/v1", "hosts": [hosts.replace("*.", "deep.")] }]),
        );
        until_judged(&world).await;
        let started = Instant::now();
        // Whatever the newcomer is given and whenever it is: the host stays acme's.
        while started.elapsed() < Duration::from_millis(300) {
            assert_eq!(world.send(&acme).await.seen().upstream, "acme-billing", "{hosts}");
            assert_eq!(world.send(&home(&initech.token().sign())).await.status, 401, "{hosts}");
        }
    }
}

#[test]
fn s21_names_that_could_be_taken_for_something_else_are_refused() {
    let long = "a".repeat(57);
    for name in
        ["admin", "api", "default", "platform", "unresolved", "__unresolved__", "Acme", "a.b", "a_b", "-a", "a-", "", &long, "a/b", "a b"]
    {
        let config = Config::examples();
        config.edit(ACME, |tenant| tenant["metadata"]["name"] = name.into());
        for binary in SERVICES {
            let output = service::run(binary, &["validate", "--config", &config.path().display().to_string()]);
            let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
            assert_eq!(output.status.code(), Some(2), "{binary}: {name:?}: {said}");
            assert!(said.contains("tenants/acme.yaml:"), "{name:?}: {said}");
        }
    }
}
