//! Hashes and signatures for the cloud stores, without C: where ring is not built in, `object_store` takes these.

use graviola::signing::rsa::SigningKey;
use hmac::{Hmac, KeyInit, Mac};
use object_store::client::{CryptoProvider, DigestAlgorithm, DigestContext, HmacContext, Signer, SigningAlgorithm};
use object_store::{Error, Result};
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::PemObject;
use sha2::{Digest, Sha256};

/// SHA-256 and HMAC by the RustCrypto crates, RSA by graviola.
#[derive(Debug)]
pub(super) struct Signing;

impl CryptoProvider for Signing {
    fn digest(&self, algorithm: DigestAlgorithm) -> Result<Box<dyn DigestContext>> {
        match algorithm {
            DigestAlgorithm::Sha256 => Ok(Box::new(Running { state: Sha256::new(), result: Vec::new() })),
            other => Err(failed(format!("{other:?} is not known"))),
        }
    }

    fn hmac(&self, algorithm: DigestAlgorithm, secret: &[u8]) -> Result<Box<dyn HmacContext>> {
        match algorithm {
            DigestAlgorithm::Sha256 => {
                let state = Hmac::<Sha256>::new_from_slice(secret).map_err(failed)?;
                Ok(Box::new(Running { state, result: Vec::new() }))
            }
            other => Err(failed(format!("{other:?} is not known"))),
        }
    }

    fn sign(&self, algorithm: SigningAlgorithm, pem: &[u8]) -> Result<Box<dyn Signer>> {
        match algorithm {
            SigningAlgorithm::RS256 => Ok(Box::new(RsaKey(rsa_key(pem)?))),
            other => Err(failed(format!("{other:?} is not known"))),
        }
    }
}

/// A computation, and its result once it is finished.
struct Running<S> {
    state: S,
    result: Vec<u8>,
}

impl DigestContext for Running<Sha256> {
    fn update(&mut self, data: &[u8]) {
        Digest::update(&mut self.state, data);
    }

    fn finish(&mut self) -> Result<&[u8]> {
        self.result = self.state.finalize_reset().to_vec();
        Ok(&self.result)
    }
}

impl HmacContext for Running<Hmac<Sha256>> {
    fn update(&mut self, data: &[u8]) {
        Mac::update(&mut self.state, data);
    }

    fn finish(&mut self) -> Result<&[u8]> {
        self.result = self.state.clone().finalize().into_bytes().to_vec();
        Ok(&self.result)
    }
}

struct RsaKey(SigningKey);

impl Signer for RsaKey {
    fn sign(&self, text: &[u8]) -> Result<Vec<u8>> {
        let mut signature = vec![0; self.0.modulus_len_bytes()];
        self.0.sign_pkcs1_sha256(&mut signature, text).map_err(|error| failed(format!("{error:?}")))?;
        Ok(signature)
    }
}

/// A service account's key, in PKCS #8 or PKCS #1.
fn rsa_key(pem: &[u8]) -> Result<SigningKey> {
    let key = match PrivateKeyDer::from_pem_slice(pem).map_err(failed)? {
        PrivateKeyDer::Pkcs8(key) => SigningKey::from_pkcs8_der(key.secret_pkcs8_der()),
        PrivateKeyDer::Pkcs1(key) => SigningKey::from_pkcs1_der(key.secret_pkcs1_der()),
        _ => return Err(failed("it is no RSA key")),
    };
    key.map_err(|error| failed(format!("it is no RSA key: {error:?}")))
}

fn failed(problem: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Error {
    Error::Generic { store: "signing", source: problem.into() }
}

#[cfg(test)]
mod tests {
    use graviola::signing::rsa::KeySize;

    use super::*;

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// FIPS 180-2, appendix B.1, and RFC 4231, test case 2.
    #[test]
    fn hashes_are_those_of_the_standards() {
        let mut digest = Signing.digest(DigestAlgorithm::Sha256).unwrap();
        digest.update(b"a");
        digest.update(b"bc");
        let expected = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(hex(digest.finish().unwrap()), expected);
        let mut hmac = Signing.hmac(DigestAlgorithm::Sha256, b"Jefe").unwrap();
        hmac.update(b"what do ya want for nothing?");
        let expected = "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843";
        assert_eq!(hex(hmac.finish().unwrap()), expected);
    }

    #[test]
    fn keys_sign_from_their_pem_text() {
        use base64::Engine as _;
        let key = SigningKey::generate(KeySize::Rsa2048).unwrap();
        let mut buffer = [0; 4096];
        for label in ["PRIVATE KEY", "RSA PRIVATE KEY"] {
            let der =
                if label == "PRIVATE KEY" { key.to_pkcs8_der(&mut buffer) } else { key.to_pkcs1_der(&mut buffer) };
            let text = base64::engine::general_purpose::STANDARD.encode(der.unwrap());
            let pem = format!("-----BEGIN {label}-----\n{text}\n-----END {label}-----\n");
            let signature = Signing.sign(SigningAlgorithm::RS256, pem.as_bytes()).unwrap().sign(b"token").unwrap();
            key.public_key().verify_pkcs1_sha256(&signature, b"token").unwrap();
        }
        assert!(Signing.sign(SigningAlgorithm::RS256, b"no key").is_err());
    }
}
