//! A list of what was found, whose length whoever sent the text decides.

use std::ops::{Deref, DerefMut};

use super::Budget;
use crate::Unscannable;

/// A list that takes its memory from the budget's room before it grows, and gives it back when it is dropped.
pub(crate) struct List<'r, T> {
    items: Vec<T>,
    budget: &'r Budget<'r>,
}

impl<'r, T> List<'r, T> {
    pub(crate) const fn new(budget: &'r Budget<'r>) -> Self {
        Self { items: Vec::new(), budget }
    }

    /// # Errors
    /// `Crowded`: there is no room for one more.
    pub(crate) fn push(&mut self, item: T) -> Result<(), Unscannable> {
        if self.items.len() == self.items.capacity() {
            let more = self.items.capacity().max(4);
            self.budget.hold(more * size_of::<T>())?;
            self.items.reserve_exact(more);
        }
        self.items.push(item);
        Ok(())
    }
}

impl<T> Deref for List<'_, T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        &self.items
    }
}

impl<T> DerefMut for List<'_, T> {
    fn deref_mut(&mut self) -> &mut [T] {
        &mut self.items
    }
}

impl<T> Drop for List<'_, T> {
    fn drop(&mut self) {
        self.budget.release(self.items.capacity() * size_of::<T>());
    }
}
