use std::sync::OnceLock;

use base64::Engine;
use bulkhead_tenancy::{
    catalog::{Catalog, changes_of},
    clock::ManualClock,
    fault::Severity,
    subscription::KeyHash,
};
use serde_json::{Value, json};

use super::{
    testing::{Answer, NOW_S, NOW_US, Provider, Signer, claims, until, with},
    *,
};

mod agreement;
mod attacks;
mod caching;
mod flood;
mod rfc8725;

const ACME: &str = "https://auth.example/realms/tenant-acme";
const GLOBEX: &str = "https://auth.example/realms/tenant-globex";
const STRICT: &str = "https://auth.example/realms/tenant-strict";
const BROKEN: &str = "https://auth.example/realms/tenant-broken";
const ACME_KEY: &str = "acme.key-of-one";
const GLOBEX_KEY: &str = "globex.key-of-one";
const BARE_KEY: &str = "key-without-a-tenant";

/// What an issuer or a platform is, where a test wants it otherwise.
#[derive(Clone, Copy)]
struct Written {
    /// Members of acme's issuer.
    issuer: &'static str,
    /// Members of the platform.
    platform: &'static str,
    /// acme's uid.
    uid: &'static str,
}

const PLAIN: Written = Written { issuer: "leewaySeconds: 30", platform: "unresolved: { requestsPerMinute: 1000000 }", uid: "uid-acme" };

fn hash(key: &str) -> String {
    let KeyHash(bytes) = KeyHash::of(key);
    format!("sha256:{}", hex::encode(bytes))
}

fn resource(kind: &str, name: &str, spec: &str) -> String {
    format!("apiVersion: gostoa.dev/v1alpha1\nkind: {kind}\nmetadata: {{ name: {name} }}\nspec: {{ {spec} }}\n")
}

fn own(kind: &str, tenant: &str, name: &str, spec: &str) -> String {
    format!(
        "---\napiVersion: gostoa.dev/v1alpha1\nkind: {kind}\nmetadata: {{ name: {name}, namespace: tenant-{tenant} }}\nspec: {{ {spec} }}\n"
    )
}

/// Four tenants: acme, globex, strict (its plan requires the claim) and broken (no policy of it was ever good).
fn snapshot(written: Written) -> Arc<Snapshot> {
    let tenant = |name: &str, plan: &str, uid: &str, issuer: &str| {
        let id = format!("https://auth.example/realms/tenant-{name}");
        resource("Tenant", name, &format!("plan: {plan}, uid: {uid}, issuers: [ {{ issuer: {id}, jwksUri: {id}/certs, {issuer} }} ]"))
    };
    let policy = |name: &str, key: &str| {
        let contract =
            own("UniversalAPIContract", name, "contract", &format!("apis: [ {{ name: api, upstream: 'https://api.{name}.internal/' }} ]"));
        let keyed = |name_of: &str, key: &str| own("Subscription", name, name_of, &format!("keyHash: '{}'", hash(key)));
        let app = own("Subscription", name, "of-app", "clientId: app");
        format!(
            "{contract}{}{}{app}",
            keyed("of-key", key),
            keyed("of-bare", &format!("{BARE_KEY}{}", if name == "acme" { "" } else { name }))
        )
    };
    let files = [
        ("platform.yaml", resource("Platform", "platform", &format!("rateLimit: {{ requestsPerMinute: 100000 }}, {}", written.platform))),
        ("standard.yaml", resource("Plan", "standard", "rateLimit: { requestsPerMinute: 1000 }")),
        ("strict.yaml", resource("Plan", "strict", "rateLimit: { requestsPerMinute: 1000 }, requireTenantClaim: true")),
        ("acme.yaml", tenant("acme", "standard", written.uid, written.issuer)),
        ("globex.yaml", tenant("globex", "standard", "uid-globex", "leewaySeconds: 0")),
        ("strict-tenant.yaml", tenant("strict", "strict", "uid-strict", "leewaySeconds: 0")),
        ("broken.yaml", tenant("broken", "standard", "uid-broken", "leewaySeconds: 0")),
        ("namespaces/tenant-acme/all.yaml", policy("acme", ACME_KEY)),
        ("namespaces/tenant-globex/all.yaml", policy("globex", GLOBEX_KEY)),
        ("namespaces/tenant-strict/all.yaml", policy("strict", "strict.key")),
        ("namespaces/tenant-broken/all.yaml", own("UniversalAPIContract", "broken", "contract", "apis: 7")),
    ];
    let files: Vec<(&str, &str)> = files.iter().map(|(path, text)| (*path, text.as_str())).collect();
    let mut catalog = Catalog::new(Arc::new(ManualClock::at_us(NOW_US)));
    let snapshot = catalog.apply(changes_of(&files)).unwrap();
    let errors = catalog.faults().into_iter().filter(|fault| fault.severity == Severity::Error);
    let elsewhere: Vec<String> = errors.map(|fault| fault.to_string()).filter(|fault| !fault.contains("tenant-broken")).collect();
    assert!(elsewhere.is_empty(), "{elsewhere:?}");
    snapshot
}

/// The keys of the tenants' issuers, the same in every test.
fn signers() -> &'static [(&'static str, Signer)] {
    static SIGNERS: OnceLock<Vec<(&str, Signer)>> = OnceLock::new();
    SIGNERS.get_or_init(|| [ACME, GLOBEX, STRICT, BROKEN].map(|issuer| (issuer, Signer::ed25519())).into())
}

fn signer(issuer: &str) -> &'static Signer {
    &signers().iter().find(|(id, _)| *id == issuer).unwrap().1
}

struct World {
    identity: Identity,
    snapshot: Arc<Snapshot>,
    clock: ManualClock,
    provider: Arc<Provider>,
}

/// What a test presents, and where.
#[derive(Clone, Copy, Default)]
struct Ask<'a> {
    token: Option<&'a str>,
    key: Option<&'a str>,
    name: Option<&'a str>,
    inconsistent: bool,
    source: Option<&'a str>,
}

impl World {
    fn new() -> Self {
        Self::with(PLAIN, Settings::default())
    }

    fn with(written: Written, settings: Settings) -> Self {
        let clock = ManualClock::at_us(NOW_US);
        let provider = Provider::new();
        for (issuer, signer) in signers() {
            provider.set(issuer, Answer::Keys(vec![signer.jwk("k")]));
        }
        let settings = Settings { wait: std::time::Duration::from_secs(20), ..settings };
        let identity = Identity::new(settings, Arc::new(clock.clone()), Arc::clone(&provider) as Arc<dyn KeyProvider>);
        Self { identity, snapshot: snapshot(written), clock, provider }
    }

    async fn ask(&self, ask: Ask<'_>) -> Result<Caller, Refusal> {
        self.ask_within(ask, std::time::Duration::from_secs(20)).await
    }

    async fn ask_within(&self, ask: Ask<'_>, patience: std::time::Duration) -> Result<Caller, Refusal> {
        let bearer = ask.token.map(|token| format!("Bearer {token}"));
        let presented = Presented {
            authorization: bearer.iter().map(|value| value.as_bytes()).collect(),
            api_key: ask.key.iter().map(|value| value.as_bytes()).collect(),
        };
        let addressed = Addressed { name: ask.name, consistent: !ask.inconsistent };
        let source = ask.source.map(|source| source.parse().unwrap());
        let sender = Sender { source, until: Instant::now() + patience };
        self.identity.identify(&self.snapshot, &presented, addressed, sender).await
    }

    /// The tenant that is proven, or the reason of the denial.
    async fn who(&self, ask: Ask<'_>) -> Result<String, Reason> {
        self.ask(ask).await.map(|caller| caller.tenant.name.to_string()).map_err(|refusal| refusal.denial.reason)
    }

    async fn token(&self, token: &str, name: Option<&str>) -> Result<String, Reason> {
        self.who(Ask { token: Some(token), name, ..Ask::default() }).await
    }

    async fn key(&self, key: &str, name: Option<&str>) -> Result<String, Reason> {
        self.who(Ask { key: Some(key), name, ..Ask::default() }).await
    }
}

fn token_of(issuer: &str) -> String {
    token_with(issuer, json!({}))
}

/// A token of an issuer's own key, with other claims in place of the plain ones.
fn token_with(issuer: &str, others: Value) -> String {
    signer(issuer).token("k", &with(claims(issuer), others))
}
