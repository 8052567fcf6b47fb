//! `audiences`: whom a token must be meant for, one of those listed (RFC 7519 section 4.1.3).

use crate::decode::Reader;

/// A longer audience is none.
const MAX_BYTES: usize = 256;

/// The list, which says somebody: nobody is said by leaving it out.
pub(super) fn read(reader: &mut Reader<'_>) -> Option<Vec<String>> {
    let listed = reader.some(|audience| audience.text(MAX_BYTES))?;
    Some(listed.into_iter().map(|audience| audience.value).collect())
}
