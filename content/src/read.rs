//! Walking what a body is made of. Each kind of body has a file; each hands over its pieces of text, wherever they stand.

use std::{collections::BTreeSet, ops::Range};

use crate::{
    Budget, Detector, Filter, Found, Unscannable, detect,
    detector::Kinds,
    media::Kind,
    text::{Eye, Layer, View, folded},
    topics::Absent,
};

mod base64;
mod edit;
mod events;
mod form;
mod json;
mod lines;
mod markup;
mod multipart;

use edit::Edit;
pub use edit::REDACTED;
pub(crate) use edit::{Form, rewritten};

/// How often a string may hold JSON whose string holds JSON, and a part parts.
const MAX_NESTING: u8 = 4;

/// The most places of one body that are taken out: a body with more is not rewritten.
const MAX_EDITS: usize = 50_000;

/// What a piece costs, in steps, however short it is.
const PIECE: usize = 96;

/// One reading of a body.
pub(crate) struct Reading<'f> {
    filter: &'f Filter,
    detectors: Kinds,
    budget: &'f Budget<'f>,
    pub(crate) found: Found,
    /// What is to be taken out; absent: it is only looked at.
    pub(crate) edits: Option<Vec<Edit>>,
    /// Keys that look as if we had written them.
    pub(crate) marks: BTreeSet<String>,
    nesting: u8,
    /// What is in no piece of the document that is read now.
    absent: Absent,
}

/// A piece of text in a body.
pub(crate) struct Piece<'b> {
    layer: Layer,
    at: Range<usize>,
    /// The name that the piece stands under, if any: `ssn` before nine digits makes them one.
    key: &'b str,
    form: Form,
}

impl<'f> Reading<'f> {
    pub(crate) fn new(filter: &'f Filter, budget: &'f Budget<'f>, redact: bool) -> Self {
        let detectors = filter.detectors().iter().collect();
        let (found, edits, marks, absent) = (Found::default(), redact.then(Vec::new), BTreeSet::new(), Absent::default());
        Self { filter, detectors, budget, found, edits, marks, nesting: 0, absent }
    }

    /// A reading that only looks, of something inside of this one.
    fn inner(&self) -> Self {
        Self { found: Found::default(), edits: None, marks: BTreeSet::new(), nesting: self.nesting + 1, absent: Absent::default(), ..*self }
    }

    /// Takes over what an inner reading found.
    fn take(&mut self, inner: Self) {
        self.found.pii.extend(inner.found.pii);
        self.found.topics.extend(inner.found.topics);
    }

    /// Reads a part of a body as what it is.
    pub(crate) fn read(&mut self, kind: &Kind, body: &[u8], at: Range<usize>) -> Result<(), Unscannable> {
        match kind {
            Kind::Json => json::read(self, body, at),
            Kind::Lines => lines::read(self, body, at),
            Kind::Form => form::read(self, body, at),
            Kind::Multipart(boundary) => multipart::read(self, boundary, body, at),
            Kind::Markup => markup::read(self, body, at),
            Kind::Events => events::read(self, body, at),
            Kind::Text(layer) => self.text(*layer, body, at, ""),
        }
    }

    /// Text that may be JSON, whatever its type says: many servers parse it by its looks.
    fn text(&mut self, layer: Layer, body: &[u8], at: Range<usize>, key: &str) -> Result<(), Unscannable> {
        let piece = Piece { layer, at: at.clone(), key, form: Form::Text };
        self.budget.spend(at.len())?;
        if !json::looks_like(body, &at) {
            return self.look(body, &piece).map(|_| ());
        }
        let edits = self.edits.as_ref().map_or(0, Vec::len);
        json::read(self, body, at.clone())?;
        // As JSON it stays JSON; what only the whole text shows is taken out when nothing else is left to be.
        if self.edits.as_ref().is_some_and(|now| now.len() == edits) {
            self.look(body, &piece)?;
            let more = self.edits.as_mut().and_then(|all| all.get_mut(edits..)).unwrap_or_default();
            return json::keep_numbers(body, at, more);
        }
        let mut inner = self.inner();
        inner.look(body, &piece)?;
        self.take(inner);
        Ok(())
    }

    /// Looks into a piece, and says which kinds of personal data it saw there.
    fn look(&mut self, body: &[u8], piece: &Piece<'_>) -> Result<Kinds, Unscannable> {
        let mut seen = Kinds::default();
        self.budget.spend(PIECE + piece.at.len())?;
        let view = View::of(piece.layer, Eye::Person, body, piece.at.clone(), self.budget)?;
        let mut differs = false;
        if !view.sound {
            // Whoever reads it reads it in a charset of its own: as Latin letters, which are looked for, or as others, which are not.
            if !self.filter.topics().are_latin() {
                return Err(Unscannable::Malformed);
            }
            self.budget.spend(PIECE + piece.at.len())?;
            let sound = View::of(piece.layer.sound(), Eye::Person, body, piece.at.clone(), self.budget)?;
            differs |= self.look_at(&sound, piece, &mut seen)?;
            self.budget.release(sound.size);
        }
        differs |= self.look_at(&view, piece, &mut seen)?;
        self.budget.release(view.size);
        let bytes = body.get(piece.at.clone()).unwrap_or_default();
        if piece.layer == Layer::Latin && !bytes.is_ascii() && str::from_utf8(bytes).is_ok() {
            // Real Latin text is hardly ever UTF-8, and many servers read all text as that, whatever it is said to be.
            let unicode = Piece { layer: Layer::Plain, at: piece.at.clone(), key: piece.key, form: piece.form.clone() };
            for kind in self.look(body, &unicode)?.iter() {
                seen.insert(kind);
            }
        }
        if differs {
            self.budget.spend(PIECE + piece.at.len())?;
            let other = View::of(piece.layer, Eye::Machine, body, piece.at.clone(), self.budget)?;
            self.look_at(&other, piece, &mut seen)?;
            self.budget.release(other.size);
        }
        if !seen.is_empty() {
            self.found.pii.extend(seen.iter());
        }
        Ok(seen)
    }

    /// Looks at a piece as it is written, and as whoever undoes escapes reads it: a query of GraphQL in a JSON string, YAML, JSON that only a lenient
    /// parser takes, an address in an address, HTML in JSON; and as the text that it is in base64. Says whether somebody else would read something else there.
    fn look_at(&mut self, view: &View<'_>, piece: &Piece<'_>, seen: &mut Kinds) -> Result<bool, Unscannable> {
        if self.nesting < MAX_NESTING
            && let Some(held) = base64::text(view, self.budget)?
        {
            let mut inner = self.inner();
            inner.text(Layer::Plain, held.as_bytes(), 0..held.len(), piece.key)?;
            for kind in &inner.found.pii {
                seen.insert(*kind);
                self.edit(piece.at.clone(), *kind, piece.form.clone())?;
            }
            self.take(inner);
            self.budget.release(held.capacity());
        }
        self.find(view, piece, seen)?;
        if self.nesting < MAX_NESTING && piece.layer != Layer::Markup {
            let mut inner = self.inner();
            markup::glance(&mut inner, view.text.as_bytes())?;
            // What only shows without tags takes a value with it, as base64 does; out of a whole text it cannot be taken.
            let values = matches!(piece.layer, Layer::Json | Layer::Form);
            for kind in inner.found.pii.iter().filter(|kind| values && !seen.iter().any(|known| known == **kind)) {
                self.edit(piece.at.clone(), *kind, piece.form.clone())?;
            }
            self.take(inner);
        }
        let mut differs = view.is_ambiguous();
        let mut unescaped = view.unescaped(self.budget)?;
        for _ in 0..MAX_NESTING {
            let Some(view) = unescaped else { return Ok(differs) };
            differs |= view.is_ambiguous();
            self.find(&view, piece, seen)?;
            unescaped = view.unescaped(self.budget)?;
            self.budget.release(view.size);
        }
        self.budget.release(unescaped.map_or(0, |view| view.size));
        Ok(differs)
    }

    fn find(&mut self, view: &View<'_>, piece: &Piece<'_>, seen: &mut Kinds) -> Result<(), Unscannable> {
        self.filter.topics().find(view, self.absent, &mut self.found.topics, self.budget)?;
        for hit in detect::find(self.detectors, view, piece.key, self.budget)?.iter() {
            seen.insert(hit.kind);
            let at = if piece.form == Form::Number { piece.at.clone() } else { view.origin(hit.at.clone()) };
            self.edit(at, hit.kind, piece.form.clone())?;
        }
        Ok(())
    }

    /// A piece that may itself hold JSON: then that is read, and rewritten, as JSON inside of the piece.
    fn look_inside(&mut self, body: &[u8], piece: &Piece<'_>) -> Result<(), Unscannable> {
        let Some(held) = self.held(body, piece)? else { return self.look(body, piece).map(|_| ()) };
        let mut inner = Self { edits: self.edits.as_ref().map(|_| Vec::new()), ..self.inner() };
        inner.text(Layer::Plain, held.as_bytes(), 0..held.len(), piece.key)?;
        let Some(kind) = inner.found.pii.first().copied() else {
            self.budget.release(room(piece));
            self.take(inner);
            return self.look(body, piece).map(|_| ());
        };
        let form = match inner.edits.take() {
            Some(edits) if !edits.is_empty() => {
                Form::Rewritten(edit::written(piece.layer, &rewritten(held.as_bytes(), edits, &inner.marks)))
            }
            _ => piece.form.clone(),
        };
        drop(held);
        self.budget.release(room(piece));
        self.edit(piece.at.clone(), kind, form)?;
        self.take(inner);
        let mut whole = self.inner();
        whole.look(body, piece)?;
        self.take(whole);
        Ok(())
    }

    /// The JSON that a piece holds, if it does: its [`room`] is held then.
    fn held(&self, body: &[u8], piece: &Piece<'_>) -> Result<Option<String>, Unscannable> {
        let bytes = body.get(piece.at.clone()).unwrap_or_default();
        // Escapes may hide what it begins with.
        let begins = match bytes.trim_ascii_start() {
            [b'\\', b'\\', ..] => false,
            [b'\\', ..] => piece.layer == Layer::Json,
            [first, ..] => matches!(first, b'{' | b'[' | b'"' | b'%' | b'+' | 0xef),
            [] => false,
        };
        if self.nesting >= MAX_NESTING || !begins {
            return Ok(None);
        }
        self.budget.spend(4 * bytes.len())?;
        self.budget.hold(room(piece))?;
        let mut held = String::with_capacity(room(piece));
        piece.layer.each(bytes, &mut held)?;
        if !json::looks_like(held.as_bytes(), &(0..held.len())) {
            self.budget.release(room(piece));
            return Ok(None);
        }
        Ok(Some(held))
    }

    /// Notes a key that looks as if we had written it.
    fn mark(&mut self, key: &str) {
        if key.starts_with(REDACTED) {
            self.marks.insert(key.to_owned());
        }
    }

    fn edit(&mut self, at: Range<usize>, kind: Detector, form: Form) -> Result<(), Unscannable> {
        let Some(edits) = &mut self.edits else { return Ok(()) };
        if edits.len() == MAX_EDITS {
            return Err(Unscannable::Unrewritable);
        }
        edits.push(Edit { at, kind, form });
        Ok(())
    }

    /// Something that is only looked at: no edit takes out what is found there.
    fn glance(&mut self, kind: &Kind, body: &[u8]) -> Result<(), Unscannable> {
        let mut inner = self.inner();
        inner.read(kind, body, 0..body.len())?;
        self.take(inner);
        Ok(())
    }
}

/// The most bytes that a piece has once its escapes are undone: what is no UTF-8 in a form becomes a character of three.
fn room(piece: &Piece<'_>) -> usize {
    if piece.layer == Layer::Json { piece.at.len() } else { 3 * piece.at.len() }
}

/// The name that pieces stand under, as context: what it says, without escapes.
#[derive(Default)]
struct Name {
    /// Where it stands: the pieces of a list stand under one name.
    at: Range<usize>,
    text: String,
}

impl Name {
    fn read(&mut self, layer: Layer, body: &[u8], at: &Range<usize>) -> &str {
        // Words that matter are short.
        const LONGEST: usize = 128;
        if self.at != *at {
            self.at = at.clone();
            self.text.clear();
            let bytes = body.get(at.clone()).unwrap_or_default();
            // A cut or broken name says less, and is complained of where it is read.
            let _ = layer.each(bytes.get(..bytes.len().min(LONGEST)).unwrap_or_default(), &mut self.text);
            // Words are told apart as in text: an accent or a wide letter makes no other of them.
            if !self.text.is_ascii() {
                self.text = folded(&self.text);
            }
            self.text.make_ascii_lowercase();
        }
        &self.text
    }
}
