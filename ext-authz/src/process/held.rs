//! How many bytes of bodies are held while they are read: bounded for each tenant and for all (S5).

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use bulkhead_tenancy::name::TenantUid;

use crate::verdict::{Denial, Reason};

/// Of one tenant, at a time, in bytes.
const EACH: usize = 32 << 20;
/// Of all tenants, at a time, in bytes.
const ALL: usize = 256 << 20;

/// The bytes that are held.
#[derive(Debug, Clone, Default)]
pub struct Held(Arc<Mutex<Bytes>>);

#[derive(Debug, Default)]
struct Bytes {
    all: usize,
    by: HashMap<TenantUid, usize>,
}

/// Bytes of a tenant, given back when it is dropped. It goes with the work, not with the request that waits for it.
#[derive(Debug)]
pub struct Hold {
    held: Held,
    tenant: TenantUid,
    bytes: usize,
}

impl Held {
    /// Takes room for so many bytes.
    ///
    /// # Errors
    /// `unavailable` where the tenant, or all together, hold too much.
    pub fn take(&self, tenant: &TenantUid, bytes: usize) -> Result<Hold, Denial> {
        let mut held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let own = held.by.get(tenant).copied().unwrap_or_default();
        if own + bytes > EACH || held.all + bytes > ALL {
            let detail = "too many bytes of bodies are being read";
            return Err(Denial { retry_after: Some(1), ..Denial::new(Reason::Unavailable, detail) });
        }
        held.all += bytes;
        *held.by.entry(tenant.clone()).or_default() += bytes;
        Ok(Hold { held: self.clone(), tenant: tenant.clone(), bytes })
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        let mut held = self.held.0.lock().unwrap_or_else(PoisonError::into_inner);
        held.all = held.all.saturating_sub(self.bytes);
        if let Some(own) = held.by.get_mut(&self.tenant) {
            *own = own.saturating_sub(self.bytes);
            if *own == 0 {
                held.by.remove(&self.tenant);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tenant_that_holds_too_much_is_refused_alone_and_what_is_dropped_is_given_back() {
        let held = Held::default();
        let (acme, globex): (TenantUid, TenantUid) = ("uid-acme".parse().unwrap(), "uid-globex".parse().unwrap());
        let hold = held.take(&acme, EACH).unwrap();
        assert_eq!(held.take(&acme, 1).unwrap_err().reason, Reason::Unavailable);
        assert!(held.take(&globex, EACH).is_ok());
        drop(hold);
        assert!(held.take(&acme, EACH).is_ok());
        assert!(held.0.lock().unwrap().by.is_empty(), "nobody is remembered who holds nothing");
    }
}
