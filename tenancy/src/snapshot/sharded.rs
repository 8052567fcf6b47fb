//! A map that is cheap to copy with a few entries changed: what one snapshot shares with the next.

use std::{
    borrow::Borrow,
    collections::HashMap,
    hash::{BuildHasher, Hash},
    sync::Arc,
};

use foldhash::fast::RandomState;

/// With 10,000 entries a change copies some forty of them.
const SHARDS: usize = 256;

/// A hash map in parts. A copy shares every part until it changes it. What is in it the operator named or granted, and strangers only look things up: seeded at
/// random, a quick hash is enough.
#[derive(Debug, Clone)]
pub(crate) struct Sharded<K, V> {
    /// Which part a key is in. The parts hash with keys of their own.
    hasher: RandomState,
    shards: Vec<Arc<HashMap<K, V, RandomState>>>,
}

impl<K, V> Default for Sharded<K, V> {
    fn default() -> Self {
        Self { hasher: RandomState::default(), shards: std::iter::repeat_with(Arc::default).take(SHARDS).collect() }
    }
}

impl<K: Eq + Hash + Clone, V: Clone> Sharded<K, V> {
    #[expect(clippy::cast_possible_truncation, reason = "a remainder of the number of parts")]
    fn shard<Q: Hash + ?Sized>(&self, key: &Q) -> usize {
        (self.hasher.hash_one(key) % self.shards.len() as u64) as usize
    }

    /// The value of a key.
    pub(crate) fn get<Q: Eq + Hash + ?Sized>(&self, key: &Q) -> Option<&V>
    where
        K: Borrow<Q>,
    {
        self.shards.get(self.shard(key))?.get(key)
    }

    /// Puts a value in the place of what the key had.
    pub(crate) fn insert(&mut self, key: K, value: V) -> Option<V> {
        let shard = self.shard(&key);
        Arc::make_mut(self.shards.get_mut(shard)?).insert(key, value)
    }

    /// Takes a key away.
    pub(crate) fn remove<Q: Eq + Hash + ?Sized>(&mut self, key: &Q) -> Option<V>
    where
        K: Borrow<Q>,
    {
        let shard = self.shard(key);
        let shard = self.shards.get_mut(shard)?;
        if shard.contains_key(key) { Arc::make_mut(shard).remove(key) } else { None }
    }

    /// Every entry, in no order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&K, &V)> {
        self.shards.iter().flat_map(|shard| shard.iter())
    }

    /// How many entries there are.
    pub(crate) fn len(&self) -> usize {
        self.shards.iter().map(|shard| shard.len()).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_changes_alone() {
        let mut first = Sharded::default();
        for key in 0..1000 {
            first.insert(key, key);
        }
        let mut second = first.clone();
        assert_eq!(second.insert(7, 70), Some(7));
        assert_eq!(second.remove(&8), Some(8));
        assert_eq!(second.remove(&5000), None);
        assert_eq!((first.get(&7), first.get(&8), first.len()), (Some(&7), Some(&8), 1000));
        assert_eq!((second.get(&7), second.get(&8), second.len()), (Some(&70), None, 999));
        assert_eq!(second.iter().count(), 999);
        let shared = first.shards.iter().zip(&second.shards).filter(|(one, two)| Arc::ptr_eq(one, two)).count();
        assert!(shared >= SHARDS - 2);
    }
}
