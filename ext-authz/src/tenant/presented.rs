//! The credential headers of a request: at most one token and one API key, whole and of bounded size (S19).

use crate::verdict::{Denial, Reason};

/// The longest token that is read, in bytes: four times what Keycloak issues with a hundred roles, and well below Envoy's 60 KiB of headers.
const MAX_TOKEN: usize = 16 * 1024;
/// The longest API key that is hashed, in bytes.
const MAX_API_KEY: usize = 512;

/// Every value of the two credential headers, as Envoy sent them: `Authorization` and `X-API-Key`, raw or not (S19).
#[derive(Clone, Default)]
pub struct Presented<'a> {
    /// Values of `authorization`.
    pub authorization: Vec<&'a [u8]>,
    /// Values of `x-api-key`.
    pub api_key: Vec<&'a [u8]>,
}

/// What was presented, taken apart but not verified. At least one of the two is there.
pub(super) struct Credentials<'a> {
    /// The bearer token.
    pub(super) token: Option<&'a str>,
    /// The API key.
    pub(super) api_key: Option<&'a str>,
}

impl<'a> Credentials<'a> {
    /// Takes the headers apart.
    ///
    /// # Errors
    /// `no_credentials` where there are none; `invalid_token` for two of a kind, another scheme, or what no credential looks like.
    pub(super) fn read(presented: &Presented<'a>) -> Result<Self, Denial> {
        let token = only(&presented.authorization, "more than one Authorization header")?.map(bearer).transpose()?;
        let api_key = only(&presented.api_key, "more than one X-API-Key header")?.map(api_key).transpose()?;
        if token.is_none() && api_key.is_none() {
            return Err(Denial::new(Reason::NoCredentials, "neither Authorization nor X-API-Key"));
        }
        Ok(Self { token, api_key })
    }
}

/// The one value of a header. Envoy joins two headers of one name with a comma (observed on 1.40), and neither a token nor a key holds a
/// comma, so `bearer` and `api_key` refuse the joined pair by its characters.
fn only<'a>(values: &[&'a [u8]], several: &'static str) -> Result<Option<&'a [u8]>, Denial> {
    match values {
        [] => Ok(None),
        [one] => Ok(Some(one)),
        _ => Err(Denial::new(Reason::InvalidToken, several)),
    }
}

/// The token of `Bearer <token>` (RFC 6750 section 2.1); the scheme is case insensitive (RFC 9110 section 11.1).
fn bearer(value: &[u8]) -> Result<&str, Denial> {
    let refused = |why| Denial::new(Reason::InvalidToken, why);
    let text = std::str::from_utf8(value).map_err(|_| refused("Authorization is not text"))?;
    let (scheme, rest) = text.split_once(' ').ok_or_else(|| refused("Authorization without a credential"))?;
    if !scheme.eq_ignore_ascii_case("bearer") {
        return Err(refused("Authorization has another scheme than Bearer"));
    }
    let token = rest.trim_matches(' ');
    if token.len() > MAX_TOKEN {
        return Err(refused("the token is too long"));
    }
    let fine = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    if token.is_empty() || !token.bytes().all(fine) {
        return Err(refused("the token is not a compact JWS"));
    }
    Ok(token)
}

/// An API key: printable ASCII without space or comma.
fn api_key(value: &[u8]) -> Result<&str, Denial> {
    let refused = |why| Denial::new(Reason::InvalidToken, why);
    let key = std::str::from_utf8(value).map_err(|_| refused("X-API-Key is not text"))?.trim_matches(' ');
    if key.len() > MAX_API_KEY {
        return Err(refused("the API key is too long"));
    }
    if key.is_empty() || !key.bytes().all(|byte| byte.is_ascii_graphic() && byte != b',') {
        return Err(refused("X-API-Key is empty, or has a comma, a space or a byte outside ASCII"));
    }
    Ok(key)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(authorization: &[&str], api_key: &[&str]) -> Result<(Option<String>, Option<String>), Reason> {
        let presented = Presented {
            authorization: authorization.iter().map(|value| value.as_bytes()).collect(),
            api_key: api_key.iter().map(|value| value.as_bytes()).collect(),
        };
        Credentials::read(&presented)
            .map(|read| (read.token.map(str::to_owned), read.api_key.map(str::to_owned)))
            .map_err(|denial| denial.reason)
    }

    #[test]
    fn the_scheme_is_case_insensitive() {
        for scheme in ["Bearer", "bearer", "BEARER", "bEaReR"] {
            assert_eq!(read(&[&format!("{scheme} a.b.c")], &[]), Ok((Some("a.b.c".to_owned()), None)));
        }
    }

    #[test]
    fn nothing_presented_is_no_credentials() {
        assert_eq!(read(&[], &[]), Err(Reason::NoCredentials));
    }

    #[test]
    fn s19_two_authorization_headers_are_refused_apart_or_joined_by_a_comma() {
        assert_eq!(read(&["Bearer a.b.c", "Bearer a.b.c"], &[]), Err(Reason::InvalidToken));
        assert_eq!(read(&["Bearer a.b.c,Bearer a.b.c"], &[]), Err(Reason::InvalidToken));
        assert_eq!(read(&["Bearer a.b.c, Bearer a.b.c"], &[]), Err(Reason::InvalidToken));
    }

    #[test]
    fn s19_two_api_keys_are_refused_apart_or_joined_by_a_comma() {
        assert_eq!(read(&[], &["acme.one", "acme.two"]), Err(Reason::InvalidToken));
        assert_eq!(read(&[], &["acme.one,acme.two"]), Err(Reason::InvalidToken));
        assert_eq!(read(&[], &["acme.one, acme.two"]), Err(Reason::InvalidToken));
    }

    #[test]
    fn s19_a_presented_header_that_cannot_be_read_is_never_skipped_for_the_other_one() {
        for bad in ["Basic YTpi", "Bearer", "Bearer ", "Digest x", "a.b.c", "", "Bearer a b", "Bearer\ta.b.c"] {
            assert_eq!(read(&[bad], &["acme.secret"]), Err(Reason::InvalidToken), "{bad:?}");
        }
        assert_eq!(read(&["Bearer a.b.c"], &[""]), Err(Reason::InvalidToken));
    }

    #[test]
    fn s19_credentials_have_a_bounded_size() {
        assert_eq!(read(&[&format!("Bearer {}", "a".repeat(MAX_TOKEN + 1))], &[]), Err(Reason::InvalidToken));
        assert_eq!(read(&[], &[&"a".repeat(MAX_API_KEY + 1)]), Err(Reason::InvalidToken));
    }
}
