use serde_json::json;

use super::*;
use crate::tenant::testing::{Signer, base64, with};

fn read(jwk: &Value) -> Result<Vec<Algorithm>, &'static str> {
    Key::read(jwk, &Algorithm::ALL.into()).map(|key| key.algorithms).map_err(|Unusable(why)| why)
}

#[test]
fn s19_a_key_without_alg_is_matched_by_type_and_curve() {
    use Algorithm::{ES256, ES384, EdDSA, PS256, PS384, PS512, RS256, RS384, RS512};
    assert_eq!(read(&Signer::rsa(0).jwk("k")).unwrap(), [RS256, RS384, RS512, PS256, PS384, PS512]);
    assert_eq!(read(&Signer::p256().jwk("k")).unwrap(), [ES256]);
    assert_eq!(read(&Signer::p384().jwk("k")).unwrap(), [ES384]);
    assert_eq!(read(&Signer::ed25519().jwk("k")).unwrap(), [EdDSA]);
}

#[test]
fn s19_alg_use_and_key_ops_narrow_what_a_key_may_do() {
    let rsa = |others| read(&with(Signer::rsa(0).jwk("k"), others));
    assert_eq!(rsa(json!({"alg": "RS256"})), Ok(vec![Algorithm::RS256]));
    assert_eq!(rsa(json!({"use": null})).map(|all| all.len()), Ok(6));
    assert_eq!(rsa(json!({"key_ops": ["verify"]})).map(|all| all.len()), Ok(6));
    for others in [
        json!({"use": "enc"}),
        json!({"use": "SIG"}),
        json!({"key_ops": ["encrypt"]}),
        json!({"key_ops": []}),
        json!({"alg": "ES256"}),
        json!({"alg": "HS256"}),
        json!({"alg": "RSA-OAEP"}),
        json!({"alg": "none"}),
        json!({"alg": 7}),
        json!({"kty": "EC"}),
        json!({"kty": "oct", "k": "AAAA"}),
        json!({"kid": 7}),
    ] {
        assert!(rsa(others.clone()).is_err(), "{others}");
    }
}

#[test]
fn s19_the_issuers_list_is_the_outer_bound() {
    let only = |algorithm: Algorithm, signer: &Signer| Key::read(&signer.jwk("k"), &[algorithm].into()).map(|key| key.algorithms);
    assert_eq!(only(Algorithm::PS384, &Signer::rsa(0)).unwrap(), [Algorithm::PS384]);
    assert!(only(Algorithm::RS256, &Signer::p256()).is_err());
}

#[test]
fn s19_rsa_under_2048_bits_and_absurdly_large_ones_are_refused() {
    let sized = |bytes: usize, first: u8| {
        let mut modulus = vec![0xff; bytes];
        modulus[0] = first;
        read(&json!({"kty": "RSA", "n": base64(modulus), "e": "AQAB"}))
    };
    assert!(sized(128, 0xff).is_err(), "1024 bits");
    assert!(sized(256, 0x7f).is_err(), "2047 bits");
    assert!(sized(256, 0x00).is_err(), "2040 bits and a leading zero");
    assert!(sized(256, 0x80).is_ok(), "2048 bits");
    assert!(sized(1024, 0xff).is_ok(), "8192 bits");
    assert!(sized(1025, 0x01).is_err(), "8193 bits");
    assert!(sized(20_000, 0xff).is_err());
    assert!(read(&json!({"kty": "RSA", "n": "", "e": "AQAB"})).is_err());
}

#[test]
fn s19_rsa_exponents_that_prove_nothing_are_refused() {
    for exponent in [&[1_u8][..], &[0, 1], &[0], &[], &[4], &[1, 0, 0], &[255; 9]] {
        assert!(read(&with(Signer::rsa(0).jwk("k"), json!({"e": base64(exponent)}))).is_err(), "{exponent:?}");
    }
    assert!(read(&with(Signer::rsa(0).jwk("k"), json!({"e": "Aw"}))).is_ok());
}

#[test]
fn s19_curves_and_lengths_must_fit() {
    let ec = |others| read(&with(Signer::p256().jwk("k"), others));
    for others in [
        json!({"crv": "P-384"}),
        json!({"crv": "P-521"}),
        json!({"crv": "secp256k1"}),
        json!({"x": base64([1; 31])}),
        json!({"y": base64([1; 33])}),
        json!({"x": null}),
        json!({"x": "!"}),
    ] {
        assert!(ec(others.clone()).is_err(), "{others}");
    }
    let ed = |others| read(&with(Signer::ed25519().jwk("k"), others));
    for others in [json!({"crv": "X25519"}), json!({"crv": "Ed448"}), json!({"x": base64([1; 31])})] {
        assert!(ed(others.clone()).is_err(), "{others}");
    }
}

#[test]
fn what_is_no_key_is_refused() {
    for jwk in [json!(null), json!(1), json!([]), json!({}), json!({"kty": "RSA"}), json!("RSA")] {
        assert!(read(&jwk).is_err());
    }
}

#[test]
fn s5_large_keys_are_not_cheap() {
    let cheap = |jwk: &Value| Key::read(jwk, &Algorithm::ALL.into()).unwrap().is_cheap();
    let rsa = |bytes: usize| cheap(&json!({"kty": "RSA", "n": base64(vec![0xff; bytes]), "e": "AQAB"}));
    assert!(cheap(&Signer::p256().jwk("k")) && cheap(&Signer::ed25519().jwk("k")) && cheap(&Signer::rsa(0).jwk("k")) && rsa(384));
    assert!(!cheap(&Signer::p384().jwk("k")) && !rsa(512) && !rsa(1024));
}

#[test]
fn s19_a_key_verifies_what_its_signer_signed_by_that_algorithm_and_no_other_again_and_again() {
    let [rs, ps] = [Signer::rsa(0), Signer::pss(0)];
    let own = |signer: Signer| (Key::read(&signer.jwk("k"), &Algorithm::ALL.into()).unwrap(), vec![signer]);
    let rsa = Key::read(&rs.jwk("k"), &Algorithm::ALL.into()).unwrap();
    for (key, signers) in [(rsa, vec![rs, ps]), own(Signer::p256()), own(Signer::p384()), own(Signer::ed25519())] {
        // Twice: at first the key is made of its parts, and then it is there, for the first algorithm alone.
        for signer in signers.iter().chain(&signers) {
            let signature = signer.sign(b"message");
            for algorithm in Algorithm::ALL {
                let is_it = algorithm.as_str() == signer.algorithm();
                assert_eq!(key.verifies(algorithm, b"message", &signature), is_it, "{algorithm:?} of {}", signer.algorithm());
                assert!(!key.verifies(algorithm, b"massage", &signature) && !key.verifies(algorithm, b"message", &signature[1..]));
                assert!(!key.verifies(algorithm, b"message", b""));
            }
        }
    }
}

#[test]
fn s5_only_a_right_signature_leaves_a_key_behind_and_a_point_off_its_curve_is_none() {
    let (signer, message) = (Signer::p256(), b"message");
    let key = Key::read(&signer.jwk("k"), &Algorithm::ALL.into()).unwrap();
    assert!(!key.verifies(Algorithm::ES256, message, &[1; 64]) && !key.parsed.is_made());
    assert!(key.verifies(Algorithm::ES256, message, &signer.sign(message)) && key.parsed.is_made());
    let off = Key::read(&with(signer.jwk("k"), json!({"y": base64([1; 32])})), &Algorithm::ALL.into()).unwrap();
    assert!(!off.verifies(Algorithm::ES256, message, &signer.sign(message)));
}
