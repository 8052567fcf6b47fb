//! Keys that their issuers gave a shape to be found by.

use std::sync::LazyLock;

use aho_corasick::{AhoCorasick, MatchKind};

use super::run;
use crate::{
    Unscannable,
    detect::{Context, Places, starts},
};

/// How a key begins, what the rest is made of, and how long that is at least and at most.
struct Shape {
    prefix: &'static str,
    of: fn(u8) -> bool,
    least: usize,
    most: usize,
}

const fn shape(prefix: &'static str, of: fn(u8) -> bool, least: usize, most: usize) -> Shape {
    Shape { prefix, of, least, most }
}

const SHAPES: [Shape; 42] = [
    // AWS: long-lived and temporary access key ids.
    shape("AKIA", base32, 16, 16),
    shape("ASIA", base32, 16, 16),
    shape("ABIA", base32, 16, 16),
    shape("ACCA", base32, 16, 16),
    // GitHub, GitLab.
    shape("ghp_", alnum, 36, 255),
    shape("gho_", alnum, 36, 255),
    shape("ghu_", alnum, 36, 255),
    shape("ghs_", alnum, 36, 255),
    shape("ghr_", alnum, 36, 255),
    shape("github_pat_", word, 50, 255),
    shape("glpat-", token, 20, 64),
    shape("gldt-", token, 20, 64),
    // Stripe.
    shape("sk_live_", alnum, 16, 255),
    shape("sk_test_", alnum, 16, 255),
    shape("rk_live_", alnum, 16, 255),
    shape("rk_test_", alnum, 16, 255),
    shape("whsec_", base64, 24, 255),
    // Slack.
    shape("xoxb-", token, 20, 255),
    shape("xoxp-", token, 20, 255),
    shape("xoxa-", token, 20, 255),
    shape("xoxr-", token, 20, 255),
    shape("xoxs-", token, 20, 255),
    shape("xoxe-", token, 20, 255),
    shape("xapp-", token, 20, 255),
    // Google.
    shape("AIza", token, 35, 35),
    shape("ya29.", token, 20, 1024),
    shape("GOCSPX-", token, 28, 28),
    // Models.
    shape("sk-proj-", token, 20, 255),
    shape("sk-ant-", token, 20, 255),
    shape("sk-", alnum, 32, 64),
    shape("hf_", alnum, 30, 64),
    // Packages and clouds.
    shape("npm_", alnum, 36, 36),
    shape("pypi-", token, 50, 255),
    shape("dop_v1_", hex, 64, 64),
    shape("dckr_pat_", token, 20, 64),
    shape("SG.", dotted, 50, 255),
    shape("hvs.", token, 24, 255),
    shape("shpat_", hex, 32, 32),
    shape("lin_api_", alnum, 32, 64),
    shape("NRAK-", base32, 27, 27),
    shape("PMAK-", token, 50, 80),
    shape("EAAA", token, 60, 255),
];

/// The shortest key, in bytes.
const SHORTEST: usize = 20;
/// What a beginning costs, in steps.
const COSTS: usize = 32;

/// All beginnings. Of two at one place the one that stands before the other.
static BEGINNINGS: LazyLock<Option<AhoCorasick>> =
    LazyLock::new(|| AhoCorasick::builder().match_kind(MatchKind::LeftmostFirst).build(SHAPES.iter().map(|shape| shape.prefix)).ok());

pub(super) fn find(context: &Context<'_>, found: &mut Places<'_>) -> Result<(), Unscannable> {
    let text = context.text;
    if text.len() < SHORTEST {
        return Ok(());
    }
    // Without it nothing is known of any text.
    let beginnings = BEGINNINGS.as_ref().ok_or(Unscannable::Effort)?;
    let mut from = 0;
    while let Some(hit) = beginnings.find(aho_corasick::Input::new(text).range(from..)) {
        context.budget.spend(COSTS)?;
        let shape = SHAPES.get(hit.pattern().as_usize()).filter(|_| starts(text, hit.start()));
        let end = shape.map(|shape| (shape, run(text, hit.end(), shape.most + 1, shape.of)));
        context.budget.spend(end.as_ref().map_or(0, |(_, end)| end - hit.end()))?;
        let end = end.filter(|(shape, end)| (shape.least..=shape.most).contains(&(end - hit.end()))).map(|(_, end)| end);
        if let Some(end) = end {
            found.push(hit.start()..end)?;
        }
        from = end.unwrap_or(hit.start() + 1);
    }
    Ok(())
}

fn base32(byte: u8) -> bool {
    byte.is_ascii_uppercase() || byte.is_ascii_digit()
}

fn alnum(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
}

fn hex(byte: u8) -> bool {
    byte.is_ascii_hexdigit()
}

fn word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

fn token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-')
}

fn dotted(byte: u8) -> bool {
    token(byte) || byte == b'.'
}

fn base64(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'=')
}
