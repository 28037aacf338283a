//! Mutual TLS 1.3, in QUIC and on TCP: only members of one deployment talk to one another.
//!
//! One cipher suite, AES-128-GCM: the cheapest with the usual instructions, and one thing less that
//! differs between runs.
//! Sessions are not resumed: every handshake shows both certificates.

use std::sync::Arc;

use quinn::crypto::rustls::{NoInitialCipherSuite, QuicClientConfig, QuicServerConfig};
use rustls::crypto::CryptoProvider;
use rustls::crypto::ring::{cipher_suite, default_provider};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::server::{VerifierBuilderError, WebPkiClientVerifier};
use rustls::version::TLS13;
use rustls::{ClientConfig, RootCertStore, ServerConfig};

use super::identity::Identity;

/// Why an identity is of no use.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The certificate, the key or the authority is not what it should be.
    #[error("the certificate, key or authority is unusable")]
    Certificate(#[from] rustls::Error),
    /// The authority cannot verify peers.
    #[error("the authority cannot verify peers")]
    Verifier(#[from] VerifierBuilderError),
    /// The cipher suite that QUIC begins with is missing.
    #[error("AES-128-GCM is missing")]
    Suite(#[from] NoInitialCipherSuite),
}

/// The side that is dialled, as QUIC wants it.
pub(super) fn quic_server(identity: &Identity, alpn: &[u8]) -> Result<QuicServerConfig, Error> {
    Ok(server(identity, alpn)?.try_into()?)
}

/// The side that dials, as QUIC wants it.
pub(super) fn quic_client(identity: &Identity, alpn: &[u8]) -> Result<QuicClientConfig, Error> {
    Ok(client(identity, alpn)?.try_into()?)
}

/// The side that is dialled: asks for a certificate of the same authority.
pub(super) fn server(identity: &Identity, alpn: &[u8]) -> Result<ServerConfig, Error> {
    let provider = provider();
    let roots = Arc::new(roots(identity)?);
    let verifier =
        WebPkiClientVerifier::builder_with_provider(roots, Arc::clone(&provider)).build()?;
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&TLS13])?
        .with_client_cert_verifier(verifier)
        .with_single_cert(chain(identity), key(identity))?;
    config.alpn_protocols = vec![alpn.to_vec()];
    config.send_tls13_tickets = 0;
    Ok(config)
}

/// The side that dials: shows its certificate, and asks for one with the name that it dials.
pub(super) fn client(identity: &Identity, alpn: &[u8]) -> Result<ClientConfig, Error> {
    let mut config = ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&TLS13])?
        .with_root_certificates(roots(identity)?)
        .with_client_auth_cert(chain(identity), key(identity))?;
    config.alpn_protocols = vec![alpn.to_vec()];
    config.resumption = rustls::client::Resumption::disabled();
    Ok(config)
}

/// The cryptography.
pub(super) fn provider() -> Arc<CryptoProvider> {
    let cipher_suites = vec![cipher_suite::TLS13_AES_128_GCM_SHA256];
    Arc::new(CryptoProvider { cipher_suites, ..default_provider() })
}

/// Whom this member believes.
pub(super) fn roots(identity: &Identity) -> Result<RootCertStore, rustls::Error> {
    let mut roots = RootCertStore::empty();
    roots.add(identity.authority.clone().into())?;
    Ok(roots)
}

fn chain(identity: &Identity) -> Vec<CertificateDer<'static>> {
    vec![identity.certificate.clone().into()]
}

fn key(identity: &Identity) -> PrivateKeyDer<'static> {
    PrivatePkcs8KeyDer::from(identity.key.clone()).into()
}
