//! Keys of the store: injective, versioned, tagged by tenant.
//!
//! `bulkhead:1:{4:acme}:subscription:7:acme-01`. Every name is written with its length before it, so no two lists of names give one key
//! (S12); the braces are the hash tag of Redis Cluster, so a tenant's keys share a slot, and the platform's own stand apart. The
//! tenant stands there with its uid, so one made anew under an old name inherits nothing (S23).

use std::{fmt, sync::Arc};

use bulkhead_tenancy::name::{ApiName, SubscriptionName, TenantUid};

/// The format of what the keys hold: another format is another key, never a value misread.
const VERSION: u32 = 1;

/// One key of the store. Only a [`Keyspace`] builds keys.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Key(Arc<str>);

impl Key {
    /// The key as the store has it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// All keys of one deployment, below one prefix.
#[derive(Debug, Clone)]
pub struct Keyspace {
    prefix: Arc<str>,
}

impl Default for Keyspace {
    fn default() -> Self {
        Self::new("bulkhead")
    }
}

impl Keyspace {
    /// Keys below a prefix: tests and deployments that share a store each have their own.
    #[must_use]
    pub fn new(prefix: &str) -> Self {
        Self { prefix: Arc::from(prefix) }
    }

    /// The global bucket. Its tag has no length, so it can be no tenant's.
    #[must_use]
    pub fn global(&self) -> Key {
        self.platform("global")
    }

    /// The one bucket of whatever has no tenant (S9).
    #[must_use]
    pub fn unresolved(&self) -> Key {
        self.platform("unresolved")
    }

    /// A bucket of nobody: whether the store takes writes is tried on it.
    #[must_use]
    pub fn probe(&self) -> Key {
        self.platform("probe")
    }

    /// A tenant's own bucket.
    #[must_use]
    pub fn tenant(&self, uid: &TenantUid) -> Key {
        self.of_tenant(uid, "tenant")
    }

    /// A tenant's guarantee.
    #[must_use]
    pub fn guarantee(&self, uid: &TenantUid) -> Key {
        self.of_tenant(uid, "guarantee")
    }

    /// One subscription of a tenant.
    #[must_use]
    pub fn subscription(&self, uid: &TenantUid, name: &SubscriptionName) -> Key {
        self.of_tenant(uid, &format!("subscription:{}:{name}", name.as_str().len()))
    }

    /// One API of a tenant.
    #[must_use]
    pub fn api(&self, uid: &TenantUid, name: &ApiName) -> Key {
        self.of_tenant(uid, &format!("api:{}:{name}", name.as_str().len()))
    }

    fn platform(&self, what: &str) -> Key {
        Key(Arc::from(format!("{}:{VERSION}:{{platform}}:{what}", self.prefix)))
    }

    fn of_tenant(&self, uid: &TenantUid, what: &str) -> Key {
        Key(Arc::from(format!("{}:{VERSION}:{{{}:{uid}}}:{what}", self.prefix, uid.as_str().len())))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn s12_different_things_never_share_a_key() {
        let keys = Keyspace::default();
        let uids: Vec<TenantUid> = ["platform", "global", "a", "a-b", "tenant"].iter().map(|uid| uid.parse().unwrap()).collect();
        let mut seen = HashSet::from([keys.global(), keys.unresolved(), keys.probe()]);
        let mut count = 3;
        for uid in &uids {
            let mut all = vec![keys.tenant(uid), keys.guarantee(uid)];
            for name in ["a", "b", "a-b", "tenant", "1"] {
                all.push(keys.subscription(uid, &name.parse().unwrap()));
                all.push(keys.api(uid, &name.parse().unwrap()));
            }
            count += all.len();
            seen.extend(all);
        }
        assert_eq!(seen.len(), count);
    }

    #[test]
    fn a_tenants_keys_share_one_hash_tag() {
        let keys = Keyspace::default();
        let uid: TenantUid = "acme".parse().unwrap();
        assert_eq!(keys.tenant(&uid).as_str(), "bulkhead:1:{4:acme}:tenant");
        assert_eq!(keys.subscription(&uid, &"s-01".parse().unwrap()).as_str(), "bulkhead:1:{4:acme}:subscription:4:s-01");
        assert_eq!(keys.global().as_str(), "bulkhead:1:{platform}:global");
    }
}
