//! An authority and the one certificate that it signs. The authority's key is dropped with that signature; the
//! certificate's key never leaves memory.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use jiff::Timestamp;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};
use rustls::ServerConfig;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};

/// Clocks of API servers may be behind ours by this much.
const SKEW: Duration = Duration::from_mins(5);

/// Why there is no certificate authority.
#[derive(Debug, thiserror::Error)]
pub enum AuthorityError {
    /// A certificate could not be generated.
    #[error("could not generate a certificate")]
    Make(#[from] rcgen::Error),
    /// The server rejects the certificate.
    #[error("could not serve with the generated certificate")]
    Serve(#[from] rustls::Error),
}

/// A certificate authority with the certificate under it.
#[derive(Clone)]
pub(super) struct Authority {
    /// The authority's certificate, for API servers.
    pub(super) pem: String,
    /// When it was generated.
    pub(super) made: Timestamp,
    /// When it and the certificate under it expire.
    pub(super) expires: Timestamp,
    /// The server's TLS configuration.
    pub(super) tls: Arc<ServerConfig>,
}

impl std::fmt::Debug for Authority {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Authority({} to {})", self.made, self.expires)
    }
}

impl Authority {
    /// Generates an authority with a certificate for these names, valid from `now`.
    pub(super) fn make(
        names: &[String],
        lifetime: Duration,
        now: Timestamp,
    ) -> Result<Self, AuthorityError> {
        // Certificates know no fractions of a second.
        let expires =
            Timestamp::from_second((now + lifetime).as_second()).unwrap_or(Timestamp::MAX);
        let within = |params: &mut CertificateParams| {
            params.not_before = SystemTime::from(now - SKEW).into();
            params.not_after = SystemTime::from(expires).into();
        };

        let mut authority = CertificateParams::default();
        within(&mut authority);
        let name = format!("boboyka-operator {}", uuid::Uuid::new_v4());
        authority.distinguished_name.push(DnType::CommonName, name);
        authority.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        authority.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        let authority_key = KeyPair::generate()?;
        let pem = authority.self_signed(&authority_key)?.pem();

        let mut serving = CertificateParams::new(names)?;
        within(&mut serving);
        let first = names.first().map_or("boboyka-operator", String::as_str);
        // A common name has 64 characters at most; names are taken from the alternatives anyway.
        let common: String = first.chars().take(64).collect();
        serving.distinguished_name.push(DnType::CommonName, common);
        serving.use_authority_key_identifier_extension = true;
        serving.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        serving.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        let key = KeyPair::generate()?;
        let certificate = serving.signed_by(&key, &Issuer::new(authority, authority_key))?;

        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let mut tls = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], key)?;
        tls.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Self {
            pem,
            made: now,
            expires,
            tls: Arc::new(tls),
        })
    }
}
