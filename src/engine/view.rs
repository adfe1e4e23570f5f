//! What a run of crops, quarter turns and one resize comes to: a part of the stored picture, scaled, cut and turned.
//!
//! In one piece it can be done while the picture is decoded: nothing outside the part is read, and the picture is turned
//! when it is smallest.

use super::program::Step;
use crate::geometry::{Orientation, Rect, Size};

/// A part of the stored picture, scaled, cut and turned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct View {
    /// The part of the stored picture. Nothing outside shows, not even at the edges.
    pub part: Rect,
    /// The size that the part is scaled to.
    pub scaled: Size,
    /// What is cut out of the scaled part.
    pub cut: Rect,
    /// How the cut is turned upright.
    pub orientation: Orientation,
}

impl View {
    /// The view that the first steps come to on a stored picture of size `stored`, and how many steps these are.
    pub fn of(stored: Size, steps: &[Step]) -> (Self, usize) {
        let whole = Rect { x: 0, y: 0, size: stored };
        let mut view = Self { part: whole, scaled: stored, cut: whole, orientation: Orientation::TopLeft };
        let mut is_resized = false;
        for (done, step) in steps.iter().enumerate() {
            match *step {
                Step::Orient(orientation) => view.orientation = view.orientation.then(orientation),
                Step::Rotate { angle, .. } => {
                    let Some(turns) = angle.quarter_turns() else { return (view, done) };
                    view.orientation = view.orientation.then(Orientation::quarter_turns(turns.into()));
                }
                Step::Resize(size) if !is_resized => {
                    view.scaled = if view.orientation.transposes() { size.transposed() } else { size };
                    view.cut = Rect { x: 0, y: 0, size: view.scaled };
                    is_resized = true;
                }
                Step::Crop(rect) => view.crop(rect, is_resized),
                _ => return (view, done),
            }
        }
        (view, steps.len())
    }

    fn crop(&mut self, rect: Rect, is_resized: bool) {
        let rect = self.orientation.to_stored(rect, self.cut.size);
        let inside = |outer: Rect| Rect { x: outer.x + rect.x, y: outer.y + rect.y, size: rect.size };
        if is_resized {
            self.cut = inside(self.cut);
            return;
        }
        self.part = inside(self.part);
        self.scaled = rect.size;
        self.cut = Rect { x: 0, y: 0, size: rect.size };
    }

    /// Size of the upright result.
    pub fn size(&self) -> Size {
        self.orientation.display_size(self.cut.size)
    }

    /// Whether the part becomes wider or higher.
    pub fn is_enlarged(&self) -> bool {
        self.scaled.exceeds(self.part.size)
    }

    /// Whether samples are weighed: else they are only copied.
    pub fn is_resized(&self) -> bool {
        self.scaled != self.part.size
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::color::Color;
    use crate::engine::image::{Frame, Layout};
    use crate::engine::op::{crop, rotate};
    use crate::geometry::Angle;

    /// A view of copied samples shows what the steps one after the other show, for every orientation.
    #[test]
    fn crops_and_turns_in_one_come_to_the_same() {
        let stored = Size::new(7, 5);
        let frame = Frame::new(stored, Layout::Gray, (0..35).collect()).expect("35 pixels");
        for first in Orientation::ALL {
            for second in Orientation::ALL {
                let upright = first.display_size(stored);
                let outer = Rect { x: 1, y: 2, size: Size::new(upright.width - 2, upright.height - 2) };
                let turned = second.display_size(outer.size);
                let inner = Rect { x: 1, y: 0, size: Size::new(turned.width - 1, turned.height - 1) };
                let steps = [Step::Orient(first), Step::Crop(outer), Step::Orient(second), Step::Crop(inner)];
                let (view, done) = View::of(stored, &steps);
                assert_eq!(done, 4);
                let stepwise = rotate::orient(crop::crop(rotate::orient(frame.clone(), first), outer), second);
                let stepwise = crop::crop(stepwise, inner);
                let at_once = rotate::orient(crop::crop(frame.clone(), view.part), view.orientation);
                assert_eq!(at_once, stepwise, "{first:?} then {second:?}");
                assert_eq!(view.size(), stepwise.size());
                assert!(!view.is_resized());
            }
        }
    }

    #[test]
    fn the_first_step_of_another_kind_ends_it() {
        let stored = Size::new(400, 300);
        let quarter =
            Step::Rotate { angle: Angle::of_degrees(90), canvas: Size::new(300, 400), background: Color::WHITE };
        let steps = [
            Step::Crop(Rect { x: 100, y: 0, size: Size::new(200, 100) }),
            Step::Resize(Size::new(50, 25)),
            quarter,
            Step::Crop(Rect { x: 5, y: 10, size: Size::new(20, 30) }),
            Step::Resize(Size::new(2, 3)),
        ];
        let (view, done) = View::of(stored, &steps);
        assert_eq!((done, view.scaled, view.size()), (4, Size::new(50, 25), Size::new(20, 30)));
        assert_eq!(view.part, Rect { x: 100, y: 0, size: Size::new(200, 100) });
        assert_eq!(view.cut, Rect { x: 10, y: 0, size: Size::new(30, 20) });
        assert_eq!(View::of(stored, &[Step::Sharpen]).1, 0);
    }
}
