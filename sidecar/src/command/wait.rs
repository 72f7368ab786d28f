//! `wait`: returns once the sidecar takes records. For the hook after a container's start, so it must cost nothing: no
//! runtime, one small request at a time.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use crate::server::listen::ListenAddress;

/// Between two questions.
const ASK_INTERVAL: Duration = Duration::from_millis(20);
/// How long one answer may take.
const ANSWER_MAX: Duration = Duration::from_secs(1);

/// The sidecar did not become ready.
#[derive(Debug, thiserror::Error)]
#[error("the sidecar on {address} was not ready after {waited:?}: {last}")]
pub struct WaitError {
    /// The address that was asked.
    pub address: ListenAddress,
    /// For how long.
    pub waited: Duration,
    /// The last answer, or why there was none.
    pub last: String,
}

/// Asks `/ready` until the answer is yes.
///
/// # Errors
/// It was not within the time.
pub fn wait(observe: &ListenAddress, timeout: Duration) -> Result<(), WaitError> {
    let begun = Instant::now();
    loop {
        let last = match ask_any(observe) {
            Ok(answer) if answer.starts_with("HTTP/1.1 200 ") => return Ok(()),
            Ok(answer) => answer,
            Err(error) => error.to_string(),
        };
        let waited = begun.elapsed();
        if waited >= timeout {
            return Err(WaitError {
                address: observe.clone(),
                waited: timeout,
                last,
            });
        }
        std::thread::sleep(ASK_INTERVAL);
    }
}

/// What the first address says that answers.
fn ask_any(observe: &ListenAddress) -> std::io::Result<String> {
    let mut last = Err(std::io::ErrorKind::AddrNotAvailable.into());
    for address in observe.addresses()?.into_iter().flat_map(reachable) {
        last = ask(address);
        if last.is_ok() {
            break;
        }
    }
    last
}

/// Where one that listens on all addresses is reached from the same machine: `[::]` stands for both families.
fn reachable(address: SocketAddr) -> Vec<SocketAddr> {
    let (v4, v6) = (Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into());
    let found: Vec<IpAddr> = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => vec![v4],
        IpAddr::V6(ip) if ip.is_unspecified() => vec![v4, v6],
        IpAddr::V4(_) | IpAddr::V6(_) => vec![address.ip()],
    };
    found
        .into_iter()
        .map(|ip| SocketAddr::new(ip, address.port()))
        .collect()
}

fn ask(address: SocketAddr) -> std::io::Result<String> {
    let mut stream = TcpStream::connect_timeout(&address, ANSWER_MAX)?;
    stream.set_read_timeout(Some(ANSWER_MAX))?;
    stream.set_write_timeout(Some(ANSWER_MAX))?;
    let request = format!("GET /ready HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes())?;
    // The status is all that counts.
    let mut status = String::new();
    BufReader::new(stream.take(256)).read_line(&mut status)?;
    Ok(status.trim_end().to_owned())
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::net::TcpListener;
    use std::time::Duration;

    use super::{reachable, wait};

    #[test]
    fn it_asks_until_the_answer_is_yes() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let server = std::thread::spawn(move || {
            for status in ["503 Service Unavailable", "200 OK"] {
                let (mut stream, _) = listener.accept().unwrap();
                let read = stream.read(&mut [0; 512]).unwrap();
                assert!(read > 0);
                write!(stream, "HTTP/1.1 {status}\r\ncontent-length: 0\r\n\r\n").unwrap();
            }
        });
        wait(
            &address.to_string().parse().unwrap(),
            Duration::from_secs(20),
        )
        .unwrap();
        server.join().unwrap();
    }

    #[test]
    fn it_gives_up_and_says_what_it_heard_last() {
        let free = TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap();
        let error = wait(
            &free.to_string().parse().unwrap(),
            Duration::from_millis(50),
        )
        .unwrap_err()
        .to_string();
        assert!(
            error.contains("was not ready after 50ms: Connection refused"),
            "{error}"
        );
    }

    #[test]
    fn one_that_listens_everywhere_is_asked_on_loopback() {
        for (address, asked) in [
            ("0.0.0.0:7476", vec!["127.0.0.1:7476"]),
            ("[::]:7476", vec!["127.0.0.1:7476", "[::1]:7476"]),
            ("10.0.0.1:7476", vec!["10.0.0.1:7476"]),
        ] {
            let found = reachable(address.parse().unwrap());
            let found: Vec<String> = found.iter().map(ToString::to_string).collect();
            assert_eq!(found, asked);
        }
    }
}
