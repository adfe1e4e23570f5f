//! Huffman tables of T.81 (annex C, F.2.2.3), for decoding and for skipping.
//!
//! A reduced picture needs a few coefficients of each block; the others are only passed over. For those one lookup
//! passes over as many symbols as fit into its window.

use super::bits::Bits;

/// Bits that one symbol lookup sees; longer codes are looked up length by length.
const SYMBOL_BITS: usize = 10;
/// Bits that one skip lookup sees.
const SKIP_BITS: usize = 12;

/// A decoded symbol: how long its code is, and the run and size that it stands for. Two bytes, so that the tables of a file
/// stay in the first cache beside what they are used with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Symbol(u16);

impl Symbol {
    const fn new(length: u32, value: u8) -> Self {
        let (run, size) = ((value >> 4) as u32, (value & 15) as u32);
        Self((length | size << 5 | run << 9) as u16)
    }

    /// Bits of the code.
    #[inline(always)]
    pub(super) const fn length(self) -> u32 {
        (self.0 & 31) as u32
    }

    /// Bits of the value behind the code.
    #[inline(always)]
    pub(super) const fn size(self) -> u32 {
        (self.0 >> 5 & 15) as u32
    }

    /// Coefficients that are zero before this one.
    #[inline(always)]
    pub(super) const fn run(self) -> usize {
        (self.0 >> 9 & 15) as usize
    }

    /// Bits of code and value.
    #[inline(always)]
    pub(super) const fn total(self) -> u32 {
        self.length() + self.size()
    }

    const fn is_known(self) -> bool {
        self.0 != 0
    }

    /// The value in the window behind the code (T.81, F.12: EXTEND): without a leading one it is negative.
    #[inline(always)]
    pub(super) fn value(self, window: u64) -> i32 {
        let size = self.size();
        let behind = window << self.length();
        // Two shifts: a size of 0 would shift by 64.
        let bits = (behind >> 1 >> (63 - size)) as i32;
        let is_negative = !(behind as i64 >> 63) as i32;
        bits + (is_negative & ((-1_i32 << size) + 1))
    }
}

/// Codes as a DHT segment defines them: how many there are of each length, and what they stand for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Codes {
    pub(super) counts: [u8; 16],
    pub(super) values: Vec<u8>,
}

/// A table to look codes up in.
pub(super) struct Huffman {
    symbols: Box<[Symbol; 1 << SYMBOL_BITS]>,
    /// Largest code of each length, −1 where there is none.
    largest: [i32; 17],
    /// What to add to a code of each length to find its symbol.
    offset: [i32; 17],
    values: Vec<u8>,
}

impl Huffman {
    /// The table of `codes`; `None` where the lengths leave no room for all.
    pub(super) fn new(Codes { counts, values }: &Codes) -> Option<Self> {
        let mut table = Self {
            symbols: Box::new([Symbol::default(); 1 << SYMBOL_BITS]),
            largest: [-1; 17],
            offset: [0; 17],
            values: values.clone(),
        };
        let mut code = 0_i32;
        let mut next = 0_usize;
        for (length, &count) in (1_usize..).zip(counts) {
            let codes = code..code + i32::from(count);
            // The code of all ones is not allowed.
            if codes.end > (1 << length) - i32::from(count > 0) {
                return None;
            }
            table.offset[length] = next as i32 - code;
            for code in codes.clone() {
                table.enter(length, code as usize, *values.get(next)?);
                next += 1;
            }
            if count > 0 {
                table.largest[length] = codes.end - 1;
            }
            code = codes.end << 1;
        }
        (next == values.len()).then_some(table)
    }

    fn enter(&mut self, length: usize, code: usize, value: u8) {
        if length <= SYMBOL_BITS {
            let shift = SYMBOL_BITS - length;
            self.symbols[code << shift..(code + 1) << shift].fill(Symbol::new(length as u32, value));
        }
    }

    /// The symbol whose code begins the window; `None` where no code does.
    #[inline(always)]
    pub(super) fn symbol(&self, window: u64) -> Option<Symbol> {
        let symbol = self.symbols[(window >> (64 - SYMBOL_BITS)) as usize];
        if symbol.is_known() { Some(symbol) } else { self.long_symbol(window) }
    }

    #[inline(never)]
    fn long_symbol(&self, window: u64) -> Option<Symbol> {
        (SYMBOL_BITS + 1..=16).find_map(|length| {
            let code = (window >> (64 - length)) as i32;
            if code > self.largest[length] {
                return None;
            }
            let value = *self.values.get((code + self.offset[length]) as usize)?;
            Some(Symbol::new(length as u32, value))
        })
    }

    /// The table of `codes` for DC differences, whose sizes have to be those of 8-bit samples.
    pub(super) fn for_differences(codes: &Codes) -> Option<Self> {
        Self::new(codes).filter(|table| table.values.iter().all(|value| *value <= 11))
    }

    /// Reads a DC difference.
    #[inline(always)]
    pub(super) fn difference(&self, bits: &mut Bits<'_>) -> Option<i32> {
        bits.refill();
        let symbol = self.symbol(bits.window())?;
        let value = symbol.value(bits.window());
        bits.consume(symbol.total());
        Some(value)
    }
}

/// What one lookup of the window passes over.
#[derive(Clone, Copy, Default)]
struct Leap(u16);

impl Leap {
    const fn new(bits: u32, coefficients: u32, ends: bool) -> Self {
        Self((bits | coefficients << 5 | (ends as u32) << 11) as u16)
    }

    /// 0 where not even one symbol fits.
    #[inline(always)]
    const fn bits(self) -> u32 {
        (self.0 & 31) as u32
    }

    #[inline(always)]
    const fn coefficients(self) -> usize {
        (self.0 >> 5 & 63) as usize
    }

    /// Whether the last symbol is an end of block.
    #[inline(always)]
    const fn ends(self) -> bool {
        self.0 & 1 << 11 != 0
    }
}

/// A coefficient whose code and value both lie inside the window of a symbol lookup, or nothing.
#[derive(Clone, Copy, Default)]
pub(super) struct Coefficient(u32);

impl Coefficient {
    /// Never 0 but where nothing is known.
    #[inline(always)]
    pub(super) const fn value(self) -> i32 {
        self.0 as i32 >> 16
    }

    /// Coefficients that are zero before this one.
    #[inline(always)]
    pub(super) const fn run(self) -> usize {
        (self.0 >> 8 & 15) as usize
    }

    /// Bits of code and value.
    #[inline(always)]
    pub(super) const fn total(self) -> u32 {
        self.0 & 0xFF
    }
}

/// A table of AC coefficients with what is looked up in one step.
pub(super) struct AcTable {
    pub(super) codes: Huffman,
    coefficients: Box<[Coefficient; 1 << SYMBOL_BITS]>,
    leaps: Box<[Leap; 1 << SKIP_BITS]>,
}

impl AcTable {
    /// The table of `codes`; `None` where the lengths leave no room for all.
    pub(super) fn new(codes: &Codes) -> Option<Self> {
        let codes = Huffman::new(codes)?;
        let mut leaps = Box::new([Leap::default(); 1 << SKIP_BITS]);
        for (window, leap) in leaps.iter_mut().enumerate() {
            *leap = codes.leap((window as u64) << (64 - SKIP_BITS));
        }
        let mut coefficients = Box::new([Coefficient::default(); 1 << SYMBOL_BITS]);
        for (window, coefficient) in coefficients.iter_mut().enumerate() {
            *coefficient = codes.coefficient((window as u64) << (64 - SYMBOL_BITS));
        }
        Some(Self { codes, coefficients, leaps })
    }

    /// The coefficient that begins the window, where it is a short one.
    #[inline(always)]
    pub(super) fn coefficient(&self, window: u64) -> Coefficient {
        self.coefficients[(window >> (64 - SYMBOL_BITS)) as usize]
    }

    /// Passes over the rest of a block, from coefficient `from` (1–63) on; `None` where the codes make no block.
    #[inline(always)]
    pub(super) fn skip(&self, bits: &mut Bits<'_>, from: usize) -> Option<()> {
        let mut next = from;
        loop {
            bits.ensure_32();
            let leap = self.leaps[(bits.window() >> (64 - SKIP_BITS)) as usize];
            let after = next + leap.coefficients();
            if leap.bits() > 0 && (after < 64 || (after == 64 && !leap.ends())) {
                bits.consume(leap.bits());
                if leap.ends() || after == 64 {
                    return Some(());
                }
                next = after;
                continue;
            }
            let symbol = self.codes.symbol(bits.window())?;
            bits.consume(symbol.total());
            if symbol.size() == 0 && symbol.run() != 15 {
                return Some(());
            }
            next += symbol.run() + 1;
            match next {
                ..64 => {}
                64 => return Some(()),
                _ => return None,
            }
        }
    }
}

impl Huffman {
    /// What the top [`SYMBOL_BITS`] of `window` show whole.
    fn coefficient(&self, window: u64) -> Coefficient {
        let symbol = self.symbols[(window >> (64 - SYMBOL_BITS)) as usize];
        if symbol.size() == 0 || symbol.total() > SYMBOL_BITS as u32 {
            return Coefficient::default();
        }
        let value = symbol.value(window) as u32;
        Coefficient(value << 16 | (symbol.run() as u32) << 8 | symbol.total())
    }

    /// How far one may go on what the top [`SKIP_BITS`] of `window` show: codes must lie inside, values need not.
    fn leap(&self, window: u64) -> Leap {
        let (mut bits, mut coefficients) = (0, 0);
        while bits < SKIP_BITS as u32 {
            let symbol = self.symbols[(window << bits >> (64 - SYMBOL_BITS)) as usize];
            if !symbol.is_known() || bits + symbol.length() > SKIP_BITS as u32 {
                break;
            }
            if symbol.size() == 0 && symbol.run() != 15 {
                return Leap::new(bits + symbol.length(), coefficients, true);
            }
            let advance = symbol.run() as u32 + 1;
            if coefficients + advance > 63 {
                break;
            }
            coefficients += advance;
            bits += symbol.total();
        }
        Leap::new(bits, coefficients, false)
    }
}
