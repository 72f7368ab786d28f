//! The client of Supabase's REST interface, and the only file that names reqwest. It promises that a
//! request ends (in 30 s at most), that no redirect carries the key elsewhere, and that what comes back
//! is a [`Failure`] in our own words. Whether and when to try again is decided elsewhere.

use std::error::Error as _;
use std::fmt;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use reqwest::header::{
    AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, RETRY_AFTER,
};
use reqwest::{Client, Response, StatusCode};

use crate::backoff;
use crate::credentials::{Credentials, KeyStyle};
use crate::failure::Failure;

/// A connection that takes longer will not come; far more than a round trip around the world.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// Half of Supabase's own cap of 60 s: what takes longer is retried in smaller pieces.
const TOTAL_TIMEOUT: Duration = Duration::from_secs(30);

/// Shorter than the idle time after which proxies close connections silently.
const IDLE_TIMEOUT: Duration = Duration::from_secs(30);

/// Of an error body no more is read: a code and a message fit many times over.
const ERROR_BODY_MAX_BYTES: usize = 64 * 1024;

/// Not a browser's: Supabase refuses secret keys from browsers.
const USER_AGENT: &str = concat!("boboyka-sidecar/", env!("CARGO_PKG_VERSION"));

const APIKEY: HeaderName = HeaderName::from_static("apikey");
const PREFER: HeaderName = HeaderName::from_static("prefer");

/// A client for one pair of credentials.
pub struct Supabase {
    client: Client,
    url: String,
}

/// The client could not be made. Of the cause only the kind is told: it can't name the key, but
/// nothing is gained by more.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The process did not install a TLS provider first.
    #[error("no TLS provider is installed")]
    NoTlsProvider,
    /// Certificates could not be loaded, or the like.
    #[error("set up the HTTP client")]
    Build(#[source] reqwest::Error),
}

/// Where rows go and which of their columns are there.
#[derive(Clone, Copy, Debug)]
pub struct Target<'a> {
    /// The table.
    pub table: &'a str,
    /// The columns to fill; other keys of a row are ignored.
    pub columns: &'a [&'a str],
    /// Whether the table has a unique key on `record_hash`, so that a row sent twice is stored once.
    pub idempotent: bool,
}

impl Supabase {
    /// A client; connects to nothing yet.
    pub fn new(credentials: &Credentials) -> Result<Self, ClientError> {
        if rustls::crypto::CryptoProvider::get_default().is_none() {
            return Err(ClientError::NoTlsProvider);
        }
        let client = Client::builder()
            .user_agent(USER_AGENT)
            .default_headers(headers(credentials))
            .connect_timeout(CONNECT_TIMEOUT)
            .timeout(TOTAL_TIMEOUT)
            .pool_idle_timeout(IDLE_TIMEOUT)
            .redirect(reqwest::redirect::Policy::none())
            .referer(false)
            .build()
            .map_err(ClientError::Build)?;
        Ok(Self {
            client,
            url: credentials.url().to_owned(),
        })
    }

    /// The base URL; safe to show.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Inserts rows (`body` is a JSON array of objects), all or none.
    pub async fn insert(&self, target: Target<'_>, body: Bytes) -> Result<(), Failure> {
        let request = self
            .client
            .post(address(&self.url, target))
            .header(CONTENT_TYPE, HeaderValue::from_static("application/json"))
            .header(PREFER, prefer(target.idempotent))
            .body(body);
        let response = request
            .send()
            .await
            .map_err(|error| network_failure(&error))?;
        read_answer(target.table, response).await
    }

    /// Inserts no rows: fails as an insert would on key, grant, table, columns or unique key, and
    /// changes nothing.
    pub async fn preflight(&self, target: Target<'_>) -> Result<(), Failure> {
        self.insert(target, Bytes::from_static(b"[]")).await
    }
}

impl fmt::Debug for Supabase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Supabase")
            .field("url", &self.url)
            .finish_non_exhaustive()
    }
}

fn headers(credentials: &Credentials) -> HeaderMap {
    let mut headers = HeaderMap::new();
    let mut put = |name, text: &str| {
        // Credentials are checked to be sendable, so the empty value is never used.
        let mut value =
            HeaderValue::from_str(text).unwrap_or_else(|_| HeaderValue::from_static(""));
        value.set_sensitive(true);
        headers.insert(name, value);
    };
    put(APIKEY, credentials.key());
    match credentials.key_style() {
        KeyStyle::Jwt => put(AUTHORIZATION, &format!("Bearer {}", credentials.key())),
        KeyStyle::Secret => {}
    }
    headers
}

fn address(url: &str, target: Target<'_>) -> String {
    let conflict = if target.idempotent {
        "&on_conflict=record_hash"
    } else {
        ""
    };
    format!(
        "{url}/rest/v1/{}?columns={}{conflict}",
        target.table,
        target.columns.join(",")
    )
}

fn prefer(idempotent: bool) -> HeaderValue {
    HeaderValue::from_static(if idempotent {
        "resolution=ignore-duplicates,return=minimal,missing=default"
    } else {
        "return=minimal,missing=default"
    })
}

async fn read_answer(table: &str, response: Response) -> Result<(), Failure> {
    let status = response.status();
    if status.is_success() {
        return if is_web_page(&response) {
            Err(Failure::not_postgrest())
        } else {
            Ok(())
        };
    }
    let retry_after = response
        .headers()
        .get(RETRY_AFTER)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| backoff::retry_after(value, SystemTime::now()));
    let body = read_bounded(response).await?;
    Err(Failure::from_answer(
        table,
        StatusCode::as_u16(&status),
        &body,
        retry_after,
    ))
}

/// A success with HTML comes from a dashboard or a login page, not from `PostgREST`.
fn is_web_page(response: &Response) -> bool {
    let content_type = response
        .headers()
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok());
    content_type.is_some_and(|value| value.starts_with("text/html"))
}

/// An answer that breaks off is no answer: its code would be missing.
async fn read_bounded(mut response: Response) -> Result<Vec<u8>, Failure> {
    let mut body = Vec::new();
    while let Some(chunk) = response
        .chunk()
        .await
        .map_err(|error| network_failure(&error))?
    {
        let room = ERROR_BODY_MAX_BYTES - body.len();
        body.extend_from_slice(chunk.get(..room).unwrap_or(&chunk));
        if body.len() == ERROR_BODY_MAX_BYTES {
            break;
        }
    }
    Ok(body)
}

fn network_failure(error: &reqwest::Error) -> Failure {
    if is_untrusted(error) {
        Failure::untrusted()
    } else if error.is_connect() {
        Failure::unreachable()
    } else if error.is_timeout() {
        Failure::timed_out()
    } else {
        Failure::reset()
    }
}

/// Whether the TLS handshake failed over the other side's certificate.
fn is_untrusted(error: &reqwest::Error) -> bool {
    let mut cause = error.source();
    while let Some(error) = cause {
        if let Some(rustls::Error::InvalidCertificate(_)) = error.downcast_ref() {
            return true;
        }
        // An I/O error has what it wraps inside, not as its source.
        let inside = error
            .downcast_ref::<std::io::Error>()
            .and_then(std::io::Error::get_ref);
        cause = match inside {
            Some(inside) => Some(inside),
            None => error.source(),
        };
    }
    false
}

#[cfg(test)]
mod tests {
    use super::{APIKEY, AUTHORIZATION, Credentials, Target, address, headers};

    #[test]
    fn a_jwt_is_sent_twice_and_a_secret_key_once_both_marked_sensitive() {
        let jwt = Credentials::new("https://x.co", "eyJ.eyJ.sig").unwrap();
        let sent = headers(&jwt);
        assert_eq!(sent.get(AUTHORIZATION).unwrap(), "Bearer eyJ.eyJ.sig");
        assert_eq!(sent.get(APIKEY).unwrap(), "eyJ.eyJ.sig");
        assert!(
            sent.values()
                .all(reqwest::header::HeaderValue::is_sensitive)
        );
        let secret = Credentials::new("https://x.co", "sb_secret_abc").unwrap();
        let sent = headers(&secret);
        assert_eq!(sent.len(), 1);
        assert_eq!(sent.get(APIKEY).unwrap(), "sb_secret_abc");
        assert!(!format!("{sent:?}").contains("abc"));
    }

    #[test]
    fn the_address_names_the_columns_and_the_key_to_ignore_duplicates_by() {
        let target = Target {
            table: "t",
            columns: &["a", "b"],
            idempotent: true,
        };
        let expected = "https://x.co/rest/v1/t?columns=a,b&on_conflict=record_hash";
        assert_eq!(address("https://x.co", target), expected);
        let plain = Target {
            idempotent: false,
            ..target
        };
        assert_eq!(
            address("https://x.co", plain),
            "https://x.co/rest/v1/t?columns=a,b"
        );
    }
}
