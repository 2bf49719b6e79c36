//! Sockets that take connections, over IPv4 and IPv6.
//!
//! `[::]` is every address of a machine, of both kinds, wherever the program runs: whatever the machine's default is
//! (`net.ipv6.bindv6only`), and where its kernel knows no IPv6. So there is one address to listen at for clusters of IPv4, of
//! IPv6, and of both.

use std::io::{self, ErrorKind};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

use socket2::{Domain, Socket, Type};
use tokio::net::TcpListener;

/// How many connections may wait until they are taken: as many as tokio has wait.
const BACKLOG: i32 = 1024;

/// What Linux answers where there is no IPv6: `EAFNOSUPPORT`.
const NO_SUCH_FAMILY: i32 = 97;

/// Takes connections at an address.
///
/// # Errors
/// As `bind` and `listen` say.
pub async fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    if address.ip() != Ipv6Addr::UNSPECIFIED {
        return TcpListener::bind(address).await;
    }
    match everywhere(address) {
        Err(error) if is_without_ipv6(&error) => TcpListener::bind((Ipv4Addr::UNSPECIFIED, address.port())).await,
        bound => bound,
    }
}

fn everywhere(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::IPV6, Type::STREAM, None)?;
    socket.set_only_v6(false)?;
    // As tokio does: an address that was in use a moment ago is free.
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    TcpListener::from_std(socket.into())
}

fn is_without_ipv6(error: &io::Error) -> bool {
    // Without the family, or with no address of it.
    error.raw_os_error() == Some(NO_SUCH_FAMILY) || error.kind() == ErrorKind::AddrNotAvailable
}

/// Who is at the other end. A socket for both kinds shows IPv4 addresses as IPv6 ones (RFC 4291 section 2.5.5.2); people,
/// audit and bounds know them as they are.
pub fn peer(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use tokio::net::TcpStream;

    use super::*;

    async fn reached(listener: &TcpListener, ip: IpAddr) -> IpAddr {
        let dial = TcpStream::connect((ip, listener.local_addr().unwrap().port()));
        let (dialled, accepted) = tokio::join!(dial, listener.accept());
        dialled.unwrap();
        peer(accepted.unwrap().1).ip()
    }

    #[tokio::test]
    async fn everywhere_is_both_kinds_of_address() {
        let listener = listen((Ipv6Addr::UNSPECIFIED, 0).into()).await.unwrap();
        for ip in [IpAddr::from(Ipv4Addr::LOCALHOST), IpAddr::from(Ipv6Addr::LOCALHOST)] {
            assert_eq!(reached(&listener, ip).await, ip);
        }
    }

    #[tokio::test]
    async fn one_address_is_that_one() {
        for ip in [IpAddr::from(Ipv4Addr::LOCALHOST), IpAddr::from(Ipv6Addr::LOCALHOST)] {
            let listener = listen((ip, 0).into()).await.unwrap();
            assert_eq!(listener.local_addr().unwrap().ip(), ip);
            assert_eq!(reached(&listener, ip).await, ip);
        }
    }

    #[tokio::test]
    async fn what_is_taken_is_an_error() {
        let listener = listen((Ipv6Addr::UNSPECIFIED, 0).into()).await.unwrap();
        let again = listen((Ipv6Addr::UNSPECIFIED, listener.local_addr().unwrap().port()).into()).await;
        assert_eq!(again.unwrap_err().kind(), ErrorKind::AddrInUse);
    }

    #[test]
    fn a_machine_without_ipv6_is_known_by_its_answer() {
        assert!(is_without_ipv6(&io::Error::from_raw_os_error(NO_SUCH_FAMILY)));
        assert!(is_without_ipv6(&io::Error::from(ErrorKind::AddrNotAvailable)));
        assert!(!is_without_ipv6(&io::Error::from(ErrorKind::AddrInUse)));
    }
}
