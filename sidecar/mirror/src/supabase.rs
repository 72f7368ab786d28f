//! The client of Supabase's REST interface, and the only file that names reqwest. It promises that a
//! request ends (in 30 s at most), that no redirect carries the key elsewhere, and that what comes back
//! is a [`Failure`] in our own words. Whether and when to try again is decided elsewhere.

use std::collections::HashSet;
use std::error::Error as _;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use reqwest::header::{
    ACCEPT, AUTHORIZATION, CONTENT_RANGE, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue,
    RETRY_AFTER,
};
use reqwest::{Certificate, Client, Proxy, Response, StatusCode, Url};
use serde::{Deserialize, Serialize};

use crate::backoff;
use crate::classify::Class;
use crate::credentials::{Credentials, KeyClaims, KeyStyle};
use crate::failure::Failure;

/// A connection that takes longer will not come; far more than a round trip around the world.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// Half of Supabase's own cap of 60 s: what takes longer is retried in smaller pieces.
const TOTAL_TIMEOUT: Duration = Duration::from_secs(30);

/// Shorter than the idle time after which proxies close connections silently.
const IDLE_TIMEOUT: Duration = Duration::from_secs(30);

/// Of an error body no more is read: a code and a message fit many times over.
const ERROR_BODY_MAX_BYTES: usize = 64 * 1024;

/// What is asked for is bounded, and far smaller.
const ANSWER_MAX_BYTES: usize = 16 * 1024 * 1024;

/// Not a browser's: Supabase refuses secret keys from browsers.
const USER_AGENT: &str = concat!("boboyka-sidecar/", env!("CARGO_PKG_VERSION"));

const APIKEY: HeaderName = HeaderName::from_static("apikey");
const PREFER: HeaderName = HeaderName::from_static("prefer");

/// A client for one pair of credentials.
pub(crate) struct Supabase {
    client: Client,
    url: String,
    origin: String,
    claims: Option<KeyClaims>,
}

/// The client could not be made. The error names only the kind of the cause: it can't name the key, but
/// nothing is gained by more.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ClientError {
    /// The process did not install a TLS provider first.
    #[error("no TLS provider is installed: the program must install one at its start")]
    NoTlsProvider,
    /// The text is no certificate.
    #[error("the file ca.crt in the supabase folder holds no certificate in PEM form")]
    CaBundle,
    /// The text is no URL.
    #[error("the file proxy in the supabase folder holds no URL such as http://proxy.example:3128")]
    Proxy,
    /// Certificates could not be loaded, or the like.
    #[error("could not set up the HTTP client")]
    Build(#[source] reqwest::Error),
}

/// What a row does that is there already.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Conflict<'a> {
    /// Nothing is known of it: the row is inserted again, or refused.
    None,
    /// The row with the same value of this column stays as it is.
    Ignore(&'a str),
    /// The row with the same values of these columns gets the new ones.
    Merge(&'a [Arc<str>]),
}

/// Where rows go and which of their columns are there.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Target<'a> {
    /// The table.
    pub table: &'a str,
    /// The columns to fill; other keys of a row are ignored.
    pub columns: &'a [Arc<str>],
    /// What a row does that is there already.
    pub conflict: Conflict<'a>,
}

impl Supabase {
    /// A client; connects to nothing yet.
    pub(crate) fn new(credentials: &Credentials) -> Result<Self, ClientError> {
        if rustls::crypto::CryptoProvider::get_default().is_none() {
            return Err(ClientError::NoTlsProvider);
        }
        let mut builder = Client::builder();
        if let Some(bundle) = credentials.ca_bundle() {
            let trusted = Certificate::from_pem_bundle(bundle.as_bytes());
            let trusted = trusted.map_err(|_| ClientError::CaBundle)?;
            if trusted.is_empty() {
                return Err(ClientError::CaBundle);
            }
            builder = builder.tls_certs_merge(trusted);
        }
        if let Some(url) = credentials.proxy() {
            // Without its cause, which may repeat the URL and a password in it.
            builder = builder.proxy(Proxy::all(url).map_err(|_| ClientError::Proxy)?);
        }
        let client = builder
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
            origin: credentials.origin(),
            claims: credentials.claims(),
        })
    }

    /// What is wrong with the key by what it says of itself, in words that do not show it.
    pub(crate) fn key_flaw(&self, now_ms: u64) -> Option<String> {
        self.claims.as_ref().and_then(|claims| claims.flaw(now_ms))
    }

    /// What may be shown of the base URL.
    pub(crate) fn origin(&self) -> &str {
        &self.origin
    }

    /// Inserts rows (`body` is a JSON array of objects), all or none. Gives back how many were inserted
    /// or changed, where the server says so.
    pub(crate) async fn insert(
        &self,
        target: Target<'_>,
        body: Bytes,
    ) -> Result<Option<u64>, Failure> {
        let request = self
            .client
            .post(address(&self.url, target))
            .header(CONTENT_TYPE, HeaderValue::from_static("application/json"))
            .header(PREFER, prefer(target.conflict))
            .body(body.clone());
        let response = request
            .send()
            .await
            .map_err(|error| network_failure(&error))?;
        let response = accepted(target.table, response, &body).await?;
        Ok(counted(response.headers()))
    }

    /// Inserts no rows: fails as an insert would on key, grant, table, columns or unique key, and
    /// changes nothing.
    pub(crate) async fn preflight(&self, target: Target<'_>) -> Result<(), Failure> {
        self.insert(target, Bytes::from_static(b"[]"))
            .await
            .map(drop)
    }

    /// Which of these values a column of the table has.
    pub(crate) async fn present(
        &self,
        table: &str,
        column: &str,
        values: &[String],
    ) -> Result<HashSet<String>, Failure> {
        let url = format!(
            "{}/rest/v1/{table}?select=value:{column}::text&{column}=in.({})",
            self.url,
            values.join(",")
        );
        let response = self.client.get(url).send().await;
        let response = response.map_err(|error| network_failure(&error))?;
        let response = accepted(table, response, &[]).await?;
        let rows: Vec<Found> = response
            .json()
            .await
            .map_err(|error| network_failure(&error))?;
        Ok(rows.into_iter().map(|row| row.value).collect())
    }

    /// Whether the table has the trigger of `schema.sql` that ignores a row older than the one there.
    pub(crate) async fn has_guard(&self, table: &str) -> Result<bool, Failure> {
        let arguments = serde_json::json!({"table_name": table});
        match self.call(table, "boboyka_has_guard", &arguments).await {
            Ok(answer) => Ok(answer.trim_ascii() == b"true"),
            // Without the function, or the right to call it, there is nothing to rely on.
            Err(failure) if failure.class == Class::Transient => Err(failure),
            Err(_) => Ok(false),
        }
    }

    /// Calls a function of the database about a table; its answer as JSON.
    pub(crate) async fn call<A: Serialize + Sync>(
        &self,
        table: &str,
        function: &str,
        arguments: &A,
    ) -> Result<Vec<u8>, Failure> {
        // Arguments are built of texts and numbers, so writing them as JSON does not fail.
        let body = serde_json::to_vec(arguments).unwrap_or_default();
        let request = self
            .client
            .post(format!("{}/rest/v1/rpc/{function}", self.url))
            .header(CONTENT_TYPE, HeaderValue::from_static("application/json"))
            .body(body);
        let response = request.send().await;
        let response = response.map_err(|error| network_failure(&error))?;
        let response = accepted(table, response, &[]).await?;
        read_bounded(response, ANSWER_MAX_BYTES).await
    }

    /// The rows of a table that a query selects, as JSON, and how many there are, where the server says so.
    pub(crate) async fn select(
        &self,
        table: &str,
        query: &str,
    ) -> Result<(Vec<u8>, Option<u64>), Failure> {
        let request = self
            .client
            .get(format!("{}/rest/v1/{table}?{query}", self.url))
            .header(PREFER, HeaderValue::from_static("count=exact"));
        let response = request.send().await;
        let response = response.map_err(|error| network_failure(&error))?;
        let response = accepted(table, response, &[]).await?;
        let count = counted(response.headers());
        Ok((read_bounded(response, ANSWER_MAX_BYTES).await?, count))
    }

    /// The same without counting, for conditions that have to be encoded. `None`: the answer is longer than one that is read.
    pub(crate) async fn page(
        &self,
        table: &str,
        query: &[(&str, String)],
    ) -> Result<Option<Vec<u8>>, Failure> {
        let base = format!("{}/rest/v1/{table}", self.url);
        // The base was checked with the credentials, and a table is a name.
        let url = Url::parse_with_params(&base, query).map_err(|_| Failure::not_postgrest())?;
        let response = self.client.get(url).send().await;
        let response = response.map_err(|error| network_failure(&error))?;
        let response = accepted(table, response, &[]).await?;
        let answer = read_bounded(response, ANSWER_MAX_BYTES).await?;
        Ok((answer.len() < ANSWER_MAX_BYTES).then_some(answer))
    }

    /// `PostgREST`'s description of the schema, an `OpenAPI` document.
    pub(crate) async fn description(&self, table: &str) -> Result<Vec<u8>, Failure> {
        let request = self
            .client
            .get(format!("{}/rest/v1/", self.url))
            .header(ACCEPT, HeaderValue::from_static("application/openapi+json"));
        let response = request.send().await;
        let response = response.map_err(|error| network_failure(&error))?;
        let response = accepted(table, response, &[]).await?;
        read_bounded(response, ANSWER_MAX_BYTES).await
    }
}

/// A row of an answer with one column.
#[derive(Deserialize)]
struct Found {
    value: String,
}

impl fmt::Debug for Supabase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Supabase")
            .field("url", &self.origin)
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
    let conflict = match target.conflict {
        Conflict::None => String::new(),
        Conflict::Ignore(column) => format!("&on_conflict={column}"),
        Conflict::Merge(key) => format!("&on_conflict={}", key.join(",")),
    };
    format!(
        "{url}/rest/v1/{}?columns={}{conflict}",
        target.table,
        target.columns.join(",")
    )
}

fn prefer(conflict: Conflict<'_>) -> HeaderValue {
    HeaderValue::from_static(match conflict {
        Conflict::None => "return=minimal,missing=default,count=exact",
        Conflict::Ignore(_) => {
            "resolution=ignore-duplicates,return=minimal,missing=default,count=exact"
        }
        Conflict::Merge(_) => {
            "resolution=merge-duplicates,return=minimal,missing=default,count=exact"
        }
    })
}

/// The number behind the slash of `Content-Range: */N`.
fn counted(headers: &HeaderMap) -> Option<u64> {
    let range = headers.get(CONTENT_RANGE)?.to_str().ok()?;
    range.split_once('/')?.1.parse().ok()
}

/// The answer, if it is a success; `sent` is the body of the request that it answers.
async fn accepted(table: &str, response: Response, sent: &[u8]) -> Result<Response, Failure> {
    let status = response.status();
    if status.is_success() {
        return if is_web_page(&response) {
            Err(Failure::not_postgrest())
        } else {
            Ok(response)
        };
    }
    let retry_after = response
        .headers()
        .get(RETRY_AFTER)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| backoff::retry_after(value, SystemTime::now()));
    let body = read_bounded(response, ERROR_BODY_MAX_BYTES).await?;
    let status = StatusCode::as_u16(&status);
    Err(Failure::from_answer(
        table,
        status,
        &body,
        sent,
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
async fn read_bounded(mut response: Response, max: usize) -> Result<Vec<u8>, Failure> {
    let mut body = Vec::new();
    while let Some(chunk) = response
        .chunk()
        .await
        .map_err(|error| network_failure(&error))?
    {
        let room = max - body.len();
        body.extend_from_slice(chunk.get(..room).unwrap_or(&chunk));
        if body.len() == max {
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
    use super::{APIKEY, AUTHORIZATION, Conflict, Credentials, Target, address, counted, headers};

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
        let columns = ["a".into(), "b".into()];
        let target = |conflict| Target {
            table: "t",
            columns: &columns,
            conflict,
        };
        let to = |conflict| address("https://x.co", target(conflict));
        let plain = "https://x.co/rest/v1/t?columns=a,b";
        assert_eq!(to(Conflict::None), plain);
        let by_hash = to(Conflict::Ignore("record_hash"));
        assert_eq!(by_hash, format!("{plain}&on_conflict=record_hash"));
        assert_eq!(
            to(Conflict::Merge(&columns)),
            format!("{plain}&on_conflict=a,b")
        );
    }

    #[test]
    fn the_count_of_an_answer_is_read_where_there_is_one() {
        let mut headers = super::HeaderMap::new();
        assert_eq!(counted(&headers), None);
        headers.insert("content-range", "*/499".parse().unwrap());
        assert_eq!(counted(&headers), Some(499));
        headers.insert("content-range", "*/*".parse().unwrap());
        assert_eq!(counted(&headers), None);
    }
}
