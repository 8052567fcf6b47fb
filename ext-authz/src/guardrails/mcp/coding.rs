//! The content coding of a message. What is judged is what comes out of it, and the bytes go on as they came: so bytes are refused that another server
//! could read as another message, because it does not mind `Content-Encoding`.

use bulkhead_content::Budget;

use crate::verdict::{Denial, Reason};

/// The codings that are undone: all that a content filter undoes.
const KNOWN: [&str; 5] = ["gzip", "x-gzip", "zstd", "br", "deflate"];

/// A content coding that messages may come in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Coding(&'static str);

impl Coding {
    /// The coding of a name in lower case.
    pub(super) fn named(name: &[u8]) -> Option<Self> {
        KNOWN.into_iter().find(|known| known.as_bytes() == name).map(Self)
    }

    /// The message, of bounded length.
    pub(super) fn decoded(self, body: &[u8], budget: &Budget<'_>) -> Result<Vec<u8>, Denial> {
        if may_be_message(body) {
            return Err(Denial::new(Reason::Unreadable, "the body can be read as two messages: as it stands, or undone"));
        }
        Ok(bulkhead_content::decoded(&[self.0.as_bytes()], body, budget)?.into_owned())
    }
}

/// Whether a lax parser could begin to read an object or a comment, behind white space and marks of a byte order. An array alone is no sign: brotli of more than
/// 64 KiB begins with `[` as a rule. It must go on as one until something begins in it that could hold a message.
fn may_be_message(body: &[u8]) -> bool {
    let skipped = |byte: &u8| matches!(byte, b' ' | b'\t' | b'\n' | b'\r' | 0 | 0xef | 0xbb | 0xbf | 0xfe | 0xff);
    let of_a_list = |byte: &u8| skipped(byte) || byte.is_ascii_alphanumeric() || matches!(byte, b'[' | b']' | b',' | b'.' | b'+' | b'-');
    let mut rest = body.iter().skip_while(|byte| skipped(byte));
    match rest.next() {
        Some(b'{' | b'#') => true,
        Some(b'/') => matches!(rest.next(), Some(b'/' | b'*')),
        Some(b'[') => rest.find(|byte| !of_a_list(byte)).is_some_and(|byte| matches!(byte, b'{' | b'"' | b'\'' | b'/' | b'#')),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAIN: &str = r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#;

    /// A block without compression (RFC 1951 section 3.2.4), with bits of padding that nobody looks at.
    fn stored(padding: u8, text: &[u8]) -> Vec<u8> {
        let length = u16::try_from(text.len()).unwrap();
        [&[padding | 1][..], &length.to_le_bytes(), &(!length).to_le_bytes(), text].concat()
    }

    fn zlib(text: &[u8]) -> Vec<u8> {
        let (a, b) = text.iter().fold((1_u32, 0), |(a, b), byte| ((a + u32::from(*byte)) % 65521, (b + a + u32::from(*byte)) % 65521));
        [&[0x78, 0x01][..], &stored(0, text), &(b << 16 | a).to_be_bytes()].concat()
    }

    /// A meta-block without compression (RFC 7932 section 9.2), and an empty last one.
    fn br(text: &[u8]) -> Vec<u8> {
        let head = (u32::try_from(text.len()).unwrap() - 1) << 4 | 1 << 20;
        [&head.to_le_bytes()[..3], text, &[3]].concat()
    }

    fn undone(coding: &str, body: &[u8]) -> Option<Vec<u8>> {
        Coding::named(coding.as_bytes()).unwrap().decoded(body, &Budget::default()).ok()
    }

    #[test]
    fn each_coding_that_content_reads_is_undone() {
        for (coding, body) in [("deflate", stored(0, PLAIN.as_bytes())), ("deflate", zlib(PLAIN.as_bytes())), ("br", br(PLAIN.as_bytes()))]
        {
            assert_eq!(undone(coding, &body).as_deref(), Some(PLAIN.as_bytes()), "{coding}");
        }
        for (coding, body) in [("gzip", &b"\x1f\x8b"[..]), ("br", PLAIN.as_bytes()), ("deflate", PLAIN.as_bytes()), ("zstd", b"")] {
            assert_eq!(undone(coding, body), None, "{coding}");
        }
    }

    #[test]
    fn what_can_be_read_as_two_messages_is_refused() {
        // To a parser that does not mind bytes which are no UTF-8, ` {"\x84\xdd...` begins an object; to a decoder it is a stored block of 0x227b bytes.
        let text = [b"\":1,\"method\":\"other\"}".as_slice(), &[b' '; 0x227b - 21]].concat();
        assert_eq!(text.len(), 0x227b);
        let both = stored(b' ', &text);
        assert!(both.starts_with(b"!{\""), "the last block has the lowest bit");
        let first = [&[b' '][..], &both[1..], &stored(0, b"")].concat();
        assert_eq!(bulkhead_content::decoded(&[b"deflate"], &first, &Budget::default()).unwrap().len(), 0x227b, "it is deflate");
        assert_eq!(undone("deflate", &first), None);
        // A length of 0x7b3 makes brotli begin with ` {`.
        let message = br(&[b' '; 0x7b3]);
        assert!(message.starts_with(b" {"));
        assert_eq!(bulkhead_content::decoded(&[b"br"], &message, &Budget::default()).unwrap().len(), 0x7b3, "it is brotli");
        assert_eq!(undone("br", &message), None);
        assert_eq!(undone("br", &[b"\xef\xbb\xbf", PLAIN.as_bytes()].concat()), None);
        for message in ["[{", "[ 1, [{", "[\"x\",{", "/*x*/{", "//x\n{", "#x\n{"] {
            assert!(may_be_message(message.as_bytes()), "{message}");
        }
        // How brotli of 70 KB to 200 KB begins by default, and with a window of 16 MiB.
        for begun in [[0x5b, 0xc8, 0x11], [0x5b, 0xf8, 0x86], [0x5b, 0x28, 0xfc], [0x5b, 0x98, 0x0d], [0x2f, 0x98, 0x0d]] {
            assert!(!may_be_message(&begun), "{begun:x?}");
        }
        // zlib to one server, a stored block to the other.
        let zlib = zlib(PLAIN.as_bytes());
        let length = u16::from_le_bytes([zlib[1], zlib[2]]);
        let twofold = [&zlib[..3], &(!length).to_le_bytes(), &zlib[3..]].concat();
        assert_eq!(undone("deflate", &twofold), None);
    }
}
