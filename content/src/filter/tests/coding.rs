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
