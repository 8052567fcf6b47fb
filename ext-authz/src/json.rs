//! JSON whose objects name each member once (S19): of two equal members one parser takes the first and another the last, and a token or
//! a message that means two things is refused.

use std::{cell::Cell, fmt};

use serde::{
    Deserialize, Deserializer,
    de::{DeserializeSeed, Error, MapAccess, SeqAccess, Visitor},
};
use serde_json::{Map, Number, Value};

/// The object in `bytes`, and nothing after it.
///
/// # Errors
/// When it is no JSON, no object, nested deeper than serde_json's 128 levels, or names a member twice at any level.
pub(crate) fn object(bytes: &[u8]) -> Result<Map<String, Value>, serde_json::Error> {
    match value(bytes)? {
        Value::Object(members) => Ok(members),
        _ => Err(serde_json::Error::custom("not an object")),
    }
}

/// The value in `bytes`, and nothing after it.
///
/// # Errors
/// As [`object`], but for any value.
pub(crate) fn value(bytes: &[u8]) -> Result<Value, serde_json::Error> {
    Ok(serde_json::from_slice::<Unique>(bytes)?.0)
}

/// What a text takes in memory once it is read, in bytes, at the most: few bytes of text can make an object of some hundred.
pub(crate) fn weight(bytes: &[u8]) -> usize {
    // A map begins with a node of eleven members, a list with four places and doubles, and every name and text is an allocation.
    const OBJECT: usize = 704;
    const LIST: usize = 160;
    const MEMBER: usize = 192;
    let (mut weight, mut quoted, mut escaped) = (bytes.len(), false, false);
    for byte in bytes {
        match byte {
            // No text goes on in another line: of an event stream each is looked at by itself.
            b'\n' | b'\r' => (quoted, escaped) = (false, false),
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            _ if quoted => {}
            b'{' => weight += OBJECT,
            b'[' => weight += LIST,
            b',' => weight += MEMBER,
            _ => {}
        }
    }
    weight
}

/// A value without duplicate members.
struct Unique(Value);

impl<'de> Deserialize<'de> for Unique {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // The text of the error names no member: it may be a person's data.
        Alone::deserialize(deserializer)?.0.map(Self).ok_or_else(|| D::Error::custom("a member stands twice"))
    }
}

/// A value, absent where a member stands twice in it, at any depth: what stands beside it is read all the same.
pub(crate) struct Alone(pub(crate) Option<Value>);

impl<'de> Deserialize<'de> for Alone {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let twice = Cell::new(false);
        let value = Members(&twice).deserialize(deserializer)?;
        Ok(Self((!twice.get()).then_some(value)))
    }
}

/// Reads a value, and notes where a member stands twice in it.
#[derive(Clone, Copy)]
struct Members<'a>(&'a Cell<bool>);

impl<'de> DeserializeSeed<'de> for Members<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Members<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Value, E> {
        Number::from_f64(value).map(Value::Number).ok_or_else(|| E::custom("a number that is not finite"))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::String(value.to_owned()))
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = access.next_element_seed(self)? {
            items.push(item);
        }
        Ok(Value::Array(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        let mut members = Map::new();
        while let Some(name) = access.next_key::<String>()? {
            if members.insert(name, access.next_value_seed(self)?).is_some() {
                self.0.set(true);
            }
        }
        Ok(Value::Object(members))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn s19_a_duplicate_member_is_refused_at_any_level() {
        for text in [
            r#"{"a":1,"a":1}"#,
            r#"{"a":1,"\u0061":2}"#,
            r#"{"a":{"b":1,"b":2}}"#,
            r#"{"a":[{"b":1,"b":2}]}"#,
            r#"{"iss":"x","sub":"y","iss":"z"}"#,
        ] {
            assert!(object(text.as_bytes()).is_err(), "{text}");
        }
    }

    #[test]
    fn only_one_whole_object_is_read() {
        for text in ["", "1", "[]", "null", "\"x\"", "{} {}", "{}x", "{", &"[".repeat(100_000), &r#"{"a":"#.repeat(10_000)] {
            assert!(object(text.as_bytes()).is_err());
        }
        assert!(object(b" {} ").is_ok());
    }

    #[test]
    fn s5_what_a_text_takes_is_known_before_it_is_read() {
        assert_eq!(weight(br#"{"a":"{[,\"{","b":[1,2]}"#), 24 + 704 + 160 + 2 * 192);
        assert_eq!(weight(b": \"\ndata: {}"), 12 + 704, "a quote in a comment hides nothing");
        assert!(weight(&br#"{"a":1},"#.repeat(1000)) > 800_000);
    }

    proptest! {
        #[test]
        fn reading_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..512)) {
            let _ = object(&bytes);
        }

        #[test]
        fn a_document_without_duplicates_reads_as_serde_json_reads_it(
            members in proptest::collection::btree_map("[a-z\\\\\"é]{0,6}", any::<f64>().prop_filter("finite", |n| n.is_finite()), 0..8)
        ) {
            let text = serde_json::to_string(&members).unwrap();
            let plain: Map<String, Value> = serde_json::from_str(&text).unwrap();
            prop_assert_eq!(object(text.as_bytes()).unwrap(), plain);
        }
    }
}
