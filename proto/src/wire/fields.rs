//! The fields of a message, where they lie in its bytes. What is read this way is what the generated code reads.

use prost::encoding::{DecodeContext, WireType, decode_varint, skip_field};

/// The fields that are left.
#[derive(Debug, Clone)]
pub struct Fields<'b>(&'b [u8]);

/// What a field holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Field<'b> {
    /// A number, of whatever type.
    Number(u64),
    /// A text, bytes, or a message.
    Bytes(&'b [u8]),
    /// What no field of ours is.
    Other,
}

/// It is not the message that it should be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unreadable;

impl<'b> Fields<'b> {
    /// Those of a message.
    #[must_use]
    pub fn of(message: &'b [u8]) -> Self {
        Self(message)
    }

    /// The next one, with its number.
    ///
    /// # Errors
    /// What is left is no field.
    pub fn take(&mut self) -> Result<Option<(u32, Field<'b>)>, Unreadable> {
        if self.0.is_empty() {
            return Ok(None);
        }
        let rest = &mut self.0;
        let (number, wire) = key(varint(rest)?)?;
        let field = match wire {
            WireType::Varint => Field::Number(varint(rest)?),
            WireType::LengthDelimited => {
                let length = usize::try_from(varint(rest)?).map_err(|_| Unreadable)?;
                let (bytes, after) = rest.split_at_checked(length).ok_or(Unreadable)?;
                *rest = after;
                Field::Bytes(bytes)
            }
            _ => {
                skip_field(wire, number, rest, DecodeContext::default()).map_err(|_| Unreadable)?;
                Field::Other
            }
        };
        Ok(Some((number, field)))
    }
}

/// A field's number and type (`Tag` of the encoding).
fn key(tag: u64) -> Result<(u32, WireType), Unreadable> {
    let tag = u32::try_from(tag).map_err(|_| Unreadable)?;
    match tag >> 3 {
        0 => Err(Unreadable),
        number => Ok((number, WireType::try_from(u64::from(tag & 7)).map_err(|_| Unreadable)?)),
    }
}

fn varint(rest: &mut &[u8]) -> Result<u64, Unreadable> {
    // Nearly all have one byte.
    if let Some((byte @ ..0x80, after)) = rest.split_first() {
        *rest = after;
        return Ok(u64::from(*byte));
    }
    decode_varint(rest).map_err(|_| Unreadable)
}

impl<'b> Field<'b> {
    /// A number.
    ///
    /// # Errors
    /// It is something else.
    pub fn number(self) -> Result<u64, Unreadable> {
        match self {
            Self::Number(number) => Ok(number),
            Self::Bytes(_) | Self::Other => Err(Unreadable),
        }
    }

    /// Bytes, or a message.
    ///
    /// # Errors
    /// It is something else.
    pub fn bytes(self) -> Result<&'b [u8], Unreadable> {
        match self {
            Self::Bytes(bytes) => Ok(bytes),
            Self::Number(_) | Self::Other => Err(Unreadable),
        }
    }

    /// A text.
    ///
    /// # Errors
    /// It is something else, or not UTF-8.
    pub fn text(self) -> Result<&'b str, Unreadable> {
        str::from_utf8(self.bytes()?).map_err(|_| Unreadable)
    }
}
