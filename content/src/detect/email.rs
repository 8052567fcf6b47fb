//! Email addresses (RFC 5321, RFC 6531), as they are used: a name, `@`, a host name of at least two labels of which the last is none of numbers.

use memchr::memchr_iter;

use super::{Context, Places};
use crate::Unscannable;

/// RFC 5321 section 4.5.3.1, in bytes.
const MAX_NAME: usize = 64;
const MAX_HOST: usize = 253;

/// What an `@` costs, in steps, besides what it costs by the length of the address.
const COSTS: usize = 16;

pub(super) fn find(context: &Context<'_>, found: &mut Places<'_>) -> Result<(), Unscannable> {
    let text = context.text;
    for at in memchr_iter(b'@', text.as_bytes()) {
        let rest = text.get(at + 1..).unwrap_or_default();
        if !rest.chars().next().is_some_and(is_of_host) {
            context.budget.spend(COSTS)?;
            continue;
        }
        let name = text.get(..at).unwrap_or_default();
        let name: usize = name.chars().rev().take_while(|one| is_of_name(*one)).map(char::len_utf8).sum();
        let length: usize = rest.chars().take(MAX_HOST + 1).take_while(|one| is_of_host(*one)).map(char::len_utf8).sum();
        context.budget.spend(COSTS + 4 * (name + length))?;
        let host = without_tail(rest.get(..length).unwrap_or_default());
        let written = text.get(at - name..at).unwrap_or_default();
        // What is longer than a name is a URL or the like, at whose end it stands.
        let written = if written.len() > MAX_NAME {
            written.rsplit(['/', '=', '&', '?', '#', '|', '*', '!', '~']).next().unwrap_or_default()
        } else {
            written
        };
        let written = written.trim_start_matches(['.', '-', '\'', '/', '=', '&', '?', '*', '#', '{', '|', '`', '~', '^', '!', '$', '%']);
        let name = written.len();
        if (1..=MAX_NAME).contains(&name) && !written.ends_with('.') && is_host(host) && !is_remote(written, rest, host.len()) {
            found.push(at - name..at + 1 + host.len())?;
        }
    }
    Ok(())
}

fn is_of_name(one: char) -> bool {
    one.is_alphanumeric() || ".!#$%&'*+/=?^_`{|}~-".contains(one)
}

fn is_of_host(one: char) -> bool {
    one.is_alphanumeric() || matches!(one, '.' | '-')
}

/// Without what follows behind a dot or a hyphen and is not the end of a host's name: `example.com-2024`, `example.com.1`.
fn without_tail(mut host: &str) -> &str {
    loop {
        host = host.trim_end_matches(['.', '-']);
        let top = host.rsplit('.').next().unwrap_or_default();
        if top.starts_with("xn--") || !top.bytes().any(|byte| byte == b'-' || byte.is_ascii_digit()) {
            return host;
        }
        let Some(end) = host.rfind(['.', '-']) else { return host };
        host = host.get(..end).unwrap_or_default();
    }
}

fn is_host(host: &str) -> bool {
    let good = |label: &str| (1..=63).contains(&label.len()) && !label.starts_with('-') && !label.ends_with('-');
    let (_, top) = host.rsplit_once('.').unwrap_or_default();
    let letters = top.starts_with("xn--") || top.chars().all(char::is_alphabetic);
    host.contains('.') && host.len() <= MAX_HOST && letters && top.chars().nth(1).is_some() && host.split('.').all(good) && !is_file(top)
}

/// `icon@2x.png`, `lib@1.2.tgz`: endings of files that are no domains.
fn is_file(top: &str) -> bool {
    const FILES: [&str; 16] =
        ["png", "jpg", "jpeg", "gif", "svg", "webp", "css", "js", "ts", "json", "html", "tgz", "tar", "gz", "jar", "map"];
    FILES.iter().any(|file| top.eq_ignore_ascii_case(file))
}

/// `git@github.com:owner/repository` names a repository.
fn is_remote(name: &str, rest: &str, host: usize) -> bool {
    name.eq_ignore_ascii_case("git") && rest.get(host..).is_some_and(|after| after.starts_with([':', '/']))
}
