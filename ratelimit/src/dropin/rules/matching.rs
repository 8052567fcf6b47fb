//! Which limit each descriptor of a request meets.

use std::{collections::HashSet, sync::Arc};

use super::{Configuration, Counter, Limit, Rate, Rule, Rules, pattern::Pattern, unit::Unit};

/// One entry of a descriptor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry<'a> {
    /// Its key.
    pub key: &'a str,
    /// Its value.
    pub value: &'a str,
}

/// One descriptor of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Descriptor<'a> {
    /// Its entries, in order.
    pub entries: Vec<Entry<'a>>,
    /// Its own limit, which beats the rules.
    pub limit: Option<Override>,
}

/// `limit` of a descriptor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Override {
    /// Hits in one window.
    pub requests_per_unit: u32,
    /// The number of a `RateLimitUnit` as the request has it.
    pub unit: i32,
}

/// A descriptor's own limit has a unit that is none: the call is answered INVALID_ARGUMENT.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("descriptor {descriptor}: limit.unit is {unit}, which is no unit of time")]
pub struct UnknownUnit {
    /// Its place among the descriptors, from 0.
    pub descriptor: usize,
    /// What stood there.
    pub unit: i32,
}

/// What the descriptors of a request met.
#[derive(Debug, Clone, PartialEq)]
pub enum Limits {
    /// The domain is not configured: every descriptor is OK, and the domain counts as not found.
    UnknownDomain,
    /// One for each descriptor, in order; none where no rule matched or another limit replaced it.
    Known(Vec<Option<Limit>>),
}

impl Configuration {
    /// The limits of a request.
    ///
    /// # Errors
    /// A descriptor's own limit whose unit is none (where the original panics).
    pub fn limits(&self, domain: &str, descriptors: &[Descriptor<'_>]) -> Result<Limits, UnknownUnit> {
        let Some((domain, rules)) = self.domains.get_key_value(domain) else { return Ok(Limits::UnknownDomain) };
        let mut limits = Vec::with_capacity(descriptors.len());
        let mut replaced: HashSet<Arc<str>> = HashSet::new();
        for (place, descriptor) in descriptors.iter().enumerate() {
            let limit = match descriptor.limit {
                Some(own) => {
                    let unit = Unit::from_number(own.unit).ok_or(UnknownUnit { descriptor: place, unit: own.unit })?;
                    Some(overridden(domain, &descriptor.entries, Rate::Each { requests_per_unit: own.requests_per_unit, unit }))
                }
                None => find(domain, rules, &descriptor.entries).map(|(limit, replaces)| {
                    replaced.extend(replaces.iter().cloned());
                    limit
                }),
            };
            limits.push(limit);
        }
        for limit in &mut limits {
            // As in the original, a limit that lets everything through is never replaced.
            if limit.as_ref().is_some_and(|limit| limit.rate != Rate::Unlimited && replaced.contains(&limit.name)) {
                *limit = None;
            }
        }
        Ok(Limits::Known(limits))
    }
}

/// The limit that a request brought along: no rule's shadow, quota or name touches it.
fn overridden(domain: &str, entries: &[Entry<'_>], rate: Rate) -> Limit {
    let mut counter = Counter::new(domain);
    let mut stat_key = format!("{domain}.");
    for (place, entry) in entries.iter().enumerate() {
        counter.entry(entry.key, entry.value);
        if place > 0 {
            stat_key.push('.');
        }
        named(&mut stat_key, entry.key, entry.value);
    }
    Limit { rate, name: Arc::from(""), shadow: false, quota: false, stat_key: stat_key.into(), counter, metadata: None, overridden: true }
}

/// Walks the tree of rules along the entries; only a rule as deep as the descriptor gives its limit.
fn find(domain: &str, mut rules: &Rules, entries: &[Entry<'_>]) -> Option<(Limit, Arc<[Arc<str>]>)> {
    let mut steps: Vec<Step<'_>> = Vec::with_capacity(entries.len().min(16));
    for entry in entries {
        let step = rules.step(entry)?;
        rules = &step.rule.next;
        steps.push(step);
    }
    let own = steps.last()?.rule.limit.as_ref()?;
    let mut counter = Counter::new(domain);
    for (entry, step) in entries.iter().zip(&steps) {
        match step.shared() {
            Some(pattern) => counter.shared(entry.key, pattern.shared(entry.key)),
            None => counter.entry(entry.key, entry.value),
        }
    }
    let limit = Limit {
        rate: own.rate,
        name: Arc::clone(&own.name),
        shadow: own.shadow,
        quota: own.quota,
        stat_key: stat_key(domain, entries, &steps, own.detailed),
        counter,
        metadata: own.metadata.clone(),
        overridden: false,
    };
    Some((limit, Arc::clone(&own.replaces)))
}

/// One entry, the rule it met, and the pattern that it met it by.
struct Step<'c> {
    rule: &'c Rule,
    pattern: Option<&'c Pattern>,
    by_value: bool,
}

impl Step<'_> {
    fn shared(&self) -> Option<&Pattern> {
        self.pattern.filter(|_| self.rule.share_threshold)
    }
}

impl Rules {
    /// The exact value, then wildcards in the order of the file, then the rule for any value.
    fn step(&self, entry: &Entry<'_>) -> Option<Step<'_>> {
        let of_key = self.by_key.get(entry.key);
        if let Some(rule) = of_key.and_then(|of_key| of_key.by_value.get(entry.value)) {
            return Some(Step { rule, pattern: None, by_value: true });
        }
        if let Some((pattern, rule)) = self.wildcards.iter().find(|(pattern, _)| pattern.fits(entry.key, entry.value)) {
            return Some(Step { rule, pattern: Some(pattern), by_value: false });
        }
        of_key?.any.as_ref().map(|rule| Step { rule, pattern: None, by_value: false })
    }
}

/// The key of a limit's statistics. A shared pattern is shown as it is written, whatever else is asked for. `detailed_metric` of the rule that
/// gave the limit shows every other value; without it a value is shown where the rule names it or asks for it (`value_to_metric`), and a
/// pattern stands for the values that it took.
fn stat_key(domain: &str, entries: &[Entry<'_>], steps: &[Step<'_>], detailed: bool) -> Arc<str> {
    let sharing = steps.iter().any(|step| step.shared().is_some());
    let mut text = String::with_capacity(domain.len() + 32 * entries.len());
    text.push_str(domain);
    for (entry, step) in entries.iter().zip(steps) {
        text.push('.');
        let shown = match step.pattern {
            Some(pattern) if step.rule.share_threshold => pattern.shared(entry.key),
            // As in the original, which writes the underscore of an empty value here.
            _ if detailed && !sharing && entry.value.is_empty() => {
                text.push_str(entry.key);
                text.push('_');
                continue;
            }
            _ if detailed || step.by_value || step.rule.value_to_metric => entry.value,
            Some(pattern) => pattern.shared(entry.key),
            None => "",
        };
        named(&mut text, entry.key, shown);
    }
    text.into()
}

/// `key_value`, or the key alone where there is no value.
fn named(text: &mut String, key: &str, value: &str) {
    text.push_str(key);
    if !value.is_empty() {
        text.push('_');
        text.push_str(value);
    }
}
