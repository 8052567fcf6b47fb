//! What files say, read: the manifests of the articles, every field of every kind, the defaults, and the same from JSON.

#![expect(clippy::unwrap_used, reason = "a fixture that cannot be read fails its test")]

use std::{collections::BTreeSet, path::Path, sync::Arc};

use bulkhead_tenancy::{
    api::{Access, Audit, Auth, Methods, Protocol},
    calendar::{Calendar, Per},
    fault::{Fault, Severity},
    guardrail::{Detector, PiiDetection, RegoVersion},
    host::HostName,
    issuer::{Algorithm, ClaimPath, KeySource},
    judge,
    limit::{Quota, QuotaWindow, Rate, RateLimit},
    name::TenantName,
    platform::{LimiterMode, PathTemplate, Platform, Routing},
    resource::{self, Kind, Resource, guardrail::Apply},
    subscription::{Holder, KeyHash},
    tenant::{Guarantee, Isolation, Plan, Status, StoreFailure},
};
use secrecy::ExposeSecret;

fn read(path: &str) -> (Vec<Resource>, Vec<Fault>) {
    let text = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(path)).unwrap();
    resource::read(&Arc::from(path), &text)
}

fn read_all(path: &str) -> Vec<Resource> {
    let (resources, faults) = read(path);
    assert_eq!(faults, [], "{path}");
    resources
}

macro_rules! only {
    ($resources:expr, $kind:ident) => {
        $resources.iter().find_map(|resource| if let Resource::$kind(one) = resource { Some(one) } else { None }).unwrap()
    };
}

fn platform(resources: &[Resource]) -> Platform {
    let mut faults = Vec::new();
    let platform = judge::platform::judge(only!(resources, Platform), &mut faults);
    assert!(faults.iter().all(|fault| fault.severity == Severity::Warning), "{faults:?}");
    platform.unwrap()
}

fn texts<T: ToString>(items: &[T]) -> Vec<String> {
    items.iter().map(ToString::to_string).collect()
}

fn words(list: &[&str]) -> BTreeSet<String> {
    list.iter().map(|word| (*word).to_owned()).collect()
}

#[test]
fn the_contract_that_the_article_prints_loads_unchanged() {
    let resources = read_all("articles/tenant-acme-uac.yaml");
    let contract = only!(resources, Contract);
    assert_eq!(contract.metadata.name.as_str(), "acme-contract");
    assert_eq!(contract.metadata.namespace.as_ref().unwrap().as_str(), "tenant-acme");
    assert_eq!(contract.version.as_deref(), Some("1.0"));
    let apis: Vec<_> = contract
        .apis
        .iter()
        .map(|api| (api.name.as_str(), api.upstream.to_string(), api.tier.as_ref().unwrap().as_str(), *api.auth, *api.audit))
        .collect();
    assert_eq!(
        apis,
        [
            ("billing-api", "https://billing.acme.internal:443/v1".to_owned(), "professional", Auth::JwtKeycloak, Audit::Full),
            ("orders-api", "https://orders.acme.internal:443/v2".to_owned(), "professional", Auth::JwtKeycloak, Audit::Denied),
        ]
    );
}

#[test]
fn the_guardrails_that_the_article_prints_load_unchanged() {
    let resources = read_all("articles/guardrail-policy.yaml");
    let policy = only!(resources, Guardrail);
    assert_eq!(policy.metadata.name.as_str(), "acme-guardrails");
    assert_eq!(policy.rate_limit.as_ref().unwrap().value, RateLimit { rate: Rate::per_minute(1000), capacity: 2000 });
    let filter = policy.content_filter.as_ref().unwrap();
    assert_eq!(**filter.pii_detection.as_ref().unwrap(), PiiDetection::Redact);
    assert_eq!(filter.blocked_topics.iter().map(|label| label.as_str()).collect::<Vec<_>>(), ["competitor-names", "internal-pricing"]);
    let allowed = policy.tool_allowlist.as_ref().unwrap();
    assert_eq!(allowed.iter().map(|name| name.as_str()).collect::<Vec<_>>(), ["billing-api", "orders-api"]);
}

#[test]
fn every_field_of_the_platform_is_read() {
    let platform = platform(&read_all("operator-every-field.yaml"));
    let acme: TenantName = "acme".parse().unwrap();
    assert_eq!(platform.issuer_template.unwrap().for_tenant(&acme), "https://auth.gostoa.dev/realms/tenant-acme");
    assert_eq!(platform.jwks_template.unwrap().for_tenant(&acme), "https://keycloak:8443/realms/tenant-acme/protocol/openid-connect/certs");
    assert_eq!(platform.audiences, words(&["gateway", "gateway-staging"]));
    assert_eq!(platform.routing, Routing::Contract);
    let host = platform.addressing.host.unwrap();
    assert_eq!((host.prefix.as_str(), host.suffix.as_str(), platform.addressing.path), ("", ".api.example.com", PathTemplate::Api));
    assert_eq!(platform.rate_limit, RateLimit { rate: Rate::per_minute(600_000), capacity: 900_000 });
    assert_eq!(platform.unresolved, RateLimit::per_minute(60, 1.0));
    assert_eq!((platform.auth_failures.per_source_minute, platform.auth_failures.per_tenant_minute), (30, 500));
    assert_eq!(platform.topics["competitor-names"].phrases, ["Initech", "Hooli"]);
    assert_eq!(platform.topics["internal-pricing"].patterns, [r"\bmargin\s+\d+%"]);
    assert!(platform.allow_insecure_issuers);
    assert_eq!(platform.regions["eu"], Path::new("/var/lib/bulkhead/audit/eu"));
    assert_eq!(platform.regions.len(), 2);
    assert_eq!((platform.limiter.mode, platform.limiter.replicas), (LimiterMode::Leased, 3));
    assert_eq!((platform.context_token.enabled, platform.context_token.ttl_seconds), (true, 90));
    assert!(platform.upstreams.allow_loopback);
    let connect: Vec<_> = platform.upstreams.connect.iter().map(|(from, to)| format!("{from} {to}")).collect();
    assert_eq!(connect, ["https://billing.acme.internal:443 http://127.0.0.1:18081"]);
    assert_eq!(texts(&platform.upstreams.own_hosts.into_iter().collect::<Vec<_>>()), ["auth.gostoa.dev", "keycloak"]);
}

#[test]
fn every_field_of_a_plan_is_read() {
    let resources = read_all("operator-every-field.yaml");
    assert_eq!(
        judge::plan::judge(only!(resources, Plan)),
        Plan {
            name: "professional".parse().unwrap(),
            rate_limit: RateLimit { rate: Rate::per_minute(10_000), capacity: 20_000 },
            guaranteed: Some(Guarantee { rate: Rate::per_minute(2000), burst_seconds: 2 }),
            quotas: vec![
                Quota { requests: 5_000_000, window: QuotaWindow::Calendar(Calendar::new(Per::Month, Some(15), "Europe/Paris").unwrap()) },
                Quota { requests: 200_000, window: QuotaWindow::Calendar(Calendar::new(Per::Day, None, "UTC").unwrap()) },
                Quota { requests: 1000, window: QuotaWindow::Sliding { length_us: 7 * 24 * 3_600_000_000 } },
            ],
            isolation: Isolation::Silo,
            require_tenant_claim: true,
        }
    );
}

#[test]
fn every_field_of_a_tenant_is_read() {
    let resources = read_all("operator-every-field.yaml");
    let mut faults = Vec::new();
    let grant = judge::tenant::judge(only!(resources, Tenant), &platform(&resources), &mut faults).unwrap();
    assert!(judge::plan::fits(&grant, &judge::plan::judge(only!(resources, Plan)), &mut faults));
    assert_eq!(faults, []);
    assert_eq!(grant.uid.as_ref().unwrap().as_str(), "01J0ACME", "the operator's own uid beats Kubernetes'");
    assert_eq!((grant.namespace.as_str(), grant.plan.as_str(), grant.region.as_str()), ("acme-prod", "professional", "eu"));
    assert_eq!((grant.status, grant.on_store_failure), (Status::Suspended, StoreFailure::Closed));
    assert_eq!(grant.limiter_mode, Some(LimiterMode::Exact), "under a platform whose mode is leased");
    assert_eq!(grant.hosts.iter().map(|host| host.to_string()).collect::<Vec<_>>(), ["*.acme.example.com", "acme.example.org"]);
    assert_eq!(
        grant.upstreams.iter().map(|host| host.to_string()).collect::<Vec<_>>(),
        ["*.acme.internal", "10.0.0.7", "[2001:db8::7]", "127.0.0.1"]
    );
    assert_eq!(grant.store.as_ref().unwrap().expose_secret(), "rediss://user:hunter2@acme-redis:6379");
    assert!(!format!("{grant:?}").contains("hunter2"));

    let [first, second, third] = grant.issuers.as_slice() else { panic!("{:?}", grant.issuers) };
    assert_eq!(first.id.as_str(), "https://auth.gostoa.dev/realms/tenant-acme");
    let KeySource::JwksUri(uri) = &first.keys else { panic!("{:?}", first.keys) };
    assert_eq!(uri.as_str(), "http://keycloak:8080/realms/tenant-acme/protocol/openid-connect/certs");
    assert_eq!(first.audiences, words(&["gateway"]));
    assert_eq!(first.algorithms, BTreeSet::from([Algorithm::RS256, Algorithm::ES256]));
    assert_eq!((first.tenant_claim.name.as_str(), first.tenant_claim.required), ("org", true));
    assert_eq!(
        first.roles_claims.iter().map(|path| path.segments().join("/")).collect::<Vec<_>>(),
        ["groups", "resource_access/gateway/roles"]
    );
    assert_eq!(first.leeway_seconds, 5);
    assert_eq!(second.audiences, words(&["gateway", "gateway-staging"]), "the platform's, where an issuer lists none");
    let KeySource::Inline(keys) = &second.keys else { panic!("{:?}", second.keys) };
    assert_eq!(keys.iter().map(|key| key["kty"].as_str().unwrap()).collect::<Vec<_>>(), ["OKP", "RSA"]);
    assert_eq!(keys[0]["kid"], "1", "quoted text stays text");
    let KeySource::Discovery(url) = &third.keys else { panic!("{:?}", third.keys) };
    assert_eq!(url.as_str(), "http://localhost:8080/realms/acme");
}

#[test]
fn every_field_of_the_tenants_own_kinds_is_read() {
    let resources = read_all("tenant-every-field.yaml");
    assert_eq!(
        resources.iter().map(Resource::kind).collect::<Vec<_>>(),
        [Kind::UniversalApiContract, Kind::GuardrailPolicy, Kind::Subscription, Kind::Subscription, Kind::Tool, Kind::ToolSet]
    );
    assert!(resources.iter().all(|resource| resource.namespace().unwrap().as_str() == "tenant-acme" && !resource.kind().is_operators()));

    let api = &only!(resources, Contract).apis[0];
    assert_eq!((*api.auth, *api.audit, *api.protocol), (Auth::ApiKey, Audit::None, Protocol::Mcp));
    assert_eq!(api.methods, Methods::Only(words(&["GET", "POST"])));
    assert_eq!(api.hosts[0].to_string(), "billing.acme.example.com");
    let access = Access { roles: words(&["billing-reader"]), scopes: words(&["billing", "read"]), subscription_required: true };
    assert_eq!(api.access, access);
    assert_eq!(api.openapi.as_ref().unwrap().as_str(), "billing-openapi.yaml");
    assert!(api.forward_credentials);
    assert_eq!(api.rate_limit.as_ref().unwrap().value, RateLimit::per_minute(500, 1.0));

    let policy = only!(resources, Guardrail);
    let filter = policy.content_filter.as_ref().unwrap();
    assert_eq!(**filter.pii_detection.as_ref().unwrap(), PiiDetection::Off, "an unquoted off is the word, not a boolean");
    assert_eq!(filter.detectors.len(), 7);
    assert!(filter.detectors.contains(&Detector::NationalId));
    assert_eq!((filter.topics["own-label"].phrases.len(), filter.topics["own-label"].patterns.len()), (1, 1));
    assert_eq!(filter.apply, Apply { request: true, response: true });
    assert!(filter.allow_unscannable && policy.shadow);
    assert_eq!(**policy.rego_version.as_ref().unwrap(), RegoVersion::V0);
    assert!(policy.rules.as_ref().unwrap().starts_with("allow { input.resource"));

    let subscriptions: Vec<_> =
        resources.iter().filter_map(|one| if let Resource::Subscription(one) = one { Some(one) } else { None }).collect();
    assert_eq!(*subscriptions[0].holder, Holder::Key(KeyHash::of("test")));
    assert_eq!(subscriptions[0].apis.as_ref().unwrap()[0].as_str(), "billing-api");
    let hourly = QuotaWindow::Calendar(Calendar::new(Per::Hour, None, "UTC").unwrap());
    assert_eq!(subscriptions[0].quotas[0].value, Quota { requests: 300, window: hourly });
    assert_eq!(**subscriptions[0].expires_at.as_ref().unwrap(), 1_798_761_600);
    assert_eq!(*subscriptions[1].holder, Holder::Client("acme-billing-app".to_owned()));
    assert!(subscriptions[1].apis.is_none() && subscriptions[1].rate_limit.is_none() && subscriptions[1].quotas.is_empty());

    let tool = only!(resources, Tool);
    assert_eq!(tool.wire.as_ref().map(|wire| wire.as_str()), Some("get_weather/v1.0"));
    assert_eq!((tool.description.as_str(), tool.api.as_str()), ("the weather", "tools-api"));
    let schema = serde_json::json!({ "type": "object", "required": ["city"], "maxProperties": 3 });
    assert_eq!(**tool.input_schema.as_ref().unwrap(), schema);
    let set = only!(resources, ToolSet);
    assert_eq!((set.tools[0].as_str(), &set.access.roles), ("weather-api", &words(&["agent"])));
}

#[test]
fn what_is_left_out_has_its_default() {
    let resources = read_all("least.yaml");
    let platform = platform(&resources);
    assert_eq!(
        (platform.routing, platform.addressing.host.is_none(), platform.addressing.path),
        (Routing::Own, true, PathTemplate::TenantApi)
    );
    assert_eq!(platform.unresolved, RateLimit::per_minute(600, 1.0));
    assert_eq!((platform.auth_failures.per_source_minute, platform.auth_failures.per_tenant_minute), (300, 3000));
    assert_eq!((platform.limiter.mode, platform.limiter.replicas), (LimiterMode::Exact, 1));
    assert_eq!((platform.context_token.enabled, platform.context_token.ttl_seconds), (false, 60));
    assert!(!platform.allow_insecure_issuers && !platform.upstreams.allow_loopback && platform.regions.is_empty());

    let plan = judge::plan::judge(only!(resources, Plan));
    assert_eq!(
        (plan.rate_limit.capacity, plan.guaranteed, plan.isolation, plan.require_tenant_claim),
        (600, None, Isolation::Bridge, false)
    );

    let mut faults = Vec::new();
    let grant = judge::tenant::judge(only!(resources, Tenant), &platform, &mut faults).unwrap();
    assert!(judge::plan::fits(&grant, &plan, &mut faults));
    assert_eq!(faults, []);
    assert_eq!((grant.namespace.as_str(), grant.region.as_str()), ("tenant-globex", "default"));
    assert_eq!((grant.status, grant.on_store_failure, grant.limiter_mode), (Status::Active, StoreFailure::Local, None));
    assert!(grant.hosts.is_empty() && grant.upstreams.is_empty() && grant.store.is_none());
    let [issuer] = grant.issuers.as_slice() else { panic!("{:?}", grant.issuers) };
    assert_eq!(issuer.id.as_str(), "https://auth.gostoa.dev/realms/tenant-globex");
    assert_eq!(issuer.keys, KeySource::Discovery("https://auth.gostoa.dev/realms/tenant-globex".parse().unwrap()));
    assert_eq!(issuer.algorithms, Algorithm::ALL.into_iter().collect());
    assert_eq!((issuer.tenant_claim.name.as_str(), issuer.tenant_claim.required, issuer.leeway_seconds), ("tenant_id", false, 30));
    assert_eq!(issuer.roles_claims, ClaimPath::default_roles());
    assert!(issuer.audiences.is_empty());

    let api = &only!(resources, Contract).apis[0];
    assert_eq!((*api.auth, *api.audit, *api.protocol), (Auth::JwtKeycloak, Audit::Denied, Protocol::Http));
    assert_eq!((&api.methods, &api.access, api.forward_credentials), (&Methods::All, &Access::default(), false));
    let policy = only!(resources, Guardrail);
    assert!(policy.tool_allowlist.is_none() && policy.rules.is_none() && !policy.shadow);
    let filter = policy.content_filter.as_ref().unwrap();
    assert!(filter.pii_detection.is_none() && filter.detectors.is_empty() && !filter.allow_unscannable);
    assert_eq!(filter.apply, Apply { request: true, response: false });
    assert_eq!(only!(resources, Tool).description, "");
}

#[test]
fn an_empty_allowlist_is_not_an_absent_one() {
    let text = "apiVersion: gostoa.dev/v1alpha1\nkind: GuardrailPolicy\nmetadata: { name: none }\nspec: { toolAllowlist: [] }\n";
    let (resources, faults) = resource::read(&Arc::from("f"), text);
    assert_eq!(faults, []);
    assert!(only!(resources, Guardrail).tool_allowlist.as_ref().unwrap().is_empty());
}

#[test]
fn a_place_names_file_line_column_and_field() {
    let resources = read_all("tenant-every-field.yaml");
    let fault = only!(resources, Contract).apis[0].hosts[0].fault("is not granted");
    assert_eq!(fault.to_string(), "tenant-every-field.yaml:12:13: spec.apis[0].hosts[0]: is not granted");
    let fault = only!(resources, ToolSet).tools[0].warning("is odd");
    assert_eq!(fault.to_string(), "tenant-every-field.yaml:59:17: spec.tools[0]: is odd");
}

#[test]
fn the_same_resource_as_json_reads_the_same() {
    let object = serde_json::json!({
        "apiVersion": "gostoa.dev/v1alpha1",
        "kind": "GuardrailPolicy",
        "metadata": { "name": "acme-guardrails", "namespace": "tenant-acme", "uid": "5c2f", "managedFields": [{}], "labels": { "a": "b" } },
        "spec": { "contentFilter": { "piiDetection": false }, "rateLimit": { "requestsPerMinute": 1000, "burstMultiplier": 2.5 } }
    });
    let (resource, faults) = resource::read_json(&Arc::from("tenant-acme/GuardrailPolicy/acme-guardrails"), &object);
    assert_eq!(faults, []);
    let Some(Resource::Guardrail(policy)) = resource else { panic!("{resource:?}") };
    // `kubectl` reads YAML 1.1: its `off` arrives as `false`.
    assert_eq!(**policy.content_filter.as_ref().unwrap().pii_detection.as_ref().unwrap(), PiiDetection::Off);
    assert_eq!(policy.rate_limit.as_ref().unwrap().capacity, 2500);

    let wrong =
        serde_json::json!({ "apiVersion": "gostoa.dev/v1alpha1", "kind": "Tool", "metadata": { "name": "x" }, "spec": { "api": 1 } });
    let (resource, faults) = resource::read_json(&Arc::from("tenant-acme/Tool/x"), &wrong);
    assert!(resource.is_none());
    assert_eq!(
        faults.iter().map(ToString::to_string).collect::<Vec<_>>(),
        ["tenant-acme/Tool/x:0:0: spec.api: must be text, not a number (put it in quotes)"]
    );
}

#[test]
fn a_resource_with_an_error_is_left_out_and_the_others_are_read() {
    let (resources, faults) = read("errors/many-errors.yaml");
    assert_eq!(resources.iter().map(Resource::name).collect::<Vec<_>>(), ["public-tools"]);
    assert!(faults.len() > 15);
}

#[test]
fn s18_plain_http_is_for_loopback_only_until_the_operator_says_otherwise() {
    let read_with = |insecure: bool, url: &str| {
        let text = format!(
            "apiVersion: gostoa.dev/v1alpha1\nkind: Platform\nmetadata: {{ name: p }}\nspec:\n  rateLimit: {{ requestsPerMinute: 1 }}\n  allowInsecureIssuers: {insecure}\n---\n\
             apiVersion: gostoa.dev/v1alpha1\nkind: Tenant\nmetadata: {{ name: acme }}\nspec: {{ uid: u, plan: p, issuers: [{{ issuer: \"{url}\" }}] }}\n"
        );
        let resources = resource::read(&Arc::from("f"), &text).0;
        judge::tenant::judge(only!(resources, Tenant), &platform(&resources), &mut Vec::new()).is_some()
    };
    for loopback in ["http://127.0.0.1:8080", "http://[::1]:8080/realm", "http://localhost/realm", "http://idp.localhost"] {
        assert!(read_with(false, loopback), "{loopback}");
    }
    for elsewhere in ["http://idp.example", "http://10.0.0.1", "http://169.254.169.254", "http://localhost.example.com"] {
        assert!(!read_with(false, elsewhere) && read_with(true, elsewhere), "{elsewhere}");
    }
    assert!(HostName::of_url("[::1]").unwrap().is_loopback());
}
