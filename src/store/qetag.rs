//! The vendor's hash of an object (spec 1.3).

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE;
use sha1::{Digest, Sha1};

const BLOCK_BYTES: usize = 4 << 20;

/// 28 characters: URL-safe Base64 of 0x16 and the SHA-1 of up to 4 MiB, or of 0x96 and the SHA-1 of the blocks' SHA-1s.
pub fn qetag(content: &[u8]) -> String {
    let (marker, digest) = if content.len() <= BLOCK_BYTES {
        (0x16, Sha1::digest(content))
    } else {
        let blocks: Vec<u8> = content.chunks(BLOCK_BYTES).flat_map(Sha1::digest).collect();
        (0x96, Sha1::digest(blocks))
    };
    let mut hash = vec![marker];
    hash.extend_from_slice(&digest);
    URL_SAFE.encode(hash)
}

#[cfg(test)]
mod tests {
    use super::qetag;

    #[test]
    fn vectors_of_the_specification() {
        let counting: Vec<u8> = (0..9_437_184_u32).map(|i| (i % 251) as u8).collect();
        for (content, hash) in [
            (&b""[..], "Fto5o-5ea0sNMlW_75VgGJCv2AcJ"),
            (b"abc", "FqmZPjZHBoFquj4lcXhQwmyc0Nid"),
            (b"hello world", "FiqubDXJT8-0FdvpX0CLnOke6Ebt"),
            (&vec![0; 4_194_304], "FivMvS848VwT631aif2dhfWV4jvD"),
            (&vec![0; 4_194_305], "lhCFgki5yzon0rjN9uJusf6qtsF6"),
            (&counting, "lv4Ew6JqZ47UmtoHTb4ntxxH-h5H"),
        ] {
            assert_eq!(qetag(content), hash);
        }
    }
}
