//! The one program of the tests' image. `pause` waits, as a pod's sandbox does; `get URL` and `post URL JSON` speak
//! HTTP from inside a pod and print the answer's body. It knows no TLS and no names.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

/// An answer that takes longer is a failure.
const LIMIT: Duration = Duration::from_mins(2);

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words.as_slice() {
        // Without arguments it is the sandbox of a pod.
        [] | ["pause"] => loop {
            std::thread::park();
        },
        ["get", url] => ask("GET", url, ""),
        ["post", url, body] => ask("POST", url, body),
        _ => Err("usage: pause | get URL | post URL JSON".into()),
    }
}

fn ask(method: &str, url: &str, body: &str) -> Result<(), Box<dyn std::error::Error>> {
    let rest = url.strip_prefix("http://").ok_or("only http:// is known")?;
    let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
    let mut stream = TcpStream::connect(host)?;
    stream.set_read_timeout(Some(LIMIT))?;
    write!(
        stream,
        "{method} /{path} HTTP/1.0\r\nhost: {host}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let (head, body) = answer
        .split_once("\r\n\r\n")
        .ok_or("the answer is no HTTP")?;
    std::io::stdout().write_all(body.as_bytes())?;
    let status = head.split(' ').nth(1).unwrap_or_default();
    if status.starts_with('2') {
        Ok(())
    } else {
        Err(format!("the status is {status}").into())
    }
}
