//! What may happen: to the victim by its own hand and the operator's, and among the others.

use proptest::prelude::*;

use super::{
    OTHERS, VICTIM,
    resources::{contract, contract_file, guardrails_file, tenant_file},
};
use crate::fixture::{guardrails, issuer, tenant};

/// One history.
#[derive(Debug, Clone)]
pub(super) struct History {
    /// `unresolved` of the platform: what has no tenant shares it.
    pub(super) strangers_a_minute: u64,
    pub(super) events: Vec<Event>,
}

#[derive(Debug, Clone)]
pub(super) enum Event {
    /// Seconds go by, for everybody.
    Time(u64),
    /// The victim, or somebody in its name or at its address from a source of its own, asks.
    Asks(Ask),
    /// The victim's own configuration, or what the operator says of it.
    Writes(String, String),
    /// The victim's provider turns to other keys, or dies.
    Turns(Keys),
    /// Somebody else's.
    Other(Deed),
}

/// What becomes of an identity provider.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Keys {
    /// It has this key alone.
    Has(usize),
    Down,
    /// It takes requests and never answers.
    Hangs,
}

/// Something that another tenant does or suffers.
#[derive(Debug, Clone)]
pub(super) enum Deed {
    /// It asks all this at once.
    Asks(Vec<Ask>),
    Write(String, String),
    Delete(String),
    UnreadablePartition(&'static str),
    UnreadableOperator,
    Provider(&'static str, Keys),
}

/// A request.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ask {
    pub(super) credential: Credential,
    /// Whose the credential is, or says it is.
    pub(super) of: &'static str,
    /// The tenant in the path.
    pub(super) at: &'static str,
    /// By the host that the API of `at` claims, in place of the path.
    pub(super) by_host: bool,
    pub(super) api: &'static str,
    pub(super) method: &'static str,
    pub(super) body: &'static str,
    /// Which of the sources of whoever asks.
    pub(super) source: u8,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Credential {
    None,
    Garbage,
    /// A token never seen before, by the issuer's key.
    Fresh,
    /// The same by the key that it had before, or will have.
    FreshOfOtherKey,
    /// The tenant's last fresh token, whoever brings it.
    Again,
    Expired,
    /// By a key that is not the one of its `kid`.
    Forged,
    UnknownKid,
    Key,
    WrongKey,
}

/// Bodies: nothing, plain, with a blocked topic, with personal data, broken, and large.
const BODIES: [&str; 6] = ["", r#"{"q":"hello"}"#, r#"{"q":"ask Initech"}"#, r#"{"mail":"a@example.com"}"#, "{", "large"];
/// Messages of MCP: a call that fits its schema, one that does not, one of no tool, one with a blocked topic, and a list.
const MESSAGES: [&str; 5] = [
    r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"weather","arguments":{"city":"Bern"}}}"#,
    r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"weather","arguments":{}}}"#,
    r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"no-tool","arguments":{"city":"Bern"}}}"#,
    r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"weather","arguments":{"city":"Initech"}}}"#,
    r#"{"jsonrpc":"2.0","id":1,"method":"tools/list"}"#,
];

fn credential() -> impl Strategy<Value = Credential> {
    prop_oneof![
        10 => Just(Credential::Fresh),
        6 => Just(Credential::Again),
        1 => Just(Credential::FreshOfOtherKey),
        1 => Just(Credential::None),
        2 => Just(Credential::Garbage),
        1 => Just(Credential::Expired),
        2 => Just(Credential::Forged),
        1 => Just(Credential::UnknownKid),
        2 => Just(Credential::Key),
        1 => Just(Credential::WrongKey),
    ]
}

fn ask(of: impl Strategy<Value = &'static str>, at: impl Strategy<Value = &'static str>) -> impl Strategy<Value = Ask> {
    let body = || prop::sample::select(BODIES.to_vec());
    let message = prop_oneof![6 => prop::sample::select(MESSAGES.to_vec()), 1 => body()];
    let to = prop_oneof![
        6 => body().prop_map(|body| ("api", body)),
        2 => body().prop_map(|body| ("admin", body)),
        1 => body().prop_map(|body| ("nowhere", body)),
        3 => message.prop_map(|message| ("tools", message)),
    ];
    let method = prop_oneof![6 => Just("POST"), 1 => Just("DELETE")];
    (credential(), of, at, prop::bool::weighted(0.2), to, method, 0_u8..3).prop_map(
        |(credential, of, at, by_host, (api, body), method, source)| Ask { credential, of, at, by_host, api, method, body, source },
    )
}

/// The victim's: mostly its own credential at its own address. A host of somebody else's means what that tenant's contract says, so it is
/// its own or none.
fn victims_ask() -> impl Strategy<Value = Ask> {
    let of = prop_oneof![12 => Just(VICTIM), 1 => Just("nobody")];
    let at = prop_oneof![12 => Just(VICTIM), 1 => prop::sample::select(OTHERS.to_vec()), 1 => Just("nobody")];
    ask(of, at).prop_map(|ask| Ask { by_host: ask.by_host && ask.at == VICTIM, ..ask })
}

/// Another's: its own, or a guess at the victim. Whoever has a token of the victim's that is good is the victim.
fn others_ask() -> impl Strategy<Value = Ask> {
    let anybody = || prop_oneof![2 => prop::sample::select(OTHERS.to_vec()), 1 => Just(VICTIM)];
    ask(anybody(), anybody()).prop_map(|ask| match (ask.of, ask.credential) {
        (VICTIM, Credential::Fresh | Credential::FreshOfOtherKey | Credential::Key) => Ask { credential: Credential::Forged, ..ask },
        _ => ask,
    })
}

fn keys(hangs: bool) -> impl Strategy<Value = Keys> {
    prop_oneof![3 => (0_usize..2).prop_map(Keys::Has), 1 => Just(Keys::Down), 2 => Just(if hangs { Keys::Hangs } else { Keys::Has(1) })]
}

/// What GuardrailPolicies say, the last ones badly.
const POLICIES: [&str; 11] = [
    "toolAllowlist: [api, admin]",
    "toolAllowlist: [admin]",
    "contentFilter: { blockedTopics: [rivals] }",
    "contentFilter: { piiDetection: block, blockedTopics: [rivals] }",
    "contentFilter: { piiDetection: redact }",
    "shadow: true, toolAllowlist: []",
    "toolAllowlist: [api, tools, weather]",
    "rules: 'allow if input.caller.roles[_] == \"admin\"'",
    "rules: 'allow if { some role in input.caller.roles; to_number(role) > 0 }'",
    "rules: 'allow if {'",
    "toolAllowlist: [api",
];

fn victims_write() -> impl Strategy<Value = Event> {
    let texts = vec![
        (tenant_file(VICTIM), tenant(VICTIM, "active")),
        (tenant_file(VICTIM), tenant(VICTIM, "active")),
        (tenant_file(VICTIM), tenant(VICTIM, "active").replace("status: active", "status: suspended")),
        (contract_file(VICTIM), contract(VICTIM)),
        (contract_file(VICTIM), contract(VICTIM).replace("[GET, POST]", "[GET]")),
        (contract_file(VICTIM), "kind: [".to_owned()),
    ];
    let policies = POLICIES.map(|spec| (guardrails_file(VICTIM), guardrails(VICTIM, spec)));
    prop_oneof![prop::sample::select(texts), prop::sample::select(policies.to_vec())].prop_map(|(path, text)| Event::Writes(path, text))
}

/// Grants and partitions of the others: good ones, and ones that reach for what is the victim's.
fn others_write() -> impl Strategy<Value = Deed> {
    prop::sample::select(OTHERS.to_vec()).prop_flat_map(|name| {
        let own_issuer = issuer(name);
        let granted = [
            tenant(name, "active"),
            tenant(name, "active"),
            tenant(name, "active").replace("status: active", "status: suspended"),
            tenant(name, "active").replace("plan: standard", "plan: extra"),
            tenant(name, "active").replace(&own_issuer, &issuer(VICTIM)),
            tenant(name, "active").replace(&format!("*.{name}.example.com"), "*.example.com"),
            tenant(name, "active").replace(&format!("*.{name}.example.com"), "api.victim.example.com"),
            tenant(name, "active").replace(&format!("*.{name}.internal"), "*.internal"),
            tenant(name, "active").replace(&format!("uid-{name}"), "uid-victim"),
            tenant(name, "active").replace("plan: standard", "plan: standard\n  namespace: tenant-victim"),
            tenant(VICTIM, "active").replace(&issuer(VICTIM), &own_issuer),
            "kind: [".to_owned(),
            String::new(),
        ];
        let owned = [
            contract(name),
            contract(name),
            contract(name).replace(&format!(".{name}."), ".victim."),
            contract(VICTIM),
            tenant(VICTIM, "active").replace("status: active", "status: suspended"),
            "a: &a [*a, *a]".to_owned(),
        ];
        let texts: Vec<(String, String)> = granted
            .map(|text| (tenant_file(name), text))
            .into_iter()
            .chain(owned.map(|text| (contract_file(name), text)))
            .chain(POLICIES.map(|spec| (guardrails_file(name), guardrails(name, spec))))
            .chain(["", ", guaranteed: { requestsPerMinute: 9900 }", "]"].map(|more| {
                let spec = format!("rateLimit: {{ requestsPerMinute: 9900 }}{more}");
                (
                    "extra.yaml".to_owned(),
                    format!("apiVersion: gostoa.dev/v1alpha1\nkind: Plan\nmetadata: {{ name: extra }}\nspec: {{ {spec} }}\n"),
                )
            }))
            .collect();
        prop::sample::select(texts).prop_map(|(path, text)| Deed::Write(path, text))
    })
}

fn deed() -> impl Strategy<Value = Deed> {
    let other = || prop::sample::select(OTHERS.to_vec());
    // A flood is one request many times, or many that differ.
    let flood = (others_ask(), 8_usize..24).prop_map(|(ask, times)| vec![ask; times]);
    prop_oneof![
        4 => prop::collection::vec(others_ask(), 1..8).prop_map(Deed::Asks),
        4 => flood.prop_map(Deed::Asks),
        5 => others_write(),
        1 => other().prop_map(|name| Deed::Delete(tenant_file(name))),
        1 => other().prop_map(|name| Deed::Delete(contract_file(name))),
        1 => other().prop_map(Deed::UnreadablePartition),
        1 => Just(Deed::UnreadableOperator),
        3 => (other(), keys(true)).prop_map(|(name, keys)| Deed::Provider(name, keys)),
    ]
}

pub(super) fn history() -> impl Strategy<Value = History> {
    let event = prop_oneof![
        16 => victims_ask().prop_map(Event::Asks),
        12 => deed().prop_map(Event::Other),
        4 => victims_write(),
        3 => prop_oneof![6 => 0_u64..30, 1 => 30_u64..4000].prop_map(Event::Time),
        1 => keys(false).prop_map(Event::Turns),
    ];
    // Most histories begin with the others in place.
    let begun = OTHERS.into_iter().flat_map(|name| [(tenant_file(name), tenant(name, "active")), (contract_file(name), contract(name))]);
    let begun: Vec<Event> = begun.map(|(path, text)| Event::Other(Deed::Write(path, text))).collect();
    let strangers = prop_oneof![Just(30_u64), Just(1_000_000)];
    (strangers, prop::bool::weighted(0.8), prop::collection::vec(event, 4..60)).prop_map(move |(strangers_a_minute, peopled, events)| {
        let begun = if peopled { begun.clone() } else { Vec::new() };
        History { strangers_a_minute, events: begun.into_iter().chain(events).collect() }
    })
}
