//! Signatures of requests: `Authorization: QBox <AK:signature>` (spec 2.2) and `Authorization: Qiniu <AK:signature>`
//! (spec 2.3), checked for those who call this server, and made for callbacks that it sends (spec 2.5).

use std::time::{Duration, SystemTime};

use percent_encoding::percent_decode_str;

use super::{Error, Grant, KeyRing, hmac_sha1_b64};

/// Bodies of this type are signed by `QBox`.
pub const FORM_TYPE: &str = "application/x-www-form-urlencoded";

/// Bodies of this type are never signed by `Qiniu`.
const OCTETS_TYPE: &str = "application/octet-stream";

/// How far a request's `X-Qiniu-Date` may be from the server's clock.
const MAX_SKEW: Duration = Duration::from_secs(15 * 60);

const DATE_HEADER: &str = "X-Qiniu-Date";

/// What of a request its signature covers.
#[derive(Clone, Copy, Debug)]
pub struct SignedRequest<'a> {
    /// The method, in capitals.
    pub method: &'a str,
    /// Path and query as they are on the wire.
    pub target: &'a str,
    /// The `Host` header.
    pub host: &'a str,
    /// Every header, by name in any case; only `Content-Type` and `X-Qiniu-…` are looked at.
    pub headers: &'a [(&'a str, &'a str)],
    /// The body, whole.
    pub body: &'a [u8],
}

impl SignedRequest<'_> {
    fn content_type(&self) -> Option<&str> {
        let found = self.headers.iter().find(|(name, _)| name.eq_ignore_ascii_case("content-type"));
        found.map(|(_, value)| *value).filter(|value| !value.is_empty())
    }

    /// The texts that `QBox` may have signed: the target as sent, without a path that is `/` alone (clients sign an empty
    /// path as nothing), and decoded (the Go client signs that).
    fn qbox_texts(&self) -> impl Iterator<Item = Vec<u8>> {
        let body = if self.content_type() == Some(FORM_TYPE) { self.body } else { &[] };
        targets(self.target).map(move |target| [target.as_bytes(), b"\n", body].concat())
    }

    /// The texts that `Qiniu` may have signed; clients do not agree on which bodies are covered (spec 2.3).
    fn qiniu_texts(&self) -> impl Iterator<Item = Vec<u8>> {
        let content_type = self.content_type();
        let covers_body = content_type.is_some_and(|it| it != OCTETS_TYPE) && !self.body.is_empty();
        let bodies = if covers_body { vec![self.body, &[]] } else { vec![&[][..]] };
        let headers = self.signed_headers();
        let heads = targets(self.target).flat_map(move |target| {
            let head = |host| format!("{} {target}\nHost: {host}\n{headers}\n", self.method);
            hosts(self.host).map(head).collect::<Vec<_>>()
        });
        heads.flat_map(move |head| bodies.clone().into_iter().map(move |body| [head.as_bytes(), body].concat()))
    }

    /// `Content-Type` and every `X-Qiniu-…`, sorted by name, a line each.
    fn signed_headers(&self) -> String {
        let content_type = self.content_type().map(|it| format!("Content-Type: {it}\n"));
        let named = self.headers.iter().map(|(name, value)| (canonical(name), *value));
        let mut own: Vec<_> = named.filter(|(name, _)| name.len() > 8 && name.starts_with("X-Qiniu-")).collect();
        own.sort();
        let lines = own.iter().map(|(name, value)| format!("{name}: {value}\n"));
        content_type.into_iter().chain(lines).collect()
    }
}

/// The spellings of a target that a client may have signed.
fn targets(target: &str) -> impl Iterator<Item = String> + use<> {
    let bare = target.strip_prefix('/').filter(|rest| rest.is_empty() || rest.starts_with('?'));
    let (path, query) = target.split_at(target.find('?').unwrap_or(target.len()));
    let decoded = percent_decode_str(path).decode_utf8().ok().map(|path| format!("{path}{query}"));
    let decoded = decoded.filter(|decoded| decoded != target);
    [Some(target.to_owned()), bare.map(str::to_owned), decoded].into_iter().flatten()
}

/// The spellings of a host that a client may have signed: the Node client names a port twice.
fn hosts(host: &str) -> impl Iterator<Item = String> {
    let port = host.rsplit_once(':').map(|(_, port)| port).filter(|port| port.bytes().all(|it| it.is_ascii_digit()));
    [Some(host.to_owned()), port.map(|port| format!("{host}:{port}"))].into_iter().flatten()
}

/// A header's name as Go writes it: `x-qiniu-aaa` is `X-Qiniu-Aaa`.
fn canonical(name: &str) -> String {
    let mut starts = true;
    let upper = |c: char| {
        let c = if starts { c.to_ascii_uppercase() } else { c.to_ascii_lowercase() };
        starts = c == '-';
        c
    };
    name.chars().map(upper).collect()
}

/// Checks `authorization`, the header's value, against the request it came with.
///
/// # Errors
/// [`Error::BadToken`] for anything but a good signature by a known key, [`Error::Skewed`] where the request is dated
/// more than 15 minutes from `now`.
pub fn verify(
    authorization: &str,
    request: &SignedRequest<'_>,
    now: SystemTime,
    keys: &KeyRing,
) -> Result<Grant, Error> {
    let (scheme, token) = authorization.split_once(' ').ok_or(Error::BadToken)?;
    let token = token.trim();
    let access_key = match scheme {
        "QBox" => keys.signer(token, request.qbox_texts()),
        "Qiniu" => keys.signer(token, request.qiniu_texts()),
        _ => None,
    };
    let access_key = access_key.ok_or(Error::BadToken)?;
    check_date(request, now)?;
    Ok(Grant { access_key: access_key.to_owned(), expires: None })
}

/// Refuses a request that was signed long ago, or will be. Without a date there is nothing to compare.
fn check_date(request: &SignedRequest<'_>, now: SystemTime) -> Result<(), Error> {
    let Some((_, text)) = request.headers.iter().find(|(name, _)| name.eq_ignore_ascii_case(DATE_HEADER)) else {
        return Ok(());
    };
    let date = parse_date(text).ok_or(Error::Skewed)?;
    let skew = now.duration_since(date).unwrap_or_else(|error| error.duration());
    if skew <= MAX_SKEW { Ok(()) } else { Err(Error::Skewed) }
}

/// A time written `20230101T000000Z`; days are counted as in Howard Hinnant's "chrono-compatible low-level date
/// algorithms".
fn parse_date(text: &str) -> Option<SystemTime> {
    let is_digit = |at: usize| at == 8 || at == 15 || text.as_bytes()[at].is_ascii_digit();
    if text.len() != 16 || !(0..16).all(is_digit) || !text.ends_with('Z') || text.as_bytes()[8] != b'T' {
        return None;
    }
    let number = |range: std::ops::Range<usize>| text.get(range)?.parse::<i64>().ok();
    let (year, month, day) = (number(0..4)?, number(4..6)?, number(6..8)?);
    let (hour, minute, second) = (number(9..11)?, number(11..13)?, number(13..15)?);
    if !(1..=12).contains(&month) || !(1..=31).contains(&day) || hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    let shifted = if month <= 2 { year - 1 } else { year };
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let days = shifted * 365 + shifted / 4 - shifted / 100 + shifted / 400 + day_of_year - 719_468;
    let seconds = u64::try_from(days * 86_400 + hour * 3600 + minute * 60 + second).ok()?;
    SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(seconds))
}

/// What the paths of calls begin with that a signature over their path is enough for.
const CALLS: [&str; 14] = [
    "batch",
    "buckets",
    "chgm",
    "chtype",
    "copy",
    "delete",
    "deleteAfterDays",
    "jobs",
    "list",
    "move",
    "notifications",
    "pfop",
    "queues",
    "stat",
];

/// Whether a `QBox` signature over `path` is a credential for this server's own API. `QBox` covers no host: who is sent one
/// could call in the signer's name, and the addresses that this server tells are often chosen by others than the key's holder.
pub fn is_call(path: &str) -> bool {
    path.split('/').nth(1).is_some_and(|first| CALLS.contains(&first))
}

/// The `Authorization` of a request that this server sends for the holder of `access_key`: `QBox` over the target and,
/// for forms, the body. `None` for an unknown access key.
pub fn sign(target: &str, content_type: &str, body: &[u8], access_key: &str, keys: &KeyRing) -> Option<String> {
    let headers = [("Content-Type", content_type)];
    let request = SignedRequest { method: "POST", target, host: "", headers: &headers, body };
    let text = request.qbox_texts().next()?;
    let secret = keys.get(access_key)?.secret.expose();
    Some(format!("QBox {access_key}:{}", hmac_sha1_b64(secret, &text)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::Key;
    use crate::settings::Secret;

    const FORM: &[(&str, &str)] = &[("content-type", FORM_TYPE)];
    const PFOP: &str = "bucket=photos&key=gogopher.jpg&fops=imageView2%2F2%2Fw%2F200%7Csaveas%2FcGhvdG9zOnRodW1icy9nb2dvcGhlci0yMDAuanBn&notifyURL=http%3A%2F%2Fcb.example.com%2Fnotify&pipeline=img";

    fn ring() -> KeyRing {
        let key = |secret: &str| Key { secret: Secret::new(secret), buckets: vec!["*".to_owned()] };
        KeyRing::new([
            ("MY_ACCESS_KEY".to_owned(), key("MY_SECRET_KEY")),
            ("abcdefghklmnopq".to_owned(), key("1234567890")),
            ("ak".to_owned(), key("sk")),
        ])
    }

    fn request<'a>(
        method: &'a str,
        host: &'a str,
        target: &'a str,
        headers: &'a [(&'a str, &'a str)],
        body: &'a str,
    ) -> SignedRequest<'a> {
        SignedRequest { method, target, host, headers, body: body.as_bytes() }
    }

    fn date(text: &str) -> SystemTime {
        parse_date(text).unwrap()
    }

    #[test]
    fn ports_may_be_named_twice() {
        for (host, spellings) in [
            ("a.example.com", vec!["a.example.com"]),
            ("127.0.0.1:8081", vec!["127.0.0.1:8081", "127.0.0.1:8081:8081"]),
            ("[::1]", vec!["[::1]"]),
            ("[::1]:80", vec!["[::1]:80", "[::1]:80:80"]),
        ] {
            assert_eq!(hosts(host).collect::<Vec<_>>(), spellings, "{host}");
        }
    }

    /// Spec 2.2.
    #[test]
    fn qbox_vectors() {
        for (token, target, headers, body) in [
            (
                "MY_ACCESS_KEY:FXsYh0wKHYPEsIAgdPD9OfjkeEM=",
                "/move/bmV3ZG9jczpmaW5kX21hbi50eHQ=/bmV3ZG9jczpmaW5kLm1hbi50eHQ=",
                &[][..],
                "",
            ),
            ("MY_ACCESS_KEY:oujZqihwpMK0DN5uU5xvWeizCkE=", "/stat/cGhvdG9zOmdvZ29waGVyLmpwZw==", &[], ""),
            ("MY_ACCESS_KEY:oZ-BCPwk76FZzxaOjdbD6wUM-Pc=", "/list?bucket=photos&limit=100", &[], ""),
            ("MY_ACCESS_KEY:0UHkBne0_6zY-NGP_f2Gx4C1Gwo=", "/pfop/", FORM, PFOP),
            ("MY_ACCESS_KEY:SnKutHZ6HSMLIXoXnjKtbiaJON4=", "/pfop", FORM, PFOP),
            ("abcdefghklmnopq:svWRNcacOE-YMsc70nuIYdaa1e4=", "/?go=1", FORM, "test"),
            ("abcdefghklmnopq:cFyRVoWrE3IugPIMP5YJFTO-O-Y=", "/?go=1", &[], "test"),
            ("ak:h8gBb1Adb2Jgoys1N8sRVAnNvpw=", "/", FORM, "name=test&language=go"),
        ] {
            let request = request("POST", "h", target, headers, body);
            let authorization = format!("QBox {token}");
            let grant = verify(&authorization, &request, SystemTime::UNIX_EPOCH, &ring());
            assert!(grant.is_ok_and(|grant| token.starts_with(&grant.access_key)), "{target} {body}");
        }
    }

    /// Spec 2.3.
    #[test]
    fn qiniu_vectors() {
        const DATED: &[(&str, &str)] = &[("content-type", FORM_TYPE), ("x-qiniu-date", "20230101T000000Z")];
        const JSON: &[(&str, &str)] = &[("content-type", "application/json")];
        const OCTETS: &[(&str, &str)] = &[("content-type", "application/octet-stream")];
        const NAMED: &[(&str, &str)] = &[
            ("content-type", FORM_TYPE),
            ("x-qiniu-bbb", "BBB"),
            ("x-qiniu-aaa", "DDD"),
            ("x-qiniu-", "ignored"),
            ("accept", "*/*"),
        ];
        for (token, method, host, target, headers, body) in [
            ("MY_ACCESS_KEY:s4NVaY9pkXcRIM7FBhTJ2MPbSd0=", "POST", "api.qiniuapi.com", "/pfop/", DATED, PFOP),
            (
                "MY_ACCESS_KEY:1dYAJp7Iuk7g8pzJIoW0Ok4_ggU=",
                "POST",
                "rs.qiniuapi.com",
                "/stat/cGhvdG9zOmdvZ29waGVyLmpwZw==",
                &[],
                "",
            ),
            (
                "MY_ACCESS_KEY:bDcz47Erb0XYoSP0U2acWRKyphs=",
                "GET",
                "rsf.qiniuapi.com",
                "/list?bucket=photos&limit=100",
                DATED,
                "",
            ),
            ("MY_ACCESS_KEY:z2qjSwC2S2V1_pZyIXjgx9LbLvg=", "POST", "h.example.com", "/x", JSON, r#"{"a":1}"#),
            ("MY_ACCESS_KEY:gERQETn_shUcxM93ig1A6MVSXeQ=", "POST", "h.example.com", "/x", OCTETS, "ignored"),
            ("ak:K1DI0goT05yhGizDFE5FiPJxAj4=", "GET", "", "/", JSON, r#"{"name": "test"}"#),
            ("ak:0ujEjW_vLRZxebsveBgqa3JyQ-w=", "POST", "", "/", JSON, r#"{"name": "test"}"#),
            ("ak:GShw5NitGmd5TLoo38nDkGUofRw=", "GET", "upload.qiniup.com", "/", FORM, r#"{"name": "test"}"#),
            (
                "ak:PUFPWsEUIpk_dzUvvxTTmwhp3p4=",
                "GET",
                "upload.qiniup.com",
                "/mkfile/sdf.jpg?s=er3&df",
                NAMED,
                "name=test&language=go",
            ),
        ] {
            let request = request(method, host, target, headers, body);
            let grant = verify(&format!("Qiniu {token}"), &request, date("20230101T001000Z"), &ring());
            assert!(grant.is_ok(), "{target} {body}: {grant:?}");
        }
    }

    #[test]
    fn refusals() {
        let good = "MY_ACCESS_KEY:oujZqihwpMK0DN5uU5xvWeizCkE=";
        let target = "/stat/cGhvdG9zOmdvZ29waGVyLmpwZw==";
        for authorization in [
            "",
            "QBox",
            "QBox ",
            "QBox nobody:oujZqihwpMK0DN5uU5xvWeizCkE=",
            "QBox MY_ACCESS_KEY:oujZqihwpMK0DN5uU5xvWeizCkA=",
            "QBox MY_ACCESS_KEY",
            "QBox MY_ACCESS_KEY:é",
            &format!("Qiniu {good}"),
            &format!("Basic {good}"),
            good,
        ] {
            let refused = verify(authorization, &request("POST", "h", target, &[], ""), SystemTime::now(), &ring());
            assert_eq!(refused, Err(Error::BadToken), "{authorization}");
        }
        for target in ["/stat/cGhvdG9zOmdvZ29waGVyLmpwZw=", "/stat/x", "/stat/cGhvdG9zOmdvZ29waGVyLmpwZw==?x"] {
            let request = request("POST", "h", target, &[], "");
            assert!(verify(&format!("QBox {good}"), &request, SystemTime::now(), &ring()).is_err(), "{target}");
        }
    }

    #[test]
    fn old_requests_are_refused() {
        let token = "Qiniu MY_ACCESS_KEY:s4NVaY9pkXcRIM7FBhTJ2MPbSd0=";
        let headers = [("content-type", FORM_TYPE), ("x-qiniu-date", "20230101T000000Z")];
        let request = request("POST", "api.qiniuapi.com", "/pfop/", &headers, PFOP);
        for (now, result) in [
            ("20230101T001500Z", Ok(())),
            ("20221231T234500Z", Ok(())),
            ("20230101T001501Z", Err(Error::Skewed)),
            ("20221231T234459Z", Err(Error::Skewed)),
        ] {
            assert_eq!(verify(token, &request, date(now), &ring()).map(|_| ()), result, "{now}");
        }
    }

    #[test]
    fn dates() {
        let seconds = |text| Some(parse_date(text)?.duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs());
        for (text, expected) in [
            ("19700101T000000Z", Some(0)),
            ("20230101T000000Z", Some(1_672_531_200)),
            ("20240229T235959Z", Some(1_709_251_199)),
            ("20231301T000000Z", None),
            ("2023-01-01T00:00", None),
            ("20230101T000000", None),
            ("2023010éT000000Z", None),
            ("", None),
        ] {
            assert_eq!(seconds(text), expected, "{text}");
        }
    }

    /// Spec 2.5.
    #[test]
    fn callbacks_are_signed() {
        let body = b"name=sunflower.jpg&hash=Fn6qeQi4VDLQ347NiRm-RlQx_4O2&location=Shanghai&price=1500.00&uid=123";
        let expected = "QBox abcdefghklmnopq:T7F-SjxX7X2zI4Fc1vANiNt1AUE=";
        assert_eq!(sign("/callback", FORM_TYPE, body, "abcdefghklmnopq", &ring()).as_deref(), Some(expected));
        assert_eq!(sign("/callback", FORM_TYPE, body, "nobody", &ring()), None);
        let json = |body: &[u8]| sign("/callback", "application/json", body, "ak", &ring());
        assert_eq!(json(b"{}"), json(b"[]"), "bodies of JSON are not signed");
    }
}
