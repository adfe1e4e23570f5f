//! `facts/exif/1/digest/<name>`: what there is to tell of the source, as one JSON document. A fop of this server's own: what
//! `imageInfo` says, the EXIF fields without a failure where there are none, and a digest of the file.

use std::fmt;

use super::ParseError;
use super::scan::Cursor;

/// A parsed `facts`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Facts {
    /// `exif/1`: the EXIF fields, under `exif`.
    pub exif: bool,
    /// `quality/1`: the quality of the file, under `quality`: a JPEG's by its tables, 100 of others.
    pub quality: bool,
    /// `flat/1`: values are texts, under names with underscores, with a digest by MD5, depth and density; nothing
    /// else is told.
    pub flat: bool,
    /// `digest/<name>`: a digest of the source's bytes, under `digest`.
    pub digest: Option<Digest>,
}

/// A digest of bytes, told in hexadecimal digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names are the algorithms' own")]
pub enum Digest {
    Md5,
    Crc32,
    Sha256,
}

impl Digest {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Md5, Self::Crc32, Self::Sha256];

    /// Its name in `digest/…`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Md5 => "md5",
            Self::Crc32 => "crc32",
            Self::Sha256 => "sha256",
        }
    }
}

impl Facts {
    /// Reads what follows `facts/`.
    pub(super) fn parse(cursor: &mut Cursor<'_>) -> Result<Self, ParseError> {
        let mut facts = Self::default();
        while let Some(name) = cursor.segment() {
            match name {
                "exif" => facts.exif = cursor.flag(name)?,
                "quality" => facts.quality = cursor.flag(name)?,
                "flat" => facts.flat = cursor.flag(name)?,
                "digest" => {
                    let find = |value: &str| Digest::ALL.into_iter().find(|digest| digest.name() == value);
                    facts.digest = Some(cursor.read(name, "md5, crc32 or sha256", find)?);
                }
                _ => return Err(cursor.unknown(name, &["exif", "quality", "flat", "digest"])),
            }
        }
        Ok(facts)
    }
}

impl fmt::Display for Facts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("facts")?;
        for (name, _) in [("exif", self.exif), ("quality", self.quality), ("flat", self.flat)].iter().filter(|it| it.1)
        {
            write!(f, "/{name}/1")?;
        }
        self.digest.map_or(Ok(()), |digest| write!(f, "/digest/{}", digest.name()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_told_is_read() {
        let parse = |text| Facts::parse(&mut Cursor::new("facts", Some(text))).map(|it| it.to_string());
        assert_eq!(parse("digest/md5/exif/1").as_deref(), Ok("facts/exif/1/digest/md5"));
        assert_eq!(parse("exif/0").as_deref(), Ok("facts"));
        assert_eq!(parse("flat/1/quality/1").as_deref(), Ok("facts/quality/1/flat/1"));
        for text in ["digest/sha1", "digest", "md5/1"] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
