//! The vendor's hash of an object (spec 1.3).

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE;
use sha1::{Digest, Sha1};

const BLOCK_BYTES: usize = 4 << 20;

const SINGLE_BLOCK: u8 = 0x16;
const BLOCKS: u8 = 0x96;
const PARTS: u8 = 0x9e;

/// 28 characters: URL-safe Base64 of 0x16 and the SHA-1 of up to 4 MiB, or of 0x96 and the SHA-1 of the blocks' SHA-1s.
pub fn qetag(content: &[u8]) -> String {
    let mut hasher = Qetag::default();
    hasher.update(content);
    hasher.finish()
}

/// [`qetag`] of bytes that come in pieces.
#[derive(Clone, Default)]
pub struct Qetag {
    block: Sha1,
    block_bytes: usize,
    finished: Vec<u8>,
}

impl Qetag {
    /// Takes the next bytes.
    pub fn update(&mut self, mut piece: &[u8]) {
        while !piece.is_empty() {
            if self.block_bytes == BLOCK_BYTES {
                self.finished.extend_from_slice(&self.block.finalize_reset());
                self.block_bytes = 0;
            }
            let (now, later) = piece.split_at(piece.len().min(BLOCK_BYTES - self.block_bytes));
            self.block.update(now);
            self.block_bytes += now.len();
            piece = later;
        }
    }

    /// The hash of everything that was taken.
    pub fn finish(mut self) -> String {
        let last = self.block.finalize();
        if self.finished.is_empty() {
            return encode(SINGLE_BLOCK, &last);
        }
        self.finished.extend_from_slice(&last);
        encode(BLOCKS, &Sha1::digest(&self.finished))
    }
}

/// The hash of an object that was completed of parts, each by its own hash and length: the object's own where all parts are of
/// exactly 4 MiB and the last of at most that, else one of the parts' hashes. `None` without parts, or for a hash that is
/// none.
pub fn qetag_of_parts(parts: &[(String, u64)]) -> Option<String> {
    let (last, others) = parts.split_last()?;
    let block = BLOCK_BYTES as u64;
    let is_of_blocks = last.1 <= block && others.iter().all(|(_, bytes)| *bytes == block);
    if is_of_blocks && others.is_empty() {
        return Some(last.0.clone());
    }
    let digests: Option<Vec<u8>> = parts.iter().try_fold(Vec::new(), |mut all, (hash, _)| {
        all.extend_from_slice(URL_SAFE.decode(hash).ok()?.get(1..)?);
        Some(all)
    });
    Some(encode(if is_of_blocks { BLOCKS } else { PARTS }, &Sha1::digest(digests?)))
}

fn encode(marker: u8, digest: &[u8]) -> String {
    URL_SAFE.encode([&[marker], digest].concat())
}

#[cfg(test)]
mod tests {
    use super::{Qetag, qetag, qetag_of_parts};

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

    #[test]
    fn pieces_make_no_difference() {
        let content: Vec<u8> = (0..9_437_184_u32).map(|i| (i % 251) as u8).collect();
        for size in [1 << 20, 4_194_304, 4_194_303, 3_000_001, 9_437_184] {
            let mut hasher = Qetag::default();
            content.chunks(size).for_each(|piece| hasher.update(piece));
            assert_eq!(hasher.finish(), "lv4Ew6JqZ47UmtoHTb4ntxxH-h5H", "{size}");
        }
    }

    #[test]
    fn parts() {
        let zeros = |bytes: usize| vec![0; bytes];
        for (parts, hash) in [
            (vec![b"hello".to_vec(), b" world".to_vec()], Some("no7Lzp_ot5yagCilL_E-PFgdGLzL")),
            (vec![zeros(1 << 20), zeros(1 << 20), b"abc".to_vec()], Some("njHtqxRgSb7Z7MUVQloIiw8Ibx5A")),
            (vec![zeros(5 << 20), zeros(1)], Some("nkxKI5BuqkcFUS7PEH7IHdZ-7ha6")),
            (vec![zeros(4 << 20), zeros(1)], Some("lhCFgki5yzon0rjN9uJusf6qtsF6")),
            (vec![zeros(4 << 20), zeros(4 << 20)], Some("lsCVE24-Immdd6zm-ffVVhsWYcDG")),
            (vec![b"hello".to_vec()], Some("Fqr0xh3cxeii2r7eDztILNmuqUNN")),
            (vec![], None),
        ] {
            let parts: Vec<_> = parts.iter().map(|part| (qetag(part), part.len() as u64)).collect();
            assert_eq!(qetag_of_parts(&parts).as_deref(), hash, "{parts:?}");
        }
    }
}
