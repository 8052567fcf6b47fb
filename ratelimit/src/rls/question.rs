//! A RateLimitRequest as far as it matters here, read where it lies: its texts are looked up and told, and never kept.

use bulkhead_proto::{
    pb::envoy::{extensions::common::ratelimit::v3::RateLimitDescriptor, service::ratelimit::v3::RateLimitRequest},
    wire::{Fields, Unreadable},
};

/// The most descriptors of one request: all levels of each, with guarantee and quotas, stay inside the bound of a charge.
pub(super) const MAX_DESCRIPTORS: usize = 12;

/// So many are kept. One too many tells enough of all that come after it: two bytes are a descriptor, and take no memory.
const KEPT: usize = MAX_DESCRIPTORS + 1;

/// Nearly every descriptor has the contract's four entries.
const ENTRIES: usize = 4;

/// What is asked.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Question<'b> {
    pub(super) domain: &'b str,
    pub(super) descriptors: Vec<Descriptor<'b>>,
    pub(super) hits: u32,
}

/// One descriptor.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Descriptor<'b> {
    /// Keys and values.
    pub(super) entries: Vec<(&'b str, &'b str)>,
    /// Whether it brings a limit of its own.
    pub(super) limited: bool,
    /// Its own hits, in place of the request's.
    pub(super) hits: Option<u64>,
    pub(super) negative_hits: bool,
}

impl<'b> Question<'b> {
    /// Reads a `RateLimitRequest`: 1 domain, 2 descriptors, 3 hits_addend. Of what stands there twice the last counts.
    ///
    /// # Errors
    /// It is none.
    pub(super) fn read(message: &'b [u8]) -> Result<Self, Unreadable> {
        let (mut question, mut fields) = (Self::default(), Fields::of(message));
        while let Some((number, field)) = fields.take()? {
            match number {
                1 => question.domain = field.text()?,
                2 => {
                    let descriptor = Descriptor::read(fields.within(field.bytes()?))?;
                    if question.descriptors.len() < KEPT {
                        question.descriptors.push(descriptor);
                    }
                }
                3 => question.hits = number_of_32_bits(field.number()?),
                _ => {}
            }
        }
        Ok(question)
    }

    /// Only the domain of one: of those that stand there the last. Of what else it holds nothing is read.
    ///
    /// # Errors
    /// It is none.
    pub(super) fn domain(message: &'b [u8]) -> Result<&'b str, Unreadable> {
        let (mut domain, mut fields) = ("", Fields::of(message));
        while let Some((number, field)) = fields.take()? {
            if number == 1 {
                domain = field.text()?;
            }
        }
        Ok(domain)
    }
}

impl<'b> Descriptor<'b> {
    /// Reads a `RateLimitDescriptor`: 1 entries, 2 limit, 3 hits_addend (a `UInt64Value`: 1 value), 4 is_negative_hits.
    fn read(mut fields: Fields<'b>) -> Result<Self, Unreadable> {
        let mut descriptor = Self::default();
        while let Some((number, field)) = fields.take()? {
            match number {
                1 => {
                    let entry = entry(fields.within(field.bytes()?))?;
                    if descriptor.entries.capacity() == 0 {
                        descriptor.entries.reserve_exact(ENTRIES);
                    }
                    descriptor.entries.push(entry);
                }
                2 => {
                    limit(fields.within(field.bytes()?))?;
                    descriptor.limited = true;
                }
                3 => {
                    let (hits, mut value) = (descriptor.hits.get_or_insert(0), fields.within(field.bytes()?));
                    while let Some((number, field)) = value.take()? {
                        if number == 1 {
                            *hits = field.number()?;
                        }
                    }
                }
                4 => descriptor.negative_hits = field.number()? != 0,
                _ => {}
            }
        }
        Ok(descriptor)
    }
}

/// Reads an `Entry`: 1 key, 2 value.
fn entry<'b>(mut fields: Fields<'b>) -> Result<(&'b str, &'b str), Unreadable> {
    let mut entry = ("", "");
    while let Some((number, field)) = fields.take()? {
        match number {
            1 => entry.0 = field.text()?,
            2 => entry.1 = field.text()?,
            _ => {}
        }
    }
    Ok(entry)
}

/// Reads a `RateLimitOverride`: 1 requests_per_unit, 2 unit. What it says has no meaning here; that it is one has.
fn limit(mut fields: Fields<'_>) -> Result<(), Unreadable> {
    while let Some((number, field)) = fields.take()? {
        if matches!(number, 1 | 2) {
            field.number()?;
        }
    }
    Ok(())
}

/// As protobuf has it: what is too large loses its upper bits.
#[expect(clippy::cast_possible_truncation, reason = "so a uint32 is read")]
const fn number_of_32_bits(number: u64) -> u32 {
    number as u32
}

impl<'b> From<&'b RateLimitRequest> for Question<'b> {
    fn from(request: &'b RateLimitRequest) -> Self {
        let descriptors = request.descriptors.iter().take(KEPT).map(Descriptor::from).collect();
        Self { domain: &request.domain, descriptors, hits: request.hits_addend }
    }
}

impl<'b> From<&'b RateLimitDescriptor> for Descriptor<'b> {
    fn from(descriptor: &'b RateLimitDescriptor) -> Self {
        Self {
            entries: descriptor.entries.iter().map(|entry| (entry.key.as_str(), entry.value.as_str())).collect(),
            limited: descriptor.limit.is_some(),
            hits: descriptor.hits_addend.as_ref().map(|hits| hits.value),
            negative_hits: descriptor.is_negative_hits,
        }
    }
}

#[cfg(test)]
mod tests;
