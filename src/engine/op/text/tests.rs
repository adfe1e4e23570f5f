use super::*;
use crate::color::Color;

const MAX: Size = Size::new(9999, 9999);

fn lettering(text: &str, size_twips: u32) -> Lettering {
    Lettering { text: text.to_owned(), font: None, size_twips, fill: Color::BLACK, dissolve: 100 }
}

/// The sum of all alpha.
fn ink(frame: &Frame) -> u64 {
    frame.pixels().chunks_exact(4).map(|pixel| u64::from(pixel[3])).sum()
}

/// The share of the picture that is ink.
fn cover(frame: &Frame) -> f64 {
    ink(frame) as f64 / 255.0 / frame.size().area() as f64
}

/// The smallest box around the ink: left, top, right, bottom.
fn ink_box(frame: &Frame) -> (u32, u32, u32, u32) {
    let Size { width, height } = frame.size();
    let mut found = (width, height, 0, 0);
    for y in 0..height {
        for x in (0..width).filter(|x| frame.rgba_at(*x, y)[3] > 0) {
            found = (found.0.min(x), found.1.min(y), found.2.max(x + 1), found.3.max(y + 1));
        }
    }
    found
}

#[test]
fn hello_is_ink_in_the_fill_colour_inside_its_box() {
    let fill = Color { rgba: [200, 30, 10, 255] };
    let frame = render(&Lettering { fill, ..lettering("Hello", 500) }, MAX).expect("it is small");
    assert_eq!(frame.layout(), Layout::Rgba);
    assert!(frame.pixels().chunks_exact(4).all(|pixel| pixel[..3] == [200, 30, 10]));
    // Capitals of Noto Sans are 0.714 em high, and "Hello" is 2.37 em wide.
    let (left, top, right, bottom) = ink_box(&frame);
    assert!((18..=19).contains(&(bottom - top)), "{top}..{bottom}");
    assert!(left <= 3 && right + 3 >= frame.size().width, "{left}..{right} of {}", frame.size());
    assert!((0.1..0.3).contains(&cover(&frame)), "{}", cover(&frame));
}

#[test]
fn a_line_of_25_pixels_is_about_34_high() {
    let rows = [("Hello", 500, 30..=36), ("图片", 500, 30..=36), ("Hello", 240, 14..=18), ("a\nb", 500, 60..=72)];
    for (text, size_twips, expected) in rows {
        let height = measure(&lettering(text, size_twips), MAX).expect("it is small").height;
        assert!(expected.contains(&height), "{text:?} at {size_twips}: {height}");
    }
}

#[test]
fn the_advance_is_the_width() {
    // Noto Sans: H 741, e 564, l 258, o 605 thousandths; 100 pixels.
    let size = measure(&lettering("Hello", 2000), MAX).expect("it is small");
    assert!((242..=244).contains(&size.width), "{size}");
}

#[test]
fn measuring_and_rendering_agree() {
    for text in ["Hello", "水印\ngy", "مرحبا", "\u{300}\u{300}a\u{30a}\u{30a}\u{30a}", " ", "\n", "j", "f"] {
        for size_twips in [1, 7, 240, 333, 2000] {
            let lettering = lettering(text, size_twips);
            let frame = render(&lettering, MAX).expect("it is small");
            assert_eq!(measure(&lettering, MAX), Ok(frame.size()), "{text:?} at {size_twips}");
        }
    }
}

#[test]
fn no_ink_is_cut_at_the_edge_of_the_box() {
    // Stacked accents reach over the line; the box grows with them.
    let tall = measure(&lettering("a\u{302}\u{302}\u{302}\u{302}\u{302}", 1000), MAX).expect("it is small");
    let plain = measure(&lettering("a", 1000), MAX).expect("it is small");
    assert!(tall.height > plain.height, "{tall} {plain}");
}

#[test]
fn every_script_has_ink() {
    for text in ["图片水印", "こんにちは", "안녕", "مرحبا", "Привет", "Ωmega", "\u{e000}"] {
        let frame = render(&lettering(text, 800), MAX).expect("it is small");
        assert!(cover(&frame) > 0.03, "{text}: {}", cover(&frame));
    }
}

#[test]
fn the_alpha_of_the_fill_is_the_most_that_ink_has() {
    let faint = Lettering { fill: Color { rgba: [0, 0, 0, 100] }, ..lettering("黑体", 2000) };
    let frame = render(&faint, MAX).expect("it is small");
    assert_eq!(frame.pixels().chunks_exact(4).map(|pixel| pixel[3]).max(), Some(100));
}

#[test]
fn dissolve_is_left_to_the_painter() {
    let solid = render(&lettering("a", 500), MAX);
    assert_eq!(render(&Lettering { dissolve: 10, ..lettering("a", 500) }, MAX), solid);
}

#[test]
fn an_unknown_font_is_the_default() {
    let unknown = Lettering { font: Some("没有这个字体".to_owned()), ..lettering("Hello 图片", 500) };
    assert_eq!(render(&unknown, MAX), render(&lettering("Hello 图片", 500), MAX));
}

#[test]
fn results_over_the_limit_are_refused() {
    let refused = |what, value, limit| Error::Limit { what, value, limit };
    let long = lettering("Hello", 2000);
    let size = measure(&long, MAX).expect("it is small");
    let (width, height) = (u64::from(size.width), u64::from(size.height));
    assert_eq!(render(&long, Size::new(50, 999)), Err(refused("text width in pixels", width, 50)));
    assert_eq!(measure(&long, Size::new(999, 20)), Err(refused("text height in pixels", height, 20)));
    assert!(render(&long, size).is_ok());
    let huge = lettering(&"W\n".repeat(2000), 10_000);
    assert!(matches!(render(&huge, MAX), Err(Error::Limit { value: 1_000_000.., .. })));
}

#[test]
fn setting_a_text_does_not_depend_on_those_before_it() {
    let first = render(&lettering("中文 abc", 300), MAX);
    for text in ["مرحبا", "😀", "图", "zzz"] {
        render(&lettering(text, 777), MAX).expect("it is small");
    }
    assert_eq!(render(&lettering("中文 abc", 300), MAX), first);
}

fn tiling(rotate: i32, scale: f32) -> TiledText {
    TiledText { lettering: lettering("图 mogr", 400), rotate, gap_width: 20, gap_height: 30, scale }
}

#[test]
fn tiles_are_the_text_at_every_cell_from_the_top_left() {
    let text = render(&tiling(0, 1.0).lettering, MAX).expect("it is small");
    let step = (text.size().width + 20, text.size().height + 30);
    let frame = tiled(Size::new(300, 200), &tiling(0, 1.0)).expect("it is small");
    assert_eq!((frame.size(), frame.layout()), (Size::new(300, 200), Layout::Rgba));
    for y in 0..200 {
        for x in 0..300 {
            let (u, v) = (x % step.0, y % step.1);
            let inside = u < text.size().width && v < text.size().height;
            let expected = if inside { text.rgba_at(u, v)[3] } else { 0 };
            assert_eq!(frame.rgba_at(x, y)[3], expected, "{x},{y}");
        }
    }
}

#[test]
fn turning_tiles_keeps_the_amount_of_ink() {
    let size = Size::new(900, 900);
    let straight = cover(&tiled(size, &tiling(0, 1.0)).expect("it is small"));
    for rotate in [30, -45, 90, 180, -180] {
        let turned = cover(&tiled(size, &tiling(rotate, 1.0)).expect("it is small"));
        assert!((turned / straight - 1.0).abs() < 0.05, "{rotate}: {turned} {straight}");
    }
}

#[test]
fn scaling_tiles_scales_text_and_gaps() {
    let size = Size::new(900, 900);
    let plain = cover(&tiled(size, &tiling(0, 1.0)).expect("it is small"));
    let scaled = cover(&tiled(size, &tiling(0, 2.5)).expect("it is small"));
    assert!((scaled / plain - 1.0).abs() < 0.2, "{scaled} {plain}");
    let huge = TiledText { lettering: lettering(&"图片".repeat(50), 10_000), ..tiling(0, 10.0) };
    assert!(matches!(tiled(size, &huge), Err(Error::Limit { limit: 4096, .. })));
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig { cases: 64, ..Default::default() })]

    #[test]
    fn any_text_is_set_or_refused(text in "(\\PC|[\\t\\n\\r\u{0}\u{85}\u{200b}-\u{200f}\u{2028}-\u{202e}\u{2066}-\u{2069}\u{fe0f}ابت]){1,24}", size_twips in 1_u32..2000) {
        if let Ok(frame) = render(&lettering(&text, size_twips), Size::new(800, 400)) {
            proptest::prop_assert!(frame.size().width <= 800 && frame.size().height <= 400);
        }
    }
}
