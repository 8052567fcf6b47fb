//! Step 1: the request as Envoy shows it, taken out of a `CheckRequest` and bounded. Nothing is judged here but that it can be judged.

use std::net::IpAddr;

use bulkhead_proto::{
    contract::context,
    pb::{
        envoy::config::core::v3::Metadata,
        google::protobuf::{Struct, Value, value::Kind},
    },
    wire::Unreadable,
};
use prost::{Message as _, bytes::Bytes};

use self::{
    headers::MAX_HEADERS,
    shown::{Http, Shown},
};
use crate::verdict::{Denial, Reason};

pub use body::{Body, Origin};
pub use headers::Headers;
pub(crate) use headers::{understood_as, understood_below};

mod body;
mod headers;
mod shapes;
mod shown;
#[cfg(test)]
mod tests;

/// What a decision is made from: texts lie where the request does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attributes<'b> {
    /// The method, as on the wire (RFC 9110 section 9.1: case sensitive).
    pub method: &'b str,
    /// `http` or `https`, as the client asked for it.
    pub scheme: &'b str,
    /// `:authority` or `Host`, as on the wire.
    pub authority: &'b str,
    /// The path as it arrived: without query, nothing decoded.
    pub path: &'b str,
    /// The query as it arrived, without its `?`.
    pub query: Option<&'b str>,
    /// Every header, duplicates kept.
    pub headers: Headers<'b>,
    /// The client's address, as far as Envoy's own configuration trusts who said it.
    pub source: Option<IpAddr>,
    /// What the operator wrote at the route.
    pub context: Context<'b>,
    /// Whose route Envoy chose, where the gateway says it.
    pub route: RouteOwner,
    /// What is known of the body.
    pub body: Body<'b>,
    /// What all of it lies in.
    pub message: Origin<'b>,
}

/// A route's `context_extensions`, as far as they are ours. Entries of other names belong to others.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Context<'b> {
    /// The tenant that the route belongs to.
    pub tenant: Option<&'b str>,
    /// The API that the route belongs to.
    pub api: Option<&'b str>,
    /// Whether the operator declares that Envoy buffers bodies here, or that it does not, whatever is declared for all routes (S14).
    pub body: Option<bool>,
    /// Whether the operator declares that ext_proc stands in this chain, or that it does not (S14).
    pub process: Option<bool>,
    /// Whether the operator declares that nobody charges limits on this route if Check does not.
    pub limits: bool,
}

/// The namespaces of the route that Envoy chose (Envoy Gateway with `includeRouteMetadata`, S13).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum RouteOwner {
    /// The gateway does not say.
    #[default]
    Unstated,
    /// The namespaces it names; empty where it names a route without one.
    Namespaces(Vec<String>),
}

/// The filter's name under which Envoy Gateway describes a route.
const ENVOY_GATEWAY: &str = "envoy-gateway";

impl<'b> Attributes<'b> {
    /// Reads a `CheckRequest`, and takes the attributes out of it: or a denial where something is missing without which nothing can be decided.
    ///
    /// # Errors
    /// The message is none.
    pub fn read(message: &'b [u8]) -> Result<Result<Self, Denial>, Unreadable> {
        let shown = Shown::read(message)?;
        let route = RouteOwner::of(&Metadata::decode(&*shown.route).map_err(|_| Unreadable)?);
        Ok(Self::taken(shown, route))
    }

    /// The same; what cannot be read is denied. A client can bring it about (a server name in TLS that is no UTF-8), and a gRPC error is no denial to Envoy.
    ///
    /// # Errors
    /// Why nothing can be decided.
    pub fn asked(message: &'b Bytes) -> Result<Self, Denial> {
        let read = Self::read(message).unwrap_or_else(|Unreadable| Err(Denial::new(Reason::Unreadable, "the CheckRequest cannot be read")));
        read.map(|attributes| Self { message: Origin::of(message), ..attributes })
    }

    fn taken(shown: Shown<'b>, route: RouteOwner) -> Result<Self, Denial> {
        let Shown { is_there, http, source, context, .. } = shown;
        let http = http.ok_or_else(|| missing(if is_there { "attributes.request.http" } else { "attributes" }))?;
        let Http { method, path, host, scheme, body, raw_body, listed, mapped } = http;
        let headers = listed.and(mapped);
        if headers.len() > MAX_HEADERS {
            return Err(Denial::new(Reason::Unreadable, "the request has more than 1000 headers"));
        }
        if method.is_empty() {
            return Err(missing("attributes.request.http.method"));
        }
        let body = Body::of(raw_body, body, &headers);
        // Envoy puts the query into the path attribute.
        let (path, query) = path.split_once('?').map_or((path, None), |(path, query)| (path, Some(query)));
        if shown_otherwise(&headers, path) {
            return Err(Denial::new(Reason::BadPath, "`:path` and the path attribute differ: it is not known which one is forwarded"));
        }
        let source = source.and_then(|address| address.parse::<IpAddr>().ok()).map(|ip| ip.to_canonical());
        Ok(Self { method, scheme, authority: host, path, query, headers, source, context, route, body, message: Origin::default() })
    }
}

/// A CheckRequest without HTTP attributes is a filter that is set up wrongly: nobody's fault who could be told more.
fn missing(what: &'static str) -> Denial {
    Denial::new(Reason::Unavailable, format!("the CheckRequest has no {what}"))
}

/// Whether the pseudo header (which is what goes upstream) is another path than the attribute that is judged.
fn shown_otherwise(headers: &Headers<'_>, path: &str) -> bool {
    headers.all(":path").any(|raw| raw.split(|byte| *byte == b'?').next() != Some(path.as_bytes()))
}

impl<'b> Context<'b> {
    /// Takes an entry for what it says, in place of what it said before.
    fn extend(&mut self, key: &str, value: &'b str) {
        // Any other word than `on` declares nothing good.
        let on = Some(value == "on");
        match key {
            context::TENANT => self.tenant = Some(value),
            context::API => self.api = Some(value),
            context::BODY => self.body = on,
            context::PROCESS => self.process = on,
            // Whatever it says: a word that was meant otherwise must not be a way around every limit.
            context::LIMITS => self.limits = true,
            _ => {}
        }
    }

    /// Whether the route names a tenant or an API.
    #[must_use]
    pub fn names_something(&self) -> bool {
        self.tenant.is_some() || self.api.is_some()
    }
}

impl RouteOwner {
    fn of(route: &Metadata) -> Self {
        route.filter_metadata.get(ENVOY_GATEWAY).map_or(Self::Unstated, |described| Self::Namespaces(namespaces(described)))
    }
}

/// `resources: [{kind: HTTPRoute, name, namespace}]`. What does not read so yields no namespace, and no namespace is nobody's.
fn namespaces(route: &Struct) -> Vec<String> {
    let Some(Kind::ListValue(resources)) = route.fields.get("resources").and_then(|value| value.kind.as_ref()) else {
        return Vec::new();
    };
    resources.values.iter().map(|resource| namespace(resource).unwrap_or_default().to_owned()).collect()
}

fn namespace(resource: &Value) -> Option<&str> {
    let Kind::StructValue(fields) = resource.kind.as_ref()? else { return None };
    match fields.fields.get("namespace")?.kind.as_ref()? {
        Kind::StringValue(namespace) => Some(namespace),
        _ => None,
    }
}
