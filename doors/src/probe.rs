//! `probe`: asks the service that runs here whether it is ready. Its container holds neither a shell nor curl.

use std::{
    io::{Read, Write},
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream},
    time::Duration,
};

use crate::{address::Address, fatal::Fatal};

/// How long the service may take to answer.
const PATIENCE: Duration = Duration::from_secs(2);

/// Where the service's health door is.
#[derive(Debug, Clone, clap::Args)]
pub struct ProbeArgs {
    /// The health door of the service to ask
    #[arg(long, value_name = "ADDR")]
    pub health: Address,
}

/// Asks `/readyz`.
///
/// # Errors
/// The service is not ready, or does not answer: exit status 1.
pub fn probe(args: &ProbeArgs) -> Result<(), Fatal> {
    let Address::Tcp(address) = args.health else { return Err(Fatal::usage("--health must be a TCP address here")) };
    let answer = ask(reachable(address)).map_err(|why| Fatal::failed(format!("{address} does not answer: {why}")))?;
    if answer.starts_with(b"HTTP/1.1 200 ") { Ok(()) } else { Err(Fatal::failed(format!("{address} is not ready"))) }
}

fn ask(address: SocketAddr) -> std::io::Result<Vec<u8>> {
    let mut stream = TcpStream::connect_timeout(&address, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    stream.write_all(b"GET /readyz HTTP/1.1\r\nhost: probe\r\nconnection: close\r\n\r\n")?;
    let mut answer = Vec::new();
    stream.take(4096).read_to_end(&mut answer)?;
    Ok(answer)
}

/// An address that listens for all is asked on loopback.
fn reachable(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        IpAddr::V4(Ipv4Addr::UNSPECIFIED) => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(Ipv6Addr::UNSPECIFIED) => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, address.port())
}
