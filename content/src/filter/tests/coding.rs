//! Bodies that come encoded: read through every coding that is known, and bounded in each.

use std::io::Write;

use super::*;
use crate::is_plain;

#[test]
fn compressed_bodies_are_read_and_bounded() {
    let plain = br#"{"q":"\u0049nitech"}"#;
    let gzip = |bytes: &[u8]| {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    };
    let zlib = |bytes: &[u8]| {
        let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::best());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    };
    let raw = |bytes: &[u8]| {
        let mut encoder = flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::best());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    };
    let br = |mut bytes: &[u8]| {
        let mut out = Vec::new();
        brotli::BrotliCompress(&mut bytes, &mut out, &brotli::enc::BrotliEncoderParams { quality: 5, ..Default::default() }).unwrap();
        out
    };
    let zstd = |bytes: &[u8]| ruzstd::encoding::compress_to_vec(bytes, ruzstd::encoding::CompressionLevel::Fastest);
    let scan = |codings: &[&str], body: &[u8]| {
        said(filter().scan(&Media::of(Some(JSON.as_bytes()), codings.iter().map(|coding| coding.as_bytes())), body, &Budget::default()))
    };
    let bomb = vec![b' '; 3 * Filter::MAX_BYTES];
    for (coding, encode) in [
        ("gzip", &gzip as &dyn Fn(&[u8]) -> Vec<u8>),
        ("deflate", &zlib),
        ("deflate", &raw),
        ("br", &br),
        ("zstd", &zstd),
        ("X-GZIP", &gzip),
    ] {
        assert_eq!(scan(&[coding], &encode(plain)), "rivals", "{coding}");
        assert_eq!(scan(&[coding], &[encode(plain), b"x".to_vec()].concat()), "! malformed", "{coding}: what follows is not skipped");
        let cut = encode(plain);
        assert_eq!(scan(&[coding], &cut[..cut.len() / 2]), "! malformed", "{coding}: cut");
        assert_eq!(scan(&[coding], plain), "! malformed", "{coding}: not encoded");
        assert_eq!(scan(&[coding], &encode(&bomb)), "! too_large", "{coding}: bomb");
    }
    assert_eq!(scan(&["gzip, br"], &br(&gzip(plain))), "rivals");
    assert_eq!(scan(&["gzip", "br"], &br(&gzip(plain))), "rivals");
    for none in [&["identity", ""][..], &["IdentitY"], &[" ,\t,"], &["identity,identity"], &[]] {
        assert!(is_plain(none.iter().map(|value| value.as_bytes())), "{none:?}");
        assert_eq!(scan(none, plain), "rivals", "{none:?}");
    }
    for one in [&["identity", "gzip"][..], &["gzip, identity"], &["IDENTITY, gzip ,"]] {
        assert!(!is_plain(one.iter().map(|value| value.as_bytes())), "{one:?}");
        assert_eq!(scan(one, &gzip(plain)), "rivals", "{one:?}");
    }
    for unknown in ["identity;q=1", "identity identity", "\"identity\"", "x-identity"] {
        assert!(!is_plain([unknown.as_bytes()]));
        assert_eq!(scan(&[unknown], plain), "! encoding", "{unknown:?}");
    }
    assert_eq!(scan(&["gzip, gzip, gzip, gzip"], &gzip(&gzip(&gzip(&gzip(plain))))), "! encoding");
    assert_eq!(scan(&["compress"], plain), "! encoding");
    // Several members are one body (RFC 1952 section 2.2).
    assert_eq!(scan(&["gzip"], &[gzip(br#"{"q":"Ini"#), gzip(br#"tech"}"#)].concat()), "rivals");
    assert_eq!(scan(&["zstd"], &[zstd(br#"{"q":"Ini"#), zstd(br#"tech"}"#)].concat()), "rivals");
    // A frame that asks for a window of 64 MiB before a byte has come out.
    assert_eq!(scan(&["zstd"], &[0x28, 0xb5, 0x2f, 0xfd, 0x00, 16 << 3, 1, 0, 0]), "! encoding");
    let redacted = filter()
        .redact(&Media::of(Some(JSON.as_bytes()), [b"gzip".as_slice()]), &gzip(br#"["a@example.com"]"#), &Budget::default())
        .unwrap();
    assert_eq!(redacted.body.unwrap(), br#"["[redacted:email]"]"#, "a new body has no coding");
}

/// gzip with a field in its header, which no decoder gives out: a name (`FNAME`), a comment or more.
fn gzip_with(flag: u8, field: &[u8], plain: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(plain).unwrap();
    let mut gzip = encoder.finish().unwrap();
    gzip[3] |= flag;
    gzip.splice(10..10, field.iter().copied());
    gzip
}

#[test]
fn s14_what_stands_beside_a_coding_is_read_by_who_does_not_mind_it() {
    let (extra, name, comment) = (4, 8, 16);
    let coded = |content_type: &'static str, coding: &'static str| Media::of([content_type.as_bytes()], [coding.as_bytes()]);
    let fields = b"&q=%49nitech&mail=jane.doe%40corp.example&n=4111+1111+1111+1111&";
    let zero = |field: &[u8]| [field, &[0]].concat();
    let long = [&[u8::try_from(fields.len()).unwrap(), 0][..], fields].concat();
    let skipped = [&[0x50, 0x2a, 0x4d, 0x18, u8::try_from(fields.len()).unwrap(), 0, 0, 0][..], fields].concat();
    let zstd = ruzstd::encoding::compress_to_vec(&b"a=nothing"[..], ruzstd::encoding::CompressionLevel::Fastest);
    for (coding, body) in [
        ("gzip", gzip_with(name, &zero(fields), b"a=nothing")),
        ("gzip", gzip_with(comment, &zero(fields), b"a=nothing")),
        ("gzip", gzip_with(extra, &long, b"a=nothing")),
        ("zstd", [skipped, zstd].concat()),
    ] {
        for content_type in [FORM, "text/plain", "", "text/html"] {
            let media = coded(content_type, coding);
            let media = if content_type.is_empty() { Media::of([], [coding.as_bytes()]) } else { media };
            assert_eq!(said(filter().scan(&media, &body, &Budget::default())), "email card rivals", "{content_type} {coding}");
            assert_eq!(said(filter().scan(&media.clone().of_answer(), &body, &Budget::default())), "", "a client minds the coding");
            let redacted = filter().redact(&media, &body, &Budget::default()).unwrap();
            assert_eq!(redacted.found.topics.len(), 1, "a topic answers first");
        }
        assert_eq!(said(filter().scan(&coded(JSON, coding), &body, &Budget::default())), "! malformed", "it is no JSON");
    }
    let mail = gzip_with(comment, &zero(b"&mail=jane.doe@corp.example&"), b"a=nothing");
    let unrewritable = filter().redact(&coded(FORM, "gzip"), &mail, &Budget::default()).map(drop);
    assert_eq!(unrewritable, Err(Unscannable::Unrewritable), "it cannot be taken out of there");
    let plain = gzip_with(0, b"", b"a=nothing");
    assert_eq!(said(filter().scan(&coded(FORM, "gzip"), &plain, &Budget::default())), "");
}

#[test]
fn deflate_that_is_two_things_is_neither() {
    let stored = |text: &[u8]| {
        let length = u16::try_from(text.len()).unwrap();
        [&[1][..], &length.to_le_bytes(), &(!length).to_le_bytes(), text].concat()
    };
    // zlib's first bytes, which without them begin a block of their own.
    let text = stored(b"harmless");
    let twofold = [&[0x78, text[1]][..], &[0, !text[1], 0xff], &text].concat();
    let media = Media::of(["text/plain".as_bytes()], ["deflate".as_bytes()]);
    assert_eq!(said(filter().scan(&media, &twofold, &Budget::default())), "! malformed");
    assert_eq!(said(filter().scan(&media, &stored(b"ask Initech"), &Budget::default())), "rivals");
}
