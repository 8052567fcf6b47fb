//! The real Keycloak behind the real Envoy and both services, from the files that docker compose runs: the realms of `compose/keycloak`,
//! `examples/config`, `envoy/contract-routing.yaml` and the commands of docker-compose.yml. Nothing in them is replaced but addresses,
//! ports and the loopback line of the guard.

use std::time::Duration;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use bulkhead_tests::{
    client::{Answer, Request},
    compose,
    config::Config,
    deadline,
    keycloak::Keycloak,
    world::World,
};

/// How soon a rotation must be followed.
const FOLLOWED_WITHIN: Duration = Duration::from_secs(90);

#[tokio::test(flavor = "multi_thread")]
async fn two_realms_of_keycloak_are_two_tenants_through_rotation_other_keys_disabling_and_deletion() {
    let keycloak = Keycloak::start().await;
    let ext_authz = compose::arguments("ext-authz", &["--config", "--audit-dir", "--grpc", "--health", "--admin"]);
    let ratelimit = compose::arguments("ratelimit", &["--config", "--store", "--audit-dir", "--grpc", "--health", "--admin"]);
    let mut world = World::builder()
        .as_shipped()
        // The flags of compose say it.
        .undeclared()
        .valkey()
        .config(|config| back_channel(config, &keycloak))
        .ext_authz(&ext_authz.iter().map(String::as_str).collect::<Vec<_>>())
        .ratelimit(&ratelimit.iter().map(String::as_str).collect::<Vec<_>>())
        .start()
        .await;
    let acme = async || keycloak.token("tenant-acme", "acme-billing-app", "acme-demo-secret").await;
    let globex = async || keycloak.token("tenant-globex", "globex-inventory-app", "globex-demo-secret").await;
    let envoy = world.envoy.address();
    let ask = async |path: &str, token: &str| -> Answer { Request::get(path).bearer(token).send(envoy).await };

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

    // An elliptic key takes over; the RSA key signs no more and stays in the set, so what it signed stands until it expires.
    keycloak.add_key("tenant-acme", "ecdsa-generated", "ES256", 300).await;
    keycloak.sign_with("tenant-acme", "ES256").await;
    keycloak.retire("tenant-acme", "rsa-generated").await;
    let elliptic = acme().await;
    assert!(header_of(&elliptic).contains("ES256"), "Keycloak signs with the new key");
    assert!(keycloak.keys("tenant-acme").await.1.iter().any(|key| key["alg"] == "RS256"), "a retired key stays published");
    deadline::until("the elliptic key's token to be accepted", FOLLOWED_WITHIN, || async {
        let status = ask("/acme/billing-api/invoices", &elliptic).await.status;
        tokio::time::sleep(Duration::from_millis(200)).await;
        (status == 200).then_some(())
    })
    .await;
    assert_eq!(ask("/acme/billing-api/invoices", &rotated).await.status, 200, "what a retired key signed stands");

    // A disabled realm gives no tokens and answers its keys all the same: nobody can tell by them, so what it signed stands until it expires.
    // It is the tenant's own status that stops it at once.
    keycloak.disable("tenant-acme").await;
    assert!(!keycloak.gives_tokens("tenant-acme", "acme-billing-app", "acme-demo-secret").await);
    assert_eq!(keycloak.keys("tenant-acme").await.0, 200);
    assert_eq!(ask("/acme/billing-api/invoices", &elliptic).await.status, 200);
    world.config.edit("tenants/acme.yaml", |tenant| tenant["spec"]["status"] = "suspended".into());
    deadline::until("acme to be suspended", FOLLOWED_WITHIN, || async {
        (ask("/acme/billing-api/invoices", &elliptic).await.status == 403).then_some(())
    })
    .await;

    // A deleted realm answers 404: its keys are believed for an hour at the most, as of any provider that is away (S18, S23).
    let last = globex().await;
    keycloak.delete("tenant-globex").await;
    assert_eq!(keycloak.keys("tenant-globex").await, (404, Vec::new()));
    assert_eq!(ask("/globex/inventory-api/items", &last).await.status, 200, "its last token stands until it expires");
    // After a start without its keys there is nothing to believe: 503 at its own address, and 401 elsewhere (S22).
    world.ext_authz.restart().await;
    deadline::until("the deleted realm's token to be unjudgeable", FOLLOWED_WITHIN, || async {
        (ask("/globex/inventory-api/items", &last).await.status == 503).then_some(())
    })
    .await;
    assert_eq!(ask("/acme/billing-api/invoices", &last).await.status, 401);
}

/// The header of a token, as text.
fn header_of(token: &str) -> String {
    let header = token.split('.').next().and_then(|header| URL_SAFE_NO_PAD.decode(header).ok());
    String::from_utf8_lossy(&header.expect("a token has a header")).into_owned()
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
