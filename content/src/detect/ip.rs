//! IP addresses, version 4 and 6. Addresses that are nobody's (unspecified, loopback, broadcast) and dotted versions are none.

use std::{
    net::{Ipv4Addr, Ipv6Addr},
    ops::Range,
};

use super::{Context, Cue, Groups, Places, byte, is_word};
use crate::Unscannable;

/// The longest written form (RFC 4291 section 2.2, with an IPv4 tail).
const LONGEST: usize = 45;

/// What a byte of a run that may be an address costs, in steps.
const COSTS: usize = 16;

pub(super) fn find(context: &Context<'_>, groups: &Groups<'_>, found: &mut Places<'_>) -> Result<(), Unscannable> {
    let bytes = context.text.as_bytes();
    let mut from = 0;
    // There is a digit in every address.
    for group in groups.each_group() {
        if group.start < from {
            continue;
        }
        let before = bytes.get(from..group.start).unwrap_or_default().iter().rev().take_while(|byte| is_of_address(**byte)).count();
        let after = bytes.get(group.end..).unwrap_or_default().iter().take_while(|byte| is_of_address(**byte)).count();
        let at = group.start - before..group.end + after;
        from = at.end;
        let count = |one: u8| bytes.get(at.clone()).unwrap_or_default().iter().filter(|byte| **byte == one).count();
        context.budget.spend(1 + at.len())?;
        if count(b':') >= 2 || count(b'.') >= 3 {
            context.budget.spend(COSTS * at.len())?;
            run(context, at, found)?;
        }
    }
    Ok(())
}

/// A run of hexadecimal digits, dots and colons.
fn run(context: &Context<'_>, at: Range<usize>, found: &mut Places<'_>) -> Result<(), Unscannable> {
    let text = context.text;
    let written = text.get(at.clone()).unwrap_or_default();
    let before = if at.start == 0 { 0 } else { byte(text, at.start - 1) };
    let after = byte(text, at.end);
    let trimmed = written.trim_end_matches(['.', ':']);
    // A dot or colon at the end may be the sentence's, but `::` is the address's.
    let ending = if written.ends_with("::") { written } else { trimmed };
    if !is_word(before) && !is_word(after) && ending.len() <= LONGEST && is_v6(ending) {
        found.push(at.start..at.start + ending.len())?;
        return Ok(());
    }
    // IPv4, perhaps with a port behind it, and a name or nothing before it.
    let mut start = at.start;
    for part in written.split(':') {
        let trimmed = part.trim_end_matches('.');
        let place = start..start + trimmed.len();
        start += part.len() + 1;
        let first = place.start == at.start;
        let touched = (first && (is_word(before) || matches!(before, b'-'))) || (place.end == at.end && is_word(after));
        if !touched && is_v4(trimmed) && !is_version(context, place.start, place.end) {
            found.push(place)?;
        }
    }
    Ok(())
}

const fn is_of_address(byte: u8) -> bool {
    byte.is_ascii_hexdigit() || matches!(byte, b'.' | b':')
}

fn is_v4(written: &str) -> bool {
    if !(7..=15).contains(&written.len()) {
        return false;
    }
    written.parse::<Ipv4Addr>().is_ok_and(|ip| !ip.is_unspecified() && !ip.is_loopback() && !ip.is_broadcast() && ip.octets()[0] != 0)
}

fn is_v6(written: &str) -> bool {
    if written.matches(':').count() < 2 || !written.bytes().any(|byte| byte.is_ascii_digit()) {
        return false;
    }
    // Eight pairs are a hardware address (EUI-64).
    if !written.contains("::") && written.split(':').all(|group| group.len() == 2) {
        return false;
    }
    let groups = written.split(':').filter(|group| !group.is_empty()).count();
    groups >= 2 && written.parse::<Ipv6Addr>().is_ok_and(|ip| !ip.is_unspecified() && !ip.is_loopback())
}

/// `version 1.2.3.4`, `v1.2.3.4`, `1.2.3.4-beta`, `Chrome/120.0.6099.1`.
fn is_version(context: &Context<'_>, start: usize, end: usize) -> bool {
    let before = context.text.get(..start).and_then(|before| before.strip_suffix('/')).unwrap_or_default();
    let name = before.bytes().rev().take(20).take_while(u8::is_ascii_alphabetic).last();
    let product = name.is_some_and(|first| first.is_ascii_uppercase());
    let suffix = matches!(byte(context.text, end), b'-' | b'+') && byte(context.text, end + 1).is_ascii_alphabetic();
    product || suffix || context.says(start, Cue::Version)
}
