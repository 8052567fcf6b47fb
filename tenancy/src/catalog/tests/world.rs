//! A catalog with files in memory that change one by one, and the resources that these tests begin with.

use std::{collections::BTreeMap, sync::Arc};

use crate::{
    catalog::{Catalog, CatalogError, changes_of},
    clock::ManualClock,
    fault::Fault,
    name::Namespace,
    place::Place,
    policy::TenantPolicy,
    snapshot::Snapshot,
    source::{Change, Content, PartitionKey},
    tenant::{Policy, Tenant},
};

pub(super) const PLATFORM: &str = "
apiVersion: gostoa.dev/v1alpha1
kind: Platform
metadata: { name: platform }
spec:
  audiences: [gateway]
  routing: contract
  rateLimit: { requestsPerMinute: 10000 }
  topics: { rivals: { phrases: [Initech] } }
";

pub(super) const PLANS: &str = "
apiVersion: gostoa.dev/v1alpha1
kind: Plan
metadata: { name: standard }
spec:
  rateLimit: { requestsPerMinute: 1000, burstMultiplier: 2.0 }
  guaranteed: { requestsPerMinute: 100 }
";

/// A Tenant with a plan, and with its own issuer, hosts and upstreams.
pub(super) fn tenant_on(plan: &str, name: &str) -> String {
    format!(
        "
apiVersion: gostoa.dev/v1alpha1
kind: Tenant
metadata: {{ name: {name} }}
spec:
  plan: {plan}
  uid: uid-{name}
  issuers: [ {{ issuer: {} }} ]
  hosts: ['*.{name}.example.com']
  upstreams: ['*.{name}.internal']
",
        issuer(name)
    )
}

pub(super) fn tenant(name: &str) -> String {
    tenant_on("standard", name)
}

pub(super) fn issuer(tenant: &str) -> String {
    format!("https://auth.example.com/realms/{tenant}")
}

pub(super) fn plan(name: &str, spec: &str) -> String {
    format!("apiVersion: gostoa.dev/v1alpha1\nkind: Plan\nmetadata: {{ name: {name} }}\nspec: {{ {spec} }}\n")
}

/// A contract with one API, at its own host and upstream.
pub(super) fn contract(tenant: &str, api: &str) -> String {
    format!(
        "
apiVersion: gostoa.dev/v1alpha1
kind: UniversalAPIContract
metadata: {{ name: contract, namespace: tenant-{tenant} }}
spec:
  apis:
  - name: {api}
    upstream: https://{api}.{tenant}.internal/v1
    hosts: [{api}.{tenant}.example.com]
"
    )
}

/// A resource of a tenant's own kinds, its spec written in flow style.
pub(super) fn own(kind: &str, name: &str, spec: &str) -> String {
    format!("apiVersion: gostoa.dev/v1alpha1\nkind: {kind}\nmetadata: {{ name: {name} }}\nspec: {{ {spec} }}\n---\n")
}

pub(super) struct World {
    pub(super) clock: ManualClock,
    pub(super) catalog: Catalog,
    files: BTreeMap<String, String>,
    pub(super) snapshot: Option<Arc<Snapshot>>,
}

impl World {
    /// A platform, a plan, and tenants with a contract of one API each, `<name>-api`.
    pub(super) fn of(tenants: &[&str]) -> Self {
        let mut world = Self::without_platform();
        world.files.insert("platform.yaml".to_owned(), PLATFORM.to_owned());
        world.files.insert("plans.yaml".to_owned(), PLANS.to_owned());
        for name in tenants {
            world.files.insert(tenant_file(name), tenant(name));
            world.files.insert(contract_file(name), contract(name, &format!("{name}-api")));
        }
        world.reload();
        world
    }

    pub(super) fn without_platform() -> Self {
        let clock = ManualClock::at_us(1_000_000_000_000);
        Self { catalog: Catalog::new(Arc::new(clock.clone())), clock, files: BTreeMap::new(), snapshot: None }
    }

    /// A start with these files, which may be none.
    pub(super) fn start(files: &[(&str, &str)]) -> Self {
        let mut world = Self::without_platform();
        world.files = files.iter().map(|(path, text)| ((*path).to_owned(), (*text).to_owned())).collect();
        let changes = world.changes();
        let _ = world.apply(changes);
        world
    }

    fn changes(&self) -> Vec<Change> {
        changes_of(&self.files.iter().map(|(path, text)| (path.as_str(), text.as_str())).collect::<Vec<_>>())
    }

    pub(super) fn apply(&mut self, changes: Vec<Change>) -> Result<(), CatalogError> {
        self.snapshot = Some(self.catalog.apply(changes)?);
        Ok(())
    }

    /// Tells the catalog of everything.
    pub(super) fn reload(&mut self) {
        let changes = self.changes();
        self.apply(changes).unwrap();
    }

    /// Writes files and tells the catalog of their partitions alone.
    pub(super) fn write(&mut self, files: &[(&str, &str)]) {
        for (path, text) in files {
            self.files.insert((*path).to_owned(), (*text).to_owned());
        }
        self.tell(&files.iter().map(|(path, _)| *path).collect::<Vec<_>>());
    }

    /// Deletes files, with the folder of a partition that becomes empty.
    pub(super) fn delete(&mut self, paths: &[&str]) {
        paths.iter().for_each(|path| drop(self.files.remove(*path)));
        self.tell(paths);
    }

    /// Renames a file and writes another text into it, in one change.
    pub(super) fn rename(&mut self, from: &str, to: &str, text: &str) {
        self.files.remove(from);
        self.files.insert(to.to_owned(), text.to_owned());
        self.tell(&[from, to]);
    }

    fn tell(&mut self, paths: &[&str]) {
        let mut touched: Vec<_> = paths.iter().map(|path| changes_of(&[(path, "")]).pop().unwrap().partition).collect();
        touched.sort();
        touched.dedup();
        let mut changes = self.changes();
        changes.retain(|change| touched.contains(&change.partition));
        for partition in touched {
            if changes.iter().all(|change| change.partition != partition) {
                changes.push(Change { partition, content: Content::Gone });
            }
        }
        self.apply(changes).unwrap();
    }

    /// Tells the catalog that a partition cannot be read.
    pub(super) fn unreadable(&mut self, partition: PartitionKey) {
        let fault = Place::file(&Arc::from("the folder")).fault("permission denied");
        self.apply(vec![Change { partition, content: Content::Unreadable(fault) }]).unwrap();
    }

    pub(super) fn snapshot(&self) -> &Arc<Snapshot> {
        self.snapshot.as_ref().unwrap()
    }

    pub(super) fn tenant(&self, name: &str) -> &Arc<Tenant> {
        self.snapshot().tenant(name).unwrap()
    }

    /// The policy that decides for a tenant.
    pub(super) fn policy(&self, name: &str) -> &Arc<TenantPolicy> {
        match &self.tenant(name).policy {
            Policy::Ready(policy) => policy,
            Policy::Unavailable(reason) => panic!("{name} is closed: {reason}"),
        }
    }

    pub(super) fn is_closed(&self, name: &str) -> bool {
        matches!(self.tenant(name).policy, Policy::Unavailable(_))
    }

    pub(super) fn has_api(&self, tenant: &str, api: &str) -> bool {
        self.policy(tenant).api(api).is_some()
    }

    /// The tenant that an issuer belongs to.
    pub(super) fn owner(&self, issuer: &str) -> Option<&str> {
        self.snapshot().by_issuer(issuer).map(|(tenant, _)| tenant.name.as_str())
    }

    /// Faults as `validate` prints them.
    pub(super) fn faults(&self) -> Vec<String> {
        self.catalog.faults().iter().map(Fault::to_string).collect()
    }

    /// Asserts that some fault says this, in this file.
    #[track_caller]
    pub(super) fn assert_fault(&self, file: &str, says: &str) {
        let faults = self.faults();
        assert!(faults.iter().any(|fault| fault.starts_with(&format!("{file}:")) && fault.contains(says)), "{says}: {faults:#?}");
    }
}

pub(super) fn tenant_file(name: &str) -> String {
    format!("tenants/{name}.yaml")
}

pub(super) fn contract_file(name: &str) -> String {
    format!("namespaces/tenant-{name}/contract.yaml")
}

pub(super) fn namespace(text: &str) -> PartitionKey {
    PartitionKey::Namespace(text.parse::<Namespace>().unwrap())
}
