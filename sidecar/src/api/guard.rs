//! The callers that may pass: requests that this machine addressed to itself. A web page that resolves its own
//! name to 127.0.0.1 (DNS rebinding), or posts across origins, is refused.

use std::net::{Ipv4Addr, Ipv6Addr};

use axum::http::request::Parts;

use super::error::{ApiError, Code};
use super::headers::single;

/// Refuses requests whose `Host`, target or `Origin` is not this machine's loopback.
pub(super) fn check(request: &Parts) -> Result<(), ApiError> {
    let host = single(&request.headers, "Host")?.unwrap_or_default();
    if !is_loopback(host) {
        return Err(forbidden(Code::ForbiddenHost, "Host"));
    }
    // A host in the request target overrides the header.
    let target = request.uri.authority();
    if !target.is_none_or(|authority| is_loopback(authority.as_str())) {
        return Err(forbidden(Code::ForbiddenHost, "request target"));
    }
    let origin = single(&request.headers, "Origin")?;
    if !origin.is_none_or(is_loopback_origin) {
        return Err(forbidden(Code::ForbiddenOrigin, "Origin"));
    }
    Ok(())
}

fn is_loopback_origin(origin: &str) -> bool {
    origin
        .split_once("://")
        .is_some_and(|(_, authority)| is_loopback(authority))
}

/// Whether the text is a name of this machine's loopback, with or without a port, and nothing else.
fn is_loopback(authority: &str) -> bool {
    let host_end = match authority.find(']') {
        Some(bracket) => bracket + 1,
        None => authority.find(':').unwrap_or(authority.len()),
    };
    let (host, port) = authority.split_at(host_end);
    is_own_name(host) && (port.is_empty() || is_port(port))
}

fn is_own_name(host: &str) -> bool {
    let name = host.strip_suffix('.').unwrap_or(host);
    let v6 = host
        .strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'));
    name.eq_ignore_ascii_case("localhost")
        || host.parse::<Ipv4Addr>().is_ok_and(|ip| ip.is_loopback())
        || v6.is_some_and(|ip| ip.parse::<Ipv6Addr>().is_ok_and(|ip| ip.is_loopback()))
}

fn is_port(text: &str) -> bool {
    let digits = text.strip_prefix(':').unwrap_or_default();
    digits.bytes().all(|digit| digit.is_ascii_digit()) && digits.parse::<u16>().is_ok()
}

fn forbidden(code: Code, part: &'static str) -> ApiError {
    let message = format!("{part} must name this machine: localhost, 127.0.0.1 or [::1]");
    ApiError::new(code, message).about(part)
}

#[cfg(test)]
mod tests {
    use super::{is_loopback, is_loopback_origin};

    #[test]
    fn only_this_machines_own_names_pass() {
        for own in [
            "localhost",
            "LOCALHOST:7475",
            "localhost.",
            "localhost.:7475",
            "127.0.0.1:7475",
            "127.9.9.9",
            "[::1]",
            "[::1]:7475",
        ] {
            assert!(is_loopback(own), "{own}");
            assert!(is_loopback_origin(&format!("http://{own}")), "{own}");
        }
    }

    #[test]
    fn what_only_looks_like_them_does_not() {
        for foreign in [
            "",
            "evil.example",
            "localhost.evil.example",
            "localhost..",
            "127.0.0.1.evil.example",
            "127.0.0.1.",
            "127.1",
            "0.0.0.0",
            "10.0.0.1",
            "[::1].evil.example",
            "[::1]evil.example",
            "[::1",
            "::1",
            "[127.0.0.1]",
            "[[::1]]",
            "[::]",
            "x@127.0.0.1",
            "localhost@evil.example",
            "localhost:80@evil.example",
            "localhost:+80",
            "localhost:",
            "localhost:99999",
            "localhost:80:80",
            "localhost/",
            "localhost,evil.example",
            "a b",
        ] {
            assert!(!is_loopback(foreign), "{foreign}");
            assert!(
                !is_loopback_origin(&format!("http://{foreign}")),
                "{foreign}"
            );
        }
        for origin in ["null", "localhost", "http://localhost/", "http:localhost"] {
            assert!(!is_loopback_origin(origin), "{origin}");
        }
    }
}
