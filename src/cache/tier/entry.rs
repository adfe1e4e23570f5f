//! A result as bytes in a store: a header that says what it is and how long, a checksum, the result.

use bytes::Bytes;
use sha2::{Digest, Sha256};

use super::Kept;
use crate::cache::CacheKey;

/// What an entry begins with. Another form of entries has another line.
const MAGIC: &[u8] = b"mogr result 1\n";

/// Name, checksum, length of the media type and of the body.
const HEADER_BYTES: usize = MAGIC.len() + 32 + 32 + 2 + 8;

/// The entry of a result. The name is part of it, so that a copy elsewhere is none.
pub(super) fn encode(key: CacheKey, kept: &Kept) -> Bytes {
    let media_type = kept.media_type.as_bytes();
    // Media types are short; one that were not would make an entry that is a miss.
    let type_bytes = u16::try_from(media_type.len()).unwrap_or(u16::MAX);
    let mut entry = Vec::with_capacity(HEADER_BYTES + media_type.len() + kept.body.len());
    entry.extend_from_slice(MAGIC);
    entry.extend_from_slice(key.as_bytes());
    entry.extend_from_slice(&checksum(key, media_type, &kept.body));
    entry.extend_from_slice(&type_bytes.to_le_bytes());
    entry.extend_from_slice(&(kept.body.len() as u64).to_le_bytes());
    entry.extend_from_slice(media_type);
    entry.extend_from_slice(&kept.body);
    entry.into()
}

/// The result in an entry, if it is whole and of that name.
pub(super) fn decode(key: CacheKey, entry: &Bytes) -> Option<Kept> {
    let rest = entry.strip_prefix(MAGIC)?.strip_prefix(key.as_bytes())?;
    let (sum, rest) = rest.split_first_chunk::<32>()?;
    let (type_bytes, rest) = rest.split_first_chunk::<2>()?;
    let (body_bytes, rest) = rest.split_first_chunk::<8>()?;
    let (media_type, body) = rest.split_at_checked(u16::from_le_bytes(*type_bytes).into())?;
    let is_whole = u64::from_le_bytes(*body_bytes) == body.len() as u64 && checksum(key, media_type, body) == *sum;
    let media_type = std::str::from_utf8(media_type).ok()?.to_owned();
    is_whole.then(|| Kept { media_type, body: entry.slice(entry.len() - body.len()..) })
}

fn checksum(key: CacheKey, media_type: &[u8], body: &[u8]) -> [u8; 32] {
    let mut hash = Sha256::new();
    hash.update(key.as_bytes());
    hash.update((media_type.len() as u64).to_le_bytes());
    hash.update(media_type);
    hash.update(body);
    hash.finalize().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_whole_entries_of_that_name_are_results() {
        let (key, other) = (CacheKey::of(&["a"]), CacheKey::of(&["b"]));
        for body in [&b""[..], b"x", &[7; 1000]] {
            let kept = Kept { body: Bytes::copy_from_slice(body), media_type: "image/png".to_owned() };
            let entry = encode(key, &kept);
            assert_eq!(decode(key, &entry).as_ref(), Some(&kept));
            assert_eq!(decode(other, &entry), None);
            for length in 0..entry.len() {
                assert_eq!(decode(key, &entry.slice(..length)), None, "{length}");
            }
            for position in 0..entry.len() {
                let mut torn = entry.to_vec();
                torn[position] ^= 1;
                assert_eq!(decode(key, &torn.into()), None, "{position}");
            }
            assert_eq!(decode(key, &[&entry[..], b"x"].concat().into()), None);
        }
    }
}
