//! Signatures of what the server sends to owners.

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use super::KeyRing;
use super::management::is_call;

/// `QBox AK:signature` over path, query and a line feed, as the vendor's clients verify a message whose body is JSON (spec
/// 7.5); `None` for an unknown access key, a URL that is none, and one whose signature could be used against this server.
pub fn vendor(keys: &KeyRing, access_key: &str, url: &str) -> Option<String> {
    let url = url::Url::parse(url).ok().filter(|url| !is_call(url.path()))?;
    let query = url.query().map(|query| format!("?{query}")).unwrap_or_default();
    Some(format!("QBox {}", keys.sign(access_key, &format!("{}{query}\n", url.path()))?))
}

/// `t=<seconds since 1970>,v1=<hex>`: the HMAC-SHA256, under the owner's secret, of the seconds, a full stop and the body.
/// `None` for an unknown access key.
pub fn general(keys: &KeyRing, access_key: &str, seconds: i64, body: &[u8]) -> Option<String> {
    let secret = keys.get(access_key)?.secret.expose();
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).expect("HMAC takes a key of any length");
    mac.update(format!("{seconds}.").as_bytes());
    mac.update(body);
    let hex: String = mac.finalize().into_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
    Some(format!("t={seconds},v1={hex}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The expected values are by Python's hmac module.
    #[test]
    fn owners_can_check_both() {
        let keys = KeyRing::sample();
        assert_eq!(vendor(&keys, "nobody", "http://a/b"), None);
        for call in ["https://evil.example.com/delete/cGhvdG9zOmE=", "https://evil.example.com/x/../batch?op=/stat/x"] {
            assert_eq!(vendor(&keys, "MY_ACCESS_KEY", call), None, "{call}");
        }
        let signed = vendor(&keys, "MY_ACCESS_KEY", "https://app.example.com/done?job=1").unwrap();
        assert_eq!(signed, format!("QBox {}", keys.sign("MY_ACCESS_KEY", "/done?job=1\n").unwrap()));
        assert_eq!(
            general(&keys, "MY_ACCESS_KEY", 1_700_000_000, br#"{"id":"x"}"#).unwrap(),
            "t=1700000000,v1=5782f37a02f2617c59fa764fe94f8f5bf30afe9aad08724daca9780272089e4e"
        );
    }
}
