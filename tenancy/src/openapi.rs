//! An OpenAPI document, as far as it says what can be reached: paths and their methods. What it says about parameters, bodies and answers
//! is not judged.
//!
//! Paths are below the contract's upstream. `servers` and Swagger's `basePath` say where the document's author serves; here the contract
//! does. No reference is followed out of the document, and nothing is fetched.

use std::{
    borrow::Cow,
    collections::{BTreeMap, BTreeSet},
    fmt::{self, Write as _},
};

use percent_encoding::percent_decode_str;

use crate::rendering::Rendering;

mod read;
#[cfg(test)]
mod tests;

pub use read::{MAX_PATHS, of, read};
pub(crate) use read::{RESOURCES, VERSIONS, said};

/// How often a segment is decoded: as often as the path's judge looks (four layers).
const LAYERS: usize = 4;

/// What a document lets be reached.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct OpenApi {
    /// Paths without templates, by their decoded segments. They go before templates.
    concrete: BTreeMap<Vec<String>, Methods>,
    /// Paths with templates, by how many segments they have; of those, the more literal first.
    templates: BTreeMap<usize, Vec<Template>>,
    /// Of all that: many APIs may share a document, and each is shown with it where a policy is hashed.
    digest: String,
}

impl fmt::Debug for OpenApi {
    /// Which document it is. Shown whole for each of 500 APIs, 1 MB would take half a minute of whoever judges configurations (S16).
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "OpenApi({})", self.digest)
    }
}

/// The methods of one path, as on the wire.
pub type Methods = BTreeSet<String>;

#[derive(Debug, Clone, PartialEq, Eq)]
struct Template {
    segments: Vec<Segment>,
    methods: Methods,
}

/// One segment of a path.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Segment {
    /// This text.
    Literal(String),
    /// Texts with something, never nothing, between each two: `{id}.json` is `""` and `".json"`.
    Around(Vec<String>),
}

impl OpenApi {
    /// The same, complete.
    fn digested(self) -> Self {
        let mut rendering = Rendering::default();
        // Writing into a hash cannot fail.
        let _ = write!(rendering, "{:?}\n{:?}", self.concrete, self.templates);
        Self { digest: rendering.digest(), ..self }
    }

    /// The methods of the path that a request means; absent where the document has none. `path` is what stands below the API, undecoded.
    #[must_use]
    pub fn methods(&self, path: &str) -> Option<&Methods> {
        let segments = segments(path);
        if let Some(methods) = self.concrete.get(&segments) {
            return Some(methods);
        }
        let mut templates = self.templates.get(&segments.len())?.iter();
        templates.find(|template| template.matches(&segments)).map(|template| &template.methods)
    }
}

impl Template {
    fn matches(&self, segments: &[String]) -> bool {
        self.segments.iter().zip(segments).all(|(own, segment)| own.matches(segment))
    }
}

impl Segment {
    /// The less, the sooner it is tried: of two templates that a path fits, the one with more text of its own is meant.
    fn rank(&self) -> usize {
        match self {
            Self::Literal(_) => 0,
            Self::Around(texts) => usize::MAX - texts.iter().map(String::len).sum::<usize>(),
        }
    }

    fn matches(&self, segment: &str) -> bool {
        match self {
            Self::Literal(text) => text == segment,
            // Servers that strip parameters read `/users/me;x` as `/users/me`, which may be another path of the document; those that decode twice strip
            // a query or a fragment.
            Self::Around(_) if segment.contains([';', '?', '#']) => false,
            Self::Around(texts) => around(texts, segment),
        }
    }
}

/// Whether a segment is these texts with something between each two.
fn around(texts: &[String], segment: &str) -> bool {
    let [first, middle @ .., last] = texts else { return false };
    let Some(mut rest) = segment.strip_prefix(first.as_str()).and_then(|rest| rest.strip_suffix(last.as_str())) else { return false };
    for text in middle {
        // At least one character, then the text at its first place.
        let Some(one) = rest.chars().next() else { return false };
        let Some(after) = rest.get(one.len_utf8()..) else { return false };
        let Some((_, left)) = after.split_once(text.as_str()) else { return false };
        rest = left;
    }
    !rest.is_empty()
}

/// The segments of a path, decoded: `%6De` is `me` to whoever serves it. A trailing slash is a last segment that is empty.
fn segments(path: &str) -> Vec<String> {
    path.strip_prefix('/').unwrap_or(path).split('/').map(decoded).collect()
}

fn decoded(segment: &str) -> String {
    let mut text = Cow::Borrowed(segment);
    for _ in 0..LAYERS {
        let next = percent_decode_str(&text).decode_utf8_lossy().into_owned();
        if next == *text {
            break;
        }
        text = Cow::Owned(next);
    }
    text.into_owned()
}
