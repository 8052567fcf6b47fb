//! What is kept of each global limit by itself: tokens that were charged under one pay nothing under another, however often an operator changes it.

use std::collections::HashMap;

use crate::{bucket::Bucket, key::Key};

/// Something for each global limit.
#[derive(Debug)]
pub struct ByLimit<T>(HashMap<(Key, Bucket), T>);

impl<T> Default for ByLimit<T> {
    fn default() -> Self {
        Self(HashMap::new())
    }
}

impl<T> ByLimit<T> {
    /// What is kept of a limit, made if there is nothing yet.
    pub fn of(&mut self, key: &Key, bucket: &Bucket, make: impl FnOnce() -> T) -> &mut T {
        self.0.entry((key.clone(), bucket.clone())).or_insert_with(make)
    }

    pub(super) fn values(&self) -> impl Iterator<Item = &T> {
        self.0.values()
    }

    pub(super) fn retain(&mut self, is_kept: impl Fn(&T) -> bool) {
        self.0.retain(|_, one| is_kept(one));
    }
}
