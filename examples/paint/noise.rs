//! Noise from hashed lattice points: the same on every machine, with no state to seed.

use crate::vector::{V3, mix};

/// Scrambles lattice coordinates to 32 even bits (Jarzynski and Olano, "Hash Functions for GPU Rendering", 2020).
pub(crate) fn hash(x: i32, y: i32, z: i32) -> u32 {
    let mut h = (x as u32).wrapping_mul(0x85eb_ca6b) ^ (y as u32).wrapping_mul(0xc2b2_ae35).rotate_left(11);
    h ^= (z as u32).wrapping_mul(0x27d4_eb2f).rotate_left(21);
    h = h.wrapping_mul(747_796_405).wrapping_add(2_891_336_453);
    h = ((h >> ((h >> 28) + 4)) ^ h).wrapping_mul(277_803_737);
    (h >> 22) ^ h
}

/// A number in 0..1 for a lattice point.
pub(crate) fn random(x: i32, y: i32, z: i32) -> f32 {
    (hash(x, y, z) >> 8) as f32 / 16_777_216.0
}

/// A source of numbers in 0..1 for things that are placed once, in order.
pub(crate) struct Dice(pub(crate) i32);

impl Dice {
    pub(crate) fn roll(&mut self) -> f32 {
        self.0 += 1;
        random(self.0, 7, 91)
    }

    pub(crate) fn between(&mut self, low: f32, high: f32) -> f32 {
        mix(low, high, self.roll())
    }
}

/// Splits into the lattice cell and the eased position inside it.
fn cell(x: f32) -> (i32, f32) {
    // A cast and a comparison: `floor` is a library call on plain x86-64.
    let toward_zero = x as i32;
    let floor = toward_zero - i32::from(x < toward_zero as f32);
    let t = x - floor as f32;
    (floor, t * t * (3.0 - 2.0 * t))
}

/// Value noise in the plane, 0..1; `layer` chooses an independent pattern.
pub(crate) fn noise2(x: f32, y: f32, layer: i32) -> f32 {
    let ((ix, tx), (iy, ty)) = (cell(x), cell(y));
    let row = |y| mix(random(ix, y, layer), random(ix + 1, y, layer), tx);
    mix(row(iy), row(iy + 1), ty)
}

/// Value noise in space, 0..1.
pub(crate) fn noise3(p: V3) -> f32 {
    let (iz, tz) = cell(p.z);
    mix(noise2(p.x, p.y, iz), noise2(p.x, p.y, iz + 1), tz)
}

/// The next octave's coordinates: doubled, and turned so that lattices never line up.
pub(crate) fn octave(x: f32, y: f32) -> (f32, f32) {
    (1.6 * x + 1.2 * y + 17.3, 1.6 * y - 1.2 * x + 5.1)
}

/// Fractal sum of `octaves` of [`noise2`], about 0..1 around a half.
pub(crate) fn fbm(mut x: f32, mut y: f32, octaves: i32) -> f32 {
    let (mut sum, mut weight, mut total) = (0.0, 0.5, 0.0);
    for layer in 0..octaves {
        sum += weight * noise2(x, y, layer);
        total += weight;
        weight *= 0.5;
        (x, y) = octave(x, y);
    }
    sum / total
}

/// Fractal sum with creases turned up: mountain crests, foam, marble. 0..1.
pub(crate) fn ridges(mut x: f32, mut y: f32, octaves: i32) -> f32 {
    let (mut sum, mut weight, mut carry, mut total) = (0.0, 0.5, 1.0, 0.0);
    for layer in 0..octaves {
        let crest = 1.0 - (2.0 * noise2(x, y, layer) - 1.0).abs();
        let crest = crest * crest;
        sum += weight * crest * carry;
        total += weight;
        carry = crest.sqrt().min(1.0);
        weight *= 0.5;
        (x, y) = octave(x, y);
    }
    sum / total
}

/// Distance from (`x`, `y`) to the nearest and second nearest of the points scattered one to a unit cell, and the
/// nearest one's own random number.
pub(crate) fn cells(x: f32, y: f32, layer: i32) -> (f32, f32, f32) {
    let (ix, iy) = (x.floor() as i32, y.floor() as i32);
    let mut found = (9.0f32, 9.0f32, 0.0);
    for (jx, jy) in (-1..=1).flat_map(|dy| (-1..=1).map(move |dx| (ix + dx, iy + dy))) {
        let (dx, dy) = (jx as f32 + random(jx, jy, layer) - x, jy as f32 + random(jx, jy, layer + 1) - y);
        let distance = dx.hypot(dy);
        if distance < found.0 {
            found = (distance, found.0, random(jx, jy, layer + 2));
        } else {
            found.1 = found.1.min(distance);
        }
    }
    found
}
