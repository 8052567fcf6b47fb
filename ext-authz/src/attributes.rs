//! Step 1: the request as Envoy shows it, taken out of a `CheckRequest` and bounded. Nothing is judged here but that it can be judged.

use std::{collections::HashMap, net::IpAddr};

use bulkhead_proto::{
    contract::context,
    pb::{
        envoy::{
            config::core::v3::{Metadata, address},
            service::auth::v3::{
                AttributeContext, CheckRequest,
                attribute_context::{HttpRequest, Peer},
            },
        },
        google::protobuf::{Struct, Value, value::Kind},
    },
};

use crate::verdict::{Denial, Reason};

pub use body::Body;
pub use headers::Headers;
pub(crate) use headers::{understood_as, understood_below};

mod body;
mod headers;
#[cfg(test)]
mod tests;

/// What a decision is made from.
#[derive(Debug, Clone)]
pub struct Attributes {
    /// The method, as on the wire (RFC 9110 section 9.1: case sensitive).
    pub method: String,
    /// `http` or `https`, as the client asked for it.
    pub scheme: String,
    /// `:authority` or `Host`, as on the wire.
    pub authority: String,
    /// The path as it arrived: without query, nothing decoded.
    pub path: String,
    /// The query as it arrived, without its `?`.
    pub query: Option<String>,
    /// Every header, duplicates kept.
    pub headers: Headers,
    /// The client's address, as far as Envoy's own configuration trusts who said it.
    pub source: Option<IpAddr>,
    /// What the operator wrote at the route.
    pub context: Context,
    /// Whose route Envoy chose, where the gateway says it.
    pub route: RouteOwner,
    /// What is known of the body.
    pub body: Body,
}

/// A route's `context_extensions`, as far as they are ours. Entries of other names belong to others.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Context {
    /// The tenant that the route belongs to.
    pub tenant: Option<String>,
    /// The API that the route belongs to.
    pub api: Option<String>,
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

/// Envoy's own bound on a request's headers is 100 by default; ten times that is no request that we have to understand.
const MAX_HEADERS: usize = 1000;

impl Attributes {
    /// Takes the attributes out of a `CheckRequest`.
    ///
    /// # Errors
    /// A denial where something is missing without which nothing can be decided.
    pub fn of(request: CheckRequest) -> Result<Self, Denial> {
        let mut attributes = request.attributes.ok_or_else(|| missing("attributes"))?;
        let mut http = attributes.request.take().and_then(|request| request.http).ok_or_else(|| missing("attributes.request.http"))?;
        let headers = Headers::of(&mut http);
        if headers.len() > MAX_HEADERS {
            return Err(Denial::new(Reason::Unreadable, "the request has more than 1000 headers"));
        }
        if http.method.is_empty() {
            return Err(missing("attributes.request.http.method"));
        }
        let body = Body::of(&mut http, &headers);
        let HttpRequest { method, path, host, scheme, .. } = http;
        let (path, query) = split_query(path);
        if shown_otherwise(&headers, &path) {
            return Err(Denial::new(Reason::BadPath, "`:path` and the path attribute differ: it is not known which one is forwarded"));
        }
        Ok(Self {
            method,
            scheme,
            authority: host,
            path,
            query,
            headers,
            source: attributes.source.as_ref().and_then(source_address),
            context: Context::of(&attributes.context_extensions),
            route: RouteOwner::of(&attributes),
            body,
        })
    }
}

/// A CheckRequest without HTTP attributes is a filter that is set up wrongly: nobody's fault who could be told more.
fn missing(what: &'static str) -> Denial {
    Denial::new(Reason::Unavailable, format!("the CheckRequest has no {what}"))
}

/// Envoy puts the query into the path attribute.
fn split_query(mut path: String) -> (String, Option<String>) {
    let Some(at) = path.find('?') else { return (path, None) };
    let query = path.split_off(at);
    (path, query.strip_prefix('?').map(str::to_owned))
}

/// Whether the pseudo header (which is what goes upstream) is another path than the attribute that is judged.
fn shown_otherwise(headers: &Headers, path: &str) -> bool {
    headers.all(":path").any(|raw| raw.split(|byte| *byte == b'?').next() != Some(path.as_bytes()))
}

fn source_address(peer: &Peer) -> Option<IpAddr> {
    match peer.address.as_ref()?.address.as_ref()? {
        address::Address::SocketAddress(socket) => socket.address.parse::<IpAddr>().ok().map(|ip| ip.to_canonical()),
        _ => None,
    }
}

impl Context {
    fn of(extensions: &HashMap<String, String>) -> Self {
        // Any other word than `on` declares nothing good.
        let on = |key| extensions.get(key).map(|value| value == "on");
        Self {
            tenant: extensions.get(context::TENANT).cloned(),
            api: extensions.get(context::API).cloned(),
            body: on(context::BODY),
            process: on(context::PROCESS),
            // Whatever it says: a word that was meant otherwise must not be a way around every limit.
            limits: extensions.contains_key(context::LIMITS),
        }
    }

    /// Whether the route names a tenant or an API.
    #[must_use]
    pub fn names_something(&self) -> bool {
        self.tenant.is_some() || self.api.is_some()
    }
}

impl RouteOwner {
    fn of(attributes: &AttributeContext) -> Self {
        let described = |metadata: &Metadata| metadata.filter_metadata.get(ENVOY_GATEWAY).map(namespaces);
        attributes.route_metadata_context.as_ref().and_then(described).map_or(Self::Unstated, Self::Namespaces)
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
