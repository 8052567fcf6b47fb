//! Words near a number that say what it is. All words of all kinds are found in one pass, when the first is asked for.

use std::{
    cell::{Cell, OnceCell},
    sync::OnceLock,
};

use aho_corasick::{AhoCorasick, AhoCorasickKind};

use crate::{
    Budget, Unscannable,
    budget::List,
    text::{Marks, View},
};

/// What a word says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cue {
    Phone,
    /// Something that is no personal data: an order, a ticket, a serial number.
    Other,
    Version,
    UnitedStates,
    Canada,
    Netherlands,
    Germany,
    Sweden,
    Denmark,
    Brazil,
    India,
    Poland,
    Belgium,
    Spain,
    Portugal,
}

/// The words, folded and in lower case. A word of up to three letters counts where it stands alone, a longer one also at the beginning of a
/// longer one.
const WORDS: [(Cue, &[&str]); 15] = [
    (
        Cue::Phone,
        &[
            "phone",
            "tel",
            "mobile",
            "cell",
            "call",
            "fax",
            "whatsapp",
            "sms",
            "dial",
            "handy",
            "telefon",
            "telephone",
            "mobil",
            "rufnummer",
            "portable",
            "movil",
            "celular",
            "cellulare",
            "msisdn",
            "puhelin",
            "puh",
            "tlf",
            "telp",
            "電話",
            "电话",
            "телефон",
            "Телефон",
            "тел",
            "هاتف",
        ],
    ),
    (
        Cue::Other,
        &[
            "order",
            "invoice",
            "ticket",
            "sku",
            "serial",
            "tracking",
            "part",
            "ref",
            "case",
            "batch",
            "version",
            "build",
            "commit",
            "item",
            "isbn",
            "ean",
            "model",
            "bestell",
            "rechnung",
            "factura",
            "facture",
            "pedido",
            "commande",
            "timestamp",
            "epoch",
            "uuid",
            "lot",
            "product",
            "artikel",
            "article",
        ],
    ),
    (Cue::Version, &["version", "release", "build", "firmware", "upgrade", "ver", "v", "oid", "section", "chapter"]),
    (Cue::UnitedStates, &["ssn", "social security", "social_security", "socialsecurity", "itin", "taxpayer", "tax id", "tax_id", "taxid"]),
    (Cue::Canada, &["sin", "social insurance", "social_insurance", "nas", "assurance sociale"]),
    (Cue::Netherlands, &["bsn", "burgerservicenummer", "sofi"]),
    (Cue::Germany, &["steuer", "idnr", "tin", "tax id", "tax_id", "identifikationsnummer"]),
    (Cue::Sweden, &["personnummer", "personal number", "personal_number", "person nr", "pnr", "samordningsnummer"]),
    (Cue::Denmark, &["cpr", "personnummer"]),
    (Cue::Brazil, &["cpf"]),
    (Cue::India, &["aadhaar", "aadhar", "uidai"]),
    (Cue::Poland, &["pesel"]),
    (Cue::Belgium, &["rijksregister", "registre national", "nrn", "insz", "niss", "national register", "national_register"]),
    (Cue::Spain, &["seguridad social", "nuss", "naf"]),
    (Cue::Portugal, &["nif", "contribuinte"]),
];

/// How far before a number its word may end, in bytes.
const REACH: usize = 32;
/// The same of words that say what it is not: those must not hide what stands further on.
const SHORT_REACH: usize = 12;

/// What a byte costs where words are looked for, in steps.
const WORD: usize = 4;

/// Where a text stands, and what its words say.
pub(super) struct Context<'t> {
    pub(super) text: &'t str,
    /// The kinds of bytes in it.
    pub(super) marks: Marks,
    /// The name that the whole text stands under, in lower case; may be empty.
    pub(super) key: &'t str,
    /// What the work may take.
    pub(super) budget: &'t Budget<'t>,
    spoken: OnceCell<Said<'t>>,
    named: OnceCell<Said<'t>>,
    /// Why not all words are known.
    failed: Cell<Option<Unscannable>>,
}

/// The ends of words, in order, with what they say.
type Said<'t> = List<'t, (u32, Cue)>;

impl<'t> Context<'t> {
    pub(super) fn new(view: &'t View<'_>, key: &'t str, budget: &'t Budget<'t>) -> Self {
        let (text, marks) = (view.text.as_ref(), view.marks);
        Self { text, marks, key, budget, spoken: OnceCell::new(), named: OnceCell::new(), failed: Cell::new(None) }
    }

    /// # Errors
    /// Not all words could be remembered, so that nothing is certain that was said of them.
    pub(super) fn end(&self) -> Result<(), Unscannable> {
        self.failed.get().map_or(Ok(()), Err)
    }

    fn words(&self, text: &str, running: bool) -> Said<'t> {
        let mut said = List::new(self.budget);
        if let Err(why) = self.budget.spend(WORD * text.len()).and_then(|()| words(text, running, &mut said)) {
            self.failed.set(Some(why));
        }
        said
    }

    /// Whether a word says so, in the name or shortly before a place in the same line.
    pub(super) fn says(&self, at: usize, cue: Cue) -> bool {
        self.named.get_or_init(|| self.words(self.key, false)).iter().any(|(_, named)| *named == cue) || self.says_before(at, cue)
    }

    /// Whether a word says so shortly before a place in the same line.
    pub(super) fn says_before(&self, at: usize, cue: Cue) -> bool {
        let spoken = self.spoken.get_or_init(|| self.words(self.text, true));
        let before = spoken.get(..spoken.partition_point(|(end, _)| *end as usize <= at)).unwrap_or_default();
        let reach = if matches!(cue, Cue::Other | Cue::Version) { SHORT_REACH } else { REACH };
        let near = before.iter().rev().map(|(end, spoken)| (*end as usize, spoken)).take_while(|(end, _)| at - end <= reach);
        near.filter(|(_, spoken)| **spoken == cue)
            .any(|(end, _)| !self.text.as_bytes().get(end..at).unwrap_or_default().iter().any(|byte| matches!(byte, b'\n' | b'\r')))
    }
}

/// All words, as one automaton, with what each says and whether it counts alone only.
struct Words {
    automaton: AhoCorasick,
    say: Vec<(Cue, bool)>,
}

impl Words {
    fn all() -> Option<&'static Self> {
        static WORDS_FOUND: OnceLock<Option<Words>> = OnceLock::new();
        let build = || {
            let all = || WORDS.iter().flat_map(|(cue, words)| words.iter().map(|word| (*cue, *word)));
            let automaton = AhoCorasick::builder()
                .ascii_case_insensitive(true)
                .kind(Some(AhoCorasickKind::DFA))
                .build(all().map(|(_, word)| word))
                .ok()?;
            Some(Self { automaton, say: all().map(|(cue, word)| (cue, word.len() <= 3)).collect() })
        };
        WORDS_FOUND.get_or_init(build).as_ref()
    }
}

/// Finds all words. In running text a word begins where no letter stands before it.
fn words(text: &str, running: bool, said: &mut Said<'_>) -> Result<(), Unscannable> {
    let Some(words) = Words::all().filter(|_| !text.is_empty()) else { return Ok(()) };
    for hit in words.automaton.find_overlapping_iter(text) {
        let Some((cue, alone)) = words.say.get(hit.pattern().as_usize()) else { continue };
        let before = text.get(..hit.start()).and_then(|before| before.chars().next_back());
        let after = text.get(hit.end()..).and_then(|after| after.chars().next());
        // `customerPhone` is a name, too; and no space stands before a word in Chinese.
        let begins = before.is_none_or(|one| !one.is_alphanumeric() || !one.is_ascii()) || (!alone && !running);
        if begins && (!alone || after.is_none_or(|one| !one.is_alphanumeric())) {
            said.push((u32::try_from(hit.end()).unwrap_or(u32::MAX), *cue))?;
        }
    }
    Ok(())
}
