//! A mountain lake at dusk. One unit is a hundred metres; the eye stands on the near shore, looking along z.

use crate::{
    march::Ray,
    noise::{Dice, fbm, hash, noise2, ridges},
    picture::{Picture, Sample},
    vector::{V3, mix, smooth, v3},
};

/// The height of the land, worked out once on a square grid, with the share of sunlight that reaches each place.
struct Land {
    heights: Grid,
    sunlit: Grid,
}

/// Numbers at the middles of a square's cells. The square is [`SIDE`] units wide, the eye in the middle of an edge.
struct Grid {
    cells: usize,
    values: Vec<f32>,
}

const SIDE: f32 = 128.0;
const EYE: V3 = v3(0.0, 0.085, 0.0);
const FOCAL: f32 = 2.1;
/// Where the horizon lies in the picture: the golden section from the top.
const HORIZON: f32 = -0.236;
const TALLEST_TREE: f32 = 0.3;

/// Renders the lake, `grid` × `grid` samples to a pixel.
pub(crate) fn paint(width: usize, height: usize, grid: i32) -> Picture {
    let land = Land::raise();
    let mut picture = Picture::render(width, height, grid, |s| look(&land, s));
    picture.bloom(0.05, 0.12);
    birds(&mut picture);
    reeds(&mut picture);
    picture
}

/// Toward the sun that is seen, low in the gap of the mountains.
fn sun() -> V3 {
    v3(0.62 / FOCAL, 0.30 / FOCAL, 1.0).unit()
}

/// Toward the light on the slopes: the sun's glow reaches round from the side.
fn glow() -> V3 {
    v3(0.80, 0.30, 0.42).unit()
}

fn look(land: &Land, s: Sample) -> V3 {
    let ray = Ray { origin: EYE, toward: v3(s.x, s.y - HORIZON, FOCAL).unit() };
    match land.trace(ray, 0.7) {
        Some(t) => land.color(ray, t),
        None if ray.toward.y < 0.0 => water(land, ray),
        None => sky(ray.toward),
    }
}

fn sky(toward: V3) -> V3 {
    let toward_sun = toward.dot(sun()).max(0.0);
    let up = toward.y.max(0.0);
    let warm = mix(v3(0.62, 0.40, 0.42), v3(1.55, 0.80, 0.38), toward_sun.powi(14));
    let mut color = mix(warm, v3(0.30, 0.40, 0.62), smooth(0.0, 0.26, up));
    color = mix(color, v3(0.075, 0.15, 0.36), smooth(0.12, 0.62, up));
    color += v3(2.2, 1.05, 0.4) * (0.5 * toward_sun.powi(90) + 0.25 * toward_sun.powi(18));
    color += v3(24.0, 14.0, 6.0) * smooth(0.99984, 0.99991, toward_sun);
    let (cover, lit) = clouds(toward, toward_sun);
    mix(color, lit, cover)
}

/// Cover and colour of the high clouds: long streaks on a flat ceiling, lit from below by the sun.
fn clouds(toward: V3, toward_sun: f32) -> (f32, V3) {
    let far = 1.0 / (toward.y + 0.06);
    let (x, z) = (toward.x * far * 0.9 + 3.1, toward.z * far * 0.55);
    let bend = fbm(x * 0.7, z * 0.7, 3) * 1.6;
    let thick = fbm(x * 1.5 + bend, z * 3.2 + bend, 7);
    let cover = smooth(0.50, 0.80, thick + 0.04 * toward_sun) * smooth(0.02, 0.14, toward.y);
    let lit = mix(v3(0.80, 0.42, 0.40), v3(2.1, 1.0, 0.5), toward_sun.powi(6));
    let shade = v3(0.22, 0.22, 0.34);
    (cover * 0.9, mix(lit, shade, smooth(0.55, 0.92, thick) * 0.8))
}

/// A few birds crossing before the glow.
fn birds(picture: &mut Picture) {
    let mut dice = Dice(40);
    for i in 0..9 {
        let (x, y) = (0.20 + 0.045 * i as f32 + dice.between(-0.02, 0.02), 0.25 + dice.between(-0.06, 0.05));
        let (span, lift) = (dice.between(0.010, 0.017), dice.between(0.1, 0.6));
        for side in [-1.0, 1.0] {
            let wrist = (x + side * span * 0.5, y + span * lift);
            picture.line((x, y), wrist, 0.0014, v3(0.05, 0.045, 0.06));
            picture.line(wrist, (x + side * span, y + span * lift * 0.55), 0.0009, v3(0.05, 0.045, 0.06));
        }
    }
}

/// Reeds in the near corner, dark against the water.
fn reeds(picture: &mut Picture) {
    let mut dice = Dice(300);
    for _ in 0..110 {
        let near = dice.roll();
        let root = (1.5 - 0.62 * dice.roll() * dice.roll() - 0.02, -1.04);
        let (tall, lean) = (dice.between(0.16, 0.62) * (0.45 + 0.55 * near), dice.between(-0.16, 0.05));
        let color = mix(v3(0.008, 0.010, 0.010), v3(0.040, 0.032, 0.018), dice.roll() * near);
        let point = |t: f32| (root.0 + lean * t * t, root.1 + tall * t);
        let thick = dice.between(0.0016, 0.0034);
        for i in 0..16 {
            let t = i as f32 / 16.0;
            picture.line(point(t), point(t + 0.0625), thick * (1.0 - 0.8 * t), color);
        }
        if dice.roll() > 0.8 {
            (0..24).for_each(|i| {
                let (t, (x, y)) = (i as f32 / 24.0, point(0.88 + i as f32 / 160.0));
                let r = 0.0075 * (1.0 - (2.0 * t - 1.0).powi(4)).sqrt().max(0.2);
                picture.line((x, y - 0.002), (x, y + 0.004), r, v3(0.022, 0.012, 0.008));
            });
        }
    }
}

/// What lies `t` away is seen through air that glows toward the sun.
fn haze(color: V3, toward: V3, t: f32, height: f32) -> V3 {
    let toward_sun = toward.dot(sun()).max(0.0);
    let air = mix(v3(0.25, 0.29, 0.43), v3(1.25, 0.68, 0.40), toward_sun.powi(12));
    let mist = 0.035 * (-height.max(0.0) * 1.3).exp();
    mix(air, color, (-t * (0.0125 + mist)).exp())
}

fn water(land: &Land, ray: Ray) -> V3 {
    let t = -ray.origin.y / ray.toward.y;
    let p = ray.at(t);
    // Breeze roughens the water in patches; far ripples average out.
    let breeze = 0.25 + smooth(0.45, 0.75, fbm(p.x * 0.35 + 7.0, p.z * 0.9, 4));
    let ripple = |x: f32, z: f32| fbm(x * 9.0, z * 26.0, 4) + 0.35 * fbm(x * 40.0 + 9.0, z * 90.0, 2);
    let (step, here) = (0.002, ripple(p.x, p.z));
    let strength = 0.010 * breeze / (1.0 + t * 0.12);
    let slope_x = (ripple(p.x + step, p.z) - here) / step * 0.14 * strength;
    let slope_z = (ripple(p.x, p.z + step) - here) / step * 0.14 * strength;
    let n = v3(-slope_x, 1.0, -slope_z).unit();
    let mut up = ray.toward.reflect(n);
    up.y = up.y.abs().max(0.002);
    let mirror = Ray { origin: p + V3::UP * 0.001, toward: up.unit() };
    let seen = land.trace(mirror, 2.0).map_or_else(|| sky(mirror.toward), |far| land.color(mirror, far));
    let fresnel = 0.03 + 0.97 * (1.0 + ray.toward.dot(n)).clamp(0.0, 1.0).powf(4.2);
    let deep = v3(0.012, 0.035, 0.050);
    haze(mix(deep, seen, fresnel.min(0.96)), ray.toward, t, 0.1)
}

impl Grid {
    fn fill(cells: usize, f: impl Fn(f32, f32) -> f32 + Sync) -> Self {
        let half = SIDE / 2.0;
        let picture = Picture::render(cells, cells, 1, |s| V3::all(f(s.x * half, half - s.y * half)));
        Self { cells, values: picture.pixels.iter().map(|p| p.x).collect() }
    }

    /// Between neighbours; edges repeat.
    fn at(&self, x: f32, z: f32) -> f32 {
        let (scale, end) = (self.cells as f32 / SIDE, self.cells as f32 - 1.01);
        let (gx, gz) = ((x + SIDE / 2.0) * scale - 0.5, z * scale - 0.5);
        let (gx, gz) = (gx.clamp(0.0, end), gz.clamp(0.0, end));
        let (ix, iz) = (gx as usize, gz as usize);
        let row = |z: usize| {
            let pair = &self.values[z * self.cells + ix..][..2];
            mix(pair[0], pair[1], gx - ix as f32)
        };
        mix(row(iz), row(iz + 1), gz - iz as f32)
    }
}

/// Share of the sun's glow that reaches the ground: the closest miss on the way decides.
fn sunlight(heights: &Grid, x: f32, z: f32) -> f32 {
    let ground = v3(x, heights.at(x, z) + 0.03, z);
    let (mut t, mut share) = (0.1, 1.0f32);
    while t < 24.0 && share > 0.0 {
        let p = ground + glow() * t;
        share = share.min((p.y - heights.at(p.x, p.z)) * 14.0 / t);
        t += 0.08 + 0.03 * t;
    }
    share.clamp(0.0, 1.0)
}

impl Land {
    fn raise() -> Self {
        let heights = Grid::fill(2048, elevation);
        let sunlit = Grid::fill(1024, |x, z| sunlight(&heights, x, z));
        Self { heights, sunlit }
    }

    fn height(&self, x: f32, z: f32) -> f32 {
        self.heights.at(x, z)
    }

    /// The distance at which `ray` meets land or trees, found to about `grain` thousandths of the distance.
    fn trace(&self, ray: Ray, grain: f32) -> Option<f32> {
        let mut t = 0.5;
        for _ in 0..240 {
            let p = ray.at(t);
            if p.y < 0.0 && ray.toward.y < 0.0 || p.y > 16.0 || p.z > 126.0 {
                return None;
            }
            let gap = p.y - self.height(p.x, p.z);
            let near = 0.004 + 0.001 * grain * t;
            if gap > TALLEST_TREE {
                t += ((gap - TALLEST_TREE) * 0.5).max(near * 2.0);
                continue;
            }
            let clear = gap - tree(p.x, p.z, p.y - gap).0;
            if clear < near {
                return Some(t);
            }
            t += (near * 2.0).max(clear * 0.35);
        }
        // So long among tree tops or along a slope: it closes.
        Some(t)
    }

    fn color(&self, ray: Ray, t: f32) -> V3 {
        let p = ray.at(t);
        let ground = self.height(p.x, p.z);
        let step = 0.03 + 0.001 * t;
        let dx = self.height(p.x + step, p.z) - self.height(p.x - step, p.z);
        let dz = self.height(p.x, p.z + step) - self.height(p.x, p.z - step);
        let rough = (fbm(p.x * 7.0, p.z * 7.0 + p.y * 5.0, 4) - 0.5) * 0.9;
        let n = v3(-dx / (2.0 * step) + rough, 1.0, -dz / (2.0 * step) + rough * 0.6).unit();
        let (canopy, tone) = tree(p.x, p.z, ground);
        let above = p.y - ground;
        let (albedo, n) = if above > 0.012 && canopy > 0.0 {
            let depth = smooth(0.0, 0.2, above);
            (mix(v3(0.010, 0.018, 0.014), v3(0.042, 0.055, 0.027) * tone, depth), mix(n, V3::UP, 0.5).unit())
        } else {
            (bare(p, n), n)
        };
        let sunlit = self.sunlit.at(p.x, p.z);
        let light = v3(3.6, 1.75, 0.95) * (n.dot(glow()).max(0.0) * sunlit);
        let room = v3(0.30, 0.36, 0.55) * (0.45 + 0.55 * n.y) + v3(0.28, 0.14, 0.08) * n.dot(sun()).max(0.0);
        haze(albedo * (light + room), ray.toward, t, p.y)
    }
}

/// Rock, scree and meadow, with snow where it is high and not too steep.
fn bare(p: V3, n: V3) -> V3 {
    let strata = 0.75 + 0.5 * noise2(p.y * 6.0 + p.x * 0.4, p.z * 0.4, 3);
    let rock = mix(v3(0.15, 0.13, 0.125), v3(0.25, 0.20, 0.17), fbm(p.x * 1.3, p.z * 1.3, 3)) * strata;
    let meadow = v3(0.075, 0.085, 0.032);
    let ground = mix(rock, meadow, smooth(2.8, 1.2, p.y) * smooth(0.60, 0.85, n.y).max(smooth(0.3, 0.1, p.y)));
    let line = 4.3 + 2.2 * (fbm(p.x * 0.5, p.z * 0.5, 4) - 0.5);
    let snow = smooth(line, line + 2.0, p.y) * smooth(0.42, 0.62, n.y + 0.02 * p.y);
    mix(ground, v3(0.80, 0.83, 0.90), snow)
}

/// Height of the tree above the ground of height `ground` there (0 between trees), and its tone.
fn tree(x: f32, z: f32, ground: f32) -> (f32, f32) {
    let (scale, mut best) = (9.5, (0.0f32, 1.0));
    let thin = smooth(3.1, 1.5, ground + 1.4 * noise2(x * 0.6, z * 0.6, 8)) * smooth(0.0, 0.05, ground);
    if thin <= 0.0 {
        return best;
    }
    let ragged = 1.0 + 0.5 * (noise2(x * 90.0, z * 90.0, 4) - 0.5);
    let (ix, iz) = ((x * scale - 0.5).floor() as i32, (z * scale - 0.5).floor() as i32);
    for (jx, jz) in [(ix, iz), (ix + 1, iz), (ix, iz + 1), (ix + 1, iz + 1)] {
        let [grows, dx, dz, size] = hash(jx, jz, 20).to_le_bytes().map(|byte| f32::from(byte) / 255.0);
        if grows > thin + 0.15 {
            continue;
        }
        let (dx, dz) = (x - (jx as f32 + 0.25 + 0.5 * dx) / scale, z - (jz as f32 + 0.25 + 0.5 * dz) / scale);
        let tall = mix(0.12, TALLEST_TREE, size * size) * thin.sqrt();
        let cone = tall * (1.0 - (dx * dx + dz * dz).sqrt() * ragged / (0.035 + 0.16 * tall));
        if cone > best.0 {
            best = (cone, 0.6 + 0.9 * size);
        }
    }
    best
}

/// The shape of the land: a lake, wooded feet, a great peak at the left section, a gap for the sun at the right.
fn elevation(x: f32, z: f32) -> f32 {
    let (wx, wz) = (x + 3.0 * fbm(x * 0.12, z * 0.12, 3), z + 3.0 * fbm(x * 0.12 + 9.0, z * 0.12, 3));
    let crests = ridges(wx * 0.105 + 1.7, wz * 0.105, 9);
    let bump = |cx: f32, cz: f32, rx: f32, rz: f32| (-((x - cx) / rx).powi(2) - ((z - cz) / rz).powi(2)).exp();
    let peaks = 13.5 * bump(-9.0, 44.0, 11.0, 11.0)
        + 8.5 * bump(-34.0, 36.0, 14.0, 13.0)
        + 10.0 * bump(34.0, 40.0, 11.0, 14.0)
        + 5.5 * bump(10.0, 80.0, 60.0, 10.0)
        + 9.0 * bump(52.0, 74.0, 20.0, 16.0)
        + 9.0 * bump(-48.0, 80.0, 24.0, 16.0)
        + 3.4 * bump(11.5, 27.0, 7.0, 7.0)
        + 3.0 * bump(-13.0, 24.0, 6.0, 5.0);
    let wander = 3.0 * (fbm(x * 0.35 + 4.0, z * 0.35, 4) - 0.5);
    let left = -x - 2.2 - ((z - 8.6) * 0.75).powi(2) * 0.5;
    let right = x - 4.6 - ((z - 11.5) * 0.55).powi(2) * 0.5;
    let shore = (z - 15.5).max(left).max(right) + wander;
    let feet = smooth(0.0, 0.3, shore) * 0.14 + smooth(0.0, 6.0, shore) * 1.7 * fbm(x * 0.3, z * 0.3, 5);
    let bed = -1.2 * smooth(0.1, -1.5, shore) - 0.03;
    feet + bed + peaks * (0.28 + 0.95 * crests) * smooth(0.0, 14.0, shore)
}
