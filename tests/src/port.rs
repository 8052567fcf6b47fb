//! Ports for programs that cannot tell which port 0 became.

use std::{
    net::{Ipv4Addr, SocketAddr, TcpListener, UdpSocket},
    ops::Range,
    sync::{
        LazyLock, Mutex, PoisonError,
        atomic::{AtomicU32, Ordering},
    },
};

/// Below what Linux gives out by itself (`net.ipv4.ip_local_port_range`), so that neither port 0 nor a client's end of a connection becomes one of these: a
/// server that was killed finds its port free when it is started again.
const PORTS: Range<u32> = 15_000..32_000;

/// Where the next look is taken: each process begins elsewhere.
static NEXT: LazyLock<AtomicU32> = LazyLock::new(|| AtomicU32::new(std::process::id().wrapping_mul(97)));

/// Who holds a port's UDP twin holds it before all our tests, in this process and in others, until this process ends.
static HELD: Mutex<Vec<UdpSocket>> = Mutex::new(Vec::new());

/// A loopback address that nobody listens on, and that no other test is given as long as this process lives.
///
/// # Panics
/// Where the machine has no free port.
#[must_use]
pub fn free_address() -> SocketAddr {
    for _ in PORTS {
        let port = PORTS.start + NEXT.fetch_add(1, Ordering::Relaxed) % (PORTS.end - PORTS.start);
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, u16::try_from(port).expect("a port")));
        if let (Ok(held), Ok(_)) = (UdpSocket::bind(address), TcpListener::bind(address)) {
            HELD.lock().unwrap_or_else(PoisonError::into_inner).push(held);
            return address;
        }
    }
    panic!("no free port from {} to {}", PORTS.start, PORTS.end);
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn no_address_is_given_twice() {
        let given: Vec<SocketAddr> = (0..50).map(|_| free_address()).collect();
        assert_eq!(given.iter().collect::<HashSet<_>>().len(), given.len());
    }
}
