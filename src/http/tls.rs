//! TLS on the delivery listener: HTTP/2 and HTTP/1.1, by a certificate that is read again when its files change.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use rustls::ServerConfig;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use tokio_rustls::TlsAcceptor;

/// Why the files are no certificate and its key.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file cannot be read.
    #[error("{} cannot be read: {source}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// What happened.
        source: std::io::Error,
    },
    /// A file is not what it should be.
    #[error("{} is no {expected}: {problem}", path.display())]
    Pem {
        /// Which.
        path: PathBuf,
        /// What was expected.
        expected: &'static str,
        /// What is wrong; nothing of a key's bytes.
        problem: String,
    },
    /// They are, but do not belong together, or the provider cannot use them.
    #[error("the certificate {} and the key {} cannot be used together: {source}", certificate.display(), key.display())]
    Pair {
        /// The certificate's file.
        certificate: PathBuf,
        /// The key's file.
        key: PathBuf,
        /// What is wrong.
        source: rustls::Error,
    },
}

/// The files of a certificate chain and its key, both PEM.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Files {
    /// The server's certificate first, then those that lead to the root.
    pub certificate: PathBuf,
    /// PKCS #8, SEC 1 or PKCS #1.
    pub key: PathBuf,
}

/// What the files held when they were last looked at.
#[derive(Clone, PartialEq, Eq)]
struct Contents {
    certificate: Vec<u8>,
    key: Vec<u8>,
}

/// A certificate in use, and where it comes from.
pub struct Certificate {
    files: Files,
    state: Mutex<State>,
}

struct State {
    /// Good or not: what was looked at is not complained of twice.
    seen: Contents,
    current: Arc<CertifiedKey>,
}

impl std::fmt::Debug for Certificate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Certificate").field("files", &self.files).finish_non_exhaustive()
    }
}

impl Certificate {
    /// Reads the files. A TLS provider must be installed.
    ///
    /// # Errors
    /// Any [`Error`].
    pub fn open(files: Files) -> Result<Self, Error> {
        let seen = files.read()?;
        let current = Arc::new(files.certified(&seen)?);
        Ok(Self { files, state: Mutex::new(State { seen, current }) })
    }

    /// Takes what the files hold now, if it is another pair and a good one; else the last good one stays. It reads files, and
    /// may block.
    pub fn poll(&self) {
        let contents = match self.files.read() {
            Ok(contents) => contents,
            // Somebody is replacing them.
            Err(error) => return tracing::debug!(%error, "the certificate cannot be read"),
        };
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if contents == state.seen {
            return;
        }
        match self.files.certified(&contents) {
            Ok(pair) => {
                state.current = Arc::new(pair);
                tracing::info!(file = %self.files.certificate.display(), "a new certificate is in use");
            }
            Err(error) => tracing::warn!(%error, "the last good certificate stays in use"),
        }
        state.seen = contents;
    }

    /// What accepts connections with whatever certificate is in use then.
    pub fn acceptor(self: &Arc<Self>) -> TlsAcceptor {
        let mut config = ServerConfig::builder().with_no_client_auth().with_cert_resolver(Arc::clone(self) as _);
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        TlsAcceptor::from(Arc::new(config))
    }
}

impl ResolvesServerCert for Certificate {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.state.lock().unwrap_or_else(PoisonError::into_inner).current))
    }
}

impl Files {
    fn read(&self) -> Result<Contents, Error> {
        let read = |path: &PathBuf| std::fs::read(path).map_err(|source| Error::File { path: path.clone(), source });
        Ok(Contents { certificate: read(&self.certificate)?, key: read(&self.key)? })
    }

    fn certified(&self, contents: &Contents) -> Result<CertifiedKey, Error> {
        let bad = |path: &PathBuf, expected, problem: String| Error::Pem { path: path.clone(), expected, problem };
        let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&contents.certificate).collect();
        let chain = chain.map_err(|error| bad(&self.certificate, "PEM certificate", error.to_string()))?;
        if chain.is_empty() {
            return Err(bad(&self.certificate, "PEM certificate", "it holds none".to_owned()));
        }
        let key = PrivateKeyDer::from_pem_slice(&contents.key)
            .map_err(|_| bad(&self.key, "PEM private key", "it holds none that can be read".to_owned()))?;
        let pair = |source| Error::Pair { certificate: self.certificate.clone(), key: self.key.clone(), source };
        let provider = CryptoProvider::get_default()
            .ok_or_else(|| pair(rustls::Error::General("no TLS provider is installed".to_owned())))?;
        CertifiedKey::from_der(chain, key, provider).map_err(pair)
    }
}
