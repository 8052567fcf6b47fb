//! The methods that pass, of the revisions 2025-03-26, 2025-06-18, 2025-11-25 and 2026-07-28. What is not in these lists is denied: what
//! only a server asks a client (`sampling/createMessage`, `elicitation/create`, `roots/list`), `tasks/*`, and whatever comes next.

/// What a request needs besides access to the API.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Nothing: it keeps a session going.
    Session,
    /// The API's own name in the allowlist: it reaches what the server has besides tools.
    Api,
    /// That the answer is filtered.
    List,
    /// The tool.
    Call,
}

const SESSION: [&str; 4] = ["initialize", "ping", "logging/setLevel", "server/discover"];

const API: [&str; 9] = [
    "completion/complete",
    "prompts/get",
    "prompts/list",
    "resources/list",
    "resources/read",
    "resources/subscribe",
    "resources/templates/list",
    "resources/unsubscribe",
    "subscriptions/listen",
];

const NOTIFICATIONS: [&str; 4] =
    ["notifications/initialized", "notifications/cancelled", "notifications/progress", "notifications/roots/list_changed"];

/// What a request needs; none: it is not passed.
pub(super) fn of_request(method: &str) -> Option<Kind> {
    match method {
        "tools/list" => Some(Kind::List),
        "tools/call" => Some(Kind::Call),
        _ if SESSION.contains(&method) => Some(Kind::Session),
        _ if API.contains(&method) => Some(Kind::Api),
        _ => None,
    }
}

/// Whether a client's notification passes.
pub(super) fn is_notification(method: &str) -> bool {
    NOTIFICATIONS.contains(&method)
}
