//! The raw query of a delivery URL, told apart into pipeline and controls (spec 3.1, rules 1 and 2).
//!
//! No form decoder may read it first: a pipeline contains `=`, `+` and much else. The query is split at `&`; a part
//! whose first name is a fop's is the pipeline, `attname=`, `e=` and `token=` are controls, and anything else that
//! looks like a cache buster (`v=123`, `123`) is nothing. What looks like a fop and is none is a mistake, not noise.

use percent_encoding::percent_decode_str;

use super::ParseError;
use super::fop::is_known;

/// What a delivery query asks for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Query {
    /// The pipeline, percent-decoded.
    pub pipeline: Option<String>,
    /// The pipeline as it is on the wire, which is what a `saveas` signs.
    pub raw_pipeline: Option<String>,
    /// `attname=<name>` or `download/<name>`, percent-decoded: answer as a download under this name; empty is the
    /// key's own.
    pub attname: Option<String>,
    /// `e=<deadline>`, as written.
    pub expires: Option<String>,
    /// `token=<token>`, percent-decoded.
    pub token: Option<String>,
}

impl Query {
    /// Reads the raw text between `?` and `#`.
    ///
    /// # Errors
    /// [`ParseError::UnknownFop`] for a part that starts like a fop (`name/…` or `name|…`) of no known name,
    /// [`ParseError::Order`] for a second pipeline, [`ParseError::InvalidValue`] for broken percent-encoding.
    pub fn parse(raw: &str) -> Result<Self, ParseError> {
        let mut query = Self::default();
        for part in raw.split('&') {
            query.read(part)?;
        }
        Ok(query)
    }

    fn read(&mut self, part: &str) -> Result<(), ParseError> {
        let (name, separator, rest) = split_name(part);
        match (name, separator) {
            (_, Separator::Equals) => return self.read_control(name, rest),
            ("download", Separator::Slash) => self.attname = Some(decode("download", rest)?),
            _ if is_known(name) => return self.set_pipeline(part),
            (_, Separator::Slash | Separator::Bar) if is_name(name) => {
                return Err(ParseError::UnknownFop { name: name.to_owned() });
            }
            _ => {}
        }
        Ok(())
    }

    /// A control; `sp=` (an argument for a style) and unknown ones are ignored.
    fn read_control(&mut self, name: &str, value: &str) -> Result<(), ParseError> {
        match name {
            "attname" => self.attname = Some(decode("attname", value)?),
            "e" => self.expires = Some(decode("e", value)?),
            "token" => self.token = Some(decode("token", value)?),
            _ => {}
        }
        Ok(())
    }

    fn set_pipeline(&mut self, part: &str) -> Result<(), ParseError> {
        if self.pipeline.is_some() {
            return Err(ParseError::Order { fop: "query", problem: "has more than one pipeline; join fops with |" });
        }
        self.pipeline = Some(decode("pipeline", part)?);
        self.raw_pipeline = Some(part.to_owned());
        Ok(())
    }
}

/// What ends the first name of a part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Separator {
    Slash,
    Bar,
    Equals,
    End,
}

/// Splits a raw part at its first `/`, `|` or `=`; `%2F` and `%7C` are the former two.
fn split_name(part: &str) -> (&str, Separator, &str) {
    let found = part.char_indices().find_map(|(at, _)| separator(&part[at..]).map(|(kind, width)| (at, kind, width)));
    match found {
        Some((at, kind, width)) => (&part[..at], kind, &part[at + width..]),
        None => (part, Separator::End, ""),
    }
}

/// The separator that `text` starts with, and its width in bytes.
fn separator(text: &str) -> Option<(Separator, usize)> {
    match text.as_bytes() {
        [b'/', ..] => Some((Separator::Slash, 1)),
        [b'|', ..] => Some((Separator::Bar, 1)),
        [b'=', ..] => Some((Separator::Equals, 1)),
        [b'%', b'2', b'F' | b'f', ..] => Some((Separator::Slash, 3)),
        [b'%', b'7', b'C' | b'c', ..] => Some((Separator::Bar, 3)),
        _ => None,
    }
}

/// Whether `text` could be a fop's name (spec 3.1).
fn is_name(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
}

/// Percent-decodes `raw` once; `+` stays `+`.
fn decode(argument: &str, raw: &str) -> Result<String, ParseError> {
    let text = if is_percent_encoded(raw) { percent_decode_str(raw).decode_utf8().ok() } else { None };
    text.map(std::borrow::Cow::into_owned).ok_or_else(|| ParseError::InvalidValue {
        fop: "query",
        argument: argument.to_owned(),
        value: raw.to_owned(),
        expected: "percent-encoded UTF-8; a percent sign itself is %25".to_owned(),
    })
}

/// Whether two hexadecimal digits follow every `%`.
fn is_percent_encoded(raw: &str) -> bool {
    let is_hex = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_hexdigit);
    let bytes = raw.as_bytes();
    let mut percents = (0..bytes.len()).filter(|at| bytes[*at] == b'%');
    percents.all(|at| is_hex(bytes.get(at + 1)) && is_hex(bytes.get(at + 2)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pipeline(raw: &str) -> Option<String> {
        Query::parse(raw).unwrap_or_else(|error| panic!("{raw}: {error}")).pipeline
    }

    #[test]
    fn pipelines_are_found_by_their_name() {
        for (raw, text) in [
            ("imageInfo", "imageInfo"),
            ("avinfo", "avinfo"),
            ("imageView2/2/w/200&e=1451491200", "imageView2/2/w/200"),
            ("v=123&imageView2/2/w/200", "imageView2/2/w/200"),
            ("imageView2/2/w/20%7CimageInfo", "imageView2/2/w/20|imageInfo"),
            ("imageInfo%7csaveas/YTpi", "imageInfo|saveas/YTpi"),
            ("imageInfo|saveas/YTpi", "imageInfo|saveas/YTpi"),
            ("imageMogr2%2Fthumbnail%2f%2150p", "imageMogr2/thumbnail/!50p"),
            ("imageMogr2/thumbnail/300x%3E", "imageMogr2/thumbnail/300x>"),
            ("imageMogr2/crop/!5x5+1+1", "imageMogr2/crop/!5x5+1+1"),
            ("watermark/2/text/5a6L5L2T=/", "watermark/2/text/5a6L5L2T=/"),
            ("watermark/2/text/YQ%3D%3D", "watermark/2/text/YQ=="),
            ("vframe/jpg/offset/2/", "vframe/jpg/offset/2/"),
        ] {
            assert_eq!(pipeline(raw).as_deref(), Some(text), "{raw}");
        }
    }

    #[test]
    fn cache_busters_are_nothing() {
        for raw in [
            "",
            "&",
            "123",
            "v=123",
            "_=1",
            "v=a/b|c",
            "v=%ZZ",
            "%ZZ",
            "t",
            "=",
            "imageInfo=",
            "1.5/2",
            "http://a/b",
            "/a",
        ] {
            assert_eq!(Query::parse(raw), Ok(Query::default()), "{raw}");
        }
    }

    #[test]
    fn what_looks_like_a_fop_is_not_ignored() {
        for (raw, name) in [
            ("unknownop/1", "unknownop"),
            ("unknownop|imageInfo", "unknownop"),
            ("unknownop%7CimageInfo", "unknownop"),
            ("imageview2%2F2%2Fw%2F20", "imageview2"),
            ("v=1&imageView3/2", "imageView3"),
        ] {
            assert_eq!(Query::parse(raw), Err(ParseError::UnknownFop { name: name.to_owned() }), "{raw}");
        }
    }

    /// Spec 3.3 and 4.12.
    #[test]
    fn controls_stand_beside_the_pipeline() {
        let raw = "imageView2/2/w/200%7Csaveas/YTpi/sign/AK:sig=&attname=a%20+b.jpg&sp=x&e=1451491200&token=AK%3Asig=";
        let query = Query::parse(raw).unwrap();
        assert_eq!(query.pipeline.as_deref(), Some("imageView2/2/w/200|saveas/YTpi/sign/AK:sig="));
        assert_eq!(query.raw_pipeline.as_deref(), Some("imageView2/2/w/200%7Csaveas/YTpi/sign/AK:sig="));
        assert_eq!(query.attname.as_deref(), Some("a +b.jpg"));
        assert_eq!(query.expires.as_deref(), Some("1451491200"));
        assert_eq!(query.token.as_deref(), Some("AK:sig="));
    }

    /// Spec 4.12, the full private URL.
    #[test]
    fn a_signed_saveas_keeps_its_text() {
        let pipeline = "imageView2/2/w/200|saveas/cGhvdG9zOnRodW1icy9nb2dvcGhlci0yMDAuanBn\
                        /sign/MY_ACCESS_KEY:xZNwBztgxlPK3TZmbTXGkN5eInQ=";
        let query = Query::parse(&format!("{pipeline}&e=1451491200&token=MY_ACCESS_KEY:K6PqbHQ4_CVWx-BwtnFBw7t9lL8="));
        let query = query.unwrap();
        assert_eq!(query.raw_pipeline.as_deref(), Some(pipeline));
        assert_eq!(query.pipeline.as_deref(), Some(pipeline));
        assert_eq!(query.token.as_deref(), Some("MY_ACCESS_KEY:K6PqbHQ4_CVWx-BwtnFBw7t9lL8="));
        let plan = crate::plan::Plan::parse(pipeline).unwrap();
        assert_eq!(plan.to_string(), pipeline);
    }

    #[test]
    fn attname_has_an_older_form() {
        for (raw, name) in
            [("attname=", ""), ("download/a.jpg", "a.jpg"), ("download/%E4%B8%AD.jpg", "中.jpg"), ("download/", "")]
        {
            assert_eq!(Query::parse(raw).unwrap().attname.as_deref(), Some(name), "{raw}");
        }
        assert_eq!(Query::parse("e=1&e=2").unwrap().expires.as_deref(), Some("2"), "the last one wins");
    }

    #[test]
    fn mistakes_are_named() {
        for (raw, message) in [
            ("imageInfo&exif", "query: has more than one pipeline; join fops with |"),
            (
                "imageMogr2/thumbnail/50%",
                "query: pipeline is \"imageMogr2/thumbnail/50%\"; \
                 expected percent-encoded UTF-8; a percent sign itself is %25",
            ),
            ("attname=%zz", "query: attname is \"%zz\"; expected percent-encoded UTF-8; a percent sign itself is %25"),
            ("token=%FF", "query: token is \"%FF\"; expected percent-encoded UTF-8; a percent sign itself is %25"),
            ("download/%8", "query: download is \"%8\"; expected percent-encoded UTF-8; a percent sign itself is %25"),
        ] {
            assert_eq!(Query::parse(raw).unwrap_err().to_string(), message, "{raw}");
        }
    }
}
