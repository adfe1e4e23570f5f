//! What there is to see of a picture: its commonest colours, and where its edges end.

use std::collections::HashMap;

use crate::engine::Error;
use crate::engine::encode::posterized;
use crate::engine::image::{Frame, Layout};
use crate::engine::limits::Cancel;
use crate::geometry::{Rect, Size};
use crate::plan::seen::Fuzz;

/// Pixels below this alpha show no colour.
const SHOWS_FROM: u8 = 128;

/// The colours that stand for all of a picture.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Colors {
    /// Each with the pixels that it stands for; the commonest first.
    pub counted: Vec<([u8; 3], u64)>,
    /// The commonest along the edges.
    pub background: Option<[u8; 3]>,
}

/// At most `count` colours that stand for all that are not transparent.
///
/// # Errors
/// [`Error::Cancelled`].
pub fn colors(frame: Frame, count: u16, cancel: &Cancel) -> Result<Colors, Error> {
    let frame = posterized(frame, count, cancel)?;
    let Size { width, height } = frame.size();
    let (mut all, mut along): (HashMap<[u8; 3], u64>, HashMap<[u8; 3], u64>) = (HashMap::new(), HashMap::new());
    for y in 0..height {
        cancel.check()?;
        for x in 0..width {
            let [r, g, b, alpha] = frame.rgba_at(x, y);
            if alpha < SHOWS_FROM {
                continue;
            }
            *all.entry([r, g, b]).or_default() += 1;
            if x == 0 || y == 0 || x == width - 1 || y == height - 1 {
                *along.entry([r, g, b]).or_default() += 1;
            }
        }
    }
    let background = ordered(along).first().map(|(color, _)| *color);
    Ok(Colors { counted: ordered(all), background })
}

/// The commonest first; of those that are as common the darker, so that the order is always the same.
fn ordered(counts: HashMap<[u8; 3], u64>) -> Vec<([u8; 3], u64)> {
    let mut counted: Vec<_> = counts.into_iter().collect();
    counted.sort_unstable_by_key(|(color, count)| (std::cmp::Reverse(*count), *color));
    counted
}

/// The smallest box outside which no pixel differs from the corners; `None` where no pixel does.
///
/// As `-trim` of ImageMagick: left and top are held against the upper left corner, right against the upper right, bottom against
/// the lower left. Colours are apart by the root mean square of red, green and blue, each as far as it shows, and of alpha.
///
/// # Errors
/// [`Error::Cancelled`], looked for in each row.
pub fn edges(frame: &Frame, fuzz: Fuzz, cancel: &Cancel) -> Result<Option<Rect>, Error> {
    let Size { width, height } = frame.size();
    let corner = |x, y| frame.rgba_at(x, y);
    let (upper_left, upper_right, lower_left) = (corner(0, 0), corner(width - 1, 0), corner(0, height - 1));
    let most = 3.0 * (255.0 * f64::from(fuzz.percent()) / 100.0).powi(2);
    let has_alpha = frame.layout() == Layout::Rgba;
    let (mut left, mut top, mut right, mut bottom) = (width, height, 0, 0);
    for y in 0..height {
        cancel.check()?;
        for x in 0..width {
            let pixel = frame.rgba_at(x, y);
            let differs = |from: [u8; 4]| distance(pixel, from, has_alpha) > most;
            if x < left && differs(upper_left) {
                left = x;
            }
            if x + 1 > right && differs(upper_right) {
                right = x + 1;
            }
            if y < top && differs(upper_left) {
                top = y;
            }
            if y + 1 > bottom && differs(lower_left) {
                bottom = y + 1;
            }
        }
    }
    if left >= right || top >= bottom {
        return Ok(None);
    }
    Ok(Some(Rect { x: left, y: top, size: Size::new(right - left, bottom - top) }))
}

/// The square of how far colours are apart, times three.
fn distance(one: [u8; 4], other: [u8; 4], has_alpha: bool) -> f64 {
    let square = |one: f64, other: f64| (one - other) * (one - other);
    if !has_alpha {
        return (0..3).map(|at| square(one[at].into(), other[at].into())).sum();
    }
    let shown = |pixel: [u8; 4], at: usize| f64::from(pixel[at]) * f64::from(pixel[3]) / 255.0;
    let colors: f64 = (0..3).map(|at| square(shown(one, at), shown(other, at))).sum();
    colors + 3.0 * square(one[3].into(), other[3].into())
}

#[cfg(test)]
mod tests {
    use super::super::cards;
    use super::*;
    use crate::engine::limits::tests::looks_of;
    use crate::plan::Fop;
    use crate::plan::Plan;
    use crate::plan::seen::Seen;

    fn fuzz(percent: &str) -> Fuzz {
        let plan = Plan::parse(&format!("edges/{percent}")).expect("a plan");
        let [Fop::Seen(Seen::Edges(fuzz))] = plan.fops[..] else { panic!("{plan}") };
        fuzz
    }

    /// White, 8x6, with a grey box at 2,1 of 3x4 that is 25 steps darker.
    fn card() -> Frame {
        let inside = |x, y| (2..5).contains(&x) && (1..5).contains(&y);
        let pixels = (0..48).map(|at| if inside(at % 8, at / 8) { 230 } else { 255 }).collect();
        Frame::new(Size::new(8, 6), Layout::Gray, pixels).expect("48 pixels")
    }

    #[test]
    fn what_differs_from_the_corners_is_kept() {
        let found = |frame: &Frame, percent| edges(frame, fuzz(percent), &Cancel::default()).expect("nothing stops it");
        let inner = Rect { x: 2, y: 1, size: Size::new(3, 4) };
        assert_eq!(found(&card(), "0"), Some(inner));
        assert_eq!(found(&card().into_layout(Layout::Rgb), "9.8"), Some(inner));
        // 25 of 255 is 9.804 percent.
        assert_eq!(found(&card(), "9.9"), None);
        let glass = cards::rgba(3, &[[9, 9, 9, 0], [200, 0, 0, 255], [70, 80, 90, 0]]);
        assert_eq!(found(&glass, "0"), Some(Rect { x: 1, y: 0, size: Size::new(1, 1) }));
        assert_eq!(found(&Frame::filled(Size::new(4, 4), Layout::Rgb, [7; 4]), "0"), None);
    }

    #[test]
    fn colors_are_counted_and_ordered() {
        let told = colors(card(), 8, &Cancel::default()).expect("nothing stops it");
        assert_eq!(told, Colors { counted: vec![([255; 3], 36), ([230; 3], 12)], background: Some([255; 3]) });
        let glass = cards::rgba(2, &[[200, 0, 0, 255], [0, 200, 0, 0]]);
        let told = colors(glass, 8, &Cancel::default()).expect("nothing stops it");
        assert_eq!(told.counted, [([200, 0, 0], 1)]);
    }

    #[test]
    fn it_stops_between_rows() {
        assert_eq!(looks_of(|cancel| edges(&card(), fuzz("0"), cancel)), 6);
    }
}
