//! `size-limit/…` of `imageMogr2` (spec 4.3): the most bytes that a result may have.

use std::fmt;

use super::scan;

/// `size-limit/<n>[k|m][!]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SizeLimit {
    /// The most bytes the result may have.
    pub bound: SizeBound,
    /// `!`: any format; over the bound, answer with the source. Without: JPEG only, by choosing the quality.
    pub or_source: bool,
}

/// The bound of a [`SizeLimit`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SizeBound {
    /// So many bytes.
    Bytes(u64),
    /// `$(fsize)`: the source's own size.
    SourceBytes,
}

impl SizeLimit {
    /// What the value of `size-limit/…` may be.
    pub(super) const EXPECTED: &str = "a number of bytes above 0, with k or m for 1024 or 1048576 of them, or $(fsize); \
                            with or without a final !";

    /// Reads the value of `size-limit/…`.
    pub(super) fn parse(value: &str) -> Option<Self> {
        let (text, or_source) = match value.strip_suffix('!') {
            Some(text) => (text, true),
            None => (value, false),
        };
        if text == "$(fsize)" {
            return Some(Self { bound: SizeBound::SourceBytes, or_source });
        }
        let (digits, unit) = match text.as_bytes().last()? {
            b'k' | b'K' => (&text[..text.len() - 1], 1 << 10),
            b'm' | b'M' => (&text[..text.len() - 1], 1 << 20),
            _ => (text, 1),
        };
        let bytes = scan::integer::<u64>(digits)?.checked_mul(unit).filter(|bytes| *bytes > 0)?;
        Some(Self { bound: SizeBound::Bytes(bytes), or_source })
    }
}

impl fmt::Display for SizeLimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.bound {
            SizeBound::Bytes(bytes) => write!(f, "{bytes}")?,
            SizeBound::SourceBytes => f.write_str("$(fsize)")?,
        }
        f.write_str(if self.or_source { "!" } else { "" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_bytes_or_the_sources_own_size() {
        let bytes = |bytes, or_source| Some(SizeLimit { bound: SizeBound::Bytes(bytes), or_source });
        let source = |or_source| Some(SizeLimit { bound: SizeBound::SourceBytes, or_source });
        for (text, limit, canonical) in [
            ("1", bytes(1, false), "1"),
            ("15k", bytes(15_360, false), "15360"),
            ("15K!", bytes(15_360, true), "15360!"),
            ("2m", bytes(2_097_152, false), "2097152"),
            ("$(fsize)", source(false), "$(fsize)"),
            ("$(fsize)!", source(true), "$(fsize)!"),
        ] {
            assert_eq!(SizeLimit::parse(text), limit, "{text}");
            assert_eq!(limit.map(|limit| limit.to_string()).as_deref(), Some(canonical));
        }
    }

    #[test]
    fn anything_else_is_refused() {
        for text in
            ["", "!", "0", "k", "-1", "1.5k", "5g", "15k!!", "$(fsize)k", "$(etag)", "18446744073709551615k", "5é"]
        {
            assert_eq!(SizeLimit::parse(text), None, "{text}");
        }
    }
}
