//! `access`: who may use an API or a set of tools. The domain's own type holds it: it refers to nothing that could prove wrong later.

use crate::{api::Access, decode::Reader};

/// A role's or a scope's name longer than this is none.
const MAX_BYTES: usize = 256;

pub(super) fn read(reader: &mut Reader<'_>) -> Option<Access> {
    reader.object(|fields| {
        let names = |reader: &mut Reader<'_>| reader.distinct(|name| name.text(MAX_BYTES));
        let roles = fields.optional("roles", names).unwrap_or_default();
        let scopes = fields.optional("scopes", names).unwrap_or_default();
        let subscription = fields.optional("subscription", |reader| reader.one_of(&[("required", true), ("optional", false)]));
        Some(Access {
            roles: roles.into_iter().map(|role| role.value).collect(),
            scopes: scopes.into_iter().map(|scope| scope.value).collect(),
            subscription_required: subscription.unwrap_or(false),
        })
    })
}
