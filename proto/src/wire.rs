//! Messages written and read field by field (the protobuf encoding of <https://protobuf.dev/programming-guides/encoding/>), from where their texts are: no message of
//! strings, lists and maps is made first, for what is asked and answered with every request.

mod fields;
mod shape;

use prost::{
    bytes::BufMut as _,
    encoding::{WireType, encode_varint, encoded_len_varint},
};

pub use self::{
    fields::{Field, Fields, Unreadable},
    shape::{Is, Shape},
};

/// A message, as far as it is written.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Written(Vec<u8>);

impl Written {
    /// An empty message, with room for so many bytes.
    #[must_use]
    pub fn with_room(bytes: usize) -> Self {
        Self(Vec::with_capacity(bytes))
    }

    /// A text, also an empty one: of a `oneof` it says which field is there.
    pub fn text(&mut self, field: u32, text: &str) {
        self.key(field, WireType::LengthDelimited);
        self.varint(text.len() as u64);
        self.0.extend_from_slice(text.as_bytes());
    }

    /// A number (`int32`, `uint64`, an enum). What is not written is 0.
    pub fn number(&mut self, field: u32, number: impl Into<u64>) {
        let number = number.into();
        if number > 0 {
            self.key(field, WireType::Varint);
            self.varint(number);
        }
    }

    /// A `double`, also 0.
    pub fn double(&mut self, field: u32, number: f64) {
        self.key(field, WireType::SixtyFourBit);
        self.0.put_f64_le(number);
    }

    /// A message in this one, written by `write`; also an empty one, which is another thing than none.
    pub fn message(&mut self, field: u32, write: impl FnOnce(&mut Self)) {
        self.key(field, WireType::LengthDelimited);
        let at = self.0.len();
        // Most are shorter than 128 bytes, and their length is one byte; a longer one moves up, to make room for its length.
        self.0.push(0);
        write(self);
        let end = self.0.len();
        let length = (end - at - 1) as u64;
        let more = encoded_len_varint(length) - 1;
        if more > 0 {
            self.0.resize(end + more, 0);
            self.0.copy_within(at + 1..end, at + 1 + more);
        }
        if let Some(mut place) = self.0.get_mut(at..=at + more) {
            encode_varint(length, &mut place);
        }
    }

    /// What a field is, before what it holds (`Tag` of the encoding).
    fn key(&mut self, field: u32, wire: WireType) {
        self.varint(u64::from(field << 3 | wire as u32));
    }

    fn varint(&mut self, number: u64) {
        // Nearly all have one byte.
        match u8::try_from(number) {
            Ok(byte @ ..0x80) => self.0.push(byte),
            _ => encode_varint(number, &mut self.0),
        }
    }

    /// The bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use envoy_types::pb::google::{
        protobuf::{Struct, Value, value::Kind},
        rpc::Status,
    };
    use prost::Message;

    use super::Written;

    fn one(key: &str, write: impl FnOnce(&mut Written)) -> Written {
        let mut written = Written::default();
        written.message(1, |entry| {
            entry.text(1, key);
            entry.message(2, write);
        });
        written
    }

    #[test]
    fn what_is_written_is_what_the_generated_code_reads_whatever_its_length() {
        for length in [0, 1, 100, 119, 120, 121, 127, 128, 129, 16_370, 16_383, 16_384, 70_000, 2_100_000] {
            let text = "x".repeat(length);
            let written = one("a key", |value| value.text(3, &text));
            let expected = Struct { fields: [("a key".to_owned(), Value { kind: Some(Kind::StringValue(text)) })].into() };
            assert_eq!(Struct::decode(written.as_bytes()), Ok(expected.clone()), "{length}");
            assert_eq!(written.as_bytes(), expected.encode_to_vec(), "{length}");
        }
    }

    #[test]
    fn a_number_of_zero_is_there_where_a_oneof_is_asked_and_left_out_where_it_is_the_default() {
        for number in [0.0, 1.0, f64::from(u32::MAX)] {
            let expected = Struct { fields: [("cost".to_owned(), Value { kind: Some(Kind::NumberValue(number)) })].into() };
            assert_eq!(one("cost", |value| value.double(2, number)).as_bytes(), expected.encode_to_vec());
        }
        for code in [0_u32, 7, 300] {
            let mut written = Written::default();
            written.number(1, code);
            let expected = Status { code: i32::try_from(code).unwrap(), ..Status::default() };
            assert_eq!(written.as_bytes(), expected.encode_to_vec());
        }
    }
}
