//! XML and HTML: as text with its character references read, and once more without its tags, which people do not see: as if nothing stood there, which a bold
//! letter in a word looks like, and as if a space did, which a new line or cell looks like. The text of an element that holds no other stands under its name.

use std::ops::Range;

use memchr::{memchr, memchr_iter, memmem, memrchr};

use super::{Form, Name, Piece, Reading};
use crate::{Unscannable, media::Kind, text::Layer};

/// Reads a document. One that defines entities is refused: they may stand for anything.
pub(super) fn read(reading: &mut Reading<'_>, body: &[u8], at: Range<usize>) -> Result<(), Unscannable> {
    let bytes = body.get(at.clone()).unwrap_or_default();
    reading.budget.spend(16 * bytes.len())?;
    plain(bytes)?;
    reading.look(body, &Piece { layer: Layer::Markup, at: at.clone(), key: "", form: Form::Text })?;
    elements(reading, body, &at)?;
    without(reading, bytes)
}

/// Looks at a text of another kind that may hold markup for whoever shows it, without what would be its tags.
pub(super) fn glance(reading: &mut Reading<'_>, text: &[u8]) -> Result<(), Unscannable> {
    let begins = |at: usize| matches!(text.get(at + 1), Some(b'!' | b'/' | b'?' | b'a'..=b'z' | b'A'..=b'Z'));
    if !memchr_iter(b'<', text).any(|at| begins(at) && memchr(b'>', text.get(at..).unwrap_or_default()).is_some()) {
        return Ok(());
    }
    reading.budget.spend(16 * text.len())?;
    // Servers tell XML by its looks, too: as if it were called so.
    let start = text.trim_ascii_start();
    if ["<?xml", "<!doctype"].iter().any(|mark| start.get(..mark.len()).is_some_and(|start| start.eq_ignore_ascii_case(mark.as_bytes()))) {
        plain(start)?;
    }
    without(reading, text)
}

/// Looks at what is left without tags: nothing, or a space, in their place.
fn without(reading: &mut Reading<'_>, bytes: &[u8]) -> Result<(), Unscannable> {
    // Between two tags nothing is taken out: that could take a tag with it.
    reading.budget.hold(4 * bytes.len())?;
    let mut shown: Vec<Vec<u8>> = Vec::with_capacity(4);
    for (construct, gap) in [(xml as Construct, None), (html, None), (xml, Some(&b' ')), (html, Some(&b' '))] {
        let text = without_tags(bytes, construct, gap);
        if text != bytes && !shown.contains(&text) {
            reading.glance(&Kind::Text(Layer::Markup), &text)?;
            shown.push(text);
        }
    }
    reading.budget.release(4 * bytes.len());
    Ok(())
}

/// The longest name of an element that says what its text is.
const LONGEST_NAME: usize = 64;

/// Looks at the text of each element that holds nothing else, under the element's name: `<password>` says what is in it.
fn elements(reading: &mut Reading<'_>, body: &[u8], at: &Range<usize>) -> Result<(), Unscannable> {
    let bytes = body.get(..at.end).unwrap_or_default();
    let mut name = Name::default();
    let mut here = at.start;
    while let Some(begin) = memchr(b'<', bytes.get(here..).unwrap_or_default()).map(|found| here + found) {
        let rest = bytes.get(begin..).unwrap_or_default();
        let (length, _) = html(rest);
        here = begin + length;
        let named = rest.get(1..).unwrap_or_default().iter().take(LONGEST_NAME + 1).take_while(|byte| is_of_a_name(**byte)).count();
        let ends = bytes.get(here..).and_then(|text| memchr(b'<', text)).map(|found| here + found);
        let Some(end) = ends.filter(|end| (1..=LONGEST_NAME).contains(&named) && *end > here) else { continue };
        let closing = bytes.get(end..).and_then(|rest| rest.strip_prefix(b"</"));
        if closing.is_some_and(|closing| closing.get(..named) == rest.get(1..=named)) {
            // What stands before a colon is the name of a namespace.
            let prefix = rest.get(1..=named).and_then(|name| memrchr(b':', name)).map_or(0, |colon| colon + 1);
            let key = name.read(Layer::Plain, body, &(begin + 1 + prefix..begin + 1 + named));
            reading.look(body, &Piece { layer: Layer::Markup, at: here..end, key, form: Form::Text })?;
        }
    }
    Ok(())
}

const fn is_of_a_name(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b':') || !byte.is_ascii()
}

/// Refuses a document whose text may be another than what stands there: one that defines entities, or names another encoding.
fn plain(bytes: &[u8]) -> Result<(), Unscannable> {
    if bytes.windows(8).any(|window| window.eq_ignore_ascii_case(b"<!ENTITY")) {
        return Err(Unscannable::Malformed);
    }
    declared(bytes)
}

/// An XML declaration may name another encoding than the headers.
fn declared(bytes: &[u8]) -> Result<(), Unscannable> {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    if !bytes.starts_with(b"<?xml") {
        return Ok(());
    }
    let end = bytes.iter().position(|byte| *byte == b'>').ok_or(Unscannable::Malformed)?;
    let declaration = String::from_utf8_lossy(bytes.get(..end).unwrap_or_default()).to_ascii_lowercase();
    match declaration.split_once("encoding") {
        None => Ok(()),
        Some((_, given)) => {
            let quoted = given.trim_start().strip_prefix('=').unwrap_or_default().trim_start();
            let named = quoted.strip_prefix(['"', '\'']).and_then(|named| named.split(['"', '\'']).next()).unwrap_or_default();
            if ["utf-8", "us-ascii"].contains(&named) { Ok(()) } else { Err(Unscannable::Charset) }
        }
    }
}

const CDATA: &[u8] = b"<![CDATA[";

/// What begins with `<`: how long it is, and what of it is text.
type Construct = fn(&[u8]) -> (usize, &[u8]);

/// The text between tags, comments left out; with `gap` in the place of each tag.
fn without_tags(bytes: &[u8], construct: Construct, gap: Option<&u8>) -> Vec<u8> {
    let mut text = Vec::with_capacity(bytes.len());
    let mut rest = bytes;
    while let Some(begin) = rest.iter().position(|byte| *byte == b'<') {
        text.extend_from_slice(rest.get(..begin).unwrap_or_default());
        rest = rest.get(begin..).unwrap_or_default();
        let (length, literal) = construct(rest);
        text.extend(gap.filter(|_| literal.is_empty() && !rest.starts_with(b"<!")));
        // What stands there is no markup: `&` is itself.
        literal.iter().for_each(|byte| if *byte == b'&' { text.extend_from_slice(b"&amp;") } else { text.push(*byte) });
        rest = rest.get(length..).unwrap_or_default();
    }
    text.extend_from_slice(rest);
    text
}

/// As XML and simple readers have it: to the next `>`, whatever stands before it; what is in CDATA sections is text.
fn xml(rest: &[u8]) -> (usize, &[u8]) {
    let (from, end): (usize, &[u8]) = if rest.starts_with(CDATA) {
        (CDATA.len(), b"]]>")
    } else if rest.starts_with(b"<!--") {
        (4, b"-->")
    } else {
        (1, b">")
    };
    let length = memmem::find(rest.get(from..).unwrap_or_default(), end).map(|length| from + length);
    let content = rest.get(..length.unwrap_or(rest.len())).unwrap_or_default();
    (length.map_or(rest.len(), |length| length + end.len()), content.strip_prefix(CDATA).unwrap_or_default())
}

/// As browsers have it (HTML Standard, 13.2.5): a `>` in quotes does not end a tag, `--!>` ends a comment, a section of CDATA is a comment, and a `<`
/// that begins nothing is text.
fn html(rest: &[u8]) -> (usize, &[u8]) {
    let to = |end: &[u8]| memmem::find(rest, end).map(|at| at + end.len());
    let length = match rest.get(1) {
        Some(b'!') if rest.starts_with(b"<!--") => comment(rest),
        Some(b'!' | b'?') => to(b">"),
        Some(b'/') | Some(b'a'..=b'z' | b'A'..=b'Z') => tag(rest),
        _ => return (1, rest.get(..1).unwrap_or_default()),
    };
    (length.unwrap_or(rest.len()), &[])
}

/// The length of a comment.
fn comment(rest: &[u8]) -> Option<usize> {
    // Dashes may overlap: `--->` ends one, too.
    let dashes = rest.windows(2).enumerate().skip(2).filter(|(_, two)| *two == b"--").map(|(at, _)| at + 2);
    let mut ends = dashes.filter_map(|end| match (rest.get(end), rest.get(end + 1)) {
        (Some(b'>'), _) => Some(end + 1),
        (Some(b'!'), Some(b'>')) => Some(end + 2),
        _ => None,
    });
    ends.next()
}

/// The length of a tag, with the values of its attributes.
fn tag(rest: &[u8]) -> Option<usize> {
    let (mut quote, mut is_value) = (None, false);
    for (at, byte) in rest.iter().enumerate() {
        match (quote, byte) {
            (Some(open), _) if open == *byte => quote = None,
            (Some(_), _) => {}
            (None, b'>') => return Some(at + 1),
            (None, b'"' | b'\'') if is_value => quote = Some(*byte),
            _ => {}
        }
        is_value = *byte == b'=' || (is_value && byte.is_ascii_whitespace());
    }
    None
}
