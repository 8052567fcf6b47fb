//! What headers say of a body, and why one cannot be read.

use std::borrow::Cow;

use crate::{Budget, coding, text::Layer};

/// What the headers say of a body. Every value of each header is kept: two types, or a type that cannot be read, are an answer of their own.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Media<'a> {
    /// Every `Content-Type`.
    pub content_type: Vec<&'a [u8]>,
    /// Every `Content-Encoding`, in the order in which the codings were applied (RFC 9110 section 8.4).
    pub content_encoding: Vec<&'a [u8]>,
    /// Whoever reads the body minds its codings: clients do, and servers may not.
    pub minded: bool,
}

impl<'a> Media<'a> {
    /// Takes the values of the two headers.
    pub fn of(content_type: impl IntoIterator<Item = &'a [u8]>, content_encoding: impl IntoIterator<Item = &'a [u8]>) -> Self {
        let (content_type, content_encoding) = (content_type.into_iter().collect(), content_encoding.into_iter().collect());
        Self { content_type, content_encoding, minded: false }
    }

    /// The same of an answer.
    #[must_use]
    pub fn of_answer(self) -> Self {
        Self { minded: true, ..self }
    }

    /// What a server takes a coded body for that does not mind `Content-Encoding`: a form, a text or parts may begin and end with anything. JSON may not.
    pub(crate) fn unminded(&self, kind: &Kind) -> Option<Kind> {
        if self.minded || coding::is_plain(self.content_encoding.iter().copied()) {
            return None;
        }
        match kind {
            Kind::Json | Kind::Lines => None,
            Kind::Form => Some(Kind::Form),
            Kind::Multipart(_) | Kind::Markup | Kind::Events | Kind::Text(_) => Some(Kind::Text(Layer::Plain)),
        }
    }

    /// What a body is made of, and the body without its codings. An empty body is nothing, whatever its headers say.
    pub(crate) fn open<'b>(&self, body: &'b [u8], budget: &Budget<'_>) -> Result<(Kind, Cow<'b, [u8]>), Unscannable> {
        if body.is_empty() {
            return Ok((Kind::Text(Layer::Plain), Cow::Borrowed(body)));
        }
        // Without raw headers two of a name arrive joined by a comma, and the upstream sees two (Istio, Envoy Gateway).
        if self.content_type.iter().any(|one| one.contains(&b',')) {
            return Err(Unscannable::Type);
        }
        let kind = Kind::of(&self.content_type)?;
        Ok((kind, coding::decoded(&self.content_encoding, body, budget)?))
    }
}

/// Why a body cannot be read. Nothing of the body stands in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Unscannable {
    /// As it arrived or decoded, it is larger than [`crate::Filter::MAX_BYTES`]. 413.
    #[error("the body is larger than what is read")]
    TooLarge,
    /// A `Content-Encoding` that is not decoded, or too many of them. 415.
    #[error("the body has a content encoding that is not read")]
    Encoding,
    /// A `Content-Type` that is not read, or two of them. 415.
    #[error("the body has a content type that is not read")]
    Type,
    /// A charset that is not read. 415.
    #[error("the body has a charset that is not read")]
    Charset,
    /// It is not what its headers say it is: broken JSON, broken compression, bytes that are not UTF-8. 400.
    #[error("the body is not what its headers say it is")]
    Malformed,
    /// It takes more work, or more time, than is done for one body. 503.
    #[error("reading the body takes more work than is done for one")]
    Effort,
    /// There is no room for what reading it takes. 503.
    #[error("too many bytes of bodies are being read")]
    Crowded,
    /// Personal data stands where it cannot be taken out without breaking the body. Of [`crate::Filter::redact`] alone; 400.
    #[error("the body holds what cannot be taken out of it")]
    Unrewritable,
}

impl Unscannable {
    /// Whether it is not the body's fault: it may be readable, and was not read to its end. No policy lets that pass.
    #[must_use]
    pub const fn is_ours(self) -> bool {
        matches!(self, Self::Effort | Self::Crowded)
    }

    /// The name in audit, logs and metrics.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::TooLarge => "too_large",
            Self::Encoding => "encoding",
            Self::Type => "type",
            Self::Charset => "charset",
            Self::Malformed => "malformed",
            Self::Effort => "effort",
            Self::Crowded => "crowded",
            Self::Unrewritable => "unrewritable",
        }
    }
}

/// What a body is made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Kind {
    Json,
    Lines,
    Form,
    Multipart(Vec<u8>),
    Markup,
    Events,
    Text(Layer),
}

impl Kind {
    /// What the values of `Content-Type` say; none: text.
    ///
    /// # Errors
    /// `Type`, `Charset`.
    pub(crate) fn of(types: &[&[u8]]) -> Result<Self, Unscannable> {
        let written = match types {
            [] => return Ok(Self::Text(Layer::Plain)),
            // The same one twice is one.
            [one, more @ ..] if more.iter().all(|other| other == one) => std::str::from_utf8(one).map_err(|_| Unscannable::Type)?,
            _ => return Err(Unscannable::Type),
        };
        let (essence, parameters) = written.split_once(';').unwrap_or((written, ""));
        let essence = essence.trim().to_ascii_lowercase();
        let (top, sub) = essence.split_once('/').filter(|_| !essence.contains([',', ' ', '\t'])).ok_or(Unscannable::Type)?;
        let kind = match (top, sub) {
            ("application" | "text", "json") => Self::Json,
            ("application", "x-ndjson" | "ndjson" | "jsonl" | "x-jsonl" | "jsonlines" | "x-jsonlines" | "json-lines" | "json-seq") => {
                Self::Lines
            }
            ("application", "x-www-form-urlencoded") => Self::Form,
            // Its parts are messages unless they say otherwise (RFC 2046 section 5.1.5).
            ("multipart", "digest") => return Err(Unscannable::Type),
            ("multipart", _) => {
                Self::Multipart(parameter(parameters, "boundary")?.filter(|one| is_boundary(one)).ok_or(Unscannable::Type)?)
            }
            ("text", "event-stream") => Self::Events,
            ("text", "html" | "xml") | ("application", "xml") => Self::Markup,
            ("application", "graphql" | "javascript" | "x-javascript" | "yaml" | "x-yaml" | "toml" | "sql") => Self::Text(Layer::Plain),
            (_, sub) if sub.ends_with("+json") => Self::Json,
            (_, sub) if sub.ends_with("+xml") => Self::Markup,
            ("text", _) => Self::Text(Layer::Plain),
            _ => return Err(Unscannable::Type),
        };
        let charset = parameter(parameters, "charset").map_err(|_| Unscannable::Charset)?.unwrap_or_default().to_ascii_lowercase();
        match (charset.as_slice(), kind) {
            (charset, kind) if UNICODE.contains(&charset) => Ok(kind),
            (charset, Self::Text(_)) if LATIN.contains(&charset) => Ok(Self::Text(Layer::Latin)),
            _ => Err(Unscannable::Charset),
        }
    }
}

/// What is read as UTF-8.
const UNICODE: [&[u8]; 5] = [b"", b"utf-8", b"utf8", b"us-ascii", b"ascii"];

/// What is read as browsers read it: as windows-1252.
const LATIN: [&[u8]; 4] = [b"iso-8859-1", b"iso8859-1", b"latin1", b"windows-1252"];

/// The name of the field whose value tells the charset of the form that it stands in (RFC 7578 section 4.6, HTML Standard).
pub(crate) const CHARSET_FIELD: &str = "_charset_";

/// Whether the fields of a form are read that says of itself that it is in a charset: what is no UTF-8 in them is read as windows-1252.
///
/// # Errors
/// `Charset`.
pub(crate) fn form_charset(named: &str) -> Result<(), Unscannable> {
    let named = named.trim().to_ascii_lowercase();
    if UNICODE.iter().chain(&LATIN).any(|known| *known == named.as_bytes()) { Ok(()) } else { Err(Unscannable::Charset) }
}

/// A parameter's value, plain or quoted. Twice, or with escapes in it: parsers differ.
fn parameter(parameters: &str, name: &str) -> Result<Option<Vec<u8>>, Unscannable> {
    let mut value = None;
    for parameter in parameters.split(';') {
        let Some((key, written)) = parameter.split_once('=') else { continue };
        let key = key.trim();
        // `boundary*` and `boundary*0` are a boundary too, or none (RFC 2231).
        if key.split_once('*').is_some_and(|(key, _)| key.eq_ignore_ascii_case(name)) {
            return Err(Unscannable::Type);
        }
        if !key.eq_ignore_ascii_case(name) {
            continue;
        }
        let written = written.trim();
        let plain = written.strip_prefix('"').map_or(Some(written), |quoted| quoted.strip_suffix('"'));
        let plain = plain.filter(|plain| !plain.contains(['"', '\\', ','])).ok_or(Unscannable::Type)?;
        if value.replace(plain.as_bytes().to_vec()).is_some() {
            return Err(Unscannable::Type);
        }
    }
    Ok(value)
}

/// RFC 2046 section 5.1.1.
fn is_boundary(boundary: &[u8]) -> bool {
    (1..=70).contains(&boundary.len()) && boundary.iter().all(|byte| matches!(byte, b'!'..=b'~')) && !boundary.contains(&b';')
}
