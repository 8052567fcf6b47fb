//! Addresses that no tenant may point at: the machine itself, its link, and the metadata services of clouds (S3, S18).
//!
//! One list for both checks: a contract's upstream at load, and whatever address a fetch of keys is about to connect to.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Why an address is not for tenants, in words; absent where it may be reached.
#[must_use]
pub fn forbidden(address: IpAddr) -> Option<&'static str> {
    match address {
        IpAddr::V4(address) => forbidden_v4(address),
        IpAddr::V6(address) => forbidden_v6(address),
    }
}

/// The same list for a filter that knows nothing but ranges, as Envoy's does. What names every address of a translator or a tunnel stands for those that lead to
/// forbidden ones; of the well-known prefix of NAT64, which leads to ordinary upstreams too, these alone.
pub const FORBIDDEN_RANGES: [&str; 27] = [
    "0.0.0.0/8",
    "127.0.0.0/8",
    "169.254.0.0/16",
    "224.0.0.0/4",
    "255.255.255.255/32",
    "100.100.100.200/32",
    "168.63.129.16/32",
    "192.0.0.192/32",
    "::/96",
    "::ffff:0:0/96",
    "::ffff:0:0:0/96",
    "fe80::/10",
    "fec0::/10",
    "ff00::/8",
    "fd00:ec2::254/128",
    "fd20:ce::254/128",
    "64:ff9b::/104",
    "64:ff9b::7f00:0/104",
    "64:ff9b::a9fe:0/112",
    "64:ff9b::e000:0/100",
    "64:ff9b::ffff:ffff/128",
    "64:ff9b::6464:64c8/128",
    "64:ff9b::a83f:8110/128",
    "64:ff9b::c000:c0/128",
    "64:ff9b:1::/48",
    "2002::/16",
    "2001::/32",
];

fn forbidden_v4(address: Ipv4Addr) -> Option<&'static str> {
    match address.octets() {
        [0, ..] => Some("an unspecified address"),
        [127, ..] => Some("a loopback address"),
        [169, 254, ..] => Some("a link-local address"),
        [224..=239, ..] => Some("a multicast address"),
        [255, 255, 255, 255] => Some("a broadcast address"),
        // Alibaba Cloud, Azure's wire server, Oracle Cloud; the others are link-local.
        [100, 100, 100, 200] | [168, 63, 129, 16] | [192, 0, 0, 192] => Some("a metadata address"),
        _ => None,
    }
}

fn forbidden_v6(address: Ipv6Addr) -> Option<&'static str> {
    if address.is_unspecified() {
        return Some("an unspecified address");
    }
    if address.is_loopback() {
        return Some("a loopback address");
    }
    match address.segments() {
        [0xfe80..=0xfebf, ..] => Some("a link-local address"),
        [0xfec0..=0xfeff, ..] => Some("a site-local address"),
        [0xff00..=0xffff, ..] => Some("a multicast address"),
        // AWS and Google Cloud.
        [0xfd00, 0x0ec2, 0, 0, 0, 0, 0, 0x0254] | [0xfd20, 0x00ce, 0, 0, 0, 0, 0, 0x0254] => Some("a metadata address"),
        _ => embedded(address).and_then(forbidden_v4),
    }
}

/// The IPv4 address that a translator or a tunnel would make of this one.
fn embedded(address: Ipv6Addr) -> Option<Ipv4Addr> {
    let v4 = |high: u16, low: u16| {
        let ([a, b], [c, d]) = (high.to_be_bytes(), low.to_be_bytes());
        Some(Ipv4Addr::new(a, b, c, d))
    };
    match address.segments() {
        // IPv4-mapped (RFC 4291 section 2.5.5.2), IPv4-compatible (2.5.5.1), IPv4-translated (RFC 2765).
        [0, 0, 0, 0, 0, 0xffff | 0, high, low] | [0, 0, 0, 0, 0xffff, 0, high, low] => v4(high, low),
        // NAT64: the well-known prefix (RFC 6052) and the /96s of the local one (RFC 8215).
        [0x64, 0xff9b, 0, 0, 0, 0, high, low] | [0x64, 0xff9b, 1, _, _, _, high, low] => v4(high, low),
        // 6to4 (RFC 3056).
        [0x2002, high, low, ..] => v4(high, low),
        // Teredo (RFC 4380): the client's address, inverted.
        [0x2001, 0, _, _, _, _, high, low] => v4(!high, !low),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn s3_the_machine_its_link_and_metadata_services_are_forbidden_however_they_are_written() {
        for (address, why) in [
            ("0.0.0.0", "unspecified"),
            ("0.1.2.3", "unspecified"),
            ("127.0.0.1", "loopback"),
            ("127.255.255.254", "loopback"),
            ("169.254.169.254", "link-local"),
            ("224.0.0.1", "multicast"),
            ("255.255.255.255", "broadcast"),
            ("100.100.100.200", "metadata"),
            ("168.63.129.16", "metadata"),
            ("192.0.0.192", "metadata"),
            ("::", "unspecified"),
            ("::1", "loopback"),
            ("fe80::1", "link-local"),
            ("febf::1", "link-local"),
            ("fec0::1", "site-local"),
            ("ff02::1", "multicast"),
            ("fd00:ec2::254", "metadata"),
            ("fd20:ce::254", "metadata"),
            ("::ffff:127.0.0.1", "loopback"),
            ("::127.0.0.1", "loopback"),
            ("::ffff:0:127.0.0.1", "loopback"),
            ("64:ff9b::a9fe:a9fe", "link-local"),
            ("64:ff9b:1::7f00:1", "loopback"),
            ("2002:7f00:1::", "loopback"),
            ("2001:0:4136:e378:8000:63bf:80ff:fffe", "loopback"),
        ] {
            let said = forbidden(address.parse().unwrap());
            assert!(said.is_some_and(|said| said.contains(why)), "{address}: {said:?}");
        }
    }

    #[test]
    fn s3_the_ranges_hold_whatever_is_forbidden() {
        let ranges: Vec<ipnet::IpNet> = FORBIDDEN_RANGES.iter().map(|range| range.parse().unwrap()).collect();
        assert!(ranges.iter().all(|range| range.addr() == range.network()), "nothing is cut off a prefix");
        let held = |address: IpAddr| ranges.iter().any(|range| range.contains(&address));
        // Of each range the first and the last address, and what translators make of those of IPv4.
        let v4: Vec<Ipv4Addr> = ranges
            .iter()
            .flat_map(|range| [range.network(), range.broadcast()])
            .filter_map(|address| if let IpAddr::V4(address) = address { Some(address) } else { None })
            .collect();
        for address in v4 {
            assert!(forbidden(address.into()).is_some() && held(address.into()), "{address}");
            let [high, low] = [0, 2].map(|at| u16::from_be_bytes([address.octets()[at], address.octets()[at + 1]]));
            for written in [
                [0, 0, 0, 0, 0, 0xffff, high, low],
                [0, 0, 0, 0, 0, 0, high, low],
                [0, 0, 0, 0, 0xffff, 0, high, low],
                [0x64, 0xff9b, 0, 0, 0, 0, high, low],
                [0x64, 0xff9b, 1, 2, 3, 4, high, low],
                [0x2002, high, low, 0, 0, 0, 0, 1],
                [0x2001, 0, 1, 2, 3, 4, !high, !low],
            ] {
                let written = Ipv6Addr::from(written);
                assert!(forbidden(written.into()).is_some() && held(written.into()), "{written}");
            }
        }
        for allowed in ["10.0.0.1", "8.8.8.8", "2001:db8::1", "fd12::1", "64:ff9b::808:808"] {
            assert!(!held(allowed.parse().unwrap()), "{allowed}");
        }
        for range in ranges.iter().filter(|range| range.prefix_len() >= 8 && range.addr().is_ipv6()) {
            let whole = ["::/96", "::ffff:0:0/96", "::ffff:0:0:0/96", "64:ff9b:1::/48", "2002::/16", "2001::/32"]
                .contains(&range.to_string().as_str());
            let ends = [range.network(), range.broadcast()];
            assert!(whole || ends.into_iter().all(|address| forbidden(address).is_some()), "{range}");
        }
    }

    #[test]
    fn other_addresses_may_be_reached() {
        for address in ["10.0.0.1", "192.168.1.1", "8.8.8.8", "2001:db8::1", "fd12::1", "::ffff:10.0.0.1", "64:ff9b::808:808"] {
            assert_eq!(forbidden(address.parse().unwrap()), None, "{address}");
        }
    }
}
