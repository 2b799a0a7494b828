//! Whom to trust over TLS.

use std::env;
use std::sync::{Arc, OnceLock};

use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};
use rustls_platform_verifier::Verifier;
use webpki_root_certs::TLS_SERVER_ROOT_CERTS;

use super::BuildError;

type Roots = Vec<CertificateDer<'static>>;

/// TLS 1.2 and 1.3 by ring. The provider is passed along, not installed: which one a process has is the
/// choice of the program, not of a library.
///
/// Where TLS is not `needed`, a system without roots is no error: then nobody is trusted.
pub(super) fn config(extra: Roots, http2: bool, needed: bool) -> Result<ClientConfig, BuildError> {
    let provider = Arc::new(ring::default_provider());
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(|error| BuildError::Tls {
            reason: error.to_string(),
        })?;
    let builder = match verifier(extra, &provider) {
        Ok(verifier) => builder
            .dangerous()
            .with_custom_certificate_verifier(verifier),
        Err(error) if needed => return Err(error),
        Err(_) => builder.with_root_certificates(RootCertStore::empty()),
    };
    let mut config = builder.with_no_client_auth();
    let protocols: &[&str] = if http2 {
        &["h2", "http/1.1"]
    } else {
        &["http/1.1"]
    };
    config.alpn_protocols = protocols.iter().map(|&protocol| protocol.into()).collect();
    Ok(config)
}

/// The roots of the system and the extra ones. A bare system without any gets Mozilla's, unless the
/// user named others by `SSL_CERT_FILE` or `SSL_CERT_DIR`: then to trust more would be to overrule him.
fn verifier(mut extra: Roots, provider: &Arc<CryptoProvider>) -> Result<Arc<Verifier>, BuildError> {
    match system_verifier(provider) {
        Ok(verifier) if extra.is_empty() => return Ok(verifier),
        Ok(_) => {}
        Err(_) if are_roots_named() => {
            let reason = "SSL_CERT_FILE or SSL_CERT_DIR is set, but leads to no certificate".into();
            return Err(BuildError::Tls { reason });
        }
        Err(_) => extra.extend(TLS_SERVER_ROOT_CERTS.iter().cloned()),
    }
    Verifier::new_with_extra_roots(extra, Arc::clone(provider))
        .map(Arc::new)
        .map_err(|error| BuildError::Tls {
            reason: error.to_string(),
        })
}

/// The roots of the system, read once per process: there may be hundreds of files of them.
fn system_verifier(provider: &Arc<CryptoProvider>) -> Result<Arc<Verifier>, rustls::Error> {
    static SYSTEM: OnceLock<Arc<Verifier>> = OnceLock::new();
    if let Some(verifier) = SYSTEM.get() {
        return Ok(Arc::clone(verifier));
    }
    let verifier = Arc::new(Verifier::new(Arc::clone(provider))?);
    Ok(Arc::clone(SYSTEM.get_or_init(|| verifier)))
}

fn are_roots_named() -> bool {
    ["SSL_CERT_FILE", "SSL_CERT_DIR"]
        .iter()
        .any(|name| env::var_os(name).is_some())
}

/// The certificates of a PEM file.
pub(super) fn roots_of(pem: &[u8]) -> Result<Roots, BuildError> {
    let roots: Result<Roots, _> = CertificateDer::pem_slice_iter(pem).collect();
    match roots {
        Ok(roots) if !roots.is_empty() => Ok(roots),
        Ok(_) => Err(BuildError::Tls {
            reason: "the PEM text holds no certificate".into(),
        }),
        Err(error) => Err(BuildError::Tls {
            reason: error.to_string(),
        }),
    }
}
