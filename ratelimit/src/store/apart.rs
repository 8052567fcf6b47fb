//! Batches whose items go to different places.

use std::{collections::HashMap, hash::Hash};

use futures::future::join_all;

use super::StoreError;

/// What came of a batch, for each of its items.
pub(super) fn each<R>(done: Result<Vec<R>, StoreError>, items: usize) -> Vec<Result<R, StoreError>> {
    match done {
        Ok(results) if results.len() == items => results.into_iter().map(Ok).collect(),
        Ok(_) => (0..items).map(|_| Err(StoreError::Garbled)).collect(),
        Err(error) => (0..items).map(|_| Err(error.clone())).collect(),
    }
}

/// Does something to groups of a batch at the same time, and gives what came of each item in the batch's order.
pub(super) async fn apart<T, R, G, F>(items: &[T], group_of: impl Fn(&T) -> G, of_group: impl Fn(Vec<T>) -> F) -> Vec<Result<R, StoreError>>
where
    T: Clone,
    G: Eq + Hash,
    F: Future<Output = Vec<Result<R, StoreError>>>,
{
    let mut groups: HashMap<G, Vec<usize>> = HashMap::new();
    for (index, item) in items.iter().enumerate() {
        groups.entry(group_of(item)).or_default().push(index);
    }
    let work = groups.into_values().map(|indices| {
        let group: Vec<T> = indices.iter().filter_map(|index| items.get(*index)).cloned().collect();
        let done = of_group(group);
        async move { (indices, done.await) }
    });
    let mut results: Vec<Result<R, StoreError>> = items.iter().map(|_| Err(StoreError::Garbled)).collect();
    for (indices, done) in join_all(work).await {
        for (index, result) in indices.into_iter().zip(done) {
            if let Some(place) = results.get_mut(index) {
                *place = result;
            }
        }
    }
    results
}
