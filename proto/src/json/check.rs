//! `CheckRequest` in, `CheckResponse` out.

use serde_json::Value;

use super::{
    JsonError,
    header::{read_header_value, write_header_value},
    parse,
    read::{Field, Fields},
    structure,
    write::Object,
};
use crate::pb::{
    envoy::{
        config::core::v3::{
            Address, EnvoyInternalAddress, HeaderMap, HeaderValueOption, Metadata, Pipe, QueryParameter, SocketAddress, address,
            header_value_option::HeaderAppendAction,
            socket_address::{PortSpecifier, Protocol},
        },
        service::auth::v3::{
            AttributeContext, CheckRequest, CheckResponse, DeniedHttpResponse, OkHttpResponse,
            attribute_context::{HttpRequest, Peer, Request, TlsSession},
            check_response::HttpResponse,
        },
        r#type::v3::StatusCode,
    },
    google::protobuf::Timestamp,
};

/// Reads a CheckRequest.
///
/// # Errors
/// The text is not JSON, or not this message; it says where.
pub fn read_request(text: &str) -> Result<CheckRequest, JsonError> {
    Fields::whole(&parse(text)?, |fields| Ok(CheckRequest { attributes: fields.message("attributes", attributes)? }))
}

fn attributes(fields: &mut Fields<'_>) -> Result<AttributeContext, JsonError> {
    Ok(AttributeContext {
        source: fields.message("source", peer)?,
        destination: fields.message("destination", peer)?,
        request: fields.message("request", request)?,
        context_extensions: fields.map("context_extensions", Field::text)?,
        metadata_context: fields.message("metadata_context", metadata)?,
        route_metadata_context: fields.message("route_metadata_context", metadata)?,
        tls_session: fields.message("tls_session", |fields| Ok(TlsSession { sni: fields.text("sni")? }))?,
    })
}

fn request(fields: &mut Fields<'_>) -> Result<Request, JsonError> {
    let time: Option<prost_types::Timestamp> = fields.parsed("time", "must be a time of RFC 3339")?;
    Ok(Request { time: time.map(|time| Timestamp { seconds: time.seconds, nanos: time.nanos }), http: fields.message("http", http)? })
}

fn http(fields: &mut Fields<'_>) -> Result<HttpRequest, JsonError> {
    Ok(HttpRequest {
        id: fields.text("id")?,
        method: fields.text("method")?,
        headers: fields.map("headers", Field::text)?,
        header_map: fields.message("header_map", |fields| Ok(HeaderMap { headers: fields.messages("headers", read_header_value)? }))?,
        path: fields.text("path")?,
        host: fields.text("host")?,
        scheme: fields.text("scheme")?,
        query: fields.text("query")?,
        fragment: fields.text("fragment")?,
        size: fields.integer("size")?.unwrap_or_default(),
        protocol: fields.text("protocol")?,
        body: fields.text("body")?,
        raw_body: fields.bytes("raw_body")?,
    })
}

fn peer(fields: &mut Fields<'_>) -> Result<Peer, JsonError> {
    Ok(Peer {
        address: fields.message("address", address)?,
        service: fields.text("service")?,
        labels: fields.map("labels", Field::text)?,
        principal: fields.text("principal")?,
        certificate: fields.text("certificate")?,
    })
}

fn address(fields: &mut Fields<'_>) -> Result<Address, JsonError> {
    let socket = fields.message("socket_address", socket_address)?.map(address::Address::SocketAddress);
    let pipe =
        fields.message("pipe", |fields| Ok(Pipe { path: fields.text("path")?, mode: fields.integer("mode")?.unwrap_or_default() }))?;
    // An internal listener's address names nobody: that it is one is all that matters.
    let internal = fields.take("envoy_internal_address")?.map(|_| address::Address::EnvoyInternalAddress(EnvoyInternalAddress::default()));
    Ok(Address { address: socket.or(pipe.map(address::Address::Pipe)).or(internal) })
}

fn socket_address(fields: &mut Fields<'_>) -> Result<SocketAddress, JsonError> {
    let named = fields.take("named_port")?.map(Field::text).transpose()?.map(PortSpecifier::NamedPort);
    Ok(SocketAddress {
        protocol: fields.choice("protocol", |name| Protocol::from_str_name(name).map(i32::from))?,
        address: fields.text("address")?,
        resolver_name: fields.text("resolver_name")?,
        ipv4_compat: fields.truth("ipv4_compat")?,
        network_namespace_filepath: fields.text("network_namespace_filepath")?,
        port_specifier: fields.integer("port_value")?.map(PortSpecifier::PortValue).or(named),
    })
}

fn metadata(fields: &mut Fields<'_>) -> Result<Metadata, JsonError> {
    let filter_metadata = fields.map("filter_metadata", |field| field.object().map(structure::read))?;
    // Typed metadata needs descriptors that nobody has here, and nothing decides by it.
    fields.skip("typed_filter_metadata")?;
    Ok(Metadata { filter_metadata, ..Metadata::default() })
}

/// Writes a CheckResponse.
#[must_use]
pub fn write_response(response: &CheckResponse) -> Value {
    let status = response.status.as_ref().map(|status| {
        let code = (status.code != 0).then(|| Value::from(status.code));
        Object::default().put("code", code).text("message", &status.message).finish()
    });
    let object = Object::default().put("status", status).put("dynamic_metadata", response.dynamic_metadata.as_ref().map(structure::write));
    match &response.http_response {
        None => object,
        Some(HttpResponse::DeniedResponse(denied)) => object.put("denied_response", Some(write_denied(denied))),
        Some(HttpResponse::OkResponse(ok)) => object.put("ok_response", Some(write_ok(ok))),
        Some(HttpResponse::ErrorResponse(error)) => object.put("error_response", Some(write_denied(error))),
    }
    .finish()
}

fn write_denied(denied: &DeniedHttpResponse) -> Value {
    let status = denied.status.as_ref().map(|status| Object::default().put("code", Some(write_status_code(status.code))).finish());
    Object::default().put("status", status).list("headers", &denied.headers, write_header).text("body", &denied.body).finish()
}

/// An enum is written by its name; a number that has none, as it is.
fn write_status_code(code: i32) -> Value {
    StatusCode::try_from(code).map_or_else(|_| Value::from(code), |code| Value::from(code.as_str_name()))
}

fn write_ok(ok: &OkHttpResponse) -> Value {
    let text = |text: &String| Value::from(text.as_str());
    let parameter = |parameter: &QueryParameter| Object::default().text("key", &parameter.key).text("value", &parameter.value).finish();
    Object::default()
        .list("headers", &ok.headers, write_header)
        .list("headers_to_remove", &ok.headers_to_remove, text)
        .list("response_headers_to_add", &ok.response_headers_to_add, write_header)
        .list("query_parameters_to_set", &ok.query_parameters_to_set, parameter)
        .list("query_parameters_to_remove", &ok.query_parameters_to_remove, text)
        .finish()
}

fn write_header(option: &HeaderValueOption) -> Value {
    let header = option.header.as_ref().map(write_header_value);
    let action = HeaderAppendAction::try_from(option.append_action).unwrap_or(HeaderAppendAction::AppendIfExistsOrAdd);
    let action = (action != HeaderAppendAction::AppendIfExistsOrAdd).then(|| Value::from(action.as_str_name()));
    Object::default().put("header", header).put("append_action", action).truth("keep_empty_value", option.keep_empty_value).finish()
}
