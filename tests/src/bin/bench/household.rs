//! A few tenants with policies of their own: what the rows about bodies and floods are measured on.

use std::{
    fmt::Write as _,
    fs::{self, OpenOptions},
    io::Write as _,
    path::Path,
};

use bulkhead_tests::{
    issuer::key::Key,
    scale::{Limits, Scale},
};
use tempfile::TempDir;

/// What their policies' topics mean, and providers without TLS on loopback.
const PLATFORM: &str = "  allowInsecureIssuers: true\n  topics:\n    competitor-names: { phrases: [Initech, Hooli] }\n    internal-pricing: { phrases: [price floor], patterns: ['\\bmargin\\s+\\d+%'] }\n";

/// A configuration folder.
pub(crate) struct Household {
    key: Key,
    scale: Scale,
    folder: TempDir,
}

impl Household {
    /// That many tenants, none of which reaches a limit.
    pub(crate) fn of(tenants: usize) -> Self {
        let key = Key::es256("bench");
        let scale = Scale { tenants, limits: Limits::Unreached, own_routes: true, key: Some(key.jwk().to_string()), ..Scale::TEN_THOUSAND };
        let folder = TempDir::new().expect("a temporary directory");
        scale.write(folder.path()).expect("a writable directory");
        let platform = folder.path().join("platform.yaml");
        let written = fs::read_to_string(&platform).expect("it was written");
        fs::write(&platform, written.replacen("  addressing:", &format!("{PLATFORM}  addressing:"), 1)).expect("a writable directory");
        Self { key, scale, folder }
    }

    /// One more policy of a tenant's, by the lines of its `spec`.
    pub(crate) fn policy(self, tenant: usize, spec: &str) -> Self {
        let name = Scale::tenant(tenant);
        let mut text = format!(
            "---\napiVersion: gostoa.dev/v1alpha1\nkind: GuardrailPolicy\nmetadata: {{ name: more, namespace: tenant-{name} }}\nspec:\n"
        );
        for line in spec.lines() {
            let _ = writeln!(text, "  {line}");
        }
        let file = self.path().join(format!("namespaces/tenant-{name}/guardrails.yaml"));
        let mut file = OpenOptions::new().append(true).open(file).expect("it was written");
        file.write_all(text.as_bytes()).expect("a writable directory");
        self
    }

    /// A tenant whose keys are at this address instead of in its resource.
    pub(crate) fn keys_at(self, tenant: usize, uri: &str) -> Self {
        let resource = Scale { key: None, ..self.scale.clone() }.tenant_file(tenant);
        let issuer = Scale::issuer(tenant);
        let text = format!("{resource}  issuers:\n  - issuer: {issuer}\n    jwksUri: {uri}\n");
        fs::write(Scale::tenant_path(self.path(), tenant), text).expect("a writable directory");
        self
    }

    /// The folder.
    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    /// What signs all tokens.
    pub(crate) fn key(&self) -> &Key {
        &self.key
    }
}
