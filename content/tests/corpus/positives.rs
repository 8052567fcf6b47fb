//! What is to be found.

use bulkhead_content::Detector;

use super::{ALNUM, LOWER, Random, UPPER};

/// A text that holds one thing of a kind.
pub(crate) fn positive(kind: Detector, random: &mut Random) -> String {
    match kind {
        Detector::Email => email(random),
        Detector::Phone => phone(random),
        Detector::Card => card(random),
        Detector::Iban => iban(random),
        Detector::NationalId => national(random),
        Detector::Ip => ip(random),
        Detector::Secret => secret(random),
    }
}

fn email(random: &mut Random) -> String {
    let length = random.of(3..9) as usize;
    let name = random.text(LOWER, length);
    let domain = random.text(LOWER, 7);
    let top = random.one(&["com", "org", "de", "fr", "co.uk", "io", "gov.br", "museum", "рф"]);
    match random.of(0..6) {
        0 => format!("{name}.{}@{domain}.{top}", random.text(LOWER, 5)),
        1 => format!("{name}+{}@mail.{domain}.{top}", random.text(LOWER, 4)),
        2 => format!("<mailto:{name}@{domain}.{top}>"),
        3 => format!("{}_{name}@{domain}-{}.{top}", random.digits(2), random.text(LOWER, 3)),
        4 => format!("{}@{domain}.{top}", name.to_uppercase()),
        _ => format!("{name}@{domain}.{top}"),
    }
}

fn phone(random: &mut Random) -> String {
    let area = format!("{}{}{}", random.of(2..9), random.of(2..9), random.of(0..9));
    let exchange = format!("{}{}{}", random.of(2..9), random.of(2..9), random.of(0..9));
    let line = random.digits(4);
    match random.of(0..13) {
        0 => format!("+1 {area} {exchange} {line}"),
        1 => format!("+1-{area}-{exchange}-{line}"),
        2 => format!("({area}) {exchange}-{line}"),
        3 => format!("{area}-{exchange}-{line}"),
        4 => format!("{area}.{exchange}.{line}"),
        5 => format!("+44 20 {} {line}", random.of(3000..8999)),
        6 => format!("+49 {} {}", random.of(30..999), random.digits(7)),
        7 => format!("+33 6 {} {} {} {}", random.digits(2), random.digits(2), random.digits(2), random.digits(2)),
        8 => format!("0{} {} {} {} {}", random.of(1..8), random.digits(2), random.digits(2), random.digits(2), random.digits(2)),
        9 => format!("0049 {} {}", random.of(150..180), random.digits(8)),
        10 => format!("+81{}", random.of(300_000_000..999_999_999)),
        11 => format!(
            "{}: {}",
            random.one(&["phone", "Tel.", "mobile", "Telefon", "téléphone", "teléfono móvil", "电话"]),
            random.of(2_000_000..99_999_999)
        ),
        _ => format!("0{} {}", random.of(201..999), random.of(100_000..9_999_999)),
    }
}

/// The digit that makes Luhn's sum a multiple of ten.
pub(crate) fn luhn(body: &str) -> u32 {
    let sum: u32 = body
        .bytes()
        .rev()
        .enumerate()
        .map(|(at, digit)| {
            let digit = u32::from(digit - b'0');
            if at % 2 == 0 { digit * 2 / 10 + digit * 2 % 10 } else { digit }
        })
        .sum();
    (10 - sum % 10) % 10
}

pub(crate) fn grouped(digits: &str, shape: &[usize], between: &str) -> String {
    let mut rest = digits;
    let mut groups = Vec::new();
    for length in shape {
        let (group, more) = rest.split_at(*length);
        groups.push(group);
        rest = more;
    }
    groups.join(between)
}

fn card(random: &mut Random) -> String {
    let (prefix, length, shape): (String, usize, &[usize]) = match random.of(0..7) {
        0 | 1 => ("4".into(), 16, &[4, 4, 4, 4]),
        2 => (random.of(51..56).to_string(), 16, &[4, 4, 4, 4]),
        3 => (random.of(2221..2721).to_string(), 16, &[4, 4, 4, 4]),
        4 => (random.one(&["34", "37"]).to_owned(), 15, &[4, 6, 5]),
        5 => ("6011".into(), 16, &[4, 4, 4, 4]),
        _ => (random.of(3528..3590).to_string(), 16, &[4, 4, 4, 4]),
    };
    let body = format!("{prefix}{}", random.digits(length - prefix.len() - 1));
    let card = format!("{body}{}", luhn(&body));
    match random.of(0..6) {
        0 => grouped(&card, shape, " "),
        1 => grouped(&card, shape, "-"),
        2 => grouped(&card, shape, "\u{a0}"),
        3 => card.chars().map(|digit| char::from_u32(0xff10 + digit.to_digit(10).unwrap()).unwrap()).collect(),
        4 => grouped(&card, shape, "\u{200b}"),
        _ => card,
    }
}

/// The two digits after the country.
pub(crate) fn iban_check(country: &str, body: &str) -> u32 {
    let rest = format!("{body}{country}00").chars().fold(0, |rest: u32, one| {
        let value = one.to_digit(36).unwrap();
        (rest * if value > 9 { 100 } else { 10 } + value) % 97
    });
    98 - rest
}

fn iban(random: &mut Random) -> String {
    let (country, body) = match random.of(0..6) {
        0 => ("DE", random.digits(18)),
        1 => ("GB", format!("{}{}", random.text(UPPER, 4), random.digits(14))),
        2 => ("NL", format!("{}{}", random.text(UPPER, 4), random.digits(10))),
        3 => ("ES", random.digits(20)),
        4 => ("FR", random.digits(23)),
        _ => ("CH", random.digits(17)),
    };
    let iban = format!("{country}{:02}{body}", iban_check(country, &body));
    match random.of(0..3) {
        0 => iban.as_bytes().chunks(4).map(|group| String::from_utf8_lossy(group).into_owned()).collect::<Vec<_>>().join(" "),
        1 => iban.to_lowercase(),
        _ => iban,
    }
}

fn national(random: &mut Random) -> String {
    match random.of(0..11) {
        0 => format!("{:03}-{:02}-{:04}", random.of(1..665), random.of(1..100), random.of(1..10_000)),
        1 => format!("{} {}", random.one(&["SSN", "social security number:"]), random.of(100_000_000..665_000_000)).replace("000", "111"),
        2 => {
            let letters = format!("{}{}", random.text("ABCEHJKLMNPRSTWXY", 1), random.text("ABCEHJKLMPRSTWXY", 1)).replace("GB", "AB");
            format!("{} {} {} {} {}", letters, random.digits(2), random.digits(2), random.digits(2), random.text("ABCD", 1))
                .replace("NK", "AB")
                .replace("KN", "AB")
                .replace("TN", "AB")
                .replace("NT", "AB")
        }
        3 => {
            let body = format!(
                "{}{:02}{:02}{:02}{:03}{:03}",
                random.of(1..3),
                random.of(0..100),
                random.of(1..13),
                random.of(1..96),
                random.of(1..990),
                random.of(1..1000)
            );
            format!("{body}{:02}", 97 - body.parse::<u64>().unwrap() % 97)
        }
        4 => {
            let body = random.of(1_000_000..99_999_999);
            format!("{body:08}{}", char::from(b"TRWAGMYFPDXBNJZSQVHLCKE"[(body % 23) as usize]))
        }
        5 => {
            let body = random.of(0..10_000_000);
            format!("X{body:07}{}", char::from(b"TRWAGMYFPDXBNJZSQVHLCKE"[(body % 23) as usize]))
        }
        6 => {
            let body = format!("{:02}{:02}{:02}{:03}", random.of(30..99), random.of(1..13), random.of(1..29), random.of(1..998));
            let key = 97 - body.parse::<u64>().unwrap() % 97;
            format!("{}.{}.{}-{}.{key:02}", &body[..2], &body[2..4], &body[4..6], &body[6..])
        }
        7 => {
            let body = format!("{:02}{:02}{:02}{:03}", random.of(30..99), random.of(1..13), random.of(1..29), random.of(0..1000));
            format!("{}-{}{}", &body[..6], &body[6..], luhn(&body))
        }
        8 => {
            let body = format!("{:02}{:02}{:02}{:03}", random.of(1..29), random.of(1..13), random.of(30..99), random.of(2..900));
            let check = b"0123456789ABCDEFHJKLMNPRSTUVWXY"[(body.parse::<u64>().unwrap() % 31) as usize];
            format!("{}-{}{}", &body[..6], &body[6..], char::from(check))
        }
        9 => {
            let body = random.digits(9);
            let check = |digits: &str| {
                let sum: u32 = digits.bytes().rev().zip(2..).map(|(digit, weight)| u32::from(digit - b'0') * weight).sum();
                sum * 10 % 11 % 10
            };
            let first = format!("{body}{}", check(&body));
            let whole = format!("{first}{}", check(&first));
            format!("{}-{}", grouped(&whole[..9], &[3, 3, 3], "."), &whole[9..])
        }
        _ => {
            let mut digits: Vec<u32> = random.digits(8).bytes().map(|digit| u32::from(digit - b'0')).collect();
            digits[0] = digits[0].max(1);
            let sum: u32 = digits.iter().zip((2..=9).rev()).map(|(digit, weight)| digit * weight).sum();
            // The last digit counts minus one; ten is not given out, and a neighbour is taken.
            if sum % 11 == 10 {
                return "BSN 111222333".to_owned();
            }
            format!("BSN: {}{}", digits.iter().map(u32::to_string).collect::<String>(), sum % 11)
        }
    }
}

fn ip(random: &mut Random) -> String {
    match random.of(0..4) {
        0 => format!(
            "{}:{:x}:{:x}::{:x}",
            random.one(&["2001", "2a02", "fd00"]),
            random.of(1..65_536),
            random.of(1..65_536),
            random.of(1..65_536)
        ),
        1 => format!("http://{}.{}.{}.{}:8080/", random.of(1..126), random.of(0..256), random.of(0..256), random.of(1..255)),
        2 => format!("{}.{}.{}.{}/24", random.of(128..224), random.of(0..256), random.of(0..256), random.of(1..255)),
        _ => format!("client {}.{}.{}.{}", random.of(1..126), random.of(0..256), random.of(0..256), random.of(1..255)),
    }
}

fn secret(random: &mut Random) -> String {
    let base32 = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
    match random.of(0..10) {
        0 => format!("AKIA{}", random.text(base32, 16)),
        1 => format!("ghp_{}", random.text(ALNUM, 36)),
        2 => format!("sk_live_{}", random.text(ALNUM, 24)),
        3 => format!("xoxb-{}-{}-{}", random.digits(12), random.digits(12), random.text(ALNUM, 24)),
        4 => format!("AIza{}", random.text(ALNUM, 35)),
        5 => format!("eyJhbGciOiJSUzI1NiJ9.eyJ{}.{}", random.text(ALNUM, 40), random.text(ALNUM, 43)),
        6 => format!("-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----", random.text(ALNUM, 64)),
        7 => format!("password={}!{}", random.text(ALNUM, 6), random.digits(3)),
        8 => format!("api_key: \"{}{}x\"", random.text(ALNUM, 20), random.digits(3)),
        _ => format!("Authorization: Bearer {}{}", random.text(ALNUM, 30), random.digits(2)),
    }
}
