//! A dahlia from above. The colours are linear Display P3, many of them outside sRGB.

use crate::{
    noise::{fbm, noise2, random},
    picture::{Picture, Sample},
    vector::{V3, mix, smooth, v3},
};

const PETALS: usize = 150;
/// The turn from each petal to the next: the golden angle, in radians.
const GOLDEN_ANGLE: f32 = 2.399_963_2;
const MIDDLE: (f32, f32) = (-0.36, 0.04);

/// Renders the flower, `grid` × `grid` samples to a pixel.
pub(crate) fn paint(width: usize, height: usize, grid: i32) -> Picture {
    let petals: Vec<Petal> = (0..PETALS).map(Petal::grow).collect();
    let mut picture = Picture::render(width, height, grid, |s| look(&petals, s));
    picture.bloom(0.03, 0.06);
    picture
}

fn look(petals: &[Petal], s: Sample) -> V3 {
    let (x, y) = (s.x - MIDDLE.0, s.y - MIDDLE.1);
    let mut shade = 1.0f32;
    // From the heart outward: the first petal that covers the point is the one on top.
    for petal in petals {
        match petal.cover(x, y) {
            Cover::Whole(color) => return color * shade,
            Cover::Shadow(left) => shade = shade.min(left),
            Cover::Nothing => {}
        }
    }
    leaves(s) * mix(0.35, 1.0, smooth(0.75, 1.15, x.hypot(y)))
}

enum Cover {
    Whole(V3),
    /// The share of light that the petal's shadow leaves.
    Shadow(f32),
    Nothing,
}

/// One petal, lying outward along its own axis.
struct Petal {
    sin_cos: (f32, f32),
    /// How far the point of the petal is from the heart.
    tip: f32,
    length: f32,
    /// 0 at the heart, 1 for the outermost.
    share: f32,
    bend: f32,
    tone: f32,
}

impl Petal {
    fn grow(i: usize) -> Self {
        let share = (i as f32 + 1.0) / PETALS as f32;
        let roll = |k| random(i as i32, k, 101);
        Self {
            sin_cos: (i as f32 * GOLDEN_ANGLE + (roll(1) - 0.5) * 0.16).sin_cos(),
            tip: (0.035 + 0.84 * share.powf(0.70)) * (0.95 + 0.1 * roll(2)),
            length: 0.06 + 0.50 * share.powf(0.60),
            share,
            bend: 0.10 * (roll(3) - 0.5),
            tone: 0.86 + 0.28 * roll(4),
        }
    }

    fn cover(&self, x: f32, y: f32) -> Cover {
        let (sin, cos) = self.sin_cos;
        let along = (x * cos + y * sin - self.tip) / self.length + 1.0;
        let across = (y * cos - x * sin) / self.length + self.bend * along * along;
        if !(0.0..1.18).contains(&along) || across.abs() > 0.42 {
            return Cover::Nothing;
        }
        let half = outline(along);
        let beyond = 0.9 * (along - 1.0).max(0.0);
        let inside = half - (across * across + beyond * beyond).sqrt();
        if inside < 0.0 {
            let depth = 0.72 * smooth(-0.15, 0.0, inside) * smooth(0.05, 0.45, along);
            return Cover::Shadow(1.0 - depth);
        }
        let edge = mix(0.55, 1.0, smooth(0.0, 0.018, inside));
        Cover::Whole(self.surface(along, across / half.max(0.01)) * (self.tone * edge))
    }

    /// The petal's own color under a lamp high at the upper left; `fold` runs from -1 to 1 across.
    fn surface(&self, along: f32, fold: f32) -> V3 {
        let (sin, cos) = self.sin_cos;
        let own = 40.0 * self.tone;
        let streak =
            0.6 * noise2(fold * 6.0 + own, along * 0.9, 3) + 0.4 * noise2(fold * 15.0 + own, along * 1.4, 4) - 0.5;
        let groove = (fold * 13.0).cos();
        // Cupped at the foot, opening flat: the cross-section's slope, and the rise toward the eye along it.
        let slope = fold * mix(1.5, 0.35, along) - 0.10 * groove * (1.0 - along);
        let side = 0.55 * sin + 0.65 * cos;
        let outward = 0.65 * sin - 0.55 * cos;
        let facing = 0.62 - 0.34 * slope * side + 0.34 * outward * (1.1 * along - 0.45) + 0.16 * along;
        let deep = mix(v3(0.20, 0.0, 0.06), v3(0.62, 0.0, 0.09), smooth(0.25, 0.85, along));
        let tip =
            mix(deep, v3(0.98, 0.14, 0.20), smooth(0.62, 1.0, along + 0.25 * streak) * (0.25 + 0.65 * self.share));
        let color = mix(v3(0.95, 0.24, 0.0), tip, smooth(0.0, 0.16, self.share));
        let rim = smooth(0.70, 1.0, fold.abs()) * smooth(0.3, 0.9, along);
        let color = mix(color, v3(1.0, 0.30, 0.22), 0.40 * rim) * (1.0 + 0.35 * streak + 0.07 * groove);
        let cave = mix(0.10, 1.0, smooth(0.15, 0.80, along));
        color * (facing.max(0.04) * 1.25 * cave) + V3::all(0.10 * facing.max(0.0).powi(5) * along * along)
    }
}

/// Half width of a petal, in its lengths: narrow foot, full shoulders, a drawn-out point.
fn outline(along: f32) -> f32 {
    let along = along.clamp(0.0, 1.0);
    0.265 * along.powf(0.85) * (1.0 - along.powf(3.2)).powf(0.72) + 0.008
}

/// Leaves far below the flower, out of focus: greens only a wide gamut holds.
fn leaves(s: Sample) -> V3 {
    let mut color = mix(v3(0.0, 0.030, 0.014), v3(0.012, 0.115, 0.020), fbm(s.x * 1.2 + 5.0, s.y * 1.2, 3));
    for i in 0..46 {
        let roll = |k| random(i, k, 202);
        let (cx, cy, r) = (mix(-1.6, 1.6, roll(1)), mix(-1.1, 1.1, roll(2)), mix(0.07, 0.24, roll(3)));
        let d = (s.x - cx).hypot(s.y - cy) / r;
        let glow = smooth(1.06, 0.86, d) * (0.7 + 0.4 * smooth(0.5, 1.0, d));
        color += mix(v3(0.0, 0.34, 0.05), v3(0.30, 0.62, 0.0), roll(4)) * (glow * 0.36 * roll(5) * roll(6));
    }
    color
}
