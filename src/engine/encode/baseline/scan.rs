//! The one scan: samples to symbols, in the order of the file, and these to bits.

use super::color::Strips;
use super::dct::{self, Block, Quantiser};
use super::huffman::{Codes, Counts, Kind, Token, Writer};
use super::{Picture, table_of};
use crate::engine::Error;
use crate::engine::limits::Cancel;

/// Most symbols of a block: one for each coefficient. Sixteen zeros take the place of one that is not zero.
const MOST_TOKENS: usize = 64;

/// Symbols of a block that are kept from one pass to the next, in the mean: those of busy photographs at a quality of 80.
const KEPT_TOKENS: usize = 16;

/// What is held for each block of a row of units: samples of RGB, coefficients, and room for symbols.
pub(super) const ROW_BYTES_A_BLOCK: u64 = (64 + size_of::<Block>() + MOST_TOKENS * size_of::<Token>()) as u64;

/// What is held for each block of the picture.
pub(super) const KEPT_BYTES_A_BLOCK: u64 = (KEPT_TOKENS * size_of::<Token>()) as u64;

/// A picture whose symbols were counted.
pub(super) struct Scan<'a> {
    rows: Rows<'a>,
    /// Symbols of the first rows, up to a number that depends on the size alone; those of the others are made anew.
    kept: Vec<Token>,
    /// The first row that is not kept, and the DC coefficients before it.
    next: Option<(usize, [i16; 3])>,
}

impl<'a> Scan<'a> {
    pub(super) fn read(
        picture: Picture<'a>,
        tables: &[[u8; 64]; 2],
        cancel: &Cancel,
    ) -> Result<(Self, Box<Counts>), Error> {
        let mut counts = Box::<Counts>::default();
        let mut rows = Rows::new(picture, tables);
        let room = rows.blocks_of_row() * rows.down * KEPT_TOKENS;
        let mut kept = Vec::with_capacity(room);
        let mut next = None;
        for row in 0..rows.down {
            cancel.check()?;
            let predictions = rows.predictions;
            let tokens = rows.read(row, &mut counts);
            if next.is_none() && kept.len() + tokens.len() <= room {
                kept.extend_from_slice(tokens);
            } else {
                next = next.or(Some((row, predictions)));
            }
        }
        Ok((Self { rows, kept, next }, counts))
    }

    #[cfg(test)]
    pub(super) const fn is_partly_kept(&self) -> bool {
        self.next.is_some() && !self.kept.is_empty()
    }

    /// Writes all symbols; once.
    pub(super) fn write(&mut self, codes: &Codes, writer: &mut Writer, cancel: &Cancel) -> Result<(), Error> {
        for tokens in self.kept.chunks(1 << 16) {
            cancel.check()?;
            writer.write(tokens, codes);
        }
        let Some((next, predictions)) = self.next else { return Ok(()) };
        self.rows.predictions = predictions;
        let mut counted_before = Counts::default();
        for row in next..self.rows.down {
            cancel.check()?;
            writer.write(self.rows.read(row, &mut counted_before), codes);
        }
        Ok(())
    }
}

/// What makes symbols of samples, a row of units at a time.
struct Rows<'a> {
    strips: Strips<'a>,
    /// Units across and down.
    across: usize,
    down: usize,
    components: Vec<Component>,
    quantisers: [Quantiser; 2],
    /// DC coefficients of the blocks before.
    predictions: [i16; 3],
    /// Room for as many as a row may have.
    tokens: Vec<Token>,
}

/// The blocks of one component in a row of units.
struct Component {
    /// Blocks of a unit, across and down.
    sampling: usize,
    /// Blocks that the picture reaches into, across, and in this row down.
    across: usize,
    down: usize,
    /// One row of blocks after the other.
    blocks: Vec<Block>,
}

impl<'a> Rows<'a> {
    fn new(picture: Picture<'a>, tables: &[[u8; 64]; 2]) -> Self {
        let (width, height) = picture.size();
        let samplings = picture.samplings();
        let edge = dct::EDGE * samplings[0];
        let (across, down) = (width.div_ceil(edge), height.div_ceil(edge));
        let component = |sampling: &usize| {
            let across = width.div_ceil(edge / sampling);
            Component { sampling: *sampling, across, down: 0, blocks: vec![Block::default(); across * sampling] }
        };
        let mut rows = Self {
            strips: Strips::new(picture),
            across,
            down,
            components: samplings.iter().map(component).collect(),
            quantisers: tables.each_ref().map(Quantiser::new),
            predictions: [0; 3],
            tokens: Vec::new(),
        };
        rows.tokens = vec![Token::default(); rows.blocks_of_row() * MOST_TOKENS];
        rows
    }

    /// Blocks in a row of units, those outside the picture included.
    fn blocks_of_row(&self) -> usize {
        self.components.iter().map(|component| component.sampling * component.sampling).sum::<usize>() * self.across
    }

    /// The symbols of a row, which are counted; rows come one after the other.
    fn read(&mut self, row: usize, counts: &mut Counts) -> &[Token] {
        let planes = self.strips.planes(row);
        for (index, (component, plane)) in self.components.iter_mut().zip(planes).enumerate() {
            component.down = plane.height.div_ceil(dct::EDGE);
            let rows = component.blocks.chunks_exact_mut(component.across).take(component.down);
            for (row, blocks) in rows.enumerate() {
                self.quantisers[table_of(index)].row(plane, row, blocks);
            }
        }
        let count = self.symbols(counts);
        &self.tokens[..count]
    }

    /// How many symbols the blocks come to.
    fn symbols(&mut self, counts: &mut Counts) -> usize {
        #[cfg(target_arch = "x86_64")]
        if is_x86_feature_detected!("bmi1") && is_x86_feature_detected!("lzcnt") {
            // SAFETY: the processor has what the function was compiled for.
            return unsafe { self.symbols_bmi1(counts) };
        }
        self.all_symbols(counts)
    }

    /// [`Rows::all_symbols`] compiled for newer processors; the same source, hence the same symbols.
    #[cfg(target_arch = "x86_64")]
    #[target_feature(enable = "bmi1,lzcnt")]
    fn symbols_bmi1(&mut self, counts: &mut Counts) -> usize {
        self.all_symbols(counts)
    }

    #[inline(always)]
    fn all_symbols(&mut self, counts: &mut Counts) -> usize {
        let Self { components, predictions, tokens, across, .. } = self;
        let mut first = 0;
        for unit in 0..*across {
            for (index, (component, prediction)) in components.iter().zip(&mut *predictions).enumerate() {
                let sampling = component.sampling;
                for at in 0..sampling * sampling {
                    let (column, row) = (unit * sampling + at % sampling, at / sampling);
                    let room = tokens[first..].first_chunk_mut().expect("there is room for every block");
                    let count = if column < component.across && row < component.down {
                        let block = &component.blocks[row * component.across + column];
                        symbols_of(block, prediction, table_of(index), room)
                    } else {
                        // Outside the picture a block has the mean of the one before, and nothing else.
                        room[0] = Token::new(table_of(index), Kind::Difference, 0, 0);
                        room[1] = Token::end(table_of(index));
                        2
                    };
                    for token in &tokens[first..first + count] {
                        counts.add(*token);
                    }
                    first += count;
                }
            }
        }
        first
    }
}

/// The symbols of a block: how many there are.
#[inline(always)]
fn symbols_of(block: &Block, prediction: &mut i16, table: usize, room: &mut [Token; MOST_TOKENS]) -> usize {
    room[0] = Token::new(table, Kind::Difference, 0, block.values[0].wrapping_sub(*prediction));
    *prediction = block.values[0];
    let mut count = 1;
    let mut before = 0;
    let mut left = block.places() & !1;
    while left != 0 {
        let place = left.trailing_zeros() as usize;
        left &= left - 1;
        let mut run = place - before - 1;
        while run > 15 {
            room[count % MOST_TOKENS] = Token::zeros(table);
            count += 1;
            run -= 16;
        }
        let value = block.values[dct::natural(place)];
        room[count % MOST_TOKENS] = Token::new(table, Kind::Coefficient, run, value);
        count += 1;
        before = place;
    }
    if before < 63 {
        room[count % MOST_TOKENS] = Token::end(table);
        count += 1;
    }
    count
}
