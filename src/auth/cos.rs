//! Signatures of Tencent's COS and CI: an HMAC-SHA1 over method, path, and the headers and parameters that it lists
//! (Tencent spec 9), in the header `Authorization` or as `q-…` parameters of a presigned URL.

use hmac::Mac;
use percent_encoding::percent_decode_str;
use sha1::{Digest, Sha1};

use super::{Grant, KeyRing, keyed};
use crate::error::ErrorKind;

/// Why a COS signature grants nothing. No text shows a secret.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// There is none.
    #[error("the request is not signed; expected Authorization: q-sign-algorithm=sha1&q-ak=…, or these as parameters")]
    Missing,
    /// It lacks a field, or has one that cannot be read.
    #[error("the signature's {field} is missing or malformed; expected {expected}")]
    Malformed {
        /// The field.
        field: &'static str,
        /// What should stand there.
        expected: &'static str,
    },
    /// Nobody knows its key.
    #[error("the SecretId does not exist")]
    UnknownKey,
    /// Its time has passed, or has not come.
    #[error("Request has expired")]
    Expired,
    /// It lists what the request does not have.
    #[error("the signature lists {name:?}, which the request does not have")]
    Absent {
        /// The header or parameter.
        name: String,
    },
    /// It is over another request, or made with another secret.
    #[error("the signature does not match the request")]
    Mismatch,
}

impl Error {
    /// What kind of failure it is.
    pub fn kind(&self) -> ErrorKind {
        ErrorKind::Unauthorized
    }
}

/// What of a request may be signed.
#[derive(Clone, Debug)]
pub struct SignedCall<'a> {
    /// The method.
    pub method: &'a str,
    /// The path as sent, without the query.
    pub path: &'a str,
    /// The query as sent.
    pub query: &'a str,
    /// The host that was asked, as sent.
    pub host: &'a str,
    /// Every other header, names in lower case.
    pub headers: &'a [(&'a str, &'a str)],
}

/// The fields of a signature.
#[derive(Debug, Default)]
struct Fields {
    access_key: String,
    sign_time: String,
    key_time: String,
    headers: String,
    parameters: String,
    signature: String,
}

/// Who signed the request, as of `now` in seconds since 1970.
///
/// # Errors
/// [`Error`].
pub fn verify(call: &SignedCall<'_>, now: u64, keys: &KeyRing) -> Result<Grant, Error> {
    let fields = Fields::of(call)?;
    let end = fields.end_at(now)?;
    let secret = keys.get(&fields.access_key).ok_or(Error::UnknownKey)?.secret.expose();
    let sign_key = hex(&keyed(secret, fields.key_time.as_bytes()).finalize().into_bytes());
    let signature =
        unhex(&fields.signature).ok_or(Error::Malformed { field: "q-signature", expected: "40 hexadecimal digits" })?;
    // Clients differ in whether the host is signed with its port, and in which of the two times is.
    for host in hosts(call.host) {
        let digest = hex(&Sha1::digest(fields.http_string(call, host)?));
        for time in [&fields.sign_time, &fields.key_time] {
            let text = format!("sha1\n{time}\n{digest}\n");
            if keyed(&sign_key, text.as_bytes()).verify_slice(&signature).is_ok() {
                return Ok(Grant { access_key: fields.access_key.clone(), expires: Some(end) });
            }
        }
    }
    Err(Error::Mismatch)
}

/// Whether a request has a signature of this kind, good or bad.
pub fn is_signed(authorization: Option<&str>, query: &str) -> bool {
    let begins = |text: &str| text.starts_with("q-sign-algorithm=");
    authorization.is_some_and(begins) || query.split('&').any(begins)
}

/// Whether a parameter of a query belongs to its signature.
pub fn is_credential(name: &str) -> bool {
    name.starts_with("q-") || matches!(name, "sign" | "x-cos-security-token" | "x-ci-security-token")
}

impl Fields {
    fn of(call: &SignedCall<'_>) -> Result<Self, Error> {
        let query = pairs(call.query);
        let header = call.headers.iter().find(|(name, _)| *name == "authorization").map(|(_, value)| *value);
        // One SDK puts the whole value into one parameter.
        let sign = query.iter().find(|(name, _)| name == "sign").map(|(_, value)| value.as_str());
        if let Some(value) = header.or(sign) {
            let fields = value.split('&').filter_map(|field| field.split_once('='));
            return Self::read(fields);
        }
        Self::read(query.iter().map(|(name, value)| (name.as_str(), value.as_str())))
    }

    fn read<'a>(fields: impl Iterator<Item = (&'a str, &'a str)>) -> Result<Self, Error> {
        let (mut read, mut algorithm) = (Self::default(), None);
        for (name, value) in fields {
            let field = match name.trim() {
                "q-sign-algorithm" => algorithm.insert(String::new()),
                "q-ak" => &mut read.access_key,
                "q-sign-time" => &mut read.sign_time,
                "q-key-time" => &mut read.key_time,
                "q-header-list" => &mut read.headers,
                "q-url-param-list" => &mut read.parameters,
                "q-signature" => &mut read.signature,
                _ => continue,
            };
            value.trim().clone_into(field);
        }
        match algorithm.as_deref() {
            Some("sha1") => Ok(read),
            Some(_) => Err(Error::Malformed { field: "q-sign-algorithm", expected: "sha1" }),
            None => Err(Error::Missing),
        }
    }

    /// When the signature ends, where `now` lies in both of its times.
    fn end_at(&self, now: u64) -> Result<u64, Error> {
        let mut end = u64::MAX;
        for (field, value) in [("q-sign-time", &self.sign_time), ("q-key-time", &self.key_time)] {
            let malformed = Error::Malformed { field, expected: "<seconds since 1970>;<seconds since 1970>" };
            let times = value.split_once(';').and_then(|(from, until)| Some((from.parse().ok()?, until.parse().ok()?)));
            let (from, until): (u64, u64) = times.ok_or(malformed)?;
            if now < from || now > until {
                return Err(Error::Expired);
            }
            end = end.min(until);
        }
        Ok(end)
    }

    fn http_string(&self, call: &SignedCall<'_>, host: &str) -> Result<Vec<u8>, Error> {
        let headers = call.headers.iter().filter(|(name, _)| *name != "host");
        let headers =
            headers.map(|(name, value)| (name_of(name), encoded(value))).chain([("host".into(), encoded(host))]);
        let query = pairs(call.query);
        let parameters = query.iter().map(|(name, value)| (name_of(name), encoded(value)));
        let parameters = listed(&self.parameters, &parameters.collect::<Vec<_>>())?;
        let headers = listed(&self.headers, &headers.collect::<Vec<_>>())?;
        let mut text = format!("{}\n", call.method.to_ascii_lowercase()).into_bytes();
        text.extend(percent_decode_str(call.path));
        text.extend(format!("\n{parameters}\n{headers}\n").bytes());
        Ok(text)
    }
}

/// Those of `all` that are listed, by name, as they are signed.
fn listed(list: &str, all: &[(String, String)]) -> Result<String, Error> {
    let mut names: Vec<String> = list.split(';').filter(|name| !name.is_empty()).map(str::to_ascii_lowercase).collect();
    names.sort_unstable();
    names.dedup();
    let mut signed = Vec::new();
    for name in names {
        let before = signed.len();
        signed.extend(all.iter().filter(|(found, _)| *found == name).map(|(name, value)| format!("{name}={value}")));
        if signed.len() == before {
            return Err(Error::Absent { name });
        }
    }
    Ok(signed.join("&"))
}

/// A host as sent, and without its port.
fn hosts(host: &str) -> impl Iterator<Item = &str> {
    let bare = host.rsplit_once(':').filter(|(_, port)| port.bytes().all(|byte| byte.is_ascii_digit()));
    std::iter::once(host).chain(bare.map(|(bare, _)| bare))
}

/// The members of a query, decoded; one without `=` has an empty value.
pub fn pairs(query: &str) -> Vec<(String, String)> {
    url::form_urlencoded::parse(query.as_bytes()).into_owned().collect()
}

fn name_of(name: &str) -> String {
    encoded(name).to_ascii_lowercase()
}

fn encoded(text: &str) -> String {
    let mut found = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => found.push(byte.into()),
            byte => found.push_str(&format!("%{byte:02X}")),
        }
    }
    found
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    let is_hex = text.len() == 40 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    is_hex.then(|| (0..20).filter_map(|at| u8::from_str_radix(&text[2 * at..2 * at + 2], 16).ok()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::Key;
    use crate::settings::Secret;

    const AK: &str = "AKIDEXAMPLEEXAMPLEEXAMPLEEXAMPLE0000";
    const CI: &str = "test-1250000000.ci.ap-chongqing.myqcloud.com";
    const COS: &str = "test-1250000000.cos.ap-chongqing.myqcloud.com";
    const TIMES: &str = "1700000000;1700003600";
    const NOW: u64 = 1_700_000_100;

    fn ring() -> KeyRing {
        let secret = Secret::new("EXAMPLEsecretKEYexampleSECRETkey");
        KeyRing::new([(AK.to_owned(), Key { secret, buckets: vec!["*".to_owned()] })])
    }

    struct Vector<'a> {
        method: &'a str,
        target: &'a str,
        host: &'a str,
        headers: &'a [(&'a str, &'a str)],
        lists: (&'a str, &'a str),
        digest: &'a str,
        signature: &'a str,
    }

    const RULE: &str =
        "imagemogr2%2fthumbnail%2f%2150p%7cwatermark%2f2%2ftext%2fagvsbg8%2ffill%2fiznem0qzra%2ffontsize%2f30";

    /// Spec 9.4, V1 to V5.
    const VECTORS: [Vector<'_>; 5] = [
        Vector {
            method: "POST",
            target: "/pic_jobs",
            host: CI,
            headers: &[("content-type", "application/xml"), ("content-length", "40")],
            lists: ("content-length;content-type;host", ""),
            digest: "a3ed5cc0b7d81f3010df803948247b5eb4f2fc8d",
            signature: "0795f14f745f2504421395c21782b5fcbdf56bce",
        },
        Vector {
            method: "GET",
            target: "/pic_jobs?tag=PicProcess&orderByTime=Desc&states=Success%2CFailed&size=10&nextToken=&queueId=p2911917386e148639319e13c285cc774&startCreationTime=2022-07-18T00%3A00%3A00%2B0800",
            host: CI,
            headers: &[],
            lists: ("host", "nexttoken;orderbytime;queueid;size;startcreationtime;states;tag"),
            digest: "3dc4dcf6cc1539e471a08c961f603f653a6120aa",
            signature: "41bfc508914b6c0745f4bba089ea061e5cbcee96",
        },
        Vector {
            method: "GET",
            target: "/input/deer.jpg?imageMogr2%2Fthumbnail%2F%2150p%7Cwatermark%2F2%2Ftext%2FaGVsbG8%2Ffill%2FIzNEM0QzRA%2Ffontsize%2F30=",
            host: COS,
            headers: &[],
            lists: ("host", RULE),
            digest: "9050830218021888343e5adb085a63607d004b79",
            signature: "6f0b0dbb9a591f198ac9742f42afbc08e35b8920",
        },
        Vector {
            method: "PUT",
            target: "/a%20b/%E5%9B%BE.jpg",
            host: COS,
            headers: &[
                ("content-type", "image/jpeg"),
                ("content-length", "4"),
                (
                    "pic-operations",
                    r#"{"is_pic_info":1,"rules":[{"fileid":"out.png","rule":"imageView2/format/png"}]}"#,
                ),
            ],
            lists: ("content-length;content-type;host;pic-operations", ""),
            digest: "162f565382178339983438cc99d0e5a3407ad846",
            signature: "43cf62b46dede25c5e0cd990ac8d8db47f7df9f3",
        },
        Vector {
            method: "PUT",
            target: "/jobs/c93984788066911ed89ed352d4d9d2084?cancel",
            host: CI,
            headers: &[("content-length", "0")],
            lists: ("content-length;host", ""),
            digest: "34ca9c6d9e2519c56fa316f6ecb86b70c077b7f5",
            signature: "6ff2d49f3f7dfb6dcf7b8e684090ac03df30df1c",
        },
    ];

    impl Vector<'_> {
        fn authorization(&self, ak: &str) -> String {
            let (headers, parameters) = self.lists;
            format!(
                "q-sign-algorithm=sha1&q-ak={ak}&q-sign-time={TIMES}&q-key-time={TIMES}&q-header-list={headers}\
                 &q-url-param-list={parameters}&q-signature={}",
                self.signature
            )
        }

        fn check(&self, authorization: &str, host: &str, now: u64) -> Result<Grant, Error> {
            let (path, query) = self.target.split_once('?').unwrap_or((self.target, ""));
            let headers: Vec<_> = self.headers.iter().copied().chain([("authorization", authorization)]).collect();
            verify(&SignedCall { method: self.method, path, query, host, headers: &headers }, now, &ring())
        }
    }

    #[test]
    fn the_vectors_of_the_specification() {
        for vector in &VECTORS {
            let authorization = vector.authorization(AK);
            for host in [vector.host.to_owned(), format!("{}:8080", vector.host)] {
                let granted = vector.check(&authorization, &host, NOW);
                assert_eq!(granted.map(|it| it.access_key).as_deref(), Ok(AK), "{} {host}", vector.target);
            }
            let (path, query) = vector.target.split_once('?').unwrap_or((vector.target, ""));
            let call = SignedCall { method: vector.method, path, query, host: vector.host, headers: vector.headers };
            let fields = Fields::read(authorization.split('&').filter_map(|field| field.split_once('='))).unwrap();
            assert_eq!(hex(&Sha1::digest(fields.http_string(&call, vector.host).unwrap())), vector.digest);
            assert_eq!(vector.check(&authorization, "other.example.com", NOW), Err(Error::Mismatch));
            assert_eq!(vector.check(&authorization, vector.host, 1_699_999_999), Err(Error::Expired));
            assert_eq!(vector.check(&authorization, vector.host, 1_700_003_601), Err(Error::Expired));
            assert_eq!(vector.check(&vector.authorization("nobody"), vector.host, NOW), Err(Error::UnknownKey));
        }
    }

    /// Spec 9.4, V6 and V7.
    #[test]
    fn presigned_urls() {
        let presigned = |lists: &str, signature: &str, rule: &str| {
            format!(
                "q-sign-algorithm=sha1&q-ak={AK}&q-sign-time=1700000000%3B1700003600&q-key-time=1700000000%3B1700003600\
                 &{lists}&q-signature={signature}{rule}"
            )
        };
        let of_rule = presigned(
            "q-header-list=host&q-url-param-list=imagemogr2%252fthumbnail%252f%252150p",
            "e7433560817a4c0357d47d10e50eec5e78413593",
            "&imageMogr2%2Fthumbnail%2F%2150p=",
        );
        let plain = presigned("q-header-list=&q-url-param-list=", "1771842c8008f754b87f7b01b935bcd45ef546ed", "");
        let check = |query: &str, path| {
            verify(&SignedCall { method: "GET", path, query, host: COS, headers: &[] }, NOW, &ring())
        };
        for query in [&of_rule, &plain] {
            assert_eq!(check(query, "/input/deer.jpg").map(|it| it.access_key).as_deref(), Ok(AK), "{query}");
            assert_eq!(check(query, "/input/cat.jpg"), Err(Error::Mismatch));
        }
        let without = of_rule.replace("&imageMogr2%2Fthumbnail%2F%2150p=", "");
        assert!(matches!(check(&without, "/input/deer.jpg"), Err(Error::Absent { .. })));
    }

    #[test]
    fn what_is_no_signature() {
        let check = |authorization: &str| VECTORS[0].check(authorization, CI, NOW);
        let good = VECTORS[0].authorization(AK);
        for (text, field) in [
            (good.replace("sha1", "md5"), "q-sign-algorithm"),
            (good.replace("q-sign-time", "q-other"), "q-sign-time"),
            (good.replace("3600&q-h", "x&q-h"), "q-key-time"),
            (good.replace("q-signature=07", "q-signature=€"), "q-signature"),
        ] {
            assert!(matches!(check(&text), Err(Error::Malformed { field: found, .. }) if found == field), "{text}");
        }
        assert_eq!(check("QBox a:b"), Err(Error::Missing));
    }

    /// The page's own examples, whose keys are masked: what is hashed.
    #[test]
    fn the_documents_examples() {
        let host = "examplebucket-1250000000.cos.ap-beijing.myqcloud.com";
        let headers = format!(
            "content-length=13&content-md5=mQ%2FfVh815F3k6TAUm8m0eg%3D%3D&content-type=text%2Fplain\
             &date=Thu%2C%2016%20May%202019%2006%3A45%3A51%20GMT&host={host}&x-cos-acl=private\
             &x-cos-grant-read=uin%3D%22100000000011%22"
        );
        let text = format!("put\n/exampleobject(腾讯云)\n\n{headers}\n");
        assert_eq!(hex(&Sha1::digest(&text)), "8b2751e77f43a0995d6e9eb9477f4b685cca4172");
    }
}
