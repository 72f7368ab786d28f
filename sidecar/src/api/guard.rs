//! The callers that may pass: requests that this machine addressed to itself. A web page that resolves its own
//! name to 127.0.0.1 (DNS rebinding), or posts across origins, is refused.

use axum::http::uri::Authority;
use axum::http::{HeaderMap, HeaderName, header};

use super::error::{ApiError, Code};

/// Refuses requests whose `Host` or `Origin` is not this machine's loopback.
pub(super) fn check(headers: &HeaderMap) -> Result<(), ApiError> {
    let host = text(headers, &header::HOST).unwrap_or_default();
    if !is_loopback(host) {
        return Err(refusal(Code::ForbiddenHost, "Host"));
    }
    match text(headers, &header::ORIGIN) {
        None if !headers.contains_key(header::ORIGIN) => Ok(()),
        Some(origin) => origin
            .split_once("://")
            .filter(|(_, authority)| is_loopback(authority))
            .map(|_| ())
            .ok_or_else(|| refusal(Code::ForbiddenOrigin, "Origin")),
        None => Err(refusal(Code::ForbiddenOrigin, "Origin")),
    }
}

fn text<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

fn is_loopback(authority: &str) -> bool {
    let Ok(authority) = authority.parse::<Authority>() else {
        return false;
    };
    let host = authority.host();
    let address = host.trim_start_matches('[').trim_end_matches(']');
    host.eq_ignore_ascii_case("localhost")
        || address
            .parse::<std::net::IpAddr>()
            .is_ok_and(|address| address.is_loopback())
}

fn refusal(code: Code, header: &'static str) -> ApiError {
    let message = format!("{header} must name this machine: localhost, 127.0.0.1 or [::1]");
    ApiError::new(code, message).about(header)
}

#[cfg(test)]
mod tests {
    use super::is_loopback;

    #[test]
    fn only_this_machines_own_names_pass() {
        for own in [
            "localhost",
            "LOCALHOST:7475",
            "127.0.0.1:7475",
            "127.9.9.9",
            "[::1]:7475",
        ] {
            assert!(is_loopback(own), "{own}");
        }
        for foreign in [
            "",
            "evil.example",
            "localhost.evil.example",
            "127.0.0.1.evil.example",
            "10.0.0.1",
            "a b",
        ] {
            assert!(!is_loopback(foreign), "{foreign}");
        }
    }
}
