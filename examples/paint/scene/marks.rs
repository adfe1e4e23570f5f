//! Small things drawn with edges rather than light: the mark, a badge, a spinner, a painter's palette.

use std::f32::consts::TAU;

use crate::{
    noise::fbm,
    picture::{Picture, Sample, hex, to_srgb},
    vector::{V3, mix, smooth, v3},
    write::Bytes,
};

/// A color and how much of it covers what is behind, 0..1.
type Paint = (V3, f32);

/// Renders straight (not premultiplied) 8-bit RGBA.
fn rgba(size: usize, paint: impl Fn(Sample) -> Paint + Sync) -> Bytes {
    let color = Picture::render(size, size, 4, |s| paint(s).0 * paint(s).1);
    let alpha = Picture::render(size, size, 4, |s| V3::all(paint(s).1));
    let pixels = color.pixels.iter().zip(&alpha.pixels);
    let data = pixels.flat_map(|(c, a)| {
        let c = (*c / a.x.max(1e-4)).map(|c| to_srgb(c.clamp(0.0, 1.0)));
        [c.x, c.y, c.z, a.x].map(|v| (v * 255.0 + 0.5) as u8)
    });
    Bytes { width: size, height: size, data: data.collect() }
}

/// Lays `top` over `under`.
fn over(top: Paint, under: Paint) -> Paint {
    let alpha = top.1 + under.1 * (1.0 - top.1);
    ((top.0 * top.1 + under.0 * (under.1 * (1.0 - top.1))) / alpha.max(1e-5), alpha)
}

/// 1 inside (`distance` below zero), falling to 0 over `soft`.
fn fill(distance: f32, soft: f32) -> f32 {
    smooth(soft, -soft, distance)
}

/// The hues round the iris.
const WHEEL: [u32; 5] = [0x2d6cdf, 0x8a4fd8, 0xf2587a, 0xffa24d, 0x1fa39a];

/// Six blades round a hexagonal opening: an iris half open, `gap` wide between the blades.
fn iris(x: f32, y: f32, open: f32, gap: f32) -> Paint {
    let r = x.hypot(y);
    // In each blade's frame the opening's edge is vertical; the edge runs on under the next blade.
    let (mut hole, mut seam) = (-9.0f32, 9.0f32);
    for i in 0..6 {
        let (s, c) = (i as f32 * TAU / 6.0).sin_cos();
        let (u, v) = (c * x + s * y - open, c * y - s * x);
        hole = hole.max(u);
        if v > -0.5774 * open {
            seam = seam.min(u.abs());
        }
    }
    let turn = (y.atan2(x) / TAU + 0.60).rem_euclid(1.0) * WHEEL.len() as f32;
    let (from, to) = (turn as usize % WHEEL.len(), (turn as usize + 1) % WHEEL.len());
    let hue = mix(hex(WHEEL[from]), hex(WHEEL[to]), smooth(0.0, 1.0, turn.fract()));
    (hue * (1.0 + 0.3 * (0.7 - r)), fill(r - 0.90, 0.015) * fill(-hole, 0.012) * smooth(gap * 0.6, gap * 1.4, seam))
}

/// The mark: the iris with a soft shadow under it, for watermarks on any ground.
pub(crate) fn logo(size: usize) -> Bytes {
    rgba(size, |s| {
        let shadow =
            (V3::ZERO, 0.34 * smooth(1.0, 0.78, (s.x).hypot(s.y + 0.045)) * smooth(0.20, 0.34, s.x.hypot(s.y)));
        over(iris(s.x * 1.04, s.y * 1.04, 0.37, 0.022), shadow)
    })
}

/// The strokes of "mogr" as line and arc pieces, one unit high, from x = 0 to [`WORD`].
fn word(x: f32, y: f32) -> f32 {
    let line = |ax: f32, ay: f32, by: f32| (x - ax).hypot(y - y.clamp(ay.min(by), ay.max(by)));
    let arch = |cx: f32, cy: f32, r: f32| if y > cy { ((x - cx).hypot(y - cy) - r).abs() } else { 9.0 };
    let ring = |cx: f32| ((x - cx).hypot(y - 0.5) - 0.5).abs();
    let dot = |cx: f32, cy: f32| (x - cx).hypot(y - cy);
    let bowl = if y < -0.25 && x > 2.9 { (dot(3.3, -0.25) - 0.5).abs() } else { 9.0 };
    let m = [
        line(0.0, 0.0, 1.0),
        arch(0.33, 0.67, 0.33),
        line(0.66, 0.0, 0.67),
        arch(0.99, 0.67, 0.33),
        line(1.32, 0.0, 0.67),
    ];
    let g = [ring(3.3), line(3.8, -0.25, 1.0), bowl, dot(2.9, -0.55)];
    let r = [line(4.25, 0.0, 1.0), if x < 4.9 { arch(4.65, 0.60, 0.40) } else { 9.0 }, dot(4.9, 0.912)];
    m.into_iter().chain([ring(2.12)]).chain(g).chain(r).fold(9.0, f32::min)
}

/// Width of the word in its own units.
const WORD: f32 = 4.9;

/// A round badge: ring, iris and name, on nothing.
pub(crate) fn badge(size: usize) -> Bytes {
    rgba(size, |s| {
        let r = s.x.hypot(s.y);
        let disc = (mix(hex(0x0f1b33), hex(0x24365f), smooth(-0.9, 0.9, s.y)), fill(r - 0.94, 0.01));
        let ring = (hex(0xf4d9a6), fill((r - 0.86).abs() - 0.012, 0.008));
        let notch = (s.y.atan2(s.x) * 36.0).sin();
        let ticks = (hex(0xf4d9a6), fill((r - 0.80).abs() - 0.018, 0.008) * smooth(0.55, 0.8, notch));
        let name = word((s.x + 0.36) / 0.72 * WORD, (s.y + 0.44) / 0.147);
        let letters = (hex(0xfff6e6), fill(name - 0.125, 0.06));
        let mark = iris(s.x / 0.42, (s.y - 0.20) / 0.42, 0.37, 0.035);
        [disc, ring, ticks, letters, mark].into_iter().fold((V3::ZERO, 0.0), |under, top| over(top, under))
    })
}

/// One turn of the iris opening and closing.
pub(crate) fn spinner(size: usize, frames: usize) -> Vec<Bytes> {
    let frame = |i: usize| {
        let phase = i as f32 / frames as f32;
        let (sin, cos) = (phase * TAU / 3.0).sin_cos();
        let open = 0.34 - 0.20 * (phase * TAU).cos();
        rgba(size, move |s| iris(cos * s.x + sin * s.y, cos * s.y - sin * s.x, open, 0.030))
    };
    (0..frames).map(frame).collect()
}

/// A painter's palette with dabs of oil paint, and its shadow on whatever it lies on.
pub(crate) fn palette(size: usize) -> Bytes {
    const OILS: [u32; 9] = [0xf7f3e8, 0xf2c230, 0xe8762c, 0xcf2f2a, 0x8e2a5b, 0x3d3a8c, 0x1f6fb2, 0x2c8f5a, 0x6b4a2b];
    let board = |x: f32, y: f32| {
        let r = (x / 0.90).hypot(y / 0.70);
        let bite = 0.16 - (x - 0.48).hypot(y + 0.60);
        ((r - 1.0) * 0.70).max(bite).max(0.085 - (x - 0.42).hypot(y + 0.26))
    };
    rgba(size, |s| {
        let shadow = (V3::ZERO, 0.55 * smooth(0.09, -0.06, board(s.x - 0.025, s.y + 0.045)));
        let grain = fbm(s.x * 3.0, s.y * 26.0 + 3.0 * fbm(s.x * 2.0, s.y * 2.0, 2), 4);
        let edge = smooth(0.0, -0.03, board(s.x, s.y));
        let wood = mix(hex(0x8a5a2e), hex(0xd9a566), grain) * mix(0.65, 1.0, edge) * (1.0 + 0.15 * s.y);
        let mut color = wood;
        for (i, &oil) in OILS.iter().enumerate() {
            let angle = 0.15 + i as f32 * 0.47;
            let (dx, dy) = (s.x - 0.60 * angle.cos(), s.y - 0.43 * angle.sin() - 0.02);
            if dx.hypot(dy) > 0.2 {
                continue;
            }
            let wobble = 0.03 * (fbm(s.x * 9.0, s.y * 9.0, 3) - 0.5);
            let d = dx.hypot(dy) - 0.105 + wobble;
            color = color * mix(0.55, 1.0, smooth(-0.01, 0.05, (dx - 0.012).hypot(dy + 0.02) - 0.105));
            let swirl = 0.85 + 0.3 * fbm(dx * 30.0 + dy * 12.0, dy * 30.0 - dx * 20.0, 3);
            let dome = 0.80 + 2.2 * (dy - dx).clamp(-0.1, 0.1);
            let glint = v3(0.5, 0.5, 0.5) * smooth(0.030, 0.010, (dx + 0.035).hypot(dy - 0.04));
            color = mix(color, hex(oil) * (swirl * dome) + glint, fill(d, 0.006));
        }
        over((color, fill(board(s.x, s.y), 0.004)), shadow)
    })
}

/// A test card in 16 bits: smooth ramps of hue and light that band in 8 bits, and wedges of ever finer lines.
///
/// RGB, high byte first.
pub(crate) fn gradients(width: usize, height: usize) -> Bytes {
    let picture = Picture::render(width, height, 3, |s| {
        let aspect = width as f32 / height as f32;
        let (across, up) = ((s.x / aspect + 1.0) / 2.0, (s.y + 1.0) / 2.0);
        if up > 0.52 {
            let wheel = |shift: f32| 0.5 + 0.5 * (TAU * (across + shift)).cos();
            return v3(wheel(0.0), wheel(0.67), wheel(0.33)) * (up - 0.52) / 0.48;
        }
        if up > 0.30 {
            // A twentieth of the range over the whole width: thirteen steps in 8 bits.
            return V3::all(0.18 + 0.05 * across);
        }
        // Hyperbolic wedge: lines converge to the right.
        let lines = ((up - 0.15) * 12.0 / (1.06 - across) * 2.6).cos();
        V3::all(if lines > 0.0 { 0.85 } else { 0.02 })
    });
    let channels = |p: &V3| [p.x, p.y, p.z].map(|c| (to_srgb(c.clamp(0.0, 1.0)) * 65_535.0 + 0.5) as u16);
    let data = picture.pixels.iter().flat_map(channels).flat_map(u16::to_be_bytes).collect();
    Bytes { width, height, data }
}

/// Rolling waves under a low sun: one frame of a loop, `phase` from 0 to 1.
pub(crate) fn waves(width: usize, height: usize, phase: f32) -> Picture {
    Picture::render(width, height, 3, |s| {
        let sun = (s.x + 0.35).hypot(s.y - 0.28);
        let mut color =
            mix(hex(0xffc98a), hex(0x5a6fb0), smooth(-0.1, 1.0, s.y)) + hex(0xff9a4a) * (0.25 * (-sun * 2.6).exp());
        color = mix(color, hex(0xfff3d6), smooth(0.172, 0.160, sun));
        for row in 0..6 {
            let (depth, way) = (row as f32 / 5.0, if row % 2 == 0 { 1.0 } else { -1.0 });
            // Whole periods per loop keep the last frame next to the first.
            let roll = TAU * phase * way + row as f32 * 1.9;
            let x = s.x * mix(5.0, 2.4, depth) + roll;
            let bob = 0.02 * (TAU * phase + row as f32).sin();
            let crest = 0.02 - 0.17 * row as f32
                + bob
                + mix(0.025, 0.085, depth) * (x.sin() + 0.35 * (2.0 * x + 0.8 + roll).sin());
            let below = crest - s.y;
            let water = mix(hex(0x4f7fa8), hex(0x0b2b4f), depth) * (1.0 + 0.55 * smooth(0.22, 0.0, below));
            let water = mix(water, hex(0xffe9cf), 0.75 * smooth(0.016, 0.004, below));
            color = mix(color, water, smooth(-0.004, 0.004, below));
        }
        color
    })
}
