//! What a caller is told of the limits, through whichever door they were charged: RateLimit headers, Retry-After, and the body of a 429.

use serde::Serialize;

use crate::{
    charge::Scope,
    outcome::{Denial, Standing},
};

/// Retry-After of the global level is a multiple of so many seconds: a finer one would tell of others' load (S22).
const COARSE_SECONDS: u64 = 5;

/// Headers of an answer, by name.
pub type Headers = Vec<(&'static str, String)>;

/// Headers of what was admitted: how the tightest level stands. None where nothing was decided (`onStoreFailure: open`).
#[must_use]
pub fn allowed(standings: &[Standing]) -> Headers {
    state(standings).map(|(name, number)| (name, number.to_string())).collect()
}

/// The same as numbers.
pub(crate) fn state(standings: &[Standing]) -> impl Iterator<Item = (&'static str, u64)> {
    let told = |one: &Standing| {
        [
            ("ratelimit-limit", one.bucket.capacity()),
            ("ratelimit-remaining", one.remaining),
            ("ratelimit-reset", one.reset_us.div_ceil(1_000_000)),
        ]
    };
    tightest(standings).map(told).into_iter().flatten()
}

/// Headers of a 429: the same, the type of its body, and when to come back, unless the request never fits.
#[must_use]
pub fn denied(standings: &[Standing]) -> Headers {
    let mut headers = allowed(standings);
    headers.push(("content-type", "application/problem+json".to_owned()));
    headers.extend(retry_after(standings).map(|seconds| ("retry-after", seconds.to_string())));
    headers
}

/// The body of a 429 (RFC 9457). It names the level that denied and never another tenant.
#[must_use]
pub fn problem(denial: Denial, decision: Option<&str>) -> String {
    #[derive(Serialize)]
    struct Problem<'p> {
        r#type: &'static str,
        title: &'static str,
        status: u16,
        scope: &'static str,
        #[serde(skip_serializing_if = "Option::is_none")]
        renews_at: Option<String>,
        #[serde(skip_serializing_if = "Option::is_none")]
        decision_id: Option<&'p str>,
    }
    let problem = Problem {
        r#type: "urn:bulkhead:over_limit",
        title: "Too many requests",
        status: 429,
        scope: denial.scope.as_str(),
        renews_at: denial.renews_us.and_then(moment),
        decision_id: decision,
    };
    // A struct of texts and a number always serialises.
    serde_json::to_string(&problem).unwrap_or_default()
}

/// The level with the fewest requests left, global left out: its numbers would tell of others' load (S22).
pub(crate) fn tightest(standings: &[Standing]) -> Option<&Standing> {
    standings.iter().filter(|one| one.scope != Scope::Global).min_by_key(|one| (one.passed, one.remaining))
}

/// Seconds until every denying level would let the request pass; none if one never will.
fn retry_after(standings: &[Standing]) -> Option<u64> {
    let denying = standings.iter().filter(|one| !one.passed);
    denying
        .map(|one| {
            let seconds = one.wait_us?.div_ceil(1_000_000).max(1);
            Some(if one.scope == Scope::Global { seconds.next_multiple_of(COARSE_SECONDS) } else { seconds })
        })
        .try_fold(1, |most, seconds| Some(seconds?.max(most)))
}

/// A moment of RFC 3339 in UTC, rounded up to a whole second: not earlier than it is.
fn moment(us: u64) -> Option<String> {
    let seconds = i64::try_from(us.div_ceil(1_000_000)).ok()?;
    jiff::Timestamp::from_second(seconds).ok().map(|moment| moment.to_string())
}
