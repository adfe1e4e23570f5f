//! Scaling 16-bit pictures to an exact size.
//!
//! The kernel and the numbers are those of [`resize`](super::resize), in double precision: what comes out is the exact sum,
//! rounded. Along the rows first, then down the columns, so that no more than a few scaled rows are held.

use std::sync::LazyLock;

use crate::engine::Error;
use crate::engine::image::{Deep, Frame, Layout};
use crate::engine::light::{Function, Light};
use crate::engine::limits::Cancel;
use crate::geometry::Size;

/// Lobes of the kernel on each side.
const LOBES: f64 = 3.0;

/// The greatest sample.
const MOST: f64 = 65535.0;

/// Scales `frame` to `size` with a Lanczos kernel of three lobes, widened for shrinking; the layout stays.
///
/// RGBA is weighted by its alpha. A frame that has the size already is returned untouched. What becomes wider or higher is
/// scaled in its stored numbers (`Light::for_resize`).
///
/// # Errors
/// [`Error::Cancelled`].
pub fn resize(frame: Frame<Deep>, size: Size, light: Light, cancel: &Cancel) -> Result<Frame<Deep>, Error> {
    if frame.size() == size {
        return Ok(frame);
    }
    let numbers = Numbers::of(light.for_resize(frame.size(), size, frame.layout() == Layout::Rgba));
    let pixels = match frame.layout() {
        Layout::Gray => Scaler::<1>::new(&frame, size, numbers).run(cancel)?,
        Layout::Rgb => Scaler::<3>::new(&frame, size, numbers).run(cancel)?,
        Layout::Rgba => Scaler::<4>::new(&frame, size, numbers).run(cancel)?,
    };
    Ok(Frame::of(size, frame.layout(), pixels).expect("one row after the other was made"))
}

/// Bytes that a resize holds beside source and result, from sizes alone.
pub(in crate::engine) fn scratch_bytes(source: Size, target: Size, channels: u64) -> u64 {
    let taps = |source: u32, target: u32| {
        let stretch = (f64::from(source) / f64::from(target)).max(1.0);
        (2.0 * LOBES * stretch + 2.0).min(f64::from(source))
    };
    let (columns, rows) = (taps(source.width, target.width), taps(source.height, target.height));
    let overlap = rows * f64::from(target.height) / f64::from(source.height) + 1.0;
    let weights = columns * f64::from(target.width) + rows * f64::from(target.height);
    let rows_held = overlap.min(rows) + 1.0;
    let numbers = channels as f64 * (f64::from(source.width) + f64::from(target.width) * rows_held) + weights;
    (numbers * size_of::<f64>() as f64) as u64
}

/// What stored samples stand for while they are averaged: numbers from 0 to 1.
struct Numbers {
    decoded: Vec<f64>,
    encode: Function,
}

static GAMMA: LazyLock<Numbers> = LazyLock::new(|| Numbers::new(Light::Gamma));
static MIXED: LazyLock<Numbers> = LazyLock::new(|| Numbers::new(Light::Mixed));
static LINEAR: LazyLock<Numbers> = LazyLock::new(|| Numbers::new(Light::Linear));

impl Numbers {
    fn new(light: Light) -> Self {
        let (decode, encode) = light.functions();
        Self { decoded: (0..=u16::MAX).map(|sample| decode(f64::from(sample) / MOST)).collect(), encode }
    }

    fn of(light: Light) -> &'static Self {
        match light {
            Light::Gamma => &GAMMA,
            Light::Mixed => &MIXED,
            Light::Linear => &LINEAR,
        }
    }

    /// A pixel's numbers, premultiplied where it has alpha, which is a number as it is.
    fn decode<const N: usize>(&self, pixel: [Deep; N]) -> [f64; N] {
        let codes = pixel.map(u16::from_be_bytes);
        let mut numbers = codes.map(|code| self.decoded[usize::from(code)]);
        if let [colors @ .., alpha] = numbers.as_mut_slice()
            && N == 4
        {
            *alpha = f64::from(codes[N - 1]) / MOST;
            colors.iter_mut().for_each(|color| *color *= *alpha);
        }
        numbers
    }

    /// The samples nearest to a pixel's numbers; what rounds to invisible becomes zeros.
    fn encode<const N: usize>(&self, numbers: [f64; N]) -> [Deep; N] {
        let color = |number: f64| nearest((self.encode)(number.clamp(0.0, 1.0)));
        if N < 4 {
            return numbers.map(color);
        }
        // As for 8 bits: colour overshoots alone.
        let (opacity, alpha) = (numbers[N - 1].min(1.0), nearest(numbers[N - 1]));
        if alpha == Deep::default() {
            return [alpha; N];
        }
        let mut pixel = numbers.map(|number| color(number / opacity));
        pixel[N - 1] = alpha;
        pixel
    }
}

/// The sample nearest to a number; what lies outside 0–1 is clipped.
fn nearest(number: f64) -> Deep {
    // A float-to-integer cast saturates.
    ((number * MOST + 0.5) as u16).to_be_bytes()
}

/// Which samples along one axis make up each scaled sample, and with which weights.
struct Axis {
    /// First source sample of each scaled one; never falls.
    first: Vec<u32>,
    /// `taps` weights for each scaled sample; they add up to 1.
    weights: Vec<f64>,
    taps: usize,
}

impl Axis {
    fn new(source: u32, scaled: u32) -> Self {
        let step = f64::from(source) / f64::from(scaled);
        let stretch = step.max(1.0);
        let reach = LOBES * stretch;
        let taps = ((2.0 * reach).ceil() as u32 + 1).min(source);
        let mut axis = Self { first: Vec::new(), weights: Vec::new(), taps: taps as usize };
        for index in 0..scaled {
            let center = (f64::from(index) + 0.5) * step;
            let first = ((center - reach + 0.5).floor().max(0.0) as u32).min(source - taps);
            let weight = |at: u32| lanczos((f64::from(at) + 0.5 - center) / stretch);
            let sum: f64 = (first..first + taps).map(weight).sum();
            axis.first.push(first);
            axis.weights.extend((first..first + taps).map(|at| weight(at) / sum));
        }
        axis
    }

    fn len(&self) -> usize {
        self.first.len()
    }

    fn taps_of(&self, index: usize) -> (usize, &[f64]) {
        (self.first[index] as usize, &self.weights[index * self.taps..(index + 1) * self.taps])
    }

    /// The source sample behind the last one of a scaled one.
    fn end(&self, index: usize) -> usize {
        self.first[index] as usize + self.taps
    }

    /// Most scaled samples that one source sample takes part in.
    fn overlap(&self) -> usize {
        let mut oldest = 0;
        let mut most = 0;
        for at in 0..self.len() {
            while self.end(oldest) <= self.first[at] as usize {
                oldest += 1;
            }
            most = most.max(at + 1 - oldest);
        }
        most
    }
}

/// sinc(x) sinc(x / 3) inside three lobes.
fn lanczos(x: f64) -> f64 {
    if x.abs() >= LOBES {
        return 0.0;
    }
    let sinc = |x: f64| {
        let x = x * std::f64::consts::PI;
        if x == 0.0 { 1.0 } else { x.sin() / x }
    };
    sinc(x) * sinc(x / LOBES)
}

/// Scales a picture of `N` samples a pixel.
struct Scaler<'a, const N: usize> {
    frame: &'a Frame<Deep>,
    numbers: &'static Numbers,
    columns: Axis,
    rows: Axis,
    /// A source row as numbers.
    line: Vec<[f64; N]>,
    scaled: Vec<Deep>,
}

impl<'a, const N: usize> Scaler<'a, N> {
    fn new(frame: &'a Frame<Deep>, size: Size, numbers: &'static Numbers) -> Self {
        Self {
            frame,
            numbers,
            columns: Axis::new(frame.size().width, size.width),
            rows: Axis::new(frame.size().height, size.height),
            line: vec![[0.0; N]; frame.size().width as usize],
            scaled: Vec::with_capacity(size.area() as usize * N),
        }
    }

    /// Of a picture that becomes higher the source rows are held, of one that becomes lower the sums: a few each.
    fn run(mut self, cancel: &Cancel) -> Result<Vec<Deep>, Error> {
        if self.rows.len() > self.frame.size().height as usize {
            self.gather(cancel)?;
        } else {
            self.scatter(cancel)?;
        }
        Ok(self.scaled)
    }

    /// Each scaled row takes what it needs of the source rows around it.
    fn gather(&mut self, cancel: &Cancel) -> Result<(), Error> {
        let (width, slots) = (self.columns.len(), self.rows.taps);
        let mut held = vec![[0.0; N]; slots * width];
        let mut sums = vec![[0.0; N]; width];
        let mut loaded = 0;
        for scaled in 0..self.rows.len() {
            cancel.check()?;
            while loaded < self.rows.end(scaled) {
                self.load(loaded, &mut held[loaded % slots * width..][..width]);
                loaded += 1;
            }
            sums.fill([0.0; N]);
            let (first, weights) = self.rows.taps_of(scaled);
            for (row, weight) in (first..).zip(weights) {
                add(&mut sums, &held[row % slots * width..][..width], *weight);
            }
            self.store(&sums);
        }
        Ok(())
    }

    /// Each source row goes to the scaled rows that it takes part in.
    fn scatter(&mut self, cancel: &Cancel) -> Result<(), Error> {
        let (width, slots) = (self.columns.len(), self.rows.overlap());
        let mut sums = vec![[0.0; N]; slots * width];
        let mut loaded = vec![[0.0; N]; width];
        let mut next = 0;
        for row in 0..self.frame.size().height as usize {
            cancel.check()?;
            self.load(row, &mut loaded);
            for scaled in next..self.rows.len() {
                let (first, weights) = self.rows.taps_of(scaled);
                let Some(tap) = row.checked_sub(first) else { break };
                add(&mut sums[scaled % slots * width..][..width], &loaded, weights[tap]);
            }
            while next < self.rows.len() && self.rows.end(next) == row + 1 {
                let slot = next % slots * width..(next % slots + 1) * width;
                self.store(&sums[slot.clone()]);
                sums[slot].fill([0.0; N]);
                next += 1;
            }
        }
        Ok(())
    }

    /// Source row `row`, scaled along its length.
    fn load(&mut self, row: usize, loaded: &mut [[f64; N]]) {
        let stride = self.frame.stride();
        let (pixels, _) = self.frame.pixels()[row * stride..][..stride].as_chunks::<N>();
        for (numbers, pixel) in self.line.iter_mut().zip(pixels) {
            *numbers = self.numbers.decode(*pixel);
        }
        for (index, sums) in loaded.iter_mut().enumerate() {
            let (first, weights) = self.columns.taps_of(index);
            *sums = [0.0; N];
            for (numbers, weight) in self.line[first..].iter().zip(weights) {
                for (sum, number) in sums.iter_mut().zip(numbers) {
                    *sum += number * weight;
                }
            }
        }
    }

    fn store(&mut self, row: &[[f64; N]]) {
        let numbers = self.numbers;
        self.scaled.extend(row.iter().flat_map(|pixel| numbers.encode(*pixel)));
    }
}

fn add<const N: usize>(sums: &mut [[f64; N]], row: &[[f64; N]], weight: f64) {
    for (sum, number) in sums.as_flattened_mut().iter_mut().zip(row.as_flattened()) {
        *sum += number * weight;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::op::resize;

    const LIGHTS: [Light; 3] = [Light::Gamma, Light::Mixed, Light::Linear];
    const LAYOUTS: [Layout; 3] = [Layout::Gray, Layout::Rgb, Layout::Rgba];

    /// Steps, slopes and noise, with every alpha.
    fn card(size: Size, layout: Layout) -> Frame<Deep> {
        let count = size.area() as u32 * layout.channels() as u32;
        let sample = |at: u32| (at.wrapping_mul(2_654_435_761) >> 16) as u16;
        let pixels = (0..count).map(|at| if at % 7 == 0 { sample(at / 50) } else { sample(at) }.to_be_bytes());
        Frame::of(size, layout, pixels.collect()).expect("a card")
    }

    fn scaled(frame: &Frame<Deep>, size: Size, light: Light) -> Frame<Deep> {
        resize(frame.clone(), size, light, &Cancel::default()).expect("nobody cancels")
    }

    /// One pixel as the definition says: all source pixels, each with its weight.
    fn by_definition(frame: &Frame<Deep>, size: Size, (x, y): (u32, u32), light: Light) -> [u16; 4] {
        let (decode, encode) = light.for_resize(frame.size(), size, frame.layout() == Layout::Rgba).functions();
        let weights = |at: u32, source: u32, scaled: u32| -> Vec<f64> {
            let step = f64::from(source) / f64::from(scaled);
            let center = (f64::from(at) + 0.5) * step;
            let weight = |from: u32| lanczos((f64::from(from) + 0.5 - center) / step.max(1.0));
            let sum: f64 = (0..source).map(weight).sum();
            (0..source).map(|from| weight(from) / sum).collect()
        };
        let columns = weights(x, frame.size().width, size.width);
        let rows = weights(y, frame.size().height, size.height);
        let mut sums = [0.0; 4];
        for (y, row) in (0..).zip(rows) {
            for (x, column) in (0..).zip(&columns) {
                let [r, g, b, a] = frame.samples_at(x, y).map(|sample| f64::from(u16::from_be_bytes(sample)) / MOST);
                let numbers = [decode(r) * a, decode(g) * a, decode(b) * a, a];
                (0..4).for_each(|at| sums[at] += numbers[at] * row * column);
            }
        }
        let [r, g, b, a] = sums;
        if (a * MOST).round() <= 0.0 {
            return [0; 4];
        }
        let code = |number: f64| (number.clamp(0.0, 1.0) * MOST).round() as u16;
        let color = |number: f64| code(encode((number / a.min(1.0)).clamp(0.0, 1.0)));
        [color(r), color(g), color(b), code(a)]
    }

    #[test]
    fn every_sample_is_the_exact_sum_rounded() {
        for light in LIGHTS {
            for layout in LAYOUTS {
                let card = card(Size::new(31, 23), layout);
                for (width, height) in [(10, 7), (31, 5), (4, 23), (40, 50), (50, 6), (6, 50), (1, 1)] {
                    let size = Size::new(width, height);
                    let small = scaled(&card, size, light);
                    for at in (0..width * height).step_by(5) {
                        let (x, y) = (at % width, at / width);
                        let found = small.samples_at(x, y).map(u16::from_be_bytes);
                        let expected = by_definition(&card, size, (x, y), light);
                        let far = found.iter().zip(expected).any(|(found, expected)| found.abs_diff(expected) > 1);
                        assert!(!far, "{light:?} {layout:?} {size} at {x},{y}: {found:?} for {expected:?}");
                    }
                }
            }
        }
    }

    #[test]
    fn one_colour_stays_that_colour() {
        let color = [[0x12, 0x34], [0xFF, 0xFF], [0, 1], [0x80, 0x01]];
        for light in LIGHTS {
            for layout in LAYOUTS {
                for (from, to) in [((40, 30), (13, 7)), ((5, 4), (64, 33)), ((1, 1), (9, 9)), ((300, 2), (1, 1))] {
                    let card = Frame::of_color(Size::new(from.0, from.1), layout, color);
                    let size = Size::new(to.0, to.1);
                    let expected = Frame::of_color(size, layout, color);
                    assert_eq!(scaled(&card, size, light), expected, "{light:?} {layout:?} {from:?} -> {to:?}");
                }
            }
        }
    }

    #[test]
    fn every_sample_survives_the_way_there_and_back() {
        for light in LIGHTS {
            let numbers = Numbers::of(light);
            for code in 0..=u16::MAX {
                let sample = code.to_be_bytes();
                assert_eq!(numbers.encode(numbers.decode([sample])), [sample], "{light:?}");
            }
        }
    }

    /// With 8 bits the same kernel goes over the same numbers.
    #[test]
    fn eight_bits_come_to_the_same_picture() {
        let pixels: Vec<u8> =
            (0..61 * 47 * 4_u32).map(|at| (at.wrapping_mul(2_654_435_761) >> 25) as u8 + 64).collect();
        let shallow = Frame::new(Size::new(61, 47), Layout::Rgba, pixels).expect("a card");
        for light in LIGHTS {
            for layout in [Layout::Gray, Layout::Rgb] {
                let shallow = shallow.clone().into_layout(layout);
                let widened = shallow.pixels().iter().map(|code| [*code; 2]).collect();
                let deep = Frame::of(shallow.size(), layout, widened).expect("a card");
                for size in [Size::new(20, 15), Size::new(61, 10), Size::new(90, 80)] {
                    let expected =
                        resize::resize(shallow.clone(), size, light, &Cancel::default()).expect("not cancelled");
                    for (found, expected) in scaled(&deep, size, light).pixels().iter().zip(expected.pixels()) {
                        let found = f64::from(u16::from_be_bytes(*found)) / 257.0;
                        assert!((found - f64::from(*expected)).abs() < 1.6, "{light:?} {layout:?} to {size}");
                    }
                }
            }
        }
    }

    #[test]
    fn nobody_waits_for_it() {
        let cancel = Cancel::default();
        cancel.cancel();
        for size in [Size::new(3, 2), Size::new(30, 50)] {
            assert_eq!(resize(card(Size::new(9, 9), Layout::Rgb), size, Light::Mixed, &cancel), Err(Error::Cancelled));
        }
    }
}
