//! Shapes, by the distance of each pixel from their outline.

use super::composite::paint_pixel;
use crate::engine::Error;
use crate::engine::image::{Frame, Layout};
use crate::engine::limits::Cancel;
use crate::plan::draw::{Draw, Shape};

/// Draws a shape; edges are smooth over one pixel. Grey frames become RGB.
///
/// The distance from an ellipse is told by first order, `k (k − 1) / |p/r²|` with `k` the distance from the middle in radii.
///
/// # Errors
/// [`Error::Cancelled`], looked for in each row.
pub fn draw(frame: Frame, draw: &Draw, cancel: &Cancel) -> Result<Frame, Error> {
    let mut frame = if frame.layout() == Layout::Gray { frame.into_layout(Layout::Rgb) } else { frame };
    let (channels, stride) = (frame.layout().channels(), frame.stride());
    let outline = Outline::of(draw);
    let (columns, rows) = outline.extent(frame.size().width, frame.size().height);
    let half_width = draw.width as f32 / 2.0;
    for (y, row) in frame.pixels_mut().chunks_exact_mut(stride).enumerate().take(rows.1).skip(rows.0) {
        cancel.check()?;
        let pixels = row.chunks_exact_mut(channels).enumerate().take(columns.1).skip(columns.0);
        for (x, pixel) in pixels {
            let distance = outline.distance([x as f32 + 0.5, y as f32 + 0.5]);
            let from_stroke = if draw.shape == Shape::Line { distance } else { distance.abs() - half_width };
            for (color, distance) in [(draw.fill, distance), (draw.stroke, from_stroke)] {
                if let Some(color) = color {
                    let [r, g, b, a] = color.rgba;
                    let alpha = f32::from(a) * (0.5 - distance).clamp(0.0, 1.0);
                    paint_pixel(pixel, &[r, g, b, (alpha + 0.5) as u8], 100);
                }
            }
        }
    }
    Ok(frame)
}

/// A shape about its middle.
struct Outline {
    middle: [f32; 2],
    /// Half of its edges, its radii; for lines half of their length and of their width.
    half: [f32; 2],
    /// The direction of a line.
    along: [f32; 2],
    radius: f32,
    is_ellipse: bool,
    /// How far from the middle it reaches, at most.
    reach: [f32; 2],
}

impl Outline {
    fn of(draw: &Draw) -> Self {
        let point = |(x, y): (i32, i32)| [x as f32, y as f32];
        let (from, to) = (point(draw.from), point(draw.to));
        let middle = [(from[0] + to[0]) / 2.0, (from[1] + to[1]) / 2.0];
        let span = [to[0] - from[0], to[1] - from[1]];
        let stroke = draw.width as f32;
        let box_half = [span[0].abs() / 2.0, span[1].abs() / 2.0];
        let reach = [box_half[0] + stroke + 1.0, box_half[1] + stroke + 1.0];
        if draw.shape != Shape::Line {
            let radius = (draw.radius as f32).min(box_half[0]).min(box_half[1]);
            let is_ellipse = draw.shape == Shape::Ellipse;
            return Self { middle, half: box_half, along: [1.0, 0.0], radius, is_ellipse, reach };
        }
        let length = (span[0] * span[0] + span[1] * span[1]).sqrt();
        let along = if length > 0.0 { [span[0] / length, span[1] / length] } else { [1.0, 0.0] };
        // Round ends stand half of the width behind the points.
        let (radius, end) = if draw.radius > 0 { (stroke / 2.0, stroke / 2.0) } else { (0.0, 0.0) };
        Self { middle, half: [length / 2.0 + end, stroke / 2.0], along, radius, is_ellipse: false, reach }
    }

    /// Columns and rows of a picture that it may touch: from, and up to.
    fn extent(&self, width: u32, height: u32) -> ((usize, usize), (usize, usize)) {
        let range = |axis: usize, edge: u32| {
            let (least, most) = (self.middle[axis] - self.reach[axis], self.middle[axis] + self.reach[axis]);
            (least.max(0.0) as usize, most.ceil().clamp(0.0, edge as f32) as usize)
        };
        (range(0, width), range(1, height))
    }

    /// The distance of a point from the outline, below 0 inside.
    fn distance(&self, point: [f32; 2]) -> f32 {
        let (dx, dy) = (point[0] - self.middle[0], point[1] - self.middle[1]);
        let [u, v] = self.along;
        let (x, y) = ((dx * u + dy * v).abs(), (dy * u - dx * v).abs());
        if self.is_ellipse {
            let [a, b] = self.half.map(|radius| radius.max(0.5));
            let in_radii = ((x / a).powi(2) + (y / b).powi(2)).sqrt();
            let slope = ((x / (a * a)).powi(2) + (y / (b * b)).powi(2)).sqrt();
            return if slope > 0.0 { in_radii * (in_radii - 1.0) / slope } else { -a.min(b) };
        }
        let (x, y) = (x - self.half[0] + self.radius, y - self.half[1] + self.radius);
        let outside = (x.max(0.0).powi(2) + y.max(0.0).powi(2)).sqrt();
        outside + x.max(y).min(0.0) - self.radius
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::color::Color;
    use crate::geometry::Size;

    const RED: Color = Color { rgba: [255, 0, 0, 255] };
    const BLUE: Color = Color { rgba: [0, 0, 255, 255] };

    fn drawn(shape: Shape, from: (i32, i32), to: (i32, i32), change: impl FnOnce(&mut Draw)) -> Frame {
        let mut it = Draw { shape, from, to, fill: Some(RED), stroke: None, width: 1, radius: 0 };
        change(&mut it);
        let card = Frame::filled(Size::new(40, 30), Layout::Gray, [255; 4]);
        draw(card, &it, &Cancel::default()).expect("nothing stops it")
    }

    /// Ink of red or blue on white, in pixels.
    fn area(frame: &Frame) -> f64 {
        frame.pixels().chunks_exact(3).map(|pixel| f64::from(255 - pixel[1]) / 255.0).sum()
    }

    #[test]
    fn rectangles_are_exact() {
        let card = drawn(Shape::Rectangle, (5, 6), (15, 26), |_| {});
        assert_eq!(area(&card), 200.0);
        for (x, y, inside) in
            [(5, 6, true), (14, 25, true), (4, 6, false), (15, 25, false), (5, 5, false), (5, 26, false)]
        {
            assert_eq!(card.rgba_at(x, y) == RED.rgba, inside, "{x},{y}");
        }
        let round = drawn(Shape::Rectangle, (15, 26), (5, 6), |it| it.radius = 4);
        assert!((area(&round) - (200.0 - 16.0 * (4.0 - std::f64::consts::PI))).abs() < 1.0, "{}", area(&round));
        let framed = drawn(Shape::Rectangle, (5, 6), (15, 26), |it| (it.stroke, it.width) = (Some(BLUE), 2));
        assert_eq!(
            (framed.rgba_at(4, 10), framed.rgba_at(5, 10), framed.rgba_at(6, 10)),
            (BLUE.rgba, BLUE.rgba, RED.rgba)
        );
    }

    #[test]
    fn ellipses_and_lines_have_their_area() {
        let ellipse = drawn(Shape::Ellipse, (5, 5), (35, 25), |_| {});
        assert!((area(&ellipse) / (15.0 * 10.0 * std::f64::consts::PI) - 1.0).abs() < 0.01, "{}", area(&ellipse));
        let line = |to, round| {
            drawn(Shape::Line, (10, 10), to, |it| {
                (it.fill, it.stroke, it.width, it.radius) = (None, Some(BLUE), 4, round);
            })
        };
        assert_eq!(area(&line((30, 10), 0)), 80.0);
        assert!((area(&line((25, 20), 0)) / (4.0 * 325.0_f64.sqrt()) - 1.0).abs() < 0.02);
        assert!((area(&line((30, 10), 1)) - 80.0 - 4.0 * std::f64::consts::PI).abs() < 1.0);
    }

    #[test]
    fn what_lies_outside_is_cut_and_glass_shines_through() {
        assert_eq!(area(&drawn(Shape::Rectangle, (-99_999, -99_999), (99_999, 99_999), |_| {})), 1200.0);
        assert_eq!(area(&drawn(Shape::Ellipse, (50, 50), (90, 90), |_| {})), 0.0);
        assert_eq!(area(&drawn(Shape::Ellipse, (-90, -90), (-50, -50), |_| {})), 0.0);
        let glass = drawn(Shape::Rectangle, (0, 0), (9, 9), |it| it.fill = Some(Color { rgba: [255, 0, 0, 128] }));
        assert_eq!(glass.rgba_at(5, 5), [255, 127, 127, 255]);
    }
}
