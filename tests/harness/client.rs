//! The HTTP client of the tests.

/// An HTTP client. Installs the TLS provider that it needs.
pub fn client() -> reqwest::Client {
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder()
        .timeout(crate::process::GUARD)
        .build()
        .unwrap()
}
