//! S10: a read error is not a deletion, and a deletion applies at once: also while something else keeps the newest version from deciding.

use super::world::*;
use crate::{
    name::ApiName,
    policy::TenantPolicy,
    source::{Change, Content},
    subscription::{KeyHash, Subscription},
};

const BROKEN: &str = "kind: [";
const SUBSCRIPTION: &str = "namespaces/tenant-acme/subscription.yaml";
const OTHER: &str = "namespaces/tenant-acme/other.yaml";

fn hash(digit: char) -> String {
    format!("keyHash: 'sha256:{}'", digit.to_string().repeat(64))
}

fn key(digit: char) -> KeyHash {
    KeyHash([u8::from_str_radix(&digit.to_string().repeat(2), 16).unwrap(); 32])
}

fn subscription(spec: &str) -> String {
    own("Subscription", "partner", spec)
}

/// acme with two APIs in files of their own, a subscription in a third, and something that can break in a fourth.
fn world(spec: &str) -> World {
    let mut world = World::of(&["acme"]);
    world.write(&[
        ("namespaces/tenant-acme/second.yaml", &contract("acme", "second-api").replace("name: contract", "name: second")),
        (SUBSCRIPTION, &subscription(spec)),
        (OTHER, &own("GuardrailPolicy", "list", "toolAllowlist: [acme-api, second-api]")),
    ]);
    assert!(world.policy("acme").subscription("partner").is_some());
    world
}

fn by_key(world: &World, digit: char) -> Option<&Subscription> {
    world.policy("acme").subscription_of_key(&key(digit)).map(|found| &**found)
}

fn covers(subscription: Option<&Subscription>, api: &str) -> bool {
    subscription.is_some_and(|found| found.covers(&api.parse::<ApiName>().unwrap()))
}

#[test]
fn s10_a_key_is_revoked_while_another_file_is_broken() {
    let mut world = world(&hash('a'));
    world.write(&[(OTHER, BROKEN)]);
    assert!(by_key(&world, 'a').is_some());
    world.delete(&[SUBSCRIPTION]);
    assert!(by_key(&world, 'a').is_none());
    assert!(world.has_api("acme", "acme-api"), "and nothing else is taken away");
}

#[test]
fn s10_a_key_is_revoked_while_a_new_file_is_broken() {
    let mut world = world(&hash('a'));
    world.write(&[("namespaces/tenant-acme/new.yaml", BROKEN)]);
    world.delete(&[SUBSCRIPTION]);
    assert!(by_key(&world, 'a').is_none(), "the file was broken while the subscription was there: it is not where it went");
}

#[test]
fn s10_a_key_is_revoked_inside_a_file_while_another_is_broken() {
    let mut world = world(&hash('a'));
    let two = subscription(&hash('a')) + &own("Subscription", "second", &hash('b'));
    world.write(&[(SUBSCRIPTION, &two)]);
    world.write(&[(OTHER, BROKEN), (SUBSCRIPTION, &own("Subscription", "second", &hash('b')))]);
    assert!(by_key(&world, 'a').is_none());
    assert!(by_key(&world, 'b').is_some());
}

#[test]
fn s10_a_key_is_revoked_while_the_newest_does_not_fit_the_grant() {
    let mut world = world(&hash('a'));
    world.write(&[(&contract_file("acme"), &contract("acme", "acme-api").replace("acme.internal", "globex.internal"))]);
    assert!(by_key(&world, 'a').is_some());
    world.delete(&[SUBSCRIPTION]);
    assert!(by_key(&world, 'a').is_none());
    assert!(world.has_api("acme", "acme-api"));
}

#[test]
fn s10_a_revoked_key_stays_revoked_whatever_breaks_next() {
    let mut world = world(&hash('a'));
    world.write(&[(OTHER, BROKEN)]);
    world.delete(&[SUBSCRIPTION]);
    world.write(&[("namespaces/tenant-acme/new.yaml", BROKEN)]);
    world.write(&[(SUBSCRIPTION, BROKEN)]);
    world.unreadable(namespace("tenant-acme"));
    assert!(by_key(&world, 'a').is_none());
    world.write(&[(SUBSCRIPTION, &subscription(&hash('a')))]);
    assert!(by_key(&world, 'a').is_some(), "written again, it is back");
}

#[test]
fn s10_a_contract_that_a_subscription_still_names_is_deleted_at_once() {
    let mut world = world(&format!("{}, apis: [acme-api]", hash('a')));
    world.delete(&[&contract_file("acme")]);
    world.assert_fault(SUBSCRIPTION, "no such API");
    assert!(!world.has_api("acme", "acme-api"));
    assert!(world.has_api("acme", "second-api"));
    assert!(by_key(&world, 'a').is_some());
    assert!(!covers(by_key(&world, 'a'), "second-api"), "a subscription to nothing is not one to everything");
}

#[test]
fn s10_an_api_of_a_contract_is_deleted_at_once() {
    let mut world = world(&format!("{}, apis: [acme-api, second-api]", hash('a')));
    world.write(&[(&contract_file("acme"), &contract("acme", "third-api"))]);
    assert!(!world.has_api("acme", "acme-api"));
    assert!(!world.has_api("acme", "third-api"), "what is new waits until the newest is good");
    assert!(covers(by_key(&world, 'a'), "second-api"));
    assert!(!covers(by_key(&world, 'a'), "acme-api"));
}

#[test]
fn s10_a_file_that_is_broken_deletes_nothing_of_its_own() {
    let mut world = world(&hash('a'));
    world.write(&[(SUBSCRIPTION, &subscription("keyHash: 1")), (&contract_file("acme"), BROKEN)]);
    assert!(by_key(&world, 'a').is_some());
    assert!(world.has_api("acme", "acme-api"));
}

#[test]
fn s10_a_file_renamed_and_broken_at_once_keeps_what_it_said() {
    let mut world = world(&hash('a'));
    let renamed = "namespaces/tenant-acme/renamed.yaml";
    world.rename(SUBSCRIPTION, renamed, BROKEN);
    assert!(by_key(&world, 'a').is_some(), "it may be in the file that is new and cannot be read");
    world.write(&[(OTHER, BROKEN)]);
    assert!(by_key(&world, 'a').is_some());
    world.write(&[(renamed, &own("ToolSet", "empty", "tools: [unknown]"))]);
    assert!(by_key(&world, 'a').is_none(), "now it is read, and it is not there");
}

#[test]
fn s10_a_file_renamed_while_another_is_broken_deletes_nothing() {
    let mut world = world(&hash('a'));
    world.write(&[(OTHER, BROKEN)]);
    world.rename(SUBSCRIPTION, "namespaces/tenant-acme/renamed.yaml", &subscription(&hash('a')));
    assert!(by_key(&world, 'a').is_some());
}

#[test]
fn s10_what_cannot_be_read_is_not_deleted() {
    let mut world = world(&hash('a'));
    world.unreadable(namespace("tenant-acme"));
    assert!(by_key(&world, 'a').is_some());
    let refused = |path: &str| {
        let faults = vec![crate::place::Place::file(&path.into()).fault("is no regular file")];
        vec![Change { partition: namespace("tenant-acme"), content: Content::Files { files: Vec::new(), faults } }]
    };
    for path in [SUBSCRIPTION, "namespaces/tenant-acme"] {
        world.apply(refused(path)).unwrap();
        assert!(by_key(&world, 'a').is_some(), "{path} was refused: what it says is not known");
    }
    let mut world = self::world(&hash('a'));
    world.apply(refused(OTHER)).unwrap();
    assert!(by_key(&world, 'a').is_none(), "another file was refused alone");
}

#[test]
fn s10_a_rotated_key_is_revoked_at_once_and_the_new_one_waits() {
    let mut world = world(&hash('a'));
    world.write(&[(OTHER, BROKEN), (SUBSCRIPTION, &subscription(&hash('b')))]);
    assert!(by_key(&world, 'a').is_none());
    assert!(by_key(&world, 'b').is_none());
    world.write(&[(SUBSCRIPTION, BROKEN)]);
    assert!(by_key(&world, 'a').is_none(), "and it stays revoked when its file breaks next");
    world.write(&[(OTHER, "# nothing"), (SUBSCRIPTION, &subscription(&hash('b')))]);
    assert!(by_key(&world, 'b').is_some());
}

#[test]
fn s10_a_subscription_is_narrowed_at_once_and_widened_only_when_the_newest_is_good() {
    let mut world = world(&format!("{}, apis: [acme-api], rateLimit: {{ requestsPerMinute: 10 }}", hash('a')));
    let newest = "apis: [acme-api, second-api], expiresAt: '2020-01-01T00:00:00Z', rateLimit: { requestsPerMinute: 99 }";
    world.write(&[(OTHER, BROKEN), (SUBSCRIPTION, &subscription(&format!("{}, {newest}", hash('a'))))]);
    let found = by_key(&world, 'a').unwrap();
    assert!(found.expired(1_600_000_000));
    assert_eq!(found.rate_limit.unwrap().rate.requests, 10);
    assert!(covers(Some(found), "acme-api") && !covers(Some(found), "second-api"));
    world.write(&[(SUBSCRIPTION, &subscription(&format!("{}, apis: [second-api]", hash('a'))))]);
    assert!(!covers(by_key(&world, 'a'), "acme-api") && !covers(by_key(&world, 'a'), "second-api"));
}

/// A client proves itself by its token: without its subscription it may still be let in, and then no longer bounded by it.
#[test]
fn s10_a_client_whose_subscription_is_deleted_gains_nothing_by_it() {
    let mut world = world("clientId: app, apis: [acme-api], rateLimit: { requestsPerMinute: 10 }");
    let wanted = contract("acme", "acme-api") + "    access: { subscription: required }\n";
    let bounded = |policy: &TenantPolicy| policy.subscription_of_client("app").is_some_and(|found| found.rate_limit.is_some());
    for (text, covered) in [(contract("acme", "acme-api"), true), (wanted, false)] {
        world.write(&[
            (OTHER, "# nothing"),
            (&contract_file("acme"), &text),
            (SUBSCRIPTION, &subscription("clientId: app, apis: [acme-api], rateLimit: { requestsPerMinute: 10 }")),
        ]);
        world.write(&[(OTHER, BROKEN)]);
        world.delete(&[SUBSCRIPTION]);
        let found = world.policy("acme").subscription_of_client("app").map(|found| &**found);
        assert_eq!(covers(found, "acme-api"), covered);
        assert!(!covers(found, "second-api"));
        assert!(bounded(world.policy("acme")));
    }
}

#[test]
fn s10_tools_go_with_their_api_and_sets_keep_what_is_left() {
    let mut world = world(&hash('a'));
    let mcp =
        |name: &str| contract("acme", &format!("{name}-api")).replace("name: contract", &format!("name: {name}")) + "    protocol: mcp\n";
    let tools = own("Tool", "one", "description: d, api: acme-api") + &own("Tool", "two", "description: d, api: second-api");
    let more = "namespaces/tenant-acme/more.yaml";
    world.write(&[
        (&contract_file("acme"), &mcp("acme")),
        ("namespaces/tenant-acme/second.yaml", &mcp("second")),
        ("namespaces/tenant-acme/tools.yaml", &tools),
        (more, &(own("ToolSet", "set", "tools: [one, two]") + &own("ToolSet", "rest", "tools: [two]"))),
    ]);
    assert_eq!(world.policy("acme").tools().count(), 2, "{:?}", world.faults());
    world.delete(&[&contract_file("acme")]);
    world.write(&[(more, &own("ToolSet", "set", "tools: [one, two]"))]);
    let policy = world.policy("acme");
    assert_eq!(policy.tools().map(|tool| tool.name.as_str()).collect::<Vec<_>>(), ["two"]);
    let sets: Vec<_> =
        policy.tool_sets().map(|set| (set.name.as_str(), set.tools.iter().map(|tool| tool.as_str()).collect::<Vec<_>>())).collect();
    assert_eq!(sets, [("set", vec!["two"])]);
}

#[test]
fn s10_a_deleted_guardrail_stays_until_the_newest_is_good() {
    let mut world = world(&hash('a'));
    world.write(&[(SUBSCRIPTION, BROKEN)]);
    world.delete(&[OTHER]);
    assert!(world.policy("acme").guardrails().allowlist.is_some());
    world.write(&[(SUBSCRIPTION, &subscription(&hash('a')))]);
    assert!(world.policy("acme").guardrails().allowlist.is_none());
}
