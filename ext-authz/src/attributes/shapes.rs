//! The messages in a CheckRequest of which nothing is needed, by the numbers of their fields.

use bulkhead_proto::wire::{Is, Shape};

/// `google.protobuf.Timestamp`: seconds, nanos.
pub(super) static TIMESTAMP: Shape = Shape(&[(1, Is::Number), (2, Is::Number)]);

/// `AttributeContext.TLSSession`: sni.
pub(super) static TLS_SESSION: Shape = Shape(&[(1, Is::Text)]);

/// `map<string, string>`
pub(super) static TEXTS: Shape = Shape(&[(1, Is::Text), (2, Is::Text)]);

/// `envoy.config.core.v3.Pipe`: path, mode.
pub(super) static PIPE: Shape = Shape(&[(1, Is::Text), (2, Is::Number)]);

/// `envoy.config.core.v3.EnvoyInternalAddress`: server_listener_name, endpoint_id.
pub(super) static INTERNAL_ADDRESS: Shape = Shape(&[(1, Is::Text), (2, Is::Text)]);

/// `envoy.config.core.v3.Metadata`: filter_metadata, typed_filter_metadata.
pub(super) static METADATA: Shape = Shape(&[(1, Is::Message(&FILTER)), (2, Is::Message(&TYPED_FILTER))]);

/// `map<string, google.protobuf.Struct>`
static FILTER: Shape = Shape(&[(1, Is::Text), (2, Is::Message(&STRUCT))]);

/// `map<string, google.protobuf.Any>`
static TYPED_FILTER: Shape = Shape(&[(1, Is::Text), (2, Is::Message(&ANY))]);

/// `google.protobuf.Any`: type_url, value.
static ANY: Shape = Shape(&[(1, Is::Text), (2, Is::Bytes)]);

/// `google.protobuf.Struct`: fields.
static STRUCT: Shape = Shape(&[(1, Is::Message(&MEMBER))]);

/// `map<string, google.protobuf.Value>`
static MEMBER: Shape = Shape(&[(1, Is::Text), (2, Is::Message(&VALUE))]);

/// `google.protobuf.Value`: null_value, number_value, string_value, bool_value, struct_value, list_value.
static VALUE: Shape =
    Shape(&[(1, Is::Number), (2, Is::Double), (3, Is::Text), (4, Is::Number), (5, Is::Message(&STRUCT)), (6, Is::Message(&LIST))]);

/// `google.protobuf.ListValue`: values.
static LIST: Shape = Shape(&[(1, Is::Message(&VALUE))]);
