//! Forms (`application/x-www-form-urlencoded`): names and values, each decoded once, as whoever receives it does.

use std::ops::Range;

use super::{Form, Name, Piece, Reading, json};
use crate::{
    Unscannable,
    media::{CHARSET_FIELD, form_charset},
    text::Layer,
};

/// Reads every pair. A form that is JSON (what `curl -d` sends) is read as JSON too, and then its pairs are only looked at.
pub(super) fn read(reading: &mut Reading<'_>, body: &[u8], at: Range<usize>) -> Result<(), Unscannable> {
    reading.budget.spend(at.len())?;
    if json::looks_like(body, &at) {
        json::read(reading, body, at.clone())?;
        let mut inner = reading.inner();
        pairs(&mut inner, body, at)?;
        reading.take(inner);
        return Ok(());
    }
    pairs(reading, body, at)
}

fn pairs(reading: &mut Reading<'_>, body: &[u8], at: Range<usize>) -> Result<(), Unscannable> {
    let (mut start, mut name) = (at.start, Name::default());
    for pair in body.get(at).unwrap_or_default().split(|byte| *byte == b'&') {
        let end = start + pair.len();
        let equals = pair.iter().position(|byte| *byte == b'=').map(|length| start + length);
        let field = start..equals.unwrap_or(end);
        reading.look(body, &Piece { layer: Layer::Form, at: field.clone(), key: "", form: Form::Percent })?;
        if let Some(equals) = equals {
            let key = name.read(Layer::Form, body, &field);
            if key == CHARSET_FIELD {
                form_charset(Name::default().read(Layer::Form, body, &(equals + 1..end)))?;
            }
            reading.look_inside(body, &Piece { layer: Layer::Form, at: equals + 1..end, key, form: Form::Percent })?;
        }
        start = end + 1;
    }
    Ok(())
}
