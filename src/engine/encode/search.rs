//! Searches over the quality: for a score to reach, and for a number of bytes to stay within.

use super::score::Reference;
use super::{Settings, still};
use crate::color::Color;
use crate::engine::image::Frame;
use crate::engine::limits::{Cancel, Limits};
use crate::engine::{Error, decode};
use crate::plan::output::{OutputFormat, Score};

/// Encodings that a search for a score makes at most.
const MAX_ENCODES: u8 = 6;

/// What a search for a score is to reach.
#[derive(Clone, Copy, Debug)]
pub struct Goal {
    /// The score.
    pub score: Score,
    /// Alpha is blended over it to be scored.
    pub background: Color,
    /// The quality that a search in the same picture found before: taken without searching if it has the score, or if
    /// it is 100.
    pub known_quality: Option<u8>,
}

/// What a search found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// The file.
    pub file: Vec<u8>,
    /// Its quality; `None` for formats without one, whose only file it is.
    pub quality: Option<u8>,
}

/// Encodes `frame` at the lowest quality whose file has the score, and at 100 where none has; `settings.quality` is
/// not looked at.
///
/// The qualities tried close in on it from both sides, taking scores to rise with quality. Usually the one below is
/// tried too and lacks the score; after six encodings the lowest that was tried and has it is the answer (in 3 % of the
/// searches that the curves were measured with a lower one had it too).
///
/// # Errors
/// As for [`still`]; [`Error::Cancelled`].
pub fn smallest_at_score(frame: &Frame, settings: &Settings, goal: &Goal, cancel: &Cancel) -> Result<Found, Error> {
    let Some(curve) = Curve::of(settings.format).filter(|_| !settings.lossless) else {
        return Ok(Found { file: still(frame, settings)?, quality: None });
    };
    cancel.check()?;
    let reference = Reference::new(frame, goal.background, settings.format)?;
    let mut bracket = Bracket { curve, goal: goal.score.value(), low: None, high: None, tried: 0 };
    let mut quality = goal.known_quality.unwrap_or_else(|| curve.quality_at(goal.score.value())).clamp(1, 100);
    let mut best = None;
    loop {
        cancel.check()?;
        let file = at_quality(frame, settings, quality)?;
        cancel.check()?;
        let score = reference.score(decoded(&file, frame, cancel)?)?;
        if bracket.narrow(quality, score) {
            best = Some(Found { file, quality: Some(quality) });
        } else if quality == 100 {
            // Nothing reaches it; or, where scores fall with rising quality, something below did.
            return Ok(best.unwrap_or(Found { file, quality: Some(quality) }));
        }
        let is_known = goal.known_quality == Some(quality);
        best = match (best, bracket.next()) {
            (Some(best), _) if is_known => return Ok(best),
            (Some(best), None) => return Ok(best),
            (best, next) => {
                quality = next.unwrap_or(100);
                best
            }
        };
    }
}

/// Whether files of this format have a quality to search for.
pub fn has_quality(format: OutputFormat) -> bool {
    Curve::of(format).is_some()
}

/// A quality that usually has about this score, for what is encoded without a search; 100 for formats without one.
pub fn usual_quality(format: OutputFormat, score: Score) -> u8 {
    Curve::of(format).map_or(100, |curve| curve.quality_at(score.value()))
}

/// Encodes `frame` at the highest quality below `settings.quality` whose file has at most `max_bytes`, found by
/// bisection; at quality 1 where none has.
///
/// # Errors
/// As for [`still`]; [`Error::Cancelled`].
pub fn smallest_within(frame: &Frame, settings: &Settings, max_bytes: u64, cancel: &Cancel) -> Result<Vec<u8>, Error> {
    let (mut low, mut high) = (1, settings.quality.saturating_sub(1).max(1));
    cancel.check()?;
    let mut best = at_quality(frame, settings, low)?;
    while low < high {
        cancel.check()?;
        let middle = low + (high - low).div_ceil(2);
        let candidate = at_quality(frame, settings, middle)?;
        if candidate.len() as u64 <= max_bytes {
            best = candidate;
            low = middle;
        } else {
            high = middle - 1;
        }
    }
    Ok(best)
}

fn at_quality(frame: &Frame, settings: &Settings, quality: u8) -> Result<Vec<u8>, Error> {
    still(frame, &Settings { quality, ..settings.clone() })
}

/// A file that was just written: exactly as large as its frame, which no limit of the server's refuses.
fn decoded(file: &[u8], frame: &Frame, cancel: &Cancel) -> Result<Frame, Error> {
    let size = frame.size();
    let limits = Limits { source_edge: size.long(), source_pixels: size.area(), ..Limits::default() };
    decode::still(file, &decode::probe(file)?, 8, &limits, cancel)
}

/// The scores that photographs usually have in a format: pairs of quality and score, both rising.
#[derive(Clone, Copy)]
struct Curve(&'static [(u8, f64)]);

/// Medians of seven photographs, 800 and 320 pixels wide; the step at 95 is where colour gets its full resolution. With
/// these, searches for 30 to 95 in the same photographs made 3.4 encodings in the mean.
const JPEG: Curve = Curve(&[
    (1, -63.0),
    (5, -47.0),
    (10, -1.0),
    (20, 40.0),
    (30, 53.0),
    (50, 66.0),
    (70, 73.0),
    (80, 79.0),
    (90, 85.0),
    (94, 88.0),
    (95, 92.0),
    (100, 96.0),
]);
const WEBP: Curve = Curve(&[
    (1, 9.0),
    (10, 37.0),
    (20, 48.0),
    (40, 61.0),
    (60, 67.0),
    (75, 73.0),
    (85, 80.0),
    (90, 83.0),
    (95, 87.0),
    (100, 89.0),
]);

impl Curve {
    /// The curve for a lossy format; `None` for the others, whose files are all alike.
    fn of(format: OutputFormat) -> Option<Self> {
        match format {
            // AVIF's quality is set by where it scores as JPEG does.
            OutputFormat::Jpeg | OutputFormat::Avif => Some(JPEG),
            OutputFormat::Webp if cfg!(feature = "native") => Some(WEBP),
            OutputFormat::Webp | OutputFormat::Png | OutputFormat::Gif | OutputFormat::Bmp | OutputFormat::Tiff => None,
        }
    }

    fn score_at(self, quality: u8) -> f64 {
        let above = self.0.partition_point(|(known, _)| *known < quality).clamp(1, self.0.len() - 1);
        line(self.0[above - 1], self.0[above], quality)
    }

    fn quality_at(self, score: f64) -> u8 {
        (1..100).find(|quality| self.score_at(*quality) >= score).unwrap_or(100)
    }
}

/// The value at `quality` on the line through two points.
fn line(left: (u8, f64), right: (u8, f64), quality: u8) -> f64 {
    let (from, to) = (f64::from(left.0), f64::from(right.0));
    left.1 + (right.1 - left.1) * (f64::from(quality) - from) / (to - from)
}

/// What a search for a score knows: the highest quality found to lack it and the lowest found to have it, each with
/// how far its score lies above the curve.
struct Bracket {
    curve: Curve,
    goal: f64,
    low: Option<(u8, f64)>,
    high: Option<(u8, f64)>,
    tried: u8,
}

impl Bracket {
    /// Takes in a quality's score; whether it has the goal.
    fn narrow(&mut self, quality: u8, score: f64) -> bool {
        self.tried += 1;
        let side = if score >= self.goal { &mut self.high } else { &mut self.low };
        *side = Some((quality, score - self.curve.score_at(quality)));
        score >= self.goal
    }

    /// The quality to try next, between the two sides; `None` when there is no more to find out.
    fn next(&self) -> Option<u8> {
        let above = self.low.map_or(1, |(quality, _)| quality + 1);
        let below = self.high.map_or(100, |(quality, _)| quality - 1);
        if above > below || self.tried == MAX_ENCODES {
            return None;
        }
        if self.high.is_none() && self.tried == MAX_ENCODES - 1 {
            return Some(100);
        }
        let reaches = |quality: &u8| self.curve.score_at(*quality) + self.offset(*quality) >= self.goal;
        Some((above..below).find(reaches).unwrap_or(below))
    }

    /// How far the score at `quality` is expected to lie above the curve.
    fn offset(&self, quality: u8) -> f64 {
        match (self.low, self.high) {
            (Some(low), Some(high)) => line(low, high, quality),
            (Some((_, offset)), None) | (None, Some((_, offset))) => offset,
            (None, None) => 0.0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::decode::tests::settings;
    use crate::engine::image::Layout;
    use crate::geometry::Size;

    /// Something like a photograph: soft light, shapes with edges, and grain.
    fn photo(layout: Layout, width: u32, height: u32) -> Frame {
        let mut grain = 1_u32;
        let mut pixels = Vec::new();
        for (y, x) in (0..height).flat_map(|y| (0..width).map(move |x| (y, x))) {
            grain = grain.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let (u, v) = (x as f32 / width as f32, y as f32 / height as f32);
            let light = 110.0 + 70.0 * (5.0 * u + 2.0 * v).sin() * (4.0 * v).cos();
            let leaf = if (31.0 * u + 9.0 * (11.0 * v).sin()).sin() > 0.4 { 45.0 } else { 0.0 };
            let noise = (grain >> 24) as f32 / 16.0 - 8.0;
            let [r, g, b] = [light + noise, light * 0.8 + leaf + noise, 230.0 - light - leaf / 2.0 + noise]
                .map(|value| value.clamp(0.0, 255.0) as u8);
            match layout {
                Layout::Gray => pixels.push(g),
                Layout::Rgb => pixels.extend([r, g, b]),
                Layout::Rgba => pixels.extend([r, g, b, if u < 0.3 { (v * 255.0) as u8 } else { 255 }]),
            }
        }
        Frame::new(Size::new(width, height), layout, pixels).expect("the picture has its size")
    }

    /// The formats with a quality that are fast enough for many searches.
    fn lossy() -> impl Iterator<Item = OutputFormat> {
        [OutputFormat::Jpeg, OutputFormat::Webp].into_iter().filter(|format| has_quality(*format))
    }

    fn goal(score: u16) -> Goal {
        let score = Score::from_tenths(score * 10).expect("a score in range");
        Goal { score, background: Color::WHITE, known_quality: None }
    }

    fn search(frame: &Frame, format: OutputFormat, goal: &Goal) -> Found {
        smallest_at_score(frame, &settings(format), goal, &Cancel::default()).expect("an encodable picture")
    }

    fn score(frame: &Frame, file: &[u8]) -> f64 {
        let reference = Reference::new(frame, Color::WHITE, OutputFormat::Jpeg).expect("a picture");
        reference.score(decoded(file, frame, &Cancel::default()).expect("our own file")).expect("the same size")
    }

    /// Reached, in files that grow with the score, and not by the quality below: in all of the 35 searches but two at
    /// most, which end with the number of encodings and miss the lowest quality by no more than two.
    #[test]
    fn the_lowest_quality_with_the_score_is_found() {
        use Layout::{Gray, Rgb, Rgba};
        use OutputFormat::{Jpeg, Webp};
        let mut inexact = Vec::new();
        let rows = [(Jpeg, Rgb), (Jpeg, Gray), (Webp, Rgb), (Webp, Gray), (Webp, Rgba)];
        for (format, layout) in rows.into_iter().filter(|(format, _)| has_quality(*format)) {
            let frame = photo(layout, 200, 150);
            let mut bytes = 0;
            for wanted in [30, 45, 60, 70, 75, 80, 85] {
                let found = search(&frame, format, &goal(wanted));
                let quality = found.quality.expect("a lossy format");
                let case = format!("{format:?} {layout:?} {wanted}: {quality}");
                assert!(quality < 100 && score(&frame, &found.file) >= f64::from(wanted), "{case}");
                assert!(found.file.len() >= bytes, "{case}: {} bytes after {bytes}", found.file.len());
                bytes = found.file.len();
                let has_it = |quality| {
                    let file = at_quality(&frame, &settings(format), quality).expect("encodable");
                    score(&frame, &file) >= f64::from(wanted)
                };
                if quality > 1 && has_it(quality - 1) {
                    assert!(quality > 3 && !has_it(quality - 3), "{case}");
                    inexact.push(case);
                }
            }
        }
        assert!(inexact.len() <= 2, "{inexact:?}");
    }

    #[test]
    fn what_was_found_before_gives_the_same_file() {
        for format in lossy() {
            let frame = photo(Layout::Rgb, 120, 90);
            for wanted in [40, 75, 88, 100] {
                let found = search(&frame, format, &goal(wanted));
                assert_eq!(search(&frame, format, &goal(wanted)), found, "again");
                let known = Goal { known_quality: found.quality, ..goal(wanted) };
                assert_eq!(search(&frame, format, &known), found, "{format:?} {wanted}");
                // One that was found in another picture is only where the search begins if it lacks the score.
                let wrong = Goal { known_quality: Some(1), ..goal(wanted) };
                assert!(
                    score(&frame, &search(&frame, format, &wrong).file)
                        >= score(&frame, &found.file).min(wanted.into())
                );
            }
        }
    }

    #[test]
    fn out_of_reach_means_quality_100() {
        let frame = photo(Layout::Rgb, 120, 90);
        for format in lossy() {
            let found = search(&frame, format, &goal(100));
            let best = at_quality(&frame, &settings(format), 100).expect("encodable");
            assert_eq!(found, Found { file: best, quality: Some(100) }, "{format:?}");
        }
    }

    #[test]
    fn formats_without_a_quality_ignore_the_score() {
        use OutputFormat::{Bmp, Gif, Png, Tiff, Webp};
        let frame = photo(Layout::Rgb, 40, 30);
        for settings in
            [Png, Gif, Bmp, Tiff].map(settings).into_iter().chain([Settings { lossless: true, ..settings(Webp) }])
        {
            let found = smallest_at_score(&frame, &settings, &goal(80), &Cancel::default()).expect("encodable");
            let only = still(&frame, &settings).expect("encodable");
            assert_eq!(found, Found { file: only, quality: None }, "{:?}", settings.format);
        }
    }

    /// Icons, lines, and flat colours, where every quality is equally good.
    #[test]
    fn odd_pictures_end_the_search_too() {
        for (width, height) in [(1, 1), (3, 40), (7, 7), (500, 1)] {
            for format in lossy() {
                let found = search(&photo(Layout::Rgb, width, height), format, &goal(80));
                assert!(found.quality.is_some(), "{width}×{height}");
            }
        }
        let flat = Frame::filled(Size::new(64, 64), Layout::Rgb, [128, 128, 128, 255]);
        assert!(search(&flat, OutputFormat::Jpeg, &goal(90)).quality < Some(40), "gray costs nothing");
    }

    #[test]
    fn nobody_waits_for_a_cancelled_search() {
        let cancel = Cancel::default();
        cancel.cancel();
        let (frame, settings) = (photo(Layout::Rgb, 20, 20), settings(OutputFormat::Jpeg));
        assert_eq!(smallest_at_score(&frame, &settings, &goal(80), &cancel), Err(Error::Cancelled));
        assert_eq!(smallest_within(&frame, &settings, 1, &cancel), Err(Error::Cancelled));
    }

    #[test]
    fn as_good_as_the_bytes_allow() {
        let frame = photo(Layout::Rgb, 200, 150);
        let settings = settings(OutputFormat::Jpeg);
        let length = |quality| at_quality(&frame, &settings, quality).expect("encodable").len() as u64;
        for quality in [2, 30, 89] {
            let file = smallest_within(&frame, &settings, length(quality), &Cancel::default()).expect("encodable");
            assert_eq!(file.len() as u64, length(quality), "{quality}");
        }
        let least = smallest_within(&frame, &settings, 1, &Cancel::default()).expect("encodable");
        assert_eq!(least.len() as u64, length(1), "nothing fits");
    }
}
