//! Event streams (`text/event-stream`): every line, and the data of each event as one.

use std::ops::Range;

use super::{Reading, json, lines};
use crate::{Unscannable, media::Kind, text::Layer};

/// Reads every event. What is told in pieces over several events is not put together.
pub(super) fn read(reading: &mut Reading<'_>, body: &[u8], at: Range<usize>) -> Result<(), Unscannable> {
    let mark = body.get(at.clone()).filter(|bytes| bytes.starts_with(json::MARK)).map_or(0, |_| json::MARK.len());
    let at = at.start + mark..at.end;
    let mut data: Vec<Range<usize>> = Vec::new();
    for line in lines::split(body, at) {
        let bytes = body.get(line.clone()).unwrap_or_default();
        if bytes.is_empty() {
            dispatch(reading, body, &mut data)?;
            continue;
        }
        match bytes.strip_prefix(b"data:").map(|value| value.strip_prefix(b" ").unwrap_or(value)) {
            Some(value) => data.push(line.end - value.len()..line.end),
            None => reading.text(Layer::Plain, body, line, "")?,
        }
    }
    // An event whose empty line has not come is never dispatched by a client that keeps to the letter; it is read all the same.
    dispatch(reading, body, &mut data)
}

fn dispatch(reading: &mut Reading<'_>, body: &[u8], data: &mut Vec<Range<usize>>) -> Result<(), Unscannable> {
    for line in data.iter() {
        reading.text(Layer::Plain, body, line.clone(), "")?;
    }
    if data.len() > 1 {
        let lines: Vec<&[u8]> = data.iter().map(|line| body.get(line.clone()).unwrap_or_default()).collect();
        reading.glance(&Kind::Text(Layer::Plain), &lines.join(&b'\n'))?;
    }
    data.clear();
    Ok(())
}
