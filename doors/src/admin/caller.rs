//! Who asks at the admin door.

use bulkhead_tenancy::{
    name::{TenantName, TenantUid},
    tenant::Tenant,
};

/// Who asks, once proven: an extension of every request of the admin door.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Caller {
    /// The bearer of the operator's token: sees and may change everything.
    Operator,
    /// The bearer of a tenant's own token: sees its own tenant, and changes nothing.
    Tenant {
        /// Whose it is.
        name: TenantName,
        /// The one tenant of that name that it was given to, if it says (S23): one made anew under the name is another.
        uid: Option<TenantUid>,
    },
}

impl Caller {
    /// Whether it may be told of a tenant.
    #[must_use]
    pub fn sees(&self, tenant: &Tenant) -> bool {
        match self {
            Self::Operator => true,
            Self::Tenant { name, uid } => *name == tenant.name && uid.as_ref().is_none_or(|uid| *uid == tenant.uid),
        }
    }

    /// Whether it is the operator.
    #[must_use]
    pub fn is_operator(&self) -> bool {
        *self == Self::Operator
    }
}

impl std::fmt::Display for Caller {
    /// As records name it: `operator`, or `tenant acme`.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Operator => f.write_str("operator"),
            Self::Tenant { name, .. } => write!(f, "tenant {name}"),
        }
    }
}
