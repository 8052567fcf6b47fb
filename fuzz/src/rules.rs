//! What the drop-in reads: rules from files and from a management server, `/json`, environment variables.

use bulkhead_proto::{json, pb::google::protobuf::Any};
use bulkhead_ratelimit::dropin::{
    file,
    rules::{Configuration, Descriptor, Entry, Limits, draft::Draft},
    settings::{Settings, Variables},
    xds,
};
use prost::Message as _;

/// Longer texts are told in part.
const SAID: usize = 4_096;

/// Rules that are taken answer each descriptor once, whatever stands in it; of those that are refused the reason is short.
fn built(drafts: &[Draft], entries: &[(&str, &str)]) {
    let rules = match Configuration::build(drafts, false) {
        Ok(rules) => rules,
        Err(refused) => return assert!(refused.to_string().len() <= SAID + 3 * drafts.iter().map(longest).max().unwrap_or(0)),
    };
    let _ = rules.dump();
    let domains: Vec<&str> = rules.domains().collect();
    for domain in domains {
        let entries = || entries.iter().map(|(key, value)| Entry { key, value }).collect();
        let descriptors = [Descriptor { entries: entries(), limit: None }, Descriptor { entries: Vec::new(), limit: None }];
        let Ok(Limits::Known(limits)) = rules.limits(domain, &descriptors) else { panic!("{domain:?} is a domain") };
        assert_eq!(limits.len(), descriptors.len());
    }
    assert!(matches!(rules.limits("\u{1}no such domain", &[]), Ok(Limits::UnknownDomain)));
}

fn longest(draft: &Draft) -> usize {
    draft.domain.len() + format!("{:?}", draft.descriptors).len()
}

/// A file of rules.
pub(crate) fn rules(data: &[u8]) {
    let Some(text) = super::text(data) else { return };
    if let Ok(parsed) = file::parse("f", text) {
        assert_eq!(file::parse("f", text).as_ref(), Ok(&parsed), "read twice, it says the same");
        built(&[parsed.draft], &[("tenant", "acme"), ("user", text.get(..8).unwrap_or_default())]);
    }
}

/// Rules from a management server.
pub(crate) fn xds(data: &[u8]) {
    let type_url = "type.googleapis.com/ratelimit.config.ratelimit.v3.RateLimitConfig".to_owned();
    if let Ok(drafts) = xds::drafts(&[Any { type_url, value: data.to_vec() }]) {
        built(&drafts, &[("tenant", "acme"), ("", "")]);
    }
}

/// A request in JSON is the same as its bytes.
pub(crate) fn json(data: &[u8]) {
    let Some(text) = super::text(data) else { return };
    if let Ok(request) = json::ratelimit::read_request(text) {
        let bytes = request.encode_to_vec();
        assert_eq!(prost::Message::decode(bytes.as_slice()).as_ref(), Ok(&request));
    }
    let _ = json::check::read_request(text);
}

/// The variables that hold a password, alone or behind a user's name.
const SECRETS: [&str; 4] = ["REDIS_AUTH", "REDIS_SENTINEL_AUTH", "REDIS_PERSECOND_AUTH", "REDIS_PERSECOND_SENTINEL_AUTH"];

/// Variables, one a line. With other passwords in them the same is said, of what is refused and of what is taken: so no password is.
pub(crate) fn settings(data: &[u8]) {
    let Some(text) = super::text(data) else { return };
    let given: Vec<(&str, String)> =
        text.lines().filter_map(|line| line.split_once('=')).map(|(name, value)| (name, value.to_owned())).collect();
    let other = given.iter().map(|(name, value)| (*name, if SECRETS.contains(name) { masked(value) } else { value.clone() }));
    assert_eq!(said(given.iter().cloned()), said(other), "a password is told");
}

/// Another password of the same form.
fn masked(value: &str) -> String {
    let (user, password) = value.split_once(':').map_or(("", value), |(user, password)| (user, password));
    let password: String = password.chars().map(|letter| if letter.is_alphanumeric() { 'x' } else { letter }).collect();
    if value.contains(':') { format!("{user}:{password}") } else { password }
}

fn said<'n>(given: impl Iterator<Item = (&'n str, String)>) -> String {
    match Settings::read(Variables::new(given)) {
        Ok(settings) => format!("{settings:?}"),
        Err(errors) => errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"),
    }
}
