//! Cherry blossom against a soft sky, focused on the branch in the middle.

use std::f32::consts::TAU;

use crate::{
    noise::{Dice, fbm, random},
    picture::{Picture, Sample},
    vector::{V3, mix, smooth, v3},
};

/// Renders the blossom, `grid` × `grid` samples to a pixel of its background.
pub(crate) fn paint(width: usize, height: usize, grid: i32) -> Picture {
    let mut picture = Picture::render(width, height, grid, garden);
    let mut dice = Dice(77);
    // Far first: each layer is blurred with all behind it before the next is drawn, the last one stays sharp.
    for (start, heading, length, blur) in
        [((1.7, 0.3), 2.8, 0.62, 0.030), ((-1.7, -0.5), 0.5, 0.50, 0.016), ((-1.72, 0.50), -0.36, 0.90, 0.0)]
    {
        let mut blossoms = Vec::new();
        branch(&mut picture, &mut dice, &mut blossoms, Twig { start, heading, length, thick: 0.022, depth: 0 });
        for at in blossoms {
            blossom(&mut picture, at, dice.between(0.065, 0.108), dice.roll(), dice.between(0.55, 1.0));
        }
        if blur > 0.0 {
            picture.blur(blur);
        }
    }
    picture.bloom(0.03, 0.05);
    picture
}

fn garden(s: Sample) -> V3 {
    let mut color = mix(v3(0.16, 0.27, 0.10), v3(0.16, 0.36, 0.72), smooth(-1.0, 0.5, s.y + 0.3 * fbm(s.x, s.y, 2)));
    for i in 0..70 {
        let roll = |k| random(i, k, 505);
        let (cx, cy, r) = (mix(-1.6, 1.6, roll(1)), mix(-1.1, 1.0, roll(2)), mix(0.10, 0.28, roll(3)));
        let disc = smooth(1.05, 0.7, (s.x - cx).hypot(s.y - cy) / r);
        let hue = mix(v3(0.95, 0.62, 0.72), v3(0.75, 0.85, 0.62), smooth(0.0, -0.9, cy) * roll(4));
        color = mix(color, hue, disc * 0.34 * roll(5) * roll(5));
    }
    color
}

#[derive(Clone, Copy)]
struct Twig {
    start: (f32, f32),
    /// Direction in radians, anticlockwise from the right.
    heading: f32,
    length: f32,
    thick: f32,
    depth: i32,
}

/// Draws a twig in short bent pieces, its side twigs after it, and notes where blossoms sit.
fn branch(picture: &mut Picture, dice: &mut Dice, blossoms: &mut Vec<(f32, f32)>, twig: Twig) {
    let (mut at, mut heading) = (twig.start, twig.heading);
    let pieces = 14;
    for i in 0..pieces {
        let t = i as f32 / pieces as f32;
        heading += dice.between(-0.13, 0.13);
        let step = twig.length * 3.2 / pieces as f32;
        let next = (at.0 + step * heading.cos(), at.1 + step * heading.sin());
        let thick = twig.thick * (1.0 - 0.65 * t);
        bark(picture, at, next, thick, v3(0.050, 0.030, 0.026));
        at = next;
        if twig.depth < 2 && i % 3 == 2 {
            let side = if dice.roll() > 0.5 { 1.0 } else { -1.0 };
            let heading = heading + side * dice.between(0.5, 1.0);
            let length = twig.length * dice.between(0.22, 0.36);
            branch(
                picture,
                dice,
                blossoms,
                Twig { start: at, heading, length, thick: thick * 0.55, depth: twig.depth + 1 },
            );
        }
        for _ in 0..(twig.depth * 2).min(2) {
            if dice.roll() > 0.74 {
                blossoms.push((at.0 + dice.between(-0.06, 0.06), at.1 + dice.between(-0.06, 0.06)));
            }
        }
    }
}

/// A round twig: dark below, a lit line above.
fn bark(picture: &mut Picture, a: (f32, f32), b: (f32, f32), r: f32, color: V3) {
    picture.line(a, b, r, color);
    let up = r * 0.45;
    picture.line((a.0, a.1 + up), (b.0, b.1 + up), r * 0.28, color * 2.4);
}

/// Five notched petals turned by `turn` (a share of a circle) and foreshortened by `tilt`.
fn blossom(picture: &mut Picture, at: (f32, f32), size: f32, turn: f32, tilt: f32) {
    let soft = 0.035;
    picture.dab(at, size * 1.5, |dx, dy, old| {
        let (s, c) = (turn * TAU).sin_cos();
        let (u, v) = ((c * dx + s * dy) / size, (c * dy - s * dx) / (size * tilt));
        let (r, angle) = (u.hypot(v), v.atan2(u) + turn * 9.0);
        let sector = (angle / TAU * 5.0).rem_euclid(1.0) - 0.5;
        let edge = 0.62 + 0.38 * (1.0 - (2.0 * sector).abs().powf(2.2)) - 0.13 * smooth(0.10, 0.0, sector.abs());
        let cover = smooth(edge + soft, edge - soft, r);
        let crease = smooth(0.5, 0.36, sector.abs()).max(smooth(edge * 0.2, 0.0, r));
        let vein = 0.96 + 0.05 * (sector * 60.0).sin();
        let mut color = mix(v3(0.90, 0.58, 0.68), v3(0.62, 0.10, 0.24), smooth(0.60, 0.02, r));
        color = color * (mix(0.62, 1.0, crease) * vein * (0.84 + 0.24 * (dy - dx) / size));
        let stamen = (angle * 8.0).cos() > 0.80 && (0.12..0.46).contains(&r);
        let anther = (angle * 8.0).cos() > 0.60 && (0.42..0.50).contains(&r);
        if stamen || anther {
            color = if anther { v3(0.82, 0.52, 0.10) } else { v3(0.90, 0.62, 0.66) };
        }
        mix(old, color, cover)
    });
}
