//! What a program is said to take is what it takes.
//!
//! Allocations of this thread are counted by standing in for the C library's `malloc`, which Rust's own go through too, so
//! that the codecs in C are seen. The GNU C library only.

use std::cell::Cell;

use bytes::Bytes;
use mogr::engine::limits::{Cancel, Limits};
use mogr::engine::program::Rendering;
use mogr::engine::shared::{self, Task};
use mogr::engine::{decode, resolve, run};
use mogr::plan::Plan;
use mogr::plan::output::OutputFormat;

use crate::cards;
use crate::server::photos;

thread_local! {
    static HELD: Cell<i64> = const { Cell::new(0) };
    static PEAK: Cell<i64> = const { Cell::new(0) };
}

fn count(bytes: i64) {
    let _gone_at_the_end_of_a_thread = HELD.try_with(|held| {
        held.set(held.get() + bytes);
        let _likewise = PEAK.try_with(|peak| peak.set(peak.get().max(held.get())));
    });
}

unsafe extern "C" {
    fn __libc_malloc(size: usize) -> *mut u8;
    fn __libc_calloc(count: usize, size: usize) -> *mut u8;
    fn __libc_realloc(start: *mut u8, size: usize) -> *mut u8;
    fn __libc_memalign(alignment: usize, size: usize) -> *mut u8;
    fn __libc_free(start: *mut u8);
    fn malloc_usable_size(start: *mut u8) -> usize;
}

fn size_of(start: *mut u8) -> i64 {
    // SAFETY: every caller passes what the C library's allocator gave, or null, for which it answers 0.
    unsafe { malloc_usable_size(start) as i64 }
}

fn counted(start: *mut u8) -> *mut u8 {
    count(size_of(start));
    start
}

// Each does what its namesake does, by the C library's own functions.

#[unsafe(no_mangle)]
extern "C" fn malloc(size: usize) -> *mut u8 {
    // SAFETY: any size is allowed.
    counted(unsafe { __libc_malloc(size) })
}

#[unsafe(no_mangle)]
extern "C" fn calloc(count: usize, size: usize) -> *mut u8 {
    // SAFETY: any numbers are allowed; an overflow answers null.
    counted(unsafe { __libc_calloc(count, size) })
}

#[unsafe(no_mangle)]
unsafe extern "C" fn realloc(start: *mut u8, size: usize) -> *mut u8 {
    let before = size_of(start);
    // SAFETY: the caller keeps realloc's contract, which is this function's too.
    let after = unsafe { __libc_realloc(start, size) };
    if !after.is_null() || size == 0 {
        count(size_of(after) - before);
    }
    after
}

#[unsafe(no_mangle)]
extern "C" fn memalign(alignment: usize, size: usize) -> *mut u8 {
    // SAFETY: any size is allowed; a wrong alignment answers null.
    counted(unsafe { __libc_memalign(alignment, size) })
}

#[unsafe(no_mangle)]
extern "C" fn aligned_alloc(alignment: usize, size: usize) -> *mut u8 {
    memalign(alignment, size)
}

#[unsafe(no_mangle)]
unsafe extern "C" fn posix_memalign(start: *mut *mut u8, alignment: usize, size: usize) -> i32 {
    const ENOMEM: i32 = 12;
    let memory = memalign(alignment, size);
    if memory.is_null() {
        return ENOMEM;
    }
    // SAFETY: the caller passes a place for the pointer.
    unsafe { *start = memory };
    0
}

#[unsafe(no_mangle)]
unsafe extern "C" fn free(start: *mut u8) {
    count(-size_of(start));
    // SAFETY: the caller keeps free's contract, which is this function's too.
    unsafe { __libc_free(start) };
}

/// Peak of a render over what was there before, and what was predicted, both without the source's bytes.
fn measured(source: &Bytes, fops: &str) -> (u64, u64) {
    let limits = Limits::default();
    let header = decode::probe(source).expect("a picture");
    let plan = Plan::parse(fops).expect("a pipeline");
    let program = resolve::resolve(&plan, &header, &[], &limits, Rendering::default()).expect("a program");
    let render = || run::run(&program, source, &[], &limits, &Cancel::default(), &mut |_| {}).expect("a result");
    // Tables that are made once are nobody's.
    drop(render());
    let before = HELD.get();
    PEAK.set(before);
    drop(render());
    ((PEAK.get() - before).max(0) as u64, program.cost.memory_bytes - program.source.bytes)
}

/// A picture that compresses as photographs do.
fn photograph(width: u32, height: u32) -> image::RgbImage {
    let file = std::fs::read(photos().join("lake.jpg")).expect("an example");
    let header = decode::probe(&file).expect("a picture");
    let lake = decode::still(&file, &header, 8, &Limits::default(), &Cancel::default()).expect("a picture");
    let (columns, rows) = (lake.size().width, lake.size().height);
    let lake = image::RgbImage::from_raw(columns, rows, lake.into_pixels()).expect("three bytes a pixel");
    image::imageops::resize(&lake, width, height, image::imageops::FilterType::Triangle)
}

/// A photograph with 16 bits a sample, the lower ones as noisy as those of a sensor.
fn deep_photograph(width: u32, height: u32) -> image::DynamicImage {
    let mut deep = image::DynamicImage::ImageRgb8(photograph(width, height)).into_rgb16();
    for (at, sample) in (0_u32..).zip(deep.as_flat_samples_mut().samples.iter_mut()) {
        *sample ^= (at.wrapping_mul(2_654_435_761) >> 24) as u16;
    }
    image::DynamicImage::ImageRgb16(deep)
}

#[test]
fn predictions_are_within_a_quarter() {
    let jpeg = Bytes::from(cards::jpeg(&photograph(3000, 2000), 88));
    let even = Bytes::from(cards::jpeg(&photograph(2992, 2000), 88));
    let png = Bytes::from(cards::png(photograph(1600, 1200)));
    let deep = deep_photograph(1600, 1200);
    let deep_tiff = Bytes::from(cards::encoded(deep.clone(), image::ImageFormat::Tiff));
    let deep_png = Bytes::from(cards::png(deep));
    for (source, fops) in [
        (&jpeg, "imageView2/2/w/320"),
        (&jpeg, "imageView2/2/w/1200"),
        (&jpeg, "imageView2/2/w/1201"),
        (&jpeg, "imageView2/2/w/1200/format/webp"),
        (&jpeg, "imageView2/2/w/1200/format/png"),
        (&jpeg, "imageView2/2/w/1200/q/96!"),
        (&jpeg, "imageView2/2/w/1200|watermark/2/text/bW9ncg==/fontsize/800"),
        (&jpeg, "imageMogr2/quality/80"),
        (&even, "imageMogr2/quality/100"),
        (&even, "imageMogr2/rotate/90/quality/100"),
        (&even, "imageMogr2/rotate/90/quality/100/interlace/1"),
        (&jpeg, "imageMogr2/rotate/90/thumbnail/1400x"),
        (&jpeg, "imageMogr2/crop/1000x1000/thumbnail/600x/blur/3x2"),
        (&jpeg, "imageMogr2/thumbnail/900x/rotate/12"),
        (&jpeg, "size/fit/w/900|filter/median/2"),
        (&jpeg, "size/fit/w/900|filter/unsharp/1x1x0.05"),
        (&jpeg, "size/fit/w/900|palette/16"),
        (&jpeg, "imageView2/2/w/700/format/gif"),
        (&png, "imageView2/2/w/800"),
        (&png, "imageView2/2/w/800/format/webp"),
        (&png, "imageView2/2/w/800/format/jpg"),
        (&deep_png, "imageView2/2/w/800"),
        (&deep_png, "imageMogr2/crop/1200x1000/rotate/90"),
        (&deep_png, "imageView2/2/w/800/format/jpg"),
        (&deep_png, "imageView2/2/w/800/format/tiff"),
        (&deep_png, "imageMogr2/crop/1200x1000/format/tiff"),
        (&deep_tiff, "imageView2/2/w/800"),
    ] {
        let (peak, predicted) = measured(source, fops);
        let ratio = predicted as f64 / peak as f64;
        assert!((0.75..=1.25).contains(&ratio), "{fops}: {predicted} bytes predicted, {peak} taken");
    }
}

/// A set takes no more than is said of it, and shares: less than its outputs take together.
#[test]
fn sets_keep_to_what_they_may_take() {
    let jpeg = Bytes::from(cards::jpeg(&photograph(3000, 2000), 88));
    let png = Bytes::from(cards::png(photograph(1600, 1200)));
    let limits = Limits::default();
    for (source, allowed) in [(&jpeg, 1 << 30), (&jpeg, 24 << 20), (&png, 1 << 30)] {
        let header = decode::probe(source).expect("a picture");
        let program = |width: u32| {
            let plan = Plan::parse(&format!("imageView2/2/w/{width}/format/jpg")).expect("a pipeline");
            resolve::resolve(&plan, &header, &[], &limits, Rendering::default()).expect("a program")
        };
        let programs: Vec<_> = (1..=8).map(|index| program(150 * index)).collect();
        let tasks: Vec<_> = programs.iter().map(|program| Task { program, pictures: &[] }).collect();
        let render = || {
            shared::run_all(&tasks, source, &limits, allowed, &Cancel::default(), &mut |_, output| {
                drop(output.expect("a result"));
            });
        };
        // Tables that are made once are nobody's.
        render();
        let before = HELD.get();
        PEAK.set(before);
        render();
        let peak = (PEAK.get() - before).max(0) as u64 + source.len() as u64;
        let predicted = shared::memory_bytes(&tasks, allowed);
        assert!(predicted <= allowed, "{predicted} bytes predicted, {allowed} allowed");
        assert!(peak <= predicted, "{predicted} bytes predicted, {peak} taken");
        assert!(predicted < peak * 5 / 2, "{predicted} bytes predicted, {peak} taken");
    }
}

/// As the limits allow it: a thumbnail takes the memory of some rows.
#[test]
fn a_hundred_megapixels_become_a_thumbnail_in_little_memory() {
    let source = Bytes::from(cards::tall_jpeg(10_000, 10_000));
    for fops in ["imageView2/2/w/320", "imageView2/1/w/320/h/320/format/webp", "imageMogr2/auto-orient/thumbnail/320x"]
    {
        let (peak, predicted) = measured(&source, fops);
        assert!(peak < 40 << 20 && predicted < 40 << 20, "{fops}: {predicted} bytes predicted, {peak} taken");
    }
}

/// Shapes that would make a row take part in thousands of others: what is held stays that of the result and its encoder.
#[test]
fn slivers_take_no_more_than_their_results() {
    let wide = photograph(30_000, 2);
    let tall = photograph(2, 30_000);
    for source in [cards::jpeg(&wide, 88), cards::png(wide), cards::jpeg(&tall, 88), cards::png(tall)] {
        for fops in [
            "imageMogr2/thumbnail/1000x9999!/format/jpg",
            "imageMogr2/thumbnail/9999x1000!/format/jpg",
            "imageMogr2/crop/2x2/thumbnail/1000x9999!/format/jpg",
            "imageMogr2/thumbnail/9999x1000!/rotate/90/format/jpg",
        ] {
            let (peak, predicted) = measured(&Bytes::from(source.clone()), fops);
            // Ten megapixels: the frame, the coefficients, the file; and what the library keeps between its two passes.
            assert!(peak < 160 << 20, "{fops}: {peak} bytes");
            assert!(predicted < 200 << 20 && predicted * 5 / 4 > peak, "{fops}: {predicted} predicted, {peak} taken");
        }
    }
}

/// Ten times the frames take no more memory, but for the file that is written.
#[test]
fn animations_take_the_memory_of_a_few_frames() {
    for format in [OutputFormat::Gif, OutputFormat::Webp] {
        let peak = |frames| {
            let source = Bytes::from(cards::animation(160, 120, frames, format));
            measured(&source, "imageView2/2/w/80").0
        };
        let (few, many) = (peak(12), peak(120));
        assert!(many < few * 3 / 2, "{format:?}: {few} bytes for 12 frames, {many} for 120");
    }
}
