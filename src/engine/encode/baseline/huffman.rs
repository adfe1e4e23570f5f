//! Huffman codes made for one file (T.81, annex K.2, with libjpeg's order among equals), and the bits that they write.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// Longest code that a file may have.
const LONGEST: usize = 16;
/// Longest code before codes are shortened: it takes as many symbols as there are atoms for one more.
const LONGEST_UNBOUNDED: usize = 64;
/// Stands for no symbol, so that no code is all ones.
const RESERVED: usize = 256;

/// Bits of a value: none for 0.
#[inline(always)]
const fn bits_of(value: i16) -> u32 {
    u16::BITS - value.unsigned_abs().leading_zeros()
}

/// What a symbol stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// How many bits a DC difference has.
    Difference = 0,
    /// How many AC coefficients are zero, and how many bits the next has.
    Coefficient = 1,
}

/// A symbol, and what is written behind its code. From the lowest bit: 4 bits of size, 4 of run, 1 of kind and 1 of table,
/// which together name a code; from bit 16 on the value's own bits.
#[derive(Clone, Copy, Default)]
pub(super) struct Token(u32);

/// Names of codes.
const NAMES: usize = 1 << 10;

impl Token {
    /// A value behind `run` zeros, 15 at most.
    #[inline(always)]
    pub(super) fn new(table: usize, kind: Kind, run: usize, value: i16) -> Self {
        let size = bits_of(value) & 15;
        // One less where it is negative: its highest bit is 0 then.
        let own = (value + (value >> 15)) as u32 & ((1 << size) - 1);
        Self(own << 16 | first_name(table, kind) | (run as u32 & 15) << 4 | size)
    }

    /// Sixteen zeros.
    #[inline(always)]
    pub(super) const fn zeros(table: usize) -> Self {
        Self(first_name(table, Kind::Coefficient) | 0xF0)
    }

    /// Zeros to the end of the block.
    #[inline(always)]
    pub(super) const fn end(table: usize) -> Self {
        Self(first_name(table, Kind::Coefficient))
    }

    #[inline(always)]
    const fn name(self) -> usize {
        self.0 as usize % NAMES
    }

    /// Its value's own bits, and how many they are.
    #[inline(always)]
    const fn own(self) -> (u32, u32) {
        (self.0 >> 16, self.0 & 15)
    }
}

const fn first_name(table: usize, kind: Kind) -> u32 {
    (table as u32 & 1) << 9 | (kind as u32) << 8
}

/// How often each symbol comes.
pub(super) struct Counts([u32; NAMES]);

impl Default for Counts {
    fn default() -> Self {
        Self([0; NAMES])
    }
}

impl Counts {
    #[inline(always)]
    pub(super) fn add(&mut self, token: Token) {
        self.0[token.name()] += 1;
    }
}

/// The code of each symbol that there is.
pub(super) struct Codes([Code; NAMES]);

impl Default for Codes {
    fn default() -> Self {
        Self([Code::default(); NAMES])
    }
}

#[derive(Clone, Copy, Default)]
struct Code {
    bits: u16,
    length: u16,
}

impl Codes {
    /// Bytes of all symbols that were counted, without the zeros behind bytes of ones.
    pub(super) fn bytes(&self, counts: &Counts) -> usize {
        let bits =
            |(name, (code, often)): (usize, (&Code, &u32))| (usize::from(code.length) + name % 16) * *often as usize;
        self.0.iter().zip(&counts.0).enumerate().map(bits).sum::<usize>().div_ceil(8)
    }

    /// Makes the codes of one table, and tells them as they are stored.
    pub(super) fn make(&mut self, table: usize, kind: Kind, counts: &Counts) -> Stored {
        let names = first_name(table, kind) as usize..;
        let often = counts.0[names.clone()].first_chunk().expect("256 names each");
        let stored = Stored::new(often);
        let mut bits = 0;
        let mut next = stored.symbols.iter();
        for (length, count) in (1..).zip(stored.counts) {
            for symbol in next.by_ref().take(usize::from(count)) {
                self.0[names.start + usize::from(*symbol)] = Code { bits, length };
                bits += 1;
            }
            bits <<= 1;
        }
        stored
    }
}

/// Codes as a DHT segment tells them.
pub(super) struct Stored {
    /// How many there are of each length, 1 to 16.
    pub(super) counts: [u8; LONGEST],
    /// What they stand for, the shortest first.
    pub(super) symbols: Vec<u8>,
}

impl Stored {
    /// The shortest codes for symbols that come so often.
    fn new(often: &[u32; 256]) -> Self {
        let used: Vec<usize> = (0..RESERVED).filter(|symbol| often[*symbol] > 0).chain([RESERVED]).collect();
        let lengths = lengths(used.iter().map(|symbol| often.get(*symbol).map_or(1, |often| u64::from(*often))));
        let mut numbers = [0; LONGEST_UNBOUNDED + 1];
        for length in &lengths {
            numbers[*length] += 1;
        }
        shorten(&mut numbers);
        // Symbols keep their order by the lengths that they had: the reserved one is the last.
        let mut order: Vec<usize> = (0..used.len() - 1).collect();
        order.sort_by_key(|at| lengths[*at]);
        Self {
            counts: std::array::from_fn(|at| numbers[at + 1]),
            symbols: order.into_iter().map(|at| used[at] as u8).collect(),
        }
    }
}

/// Length of each symbol's code: the two that come least often are joined until all are. Of equals the last go first.
fn lengths(often: impl Iterator<Item = u64>) -> Vec<usize> {
    let mut groups: BinaryHeap<_> = often.enumerate().map(|(at, often)| Reverse((often, Reverse(at), at))).collect();
    let symbols = groups.len();
    let mut parents = vec![0; symbols];
    while let (Some(Reverse((rarest, at, one))), Some(Reverse((next, _, other)))) = (groups.pop(), groups.pop()) {
        let parent = parents.len();
        (parents[one], parents[other]) = (parent, parent);
        parents.push(parent);
        groups.push(Reverse((rarest + next, at, parent)));
    }
    let mut lengths = vec![0; parents.len()];
    for node in (0..parents.len() - 1).rev() {
        lengths[node] = lengths[parents[node]] + 1;
    }
    lengths.truncate(symbols);
    lengths
}

/// Makes codes fit into 16 bits (T.81, figure K.3), and takes the reserved one away, which is among the longest.
fn shorten(numbers: &mut [u8; LONGEST_UNBOUNDED + 1]) {
    for length in (LONGEST + 1..=LONGEST_UNBOUNDED).rev() {
        while numbers[length] > 0 {
            let shorter = (1..length - 1).rev().find(|shorter| numbers[*shorter] > 0).unwrap_or(0);
            numbers[length] -= 2;
            numbers[length - 1] += 1;
            numbers[shorter + 1] += 2;
            numbers[shorter] -= 1;
        }
    }
    if let Some(longest) = numbers[..=LONGEST].iter_mut().rfind(|number| **number > 0) {
        *longest -= 1;
    }
}

/// Writes codes behind what a file has already, with a zero behind each byte of ones.
pub(super) struct Writer {
    file: Vec<u8>,
    /// Bits that are not written yet, the last lowest; others are above them.
    bits: u64,
    /// For how many more there is room; at least one is there.
    free: u32,
}

impl Writer {
    pub(super) const fn new(file: Vec<u8>) -> Self {
        Self { file, bits: 0, free: u64::BITS }
    }

    /// Writes the codes of symbols, each with the bits of its value.
    pub(super) fn write(&mut self, tokens: &[Token], codes: &Codes) {
        #[cfg(target_arch = "x86_64")]
        if is_x86_feature_detected!("bmi2") {
            // SAFETY: the processor has what the function was compiled for.
            return unsafe { self.write_bmi2(tokens, codes) };
        }
        self.put_all(tokens, codes);
    }

    /// [`Writer::put_all`] compiled for newer processors; the same source, hence the same bits.
    #[cfg(target_arch = "x86_64")]
    #[target_feature(enable = "bmi2")]
    fn write_bmi2(&mut self, tokens: &[Token], codes: &Codes) {
        self.put_all(tokens, codes);
    }

    #[inline(always)]
    fn put_all(&mut self, tokens: &[Token], codes: &Codes) {
        let (mut bits, mut free) = (self.bits, self.free);
        for token in tokens {
            let code = codes.0[token.name()];
            let (own, size) = token.own();
            let length = u32::from(code.length) + size;
            let next = u64::from(u32::from(code.bits) << size | own);
            if length <= free {
                bits = bits << length | next;
                free -= length;
                continue;
            }
            let behind = length - free;
            self.write_word(bits << free | next >> behind);
            bits = next;
            free = u64::BITS - behind;
        }
        (self.bits, self.free) = (bits, free);
    }

    #[inline(always)]
    fn write_word(&mut self, word: u64) {
        let bytes = word.to_be_bytes();
        // The classic test for a byte of zeros, on the complement.
        if (!word).wrapping_sub(u64::MAX / 255) & word & (u64::MAX / 255) << 7 == 0 {
            self.file.extend_from_slice(&bytes);
        } else {
            self.write_stuffed(&bytes);
        }
    }

    #[inline(never)]
    fn write_stuffed(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.file.push(*byte);
            if *byte == 0xFF {
                self.file.push(0);
            }
        }
    }

    /// The file; ones fill up its last byte.
    pub(super) fn finish(mut self) -> Vec<u8> {
        let count = u64::BITS - self.free;
        let missing = count.next_multiple_of(8) - count;
        let bits = u128::from(self.bits) << missing | ((1 << missing) - 1);
        let bytes = (bits as u64).to_be_bytes();
        self.write_stuffed(&bytes[8 - count.div_ceil(8) as usize..]);
        self.file
    }
}
