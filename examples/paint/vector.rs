//! Three floats: a point, a direction or a colour in linear light.

use std::ops::{Add, AddAssign, Div, Mul, Neg, Sub};

/// A point, a direction, or red, green and blue in linear light (1.0 is diffuse white).
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct V3 {
    pub(crate) x: f32,
    pub(crate) y: f32,
    pub(crate) z: f32,
}

/// Short for `V3 { x, y, z }`.
pub(crate) const fn v3(x: f32, y: f32, z: f32) -> V3 {
    V3 { x, y, z }
}

impl V3 {
    pub(crate) const ZERO: Self = v3(0.0, 0.0, 0.0);
    pub(crate) const UP: Self = v3(0.0, 1.0, 0.0);

    /// The same number thrice: a grey, a scale.
    pub(crate) const fn all(k: f32) -> Self {
        v3(k, k, k)
    }

    pub(crate) fn dot(self, o: Self) -> f32 {
        self.x * o.x + self.y * o.y + self.z * o.z
    }

    pub(crate) fn cross(self, o: Self) -> Self {
        v3(self.y * o.z - self.z * o.y, self.z * o.x - self.x * o.z, self.x * o.y - self.y * o.x)
    }

    pub(crate) fn length(self) -> f32 {
        self.dot(self).sqrt()
    }

    pub(crate) fn unit(self) -> Self {
        self / self.length().max(1e-12)
    }

    pub(crate) fn map(self, f: impl Fn(f32) -> f32) -> Self {
        v3(f(self.x), f(self.y), f(self.z))
    }

    /// Turns around the vertical axis by `angle` radians.
    pub(crate) fn turn_y(self, angle: f32) -> Self {
        let (s, c) = angle.sin_cos();
        v3(c * self.x + s * self.z, self.y, c * self.z - s * self.x)
    }

    pub(crate) fn reflect(self, normal: Self) -> Self {
        self - normal * (2.0 * self.dot(normal))
    }

    /// Rec. 709 luminance.
    pub(crate) fn luminance(self) -> f32 {
        self.dot(v3(0.2126, 0.7152, 0.0722))
    }
}

impl Add for V3 {
    type Output = Self;
    fn add(self, o: Self) -> Self {
        v3(self.x + o.x, self.y + o.y, self.z + o.z)
    }
}

impl AddAssign for V3 {
    fn add_assign(&mut self, o: Self) {
        *self = *self + o;
    }
}

impl Sub for V3 {
    type Output = Self;
    fn sub(self, o: Self) -> Self {
        v3(self.x - o.x, self.y - o.y, self.z - o.z)
    }
}

impl Neg for V3 {
    type Output = Self;
    fn neg(self) -> Self {
        self * -1.0
    }
}

impl Mul<f32> for V3 {
    type Output = Self;
    fn mul(self, k: f32) -> Self {
        v3(self.x * k, self.y * k, self.z * k)
    }
}

impl Div<f32> for V3 {
    type Output = Self;
    fn div(self, k: f32) -> Self {
        self * (1.0 / k)
    }
}

/// Component by component: light times surface colour.
impl Mul for V3 {
    type Output = Self;
    fn mul(self, o: Self) -> Self {
        v3(self.x * o.x, self.y * o.y, self.z * o.z)
    }
}

/// From `a` (at `t` = 0) to `b` (at 1), for numbers and vectors alike.
pub(crate) fn mix<T: Copy + Add<Output = T> + Mul<f32, Output = T>>(a: T, b: T, t: f32) -> T {
    a * (1.0 - t) + b * t
}

/// 0 below `low`, 1 above `high`, smooth between; `low > high` runs the other way.
pub(crate) fn smooth(low: f32, high: f32, x: f32) -> f32 {
    let t = ((x - low) / (high - low)).clamp(0.0, 1.0);
    t * t * (3.0 - 2.0 * t)
}
