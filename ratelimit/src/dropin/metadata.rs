//! The answer's dynamic metadata (RESPONSE_DYNAMIC_METADATA): what was asked, and the `metadata` of the rules that let it pass.

use bulkhead_proto::pb::{
    envoy::{extensions::common::ratelimit::v3::RateLimitDescriptor, service::ratelimit::v3::RateLimitRequest},
    google::protobuf::{ListValue, Struct, Value, value::Kind},
};

use super::rules::{
    Unit,
    metadata::{Metadata, Value as Own},
};

/// The metadata of one call. `passed` are the metadata of the limits that were not over, in the order of their descriptors: the first that has a
/// member gives it, and structures are merged.
pub(super) fn of<'m>(request: &RateLimitRequest, passed: impl IntoIterator<Item = &'m Metadata>) -> Struct {
    let mut all = Struct::default();
    set(&mut all, "domain", text(&request.domain));
    set(&mut all, "descriptors", list(request.descriptors.iter().map(descriptor).collect()));
    if request.hits_addend > 0 {
        set(&mut all, "hitsAddend", Kind::NumberValue(request.hits_addend.into()));
    }
    let mut merged = Struct::default();
    for metadata in passed {
        merge(&mut merged, metadata);
    }
    if !merged.fields.is_empty() {
        set(&mut all, "metadata", Kind::StructValue(merged));
    }
    all
}

fn descriptor(descriptor: &RateLimitDescriptor) -> Value {
    let mut one = Struct::default();
    let entries = descriptor.entries.iter().map(|entry| value(text(&format!("{}={}", entry.key, entry.value))));
    set(&mut one, "entries", list(entries.collect()));
    if let Some(limit) = &descriptor.limit {
        let unit = Unit::from_number(limit.unit).map_or("UNKNOWN", Unit::name);
        set(&mut one, "limit", text(&format!("requests_per_unit:{} unit:{unit}", limit.requests_per_unit)));
    }
    if let Some(hits) = &descriptor.hits_addend {
        #[expect(clippy::cast_precision_loss, reason = "a Struct holds doubles")]
        set(&mut one, "hitsAddend", Kind::NumberValue(hits.value as f64));
    }
    value(Kind::StructValue(one))
}

fn merge(into: &mut Struct, from: &Metadata) {
    for (key, own) in from {
        match (into.fields.get_mut(key).and_then(|known| known.kind.as_mut()), own) {
            (Some(Kind::StructValue(known)), Own::Map(more)) => merge(known, more),
            (Some(_), _) => {}
            (None, own) => set(into, key, kind(own)),
        }
    }
}

fn kind(own: &Own) -> Kind {
    match own {
        Own::Null => Kind::NullValue(0),
        Own::Bool(truth) => Kind::BoolValue(*truth),
        Own::Number(number) => Kind::NumberValue(*number),
        Own::Text(own) => text(own),
        Own::List(values) => list(values.iter().map(|own| value(kind(own))).collect()),
        Own::Map(map) => {
            let mut all = Struct::default();
            merge(&mut all, map);
            Kind::StructValue(all)
        }
    }
}

fn set(into: &mut Struct, key: &str, kind: Kind) {
    into.fields.insert(key.to_owned(), value(kind));
}

fn value(kind: Kind) -> Value {
    Value { kind: Some(kind) }
}

fn text(text: &str) -> Kind {
    Kind::StringValue(text.to_owned())
}

fn list(values: Vec<Value>) -> Kind {
    Kind::ListValue(ListValue { values })
}
