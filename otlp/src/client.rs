//! What posts to the collector: the only file that names reqwest.

use std::path::{Path, PathBuf};
use std::time::Duration;

use opentelemetry_otlp::{
    ExporterBuildError, Protocol, SpanExporter, WithExportConfig as _, WithHttpConfig as _,
};
use reqwest::redirect::Policy;
use reqwest::{Certificate, Client};

/// A collector that takes longer has failed; as long as OpenTelemetry's own default.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Why nothing can be sent.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ClientError {
    /// The certificates can't be read.
    #[error("could not read the certificates of {path}: {source}")]
    Certificate {
        /// Their file.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// The file has none.
    #[error("{0} holds no certificate in PEM form")]
    NoCertificate(PathBuf),
    /// The client can't be made.
    #[error("could not set up the HTTP client")]
    Client(#[from] reqwest::Error),
    /// A variable of OpenTelemetry has a wrong value.
    #[error(transparent)]
    Exporter(#[from] ExporterBuildError),
}

/// What sends spans to this URL. Headers and their secrets come from `OTEL_EXPORTER_OTLP_HEADERS`, which the library
/// reads.
pub(crate) fn exporter(url: &str, trusted: Option<&Path>) -> Result<SpanExporter, ClientError> {
    // What a collector is sent is for that collector only.
    let mut client = Client::builder().timeout(TIMEOUT).redirect(Policy::none());
    if let Some(path) = trusted {
        client = client.tls_certs_merge(certificates(path)?);
    }
    let exporter = SpanExporter::builder()
        .with_http()
        .with_http_client(client.build()?)
        .with_endpoint(url)
        .with_timeout(TIMEOUT)
        .with_protocol(Protocol::HttpBinary);
    Ok(exporter.build()?)
}

fn certificates(path: &Path) -> Result<Vec<Certificate>, ClientError> {
    let pem = std::fs::read(path).map_err(|source| ClientError::Certificate {
        path: path.to_owned(),
        source,
    })?;
    let found = Certificate::from_pem_bundle(&pem)?;
    if found.is_empty() {
        return Err(ClientError::NoCertificate(path.to_owned()));
    }
    Ok(found)
}
