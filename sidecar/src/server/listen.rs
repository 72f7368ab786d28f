//! Addresses to listen on. A name can stand for several addresses. `localhost` always stands for both
//! loopback addresses, because clients differ in which one they try first.

use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs};
use std::str::FromStr;
use std::task::Poll;

use rustix::io::Errno;
use tokio::net::{TcpListener, TcpStream};

/// A name or an address, and a port, such as `localhost:7475`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListenAddress {
    host: String,
    port: u16,
}

/// The text is not an address to listen on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("must be HOST:PORT, such as localhost:7475, 0.0.0.0:7475 or [::1]:7475")]
pub struct ListenAddressError;

impl FromStr for ListenAddress {
    type Err = ListenAddressError;

    fn from_str(text: &str) -> Result<Self, ListenAddressError> {
        let (host, port) = text.rsplit_once(':').ok_or(ListenAddressError)?;
        let port = port.parse().map_err(|_| ListenAddressError)?;
        let bare = host
            .strip_prefix('[')
            .and_then(|host| host.strip_suffix(']'));
        let is_well_formed = match bare {
            Some(address) => address.parse::<Ipv6Addr>().is_ok(),
            None => !host.is_empty() && !host.contains([':', '[', ']', '/', '@', ' ']),
        };
        let host = bare.unwrap_or(host).to_owned();
        is_well_formed
            .then_some(Self { host, port })
            .ok_or(ListenAddressError)
    }
}

impl fmt::Display for ListenAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { host, port } = self;
        if host.contains(':') {
            write!(f, "[{host}]:{port}")
        } else {
            write!(f, "{host}:{port}")
        }
    }
}

impl ListenAddress {
    /// Resolves the name.
    ///
    /// # Errors
    /// The resolver does not know the name.
    pub fn addresses(&self) -> io::Result<Vec<SocketAddr>> {
        let name = self.host.strip_suffix('.').unwrap_or(&self.host);
        if name.eq_ignore_ascii_case("localhost") {
            let loopback: [IpAddr; 2] = [Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()];
            return Ok(loopback.map(|ip| SocketAddr::new(ip, self.port)).to_vec());
        }
        let mut found: Vec<_> = (self.host.as_str(), self.port).to_socket_addrs()?.collect();
        found.sort_unstable();
        found.dedup();
        Ok(found)
    }

    /// Listens on each of its addresses that this machine has.
    ///
    /// # Errors
    /// Another process listens on one of them, or this machine has none of them.
    pub(crate) async fn listen(&self) -> io::Result<Listeners> {
        let addresses = self.addresses()?;
        let mut listeners: Vec<TcpListener> = Vec::with_capacity(addresses.len());
        let mut absent = None;
        for mut address in addresses {
            if let (0, Some(first)) = (self.port, listeners.first()) {
                address.set_port(first.local_addr()?.port());
            }
            let bound = match TcpListener::bind(address).await {
                // A kernel without IPv6 has the addresses of IPv4 only.
                Err(error) if is_absent(&error) && address.ip() == Ipv6Addr::UNSPECIFIED => {
                    address.set_ip(Ipv4Addr::UNSPECIFIED.into());
                    TcpListener::bind(address).await
                }
                bound => bound,
            };
            match bound {
                Ok(listener) => listeners.push(listener),
                Err(error) if is_absent(&error) => {
                    tracing::info!(%address, "the sidecar does not listen on {address}: this machine does not have the address");
                    absent = Some(error);
                }
                Err(error) => return Err(error),
            }
        }
        match absent {
            Some(error) if listeners.is_empty() => Err(error),
            _ => Ok(Listeners(listeners)),
        }
    }
}

/// Whether the machine does not have the address, for example because IPv6 is disabled.
fn is_absent(error: &io::Error) -> bool {
    let absent = [Errno::ADDRNOTAVAIL, Errno::AFNOSUPPORT].map(Errno::raw_os_error);
    error
        .raw_os_error()
        .is_some_and(|code| absent.contains(&code))
}

/// The sockets that one server listens on.
#[derive(Debug)]
pub(crate) struct Listeners(Vec<TcpListener>);

impl Listeners {
    /// Accepts the next connection to any of the addresses.
    pub(super) async fn accept(&self) -> io::Result<TcpStream> {
        std::future::poll_fn(|context| {
            for listener in &self.0 {
                match listener.poll_accept(context) {
                    // The client ended it before it was accepted.
                    Poll::Ready(Err(error)) if error.kind() == io::ErrorKind::ConnectionAborted => {
                        context.waker().wake_by_ref();
                    }
                    Poll::Ready(accepted) => {
                        return Poll::Ready(accepted.map(|(stream, _)| stream));
                    }
                    Poll::Pending => {}
                }
            }
            Poll::Pending
        })
        .await
    }
}

impl fmt::Display for Listeners {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, listener) in self.0.iter().enumerate() {
            let separator = if index == 0 { "" } else { ", " };
            match listener.local_addr() {
                Ok(address) => write!(f, "{separator}{address}")?,
                Err(error) => write!(f, "{separator}{error}")?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addresses(text: &str) -> Vec<String> {
        let listen: ListenAddress = text.parse().unwrap();
        let found = listen.addresses().unwrap();
        found.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn localhost_is_both_loopback_addresses_and_an_address_is_itself() {
        for name in ["localhost:7475", "LocalHost:7475", "localhost.:7475"] {
            assert_eq!(addresses(name), ["127.0.0.1:7475", "[::1]:7475"], "{name}");
        }
        for address in ["127.0.0.1:7475", "0.0.0.0:0", "[::1]:7475", "[::]:65535"] {
            assert_eq!(addresses(address), [address]);
            let listen: ListenAddress = address.parse().unwrap();
            assert_eq!(listen.to_string(), address);
        }
    }

    #[test]
    fn what_is_no_host_and_port_is_refused() {
        for text in [
            "",
            "localhost",
            "7475",
            ":7475",
            "localhost:",
            "localhost:70000",
            "::1:7475",
            "[localhost]:1",
            "http://localhost:7475",
            "a b:1",
            "[::1]",
            "user@localhost:1",
        ] {
            assert_eq!(
                text.parse::<ListenAddress>(),
                Err(ListenAddressError),
                "{text}"
            );
        }
    }

    #[tokio::test]
    async fn a_port_of_its_own_choice_is_the_same_on_both_addresses() {
        let listen: ListenAddress = "localhost:0".parse().unwrap();
        let Listeners(listeners) = listen.listen().await.unwrap();
        let ports: Vec<_> = listeners
            .iter()
            .map(|listener| listener.local_addr().unwrap().port())
            .collect();
        assert!(
            ports.iter().all(|port| *port == ports[0] && *port != 0),
            "{ports:?}"
        );
        let error = ListenAddress {
            host: "127.0.0.1".to_owned(),
            port: ports[0],
        }
        .listen()
        .await
        .unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
    }
}
