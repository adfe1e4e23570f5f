//! A harbour at the blue hour: a lit town on the hill, yachts at the quay, everything doubled in the water.

use crate::{
    noise::{Dice, fbm, noise2, random},
    picture::{Picture, Sample},
    vector::{V3, mix, smooth, v3},
};

/// Height of the waterline in the picture.
const WATERLINE: f32 = -0.236;
const LAMP: V3 = v3(1.0, 0.56, 0.22);

/// Renders the harbour, `grid` × `grid` samples to a pixel.
pub(crate) fn paint(width: usize, height: usize, grid: i32) -> Picture {
    let mut above = Picture::render(width, height, grid, |s| hill_and_sky(s.x, s.y));
    lamps(&mut above);
    yachts(&mut above);
    let mut picture =
        Picture::render(width, height, grid, |s| if s.y < WATERLINE { water(&above, s) } else { above.at(s.x, s.y) });
    picture.bloom(0.025, 0.25);
    picture
}

fn hill_and_sky(x: f32, y: f32) -> V3 {
    let far = -0.02 + 0.24 * fbm(x * 0.9 + 3.0, 0.5, 6) + 0.05 * x;
    let near = WATERLINE + 0.30 + 0.26 * (-((x + 0.75) / 0.75).powi(2)).exp() - 0.12 * smooth(0.1, 1.4, x)
        + 0.05 * (fbm(x * 3.0, 1.5, 5) - 0.5);
    if let Some(color) = houses(x, y, near) {
        return color;
    }
    if y < near {
        return v3(0.010, 0.016, 0.026) * (0.6 + 0.8 * fbm(x * 40.0, y * 40.0, 4));
    }
    if y < far {
        let village = if random((x * 300.0) as i32, (y * 300.0) as i32, 3) > 0.994 { 0.9 } else { 0.0 };
        return mix(v3(0.022, 0.045, 0.095), v3(0.07, 0.075, 0.11), smooth(0.12, -0.2, y)) + LAMP * village;
    }
    sky(x, y)
}

fn sky(x: f32, y: f32) -> V3 {
    let mut color = mix(v3(0.42, 0.24, 0.20), v3(0.085, 0.135, 0.30), smooth(-0.05, 0.42, y - 0.12 * x));
    color = mix(color, v3(0.012, 0.032, 0.105), smooth(0.15, 1.05, y));
    let cloud = fbm(x * 1.1 + 2.0 * fbm(x, y * 3.0, 3), y * 5.0, 6);
    color = mix(
        color,
        mix(v3(0.36, 0.17, 0.17), v3(0.05, 0.065, 0.14), smooth(0.1, 0.6, y)),
        smooth(0.5, 0.8, cloud) * 0.8,
    );
    let (cx, cy) = ((x * 260.0).floor(), (y * 260.0).floor());
    let star = random(cx as i32, cy as i32, 9);
    let near = (x * 260.0 - cx - 0.5).hypot(y * 260.0 - cy - 0.5);
    color + V3::all(smooth(0.9985, 1.0, star) * smooth(0.4, 0.1, near) * smooth(0.2, 0.8, y) * 1.4)
}

/// The front-most house that covers (`x`, `y`): six terraces of gabled houses, stepping up the hill.
fn houses(x: f32, y: f32, crest: f32) -> Option<V3> {
    for row in 0..7 {
        let wide = mix(0.105, 0.050, row as f32 / 6.0);
        let shifted = x / wide + 0.37 * row as f32;
        let (index, across) = (shifted.floor() as i32, shifted - shifted.floor());
        let roll = |k| random(index, row, 50 + k);
        let foot = WATERLINE + 0.012 + row as f32 * 0.058 + 0.02 * (roll(0) - 0.5);
        let eaves = foot + wide * mix(0.65, 1.15, roll(1));
        let gable = eaves + wide * mix(0.15, 0.45, roll(2)) * (1.0 - (2.0 * across - 1.0).abs());
        let built = roll(3) > 0.12 + 0.09 * row as f32 && foot + 0.04 < crest;
        if built && y < gable {
            return Some(if y > eaves {
                roof(x, y, row)
            } else {
                wall((index, row), (across, (y - foot) / wide), roll(1))
            });
        }
    }
    None
}

fn roof(x: f32, y: f32, row: i32) -> V3 {
    let tiles = 0.7 + 0.3 * (y * 900.0).sin() * noise2(x * 300.0, y * 300.0, 2);
    mix(v3(0.050, 0.026, 0.024), v3(0.020, 0.026, 0.046), row as f32 / 7.0) * tiles
}

/// A wall lit from the street below, with shuttered windows, some of them bright.
fn wall(house: (i32, i32), (u, v): (f32, f32), roll: f32) -> V3 {
    let shade = |k| random(house.0, house.1, 60 + k);
    let paint = mix(v3(0.62, 0.36, 0.20), v3(0.55, 0.50, 0.42), shade(1));
    let paint = if shade(2) > 0.72 { v3(0.36, 0.42, 0.48) } else { paint };
    let street = 0.025 + (0.42 - 0.045 * house.1 as f32) * (-v.max(0.0) * 2.3).exp() * (0.4 + shade(3));
    let lit = paint * LAMP * street + paint * v3(0.018, 0.026, 0.05);
    let columns = 2.0 + (roll * 2.99).floor();
    let (wx, wy) = (u * columns, v * 3.0 + 0.15);
    let (fx, fy) = ((wx - wx.floor() - 0.5).abs(), (wy - wy.floor() - 0.5).abs());
    if v < 0.12 || fx > 0.22 || fy > 0.29 {
        return lit;
    }
    let glow = random(house.0 * 31 + wx as i32, house.1 * 17 + wy as i32, 70);
    let bars = if fx < 0.025 || (fy - 0.08).abs() < 0.02 { 0.35 } else { 1.0 };
    if glow > 0.58 { mix(v3(1.5, 0.80, 0.30), v3(1.9, 1.35, 0.75), (glow - 0.58) * 2.4) * bars } else { lit * 0.25 }
}

/// Street lamps along the quay, with the halo and the star a stopped-down lens draws.
fn lamps(above: &mut Picture) {
    for i in 0..17 {
        let x = -1.45 + 0.185 * i as f32;
        let y = WATERLINE + 0.085;
        above.line((x, WATERLINE), (x, y), 0.0016, v3(0.012, 0.012, 0.016));
        above.dab((x, y), 0.16, |dx, dy, old| {
            let r = dx.hypot(dy);
            let fade = smooth(0.16, 0.0, r);
            let star = (dy.atan2(dx) * 4.0).cos().abs().powi(24) * 0.0007 / (r * r + 0.0008);
            old + LAMP * (fade * (0.0012 / (r * r + 0.0009) + star)) + v3(9.0, 7.0, 4.5) * smooth(0.007, 0.004, r)
        });
    }
    above.line((-1.6, WATERLINE + 0.004), (1.6, WATERLINE + 0.004), 0.008, v3(0.055, 0.042, 0.034));
}

fn yachts(above: &mut Picture) {
    let mut dice = Dice(1200);
    for i in 0..15 {
        let x = -1.42 + 0.2 * i as f32 + dice.between(-0.05, 0.05);
        yacht(above, x, dice.between(0.055, 0.11), dice.between(0.62, 1.0), &mut dice);
    }
    yacht(above, 0.5, 0.19, 1.0, &mut dice);
    yacht(above, -0.93, 0.15, 0.95, &mut dice);
}

/// A yacht of half length `half`: hull, cabin, mast with spreaders, stays, shrouds, furled sail.
fn yacht(above: &mut Picture, x: f32, half: f32, slender: f32, dice: &mut Dice) {
    let deck = half * 0.26;
    let tint = if dice.roll() > 0.7 { v3(0.020, 0.045, 0.11) } else { v3(0.34, 0.28, 0.23) };
    above.dab((x, WATERLINE), half * 1.2, |dx, dy, old| {
        let along = dx / half;
        let sheer = deck * (0.85 + 0.25 * along * along);
        let end = 0.80 + 0.2 * (dy / deck).clamp(0.0, 1.2);
        let hull = dy >= 0.0 && dy < sheer && along.abs() < end;
        let cabin = dy >= sheer && dy < sheer + deck * 0.42 * smooth(0.55, 0.30, (along + 0.05).abs());
        let port = cabin && (along * 9.0).fract().abs() < 0.6 && dy > sheer + deck * 0.12 && dy < sheer + deck * 0.28;
        let light = 0.16 + 0.42 * smooth(-1.0, 1.2, along) + 0.2 * dy / deck;
        match (port, hull || cabin) {
            (true, _) => v3(1.3, 0.78, 0.34),
            (_, true) if hull && (dy / sheer - 0.82).abs() < 0.06 => v3(0.10, 0.045, 0.03),
            (_, true) => tint * light,
            _ => old,
        }
    });
    let (foot, top) = (WATERLINE + deck, WATERLINE + half * 3.7 * slender);
    let (metal, wire) = (v3(0.30, 0.26, 0.23), v3(0.30, 0.27, 0.26));
    let mast = x + half * 0.08;
    let at = |share: f32| mix(foot, top, share);
    above.line((mast, foot), (mast, top), half * 0.014 + 0.0008, metal);
    above.line((mast, top), (mast, top + half * 0.12), 0.0007, wire);
    for (end, head) in [(0.97, 1.0), (0.90, 0.82), (-0.95, 1.0)] {
        above.line((mast, at(head)), (x + half * end, foot), 0.0007, wire);
    }
    for (share, reach) in [(0.38, 0.15), (0.68, 0.11)] {
        above.line((mast - half * reach, at(share)), (mast + half * reach, at(share)), 0.0010, metal);
        for side in [-1.0, 1.0] {
            above.line((mast + side * half * reach, at(share)), (mast, at(share + 0.3)), 0.0005, wire);
            above.line((mast + side * half * reach, at(share)), (mast + side * half * 0.17, foot), 0.0005, wire);
        }
    }
    let boom = foot + deck * 0.75;
    above.line((mast, boom), (x - half * 0.72, boom - deck * 0.08), half * 0.028, mix(tint, v3(0.05, 0.08, 0.16), 0.6));
    let lantern = if dice.roll() > 0.5 { v3(5.0, 4.4, 3.4) } else { v3(4.0, 0.5, 0.3) };
    above.dab((mast, top + half * 0.12), 0.02, |dx, dy, old| old + lantern * smooth(0.004, 0.0, dx.hypot(dy)));
}

/// Long ripples smear the lights downward, more the nearer they are to the eye.
fn water(above: &Picture, s: Sample) -> V3 {
    let depth = WATERLINE - s.y;
    let scale = 1.0 / (depth + 0.035);
    let (rx, ry) = (s.x * scale * 1.3, scale * 5.0);
    let swell = fbm(rx, ry * 2.0, 4) - 0.5;
    let chop = fbm(rx * 5.0 + 30.0, ry * 9.0, 3) - 0.5;
    let mut sum = V3::ZERO;
    for k in 0..8 {
        let (u, v) = s.jitter(20 + k);
        let spread = (k as f32 + u) / 4.0 - 1.0;
        let tilt = (swell * 0.34 + chop * 0.22 + spread * 0.10) * (depth * 0.9 + 0.012);
        sum +=
            above.at(s.x + (v - 0.5) * 0.010 * depth + tilt * 0.10, WATERLINE + (depth * 0.92 + tilt * 1.3).max(0.001));
    }
    let slope = smooth(-0.35, 0.35, swell + chop * 0.8);
    let mirror = sum / 8.0 * mix(0.50, 0.86, slope);
    mirror * mix(1.0, 0.72, smooth(0.0, 0.8, depth)) + v3(0.004, 0.010, 0.020)
}
