//! Judging drafts: every error of the original, in its words.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use super::{
    Configuration, Rate, Rule, RuleLimit, Rules,
    draft::{Draft, RateDraft, RuleDraft},
    pattern::Pattern,
    unit::Unit,
};

/// How deep rules may nest. The original knows no bound; a configuration this deep is a mistake or an attack on the stack.
pub const MAX_DEPTH: usize = 64;

/// Why a configuration is refused: `FILE: what`, as the original says it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}: {}", fit(name), fit(what))]
pub struct Refused {
    /// The file or resource.
    pub name: String,
    /// What is wrong.
    pub what: String,
}

/// Text that quotes an author's own words, fit for a line of a log: bounded, and without what could break the line (S16).
fn fit(text: &str) -> String {
    const MOST: usize = 1_000;
    let visible = |c: char| if c.is_control() { c.escape_default().to_string() } else { c.to_string() };
    let mut fit: String = text.chars().take(MOST).map(visible).collect();
    if text.chars().nth(MOST).is_some() {
        fit.push_str("...");
    }
    fit
}

impl Configuration {
    /// The rules of all drafts, or the first error: one bad draft refuses all (the rules in force stay). With `merge` (MERGE_DOMAIN_CONFIG)
    /// several drafts may give rules to one domain.
    ///
    /// # Errors
    /// What the original refuses: an empty domain or key, a domain or key twice, a bad unit, `replaces` that is empty or names its own
    /// rule, `share_threshold` without a wildcard.
    pub fn build(drafts: &[Draft], merge: bool) -> Result<Self, Refused> {
        let mut configuration = Self::default();
        let mut taken: HashMap<&str, HashSet<String>> = HashMap::new();
        for draft in drafts {
            let refuse = |what| Refused { name: draft.name.clone(), what };
            if draft.domain.is_empty() {
                return Err(refuse("config file cannot have empty domain".to_owned()));
            }
            if !merge && taken.contains_key(draft.domain.as_str()) {
                return Err(refuse(format!("duplicate domain '{}' in config file", draft.domain)));
            }
            let rules = configuration.domains.entry(draft.domain.as_str().into()).or_default();
            let taken = taken.entry(&draft.domain).or_default();
            add(rules, taken, &format!("{}.", draft.domain), &draft.descriptors, 1).map_err(refuse)?;
        }
        Ok(configuration)
    }
}

fn add(rules: &mut Rules, taken: &mut HashSet<String>, parent: &str, drafts: &[RuleDraft], depth: usize) -> Result<(), String> {
    if depth > MAX_DEPTH {
        return Err(format!("descriptors are nested deeper than {MAX_DEPTH} levels"));
    }
    for draft in drafts {
        if draft.key.is_empty() {
            return Err("descriptor has empty key".to_owned());
        }
        let composite = if draft.value.is_empty() { draft.key.clone() } else { format!("{}_{}", draft.key, draft.value) };
        let full_key = format!("{parent}{composite}");
        if !taken.insert(composite.clone()) {
            return Err(format!("duplicate descriptor composite key '{full_key}'"));
        }
        let limit = draft.rate_limit.as_ref().map(|rate| limit(draft, rate)).transpose()?;
        let pattern = Pattern::of(&draft.key, &draft.value);
        if draft.share_threshold && pattern.is_none() {
            return Err(format!("share_threshold can only be used with wildcard values (containing '*'), but found key '{composite}'"));
        }
        let mut next = Rules::default();
        add(&mut next, &mut HashSet::new(), &format!("{full_key}."), &draft.descriptors, depth + 1)?;
        let rule = Rule {
            composite: composite.into(),
            limit,
            value_to_metric: draft.value_to_metric,
            share_threshold: draft.share_threshold,
            next,
        };
        match pattern {
            Some(pattern) => rules.wildcards.push((pattern, rule)),
            None => {
                let of_key = rules.by_key.entry(draft.key.as_str().into()).or_default();
                if draft.value.is_empty() {
                    of_key.any = Some(rule);
                } else {
                    of_key.by_value.insert(draft.value.as_str().into(), rule);
                }
            }
        }
    }
    Ok(())
}

fn limit(draft: &RuleDraft, rate: &RateDraft) -> Result<RuleLimit, String> {
    let unit = Unit::from_word(&rate.unit);
    let judged = match (rate.unlimited, unit) {
        (true, Some(_)) => return Err("should not specify rate limit unit when unlimited".to_owned()),
        (true, None) => Rate::Unlimited,
        (false, Some(unit)) => Rate::Each { requests_per_unit: rate.requests_per_unit, unit },
        (false, None) => return Err(format!("invalid rate limit unit '{}'", rate.unit)),
    };
    for name in &rate.replaces {
        if name.is_empty() {
            return Err("should not have an empty replaces entry".to_owned());
        }
        if *name == rate.name {
            return Err("replaces should not contain name of same descriptor".to_owned());
        }
    }
    Ok(RuleLimit {
        rate: judged,
        requests_per_unit: rate.requests_per_unit,
        name: rate.name.as_str().into(),
        replaces: rate.replaces.iter().map(|name| Arc::from(name.as_str())).collect(),
        shadow: draft.shadow_mode,
        quota: draft.quota_mode,
        detailed: draft.detailed_metric,
        metadata: draft.metadata.clone().filter(|metadata| !metadata.is_empty()).map(Arc::new),
    })
}
