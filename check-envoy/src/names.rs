//! Which header names a mutation removes: by one name, or by a matcher of names (`envoy.type.matcher.v3.StringMatcher`).

use bulkhead_tenancy::tree::Node;
use regex::Regex;

use crate::view::View;

/// Whether a mutation removes a header of this name (in small letters, as Envoy has them).
pub(crate) fn removes(mutation: &Node, name: &str) -> bool {
    let one = mutation.get("remove").and_then(View::text).is_some_and(|removed| removed.eq_ignore_ascii_case(name));
    one || mutation.get("remove_on_match.key_matcher").is_some_and(|matcher| takes(matcher, name))
}

/// Whether a matcher takes a name. One that cannot be judged here (a matcher of an extension) is taken to do so.
fn takes(matcher: &Node, name: &str) -> bool {
    let text = |field: &str| matcher.get(field).and_then(View::text).map(str::to_ascii_lowercase);
    if let Some(exact) = text("exact") {
        return name == exact;
    }
    if let Some(prefix) = text("prefix") {
        return name.starts_with(&prefix);
    }
    if let Some(suffix) = text("suffix") {
        return name.ends_with(&suffix);
    }
    if let Some(part) = text("contains") {
        return name.contains(&part);
    }
    match matcher.get("safe_regex.regex").and_then(View::text) {
        // The whole name has to match.
        Some(pattern) => Regex::new(&format!("^(?:{pattern})$")).is_ok_and(|pattern| pattern.is_match(name)),
        None => true,
    }
}
