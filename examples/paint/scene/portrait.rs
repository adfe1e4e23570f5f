//! A figurine by a window, lights out of focus behind it. Upright; the eye looks along z.

use crate::{
    march::{Camera, Material, Studio, blend, capsule, ellipsoid, normal, trace},
    noise::{fbm, noise3, random},
    picture::{Picture, Sample},
    vector::{V3, mix, smooth, v3},
};

/// Renders the upright portrait, `grid` × `grid` samples to a pixel.
pub(crate) fn paint(width: usize, height: usize, grid: i32) -> Picture {
    let camera = Camera { eye: v3(0.0, 0.25, -5.2), target: v3(0.05, 0.10, -0.3), focal: 4.3, aperture: 0.03 };
    let studio = Studio {
        lamp: v3(-4.2, 3.6, -3.4),
        size: 0.9,
        light: v3(1.95, 1.68, 1.38),
        above: v3(0.36, 0.36, 0.42),
        below: v3(0.30, 0.19, 0.15),
    };
    let mut picture = Picture::render(width, height, grid, |s| look(&camera, &studio, s));
    picture.bloom(0.05, 0.10);
    picture
}

fn look(camera: &Camera, studio: &Studio, s: Sample) -> V3 {
    let ray = camera.ray(s);
    let Some(t) = trace(&figure, ray, 9.0) else { return backdrop(s) };
    let p = ray.at(t);
    let parts = parts(p);
    let bump = if parts.skin > parts.cloth.min(parts.hair) { 0.004 } else { 0.002 };
    let n = normal(&figure, p, bump);
    let rim = (1.0 + n.dot(ray.toward)).powi(3) * smooth(0.0, 1.0, n.x);
    studio.shade(&figure, (p, n), ray.toward, material(p, parts), s) + v3(0.75, 0.42, 0.22) * rim
}

/// A dim room with strings of warm lights, far out of focus.
fn backdrop(s: Sample) -> V3 {
    let mut color = mix(v3(0.030, 0.026, 0.034), v3(0.105, 0.060, 0.045), smooth(-1.0, 0.9, s.x - 0.3 * s.y));
    color = mix(color, v3(0.05, 0.075, 0.085), smooth(0.2, -1.0, s.x) * 0.8);
    for i in 0..64 {
        let roll = |k| random(i, k, 77);
        let (cx, cy) = (mix(-0.85, 0.95, roll(1)), mix(-0.75, 1.1, roll(2).sqrt()));
        let radius = mix(0.035, 0.10, roll(3));
        let distance = (s.x - cx).hypot(s.y - cy) / radius;
        // A lens lights the edge of its blur disc a little more than the middle.
        let disc = smooth(1.03, 0.95, distance) * (0.75 + 0.35 * smooth(0.6, 1.0, distance));
        let hue = mix(v3(1.0, 0.50, 0.18), v3(1.0, 0.78, 0.50), roll(4));
        let hue = if roll(5) > 0.82 { v3(0.35, 0.60, 0.85) } else { hue };
        color += hue * (disc * mix(0.03, 0.55, roll(6) * roll(7)));
    }
    color
}

/// Distances to the materials of the figure.
#[derive(Clone, Copy)]
struct Parts {
    skin: f32,
    hair: f32,
    cloth: f32,
}

const TURN: f32 = 0.40;

/// From the room to the head, which is turned and a little bowed.
fn to_head(p: V3) -> V3 {
    let q = (p - v3(0.0, -0.03, 0.0)).turn_y(TURN);
    let (s, c) = (-0.10f32).sin_cos();
    v3(q.x, c * q.y - s * q.z, s * q.y + c * q.z) + v3(0.0, 0.1, 0.0)
}

fn parts(p: V3) -> Parts {
    let q = to_head(p);
    // High above the jumper a bound on its distance will do: farther than `openness` looks.
    let cloth = if p.y > 0.15 { p.y + 0.32 } else { cloth(p) };
    Parts { skin: skin(p, q), hair: hair(q), cloth }
}

fn figure(p: V3) -> f32 {
    let far = capsule(p, v3(0.0, 0.75, 0.1), v3(0.0, -1.2, 0.1), 0.55, 0.9);
    if far > 0.3 {
        return far;
    }
    let parts = parts(p);
    parts.skin.min(parts.hair).min(parts.cloth)
}

fn skin(p: V3, q: V3) -> f32 {
    let m = v3(q.x.abs(), q.y, q.z);
    let skull = ellipsoid(q - v3(0.0, 0.50, 0.02), v3(0.295, 0.345, 0.345));
    let jaw = ellipsoid(q - v3(0.0, 0.27, -0.085), v3(0.205, 0.275, 0.225));
    let cheeks = ellipsoid(m - v3(0.125, 0.31, -0.20), v3(0.10, 0.10, 0.09));
    let mut d = blend(blend(skull, jaw, 0.16), cheeks, 0.10);
    let socket = ellipsoid(m - v3(0.115, 0.435, -0.365), v3(0.085, 0.045, 0.07));
    d = -blend(-d, socket, 0.09);
    let lid = ellipsoid(m - v3(0.113, 0.420, -0.245), v3(0.066, 0.052, 0.062));
    d = blend(d, lid, 0.025);
    let bridge = capsule(q, v3(0.0, 0.47, -0.305), v3(0.0, 0.315, -0.385), 0.020, 0.030);
    let wings = ellipsoid(m - v3(0.034, 0.300, -0.345), v3(0.026, 0.024, 0.034));
    d = blend(blend(d, bridge, 0.06), wings, 0.025);
    let upper = ellipsoid(m - v3(0.026, 0.189, -0.296), v3(0.050, 0.016, 0.024));
    let lower = ellipsoid(q - v3(0.0, 0.161, -0.292), v3(0.060, 0.019, 0.026));
    d = blend(d, upper.min(lower), 0.020);
    d = blend(d, ellipsoid(q - v3(0.0, 0.060, -0.235), v3(0.085, 0.060, 0.05)), 0.09);
    let ear = ellipsoid(m - v3(0.292, 0.385, 0.045), v3(0.030, 0.085, 0.055));
    d = blend(d, ear, 0.03);
    let neck = capsule(p, v3(0.0, 0.12, 0.10), v3(0.0, -0.60, 0.12), 0.145, 0.185);
    blend(d, neck, 0.09)
}

fn hair(q: V3) -> f32 {
    let strands = 0.004 * ((q.x * 95.0 + 8.0 * q.z).sin() + (q.x * 43.0 - 11.0 * q.y).sin());
    let cap = ellipsoid(q - v3(0.0, 0.515, 0.045), v3(0.325, 0.370, 0.370)) + strands;
    let m = v3(q.x.abs(), q.y, q.z);
    // The hairline: high at the middle of the forehead, down behind the ears.
    let line = 0.62 * (q.z + 0.15) + 0.78 * (q.y - 0.59) + 0.9 * (m.x - 0.19).max(0.0) * smooth(0.40, 0.55, q.y);
    let cap = -blend(-cap, line, 0.02);
    let coil = v3(q.x, q.y - 0.80, q.z - 0.30);
    let wound = 0.008 * (coil.y.atan2(coil.x) * 2.0 + coil.length() * 70.0).sin();
    blend(cap, coil.length() - 0.165 + wound, 0.04)
}

fn cloth(p: V3) -> f32 {
    blend(jumper(p), collar(p), 0.03)
}

fn jumper(p: V3) -> f32 {
    let knit = 0.006 * ((p.x * 62.0).sin() * ((p.y + 0.25 * p.x.abs()) * 80.0 + 2.0 * (p.x * 62.0).cos()).sin());
    ellipsoid(p - v3(0.0, -1.10, 0.14), v3(0.76, 0.56, 0.36)) - knit
}

fn collar(p: V3) -> f32 {
    let ring = v3(p.x, (p.y + 0.50 + 0.10 * p.z) * 0.8, p.z - 0.12);
    let around = ring.z.atan2(ring.x);
    let tube = (ring.x.hypot(ring.z) - 0.225 - 0.02 * (around * 3.0).sin()).hypot(ring.y) - 0.105;
    let rib = 0.010 * (around * 44.0).sin().abs() * smooth(0.12, 0.0, tube.abs());
    tube - rib
}

fn material(p: V3, parts: Parts) -> Material {
    let nearest = parts.skin.min(parts.hair).min(parts.cloth);
    if nearest == parts.cloth {
        let wool = 0.75 + 0.5 * noise3(p * 60.0);
        let color = mix(v3(0.045, 0.120, 0.140), v3(0.50, 0.40, 0.26), smooth(0.01, -0.01, collar(p) - jumper(p)));
        return Material { color: color * wool, gloss: 0.03, polish: 8.0, under: V3::all(0.12) };
    }
    let q = to_head(p);
    if nearest == parts.hair {
        let strand = 0.6 + 0.8 * noise3(v3(q.x * 90.0, q.y * 8.0, q.z * 8.0));
        return Material {
            color: v3(0.050, 0.022, 0.012) * strand,
            gloss: 0.45,
            polish: 22.0,
            under: v3(0.1, 0.05, 0.02),
        };
    }
    Material { color: complexion(q), gloss: 0.22, polish: 26.0, under: v3(0.42, 0.18, 0.10) }
}

/// Skin: warmer at cheeks, nose and lips, with lashes, brows and the finest mottling.
fn complexion(q: V3) -> V3 {
    let (x, front) = (q.x.abs(), smooth(-0.05, -0.20, q.z));
    let spot =
        |cx: f32, cy: f32, rx: f32, ry: f32| (-((x - cx) / rx).powi(2) - ((q.y - cy) / ry).powi(2)).exp() * front;
    let mottle = fbm(q.x * 30.0, q.y * 30.0 + q.z * 20.0, 4) - 0.5;
    let mut color = v3(0.70, 0.435, 0.315) * (1.0 + 0.14 * mottle);
    color = mix(color, v3(0.66, 0.26, 0.20), 0.60 * spot(0.155, 0.285, 0.075, 0.065));
    color = mix(color, v3(0.64, 0.28, 0.21), 0.35 * spot(0.0, 0.305, 0.045, 0.035));
    let lips = smooth(1.1, 0.7, ((x / 0.082).powi(2) + ((q.y - 0.176) / 0.031).powi(2)).sqrt()) * front;
    color = mix(color, v3(0.47, 0.105, 0.095), 0.85 * lips);
    let arc = |height: f32, bend: f32| q.y - height + bend * ((x - 0.113) / 0.07).powi(2);
    let within = |half: f32| smooth(half, half * 0.75, (x - 0.113).abs());
    let lash = smooth(0.0065, 0.002, arc(0.393, -0.014).abs()) * within(0.066) * front;
    let brow = smooth(0.011, 0.003, arc(0.512, 0.020).abs()) * within(0.088) * front;
    color = mix(color, v3(0.030, 0.014, 0.010), lash);
    mix(color, v3(0.060, 0.028, 0.016), brow * 0.85)
}
