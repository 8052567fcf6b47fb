//! What a request of a cost would meet now: a look at every level that it would pay, judged by the model's own rule, and nothing is paid.

use std::sync::Arc;

use crate::{
    ask::{Answer, Ask},
    bucket::{Bucket, Window},
    charge::{Charge, Level, Scope, Shape},
    key::Keyspace,
    limiter::Ruling,
    model,
    store::{Micros, Store, StoreError},
};

/// What a look found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Look {
    /// How the request would be ruled.
    pub ruling: Ruling,
    /// What this process holds in advance of the payer's, in requests; none where nothing of it is leased. What other replicas hold no look sees.
    pub held: Option<u64>,
}

/// What a process holds in advance, as far as it matters to a charge.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct InHand {
    /// Of the charge's payer, in requests.
    pub requests: u64,
    /// What the charge would be answered with, without asking the store.
    pub answer: Option<Answer>,
}

/// The questions of a look at a charge: a level each, so that each is in one place wherever accounts are.
pub(crate) fn asks(charge: &Charge) -> Vec<Ask> {
    let alone = |level: &Level| Shape::new().hold(Scope::Tenant, level.key().clone(), level.bucket().clone());
    let look = |(level, cost)| Ask::of(Charge::of(Arc::new(alone(level)), cost), 0, None);
    charge.levels().map(look).collect()
}

/// What the answers to these questions say of a charge of one part, as if it had been asked once. A store that looks at several is taken by the moment of the
/// last.
pub(crate) fn answer(charge: &Charge, answers: Vec<Answer>) -> Option<Answer> {
    let [part] = charge.parts() else { return None };
    let now_us = answers.last()?.now_us;
    if answers.iter().any(|answer| answer.faulty) {
        return Some(Answer::faulty(now_us));
    }
    let mut seen: Vec<_> = answers.into_iter().filter_map(|answer| answer.seen.first().copied()).collect();
    if seen.len() != part.shape().levels().len() {
        return None;
    }
    let held = part.shape().levels().iter().zip(seen.iter().map(|seen| seen.credit));
    let admitted = u32::from(model::passing(held, part.cost(), 1) == 1);
    for (level, seen) in part.shape().levels().iter().zip(&mut seen) {
        // It would have been paid in the slice of now.
        if let (Bucket::Sliding(sliding), 1, 1..) = (level.bucket(), admitted, part.cost()) {
            seen.clears_us = seen.clears_us.max(sliding.gone_us(sliding.slice_at(now_us)));
        }
    }
    Some(Answer { admitted, seen, ..Answer::nothing(now_us) })
}

/// Looks at a charge in a store, at its own moment unless it is given.
///
/// # Errors
/// As [`Store::decide`]; garbled also if the charge has not one part.
pub async fn at(store: &dyn Store, now: Option<Micros>, charge: &Charge) -> Result<Answer, StoreError> {
    answer(charge, store.decide(now, &asks(charge)).await?).ok_or(StoreError::Garbled)
}

/// The moment of a store, which a bucket of nobody tells; nothing is written.
///
/// # Errors
/// As [`Store::decide`].
pub async fn moment(store: &dyn Store, keys: &Keyspace) -> Result<Micros, StoreError> {
    let nobody = Charge::new().hold(Scope::Tenant, keys.probe(), Bucket::Window(Window::new(1, 1_000_000)), 0);
    Ok(Micros(at(store, None, &nobody).await?.now_us))
}
