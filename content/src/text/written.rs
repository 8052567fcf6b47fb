//! Folded text while it is written down, with the way back: what it takes is taken from the budget's room before it is.

use super::{
    Eye, View, fold,
    layer::{Looker, Reader},
};
use crate::{Budget, Unscannable};

/// How often longer than it was a text may become by folding: Korean three times, one Arabic ligature eleven times.
const MAX_GROWTH: usize = 4;
/// However short it was, it may become so long, in bytes.
const SHORT: usize = 4 << 10;
/// What one character becomes at the most, in bytes: 18 characters of up to four.
const MOST: usize = 72;
/// How many runs there is room for at first.
const RUNS: usize = 4;

/// A part of a text, to the next run.
#[derive(Debug, Clone, Copy)]
pub(super) struct Run {
    /// Where it begins in the text.
    pub(super) text: u32,
    /// Where it was read from; in the highest bits its stride.
    body: u32,
}

/// Above these bits stands the stride. No body that is read is so long.
const STRIDE: u32 = 28;
/// The longest stride.
const LONGEST: usize = 15;

impl Run {
    const fn new(text: u32, body: u32, stride: usize) -> Self {
        Self { text, body: body | (stride as u32) << STRIDE }
    }

    pub(super) const fn body(self) -> usize {
        (self.body & ((1 << STRIDE) - 1)) as usize
    }

    /// How far apart what each byte was read from begins; 0: all were read from one character.
    pub(super) const fn stride(self) -> usize {
        (self.body >> STRIDE) as usize
    }

    /// Where a byte of it was read from.
    pub(super) const fn of(self, at: usize) -> usize {
        self.body() + (at - self.text as usize) * self.stride()
    }
}

/// A text that is written down.
pub(super) struct Written<'w> {
    text: String,
    runs: Vec<Run>,
    /// What is read: a part of the body from a place on, or a text that was.
    from: Result<&'w View<'w>, usize>,
    /// The run of what is read at which reading is.
    run: usize,
    /// How long it may become, in bytes.
    most: usize,
    budget: &'w Budget<'w>,
    held: usize,
    failed: Option<Unscannable>,
    eye: Eye,
    /// Whether the other eye reads something else.
    differs: bool,
}

impl<'w> Written<'w> {
    /// What is read from a text, or from a body from a place on, of about so many bytes.
    pub(super) fn of(from: Result<&'w View<'w>, usize>, eye: Eye, bytes: usize, budget: &'w Budget<'w>) -> Self {
        let most = MAX_GROWTH * bytes + SHORT;
        let mut written =
            Self { text: String::new(), runs: Vec::new(), from, run: 0, most, budget, held: 0, failed: None, eye, differs: false };
        written.make_room(bytes + MOST, RUNS);
        written
    }

    /// The text, its runs, the bytes that they hold, and whether it is the same to each eye.
    pub(super) fn done(mut self) -> Result<(String, Vec<Run>, usize, bool), Unscannable> {
        self.is_over();
        self.failed.map_or(Ok((self.text, self.runs, self.held, self.differs)), Err)
    }

    /// Room for so many bytes and runs more; false: there is none.
    fn make_room(&mut self, bytes: usize, runs: usize) -> bool {
        let more = |length: usize, capacity: usize, more: usize| if length + more > capacity { more.max(capacity) } else { 0 };
        let text = more(self.text.len(), self.text.capacity(), bytes);
        let run = more(self.runs.len(), self.runs.capacity(), runs);
        if text + run > 0 {
            let hold = text + run * size_of::<Run>();
            if let Err(why) = self.budget.hold(hold) {
                self.failed = self.failed.or(Some(why));
            }
            if self.failed.is_some() {
                return false;
            }
            self.held += hold;
            self.text.reserve_exact(text + self.text.capacity() - self.text.len());
            self.runs.reserve_exact(run + self.runs.capacity() - self.runs.len());
        }
        self.failed.is_none()
    }

    /// The next bytes of the text were read from here, so far apart; of a single byte nobody asks how far.
    fn begin(&mut self, length: usize, body: usize, stride: usize) {
        let (text, body) = (self.text.len(), short(body));
        if let Some(last) = self.runs.last_mut() {
            if text - last.text as usize == 1 {
                let apart = (body as usize).saturating_sub(last.body());
                if (1..=LONGEST).contains(&apart) && (length == 1 || apart == stride) {
                    *last = Run::new(last.text, short(last.body()), apart);
                    return;
                }
            } else if last.stride() > 0 && last.of(text) == body as usize && (length == 1 || last.stride() == stride) {
                return;
            }
        }
        self.runs.push(Run::new(short(text), body, stride));
    }

    /// Text that folds to itself.
    fn plain(&mut self, text: &str, at: usize) {
        let (mut text, mut at) = (text, at);
        while !text.is_empty() && self.make_room(text.len(), 1) {
            let (body, stride, upto) = self.read_from(at);
            let (here, rest) = text.split_at_checked(upto - at).unwrap_or((text, ""));
            self.begin(here.len(), body, stride);
            self.text.push_str(here);
            (text, at) = (rest, at + here.len());
        }
    }

    /// Where in the body a place of what is read was read from, how far apart that is what follows, and up to where it is so.
    fn read_from(&mut self, at: usize) -> (usize, usize, usize) {
        let from = match self.from {
            Err(by) => return (at + by, 1, usize::MAX),
            Ok(from) => from,
        };
        let Some(runs) = from.runs() else { return (from.start(at), 1, usize::MAX) };
        while runs.get(self.run + 1).is_some_and(|next| next.text as usize <= at) {
            self.run += 1;
        }
        let upto = runs.get(self.run + 1).map_or(usize::MAX, |next| next.text as usize);
        runs.get(self.run).map_or((0, 0, upto), |run| (run.of(at), run.stride(), upto))
    }

    fn is_over(&mut self) -> bool {
        if self.text.len() > self.most {
            self.failed = self.failed.or(Some(Unscannable::TooLarge));
        }
        self.failed.is_some()
    }
}

/// Places of what is read fit into half a word: a text with many escapes has many runs.
fn short(at: usize) -> u32 {
    u32::try_from(at).unwrap_or(u32::MAX).min((1 << STRIDE) - 1)
}

impl Reader for Written<'_> {
    fn text(&mut self, text: &str, at: usize) {
        let mut here = 0;
        while here < text.len() && !self.is_over() {
            let stays = fold::stays(text.get(here..).unwrap_or_default());
            self.plain(text.get(here..here + stays).unwrap_or_default(), at + here);
            here += stays;
            let Some(next) = text.get(here..).and_then(|rest| rest.chars().next()) else { continue };
            self.one(next, at + here);
            here += next.len_utf8();
        }
    }

    fn one(&mut self, one: char, at: usize) {
        if self.is_over() || !self.make_room(MOST, 1) {
            return;
        }
        let (body, _, _) = self.read_from(at);
        if matches!(one, ' '..='~') {
            self.begin(1, body, 0);
            self.text.push(one);
            return;
        }
        let (mut folded, mut length) = ([0; MOST], 0);
        self.differs |=
            fold::each(one, self.eye, &mut |one| length += folded.get_mut(length..).map_or(0, |rest| one.encode_utf8(rest).len()));
        if length > 0 {
            self.begin(length, body, 0);
            self.text.push_str(folded.get(..length).and_then(|folded| str::from_utf8(folded).ok()).unwrap_or_default());
        }
    }
}

impl Looker for Written<'_> {
    fn eye(&self) -> Eye {
        self.eye
    }

    fn differs(&mut self) {
        self.differs = true;
    }
}
