//! How several contracts and several policies join.

use super::*;
use crate::guardrail::{Detector, PiiDetection};

#[test]
fn several_contracts_add_up() {
    let another = own("UniversalAPIContract", "another", &format!("apis: [ {} ]", api("orders", "")));
    let (policy, ..) = good(&(base() + &another));
    assert_eq!(policy.apis().map(|api| api.name.as_str()).collect::<Vec<_>>(), ["billing", "orders", "tools"]);
}

#[test]
fn of_several_guardrails_the_stricter_wins() {
    let policies = own(
        "GuardrailPolicy",
        "one",
        "rateLimit: { requestsPerMinute: 500, burstMultiplier: 1.0 }, toolAllowlist: [billing, tools]",
    ) + &own(
        "GuardrailPolicy",
        "two",
        "rateLimit: { requestsPerMinute: 100, burstMultiplier: 8.0 }, toolAllowlist: [billing]",
    ) + &own(
        "GuardrailPolicy",
        "three",
        "contentFilter: { piiDetection: detect, detectors: [email], blockedTopics: [rivals], unscannable: allow }",
    ) + &own(
        "GuardrailPolicy",
        "four",
        "contentFilter: { piiDetection: block, detectors: [card], apply: [response], topics: { rivals: { phrases: [Hooli] } } }, rules: 'allow { true }'",
    ) + &own(
        "GuardrailPolicy",
        "five",
        "shadow: true, rateLimit: { requestsPerMinute: 1 }, toolAllowlist: [], contentFilter: { piiDetection: redact }",
    );
    let (policy, rate, _) = good(&(base() + &policies));
    let guardrails = policy.guardrails();
    assert_eq!(rate, Rate::per_minute(100));
    assert_eq!(guardrails.allowlist, Some(["billing".to_owned()].into()));
    assert_eq!(guardrails.content.pii, PiiDetection::Block);
    assert_eq!(*guardrails.content.filter.detectors(), [Detector::Email, Detector::Card].into());
    assert!(guardrails.content.requests && guardrails.content.responses && !guardrails.content.allow_unscannable);
    assert_eq!(
        guardrails.content.filter.topics().matcher("rivals").unwrap().phrases,
        ["Initech", "Hooli"],
        "a label means all that anybody says it means"
    );
    assert_eq!(guardrails.rules.len(), 1);
    assert_eq!(guardrails.shadow.len(), 1);
    assert_eq!((guardrails.shadow[0].name.as_str(), guardrails.shadow[0].allowlist.as_ref().map(|list| list.len())), ("five", Some(0)));
}

#[test]
fn all_detectors_and_some_are_all() {
    let policies = own("GuardrailPolicy", "one", "contentFilter: { piiDetection: detect, detectors: [email] }")
        + &own("GuardrailPolicy", "two", "contentFilter: { piiDetection: detect }")
        + &own("GuardrailPolicy", "zzz", "contentFilter: { piiDetection: detect, detectors: [card] }");
    let (policy, ..) = good(&(base() + &policies));
    assert_eq!(*policy.guardrails().content.filter.detectors(), Detector::ALL.into(), "no list means all");
}

#[test]
fn the_tenants_limit_is_the_least_of_each_field() {
    let (_, rate, _) = good(&(base() + &own("GuardrailPolicy", "g", "rateLimit: { requestsPerMinute: 5000 }")));
    assert_eq!(rate, Rate::per_minute(1000), "never above the plan's");
    let (snapshot, _) = load(OPERATOR, &(base() + &own("GuardrailPolicy", "g", "rateLimit: { requestsPerMinute: 0 }")), &[]);
    assert_eq!(snapshot.tenant("acme").unwrap().rate_limit.capacity, 0);
    assert_eq!(snapshot.guarantee(snapshot.tenant("acme").unwrap()).capacity, 0, "what is denied is not guaranteed");
}
