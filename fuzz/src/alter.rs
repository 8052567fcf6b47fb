//! Alterations of an input, from a seed: the same seed, the same alteration.

/// Pieces that parsers trip over.
const WORDS: &[&str] = &[
    "\0",
    "\r\n",
    "\n",
    "\t",
    " ",
    "\"",
    "\\",
    "\\u0000",
    "\\ud800",
    "{",
    "}",
    "[",
    "]",
    ":",
    ",",
    "- ",
    "---\n",
    "&a ",
    "*a",
    "<<: ",
    "!!str ",
    "|",
    ">",
    "#",
    "null",
    "true",
    "-1",
    "0",
    "1e309",
    "18446744073709551616",
    "9007199254740993",
    "NaN",
    ".",
    "..",
    "/",
    "//",
    "%2e",
    "%00",
    "@",
    "*",
    "~",
    "é",
    "\u{200b}",
    "\u{feff}",
    "iss",
    "exp",
    "alg",
    "none",
    "crit",
    "kid",
    "domain",
    "descriptors",
    "spec",
    "metadata",
    "name",
];

/// A source of numbers (SplitMix64).
struct Dice(u64);

impl Dice {
    fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        usize::try_from((mixed ^ (mixed >> 31)) % end.max(1) as u64).unwrap_or(0)
    }
}

/// An input made of one or two others by a few steps.
#[must_use]
pub fn altered(corpus: &[Vec<u8>], seed: u64) -> Vec<u8> {
    let mut dice = Dice(seed);
    let mut input = corpus.get(dice.below(corpus.len())).cloned().unwrap_or_default();
    for _ in 0..=dice.below(6) {
        step(&mut input, corpus, &mut dice);
        input.truncate(1 << 16);
    }
    input
}

fn step(input: &mut Vec<u8>, corpus: &[Vec<u8>], dice: &mut Dice) {
    let (from, until) = (dice.below(input.len() + 1), dice.below(input.len() + 1));
    let (from, until) = (from.min(until), from.max(until).min(from.min(until) + 64));
    match dice.below(8) {
        0 => {
            if let Some(byte) = input.get_mut(from) {
                *byte ^= 1 << dice.below(8);
            }
        }
        1 => {
            if let Some(byte) = input.get_mut(from) {
                *byte = u8::try_from(dice.below(256)).unwrap_or(0);
            }
        }
        2 => drop(input.drain(from..until)),
        3 => {
            let copy = input.get(from..until).unwrap_or_default().to_vec();
            let most = if dice.below(50) == 0 { 2_000 } else { 4 };
            let times = 1 + dice.below(most);
            for _ in 0..times {
                input.splice(from..from, copy.iter().copied());
            }
        }
        4 => {
            let other = corpus.get(dice.below(corpus.len())).map(Vec::as_slice).unwrap_or_default();
            let begin = dice.below(other.len() + 1);
            input.splice(from.., other.get(begin..).unwrap_or_default().iter().copied());
        }
        5 => input.truncate(until),
        _ => {
            let word = WORDS.get(dice.below(WORDS.len())).copied().unwrap_or_default();
            input.splice(from..from, word.bytes());
        }
    }
}
