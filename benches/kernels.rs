//! The engine's inner loops, each beside the plain loop that says the same, and beside the library that would do it
//! otherwise. `cargo bench --bench kernels --features internals`; nothing depends on the times.
//!
//! Before anything is measured, `main` holds each kernel against its plain loop: what is compared has to be equal.

use std::io::Cursor;
use std::sync::LazyLock;

use bytes::Bytes;
use divan::counter::ItemsCount;
use divan::{Bencher, black_box};
use fast_image_resize::images::{Image, ImageRef};
use fast_image_resize::{FilterType, PixelType, ResizeAlg, ResizeOptions, Resizer};
use mogr::color::Color;
use mogr::engine::image::{Frame, Layout};
use mogr::engine::light::Light;
use mogr::engine::limits::{Cancel, Limits};
use mogr::engine::{decode, encode, internals, op};
use mogr::geometry::Size;
use mogr::plan::output::OutputFormat;

#[path = "kernels/plain.rs"]
mod plain;
#[path = "../tests/it/reference.rs"]
mod reference;
mod sources;

use sources::{faded, file, photograph, settings};

fn main() {
    inverse_dcts_agree();
    resamplers_agree();
    operations_agree();
    encoders_agree();
    png_readers_agree();
    divan::main();
}

/// Largest difference of two rows of samples.
fn farthest(one: &[u8], other: &[u8]) -> u8 {
    assert_eq!(one.len(), other.len());
    one.iter().zip(other).map(|(one, other)| one.abs_diff(*other)).max().unwrap_or(0)
}

// Inverse DCTs.

/// Blocks a bench turns into samples: those of the luma of 0.6 megapixels.
const BLOCKS: usize = 10_000;

/// Coefficients that fall off as a photograph's do.
static COEFFICIENTS: LazyLock<Vec<[i32; 64]>> = LazyLock::new(|| {
    let mut state = 5_u32;
    let mut coefficient = |at: usize| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let spread = if at == 0 { 900 } else { 400 / (1 + at / 8 + at % 8).pow(2) as i32 };
        (state >> 8) as i32 % (2 * spread + 1) - spread
    };
    (0..BLOCKS).map(|_| std::array::from_fn(&mut coefficient)).collect()
});

/// Single precision rounds a sample otherwise only where double precision is within a thousandth of the middle.
fn inverse_dcts_agree() {
    fn check<const N: usize>() {
        let blocks = &COEFFICIENTS[..200];
        let difference = farthest(&internals::inverse_dct::<N>(blocks), &plain::inverse_dct::<N>(blocks));
        assert!(difference <= 1, "{N} points differ by {difference}");
    }
    check::<1>();
    check::<2>();
    check::<3>();
    check::<4>();
    check::<5>();
    check::<6>();
    check::<7>();
    check::<8>();
}

#[divan::bench(consts = [1, 2, 3, 4, 5, 6, 7, 8])]
fn inverse_dct<const N: usize>(bencher: Bencher) {
    let blocks = &COEFFICIENTS[..];
    bencher.counter(ItemsCount::new(BLOCKS)).bench(|| internals::inverse_dct::<N>(black_box(blocks)));
}

#[divan::bench(consts = [1, 2, 3, 4, 5, 6, 7, 8], sample_count = 10)]
fn inverse_dct_plain<const N: usize>(bencher: Bencher) {
    let blocks = &COEFFICIENTS[..];
    bencher.counter(ItemsCount::new(BLOCKS)).bench(|| plain::inverse_dct::<N>(black_box(blocks)));
}

// Resampling, 3 megapixels to 600 × 450.

const SMALL: Size = Size::new(600, 450);

const LAYOUTS: [Layout; 3] = [Layout::Gray, Layout::Rgb, Layout::Rgba];

const LIGHTS: [(Light, Layout); 9] = [
    (Light::Gamma, Layout::Gray),
    (Light::Gamma, Layout::Rgb),
    (Light::Gamma, Layout::Rgba),
    (Light::Mixed, Layout::Gray),
    (Light::Mixed, Layout::Rgb),
    (Light::Mixed, Layout::Rgba),
    (Light::Linear, Layout::Gray),
    (Light::Linear, Layout::Rgb),
    (Light::Linear, Layout::Rgba),
];

static FADED: LazyLock<Frame> = LazyLock::new(|| faded(2000, 1500));

fn large(layout: Layout) -> Frame {
    FADED.clone().into_layout(layout)
}

/// Single precision and the table of 16 384 steps back from light move a sample by one at most, where there is a colour to
/// speak of: below an alpha of 16 the division magnifies what rounding there was.
fn resamplers_agree() {
    let frame = faded(200, 150);
    let size = Size::new(61, 47);
    for (light, layout) in LIGHTS {
        let frame = frame.clone().into_layout(layout);
        let scaled = internals::resample(&frame, size, light);
        let exact = reference::scaled(&frame, reference::whole(&frame), size, light);
        let width = layout.channels();
        for (pixel, exact) in scaled.pixels().chunks_exact(width).zip(exact.chunks_exact(width)) {
            if width == 4 && exact[3] < 16.0 {
                continue;
            }
            for (sample, exact) in pixel.iter().zip(exact) {
                let difference = (f64::from(*sample) - exact).abs();
                assert!(difference <= 1.0, "{light:?} {layout:?}: {sample} for {exact}");
            }
        }
    }
}

#[divan::bench(args = LIGHTS, sample_count = 20)]
fn resample(bencher: Bencher, (light, layout): (Light, Layout)) {
    let frame = large(layout);
    bencher.bench(|| internals::resample(black_box(&frame), SMALL, light));
}

#[divan::bench(args = LIGHTS, sample_count = 3)]
fn resample_plain(bencher: Bencher, (light, layout): (Light, Layout)) {
    let frame = large(layout);
    bencher.bench(|| reference::scaled(black_box(&frame), reference::whole(&frame), SMALL, light));
}

/// In stored numbers, as it has them.
#[divan::bench(args = LAYOUTS, sample_count = 20)]
fn resample_fast_image_resize(bencher: Bencher, layout: Layout) {
    let frame = large(layout);
    let pixel_type = match layout {
        Layout::Gray => PixelType::U8,
        Layout::Rgb => PixelType::U8x3,
        Layout::Rgba => PixelType::U8x4,
    };
    let Size { width, height } = frame.size();
    let source = ImageRef::new(width, height, frame.pixels(), pixel_type).expect("as many bytes as it needs");
    let options =
        ResizeOptions::new().resize_alg(ResizeAlg::Convolution(FilterType::Lanczos3)).use_alpha(layout == Layout::Rgba);
    bencher.bench_local(|| {
        let mut target = Image::new(SMALL.width, SMALL.height, pixel_type);
        Resizer::new().resize(black_box(&source), &mut target, &options).expect("one pixel type");
        target
    });
}

// Decoding 12 megapixels, 4:2:0, quality 90.

static PHOTO: LazyLock<Frame> = LazyLock::new(|| photograph(4000, 3000));
static BASELINE: LazyLock<Bytes> = LazyLock::new(|| file(&PHOTO, &settings(OutputFormat::Jpeg)));
static PROGRESSIVE: LazyLock<Bytes> =
    LazyLock::new(|| file(&PHOTO, &encode::Settings { interlace: true, ..settings(OutputFormat::Jpeg) }));

#[divan::bench(args = [1, 2, 4, 8], sample_count = 10)]
fn decode(bencher: Bencher, eighths: u8) {
    bencher.bench(|| internals::decode_planes(black_box(&BASELINE), eighths).expect("a file that is read"));
}

/// To RGB: that is what it is asked for.
#[divan::bench(args = [1, 2, 4, 8], sample_count = 10)]
fn decode_turbojpeg(bencher: Bencher, eighths: u8) {
    bencher.bench(|| turbojpeg(black_box(&BASELINE), eighths));
}

#[divan::bench(sample_count = 10)]
fn decode_progressive(bencher: Bencher) {
    bencher.bench(|| internals::decode_planes(black_box(&PROGRESSIVE), 1).expect("a file that is read"));
}

#[divan::bench(sample_count = 5)]
fn decode_progressive_turbojpeg(bencher: Bencher) {
    bencher.bench(|| turbojpeg(black_box(&PROGRESSIVE), 1));
}

fn turbojpeg(jpeg: &[u8], eighths: u8) -> Frame {
    let header = decode::probe(jpeg).expect("an image");
    decode::still(jpeg, &header, eighths, &Limits::default(), &Cancel::default()).expect("a picture")
}

// Encoding 1200 × 900, 4:2:0, quality 80 by libjpeg's tables.

const QUALITY: u8 = 80;

fn encoders_agree() {
    assert!(internals::baseline(&RESULT, QUALITY) == internals::baseline_by_turbojpeg(&RESULT, QUALITY));
}

#[divan::bench]
fn encode_jpeg(bencher: Bencher) {
    bencher.bench(|| internals::baseline(black_box(&RESULT), QUALITY));
}

#[divan::bench]
fn encode_jpeg_turbojpeg(bencher: Bencher) {
    bencher.bench(|| internals::baseline_by_turbojpeg(black_box(&RESULT), QUALITY));
}

// Operations on frames, at the size of a result: 1200 × 900.

static RESULT: LazyLock<Frame> = LazyLock::new(|| photograph(1200, 900));
static FADED_RESULT: LazyLock<Frame> = LazyLock::new(|| faded(1200, 900));
static MARK: LazyLock<Frame> = LazyLock::new(|| faded(400, 300));

const AT: (i64, i64) = (500, 400);
const DISSOLVE_PERCENT: u8 = 80;
const BLUR: (u32, f32) = (9, 3.0);

/// Turning copies; painting and flattening round as the plain loops do, and blurring in single precision may round otherwise.
fn operations_agree() {
    let (frame, faded, mark) = (photograph(90, 70), faded(90, 70), faded(40, 30));
    for layout in LAYOUTS {
        let frame = faded.clone().into_layout(layout);
        assert_eq!(op::rotate::quarter_turns(frame.clone(), 1), plain::quarter_turn(&frame), "{layout:?}");
    }
    let mut painted = frame.clone();
    op::composite::over(&mut painted, &mark, (30, 20), DISSOLVE_PERCENT);
    let plainly = plain::over(&frame, &mark, (30, 20), DISSOLVE_PERCENT);
    assert!(farthest(painted.pixels(), plainly.pixels()) <= 1, "painting");
    let flat = op::canvas::flatten(faded.clone(), Color::WHITE);
    assert!(farthest(flat.pixels(), plain::flatten(&faded, [255; 3]).pixels()) <= 1, "flattening");
    let blurred = op::blur::blur(frame.clone(), BLUR.0, BLUR.1, &Cancel::default()).expect("nobody cancels");
    assert!(farthest(blurred.pixels(), plain::blur(&frame, BLUR.0, BLUR.1).pixels()) <= 1, "blurring");
}

/// A quarter turn of a plane of luma, and of pixels.
#[divan::bench(args = [Layout::Gray, Layout::Rgb])]
fn turn(bencher: Bencher, layout: Layout) {
    let frame = RESULT.clone().into_layout(layout);
    bencher.with_inputs(|| frame.clone()).bench_values(|frame| op::rotate::quarter_turns(frame, 1));
}

#[divan::bench(args = [Layout::Gray, Layout::Rgb])]
fn turn_plain(bencher: Bencher, layout: Layout) {
    let frame = RESULT.clone().into_layout(layout);
    bencher.bench(|| plain::quarter_turn(black_box(&frame)));
}

/// A mark of 400 × 300.
#[divan::bench]
fn over(bencher: Bencher) {
    let paint = |frame: &mut Frame| op::composite::over(frame, &MARK, AT, DISSOLVE_PERCENT);
    bencher.with_inputs(|| RESULT.clone()).bench_refs(paint);
}

/// The same, with a copy of the frame.
#[divan::bench]
fn over_plain(bencher: Bencher) {
    let (frame, mark) = (&*RESULT, &*MARK);
    bencher.bench(|| plain::over(black_box(frame), mark, AT, DISSOLVE_PERCENT));
}

#[divan::bench]
fn flatten(bencher: Bencher) {
    let flatten = |frame| op::canvas::flatten(frame, Color::WHITE);
    bencher.with_inputs(|| FADED_RESULT.clone()).bench_values(flatten);
}

#[divan::bench]
fn flatten_plain(bencher: Bencher) {
    bencher.bench(|| plain::flatten(black_box(&FADED_RESULT), [255; 3]));
}

#[divan::bench(args = LAYOUTS, sample_count = 20)]
fn blur(bencher: Bencher, layout: Layout) {
    let frame = FADED_RESULT.clone().into_layout(layout);
    bencher
        .with_inputs(|| frame.clone())
        .bench_values(|frame| op::blur::blur(frame, BLUR.0, BLUR.1, &Cancel::default()));
}

/// Of pixels without alpha.
#[divan::bench(sample_count = 5)]
fn blur_plain(bencher: Bencher) {
    bencher.bench(|| plain::blur(black_box(&RESULT), BLUR.0, BLUR.1));
}

fn samples_by_the_crate(file: &[u8]) -> Vec<u8> {
    let mut reader = png::Decoder::new(Cursor::new(file)).read_info().expect("a header");
    let mut samples = vec![0; reader.output_buffer_size().expect("a size")];
    reader.next_frame(&mut samples).expect("pixels");
    samples
}

fn png_readers_agree() {
    for layout in [Layout::Rgb, Layout::Rgba] {
        let png = filtered_png(layout);
        assert!(internals::png_rows(&png) == Some(samples_by_the_crate(&png)), "{layout:?}");
    }
}

/// A PNG whose rows are filtered as suits each of them.
fn filtered_png(layout: Layout) -> Bytes {
    file(&faded(2400, 1600).into_layout(layout), &settings(OutputFormat::Png))
}

#[divan::bench(args = [Layout::Rgb, Layout::Rgba], sample_count = 10)]
fn png_rows(bencher: Bencher, layout: Layout) {
    let png = filtered_png(layout);
    bencher.bench(|| internals::png_rows(black_box(&png)));
}

#[divan::bench(args = [Layout::Rgb, Layout::Rgba], sample_count = 10)]
fn png_rows_by_the_crate(bencher: Bencher, layout: Layout) {
    let png = filtered_png(layout);
    bencher.bench(|| samples_by_the_crate(black_box(&png)));
}

/// A palette of 256 for 800 × 600 and the PNG of it; `png` has no palette to find, but four times the bytes to pack.
#[divan::bench(args = [Layout::Rgb, Layout::Rgba], sample_count = 5)]
fn palette(bencher: Bencher, layout: Layout) {
    let frame = faded(800, 600).into_layout(layout);
    let settings = encode::Settings { colors: Some(256), ..settings(OutputFormat::Png) };
    bencher.bench(|| file(black_box(&frame), &settings));
}

#[divan::bench(args = [Layout::Rgb, Layout::Rgba], sample_count = 10)]
fn png(bencher: Bencher, layout: Layout) {
    let frame = faded(800, 600).into_layout(layout);
    let settings = settings(OutputFormat::Png);
    bencher.bench(|| file(black_box(&frame), &settings));
}
