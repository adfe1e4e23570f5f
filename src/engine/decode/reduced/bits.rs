//! Bits of entropy-coded data (ITU-T T.81, F.2.2.5): byte stuffing is undone while reading.

/// Reads bits from the most significant end, up to the next marker.
///
/// A plain value, so that a loop can keep it in registers: nothing that is not inlined takes it by reference.
///
/// Behind the data it reads zeros and counts them; what was decoded from those is worthless, see [`Bits::is_overrun`].
#[derive(Clone, Copy)]
pub(super) struct Bits<'a> {
    data: &'a [u8],
    at: usize,
    /// The next bits, from the top. Bits below `count` may be set already; they are those of the bytes at `at`.
    window: u64,
    /// How many bits of the window count.
    count: u32,
    /// How many of them are made up.
    missing: u32,
}

impl<'a> Bits<'a> {
    /// Reads `data` from the byte at `at` on.
    pub(super) fn new(data: &'a [u8], at: usize) -> Self {
        Self { data, at, window: 0, count: 0, missing: 0 }
    }

    /// At least 56 bits afterwards.
    #[inline(always)]
    pub(super) fn refill(&mut self) {
        if let Some(bytes) = self.data.get(self.at..).and_then(<[u8]>::first_chunk) {
            let word = u64::from_be_bytes(*bytes);
            if !has_ff(word) {
                self.window |= word >> self.count;
                self.at += ((63 - self.count) >> 3) as usize;
                self.count |= 56;
                return;
            }
        }
        *self = self.refilled_bytewise();
    }

    /// Refills where fewer than 32 bits are left: enough for a code (16) and its value (15).
    #[inline(always)]
    pub(super) fn ensure_32(&mut self) {
        if self.count < 32 {
            self.refill();
        }
    }

    #[inline(never)]
    fn refilled_bytewise(mut self) -> Self {
        while self.count <= 56 {
            let byte = match (self.data.get(self.at), self.data.get(self.at + 1)) {
                (Some(0xFF), Some(0)) => {
                    self.at += 2;
                    0xFF
                }
                (Some(0xFF), _) | (None, _) => {
                    self.missing += 8;
                    0
                }
                (Some(byte), _) => {
                    self.at += 1;
                    *byte
                }
            };
            self.window |= u64::from(byte) << (56 - self.count);
            self.count += 8;
        }
        self
    }

    /// The window; the top bits are the next.
    #[inline(always)]
    pub(super) fn window(&self) -> u64 {
        self.window
    }

    /// Goes on by `count` bits, at most as many as the last refill left.
    #[inline(always)]
    pub(super) fn consume(&mut self, count: u32) {
        self.window <<= count;
        self.count = self.count.wrapping_sub(count);
    }

    /// Whether bits were consumed that the data does not have.
    pub(super) fn is_overrun(&self) -> bool {
        self.missing > self.count
    }

    /// What follows a segment's end: the bits that fill up its last byte are dropped, and the restart marker that has to
    /// follow, numbered `number` (0–7), is passed. `None` where something else follows.
    pub(super) fn restarted(self, number: u8) -> Option<Self> {
        // A whole byte that nobody read means that the codes and the segments do not agree.
        if self.is_overrun() || self.count.saturating_sub(self.missing) >= 8 {
            return None;
        }
        let follows = self.data.get(self.at..self.at + 2) == Some(&[0xFF, 0xD0 | (number & 7)]);
        follows.then(|| Self::new(self.data, self.at + 2))
    }

    /// Where the marker behind the data stands, restart markers passed over; or the end of the file.
    pub(super) fn next_segment(&self) -> usize {
        let mut at = self.at;
        while let Some(offset) = self.data.get(at..).and_then(|rest| rest.iter().position(|byte| *byte == 0xFF)) {
            at += offset;
            match self.data.get(at + 1) {
                Some(0 | 0xD0..=0xD7) => at += 2,
                _ => return at,
            }
        }
        self.data.len()
    }

    /// Whether everything was read and the end of the image follows.
    pub(super) fn is_at_end_of_image(&self) -> bool {
        let unread = self.count.saturating_sub(self.missing);
        unread < 8 && self.data.get(self.at..self.at + 2) == Some(&[0xFF, 0xD9])
    }
}

/// Whether any byte of `word` is 0xFF: the classic test for a zero byte, on the complement.
#[inline(always)]
const fn has_ff(word: u64) -> bool {
    const ONES: u64 = 0x0101_0101_0101_0101;
    (!word).wrapping_sub(ONES) & word & (ONES << 7) != 0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn take(bits: &mut Bits<'_>, count: u32) -> u64 {
        bits.ensure_32();
        let value = bits.window() >> (64 - count);
        bits.consume(count);
        value
    }

    #[test]
    fn stuffed_bytes_and_markers() {
        let data = [0x12, 0xFF, 0x00, 0x34, 0x56, 0x78, 0x9A, 0xBC, 0xDE, 0xF0, 0x11, 0xFF, 0xD9];
        let mut bits = Bits::new(&data, 0);
        let read: Vec<u64> = (0..10).map(|_| take(&mut bits, 8)).collect();
        assert_eq!(read, [0x12, 0xFF, 0x34, 0x56, 0x78, 0x9A, 0xBC, 0xDE, 0xF0, 0x11]);
        assert!(!bits.is_overrun());
        assert_eq!(bits.next_segment(), 11);
        assert!(bits.is_at_end_of_image());
        assert_eq!(take(&mut bits, 1), 0);
        assert!(bits.is_overrun());
    }

    #[test]
    fn every_split_reads_the_same_bits() {
        let data: Vec<u8> = (0..200_u32).map(|at| (at.wrapping_mul(2_654_435_761) >> 24) as u8 & 0x7F).collect();
        let bit = |at: usize| u64::from(data[at / 8] >> (7 - at % 8) & 1);
        for step in 1..=31_u32 {
            let mut bits = Bits::new(&data, 0);
            let mut at = 0;
            while at + step as usize <= data.len() * 8 {
                let expected = (at..at + step as usize).fold(0, |value, at| value << 1 | bit(at));
                assert_eq!(take(&mut bits, step), expected, "{step} bits at {at}");
                at += step as usize;
            }
        }
    }

    #[test]
    fn restarts_are_in_order_and_at_once() {
        let data = [0b1010_1111, 0xFF, 0xD0, 0x80, 0xFF, 0xD2];
        let mut bits = Bits::new(&data, 0);
        assert_eq!(take(&mut bits, 4), 0b1010);
        let mut bits = bits.restarted(0).expect("the first marker");
        assert_eq!(take(&mut bits, 1), 1);
        assert!(bits.restarted(1).is_none(), "the second marker has number 2");

        let mut early = Bits::new(&[0x55, 0x55, 0xFF, 0xD0], 0);
        assert_eq!(take(&mut early, 8), 0x55);
        assert!(early.restarted(0).is_none(), "a byte was not read");
    }

    #[test]
    fn a_byte_of_ones_is_found_anywhere() {
        for at in 0..8 {
            assert!(has_ff(0xFF << (8 * at)));
            assert!(!has_ff(0xFE << (8 * at)));
            assert!(has_ff(0x0100_FE7F_8001_0000 | 0xFF << (8 * at)));
        }
        assert!(!has_ff(0x0100_FE7F_8001_FE00));
    }
}
