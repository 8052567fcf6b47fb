//! A store that is away and stays so: what stands for one that cannot be opened.

use async_trait::async_trait;

use super::{Adjustment, Hour, Ledger, Metered, Micros, Store, StoreError, Tally};
use crate::{
    ask::{Answer, Ask},
    key::Account,
};

/// Nothing is ever sent anywhere.
#[derive(Debug, Clone, Copy, Default)]
pub struct Away;

#[async_trait]
impl Store for Away {
    async fn decide(&self, _: Option<Micros>, _: &[Ask]) -> Result<Vec<Answer>, StoreError> {
        Err(StoreError::Away)
    }

    fn ledger(&self) -> &dyn Ledger {
        self
    }
}

#[async_trait]
impl Ledger for Away {
    async fn adjust(&self, _: Option<Micros>, adjustments: &[Adjustment]) -> Vec<Result<bool, StoreError>> {
        vec![Err(StoreError::Away); adjustments.len()]
    }

    async fn tally(&self, _: Option<Micros>, tallies: &[Tally]) -> Vec<Result<(), StoreError>> {
        vec![Err(StoreError::Away); tallies.len()]
    }

    async fn metered(&self, _: &Account, _: Hour) -> Result<Vec<Metered>, StoreError> {
        Err(StoreError::Away)
    }
}
