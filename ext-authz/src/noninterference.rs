//! Non-interference: whatever the other tenants ask, are configured to be or suffer, in whatever order, one tenant's answers are those that
//! it has without them.
//!
//! The same history is played twice, once with all of its events and once with the victim's alone (and the time that goes by in both). The
//! answers to the victim's requests are compared whole: status, body, headers, metadata and what is recorded, but for ids and generations.
//!
//! What the others may do to the victim is what S5 and S18 say, and no more; [`oracle`] holds it.

mod events;
mod oracle;
mod resources;
mod world;

use proptest::prelude::*;

use events::{Event, History, history};
use oracle::Oracle;
use world::{Answer, World};

/// The tenant whose answers are compared.
const VICTIM: &str = "victim";
/// Tenants that come before and after it in every order.
const OTHERS: [&str; 3] = ["aaa", "globex", "zzz"];

/// The answers to the victim's requests, in their order.
fn played(history: &History, others: bool) -> Vec<Answer> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let answers = runtime.block_on(async {
        let mut world = World::new(history.strangers_a_minute);
        let mut answers = Vec::new();
        for (number, event) in history.events.iter().enumerate() {
            match event {
                Event::Time(seconds) => world.time(*seconds).await,
                Event::Asks(ask) => answers.push(world.ask(number, ask).await),
                Event::Writes(path, text) => world.write(path, text),
                Event::Turns(issuer) => world.turn(number, *issuer).await,
                Event::Other(deed) if others => world.suffer(number, deed),
                Event::Other(_) => {}
            }
        }
        answers
    });
    // A hung provider hangs on.
    runtime.shutdown_background();
    answers
}

/// Plays a history with and without the others.
fn compare(history: &History) -> Result<(), TestCaseError> {
    let (alone, among) = (played(history, false), played(history, true));
    let mut oracle = Oracle::new(history.strangers_a_minute);
    let mut answers = alone.iter().zip(&among);
    for (number, event) in history.events.iter().enumerate() {
        let lenient = oracle.sees(event);
        let Event::Asks(ask) = event else { continue };
        let (alone, among) = answers.next().unwrap();
        prop_assert!(
            alone == among || lenient.allows(alone, among),
            "{} alone, {} among others, at event {number} ({ask:?}, which may differ by {lenient:?}): {alone:?} {among:?}",
            alone.verdict,
            among.verdict
        );
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { max_shrink_iters: 200, ..ProptestConfig::with_cases(128) })]

    #[test]
    fn no_history_of_other_tenants_changes_ones_answers(history in history()) {
        compare(&history)?;
    }
}

/// The property says something: of the victim's answers in many histories, some are of every kind that is compared, and the others'
/// events do happen.
#[test]
fn the_histories_reach_every_kind_of_answer() {
    use proptest::{strategy::ValueTree, test_runner::TestRunner};
    let mut runner = TestRunner::deterministic();
    let mut seen = std::collections::BTreeMap::new();
    for _ in 0..60 {
        let history = history().new_tree(&mut runner).unwrap().current();
        for answer in played(&history, true) {
            *seen.entry(answer.verdict).or_insert(0) += 1;
        }
    }
    for verdict in [
        "allow",
        "no_credentials",
        "invalid_token",
        "wrong_tenant",
        "too_many_failures",
        "suspended",
        "unknown_api",
        "method",
        "role",
        "rule",
        "tool",
        "topic",
        "pii",
        "unavailable",
    ] {
        assert!(seen.contains_key(verdict), "{verdict} is not among {seen:?}");
    }
}
