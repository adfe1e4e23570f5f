//! A lens and a sphere tracer: scenes are signed distances, lit by one soft lamp and the sky around.

use std::f32::consts::TAU;

use crate::{
    picture::Sample,
    vector::{V3, mix, v3},
};

/// A half line from `origin` along the unit vector `toward`.
#[derive(Clone, Copy)]
pub(crate) struct Ray {
    pub(crate) origin: V3,
    pub(crate) toward: V3,
}

impl Ray {
    pub(crate) fn at(self, t: f32) -> V3 {
        self.origin + self.toward * t
    }
}

/// A thin lens at `eye` looking at `target`, which is in focus.
pub(crate) struct Camera {
    pub(crate) eye: V3,
    pub(crate) target: V3,
    /// Focal length in half picture heights: 1 sees 90 degrees from top to bottom.
    pub(crate) focal: f32,
    /// Radius of the aperture in scene units.
    pub(crate) aperture: f32,
}

impl Camera {
    /// The ray of a sample, through its own point of the lens.
    pub(crate) fn ray(&self, sample: Sample) -> Ray {
        let forward = (self.target - self.eye).unit();
        let right = V3::UP.cross(forward).unit();
        let up = forward.cross(right);
        let focus =
            self.eye + (forward + (right * sample.x + up * sample.y) / self.focal) * (self.target - self.eye).length();
        let (u, v) = sample.jitter(3);
        let (s, c) = (u * TAU).sin_cos();
        let origin = self.eye + (right * c + up * s) * (self.aperture * v.sqrt());
        Ray { origin, toward: (focus - origin).unit() }
    }
}

/// The distance along `ray` to the surface where `map` is zero, up to `far`.
pub(crate) fn trace(map: &impl Fn(V3) -> f32, ray: Ray, far: f32) -> Option<f32> {
    let mut t = 0.01;
    for _ in 0..160 {
        let gap = map(ray.at(t));
        if gap < 0.0004 * t {
            return Some(t);
        }
        t += gap * 0.9;
        if t > far {
            return None;
        }
    }
    None
}

/// The direction in which `map` grows, measured over `step`.
pub(crate) fn normal(map: &impl Fn(V3) -> f32, p: V3, step: f32) -> V3 {
    let corner = |x: f32, y: f32, z: f32| v3(x, y, z) * map(p + v3(x, y, z) * step);
    (corner(1.0, -1.0, -1.0) + corner(-1.0, -1.0, 1.0) + corner(-1.0, 1.0, -1.0) + corner(1.0, 1.0, 1.0)).unit()
}

/// How much of the sky the point sees: 1 in the open, toward 0 in a crease of about `reach`.
pub(crate) fn openness(map: &impl Fn(V3) -> f32, p: V3, n: V3, reach: f32) -> f32 {
    let hidden: f32 = (1..=5)
        .fold((0.0, 1.0), |(sum, weight), i| {
            let h = reach * i as f32 / 5.0;
            (sum + (h - map(p + n * h)).max(0.0) * weight, weight * 0.7)
        })
        .0;
    (1.0 - 1.3 * hidden / reach).clamp(0.10, 1.0)
}

/// What a surface is made of.
#[derive(Clone, Copy)]
pub(crate) struct Material {
    /// Share of light sent back, by colour.
    pub(crate) color: V3,
    /// Strength of the mirror-like layer on top.
    pub(crate) gloss: f32,
    /// Sharpness of its highlight, as a Blinn exponent.
    pub(crate) polish: f32,
    /// Colour of light that travels under the surface and softens shadow edges: skin, wax, fruit.
    pub(crate) under: V3,
}

/// A round lamp and the light of a room.
pub(crate) struct Studio {
    pub(crate) lamp: V3,
    /// Radius of the lamp: the softness of shadows.
    pub(crate) size: f32,
    pub(crate) light: V3,
    /// Light from all around, from above and from below.
    pub(crate) above: V3,
    pub(crate) below: V3,
}

impl Studio {
    /// Light leaving the surface at `p` with normal `n` toward the eye, `toward` being the way the eye looks.
    pub(crate) fn shade(
        &self,
        map: &impl Fn(V3) -> f32,
        (p, n): (V3, V3),
        toward: V3,
        material: Material,
        sample: Sample,
    ) -> V3 {
        let lamp = self.point(sample) - p;
        let (distance, to_lamp) = (lamp.length(), lamp.unit());
        let facing = n.dot(to_lamp);
        let start = Ray { origin: p + n * 0.014, toward: to_lamp };
        let lit = if facing > 0.0 && trace(map, start, distance).is_none() { 1.0 } else { 0.0 };
        let open = openness(map, p, n, 0.45);
        // Wrapped diffuse: light that entered nearby comes out, tinted, past the edge of the shadow.
        let wrapped = material.under.map(|u| ((facing + u) / (1.0 + u)).max(0.0) - facing.max(0.0));
        let direct = V3::all(facing.max(0.0) * lit) + wrapped * open;
        let room = mix(self.below, self.above, n.y * 0.5 + 0.5) * open;
        let half = (to_lamp - toward).unit();
        let shine = material.gloss * n.dot(half).max(0.0).powf(material.polish) * (material.polish + 8.0) / 25.0;
        let fresnel = 0.04 + 0.96 * (1.0 + n.dot(toward)).clamp(0.0, 1.0).powi(5);
        let mirror = mix(self.below, self.above, toward.reflect(n).y * 0.5 + 0.5) * (material.gloss * fresnel * open);
        material.color * (self.light * direct + room) + self.light * (shine * lit * facing.max(0.0)) + mirror
    }

    fn point(&self, sample: Sample) -> V3 {
        let ((a, b), (c, _)) = (sample.jitter(4), sample.jitter(5));
        self.lamp + v3(a - 0.5, b - 0.5, c - 0.5) * (2.0 * self.size)
    }
}

/// Joins two distances with a fillet of about `k`.
pub(crate) fn blend(a: f32, b: f32, k: f32) -> f32 {
    let h = (k - (a - b).abs()).max(0.0) / k;
    a.min(b) - h * h * k * 0.25
}

/// Distance to an ellipsoid with semi-axes `r`; a close lower bound near the surface (Quilez).
pub(crate) fn ellipsoid(p: V3, r: V3) -> f32 {
    let scaled = |k: V3| v3(p.x / k.x, p.y / k.y, p.z / k.z).length();
    let (k0, k1) = (scaled(r), scaled(r * r));
    if k1 < 1e-6 { -r.x.min(r.y).min(r.z) } else { k0 * (k0 - 1.0) / k1 }
}

/// Distance to the line from `a` to `b`, thick `ra` at one end and `rb` at the other.
pub(crate) fn capsule(p: V3, a: V3, b: V3, ra: f32, rb: f32) -> f32 {
    let (pa, ba) = (p - a, b - a);
    let h = (pa.dot(ba) / ba.dot(ba)).clamp(0.0, 1.0);
    (pa - ba * h).length() - mix(ra, rb, h)
}
