//! Who has how many places in a book: each payer has a share of them that no other can take (S12).

use crate::key::{Account, Keyed};

/// The most claims of one book; what does not find a place is decided exactly.
const CLAIMS: usize = 8_192;

/// How many of them one payer may have: a tenant's subscriptions and APIs, at each cost.
const SHARE: usize = 512;

/// How many a payer may have though there are too many in all.
const OWN: usize = 4;

/// Places taken, by payer.
#[derive(Debug, Default)]
pub(super) struct Places {
    taken: usize,
    payers: Keyed<Option<Account>, usize>,
}

impl Places {
    /// Takes a place, if there is one for this payer.
    pub(super) fn take(&mut self, payer: Option<&Account>) -> bool {
        let payer = payer.cloned();
        let own = self.payers.get(&payer).copied().unwrap_or(0);
        let free = own < OWN || (own < SHARE && self.taken < CLAIMS);
        if free {
            self.taken += 1;
            *self.payers.entry(payer).or_default() += 1;
        }
        free
    }

    /// Gives a place back.
    pub(super) fn leave(&mut self, payer: Option<&Account>) {
        let payer = payer.cloned();
        self.taken = self.taken.saturating_sub(1);
        if let Some(own) = self.payers.get_mut(&payer) {
            *own = own.saturating_sub(1);
            if *own == 0 {
                self.payers.remove(&payer);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::Keyspace;

    #[test]
    fn nobodys_many_claims_take_anothers_place() {
        let (keys, mut places) = (Keyspace::default(), Places::default());
        let account = |number: usize| keys.account(&format!("t{number}").parse().unwrap());
        let taken = |places: &mut Places, number| (0..10_000).filter(|_| places.take(Some(&account(number)))).count();
        assert_eq!(taken(&mut places, 0), SHARE, "alone");
        let all: usize = (1..CLAIMS / SHARE).map(|number| taken(&mut places, number)).sum();
        assert_eq!(all + SHARE, CLAIMS);
        assert_eq!(taken(&mut places, 1_000), OWN, "whoever comes when it is full");
        for _ in 0..SHARE {
            places.leave(Some(&account(0)));
        }
        assert_eq!(taken(&mut places, 1_001), SHARE - OWN);
    }
}
