//! The sockets on which the server listens: loopback always, and one more address or all of them if that is asked for.

use std::future::poll_fn;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::path::Path;
use std::task::Poll;

use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::{TcpListener, TcpStream};

/// How many connections may wait to be accepted.
const BACKLOG: i32 = 1024;

/// How often another free port is tried when one is not free on every address.
const TRIES: usize = 20;

const LOOPBACK_V4: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
const LOOPBACK_V6: IpAddr = IpAddr::V6(Ipv6Addr::LOCALHOST);
const ALL_V4: IpAddr = IpAddr::V4(Ipv4Addr::UNSPECIFIED);
const ALL_V6: IpAddr = IpAddr::V6(Ipv6Addr::UNSPECIFIED);

/// The bound port: connections queue, but none is accepted yet.
pub struct Listeners {
    sockets: Vec<TcpListener>,
    port: u16,
}

impl Listeners {
    /// Binds `port` on both loopback addresses and on `host`; 0 for any free port. `0.0.0.0` means all IPv4 addresses, `::` all
    /// addresses.
    ///
    /// # Errors
    /// When the port is taken on one of the addresses, or `host` is not an address of this machine. Without IPv6, ::1 is left out.
    pub fn bind(host: Option<IpAddr>, port: u16) -> io::Result<Self> {
        let mut tries = if port == 0 { TRIES } else { 1 };
        loop {
            tries -= 1;
            match Self::bind_once(host, port) {
                // Free on the first address, taken on another.
                Err(error) if error.kind() == io::ErrorKind::AddrInUse && tries > 0 => {}
                bound => return bound,
            }
        }
    }

    fn bind_once(host: Option<IpAddr>, mut port: u16) -> io::Result<Self> {
        let mut sockets = Vec::new();
        for address in addresses(host) {
            match listen(SocketAddr::new(address, port)) {
                Ok(socket) => {
                    port = socket.local_addr()?.port();
                    sockets.push(socket);
                }
                // `localhost` is looked up as ::1 first: another user's process there would get what is meant for this one, a
                // ticket of the console for example. So a port that is taken there is as good as taken on 127.0.0.1.
                Err(error) if address == LOOPBACK_V6 && error.kind() != io::ErrorKind::AddrInUse => {
                    tracing::debug!("no IPv6 here: {error}");
                }
                Err(error) => return Err(error),
            }
        }
        Ok(Self { sockets, port })
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    /// The next connection.
    ///
    /// # Errors
    /// As the system's `accept`.
    pub async fn accept(&self) -> io::Result<(TcpStream, SocketAddr)> {
        poll_fn(|context| {
            let accepted = self.sockets.iter().map(|socket| socket.poll_accept(context)).find(Poll::is_ready);
            accepted.unwrap_or(Poll::Pending)
        })
        .await
    }
}

/// The addresses to bind for `host`, without any twice. No address covers another.
fn addresses(host: Option<IpAddr>) -> Vec<IpAddr> {
    match host {
        None => vec![LOOPBACK_V4, LOOPBACK_V6],
        Some(ALL_V4) => vec![ALL_V4, LOOPBACK_V6],
        Some(ALL_V6) => vec![ALL_V4, ALL_V6],
        Some(host) if host.is_loopback() => addresses(None),
        Some(host) => vec![LOOPBACK_V4, LOOPBACK_V6, host],
    }
}

fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    // A port can be bound again right after the last server has ended.
    socket.set_reuse_address(true)?;
    if address.is_ipv6() {
        // IPv4 has a socket of its own.
        socket.set_only_v6(true)?;
    }
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    TcpListener::from_std(socket.into())
}

/// The host that clients on other machines can use, as URLs have it, where `host` is listened on; `None` if there is none.
///
/// For all addresses it is the one from which this machine sends. A container's address is reached by its own machine at most:
/// from there and beyond, clients use the address and the port that the container's owner forwards, which `localhost` is.
pub fn reachable(host: IpAddr) -> Option<String> {
    let address = match host {
        host if host.is_loopback() => None,
        host if !host.is_unspecified() => Some(host),
        _ if is_container() => None,
        // No packet is sent: connecting a UDP socket looks up the route alone. (192.0.2.0/24 and 2001:db8::/32 are for documentation.)
        ALL_V6 => source_towards("192.0.2.1:9").or_else(|| source_towards("[2001:db8::1]:9")),
        _ => source_towards("192.0.2.1:9"),
    };
    address.map(|address| match address {
        IpAddr::V4(address) => address.to_string(),
        IpAddr::V6(address) => format!("[{address}]"),
    })
}

/// The address from which packets to `target` are sent.
fn source_towards(target: &str) -> Option<IpAddr> {
    let target: SocketAddr = target.parse().ok()?;
    let any = if target.is_ipv4() { ALL_V4 } else { ALL_V6 };
    let socket = UdpSocket::bind((any, 0)).ok()?;
    socket.connect(target).ok()?;
    let address = socket.local_addr().ok()?.ip();
    (!address.is_loopback() && !address.is_unspecified()).then_some(address)
}

/// Whether this process runs in a container of Docker or Podman.
pub fn is_container() -> bool {
    ["/.dockerenv", "/run/.containerenv"].iter().any(|file| Path::new(file).exists())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn loopback_is_listened_on_whatever_the_host() {
        for host in [None, Some(LOOPBACK_V4), Some(ALL_V4), Some(ALL_V6)] {
            let listeners = Listeners::bind(host, 0).unwrap();
            for address in [LOOPBACK_V4, LOOPBACK_V6] {
                let connected = TcpStream::connect((address, listeners.port())).await;
                let (_, peer) = match connected {
                    Ok(_) => listeners.accept().await.unwrap(),
                    Err(error) => panic!("{host:?}: {address}: {error}"),
                };
                assert_eq!(peer.ip(), address, "{host:?}");
            }
        }
    }

    #[tokio::test]
    async fn a_port_that_another_process_has_on_one_loopback_address_is_taken() {
        for taken in [LOOPBACK_V4, LOOPBACK_V6] {
            let other = std::net::TcpListener::bind((taken, 0)).unwrap();
            let port = other.local_addr().unwrap().port();
            let error = Listeners::bind(None, port).err().map(|error| error.kind());
            assert_eq!(error, Some(io::ErrorKind::AddrInUse), "{taken}");
        }
    }

    #[tokio::test]
    async fn only_an_address_of_this_machine_can_be_listened_on() {
        let error = Listeners::bind(Some("192.0.2.1".parse().unwrap()), 0).err().map(|error| error.kind());
        assert_eq!(error, Some(io::ErrorKind::AddrNotAvailable));
    }

    #[test]
    fn an_address_is_reached_by_itself() {
        for (host, expected) in [("10.1.2.3", Some("10.1.2.3")), ("2001:db8::1", Some("[2001:db8::1]")), ("::1", None)]
        {
            assert_eq!(reachable(host.parse().unwrap()).as_deref(), expected, "{host}");
        }
    }
}
