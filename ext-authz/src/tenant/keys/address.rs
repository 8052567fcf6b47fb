//! Which addresses keys are never fetched from, unless the operator wrote that very origin (S18, with S3's ban).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Whether an address is the machine itself, its neighbours' metadata service, or nobody: loopback, link-local, unspecified, multicast,
/// broadcast, and the places where clouds answer for a host's credentials. An IPv4 address inside an IPv6 one counts as itself.
pub(super) fn banned(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => banned_v4(v4),
        IpAddr::V6(v6) => match embedded_v4(v6) {
            Some(v4) => banned_v4(v4),
            None => banned_v6(v6),
        },
    }
}

fn banned_v4(v4: Ipv4Addr) -> bool {
    /// Metadata services outside 169.254.0.0/16: Alibaba's and Azure's.
    const METADATA: [Ipv4Addr; 2] = [Ipv4Addr::new(100, 100, 100, 200), Ipv4Addr::new(168, 63, 129, 16)];
    // 0.0.0.0/8 is "this host" (RFC 1122): Linux connects 0.0.0.0 to loopback.
    v4.octets()[0] == 0 || v4.is_loopback() || v4.is_link_local() || v4.is_multicast() || v4.octets()[0] >= 240 || METADATA.contains(&v4)
}

fn banned_v6(v6: Ipv6Addr) -> bool {
    /// Amazon's metadata service over IPv6.
    const METADATA: Ipv6Addr = Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254);
    v6.is_loopback() || v6.is_unspecified() || v6.is_unicast_link_local() || v6.is_multicast() || v6 == METADATA
}

/// The IPv4 address inside an IPv6 one: mapped, compatible, NAT64 (RFC 6052) or 6to4 (RFC 3056).
fn embedded_v4(v6: Ipv6Addr) -> Option<Ipv4Addr> {
    let quad = |high: u16, low: u16| {
        let ([a, b], [c, d]) = (high.to_be_bytes(), low.to_be_bytes());
        Ipv4Addr::new(a, b, c, d)
    };
    match v6.segments() {
        [0, 0, 0, 0, 0, 0xffff, high, low] | [0x64, 0xff9b, 0, 0, 0, 0, high, low] => Some(quad(high, low)),
        // `::` and `::1` are IPv6's own.
        [0, 0, 0, 0, 0, 0, high, low] if high != 0 => Some(quad(high, low)),
        [0x2002, high, low, ..] => Some(quad(high, low)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn s18_the_machine_itself_and_metadata_services_are_banned_in_every_spelling() {
        for address in [
            "127.0.0.1",
            "127.9.9.9",
            "0.0.0.0",
            "0.1.2.3",
            "169.254.169.254",
            "224.0.0.1",
            "255.255.255.255",
            "240.0.0.1",
            "100.100.100.200",
            "168.63.129.16",
            "::",
            "::1",
            "fe80::1",
            "ff02::1",
            "fd00:ec2::254",
            "::ffff:127.0.0.1",
            "::ffff:169.254.169.254",
            "::127.0.0.1",
            "64:ff9b::7f00:1",
            "2002:7f00:1::",
        ] {
            assert!(banned(address.parse().unwrap()), "{address}");
        }
    }

    #[test]
    fn other_addresses_are_not() {
        for address in
            ["192.0.2.1", "10.0.0.1", "172.16.0.1", "192.168.1.1", "2001:db8::1", "fd12:3456::1", "::ffff:192.0.2.1", "64:ff9b::c000:201"]
        {
            assert!(!banned(address.parse().unwrap()), "{address}");
        }
    }
}
