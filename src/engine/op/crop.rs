//! Cutting a rectangle out.

use crate::engine::image::{Frame, Sample};
use crate::geometry::Rect;

/// The part of `frame` inside `rect`, in the same layout. `rect` must lie inside the frame; what does not is a
/// mistake of the caller and panics.
pub fn crop<S: Sample>(frame: Frame<S>, rect: Rect) -> Frame<S> {
    if rect.size == frame.size() {
        return frame;
    }
    let channels = frame.layout().channels();
    let row_samples = rect.size.width as usize * channels;
    let mut pixels = Vec::with_capacity(row_samples * rect.size.height as usize);
    let rows = frame.pixels().chunks_exact(frame.stride());
    for row in rows.skip(rect.y as usize).take(rect.size.height as usize) {
        let left = rect.x as usize * channels;
        pixels.extend_from_slice(&row[left..left + row_samples]);
    }
    Frame::of(rect.size, frame.layout(), pixels).expect("the rectangle lies inside the frame")
}

#[cfg(test)]
mod tests {
    use super::super::cards;
    use super::*;
    use crate::engine::image::Layout;
    use crate::geometry::Size;

    #[test]
    fn it_keeps_the_pixels_of_the_rectangle() {
        // 1 2 3 4
        // 5 6 7 8
        // 9 10 11 12
        let rows: [(Rect, &[u8]); 4] = [
            (Rect { x: 0, y: 0, size: Size::new(4, 3) }, &[1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12]),
            (Rect { x: 1, y: 1, size: Size::new(2, 2) }, &[6, 7, 10, 11]),
            (Rect { x: 3, y: 0, size: Size::new(1, 3) }, &[4, 8, 12]),
            (Rect { x: 0, y: 2, size: Size::new(4, 1) }, &[9, 10, 11, 12]),
        ];
        for layout in [Layout::Gray, Layout::Rgb, Layout::Rgba] {
            for (rect, expected) in rows {
                let cut = crop(cards::numbered(4, 3, layout), rect);
                assert_eq!((cut.size(), cut.layout()), (rect.size, layout));
                assert_eq!(cards::numbers(&cut), expected, "{rect:?}");
            }
        }
    }
}
