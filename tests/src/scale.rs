//! A configuration folder of any size: what 10,000 tenants look like to the loader, the services and the bench.

use std::{
    fmt::Write as _,
    fs, io,
    net::Ipv4Addr,
    path::{Path, PathBuf},
};

/// How much of everything.
#[derive(Debug, Clone)]
pub struct Scale {
    /// Tenants.
    pub tenants: usize,
    /// APIs of each.
    pub apis: usize,
    /// Subscriptions of each: every other one by API key, the rest by client.
    pub subscriptions: usize,
    /// How much they may do.
    pub limits: Limits,
    /// Whether replicas take tokens in advance (`limiter.mode: leased`), instead of asking the store about each request.
    pub leased: bool,
    /// Whether the routes are Envoy's own (`routing: own`) and contracts' upstreams documentation.
    pub own_routes: bool,
    /// Whether every decision must be on record before it is answered (`audit: full`).
    pub audited: bool,
    /// A JWK that every tenant's issuer signs with, so that tokens can be made without a provider for each.
    pub key: Option<String>,
}

/// How much the tenants may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Limits {
    /// As the articles have it: a thousand requests a minute for a tenant, a hundred for a subscription.
    AsPrinted,
    /// So much that nothing is denied: what a bench wants to measure is the admitted path, which charges every level.
    Unreached,
}

impl Scale {
    /// The scale that the product is measured by.
    pub const TEN_THOUSAND: Self = Self {
        tenants: 10_000,
        apis: 4,
        subscriptions: 10,
        limits: Limits::AsPrinted,
        leased: false,
        own_routes: false,
        audited: false,
        key: None,
    };

    /// The issuer of a tenant's tokens.
    #[must_use]
    pub fn issuer(tenant: usize) -> String {
        format!("https://auth.example.com/realms/{}", Self::tenant(tenant))
    }

    /// The client of a tenant's subscription that is known by one (those of an odd number).
    #[must_use]
    pub fn client(tenant: usize, subscription: usize) -> String {
        format!("{}-app-{subscription}", Self::tenant(tenant))
    }

    /// A tenant's name, by its number.
    #[must_use]
    pub fn tenant(number: usize) -> String {
        format!("t{number:05}")
    }

    /// The API key of a tenant's subscription that has one (those of an even number). Only its hash is written.
    #[must_use]
    pub fn api_key(tenant: usize, subscription: usize) -> String {
        format!("{}.key-of-subscription-{subscription}", Self::tenant(tenant))
    }

    /// Where a tenant's contract is.
    #[must_use]
    pub fn contract_path(config: &Path, tenant: usize) -> PathBuf {
        config.join(format!("namespaces/tenant-{}/contract.yaml", Self::tenant(tenant)))
    }

    /// Writes the whole folder: one Platform, three plans, a file a tenant, and three files a partition.
    ///
    /// # Errors
    /// The folder cannot be written.
    pub fn write(&self, config: &Path) -> io::Result<()> {
        fs::create_dir_all(config.join("tenants"))?;
        fs::write(config.join("platform.yaml"), self.platform())?;
        for number in 0..self.tenants {
            let name = Self::tenant(number);
            fs::write(Self::tenant_path(config, number), self.tenant_file(number))?;
            let partition = config.join(format!("namespaces/tenant-{name}"));
            fs::create_dir_all(&partition)?;
            fs::write(Self::contract_path(config, number), self.contract(number, 1))?;
            fs::write(partition.join("guardrails.yaml"), self.guardrails(number))?;
            fs::write(partition.join("subscriptions.yaml"), self.subscriptions(number))?;
        }
        Ok(())
    }

    /// A tenant's contract. Versions differ in the path of each upstream.
    #[must_use]
    pub fn contract(&self, tenant: usize, version: usize) -> String {
        let name = Self::tenant(tenant);
        let mut text = format!(
            "apiVersion: gostoa.dev/v1alpha1\nkind: UniversalAPIContract\nmetadata: {{ name: {name}-contract, namespace: tenant-{name} }}\nspec:\n  version: \"1.0\"\n  apis:\n"
        );
        let upstream = Self::upstream(tenant);
        let audit = if self.audited { "    - audit: full\n" } else { "" };
        for api in 0..self.apis {
            let _ = write!(
                text,
                "  - name: api-{api}\n    upstream: https://{upstream}:{}/v{version}\n    methods: [GET, POST]\n    policies:\n    - rateLimit: tier-professional\n    - auth: any\n{audit}",
                8000 + api
            );
        }
        text
    }

    fn guardrails(&self, tenant: usize) -> String {
        let name = Self::tenant(tenant);
        let apis: Vec<String> = (0..self.apis).map(|api| format!("api-{api}")).collect();
        format!(
            "apiVersion: gostoa.dev/v1alpha1\nkind: GuardrailPolicy\nmetadata: {{ name: {name}-guardrails, namespace: tenant-{name} }}\nspec:\n  rateLimit: {{ requestsPerMinute: {}, burstMultiplier: 2.0 }}\n  toolAllowlist: [{}]\n",
            self.per_minute(1_000),
            apis.join(", ")
        )
    }

    fn subscriptions(&self, tenant: usize) -> String {
        use sha2::{Digest, Sha256};
        let name = Self::tenant(tenant);
        let mut text = String::new();
        for subscription in 0..self.subscriptions {
            let holder = if subscription % 2 == 0 {
                format!("keyHash: sha256:{}", hex::encode(Sha256::digest(Self::api_key(tenant, subscription))))
            } else {
                format!("clientId: {}", Self::client(tenant, subscription))
            };
            let _ = write!(
                text,
                "---\napiVersion: gostoa.dev/v1alpha1\nkind: Subscription\nmetadata: {{ name: {name}-sub-{subscription}, namespace: tenant-{name} }}\nspec:\n  apis: [api-{}]\n  {holder}\n  rateLimit: {{ requestsPerMinute: {} }}\n",
                subscription % self.apis.max(1),
                self.per_minute(100)
            );
        }
        text
    }

    fn platform(&self) -> String {
        let mut text = format!(
            "apiVersion: gostoa.dev/v1alpha1\nkind: Platform\nmetadata: {{ name: platform }}\nspec:\n  issuerTemplate: https://auth.example.com/realms/{{tenant}}\n  routing: {}\n  addressing: {{ path: \"/{{tenant}}/{{api}}\" }}\n  rateLimit: {{ requestsPerMinute: {} }}\n",
            if self.own_routes { "own" } else { "contract" },
            self.per_minute(self.tenants.max(1) * 600)
        );
        if self.leased {
            text.push_str("  limiter: { mode: leased }\n");
        }
        for (plan, limit) in [("starter", 1_000), ("professional", 10_000), ("enterprise", 60_000)] {
            let limit = self.per_minute(limit);
            let _ = write!(
                text,
                "---\napiVersion: gostoa.dev/v1alpha1\nkind: Plan\nmetadata: {{ name: {plan} }}\nspec:\n  rateLimit: {{ requestsPerMinute: {limit}, burstMultiplier: 2.0 }}\n  guaranteed: {{ requestsPerMinute: 60 }}\n"
            );
        }
        text
    }

    /// A limit, or one that no bench reaches.
    fn per_minute(&self, printed: usize) -> usize {
        match self.limits {
            Limits::AsPrinted => printed,
            Limits::Unreached => 40_000_000,
        }
    }

    /// A tenant's upstream: an address, because no resolver knows names of tenants that nobody is.
    fn upstream(tenant: usize) -> Ipv4Addr {
        let number = u32::try_from(tenant).unwrap_or(u32::MAX).saturating_add(1);
        Ipv4Addr::from_bits(Ipv4Addr::new(10, 0, 0, 0).to_bits() | number)
    }

    /// Where a tenant's own resource is: the operator's.
    #[must_use]
    pub fn tenant_path(config: &Path, tenant: usize) -> PathBuf {
        config.join(format!("tenants/{}.yaml", Self::tenant(tenant)))
    }

    /// The operator's resource of a tenant; what is appended to it is a field of its `spec`.
    #[must_use]
    pub fn tenant_file(&self, tenant: usize) -> String {
        let name = Self::tenant(tenant);
        let issuers = self
            .key
            .as_ref()
            .map_or_else(String::new, |key| format!("  issuers:\n  - issuer: {}\n    jwks: {{ keys: [ {key} ] }}\n", Self::issuer(tenant)));
        format!(
            "apiVersion: gostoa.dev/v1alpha1\nkind: Tenant\nmetadata: {{ name: {name} }}\nspec:\n  uid: uid-{name}\n  plan: professional\n  upstreams: [\"{}\"]\n  hosts: [\"*.{name}.example.com\"]\n{issuers}",
            Self::upstream(tenant)
        )
    }
}
