//! What a rule judges: who is proven to ask, what of the tenant's own is asked for, and the request. docs/rules.md describes it for authors.

use std::{collections::BTreeMap, fmt};

use regorus::Value;

/// The longest text of the input, in bytes.
pub const MAX_TEXT_BYTES: usize = 8 << 10;
/// The most bytes of all its texts.
pub const MAX_INPUT_BYTES: usize = 32 << 10;
/// The most values of it: roles, scopes, headers and what always stands there.
pub const MAX_VALUES: usize = 1 << 10;

/// The input of a rule. What is absent is undefined in the rule, so an expression that needs it is not true.
#[derive(Debug, Clone, Default)]
pub struct Input<'a> {
    /// `input.caller`
    pub caller: Caller<'a>,
    /// `input.resource`
    pub resource: Resource<'a>,
    /// `input.request`
    pub request: Request<'a>,
    /// `input.mcp`, of an API that speaks MCP.
    pub mcp: Option<Mcp<'a>>,
}

/// Who asks: proven by credentials, nothing that a client could set.
#[derive(Debug, Clone, Default)]
pub struct Caller<'a> {
    /// The tenant that the credentials prove; always there.
    pub tenant: &'a str,
    /// Its namespace; always there.
    pub tenant_namespace: &'a str,
    /// `sub` of the token.
    pub subject: Option<&'a str>,
    /// `azp` of the token, else `client_id`.
    pub client: Option<&'a str>,
    /// Roles of the token.
    pub roles: &'a [String],
    /// Scopes of the token.
    pub scopes: &'a [String],
    /// The subscription of the caller.
    pub subscription: Option<&'a str>,
    /// What proves the caller.
    pub by: By,
}

/// What proves a caller: `input.caller.by`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it")]
pub enum By {
    #[default]
    Token,
    Key,
    Both,
}

/// What is asked for: the tenant's own.
#[derive(Debug, Clone, Default)]
pub struct Resource<'a> {
    /// The namespace that holds the contract of the API.
    pub namespace: &'a str,
    /// The API's name in that contract.
    pub api: &'a str,
    /// The path below the API with its leading slash, its escapes undone.
    pub path: &'a str,
    /// The method.
    pub method: &'a str,
    /// The MCP tool that is called, where one is: the resource's name.
    pub tool: Option<&'a str>,
}

/// One message of MCP.
#[derive(Debug, Clone, Copy, Default)]
pub struct Mcp<'a> {
    /// Its method; an answer of the client's has none.
    pub method: Option<&'a str>,
    /// The tool that is called, by its server's name.
    pub tool: Option<&'a str>,
    /// The arguments that it is called with, as JSON, where some rule may read them.
    pub arguments: Option<&'a str>,
}

/// The request as it arrived.
#[derive(Debug, Clone, Default)]
pub struct Request<'a> {
    /// The method.
    pub method: &'a str,
    /// The whole path, without query, its escapes undone.
    pub path: &'a str,
    /// The query, without `?`.
    pub query: Option<&'a str>,
    /// The host that was asked, as on the wire.
    pub host: &'a str,
    /// `http` or `https`.
    pub scheme: &'a str,
    /// Names in lower case; values of one name joined by commas. Credentials are not among them: whoever makes this leaves them out.
    pub headers: BTreeMap<String, String>,
}

impl Input<'_> {
    /// The value that rules see; absent where it is larger than a rule may be asked about.
    #[must_use]
    pub fn prepare(&self) -> Option<Prepared> {
        let bounds = Bounds::default();
        let Self { caller, resource, request, mcp } = self;
        let by = match caller.by {
            By::Token => "token",
            By::Key => "key",
            By::Both => "both",
        };
        let caller = bounds.object([
            ("tenant", bounds.text(caller.tenant)?),
            ("tenant_namespace", bounds.text(caller.tenant_namespace)?),
            ("subject", bounds.optional(caller.subject)?),
            ("client", bounds.optional(caller.client)?),
            ("roles", bounds.list(caller.roles)?),
            ("scopes", bounds.list(caller.scopes)?),
            ("subscription", bounds.optional(caller.subscription)?),
            ("by", bounds.text(by)?),
        ]);
        let resource = bounds.object([
            ("namespace", bounds.text(resource.namespace)?),
            ("api", bounds.text(resource.api)?),
            ("path", bounds.text(resource.path)?),
            ("method", bounds.text(resource.method)?),
            ("tool", bounds.optional(resource.tool)?),
        ]);
        let mut headers = BTreeMap::new();
        for (name, value) in &request.headers {
            headers.insert(bounds.text(name)?, bounds.text(value)?);
        }
        let request = bounds.object([
            ("method", bounds.text(request.method)?),
            ("path", bounds.text(request.path)?),
            ("query", bounds.optional(request.query)?),
            ("host", bounds.text(request.host)?),
            ("scheme", bounds.text(request.scheme)?),
            ("headers", Value::from(headers)),
        ]);
        let mcp = match mcp {
            Some(Mcp { method, tool, arguments }) => bounds.object([
                ("method", bounds.optional(*method)?),
                ("tool", bounds.optional(*tool)?),
                ("arguments", arguments.map_or(Some(Value::Undefined), |arguments| bounds.json(arguments))?),
            ]),
            None => Value::Undefined,
        };
        Some(Prepared(bounds.object([("caller", caller), ("resource", resource), ("request", request), ("mcp", mcp)])))
    }
}

/// An input as rules see it. Cheap to clone.
#[derive(Clone, PartialEq, Eq)]
pub struct Prepared(pub(crate) Value);

impl Prepared {
    /// As JSON, for whoever asks why a rule said what it said. It holds what the caller sent.
    #[must_use]
    pub fn to_json(&self) -> String {
        self.0.to_json_str().unwrap_or_default()
    }
}

impl fmt::Debug for Prepared {
    /// It holds what the caller sent.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Prepared")
    }
}

/// What was taken in so far.
#[derive(Default)]
struct Bounds {
    bytes: std::cell::Cell<usize>,
    values: std::cell::Cell<usize>,
}

impl Bounds {
    fn text(&self, text: &str) -> Option<Value> {
        self.bytes.set(self.bytes.get() + text.len());
        self.values.set(self.values.get() + 1);
        let fits = text.len() <= MAX_TEXT_BYTES && self.bytes.get() <= MAX_INPUT_BYTES && self.values.get() <= MAX_VALUES;
        fits.then(|| Value::from(text))
    }

    /// Undefined where there is none.
    fn optional(&self, text: Option<&str>) -> Option<Value> {
        text.map_or(Some(Value::Undefined), |text| self.text(text))
    }

    fn list(&self, texts: &[String]) -> Option<Value> {
        texts.iter().map(|text| self.text(text)).collect::<Option<Vec<_>>>().map(Value::from)
    }

    /// What a JSON text says.
    fn json(&self, text: &str) -> Option<Value> {
        // An escape is six bytes of one: what is longer cannot fit, and is not read.
        let value = (text.len() <= 6 * MAX_INPUT_BYTES).then(|| Value::from_json_str(text).ok())??;
        self.measure(&value)?;
        Some(value)
    }

    fn measure(&self, value: &Value) -> Option<()> {
        match value {
            Value::String(text) => self.text(text).map(drop),
            Value::Array(items) => {
                self.text("")?;
                items.iter().try_for_each(|item| self.measure(item))
            }
            Value::Object(members) => {
                self.text("")?;
                members.iter().try_for_each(|(name, value)| self.measure(name).and_then(|()| self.measure(value)))
            }
            _ => self.text("").map(drop),
        }
    }

    fn object<const N: usize>(&self, fields: [(&str, Value); N]) -> Value {
        Value::from(
            fields
                .into_iter()
                .filter(|(_, value)| *value != Value::Undefined)
                .map(|(name, value)| (Value::from(name), value))
                .collect::<BTreeMap<_, _>>(),
        )
    }
}
