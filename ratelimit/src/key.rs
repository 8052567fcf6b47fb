//! Keys of the store: injective, versioned, tagged by tenant.
//!
//! An account is one hash of the store, everything of one tenant: `bulkhead:4:{4:acme}`. A key is a field of it, one bucket:
//! `subscription:7:acme-01`. Every name is written with its length before it, so no two lists of names give one key (S12); the braces are the
//! hash tag of Redis Cluster, so whatever is derived from a tenant's account shares its slot. The tenant stands there with its uid, so one
//! made anew under an old name inherits nothing (S23).

use std::{
    collections::HashMap,
    fmt,
    fmt::Write as _,
    hash::{BuildHasher, BuildHasherDefault, Hash, Hasher, RandomState},
    sync::{Arc, LazyLock},
};

use bulkhead_tenancy::name::{ApiName, SubscriptionName, TenantUid};

/// The format of what the accounts hold: another format is another key, never a value misread.
const VERSION: u32 = 4;

/// One hash of the store: everything of one tenant, or of the platform. Only a [`Keyspace`] names accounts.
#[derive(Debug, Clone, Eq, PartialOrd, Ord)]
pub struct Account {
    name: Arc<str>,
    hash: u64,
}

impl Account {
    fn named(name: String) -> Self {
        Self { hash: HASHER.hash_one(&name), name: Arc::from(name) }
    }

    /// The key as the store has it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.name
    }

    /// A hash that is spread over all its bits.
    pub(crate) fn spread(&self) -> u64 {
        self.hash
    }
}

impl PartialEq for Account {
    fn eq(&self, other: &Self) -> bool {
        self.hash == other.hash && (Arc::ptr_eq(&self.name, &other.name) || self.name == other.name)
    }
}

impl Hash for Account {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.hash);
    }
}

impl fmt::Display for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

/// One bucket: a field of an account. Only a [`Keyspace`] builds keys. A key is looked up many times and built once, so it knows its own hash.
#[derive(Debug, Clone, Eq, PartialOrd, Ord)]
pub struct Key {
    account: Account,
    field: Arc<str>,
    hash: u64,
}

/// The keys of this process's hashes: nobody outside can make names that collide.
static HASHER: LazyLock<RandomState> = LazyLock::new(RandomState::new);

/// Takes the hash that an account or a key has had since it was built.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Known(u64);

impl Hasher for Known {
    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|byte| self.0 = self.0.rotate_left(8) ^ u64::from(*byte));
    }

    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

/// The hash of several keys and a number.
pub(crate) fn together<'k>(keys: impl Iterator<Item = &'k Key>, number: u64) -> u64 {
    let mut hasher = HASHER.build_hasher();
    keys.for_each(|key| hasher.write_u64(key.hash));
    hasher.write_u64(number);
    hasher.finish()
}

/// A map by account, key, or what knows its own hash as they do.
pub(crate) type Keyed<K, V> = HashMap<K, V, BuildHasherDefault<Known>>;

impl PartialEq for Key {
    fn eq(&self, other: &Self) -> bool {
        self.hash == other.hash && (Arc::ptr_eq(&self.field, &other.field) || self.field == other.field) && self.account == other.account
    }
}

impl Hash for Key {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.hash);
    }
}

impl Key {
    /// The hash that holds it.
    #[must_use]
    pub fn account(&self) -> &Account {
        &self.account
    }

    /// Its field of the hash.
    #[must_use]
    pub fn field(&self) -> &str {
        &self.field
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.account, self.field)
    }
}

/// Where a request's costs are counted: a tenant's meter, and the line of it (subscription and API). The store adds the hour.
#[derive(Debug, Clone, Eq, PartialOrd, Ord)]
pub struct Meter {
    account: Account,
    line: Arc<str>,
    hash: u64,
}

impl PartialEq for Meter {
    fn eq(&self, other: &Self) -> bool {
        self.hash == other.hash && (Arc::ptr_eq(&self.line, &other.line) || self.line == other.line) && self.account == other.account
    }
}

impl Hash for Meter {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.hash);
    }
}

impl Meter {
    fn of(account: Account, line: &str) -> Self {
        Self { hash: HASHER.hash_one((account.hash, line)), account, line: Arc::from(line) }
    }

    /// The account whose meter it is; the hash of an hour is this, `:meter:` and the hour's number since 1970.
    #[must_use]
    pub fn account(&self) -> &Account {
        &self.account
    }

    /// The line: the fields are this with `:a` (admitted) and `:d` (denied).
    #[must_use]
    pub fn line(&self) -> &str {
        &self.line
    }

    /// The line without names of the same meter.
    #[must_use]
    pub fn unnamed(&self) -> Self {
        Self::of(self.account.clone(), UNNAMED)
    }

    /// Whether it names neither subscription nor API.
    #[must_use]
    pub fn is_unnamed(&self) -> bool {
        &*self.line == UNNAMED
    }
}

/// The line without names.
const UNNAMED: &str = "0::0:";

/// All keys of one deployment, below one prefix.
#[derive(Debug, Clone)]
pub struct Keyspace {
    prefix: Arc<str>,
    /// It stands in every charge: one allocation, so that it is compared by its address.
    global: Key,
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
        Self { prefix: Arc::from(prefix), global: field(platform(prefix), "global") }
    }

    /// The account of the platform itself. Its tag has no length, so it can be no tenant's.
    #[must_use]
    pub fn platform(&self) -> Account {
        self.global.account.clone()
    }

    /// The account of a tenant.
    #[must_use]
    pub fn account(&self, uid: &TenantUid) -> Account {
        Account::named(format!("{}:{VERSION}:{{{}:{uid}}}", self.prefix, uid.as_str().len()))
    }

    /// The global bucket.
    #[must_use]
    pub fn global(&self) -> Key {
        self.global.clone()
    }

    /// The one bucket of whatever has no tenant (S9).
    #[must_use]
    pub fn unresolved(&self) -> Key {
        field(self.platform(), "unresolved")
    }

    /// A bucket of nobody, in an account of its own: whether the store takes writes is tried on it.
    #[must_use]
    pub fn probe(&self) -> Key {
        field(Account::named(format!("{}:{VERSION}:{{probe}}", self.prefix)), "probe")
    }

    /// A tenant's own bucket.
    #[must_use]
    pub fn tenant(&self, uid: &TenantUid) -> Key {
        field(self.account(uid), "tenant")
    }

    /// A tenant's guarantee.
    #[must_use]
    pub fn guarantee(&self, uid: &TenantUid) -> Key {
        field(self.account(uid), "guarantee")
    }

    /// One quota of a tenant, by the name of its kind: `month/1/UTC`.
    #[must_use]
    pub fn quota(&self, uid: &TenantUid, kind: &str) -> Key {
        field(self.account(uid), &format!("quota:{}:{kind}", kind.len()))
    }

    /// One subscription of a tenant.
    #[must_use]
    pub fn subscription(&self, uid: &TenantUid, name: &SubscriptionName) -> Key {
        field(self.account(uid), &format!("subscription:{}:{name}", name.as_str().len()))
    }

    /// One quota of a subscription, by the name of its kind.
    #[must_use]
    pub fn subscription_quota(&self, uid: &TenantUid, name: &SubscriptionName, kind: &str) -> Key {
        field(self.account(uid), &format!("subscription-quota:{}:{name}:{}:{kind}", name.as_str().len(), kind.len()))
    }

    /// The limit of one policy of a tenant, in shadow.
    #[must_use]
    pub fn shadow(&self, uid: &TenantUid, policy: &str) -> Key {
        field(self.account(uid), &format!("shadow:{}:{policy}", policy.len()))
    }

    /// One API of a tenant.
    #[must_use]
    pub fn api(&self, uid: &TenantUid, name: &ApiName) -> Key {
        field(self.account(uid), &format!("api:{}:{name}", name.as_str().len()))
    }

    /// The counter of a descriptor rule (drop-in), by the parts that tell it from all others. Each has an account of its own, which expires with
    /// its window.
    #[must_use]
    pub fn descriptor<'p>(&self, parts: impl IntoIterator<Item = &'p str>) -> Key {
        let mut name = format!("{}:{VERSION}:{{descriptor", self.prefix);
        for part in parts {
            // Braces end a hash tag early; the rest then only stands outside of it. Writing to a String cannot fail.
            let _ = write!(name, ":{}:{part}", part.len());
        }
        name.push('}');
        field(Account::named(name), "window")
    }

    /// Where the costs of whatever has no tenant are counted.
    #[must_use]
    pub fn unresolved_meter(&self) -> Meter {
        Meter::of(self.platform(), UNNAMED)
    }

    /// Where a tenant's costs are counted; `None` stands for what is not named.
    #[must_use]
    pub fn meter(&self, uid: &TenantUid, subscription: Option<&SubscriptionName>, api: Option<&ApiName>) -> Meter {
        let (subscription, api) = (subscription.map_or("", SubscriptionName::as_str), api.map_or("", ApiName::as_str));
        let line = format!("{}:{subscription}:{}:{api}", subscription.len(), api.len());
        Meter::of(self.account(uid), &line)
    }
}

fn platform(prefix: &str) -> Account {
    Account::named(format!("{prefix}:{VERSION}:{{platform}}"))
}

fn field(account: Account, name: &str) -> Key {
    Key { hash: HASHER.hash_one((account.hash, name)), account, field: Arc::from(name) }
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
                all.push(keys.quota(uid, name));
                all.push(keys.shadow(uid, name));
                all.push(keys.subscription_quota(uid, &name.parse().unwrap(), "a"));
            }
            count += all.len();
            seen.extend(all);
        }
        for parts in [&["a", "b"][..], &["a:1:b"], &["a", "b", ""], &["ab"], &[], &[""]] {
            seen.insert(keys.descriptor(parts.iter().copied()));
            count += 1;
        }
        assert_eq!(seen.len(), count);
    }

    #[test]
    fn whatever_is_a_tenants_is_in_one_account() {
        let keys = Keyspace::default();
        let uid: TenantUid = "acme".parse().unwrap();
        assert_eq!(keys.tenant(&uid).to_string(), "bulkhead:4:{4:acme} tenant");
        assert_eq!(keys.subscription(&uid, &"s-01".parse().unwrap()).to_string(), "bulkhead:4:{4:acme} subscription:4:s-01");
        assert_eq!(keys.meter(&uid, None, Some(&"api".parse().unwrap())).line(), "0::3:api");
        assert_eq!(keys.global().to_string(), "bulkhead:4:{platform} global");
    }
}
