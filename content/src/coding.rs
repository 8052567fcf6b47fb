//! Content codings (RFC 9110 section 8.4), undone within bounds: what comes out is counted while it comes out, so a small body cannot
//! become a large one.

use std::{
    borrow::Cow,
    io::{self, Read},
};

use crate::{Budget, Filter, Unscannable};

/// The most codings on top of each other.
const MAX_CODINGS: usize = 3;
/// The largest window that a zstd frame may ask for (RFC 9659), in bytes: it is memory before a byte has come out.
const MAX_ZSTD_WINDOW: u64 = 8 << 20;

/// What a stream is begun with costs, in steps, however short it is.
const BEGUN: usize = 1 << 14;
/// What comes out at a time, in bytes.
const CHUNK: usize = 64 << 10;

/// The body without its codings. `listed` are the values of `Content-Encoding`.
///
/// # Errors
/// `Encoding`: a coding that is not known, or too many; `TooLarge`; `Malformed`: not what the coding says, or followed by something else. Or it
/// takes more than the budget.
pub fn decoded<'b>(listed: &[&[u8]], body: &'b [u8], budget: &Budget<'_>) -> Result<Cow<'b, [u8]>, Unscannable> {
    let mut body = Cow::Borrowed(body);
    // The last one listed was applied last.
    for (undone, coding) in listed.iter().rev().flat_map(|value| named(value).rev()).enumerate() {
        if undone == MAX_CODINGS {
            return Err(Unscannable::Encoding);
        }
        // Members without content give nothing to count.
        budget.spend(BEGUN + 16 * body.len())?;
        let mut plain = Plain { bytes: Vec::new(), window: 0, budget };
        match coding.to_ascii_lowercase().as_slice() {
            b"gzip" | b"x-gzip" => plain.read(flate2::bufread::MultiGzDecoder::new(&*body))?,
            b"deflate" => plain.deflate(&body)?,
            b"br" => plain.brotli(&body)?,
            b"zstd" => plain.zstd(&body)?,
            _ => return Err(Unscannable::Encoding),
        }
        budget.release(plain.window);
        body = Cow::Owned(plain.bytes);
    }
    if body.len() > Filter::MAX_BYTES { Err(Unscannable::TooLarge) } else { Ok(body) }
}

/// Whether a body with these values of `Content-Encoding` stands as it is. `identity` is no coding and should not be sent (RFC 9110 section 8.4), nor is an
/// element of a list that is empty (section 5.6.1).
pub fn is_plain<'v>(listed: impl IntoIterator<Item = &'v [u8]>) -> bool {
    listed.into_iter().all(|value| named(value).next().is_none())
}

/// The codings that a value names.
fn named(value: &[u8]) -> impl DoubleEndedIterator<Item = &[u8]> {
    let codings = value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii);
    codings.filter(|coding| !coding.is_empty() && !coding.eq_ignore_ascii_case(b"identity"))
}

/// What comes out of a coding, counted while it does.
struct Plain<'f> {
    bytes: Vec<u8>,
    /// What the decoder may look back into, in bytes.
    window: usize,
    budget: &'f Budget<'f>,
}

impl Plain<'_> {
    fn push(&mut self, chunk: &[u8]) -> Result<(), Unscannable> {
        if self.bytes.len() + chunk.len() > Filter::MAX_BYTES {
            return Err(Unscannable::TooLarge);
        }
        self.budget.spend(chunk.len())?;
        let before = self.bytes.capacity();
        self.bytes.extend_from_slice(chunk);
        self.budget.hold(self.bytes.capacity() - before)
    }

    /// The decoder looks back into so many bytes.
    fn look_back(&mut self, window: usize) -> Result<(), Unscannable> {
        let more = window.saturating_sub(self.window);
        self.window += more;
        self.budget.hold(more)
    }

    /// All that a decoder gives.
    fn read(&mut self, mut decoder: impl Read) -> Result<(), Unscannable> {
        let mut chunk = vec![0; CHUNK];
        loop {
            match decoder.read(&mut chunk) {
                Ok(0) => return Ok(()),
                Ok(length) => self.push(chunk.get(..length).unwrap_or_default())?,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => return Err(Unscannable::Malformed),
            }
        }
    }

    /// `deflate` means zlib (RFC 9110 section 8.4.1.2), and some senders leave zlib's header out.
    fn deflate(&mut self, body: &[u8]) -> Result<(), Unscannable> {
        // To .NET and IIS it is something else then: a block without zlib's header.
        if is_deflated_twofold(body) {
            return Err(Unscannable::Malformed);
        }
        let mut rest = body;
        let wrapped = self.read(flate2::bufread::ZlibDecoder::new(&mut rest));
        match wrapped {
            Ok(()) if rest.is_empty() => return Ok(()),
            Ok(()) | Err(Unscannable::Malformed) => self.bytes.clear(),
            Err(_) => return wrapped,
        }
        let mut rest = body;
        self.read(flate2::bufread::DeflateDecoder::new(&mut rest))?;
        if rest.is_empty() { Ok(()) } else { Err(Unscannable::Malformed) }
    }

    /// RFC 7932: without the windows of up to a gigabyte that a later draft has, which are memory before a byte has come out.
    fn brotli(&mut self, body: &[u8]) -> Result<(), Unscannable> {
        self.look_back(brotli_window(body))?;
        let mut state = brotli_decompressor::BrotliState::new_strict(
            brotli_decompressor::StandardAlloc::default(),
            brotli_decompressor::StandardAlloc::default(),
            brotli_decompressor::StandardAlloc::default(),
        );
        let mut chunk = vec![0; CHUNK];
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
            self.push(chunk.get(..written).unwrap_or_default())?;
            match result {
                brotli_decompressor::BrotliResult::NeedsMoreOutput => {}
                brotli_decompressor::BrotliResult::ResultSuccess if left == 0 => return Ok(()),
                _ => return Err(Unscannable::Malformed),
            }
        }
    }

    /// One frame or several, and skippable ones between them (RFC 8878 section 3).
    fn zstd(&mut self, body: &[u8]) -> Result<(), Unscannable> {
        let mut rest = body;
        if rest.is_empty() {
            return Err(Unscannable::Malformed);
        }
        while !rest.is_empty() {
            if let Some(length) = skippable(rest) {
                rest = rest.get(length..).ok_or(Unscannable::Malformed)?;
                continue;
            }
            let window = zstd_window(rest).ok_or(Unscannable::Malformed)?;
            if window > MAX_ZSTD_WINDOW {
                return Err(Unscannable::Encoding);
            }
            self.budget.spend(BEGUN)?;
            self.look_back(usize::try_from(window).unwrap_or(usize::MAX))?;
            self.read(ruzstd::decoding::StreamingDecoder::new(&mut rest).map_err(|_| Unscannable::Malformed)?)?;
        }
        Ok(())
    }
}

/// Whether a body that begins as zlib (RFC 1950) begins as a block without that header, too (RFC 1951): the low bits of zlib's first byte are those of a
/// stored block, of which a length and its complement follow. No compressor writes that.
fn is_deflated_twofold(body: &[u8]) -> bool {
    matches!(body, [first, low, high, not_low, not_high, ..] if first & 0xf == 8 && *low == !not_low && *high == !not_high)
}

/// What a brotli stream asks for as window, in bytes (RFC 7932 section 9.1).
fn brotli_window(body: &[u8]) -> usize {
    let first = body.first().copied().unwrap_or_default();
    let bits = match (first & 1, first >> 1 & 7, first >> 4 & 7) {
        (0, ..) => 16,
        (_, 0, 0) => 17,
        (_, 0, more) => 8 + more,
        (_, more, _) => 17 + more,
    };
    1 << bits
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
