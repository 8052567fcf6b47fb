//! What a message must be of which nothing is needed: it is not kept, but what the generated code would refuse is refused.

use super::{Field, Fields, Unreadable};

/// The fields that a message may have, by their numbers. Others are left out.
#[derive(Debug)]
pub struct Shape(pub &'static [(u32, Is)]);

/// What a field is.
#[derive(Debug)]
pub enum Is {
    /// A `string`.
    Text,
    /// `bytes`.
    Bytes,
    /// A number, an enumeration, a `bool`.
    Number,
    /// A `double`.
    Double,
    /// A message, or an entry of a map.
    Message(&'static Shape),
}

impl Shape {
    /// Sees to it that a message has this shape.
    ///
    /// # Errors
    /// It has not.
    pub fn check(&self, mut fields: Fields<'_>) -> Result<(), Unreadable> {
        while let Some((number, field)) = fields.take()? {
            let known = self.0.iter().find(|(own, _)| *own == number).map(|(_, is)| is);
            match (known, field) {
                (Some(Is::Text), field) => field.text().map(drop)?,
                (Some(Is::Bytes), Field::Bytes(_)) | (Some(Is::Number), Field::Number(_)) | (Some(Is::Double), Field::Double) => {}
                (Some(Is::Message(shape)), field) => shape.check(fields.message(field)?)?,
                (Some(_), _) => return Err(Unreadable),
                (None, _) => fields.leave_out()?,
            }
        }
        Ok(())
    }
}
