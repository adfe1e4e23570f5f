//! Pictures in linear light: rendered on all cores, drawn upon, and developed to bytes like a film.

use std::sync::Mutex;

use crate::{
    noise::random,
    vector::{V3, mix, smooth, v3},
};

/// A row-major picture in linear light, top row first.
pub(crate) struct Picture {
    pub(crate) width: usize,
    pub(crate) height: usize,
    pub(crate) pixels: Vec<V3>,
}

/// One point to colour. `x` runs right and `y` up from the centre; the picture is two units high.
#[derive(Clone, Copy)]
pub(crate) struct Sample {
    pub(crate) x: f32,
    pub(crate) y: f32,
    /// Differs for every pixel of the picture.
    pub(crate) pixel: i32,
    /// Counts the samples of one pixel.
    pub(crate) index: i32,
}

impl Sample {
    /// Two numbers in 0..1 for `purpose`, spread evenly over the samples of a pixel and at random between pixels:
    /// the R2 sequence (Roberts, "The Unreasonable Effectiveness of Quasirandom Sequences", 2018), shifted.
    pub(crate) fn jitter(self, purpose: i32) -> (f32, f32) {
        let shifted = |axis: i32, step: f32| (random(self.pixel, purpose, axis) + self.index as f32 * step).fract();
        (shifted(1, 0.754_877_7), shifted(2, 0.569_840_3))
    }
}

impl Picture {
    /// Averages `grid` × `grid` jittered samples of `scene` for each pixel, rows shared among all cores. Every sample
    /// depends on its place alone, so the result does not depend on the number of cores.
    pub(crate) fn render(width: usize, height: usize, grid: i32, scene: impl Fn(Sample) -> V3 + Sync) -> Self {
        let mut pixels = vec![V3::ZERO; width * height];
        share_rows(&mut pixels, width, |y, row| {
            for (x, pixel) in row.iter_mut().enumerate() {
                *pixel = supersample(x, y, (width, height), grid, &scene);
            }
        });
        Self { width, height, pixels }
    }

    /// Turns a quarter anticlockwise: what a camera stores when it is held upright and notes EXIF orientation 6.
    pub(crate) fn turn_left(&self) -> Self {
        let (w, h) = (self.width, self.height);
        let pixels = (0..w).rev().flat_map(|x| (0..h).map(move |y| self.pixels[y * w + x])).collect();
        Self { width: h, height: w, pixels }
    }

    /// The pixel at a place in [`Sample`] coordinates, between neighbours; edges repeat.
    pub(crate) fn at(&self, x: f32, y: f32) -> V3 {
        let half = self.height as f32 / 2.0;
        let px = (x * half + self.width as f32 / 2.0 - 0.5).clamp(0.0, self.width as f32 - 1.001);
        let py = (half - y * half - 0.5).clamp(0.0, self.height as f32 - 1.001);
        let (ix, iy) = (px as usize, py as usize);
        let row =
            |y: usize| mix(self.pixels[y * self.width + ix], self.pixels[y * self.width + ix + 1], px - ix as f32);
        mix(row(iy), row(iy + 1), py - iy as f32)
    }

    /// Paints over the part of the picture near (`x`, `y`): `brush` takes a pixel's offset from there and its colour,
    /// and answers the new colour. All in [`Sample`] units; pixels farther than `reach` in x or y are left alone.
    pub(crate) fn dab(&mut self, (x, y): (f32, f32), reach: f32, brush: impl Fn(f32, f32, V3) -> V3) {
        let half = self.height as f32 / 2.0;
        let (cx, cy, r) = (x * half + self.width as f32 / 2.0, half - y * half, reach * half + 1.0);
        let clip = |v: f32, end: usize| (v.max(0.0) as usize).min(end);
        for py in clip(cy - r, self.height)..clip(cy + r + 1.0, self.height) {
            for px in clip(cx - r, self.width)..clip(cx + r + 1.0, self.width) {
                let pixel = &mut self.pixels[py * self.width + px];
                *pixel = brush((px as f32 + 0.5 - cx) / half, (cy - py as f32 - 0.5) / half, *pixel);
            }
        }
    }

    /// Draws a line of half width `r` (both in [`Sample`] units), its edges smoothed over a pixel. A line thinner
    /// than a pixel grows fainter, not wider.
    pub(crate) fn line(&mut self, a: (f32, f32), b: (f32, f32), r: f32, color: V3) {
        let pixel = 2.0 / self.height as f32;
        let (dx, dy) = (b.0 - a.0, b.1 - a.1);
        let steps = (dx.hypot(dy) / (4.0 * pixel).max(4.0 * r)).ceil().max(1.0);
        let (wide, faint) = (r.max(pixel * 0.5), (r / (pixel * 0.5)).min(1.0));
        for i in 0..steps as usize {
            let t = (i as f32 + 0.5) / steps;
            let middle = (mix(a.0, b.0, t), mix(a.1, b.1, t));
            let (hx, hy) = (dx / steps * 0.5, dy / steps * 0.5);
            let half_square = (hx * hx + hy * hy).max(1e-12);
            self.dab(middle, hx.hypot(hy) + wide + pixel, |x, y, old| {
                let along = (x * hx + y * hy) / half_square;
                let across = (x * hy - y * hx).abs() / half_square.sqrt();
                // Pieces share their ends, so each pixel belongs to one; the first and last are rounded.
                let before = along < -1.0 && i > 0;
                let after = along >= 1.0 && i + 1 < steps as usize;
                let beyond = (along.abs() - 1.0).max(0.0) * half_square.sqrt();
                let cover = smooth(wide + pixel * 0.5, wide - pixel * 0.5, across.hypot(beyond));
                if before || after { old } else { mix(old, color, cover * faint) }
            });
        }
    }

    /// Adds light that strays in the lens: what is brighter than white, spread over `radius` (a share of the height).
    pub(crate) fn bloom(&mut self, radius: f32, amount: f32) {
        let stray = |p: &V3| *p * ((p.luminance() - 0.8).max(0.0) / p.luminance().max(1e-3));
        let mut glow = Self { pixels: self.pixels.iter().map(stray).collect(), ..*self };
        glow.blur(radius);
        self.pixels.iter_mut().zip(glow.pixels).for_each(|(p, g)| *p += g * amount);
    }

    /// Blurs by three box passes of `radius`, a share of half the height; what lies outside is like the edge.
    pub(crate) fn blur(&mut self, radius: f32) {
        let r = ((radius * self.height as f32 / 2.0) as usize).max(1);
        for _ in 0..3 {
            self.pixels = box_blur_transposed(&self.pixels, self.width, r);
            self.pixels = box_blur_transposed(&self.pixels, self.height, r);
        }
    }

    /// Develops to 8-bit RGB: vignette, grain of the given strength, a filmic curve, sRGB transfer.
    pub(crate) fn develop(&self, exposure: f32, grain: f32) -> Vec<u8> {
        let (w, h) = (self.width as f32, self.height as f32);
        let mut bytes = vec![0; self.pixels.len() * 3];
        share_rows(&mut bytes, self.width * 3, |y, row| {
            let line = &self.pixels[y * self.width..][..self.width];
            for (x, (out, &pixel)) in row.chunks_exact_mut(3).zip(line).enumerate() {
                let off_axis = (x as f32 / w - 0.5).powi(2) + (y as f32 / h - 0.5).powi(2);
                let speck = random(x as i32, y as i32, 5) + random(x as i32, y as i32, 6) - 1.0;
                let shown = (pixel * (exposure * (1.0 - 0.45 * off_axis))).map(|c| to_srgb(filmic(c)) + grain * speck);
                out.copy_from_slice(&[shown.x, shown.y, shown.z].map(|c| (c * 255.0 + 0.5) as u8));
            }
        });
        bytes
    }
}

/// Runs `work` on every row of `width` items (with the row's number), on all cores.
fn share_rows<T: Send>(items: &mut [T], width: usize, work: impl Fn(usize, &mut [T]) + Sync) {
    let rows = Mutex::new(items.chunks_mut(width).enumerate());
    let next = || rows.lock().expect("taking a row does not panic").next();
    let drain = || {
        while let Some((y, row)) = next() {
            work(y, row);
        }
    };
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| (0..cores).for_each(|_| drop(scope.spawn(drain))));
}

fn supersample(x: usize, y: usize, size: (usize, usize), grid: i32, scene: &impl Fn(Sample) -> V3) -> V3 {
    let (half, width) = (size.1 as f32 / 2.0, size.0 as f32);
    let count = grid * grid;
    let sum = (0..count).fold(V3::ZERO, |sum, i| {
        let pixel = (y * size.0 + x) as i32;
        let (jx, jy) = (random(pixel, i, 1), random(pixel, i, 2));
        let px = x as f32 + ((i % grid) as f32 + jx) / grid as f32;
        let py = y as f32 + ((i / grid) as f32 + jy) / grid as f32;
        // A stray highlight must not outshine its pixel: samples are limited before averaging.
        sum + scene(Sample { x: (px - width / 2.0) / half, y: (half - py) / half, pixel, index: i })
            .map(|c| c.min(24.0))
    });
    sum / count as f32
}

/// Box blur of every row, written as columns, so that two calls blur both ways.
fn box_blur_transposed(pixels: &[V3], width: usize, r: usize) -> Vec<V3> {
    let height = pixels.len() / width;
    let mut out = vec![V3::ZERO; pixels.len()];
    for (y, row) in pixels.chunks(width).enumerate() {
        let mut sum = (0..r).fold(row[0] * (r + 1) as f32, |sum, x| sum + row[x.min(width - 1)]);
        for x in 0..width {
            sum = sum + row[(x + r).min(width - 1)] - row[x.saturating_sub(r + 1)];
            out[x * height + y] = sum / (2 * r + 1) as f32;
        }
    }
    out
}

/// Rolls highlights off and keeps shadows rich (Narkowicz's fit of the ACES curve, 2016).
pub(crate) fn filmic(x: f32) -> f32 {
    let x = x.max(0.0) * 0.8;
    ((x * (2.51 * x + 0.03)) / (x * (2.43 * x + 0.59) + 0.14)).clamp(0.0, 1.0)
}

/// The sRGB transfer function (IEC 61966-2-1), linear light to code value, 0..1.
pub(crate) fn to_srgb(c: f32) -> f32 {
    if c <= 0.003_130_8 { c * 12.92 } else { 1.055 * c.powf(1.0 / 2.4) - 0.055 }
}

/// A colour as painters write it, `0xRRGGBB`, in linear light.
pub(crate) fn hex(rgb: u32) -> V3 {
    let linear = |c: u32| {
        let c = (c & 255) as f32 / 255.0;
        if c <= 0.040_45 { c / 12.92 } else { ((c + 0.055) / 1.055).powf(2.4) }
    };
    v3(linear(rgb >> 16), linear(rgb >> 8), linear(rgb))
}
