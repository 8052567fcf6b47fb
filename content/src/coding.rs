//! Content codings (RFC 9110 section 8.4), undone within bounds: what comes out is counted while it comes out, so a small body cannot
//! become a large one.

use std::{
    borrow::Cow,
    io::{self, Read},
};

use crate::{Filter, Unscannable};

/// The most codings on top of each other.
const MAX_CODINGS: usize = 3;
/// The largest window that a zstd frame may ask for (RFC 9659), in bytes: it is memory before a byte has come out.
const MAX_ZSTD_WINDOW: u64 = 8 << 20;

/// The body without its codings. `listed` are the values of `Content-Encoding`.
///
/// # Errors
/// `Encoding`: a coding that is not known, or too many; `TooLarge`; `Malformed`: not what the coding says, or followed by something else.
pub(crate) fn decoded<'b>(listed: &[&[u8]], body: &'b [u8]) -> Result<Cow<'b, [u8]>, Unscannable> {
    let mut body = Cow::Borrowed(body);
    let mut undone = 0;
    // The last one listed was applied last.
    for coding in listed.iter().rev().flat_map(|value| value.rsplit(|byte| *byte == b',')) {
        let coding = coding.trim_ascii().to_ascii_lowercase();
        let plain = match coding.as_slice() {
            b"" | b"identity" => continue,
            _ if undone == MAX_CODINGS => return Err(Unscannable::Encoding),
            b"gzip" | b"x-gzip" => all(flate2::bufread::MultiGzDecoder::new(&*body))?,
            b"deflate" => deflate(&body)?,
            b"br" => brotli(&body)?,
            b"zstd" => zstd(&body)?,
            _ => return Err(Unscannable::Encoding),
        };
        undone += 1;
        body = Cow::Owned(plain);
    }
    if body.len() > Filter::MAX_BYTES { Err(Unscannable::TooLarge) } else { Ok(body) }
}

/// All that a decoder gives, up to the bound.
fn all(decoder: impl Read) -> Result<Vec<u8>, Unscannable> {
    let mut plain = Vec::new();
    let most = Filter::MAX_BYTES as u64;
    decoder.take(most + 1).read_to_end(&mut plain).map_err(|_: io::Error| Unscannable::Malformed)?;
    if plain.len() > Filter::MAX_BYTES { Err(Unscannable::TooLarge) } else { Ok(plain) }
}

/// `deflate` means zlib (RFC 9110 section 8.4.1.2), and some senders leave zlib's header out.
fn deflate(body: &[u8]) -> Result<Vec<u8>, Unscannable> {
    let mut rest = body;
    let wrapped = all(flate2::bufread::ZlibDecoder::new(&mut rest));
    let wrapped = wrapped.and_then(|plain| if rest.is_empty() { Ok(plain) } else { Err(Unscannable::Malformed) });
    if wrapped != Err(Unscannable::Malformed) {
        return wrapped;
    }
    let mut rest = body;
    let plain = all(flate2::bufread::DeflateDecoder::new(&mut rest))?;
    if rest.is_empty() { Ok(plain) } else { Err(Unscannable::Malformed) }
}

fn brotli(body: &[u8]) -> Result<Vec<u8>, Unscannable> {
    let mut state = brotli_decompressor::BrotliState::new(
        brotli_decompressor::StandardAlloc::default(),
        brotli_decompressor::StandardAlloc::default(),
        brotli_decompressor::StandardAlloc::default(),
    );
    let (mut plain, mut chunk) = (Vec::new(), vec![0; 64 << 10]);
    let (mut left, mut read, mut total) = (body.len(), 0, 0);
    loop {
        let (mut room, mut written) = (chunk.len(), 0);
        let result = brotli_decompressor::BrotliDecompressStream(
            &mut left,
            &mut read,
            body,
            &mut room,
            &mut written,
            &mut chunk,
            &mut total,
            &mut state,
        );
        plain.extend_from_slice(chunk.get(..written).unwrap_or_default());
        if plain.len() > Filter::MAX_BYTES {
            return Err(Unscannable::TooLarge);
        }
        match result {
            brotli_decompressor::BrotliResult::NeedsMoreOutput => {}
            brotli_decompressor::BrotliResult::ResultSuccess if left == 0 => return Ok(plain),
            _ => return Err(Unscannable::Malformed),
        }
    }
}

/// One frame or several, and skippable ones between them (RFC 8878 section 3).
fn zstd(body: &[u8]) -> Result<Vec<u8>, Unscannable> {
    let (mut plain, mut rest) = (Vec::new(), body);
    if rest.is_empty() {
        return Err(Unscannable::Malformed);
    }
    while !rest.is_empty() {
        if let Some(length) = skippable(rest) {
            rest = rest.get(length..).ok_or(Unscannable::Malformed)?;
            continue;
        }
        if zstd_window(rest).ok_or(Unscannable::Malformed)? > MAX_ZSTD_WINDOW {
            return Err(Unscannable::Encoding);
        }
        let mut decoder = ruzstd::decoding::StreamingDecoder::new(&mut rest).map_err(|_| Unscannable::Malformed)?;
        let most = (Filter::MAX_BYTES - plain.len()) as u64;
        decoder.by_ref().take(most + 1).read_to_end(&mut plain).map_err(|_| Unscannable::Malformed)?;
        if plain.len() > Filter::MAX_BYTES {
            return Err(Unscannable::TooLarge);
        }
    }
    Ok(plain)
}

/// The length of a skippable frame, if one begins here.
fn skippable(frame: &[u8]) -> Option<usize> {
    let (magic, length) = (frame.get(..4)?, frame.get(4..8)?);
    let is_skippable = matches!(magic, [0x50..=0x5f, 0x2a, 0x4d, 0x18]);
    let length = u32::from_le_bytes(length.try_into().ok()?);
    is_skippable.then(|| usize::try_from(length).unwrap_or(usize::MAX).saturating_add(8))
}

/// What a frame's header asks for as window, in bytes (RFC 8878 section 3.1.1.1).
fn zstd_window(frame: &[u8]) -> Option<u64> {
    let descriptor = *frame.strip_prefix(&[0x28, 0xb5, 0x2f, 0xfd])?.first()?;
    if descriptor & 0x20 == 0 {
        let window = *frame.get(5)?;
        let base = 1_u64 << (10 + u32::from(window >> 3));
        return Some(base + base / 8 * u64::from(window & 7));
    }
    // A single segment: the window is the content.
    let dictionary = [0, 1, 2, 4].get(usize::from(descriptor & 3)).copied()?;
    let size = [1, 2, 4, 8].get(usize::from(descriptor >> 6)).copied()?;
    let bytes = frame.get(5 + dictionary..5 + dictionary + size)?;
    let value = bytes.iter().rev().fold(0_u64, |value, byte| value << 8 | u64::from(*byte));
    Some(if size == 2 { value + 256 } else { value })
}
