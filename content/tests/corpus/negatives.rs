//! What looks like something and is nothing.

use super::{ALNUM, HEX, LOWER, Random, UPPER};

/// A text that holds no personal data.
pub(crate) fn negative(random: &mut Random) -> String {
    match random.of(0..30) {
        0 => format!("order {}", random.digits(10)),
        1 => format!("order no. {}-{}-{}", random.digits(3), random.digits(7), random.digits(7)),
        2 => format!("invoice {}-{}", random.of(2015..2027), random.digits(6)),
        3 => format!(
            "{}-{}-4{}-a{}-{}",
            random.text(HEX, 8),
            random.text(HEX, 4),
            random.text(HEX, 3),
            random.text(HEX, 3),
            random.text(HEX, 12)
        ),
        4 => format!(
            "{}-{:02}-{:02}T{:02}:{:02}:{:02}Z",
            random.of(1990..2030),
            random.of(1..13),
            random.of(1..29),
            random.of(0..24),
            random.of(0..60),
            random.of(0..60)
        ),
        5 => format!(
            "{:02}.{:02}.{} {:02}:{:02}",
            random.of(1..29),
            random.of(1..13),
            random.of(1990..2030),
            random.of(0..24),
            random.of(0..60)
        ),
        6 => format!("{}", 1_600_000_000 + random.of(0..200_000_000)),
        7 => format!("{}", 1_600_000_000_000 + random.of(0..200_000_000_000)),
        8 => format!("version {}.{}.{}.{}", random.of(0..30), random.of(0..30), random.of(0..30), random.of(0..30)),
        9 => format!("v{}.{}.{}", random.of(0..30), random.of(0..30), random.of(0..30)),
        10 => random.text(HEX, 40),
        11 => random.text(HEX, 64),
        12 => format!("#{}", random.digits(6)),
        13 => format!("{}.{} EUR", random.of(1..100_000), random.digits(2)),
        14 => format!("{},{:03},{:03}", random.of(1..1000), random.of(0..1000), random.of(0..1000)),
        15 => format!("{}{}-{}", random.text(UPPER, 3), random.digits(2), random.digits(5)),
        16 => bad_card(random),
        17 => bad_iban(random),
        18 => format!("{}-{}-{}", random.of(700..1000), 0, random.digits(4)),
        19 => format!("@{} and #{}", random.text(LOWER, 7), random.text(LOWER, 5)),
        20 => format!("{}@{}", random.text(LOWER, 4), random.text(LOWER, 6)),
        21 => format!("icon@{}x.png", random.of(2..4)),
        22 => format!("{}:{:02}:{:02}", random.of(0..24), random.of(0..60), random.of(0..60)),
        23 => format!("std::{}::{}", random.text(LOWER, 5), random.text(LOWER, 4)),
        24 => format!("password: must hold {} characters", random.of(8..20)),
        25 => format!("latitude {}.{}, longitude {}.{}", random.of(0..90), random.digits(6), random.of(0..180), random.digits(6)),
        26 => format!("ISBN 978-{}-{}-{}-{}", random.of(0..9), random.digits(3), random.digits(5), random.digits(1)),
        27 => format!("{} x {} x {} mm", random.of(1..1000), random.of(1..1000), random.of(1..1000)),
        28 => format!("ticket {}{}", random.text(UPPER, 2), random.digits(8)),
        _ => format!("session {} of {}", random.text(ALNUM, 12), random.of(1..1000)),
    }
}

/// Sixteen digits whose last one is wrong.
fn bad_card(random: &mut Random) -> String {
    let body = format!("4{}", random.digits(14));
    let right = super::positives::luhn(&body);
    let card = format!("{body}{}", (right + 1 + random.of(0..9) as u32) % 10);
    if random.of(0..2) == 0 { card } else { super::positives::grouped(&card, &[4, 4, 4, 4], " ") }
}

fn bad_iban(random: &mut Random) -> String {
    let body = random.digits(18);
    let right = super::positives::iban_check("DE", &body);
    format!("DE{:02}{body}", (right + 1 + random.of(0..90) as u32) % 97)
}
