//! Fruit on a board in window light, before a dark wall.

use crate::{
    march::{Camera, Material, Studio, blend, capsule, ellipsoid, normal, trace},
    noise::{Dice, cells, fbm, noise3},
    picture::{Picture, Sample},
    vector::{V3, mix, smooth, v3},
};

/// Renders the still life, `grid` × `grid` samples to a pixel.
pub(crate) fn paint(width: usize, height: usize, grid: i32) -> Picture {
    let camera = Camera { eye: v3(0.25, 1.45, -4.6), target: v3(0.13, 0.36, -0.15), focal: 4.6, aperture: 0.05 };
    let studio = Studio {
        lamp: v3(-3.6, 3.4, -1.6),
        size: 0.8,
        light: v3(2.0, 1.8, 1.5),
        above: v3(0.40, 0.42, 0.50),
        below: v3(0.30, 0.19, 0.12),
    };
    let bunch = bunch();
    let mut picture = Picture::render(width, height, grid, |s| look(&camera, &studio, &bunch, s));
    picture.bloom(0.03, 0.08);
    picture
}

fn look(camera: &Camera, studio: &Studio, bunch: &[V3], s: Sample) -> V3 {
    // Above the tallest stem there is only air.
    let map = |p: V3| if p.y > 1.5 { p.y - 1.2 } else { nearest(bunch, p).0 };
    let ray = camera.ray(s);
    let Some(t) = trace(&map, ray, 14.0) else { return wall(s) };
    let p = ray.at(t);
    let n = normal(&map, p, 0.004);
    studio.shade(&map, (p, n), ray.toward, material(nearest(bunch, p).1, p), s)
}

/// The wall, far behind: plaster, brighter where the window reaches.
fn wall(s: Sample) -> V3 {
    let plaster = 0.75 + 0.5 * fbm(s.x * 2.0, s.y * 2.0, 5);
    mix(v3(0.020, 0.022, 0.024), v3(0.110, 0.092, 0.075), smooth(-1.3, 1.5, s.x + 0.5 * s.y)) * plaster
}

/// Round fruit: middle and radius.
const ORANGES: [(V3, f32); 3] =
    [(v3(-0.62, 0.40, 0.10), 0.40), (v3(0.05, 0.385, 0.62), 0.385), (v3(1.12, 0.37, 0.50), 0.37)];
const APPLE: V3 = v3(0.18, 0.32, -0.28);
const PEAR: V3 = v3(0.86, 0.0, -0.12);

fn orange(p: V3) -> f32 {
    let nearest = ORANGES.iter().map(|&(c, r)| {
        let q = p - c;
        let far = q.length() - r - 0.02;
        if far > 0.05 {
            return far;
        }
        let pores = 0.0035 * noise3(q * 60.0);
        ellipsoid(q, v3(r, r * 0.95, r)) + pores + 0.03 * (-(q.x * q.x + q.z * q.z) * 160.0).exp() * smooth(0.0, r, q.y)
    });
    nearest.fold(9.0, f32::min)
}

fn apple(p: V3) -> f32 {
    let q = p - APPLE;
    let far = q.length() - 0.45;
    if far > 0.05 {
        return far;
    }
    let (ring, around) = (q.x.hypot(q.z), q.z.atan2(q.x));
    let lobes = 0.012 * (around * 5.0).cos() * smooth(0.2, -0.35, q.y);
    ((ring - 0.14).hypot(q.y * 0.93) - 0.295 - lobes) * 0.9
}

fn pear(p: V3) -> f32 {
    let q = p - PEAR;
    let belly = ellipsoid(q - v3(0.0, 0.34, 0.0), v3(0.345, 0.34, 0.345));
    let neck = capsule(q, v3(0.0, 0.5, 0.0), v3(0.05, 0.86, 0.02), 0.20, 0.115);
    blend(belly, neck, 0.42)
}

fn stems(p: V3) -> f32 {
    let apple = capsule(p, APPLE + v3(0.0, 0.12, 0.0), APPLE + v3(0.07, 0.46, 0.03), 0.016, 0.022);
    let pear = capsule(p, PEAR + v3(0.05, 0.92, 0.02), PEAR + v3(-0.02, 1.16, 0.0), 0.018, 0.025);
    apple.min(pear)
}

/// The middles of the grapes: a bunch lying before the oranges, thinning toward its end.
fn bunch() -> Vec<V3> {
    let mut dice = Dice(33);
    let mut grape = |_| {
        let (along, side, layer) = (dice.roll(), dice.between(-0.26, 0.26), dice.roll());
        let wide = side * (1.0 - 0.7 * along);
        v3(-0.12 - 0.66 * along, 0.09 + layer * 0.19 * (1.0 - along), -0.62 + wide - 0.05 * along)
    };
    (0..46).map(&mut grape).collect()
}

fn grapes(bunch: &[V3], p: V3) -> f32 {
    let reach = ellipsoid(p - v3(-0.42, 0.17, -0.62), v3(0.58, 0.34, 0.42));
    if reach > 0.1 {
        return reach;
    }
    bunch.iter().map(|&c| (p - c).dot(p - c)).fold(81.0, f32::min).sqrt() - 0.085
}

/// The distance to all of it, and what is nearest.
fn nearest(bunch: &[V3], p: V3) -> (f32, Kind) {
    let all = [
        (p.y, Kind::Table),
        (orange(p), Kind::Orange),
        (apple(p), Kind::Apple),
        (pear(p), Kind::Pear),
        (stems(p), Kind::Stem),
        (grapes(bunch, p), Kind::Grape),
    ];
    all.into_iter().min_by(|a, b| a.0.total_cmp(&b.0)).expect("the table is always there")
}

#[derive(Clone, Copy)]
enum Kind {
    Table,
    Orange,
    Apple,
    Pear,
    Stem,
    Grape,
}

fn material(kind: Kind, p: V3) -> Material {
    match kind {
        Kind::Table => wood(p),
        Kind::Orange => Material {
            color: mix(v3(0.80, 0.20, 0.012), v3(0.78, 0.28, 0.03), noise3(p * 3.0)),
            gloss: 0.20,
            polish: 26.0,
            under: v3(0.34, 0.14, 0.02),
        },
        Kind::Apple => apple_skin(p - APPLE),
        Kind::Pear => pear_skin(p - PEAR),
        Kind::Stem => Material { color: v3(0.07, 0.04, 0.02), gloss: 0.1, polish: 12.0, under: V3::ZERO },
        Kind::Grape => {
            let bloom = noise3(p * 9.0);
            let color = mix(v3(0.055, 0.008, 0.030), v3(0.14, 0.11, 0.17), smooth(0.35, 0.9, bloom) * 0.7);
            Material { color, gloss: mix(0.8, 0.25, bloom), polish: 60.0, under: v3(0.24, 0.04, 0.08) }
        }
    }
}

fn wood(p: V3) -> Material {
    let plank = (p.z * 1.35).floor();
    let seam = smooth(0.0, 0.02, (p.z * 1.35 - plank).min(1.0 - (p.z * 1.35 - plank)));
    let (x, z) = (p.x * 0.55 + plank * 7.3, p.z + plank * 3.1);
    let rings = (fbm(x, z * 5.0, 5) * 26.0).sin() * 0.5 + 0.5;
    let fibre = fbm(x * 6.0, z * 130.0, 3);
    let color = mix(v3(0.120, 0.058, 0.028), v3(0.235, 0.125, 0.062), 0.55 * rings + 0.45 * fibre);
    Material { color: color * mix(0.25, 1.0, seam), gloss: 0.16 + 0.1 * fibre, polish: 24.0, under: V3::ZERO }
}

fn apple_skin(q: V3) -> Material {
    let around = q.z.atan2(q.x);
    let streaks = fbm(around * 9.0, q.y * 2.0 + 4.0, 4);
    let blush = smooth(0.20, 0.55, streaks + 0.30 * (around + 0.9).cos() + 0.05 + 0.3 * q.y);
    let speck = smooth(0.13, 0.05, cells(around * 8.0, q.y * 24.0, 11).0) * 0.16;
    let skin = mix(v3(0.62, 0.47, 0.10), v3(0.47, 0.022, 0.022), blush);
    let hollow = smooth(0.16, 0.03, q.x.hypot(q.z)) * smooth(0.0, 0.2, q.y);
    let color = mix(mix(skin, v3(0.75, 0.60, 0.35), speck), v3(0.30, 0.28, 0.06), hollow);
    Material { color, gloss: 0.75, polish: 90.0, under: v3(0.20, 0.07, 0.04) }
}

fn pear_skin(q: V3) -> Material {
    let russet = smooth(0.58, 0.78, fbm(q.x * 5.0, q.y * 4.0, 5) + 0.25 * smooth(0.75, 1.0, q.y));
    let speck = smooth(0.25, 0.12, cells(q.z.atan2(q.x) * 9.0, q.y * 26.0, 13).0) * 0.4;
    let skin = mix(v3(0.50, 0.47, 0.065), v3(0.58, 0.30, 0.06), smooth(-0.1, 0.35, q.x));
    let color = mix(mix(skin, v3(0.32, 0.18, 0.06), russet * 0.8), v3(0.28, 0.20, 0.05), speck);
    Material { color, gloss: 0.30, polish: 28.0, under: v3(0.22, 0.17, 0.05) }
}
