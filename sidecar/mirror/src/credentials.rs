//! Where Supabase is and with which key: the two values of the page's environment variables or of the
//! mounted folder, checked once. The key is never shown, neither by `Debug` nor in an error; an error
//! does not repeat the URL either, because a mistyped one may hold a password.

use std::fmt;
use std::net::IpAddr;
use std::time::{Duration, SystemTime};

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use http::Uri;
use http::header::HeaderValue;
use serde::Deserialize;

/// Longest URL and key that are read: far more than Supabase's own, little enough to hold.
pub(crate) const VALUE_MAX_BYTES: usize = 16 * 1024;

/// Appended by the client, so tolerated at the end of a configured URL.
const REST_PATH: &str = "/rest/v1";

/// A checked pair, and how to reach the URL where that needs more.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    url: String,
    key: String,
    ca_bundle: Option<String>,
    proxy: Option<String>,
}

/// What is wrong with a URL or a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CredentialsError {
    /// Nothing there.
    #[error("the supabase url is empty")]
    UrlEmpty,
    /// Not a URL at all.
    #[error("the supabase url is not a URL of the form https://<project-ref>.supabase.co")]
    UrlMalformed,
    /// Another scheme, or none.
    #[error("the supabase url must begin with https:// or http://")]
    UrlScheme,
    /// A name or password before the host.
    #[error("the supabase url must not carry a user name or password")]
    UrlUserinfo,
    /// A query or fragment.
    #[error("the supabase url must not carry a query or a fragment")]
    UrlQuery,
    /// Longer than [`VALUE_MAX_BYTES`].
    #[error("the supabase url is longer than 16 KiB")]
    UrlTooLong,
    /// The same.
    #[error("the supabase key is longer than 16 KiB")]
    KeyTooLong,
    /// Nothing there.
    #[error("the supabase key is empty")]
    KeyEmpty,
    /// As a shell or a file of variables leaves it.
    #[error("the supabase url is in quotes")]
    UrlQuoted,
    /// The same.
    #[error("the supabase key is in quotes")]
    KeyQuoted,
    /// Can't be sent as a header.
    #[error("the supabase key holds a character that no key has (a space or a line break?)")]
    KeyMalformed,
}

/// What a key of the JWT style says of itself. Anybody can read that, and nothing of it is secret.
#[derive(Clone, Debug, Deserialize)]
pub struct KeyClaims {
    /// When it expires, in seconds since 1970.
    exp: Option<u64>,
    /// The database role that it stands for.
    role: Option<String>,
}

impl KeyClaims {
    fn of(key: &str) -> Option<Self> {
        let payload = key.split('.').nth(1)?;
        let json = BASE64_URL_SAFE_NO_PAD.decode(payload).ok()?;
        serde_json::from_slice(&json).ok()
    }

    /// What is wrong with it for the mirror, at a time in milliseconds since 1970.
    pub fn flaw(&self, now_ms: u64) -> Option<String> {
        if let Some(exp) = self.exp.filter(|exp| exp.saturating_mul(1000) <= now_ms) {
            let at = SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(exp))?;
            return Some(format!(
                "the key expired on {}",
                httpdate::fmt_http_date(at)
            ));
        }
        match self.role.as_deref() {
            Some(role @ ("anon" | "authenticated")) => Some(format!(
                "the key is one of the role {role}, and the mirror needs one of service_role"
            )),
            _ => None,
        }
    }
}

/// How a key is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyStyle {
    /// A JWT: as `apikey` and as bearer token.
    Jwt,
    /// `sb_secret_…`: as `apikey` alone, since it is no token that `PostgREST` could read.
    Secret,
}

impl CredentialsError {
    /// Whether the key is to blame, and not the URL.
    pub fn is_about_key(self) -> bool {
        matches!(
            self,
            Self::KeyEmpty | Self::KeyQuoted | Self::KeyMalformed | Self::KeyTooLong
        )
    }
}

impl Credentials {
    /// Checks a URL and a key. White space around them is dropped, and so are a trailing slash and an
    /// accidental `/rest/v1` of the URL.
    pub fn new(url: &str, key: &str) -> Result<Self, CredentialsError> {
        if url.len() > VALUE_MAX_BYTES {
            return Err(CredentialsError::UrlTooLong);
        }
        if key.len() > VALUE_MAX_BYTES {
            return Err(CredentialsError::KeyTooLong);
        }
        Ok(Self {
            url: check_url(url.trim())?,
            key: check_key(key.trim())?,
            ca_bundle: None,
            proxy: None,
        })
    }

    /// The same with certificates in PEM form that are trusted beside the machine's, and with the URL of a
    /// proxy that replaces the environment's. Empty texts count as none.
    #[must_use]
    pub fn by_way_of(self, ca_bundle: Option<String>, proxy: Option<String>) -> Self {
        let filled = |text: Option<String>| {
            let text = text.map(|text| text.trim().to_owned());
            text.filter(|text| !text.is_empty())
        };
        Self {
            ca_bundle: filled(ca_bundle),
            proxy: filled(proxy),
            ..self
        }
    }

    pub(crate) fn ca_bundle(&self) -> Option<&str> {
        self.ca_bundle.as_deref()
    }

    /// May hold a password.
    pub(crate) fn proxy(&self) -> Option<&str> {
        self.proxy.as_deref()
    }

    /// Scheme, host and port of the URL: what may be shown. The path can be a secret, when the key of the Secret that is
    /// said to hold the URL holds another one.
    pub fn origin(&self) -> String {
        let Ok(uri) = self.url.parse::<Uri>() else {
            return String::new();
        };
        let scheme = uri.scheme_str().unwrap_or_default();
        let authority = uri.authority().map_or("", |authority| authority.as_str());
        format!("{scheme}://{authority}")
    }

    /// The URL without a trailing slash.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Whether the key leaves this machine unencrypted.
    pub fn is_sent_in_the_clear(&self) -> bool {
        let Ok(uri) = self.url.parse::<Uri>() else {
            return false;
        };
        let host = uri.host().unwrap_or_default().trim_matches(['[', ']']);
        let is_loopback = host.eq_ignore_ascii_case("localhost")
            || host
                .parse::<IpAddr>()
                .is_ok_and(|address| address.is_loopback());
        uri.scheme_str() == Some("http") && !is_loopback
    }

    /// The key: for a header and nothing else.
    pub fn key(&self) -> &str {
        &self.key
    }

    /// What the key says of itself, if it is of the JWT style.
    pub fn claims(&self) -> Option<KeyClaims> {
        KeyClaims::of(&self.key)
    }

    /// How the key is to be sent.
    pub fn key_style(&self) -> KeyStyle {
        if self.key.starts_with("sb_") {
            KeyStyle::Secret
        } else {
            KeyStyle::Jwt
        }
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials")
            .field("url", &self.origin())
            .field("key", &"(redacted)")
            .finish_non_exhaustive()
    }
}

fn check_url(url: &str) -> Result<String, CredentialsError> {
    if url.is_empty() {
        return Err(CredentialsError::UrlEmpty);
    }
    if is_quoted(url) {
        return Err(CredentialsError::UrlQuoted);
    }
    // `Uri` drops a fragment silently.
    if url.contains(['?', '#']) {
        return Err(CredentialsError::UrlQuery);
    }
    let uri: Uri = url.parse().map_err(|_| CredentialsError::UrlMalformed)?;
    if !matches!(uri.scheme_str(), Some("http" | "https")) {
        return Err(CredentialsError::UrlScheme);
    }
    let authority = uri.authority().ok_or(CredentialsError::UrlMalformed)?;
    if authority.as_str().contains('@') {
        return Err(CredentialsError::UrlUserinfo);
    }
    let port_is_bad =
        authority.as_str().ends_with(':') || uri.port().is_some_and(|p| p.as_u16() == 0);
    if authority.host().is_empty() || port_is_bad {
        return Err(CredentialsError::UrlMalformed);
    }
    let url = url.trim_end_matches('/');
    Ok(url
        .strip_suffix(REST_PATH)
        .unwrap_or(url)
        .trim_end_matches('/')
        .to_owned())
}

fn is_quoted(text: &str) -> bool {
    let ends = (text.chars().next(), text.chars().last());
    ['"', '\'', '\u{201c}', '\u{201d}', '`']
        .iter()
        .any(|quote| ends.0 == Some(*quote) || ends.1 == Some(*quote))
}

fn check_key(key: &str) -> Result<String, CredentialsError> {
    if key.is_empty() {
        return Err(CredentialsError::KeyEmpty);
    }
    if is_quoted(key) {
        return Err(CredentialsError::KeyQuoted);
    }
    let sendable = HeaderValue::from_str(key).is_ok() && key.bytes().all(|b| b.is_ascii_graphic());
    if sendable {
        Ok(key.to_owned())
    } else {
        Err(CredentialsError::KeyMalformed)
    }
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::prelude::BASE64_URL_SAFE_NO_PAD;

    use super::{Credentials, CredentialsError, KeyStyle};

    #[track_caller]
    fn url(given: &str) -> String {
        Credentials::new(given, "key").unwrap().url().to_owned()
    }

    #[test]
    fn a_trailing_slash_and_an_accidental_rest_path_are_dropped() {
        for given in [
            "https://xyz.supabase.co",
            " https://xyz.supabase.co/\n",
            "https://xyz.supabase.co/rest/v1",
            "https://xyz.supabase.co/rest/v1/",
        ] {
            assert_eq!(url(given), "https://xyz.supabase.co");
        }
        assert_eq!(
            url("http://127.0.0.1:3000/base/"),
            "http://127.0.0.1:3000/base"
        );
        assert_eq!(url("http://[::1]:3000"), "http://[::1]:3000");
    }

    #[test]
    fn a_bad_url_is_refused_with_what_is_wrong() {
        for (given, error) in [
            ("", CredentialsError::UrlEmpty),
            ("  ", CredentialsError::UrlEmpty),
            ("xyz.supabase.co", CredentialsError::UrlScheme),
            ("ftp://xyz.supabase.co", CredentialsError::UrlScheme),
            ("postgres://xyz.supabase.co", CredentialsError::UrlScheme),
            (
                "https://user:secret@xyz.supabase.co",
                CredentialsError::UrlUserinfo,
            ),
            (
                "https://xyz.supabase.co?apikey=secret",
                CredentialsError::UrlQuery,
            ),
            ("https://xyz.supabase.co/#top", CredentialsError::UrlQuery),
            ("https://", CredentialsError::UrlMalformed),
            ("https://xyz:", CredentialsError::UrlMalformed),
            ("https://x y", CredentialsError::UrlMalformed),
        ] {
            let refused = Credentials::new(given, "key").unwrap_err();
            assert_eq!(refused, error, "{given}");
            assert!(!refused.to_string().contains("secret"));
        }
    }

    #[test]
    fn a_key_is_trimmed_and_must_be_sendable() {
        let url = "https://xyz.supabase.co";
        assert_eq!(Credentials::new(url, " abc\n").unwrap().key(), "abc");
        assert_eq!(Credentials::new(url, "\n"), Err(CredentialsError::KeyEmpty));
        for key in ["a b", "a\nb", "schlüssel", "a\0b"] {
            assert_eq!(
                Credentials::new(url, key),
                Err(CredentialsError::KeyMalformed)
            );
        }
        let long = "k".repeat(super::VALUE_MAX_BYTES + 1);
        assert_eq!(
            Credentials::new(url, &long),
            Err(CredentialsError::KeyTooLong)
        );
    }

    #[test]
    fn a_key_that_is_sent_unencrypted_to_another_machine_is_noticed() {
        let in_the_clear = |url| Credentials::new(url, "key").unwrap().is_sent_in_the_clear();
        for url in [
            "http://xyz.supabase.co",
            "http://10.0.0.7:3000",
            "http://localhost.evil.co",
        ] {
            assert!(in_the_clear(url), "{url}");
        }
        for url in [
            "https://xyz.supabase.co",
            "http://127.0.0.1:3000",
            "http://[::1]:3000",
            "http://localhost",
        ] {
            assert!(!in_the_clear(url), "{url}");
        }
    }

    #[test]
    fn a_value_in_quotes_is_told_apart() {
        let url = "https://xyz.supabase.co";
        for key in ["\"abc\"", "'abc'", "abc\""] {
            assert_eq!(Credentials::new(url, key), Err(CredentialsError::KeyQuoted));
        }
        let quoted = Credentials::new("\"https://xyz.supabase.co\"", "key");
        assert_eq!(quoted, Err(CredentialsError::UrlQuoted));
    }

    #[test]
    fn a_key_that_expired_or_stands_for_another_role_says_so_itself() {
        let flaw = |claims: &str| {
            let key = format!("e30.{}.c2ln", BASE64_URL_SAFE_NO_PAD.encode(claims));
            let credentials = Credentials::new("https://x.co", &key).unwrap();
            credentials
                .claims()
                .and_then(|claims| claims.flaw(2_000_000_000_000))
        };
        let expired = flaw(r#"{"role":"service_role","exp":1000000000}"#);
        assert_eq!(
            expired.unwrap(),
            "the key expired on Sun, 09 Sep 2001 01:46:40 GMT"
        );
        assert!(flaw(r#"{"role":"anon"}"#).unwrap().contains("role anon"));
        assert_eq!(flaw(r#"{"role":"service_role","exp":3000000000}"#), None);
        assert_eq!(flaw("no json"), None);
        let secret = Credentials::new("https://x.co", "sb_secret_abc").unwrap();
        assert!(secret.claims().is_none());
    }

    #[test]
    fn both_key_styles_are_told_apart() {
        let style = |key| Credentials::new("https://x.co", key).unwrap().key_style();
        assert_eq!(style("eyJhbGciOi.eyJyb2xlIjoi.c2ln"), KeyStyle::Jwt);
        assert_eq!(style("sb_secret_abc"), KeyStyle::Secret);
    }

    #[test]
    fn nothing_but_scheme_host_and_port_of_a_url_is_shown() {
        for (given, shown) in [
            ("https://x.supabase.co", "https://x.supabase.co"),
            ("http://127.0.0.1:3000/base", "http://127.0.0.1:3000"),
            (
                "https://hooks.example.com/services/T0/hidden",
                "https://hooks.example.com",
            ),
        ] {
            let credentials = Credentials::new(given, "key").unwrap();
            assert_eq!(credentials.origin(), shown);
            assert!(!format!("{credentials:?}").contains("hidden"));
        }
    }

    #[test]
    fn debug_shows_no_key() {
        let shown = format!(
            "{:?}",
            Credentials::new("https://x.co", "sb_secret_abc").unwrap()
        );
        assert!(
            shown.contains("https://x.co") && !shown.contains("abc"),
            "{shown}"
        );
    }
}
