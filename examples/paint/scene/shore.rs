//! A beach from straight above: sand, foam, and water from clear to deep.

use std::f32::consts::TAU;

use crate::{
    noise::{Dice, cells, fbm, noise2, ridges},
    picture::Picture,
    vector::{V3, mix, smooth, v3},
};

/// Renders the shore, `grid` × `grid` samples to a pixel.
pub(crate) fn paint(width: usize, height: usize, grid: i32) -> Picture {
    let parasols = Parasol::pitch();
    Picture::render(width, height, grid, |s| look(&parasols, s.x, s.y))
}

/// Distance out to sea from the line where the last wave ran up; negative on land.
fn out(x: f32, y: f32) -> f32 {
    0.34 + 0.42 * y + 0.52 * x + 0.16 * (x * 1.1 - y * 0.9 + 0.6).sin() + 0.20 * (fbm(x * 1.6, y * 1.6, 4) - 0.5)
}

fn look(parasols: &[Parasol], x: f32, y: f32) -> V3 {
    let d = out(x, y) + 0.035 * (fbm(x * 7.0, y * 7.0, 4) - 0.5);
    let sand = sand(x, y, d);
    if d < -0.15 {
        return parasols.iter().fold(sand, |color, parasol| parasol.over(x, y, color));
    }
    let color = if d > 0.0 { sea(x, y, d, sand) } else { sand };
    boat(x, y, mix(color, v3(0.92, 0.95, 0.95), foam(x, y, d)))
}

fn sand(x: f32, y: f32, d: f32) -> V3 {
    let grain = 0.86 + 0.20 * fbm(x * 190.0, y * 190.0, 2) + 0.10 * (fbm(x * 5.0, y * 5.0, 4) - 0.5);
    let prints =
        smooth(0.30, 0.12, cells(x * 22.0, y * 22.0, 4).0) * smooth(0.50, 0.62, fbm(x * 2.6 + 8.0, y * 2.6, 3));
    let dry = v3(0.72, 0.575, 0.40) * (grain - 0.10 * prints);
    let wet = v3(0.36, 0.27, 0.185) * (0.9 + 0.1 * grain);
    mix(dry, wet, smooth(-0.115, -0.070, d + 0.02 * fbm(x * 9.0, y * 9.0, 3)))
}

/// A parasol, with a towel in its lee.
struct Parasol {
    at: (f32, f32),
    radius: f32,
    turn: f32,
    colors: [V3; 2],
}

impl Parasol {
    /// All of them: scattered, then kept where the sand is dry.
    fn pitch() -> Vec<Self> {
        let mut dice = Dice(404);
        let mut pitched = Vec::new();
        for _ in 0..60 {
            let at = (dice.between(-1.46, 0.35), dice.between(-0.96, 0.96));
            let (radius, turn) = (dice.between(0.034, 0.043), dice.roll());
            let colors = [cloth(dice.roll()), cloth(dice.roll())];
            let free = |other: &Self| (other.at.0 - at.0).hypot(other.at.1 - at.1) > 0.17;
            if (-1.2..-0.27).contains(&out(at.0, at.1)) && pitched.iter().all(free) {
                pitched.push(Self { at, radius, turn, colors });
            }
        }
        pitched
    }

    /// Shade first, then the towel, then the canopy.
    fn over(&self, x: f32, y: f32, sand: V3) -> V3 {
        let (dx, dy, r) = (x - self.at.0, y - self.at.1, self.radius);
        if dx.abs() > 0.12 || dy.abs() > 0.12 {
            return sand;
        }
        let d = dx.hypot(dy) / r;
        if d < 1.0 {
            let panel = ((dy.atan2(dx) + self.turn) * 8.0 / TAU).floor() as i32;
            let paint = if panel.rem_euclid(2) == 0 { self.colors[0] } else { v3(0.88, 0.86, 0.80) };
            return paint * (0.80 + 0.28 * (dy - dx) / r + 0.06 * (1.0 - d));
        }
        let shade = mix(0.45, 1.0, smooth(0.85, 1.06, (dx - 0.030).hypot(dy + 0.026) / r));
        let (s, c) = (self.turn * 3.0).sin_cos();
        let (u, v) = (c * (dx + 0.055) + s * dy, c * dy - s * (dx + 0.055));
        let towel = if (v * 260.0).sin() > 0.1 { self.colors[1] } else { v3(0.85, 0.83, 0.78) };
        if u.abs() < 0.013 && v.abs() < 0.030 { towel * shade } else { sand * shade }
    }
}

/// A small sailing boat going out, and the wake behind it.
fn boat(x: f32, y: f32, sea: V3) -> V3 {
    let (s, c) = 0.62f32.sin_cos();
    let (dx, dy) = (x - 0.70, y - 0.26);
    let (u, v) = (c * dx + s * dy, c * dy - s * dx);
    if v.abs() > 0.12 || !(-0.75..0.06).contains(&u) {
        return sea;
    }
    let (behind, arm) = ((-u - 0.02).max(0.0), (v.abs() - 0.010 - 0.13 * (-u - 0.02).max(0.0)).abs());
    let froth = 0.4 + 0.9 * fbm(x * 60.0, y * 60.0, 3);
    let wake =
        (smooth(0.012, 0.0, arm) + smooth(0.016, 0.0, v.abs())) * smooth(0.62, 0.0, behind) * smooth(0.0, 0.02, behind);
    let sea = mix(sea, v3(0.80, 0.90, 0.90), (wake * froth).clamp(0.0, 0.85));
    let hull = |u: f32, v: f32, scale: f32| v.abs() < 0.013 * scale * (1.0 - (u / (0.046 * scale)).powi(2)) + 0.001;
    if hull(u - 0.012, v + 0.020, 1.0) && !hull(u, v, 1.0) {
        return sea * 0.55;
    }
    let deck = if hull(u, v, 0.72) { v3(0.48, 0.28, 0.13) } else { v3(0.92, 0.91, 0.88) };
    let sail = (v - 0.006 - 0.010 * (1.0 - (u / 0.030).powi(2))).abs() < 0.004 && u.abs() < 0.030;
    if sail || hull(u, v, 1.0) { if sail { v3(0.98, 0.97, 0.93) } else { deck } } else { sea }
}

fn cloth(choice: f32) -> V3 {
    [v3(0.75, 0.10, 0.07), v3(0.05, 0.26, 0.46), v3(0.86, 0.50, 0.06), v3(0.04, 0.36, 0.33)][(choice * 3.99) as usize]
}

fn sea(x: f32, y: f32, d: f32, bottom: V3) -> V3 {
    let shoal = d + 0.22 * (fbm(x * 2.2 + 4.0, y * 2.2, 5) - 0.5);
    let caustic = ridges(x * 13.0 + 0.6 * fbm(x * 9.0, y * 9.0, 2), y * 13.0, 3);
    let floor = bottom * (0.80 + 0.65 * caustic.powi(2));
    let reef = smooth(0.56, 0.70, fbm(x * 3.4 + 1.0, y * 3.4 + 7.0, 5)) * smooth(0.25, 0.55, shoal);
    let floor = mix(floor, v3(0.030, 0.055, 0.045), reef * 0.75);
    // Water swallows red first, then green (rates per unit of distance out, not physical depth).
    let clear = v3((-7.5 * shoal.max(0.0)).exp(), (-1.9 * shoal.max(0.0)).exp(), (-1.35 * shoal.max(0.0)).exp());
    let scatter = mix(v3(0.10, 0.52, 0.50), v3(0.004, 0.105, 0.205), smooth(0.05, 1.25, shoal));
    let body = floor * clear * 0.85 + scatter * (V3::all(1.0) - clear);
    let lines = fbm(x * 16.0 + y * 9.0, y * 30.0 - x * 22.0, 4);
    let glint = smooth(0.62, 0.85, lines) * smooth(0.05, 0.4, d);
    body * (0.86 + 0.28 * lines) + v3(0.5, 0.55, 0.55) * (glint * 0.13)
}

/// Lace: thick at the front of each wave, torn into cells behind it.
fn foam(x: f32, y: f32, d: f32) -> f32 {
    let wander = 0.10 * (fbm(x * 3.0 + 2.0, y * 3.0, 4) - 0.5);
    let (near, second, _) = cells(x * 30.0 + 2.0 * fbm(x * 12.0, y * 12.0, 3), y * 30.0, 31);
    let (fine, fine2, _) = cells(x * 75.0, y * 75.0 + 2.0 * fbm(x * 20.0, y * 20.0, 2), 37);
    let lace = smooth(0.22, 0.02, second - near) * 0.8 + smooth(0.25, 0.0, fine2 - fine) * 0.5;
    let mut cover = 0.0f32;
    for (front, tail, strength) in [(0.004, 0.13, 1.0), (0.235, 0.085, 0.95), (0.47, 0.05, 0.6)] {
        let behind = d - front - wander * smooth(0.0, 0.2, front);
        let gap = smooth(0.34, 0.52, noise2(x * 2.4 + front * 40.0, y * 2.4, 51) + if front < 0.1 { 0.4 } else { 0.0 });
        let crest = smooth(-0.004, 0.003, behind) * smooth(0.030, 0.006, behind);
        let trail = smooth(0.0, 0.006, behind) * smooth(tail, 0.0, behind) * lace;
        cover = cover.max(strength * gap * (crest * (0.55 + 0.6 * lace)).max(trail));
    }
    cover.clamp(0.0, 0.97)
}
