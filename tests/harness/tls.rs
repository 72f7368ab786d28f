//! A front with TLS, as Supabase has in life, with a certificate of an authority made for the test.

use std::io::Write;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::ServerConfig;
use rustls::pki_types::PrivateKeyDer;
use tempfile::NamedTempFile;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

/// A running front; it lives as long as the runtime.
#[derive(Debug)]
pub struct Tls {
    address: SocketAddr,
    authority: NamedTempFile,
}

impl Tls {
    /// Starts a proxy that passes everything on to `upstream`.
    pub async fn before(upstream: SocketAddr) -> Self {
        let mut parameters = CertificateParams::new([]).unwrap();
        parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let authority_key = KeyPair::generate().unwrap();
        let mut authority = NamedTempFile::new().unwrap();
        let pem = parameters.self_signed(&authority_key).unwrap().pem();
        authority.write_all(pem.as_bytes()).unwrap();
        let issuer = Issuer::new(parameters, authority_key);
        let key = KeyPair::generate().unwrap();
        let own = CertificateParams::new(["localhost".to_owned()]).unwrap();
        let certificate = own.signed_by(&key, &issuer).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(
                vec![certificate.der().clone()],
                PrivateKeyDer::Pkcs8(key.serialize_der().into()),
            )
            .unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(serve(
            listener,
            TlsAcceptor::from(Arc::new(config)),
            upstream,
        ));
        Self { address, authority }
    }

    /// Its URL.
    pub fn url(&self) -> String {
        format!("https://localhost:{}", self.address.port())
    }

    /// The file with the authority's certificate.
    pub fn authority(&self) -> &Path {
        self.authority.path()
    }
}

async fn serve(listener: TcpListener, acceptor: TlsAcceptor, upstream: SocketAddr) {
    while let Ok((stream, _)) = listener.accept().await {
        let acceptor = acceptor.clone();
        tokio::spawn(async move {
            // A caller that does not trust the authority ends the handshake.
            let Ok(mut inside) = acceptor.accept(stream).await else {
                return;
            };
            let mut outside = TcpStream::connect(upstream).await.unwrap();
            let _ = tokio::io::copy_bidirectional(&mut inside, &mut outside).await;
        });
    }
}
