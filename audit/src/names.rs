//! The names of a stream's files: `ext-authz-a.jsonl` is written now, `ext-authz-a.000000000001.jsonl` was before and begins with record 1.

/// A stream of one writer: what its files are called, in the folder of its namespace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Names {
    /// `<namespace>/<service>-<instance>`: what the chain's beginning is bound to.
    pub(crate) stream: String,
    /// The folder of the namespace, as the region's folder has it.
    pub(crate) namespace: String,
    /// The file that is written and the head, as the region's folder leads to them.
    pub(crate) paths: Paths,
    stem: String,
}

/// Two files of a stream, with the folder that they are in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Paths {
    pub(crate) current: String,
    pub(crate) head: String,
}

const ENDING: &str = ".jsonl";
const HEAD: &str = ".head";
/// Digits of the first record's number in the name of a file: so many that names sort as numbers do.
const DIGITS: usize = 20;

impl Names {
    /// Those of a writer (`<service>-<instance>`) in a namespace.
    pub(crate) fn new(namespace: &str, writer: &str) -> Self {
        let stream = format!("{namespace}/{writer}");
        let paths = Paths { current: format!("{stream}{ENDING}"), head: format!("{stream}{HEAD}") };
        Self { stream, namespace: namespace.to_owned(), paths, stem: writer.to_owned() }
    }

    /// The file that is written.
    pub(crate) fn current(&self) -> String {
        format!("{}{ENDING}", self.stem)
    }

    /// The file that says where the chain ends.
    pub(crate) fn head(&self) -> String {
        format!("{}{HEAD}", self.stem)
    }

    /// A file that is complete and begins with a record.
    pub(crate) fn complete(&self, first: u64) -> String {
        format!("{}.{first:0DIGITS$}{ENDING}", self.stem)
    }

    /// What is kept of a line that was never finished.
    pub(crate) fn torn(&self, after: u64, nth: u32) -> String {
        format!("{}.{after:0DIGITS$}-{nth}.torn", self.stem)
    }

    /// The record that a complete file of this stream begins with.
    pub(crate) fn first_of(&self, name: &str) -> Option<u64> {
        let digits = name.strip_prefix(self.stem.as_str())?.strip_prefix('.')?.strip_suffix(ENDING)?;
        let numeric = digits.len() == DIGITS && digits.bytes().all(|byte| byte.is_ascii_digit());
        digits.parse().ok().filter(|_| numeric)
    }

    /// Bytes of this stream, of files with their names and sizes.
    pub(crate) fn bytes(&self, files: &[(String, u64)]) -> u64 {
        files.iter().filter(|(name, _)| self.has(name)).map(|(_, bytes)| bytes).sum()
    }

    /// Whether a file belongs to this stream.
    pub(crate) fn has(&self, name: &str) -> bool {
        name == self.current() || name == self.head() || self.first_of(name).is_some() || self.is_torn(name)
    }

    fn is_torn(&self, name: &str) -> bool {
        name.strip_prefix(self.stem.as_str()).and_then(|rest| rest.strip_prefix('.')).is_some_and(|rest| rest.ends_with(".torn"))
    }

    /// The writer that a file in a folder belongs to: of `ext-authz-a.jsonl`, of its head and of its complete files `ext-authz-a`.
    pub(crate) fn writer_of(name: &str) -> Option<&str> {
        let stem = name.strip_suffix(ENDING).or_else(|| name.strip_suffix(HEAD))?;
        let writer = match stem.rsplit_once('.') {
            Some((writer, digits)) if digits.len() == DIGITS && digits.bytes().all(|byte| byte.is_ascii_digit()) => writer,
            _ => stem,
        };
        (!writer.is_empty()).then_some(writer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_file_tells_whose_it_is() {
        let names = Names::new("tenant-acme", "ext-authz-a");
        assert_eq!(names.stream, "tenant-acme/ext-authz-a");
        let below = |name: String| format!("{}/{name}", names.namespace);
        assert_eq!((&names.paths.current, &names.paths.head), (&below(names.current()), &below(names.head())));
        for name in [names.current(), names.head(), names.complete(7)] {
            assert_eq!(Names::writer_of(&name), Some("ext-authz-a"), "{name}");
            assert!(names.has(&name));
        }
        assert_eq!(names.first_of(&names.complete(u64::MAX)), Some(u64::MAX));
        assert!(names.has(&names.torn(7, 1)) && names.first_of(&names.torn(7, 1)).is_none());
        assert_eq!(names.first_of(&names.current()), None);
        let other = Names::new("tenant-acme", "ext-authz-ab");
        assert!(!names.has(&other.current()) && !names.has(&other.complete(1)) && !names.has(&other.torn(1, 1)));
        assert_eq!(Names::writer_of("notes.txt"), None);
    }
}
