//! Looking into a tree by the names of Envoy's fields.

use bulkhead_tenancy::tree::{Node, Scalar, Value};

pub(crate) trait View {
    /// A field, or a field of a field: `grpc_service.envoy_grpc`.
    fn get(&self, path: &str) -> Option<&Node>;
    /// The items of a list, or none.
    fn items(&self) -> &[Node];
    /// Its text.
    fn text(&self) -> Option<&str>;
    /// A whole number, also written as text (proto-JSON allows both).
    fn number(&self) -> Option<u64>;
    /// Whether it is `true`, in any word that Envoy takes for it; a wrapped value (`{ value: true }`) too.
    fn is_true(&self) -> bool;
    /// Whether it is this value of an enumeration, by its name in any case or by its number, as Envoy takes both.
    fn is_one(&self, value: (&str, u64)) -> bool;
    /// Shows this node and everything under it.
    fn each<'n>(&'n self, see: &mut impl FnMut(&'n Node));
}

impl View for Node {
    fn get(&self, path: &str) -> Option<&Node> {
        path.split('.').try_fold(self, |node, name| {
            let Value::Mapping(entries) = &node.value else { return None };
            entries.iter().find(|entry| is_field(&entry.key, name)).map(|entry| &entry.node)
        })
    }

    fn items(&self) -> &[Node] {
        match &self.value {
            Value::List(items) => items,
            _ => &[],
        }
    }

    fn text(&self) -> Option<&str> {
        match &self.value {
            Value::Scalar(Scalar::Text(text)) => Some(text),
            _ => None,
        }
    }

    fn number(&self) -> Option<u64> {
        match &self.value {
            Value::Scalar(Scalar::Integer(number)) => u64::try_from(*number).ok(),
            Value::Scalar(Scalar::Text(text)) => text.parse().ok(),
            _ => self.get("value").and_then(View::number),
        }
    }

    fn is_true(&self) -> bool {
        match &self.value {
            Value::Scalar(Scalar::Bool(value)) => *value,
            // Envoy reads YAML 1.1, and `"true"` as proto-JSON's readers do.
            Value::Scalar(Scalar::Text(text)) => ["true", "yes", "on", "y"].iter().any(|word| text.eq_ignore_ascii_case(word)),
            _ => self.get("value").is_some_and(View::is_true),
        }
    }

    fn is_one(&self, (name, number): (&str, u64)) -> bool {
        self.text().is_some_and(|text| text.eq_ignore_ascii_case(name)) || self.number() == Some(number)
    }

    fn each<'n>(&'n self, see: &mut impl FnMut(&'n Node)) {
        see(self);
        match &self.value {
            Value::Scalar(_) => {}
            Value::List(items) => items.iter().for_each(|item| item.each(see)),
            Value::Mapping(entries) => entries.iter().for_each(|entry| entry.node.each(see)),
        }
    }
}

/// Whether a key names a field: as the proto spells it, or in proto-JSON's lowerCamelCase, which Envoy takes as well and `egctl` writes.
pub(crate) fn is_field(key: &str, name: &str) -> bool {
    let mut rest = key.chars();
    let mut upper = false;
    let camel = name.chars().all(|letter| {
        if letter == '_' {
            upper = true;
            return true;
        }
        let letter = if std::mem::take(&mut upper) { letter.to_ascii_uppercase() } else { letter };
        rest.next() == Some(letter)
    });
    key == name || (camel && rest.next().is_none())
}

/// A key as the proto spells it.
pub(crate) fn snake(key: &str) -> String {
    let mut snake = String::with_capacity(key.len() + 4);
    for letter in key.chars() {
        if letter.is_ascii_uppercase() {
            snake.push('_');
        }
        snake.push(letter.to_ascii_lowercase());
    }
    snake
}

/// Whether a field is `true`.
pub(crate) fn holds(node: &Node, path: &str) -> bool {
    node.get(path).is_some_and(View::is_true)
}

/// What a filter is: the last word of its type, else of its name (`envoy.filters.http.ext_authz`). Of a filter in a matcher, which not all requests go
/// through, it is the filter's.
pub(crate) fn kind(filter: &Node) -> &str {
    let filter = inner(filter);
    let typed = filter.get("typed_config.@type").and_then(View::text).and_then(|of| of.rsplit('.').next());
    let discovered = filter.get("config_discovery.type_urls").and_then(|types| match types.items() {
        [one] => one.text()?.rsplit('.').next(),
        _ => Some("a filter of several types"),
    });
    typed.or(discovered).or_else(|| filter.get("name").and_then(View::text).and_then(|name| name.rsplit('.').next())).unwrap_or("")
}

/// The last word of a type: `ExtAuthzPerRoute`.
pub(crate) fn type_of(config: &Node) -> &str {
    config.get("@type").and_then(View::text).and_then(|of| of.rsplit('.').next()).unwrap_or("")
}

/// Whether a time-out never ends, or takes longer than a caller waits.
pub(crate) fn is_endless(timeout: &Node) -> bool {
    let seconds = timeout.text().and_then(|text| text.strip_suffix('s')).and_then(|text| text.parse::<f64>().ok());
    seconds.is_some_and(|seconds| seconds == 0.0 || seconds >= 10.0)
}

/// What Envoy answers where a service of ours gives no answer, if that is no error.
pub(crate) fn succeeds(config: &Node) -> Option<&Node> {
    // By their names in Envoy's `StatusCode`; whatever else has a name is an error.
    const BELOW: [&str; 19] = [
        "Continue",
        "OK",
        "Created",
        "Accepted",
        "NonAuthoritativeInformation",
        "NoContent",
        "ResetContent",
        "PartialContent",
        "MultiStatus",
        "AlreadyReported",
        "IMUsed",
        "MultipleChoices",
        "MovedPermanently",
        "Found",
        "SeeOther",
        "NotModified",
        "UseProxy",
        "TemporaryRedirect",
        "PermanentRedirect",
    ];
    let status = config.get("status_on_error")?;
    // Istio has the bare number.
    let code = status.get("code").unwrap_or(status);
    let succeeds = code.number().is_some_and(|code| (1..400).contains(&code))
        || code.text().is_some_and(|name| BELOW.iter().any(|below| below.eq_ignore_ascii_case(name)));
    succeeds.then_some(code)
}

/// A filter, out of the matcher that it may stand in (`ExtensionWithMatcher`).
pub(crate) fn inner(filter: &Node) -> &Node {
    filter.get("typed_config.extension_config").unwrap_or(filter)
}
