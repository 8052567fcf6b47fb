//! The real Keycloak behind the real Envoy and both services, from the files that docker compose runs: the realms of `compose/keycloak`,
//! `examples/config`, `envoy/contract-routing.yaml` and the commands of docker-compose.yml. Nothing in them is replaced but addresses,
//! ports and the loopback line of the guard.

use std::time::Duration;

use bulkhead_tests::{
    client::{Answer, Request},
    compose,
    config::Config,
    keycloak::Keycloak,
    world::World,
};

/// How soon a rotation must be followed.
const FOLLOWED_WITHIN: Duration = Duration::from_secs(90);

#[tokio::test(flavor = "multi_thread")]
async fn two_realms_of_keycloak_are_two_tenants_and_a_rotation_is_followed() {
    let keycloak = Keycloak::start().await;
    let ext_authz = compose::arguments("ext-authz", &["--config", "--grpc", "--health", "--admin"]);
    let ratelimit = compose::arguments("ratelimit", &["--config", "--store", "--grpc", "--health", "--admin"]);
    let world = World::builder()
        .valkey()
        .config(|config| back_channel(config, &keycloak))
        .ext_authz(&ext_authz.iter().map(String::as_str).collect::<Vec<_>>())
        .ratelimit(&ratelimit.iter().map(String::as_str).collect::<Vec<_>>())
        .start()
        .await;
    let acme = async || keycloak.token("tenant-acme", "acme-billing-app", "acme-demo-secret").await;
    let globex = async || keycloak.token("tenant-globex", "globex-inventory-app", "globex-demo-secret").await;
    let ask = async |path: &str, token: &str| -> Answer { world.send(&Request::get(path).bearer(token)).await };

    let (of_acme, of_globex) = (acme().await, globex().await);
    // Each realm's token reaches its own tenant's API, at the upstream and the path of the contract.
    let answer = ask("/acme/billing-api/invoices?year=2026", &of_acme).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let seen = answer.seen();
    assert_eq!((seen.upstream.as_str(), seen.path.as_str()), ("acme-billing", "/v1/invoices?year=2026"));
    assert_eq!(seen.header("x-bulkhead-tenant"), ["acme"]);
    assert_eq!(seen.header("x-bulkhead-subscription"), ["acme-sub-001"], "the client of the token names the subscription");
    assert!(seen.header("authorization").is_empty(), "the credential goes no further than Envoy (S13)");
    let answer = ask("/globex/inventory-api/items", &of_globex).await;
    assert_eq!((answer.status, answer.seen().upstream.as_str()), (200, "globex-inventory"));

    // Neither reaches the other's, and is not told whether there is such a tenant.
    let (foreign, nobody) = (ask("/globex/inventory-api/items", &of_acme).await, ask("/nobody/inventory-api/items", &of_acme).await);
    assert_eq!((foreign.status, foreign.reason()), (401, nobody.reason()));
    assert_eq!(nobody.status, 401);
    assert_eq!(ask("/acme/billing-api/invoices", &of_globex).await.status, 401);

    // acme's realm withdraws the key that signed: what it signs now is accepted, what it signed before no longer, and globex sees nothing of it.
    keycloak.rotate("tenant-acme").await;
    let rotated = acme().await;
    let start = std::time::Instant::now();
    loop {
        let (new, old) =
            (ask("/acme/billing-api/invoices", &rotated).await.status, ask("/acme/billing-api/invoices", &of_acme).await.status);
        assert_eq!(ask("/globex/inventory-api/items", &of_globex).await.status, 200, "globex is served throughout");
        if (new, old) == (200, 401) {
            break;
        }
        assert!(start.elapsed() < FOLLOWED_WITHIN, "the new key's token is answered {new}, the withdrawn one's {old}");
        // Not faster: failed authentications of one source are counted (S5).
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    assert_eq!(ask("/globex/inventory-api/items", &rotated).await.status, 401);
}

/// Points both tenants' keys at Keycloak's address, in place of the name that it has in compose.
fn back_channel(config: &Config, keycloak: &Keycloak) {
    for tenant in ["acme", "globex"] {
        config.edit(&format!("tenants/{tenant}.yaml"), |resource| {
            let uri = &mut resource["spec"]["issuers"][0]["jwksUri"];
            let path = uri.as_str().and_then(|uri| uri.split_once("/realms/")).map(|(_, path)| path.to_owned());
            *uri = format!("http://{}/realms/{}", keycloak.address(), path.expect("keys of a realm")).into();
        });
    }
}
