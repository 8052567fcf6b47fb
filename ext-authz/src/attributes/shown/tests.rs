use std::collections::HashMap;

use bulkhead_proto::{
    contract::context,
    pb::{
        envoy::{
            config::core::v3::{
                Address, EnvoyInternalAddress, HeaderMap, HeaderValue, Metadata, Pipe, SocketAddress, address::Address as Of,
                envoy_internal_address::AddressNameSpecifier, socket_address::PortSpecifier,
            },
            service::auth::v3::{
                AttributeContext, CheckRequest,
                attribute_context::{HttpRequest, Peer, Request, TlsSession},
            },
        },
        google::protobuf::{Any, ListValue, Struct, Timestamp, Value, value::Kind},
    },
    wire::Field,
};
use proptest::prelude::*;
use prost::Message as _;

use super::*;
use crate::{
    attributes::{Attributes, Body, RouteOwner, headers::MAX_HEADERS},
    verdict::Denial,
};

/// The attributes of a message by way of the generated code.
fn by_generated_code(request: &CheckRequest) -> Result<Attributes<'_>, Denial> {
    let shown = Shown {
        is_there: request.attributes.is_some(),
        http: request.attributes.as_ref().and_then(|attributes| attributes.request.as_ref()?.http.as_ref()).map(http),
        ..Shown::default()
    };
    let Some(attributes) = &request.attributes else { return Attributes::taken(shown, RouteOwner::Unstated) };
    let socket = attributes.source.as_ref().and_then(|peer| peer.address.as_ref()?.address.as_ref());
    let source = if let Some(Of::SocketAddress(socket)) = socket { Some(socket.address.as_str()) } else { None };
    let extension = |key: &str| attributes.context_extensions.get(key).map(String::as_str);
    let told = Context {
        tenant: extension(context::TENANT),
        api: extension(context::API),
        body: extension(context::BODY).map(|word| word == "on"),
        process: extension(context::PROCESS).map(|word| word == "on"),
        limits: extension(context::LIMITS).is_some(),
    };
    let route = attributes.route_metadata_context.as_ref().map(RouteOwner::of).unwrap_or_default();
    Attributes::taken(Shown { source, context: told, ..shown }, route)
}

fn http(request: &HttpRequest) -> Http<'_> {
    let HttpRequest { method, path, host, scheme, body, raw_body, .. } = request;
    let mut http = Http { method, path, host, scheme, body, raw_body, ..Http::default() };
    for header in request.header_map.iter().flat_map(|map| &map.headers) {
        http.listed.push(&header.key, if header.raw_value.is_empty() { header.value.as_bytes() } else { &header.raw_value });
    }
    request.headers.iter().for_each(|(name, value)| http.mapped.insert(name, value));
    http
}

/// Whether a message has an entry of a map, before anything that cannot be read, that is no message: the generated code takes what follows its number for a
/// length, whatever it is. `path`: the numbers of the fields that it is a field of.
fn has_odd_entry(message: &[u8], path: &mut Vec<u32>) -> bool {
    let mut fields = Fields::of(message);
    while let Ok(Some((number, field))) = fields.take() {
        path.push(number);
        let is_of_metadata = |path: &[u32]| matches!(path, [1, 11 | 13, rest @ ..] if map_of_metadata(rest));
        let is_map = matches!(path.as_slice(), [1, 10] | [1, 1 | 2, 3] | [1, 4, 2, 3]) || is_of_metadata(path);
        let odd = match field {
            Field::Bytes(inner) => has_odd_entry(inner, path),
            _ => is_map,
        };
        path.pop();
        if odd {
            return true;
        }
    }
    false
}

/// Both maps of a `Metadata`, and the fields of each `Struct` in it.
fn map_of_metadata(path: &[u32]) -> bool {
    match path {
        [1 | 2] => true,
        [1, 2, rest @ ..] => map_of_struct(rest),
        _ => false,
    }
}

fn map_of_struct(path: &[u32]) -> bool {
    match path {
        [1] => true,
        [1, 2, rest @ ..] => map_of_value(rest),
        _ => false,
    }
}

fn map_of_value(path: &[u32]) -> bool {
    match path {
        [5, rest @ ..] => map_of_struct(rest),
        [6, 1, rest @ ..] => map_of_value(rest),
        _ => false,
    }
}

fn is_read_as_the_generated_code_reads_it(message: &[u8]) {
    let decoded = CheckRequest::decode(message);
    let read = Attributes::read(message);
    if read.is_err() && decoded.is_ok() && has_odd_entry(message, &mut Vec::new()) {
        return;
    }
    assert_eq!(read, decoded.as_ref().map(by_generated_code).map_err(|_| Unreadable), "{}", hex::encode(message));
}

fn text() -> BoxedStrategy<String> {
    prop_oneof![Just(String::new()), Just("192.0.2.7".to_owned()), "[A-Za-z-]{1,8}", any::<String>()].boxed()
}

fn texts() -> BoxedStrategy<HashMap<String, String>> {
    let key = prop_oneof![
        3 => prop::sample::select(vec![context::TENANT, context::API, context::BODY, context::PROCESS, context::LIMITS]).prop_map(str::to_owned),
        1 => text(),
    ];
    prop::collection::hash_map(key, prop_oneof![Just("on".to_owned()), text()], 0..4).boxed()
}

fn value() -> BoxedStrategy<Value> {
    let flat = prop_oneof![
        Just(None),
        any::<i32>().prop_map(|null| Some(Kind::NullValue(null))),
        (-9.0..9.0).prop_map(|number| Some(Kind::NumberValue(number))),
        text().prop_map(|text| Some(Kind::StringValue(text))),
        any::<bool>().prop_map(|truth| Some(Kind::BoolValue(truth))),
    ];
    let key = || prop_oneof![Just("resources".to_owned()), Just("namespace".to_owned()), text()];
    flat.prop_map(|kind| Value { kind })
        .prop_recursive(3, 12, 3, move |inner| {
            let list = prop::collection::vec(inner.clone(), 0..3).prop_map(|values| Kind::ListValue(ListValue { values }));
            let fields = prop::collection::hash_map(key(), inner, 0..3).prop_map(|fields| Kind::StructValue(Struct { fields }));
            prop_oneof![list, fields].prop_map(|kind| Value { kind: Some(kind) })
        })
        .boxed()
}

fn metadata() -> BoxedStrategy<Metadata> {
    let name = prop_oneof![Just("envoy-gateway".to_owned()), text()];
    let fields = prop::collection::hash_map(prop_oneof![Just("resources".to_owned()), text()], value(), 0..3);
    let filters = prop::collection::hash_map(name, fields.prop_map(|fields| Struct { fields }), 0..3);
    let any = (text(), prop::collection::vec(any::<u8>(), 0..3)).prop_map(|(type_url, value)| Any { type_url, value });
    (filters, prop::collection::hash_map(text(), any, 0..2))
        .prop_map(|(filter_metadata, typed_filter_metadata)| Metadata { filter_metadata, typed_filter_metadata })
        .boxed()
}

fn peer() -> BoxedStrategy<Peer> {
    let socket = (text(), any::<i32>(), any::<u32>(), text(), any::<bool>()).prop_map(|(address, protocol, port, name, flag)| {
        let port = if flag { PortSpecifier::PortValue(port) } else { PortSpecifier::NamedPort(name.clone()) };
        let socket = SocketAddress { protocol, address, port_specifier: Some(port), ipv4_compat: flag, ..SocketAddress::default() };
        Of::SocketAddress(SocketAddress { resolver_name: name.clone(), network_namespace_filepath: name, ..socket })
    });
    let pipe = (text(), any::<u32>()).prop_map(|(path, mode)| Of::Pipe(Pipe { path, mode }));
    let internal = (text(), text()).prop_map(|(name, endpoint_id)| {
        let address_name_specifier = Some(AddressNameSpecifier::ServerListenerName(name));
        Of::EnvoyInternalAddress(EnvoyInternalAddress { endpoint_id, address_name_specifier })
    });
    let address = prop::option::of(prop::option::of(prop_oneof![3 => socket, 1 => pipe, 1 => internal]));
    (address, text(), texts())
        .prop_map(|(address, text, labels)| Peer {
            address: address.map(|address| Address { address }),
            service: text.clone(),
            labels,
            principal: text.clone(),
            certificate: text,
        })
        .boxed()
}

fn http_request() -> BoxedStrategy<HttpRequest> {
    let header = (text(), text(), prop::collection::vec(any::<u8>(), 0..3)).prop_map(|(key, value, raw_value)| HeaderValue {
        key,
        value,
        raw_value,
    });
    let map = prop::option::of(prop::collection::vec(header, 0..4).prop_map(|headers| HeaderMap { headers }));
    let part = (text(), text(), text(), text());
    (map, texts(), part, any::<i64>(), prop::collection::vec(any::<u8>(), 0..4))
        .prop_map(|(header_map, headers, (one, two, three, four), size, raw_body)| HttpRequest {
            id: four.clone(),
            method: one,
            headers,
            header_map,
            path: format!("/{two}?{four}"),
            host: two,
            scheme: three.clone(),
            query: four.clone(),
            fragment: four.clone(),
            size,
            protocol: four,
            body: three,
            raw_body,
        })
        .boxed()
}

fn message() -> BoxedStrategy<Vec<u8>> {
    let time = prop::option::of(any::<(i64, i32)>().prop_map(|(seconds, nanos)| Timestamp { seconds, nanos }));
    let request = (time, prop::option::weighted(0.9, http_request())).prop_map(|(time, http)| Request { time, http });
    let peers = (prop::option::of(peer()), prop::option::of(peer()));
    let metadata = (prop::option::of(metadata()), prop::option::of(metadata()));
    let attributes = (peers, prop::option::weighted(0.9, request), texts(), metadata, prop::option::of(text())).prop_map(
        |((source, destination), request, context_extensions, (metadata_context, route_metadata_context), sni)| AttributeContext {
            source,
            destination,
            request,
            context_extensions,
            metadata_context,
            route_metadata_context,
            tls_session: sni.map(|sni| TlsSession { sni }),
        },
    );
    prop::option::weighted(0.95, attributes).prop_map(|attributes| CheckRequest { attributes }.encode_to_vec()).boxed()
}

proptest! {
    /// Whole messages, two one after the other (what stands twice is one), and messages of which bytes were altered, left out and doubled.
    #[test]
    fn a_request_is_what_the_generated_code_reads(
        first in message(),
        second in message(),
        alterations in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>(), 0..3_u8), 0..6),
    ) {
        is_read_as_the_generated_code_reads_it(&first);
        prop_assert!(Attributes::read(&first).is_ok());
        let mut both = [first, second].concat();
        is_read_as_the_generated_code_reads_it(&both);
        prop_assert!(Attributes::read(&both).is_ok());
        for (place, byte, how) in alterations {
            if both.is_empty() {
                break;
            }
            let place = place.index(both.len());
            match how {
                0 => both[place] = byte,
                1 => drop(both.remove(place)),
                _ => both.insert(place, byte),
            }
            is_read_as_the_generated_code_reads_it(&both);
        }
    }

    #[test]
    fn bytes_that_are_no_request_are_none(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
        is_read_as_the_generated_code_reads_it(&bytes);
        for path in [&[1, 1][..], &[1, 4], &[1, 4, 2], &[1, 4, 2, 13], &[1, 1, 1], &[1, 1, 1, 1], &[1, 13, 1, 2, 1, 2]] {
            is_read_as_the_generated_code_reads_it(&within(path, &bytes));
        }
    }
}

/// A message as field of others, the first number outermost. All are shorter than 16 KiB.
fn within(path: &[u8], message: &[u8]) -> Vec<u8> {
    path.iter().rev().fold(message.to_vec(), |message, number| {
        let length = u16::try_from(message.len()).unwrap();
        let [low, high] = [length as u8 | 0x80, (length >> 7) as u8];
        [&[number << 3 | 2, low, high], message.as_slice()].concat()
    })
}

#[test]
fn every_field_of_every_type_is_taken_or_refused_as_the_generated_code_does() {
    let paths = [&[][..], &[1], &[1, 1], &[1, 2], &[1, 1, 1], &[1, 1, 1, 1], &[1, 1, 1, 2], &[1, 1, 1, 3], &[1, 1, 3]];
    let of_request = [&[1, 4][..], &[1, 4, 1], &[1, 4, 2], &[1, 4, 2, 3], &[1, 4, 2, 13], &[1, 4, 2, 13, 1]];
    let others = [&[1, 10][..], &[1, 11, 2], &[1, 11, 2, 2], &[1, 12], &[1, 13], &[1, 13, 1], &[1, 13, 1, 2], &[1, 13, 1, 2, 1]];
    let of_value = [&[1, 13, 1, 2, 1, 2][..], &[1, 13, 1, 2, 1, 2, 5], &[1, 13, 1, 2, 1, 2, 5, 1], &[1, 13, 1, 2, 1, 2, 6, 1]];
    for path in paths.into_iter().chain(of_request).chain(others).chain(of_value) {
        for number in 1..=15 {
            // A number, 64 bits, a text, bytes that are none, a group, 32 bits.
            let values: [(u8, &[u8]); 7] =
                [(0, &[1]), (1, &[0; 8]), (2, &[1, b'x']), (2, &[1, 0xff]), (2, &[0]), (3, &[number << 3 | 4]), (5, &[0; 4])];
            for (wire, value) in values {
                is_read_as_the_generated_code_reads_it(&within(path, &[&[number << 3 | wire], value].concat()));
            }
        }
    }
}

#[test]
fn messages_and_groups_may_be_as_deep_as_the_generated_code_takes_them() {
    let groups = |levels: usize| [vec![0x7b; levels], vec![0x7c; levels]].concat();
    for levels in 85..=103 {
        for path in [&[][..], &[1], &[1, 1], &[1, 4, 2], &[1, 4, 2, 13, 1], &[1, 13, 1, 2]] {
            is_read_as_the_generated_code_reads_it(&within(path, &groups(levels)));
        }
    }
    for (kind, start) in [(&[5, 1, 2][..], [1, 13, 1, 2, 1, 2]), (&[6, 1], [1, 13, 1, 2, 1, 2])] {
        for levels in 10..=60 {
            let path: Vec<u8> = start.into_iter().chain(kind.iter().copied().cycle().take(levels)).collect();
            for inmost in
                [&[][..], &[0x20, 1], &[0x11, 0, 0, 0, 0, 0, 0, 0, 0], &[0x1a, 1, b'x'], &[0x78, 1], &[0x7a, 0], &[0x7d, 0, 0, 0, 0]]
            {
                is_read_as_the_generated_code_reads_it(&within(&path, inmost));
            }
        }
    }
}

#[test]
fn what_stands_twice_is_read_as_one() {
    let socket = |address: &[u8]| within(&[1, 1, 1, 1], address);
    let pipe = within(&[1, 1, 1, 2], &[]);
    let http = within(&[1, 4, 2], &[0x12, 1, b'G', 0x12, 1, b'P', 0x22, 1, b'/']);
    let source = |parts: &[&[u8]]| {
        let message = [parts.concat(), http.clone()].concat();
        is_read_as_the_generated_code_reads_it(&message);
        let read = Attributes::read(&message).unwrap().unwrap();
        assert_eq!(read.method, "P");
        read.source.map(|source| source.to_string())
    };
    let address = b"\x12\x07192.0.2\x12\x09192.0.2.7";
    assert_eq!(source(&[&socket(address), &socket(&[])]).as_deref(), Some("192.0.2.7"));
    assert_eq!(source(&[&socket(address), &pipe]), None);
    assert_eq!(source(&[&socket(address), &pipe, &socket(&[])]), None);
    assert_eq!(source(&[&pipe, &socket(address)]).as_deref(), Some("192.0.2.7"));
}

#[test]
fn of_a_flood_of_headers_no_more_is_kept_than_tells_that_there_are_too_many() {
    let many = within(&[1, 4, 2], &[0x1a, 0].repeat(8_000));
    is_read_as_the_generated_code_reads_it(&many);
    let http = Shown::read(&many).unwrap().http.unwrap();
    assert_eq!(Headers::default().and(http.mapped).len(), 1, "one key, however often");
    for count in [MAX_HEADERS, MAX_HEADERS + 1, 3 * MAX_HEADERS] {
        let headers: HashMap<String, String> = (0..count).map(|nth| (nth.to_string(), String::new())).collect();
        let listed = headers.keys().map(|key| HeaderValue { key: key.clone(), ..HeaderValue::default() }).collect();
        let mapped = HttpRequest { method: "GET".to_owned(), headers, ..HttpRequest::default() };
        let listed = HttpRequest { headers: HashMap::new(), header_map: Some(HeaderMap { headers: listed }), ..mapped.clone() };
        for http in [mapped, listed] {
            let request = Some(Request { http: Some(http), time: None });
            let message = CheckRequest { attributes: Some(AttributeContext { request, ..AttributeContext::default() }) }.encode_to_vec();
            is_read_as_the_generated_code_reads_it(&message);
            let read = Attributes::read(&message).unwrap();
            assert_eq!(read.is_ok(), count <= MAX_HEADERS, "{count}");
            assert!(read.is_err() || read.is_ok_and(|read| read.body == Body::Absent));
        }
    }
}
