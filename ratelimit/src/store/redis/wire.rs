//! A batch as `decide.lua` takes it, and its reply. The layout is documented there.

use std::collections::HashMap;

use redis::Cmd;

use super::script;
use crate::{
    bucket::Bucket,
    charge::{Charge, Role},
    key::Key,
    outcome::{Outcome, Verdict},
    store::{Micros, StoreError},
};

/// A batch for the script: `KEYS` and `ARGV[2]`.
#[derive(Debug)]
pub(crate) struct Batch<'c> {
    pub(crate) keys: Vec<&'c Key>,
    pub(crate) packed: Vec<u8>,
}

/// Packs charges: equal keys are merged, and so are equal limits.
#[expect(clippy::cast_possible_truncation, reason = "the store bounds a batch far below 2^16 slots and a charge to 64 entries")]
pub(crate) fn encode(charges: &[Charge]) -> Batch<'_> {
    let mut keys: Vec<&Key> = Vec::new();
    let mut key_index: HashMap<&Key, u32> = HashMap::new();
    let mut slot_index: HashMap<(u32, Bucket), u16> = HashMap::new();
    let mut slots = Vec::new();
    let mut body = Vec::with_capacity(charges.len() * 48);
    for charge in charges {
        body.push(charge.entries().len() as u8);
        for entry in charge.entries() {
            let key = *key_index.entry(&entry.key).or_insert_with(|| {
                keys.push(&entry.key);
                keys.len() as u32
            });
            let next = slot_index.len() as u16 + 1;
            let slot = *slot_index.entry((key, entry.bucket)).or_insert_with(|| {
                let Bucket::Token(bucket) = entry.bucket;
                slots.extend_from_slice(&key.to_le_bytes());
                for number in [bucket.requests(), bucket.period_us(), bucket.capacity()] {
                    slots.extend_from_slice(&double(number));
                }
                next
            });
            body.extend_from_slice(&slot.to_le_bytes());
            body.push(match entry.role {
                Role::Hold => 0,
                Role::Guarantee => 1,
                Role::Shared => 2,
            });
            body.extend_from_slice(&double(entry.cost));
        }
    }
    let mut packed = Vec::with_capacity(8 + slots.len() + body.len());
    packed.extend_from_slice(&(slot_index.len() as u32).to_le_bytes());
    packed.extend_from_slice(&slots);
    packed.extend_from_slice(&(charges.len() as u32).to_le_bytes());
    packed.extend_from_slice(&body);
    Batch { keys, packed }
}

/// The call that decides a batch. `now` is the store's own clock unless it is given.
pub(crate) fn command(now: Option<Micros>, batch: &Batch<'_>) -> Cmd {
    let mut command = redis::cmd("EVALSHA");
    command.arg(script::sha()).arg(batch.keys.len());
    for key in &batch.keys {
        command.arg(key.as_str());
    }
    command.arg(now.map(|now| now.0.to_string()).unwrap_or_default()).arg(&batch.packed[..]);
    command
}

/// A number as the script computes with it. A cost above 2^53 may be rounded; it is beyond every capacity before and after.
#[expect(clippy::cast_precision_loss, reason = "see above")]
fn double(number: u64) -> [u8; 8] {
    (number as f64).to_le_bytes()
}

/// The outcomes in a reply to a batch.
///
/// # Errors
/// When the reply does not fit the batch.
pub(crate) fn decode(charges: &[Charge], reply: &[u8]) -> Result<Vec<Outcome>, StoreError> {
    let mut rest = reply;
    let outcomes = charges.iter().map(|charge| outcome(charge, &mut rest)).collect::<Option<Vec<_>>>();
    outcomes.filter(|_| rest.is_empty()).ok_or(StoreError::Garbled)
}

fn outcome(charge: &Charge, rest: &mut &[u8]) -> Option<Outcome> {
    let (&verdict, after) = rest.split_first()?;
    let (credits, after) = after.split_at_checked(charge.entries().len() * 8)?;
    *rest = after;
    let verdict = match verdict {
        0 => Verdict::Denied,
        1 => Verdict::Admitted,
        2 => Verdict::Faulty,
        _ => return None,
    };
    let (chunks, _) = credits.as_chunks::<8>();
    #[expect(clippy::cast_possible_truncation, reason = "the script's credits are integers within 2^53")]
    let seen: Vec<i64> = chunks.iter().map(|chunk| f64::from_le_bytes(*chunk) as i64).collect();
    Some(Outcome::of(charge, verdict, &seen))
}

#[cfg(test)]
mod tests {
    use bulkhead_tenancy::limit::RateLimit;

    use super::*;
    use crate::{charge::Scope, key::Keyspace};

    #[test]
    fn a_reply_of_another_length_or_verdict_is_garbled() {
        let limit = Bucket::token(RateLimit::per_minute(1, 1.0));
        let charges = [Charge::new().hold(Scope::Tenant, Keyspace::default().unresolved(), limit, 1)];
        assert!(decode(&charges, &[1, 0, 0, 0, 0, 0, 0, 0, 0]).is_ok());
        for reply in [&[][..], &[1][..], &[9, 0, 0, 0, 0, 0, 0, 0, 0][..], &[1, 0, 0, 0, 0, 0, 0, 0, 0, 1][..]] {
            assert_eq!(decode(&charges, reply), Err(StoreError::Garbled));
        }
    }

    #[test]
    fn s9_a_denial_that_names_no_level_is_a_denial_all_the_same() {
        let limit = Bucket::token(RateLimit::per_minute(1, 1.0));
        let charges = [Charge::new().hold(Scope::Tenant, Keyspace::default().unresolved(), limit, 1)];
        let full = [&[0][..], &60_000_000_f64.to_le_bytes()].concat();
        let outcomes = decode(&charges, &full).unwrap();
        assert_eq!(outcomes[0].verdict(), Verdict::Denied);
        assert_eq!(outcomes[0].denial().map(|denial| denial.scope), Some(Scope::Global));
    }

    #[test]
    fn equal_keys_and_limits_are_sent_once() {
        let keys = Keyspace::default();
        let limit = Bucket::token(RateLimit::per_minute(60, 1.0));
        let charge = Charge::new().shared(keys.global(), limit, None, 1).hold(Scope::Tenant, keys.unresolved(), limit, 1);
        let charges = vec![charge; 10];
        let batch = encode(&charges);
        assert_eq!(batch.keys.len(), 2);
        assert_eq!(batch.packed.len(), 4 + 2 * 28 + 4 + 10 * (1 + 2 * 11));
    }
}
