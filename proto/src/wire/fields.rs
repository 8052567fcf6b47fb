//! The fields of a message, where they lie in its bytes. What is read this way is what the generated code reads.

use prost::encoding::{WireType, decode_varint};

/// How deep messages and groups may stand in each other, as the generated code counts.
const LEVELS: u32 = 100;

/// The fields that are left.
#[derive(Debug, Clone)]
pub struct Fields<'b> {
    rest: &'b [u8],
    /// How many levels may stand in this one.
    levels: u32,
}

/// What a field holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Field<'b> {
    /// A number, of whatever type.
    Number(u64),
    /// A text, bytes, or a message.
    Bytes(&'b [u8]),
    /// 64 bits: a `double`.
    Double,
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
        Self { rest: message, levels: LEVELS }
    }

    /// Those of a message that is a field of this one.
    #[must_use]
    pub fn within(&self, message: &'b [u8]) -> Self {
        Self { rest: message, levels: self.levels.saturating_sub(1) }
    }

    /// Those of a message that is a field of this one, if it may stand so deep.
    ///
    /// # Errors
    /// It is something else, or stands deeper than the generated code reads.
    pub fn message(&self, field: Field<'b>) -> Result<Self, Unreadable> {
        Ok(Self { rest: field.bytes()?, levels: self.levels.checked_sub(1).ok_or(Unreadable)? })
    }

    /// Leaves a field out that nobody here knows.
    ///
    /// # Errors
    /// It stands deeper than the generated code reads.
    pub fn leave_out(&self) -> Result<(), Unreadable> {
        if self.levels > 0 { Ok(()) } else { Err(Unreadable) }
    }

    /// The next one, with its number.
    ///
    /// # Errors
    /// What is left is no field.
    pub fn take(&mut self) -> Result<Option<(u32, Field<'b>)>, Unreadable> {
        if self.rest.is_empty() {
            return Ok(None);
        }
        let rest = &mut self.rest;
        let (number, wire) = key(varint(rest)?)?;
        let field = match wire {
            WireType::Varint => Field::Number(varint(rest)?),
            WireType::LengthDelimited => Field::Bytes(delimited(rest)?),
            WireType::SixtyFourBit => cut(rest, 8).map(|_| Field::Double)?,
            _ => {
                skip(wire, number, rest, self.levels)?;
                Field::Other
            }
        };
        Ok(Some((number, field)))
    }
}

/// Leaves a field out that nobody here knows, with all that stands in it.
fn skip(wire: WireType, number: u32, rest: &mut &[u8], levels: u32) -> Result<(), Unreadable> {
    let inside = levels.checked_sub(1).ok_or(Unreadable)?;
    match wire {
        WireType::Varint => varint(rest).map(drop),
        WireType::LengthDelimited => delimited(rest).map(drop),
        WireType::ThirtyTwoBit => cut(rest, 4).map(drop),
        WireType::SixtyFourBit => cut(rest, 8).map(drop),
        WireType::StartGroup => loop {
            match key(varint(rest)?)? {
                (end, WireType::EndGroup) => return if end == number { Ok(()) } else { Err(Unreadable) },
                (inner, wire) => skip(wire, inner, rest, inside)?,
            }
        },
        WireType::EndGroup => Err(Unreadable),
    }
}

fn delimited<'b>(rest: &mut &'b [u8]) -> Result<&'b [u8], Unreadable> {
    let length = usize::try_from(varint(rest)?).map_err(|_| Unreadable)?;
    cut(rest, length)
}

fn cut<'b>(rest: &mut &'b [u8], length: usize) -> Result<&'b [u8], Unreadable> {
    let (bytes, after) = rest.split_at_checked(length).ok_or(Unreadable)?;
    *rest = after;
    Ok(bytes)
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
            Self::Bytes(_) | Self::Double | Self::Other => Err(Unreadable),
        }
    }

    /// Bytes, or a message.
    ///
    /// # Errors
    /// It is something else.
    pub fn bytes(self) -> Result<&'b [u8], Unreadable> {
        match self {
            Self::Bytes(bytes) => Ok(bytes),
            Self::Number(_) | Self::Double | Self::Other => Err(Unreadable),
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
