//! Pixels of other colour spaces to sRGB, by ICC profiles (moxcms) or by plain formulas.

use moxcms::{
    CicpColorPrimaries, CicpProfile, ColorProfile, DataColorSpace, Layout as Channels, MatrixCoefficients,
    RenderingIntent, Transform8BitExecutor, Transform16BitExecutor, TransformExecutor, TransformOptions,
};
use std::sync::Arc;

use super::Error;
use super::image::{Deep, Frame, Layout};
use super::limits::Cancel;

/// Pixels that are converted at once: the scratch memory stays small.
const BATCH_PIXELS: usize = 4096;

/// Converts `frame` in place from the colours of the profile `icc` to sRGB, relative colorimetric; alpha stays.
///
/// A profile that is broken, or is not for this layout, is ignored: the numbers then mean sRGB, as they do for whoever
/// cannot read profiles.
///
/// # Errors
/// [`Error::Cancelled`].
pub fn to_srgb(frame: &mut Frame, icc: &[u8], cancel: &Cancel) -> Result<(), Error> {
    let width = frame.layout().channels();
    let Some(transform) = conversion(icc, frame.layout()) else { return Ok(()) };
    let mut converted = vec![0; BATCH_PIXELS * width];
    for batch in frame.pixels_mut().chunks_mut(BATCH_PIXELS * width) {
        cancel.check()?;
        let target = &mut converted[..batch.len()];
        if transform.transform(batch, target).is_ok() {
            copy_color(batch, target, width);
        }
    }
    Ok(())
}

/// The transform from `icc` to sRGB for pixels of `layout`; `None` where the profile cannot serve or means sRGB anyway.
fn conversion(icc: &[u8], layout: Layout) -> Option<Arc<Transform8BitExecutor>> {
    let channels = channels(layout);
    transform(icc, channels, channels).filter(|transform| !leaves_colors(&**transform, layout.channels()))
}

/// Whether nothing is converted but for rounding, as by the many profiles that say sRGB: over colours in steps of 17, the
/// same for each channel and apart.
fn leaves_colors(transform: &dyn TransformExecutor<u8>, width: usize) -> bool {
    let codes = || (0..=255).step_by(17);
    let colors: Vec<u8> = match width {
        1 => codes().collect(),
        _ => codes()
            .flat_map(|r| codes().flat_map(move |g| codes().map(move |b| [r, g, b, 255])))
            .flat_map(|color| color.into_iter().take(width))
            .collect(),
    };
    let mut converted = vec![0; colors.len()];
    let is_done = transform.transform(&colors, &mut converted).is_ok();
    is_done && colors.iter().zip(&converted).all(|(color, converted)| color.abs_diff(*converted) <= 1)
}

/// [`to_srgb`] with all 16 bits.
///
/// # Errors
/// [`Error::Cancelled`].
pub fn deep_to_srgb(frame: &mut Frame<Deep>, icc: &[u8], cancel: &Cancel) -> Result<(), Error> {
    if conversion(icc, frame.layout()).is_none() {
        return Ok(());
    }
    let Some(transform) = deep_transform(icc, channels(frame.layout())) else { return Ok(()) };
    let width = frame.layout().channels();
    let mut numbers = Vec::with_capacity(BATCH_PIXELS * width);
    let mut converted = vec![0; BATCH_PIXELS * width];
    for batch in frame.pixels_mut().chunks_mut(BATCH_PIXELS * width) {
        cancel.check()?;
        numbers.clear();
        numbers.extend(batch.iter().map(|sample| u16::from_be_bytes(*sample)));
        let target = &mut converted[..batch.len()];
        if transform.transform(&numbers, target).is_ok() {
            let target: Vec<Deep> = target.iter().map(|number| number.to_be_bytes()).collect();
            copy_color(batch, &target, width);
        }
    }
    Ok(())
}

const fn channels(layout: Layout) -> Channels {
    match layout {
        Layout::Gray => Channels::Gray,
        Layout::Rgb => Channels::Rgb,
        Layout::Rgba => Channels::Rgba,
    }
}

/// Converts CMYK (0 is no ink) to sRGB, three bytes a pixel: by `icc` where it is a readable CMYK profile, else by
/// `R = (255 − C)(255 − K) / 255`.
pub(super) fn cmyk_to_srgb(cmyk: &[u8], icc: Option<&[u8]>, cancel: &Cancel) -> Result<Vec<u8>, Error> {
    let mut rgb = vec![0; cmyk.len() / 4 * 3];
    let transform = icc.and_then(|icc| transform(icc, Channels::Rgba, Channels::Rgb));
    for (source, target) in cmyk.chunks(4 * BATCH_PIXELS).zip(rgb.chunks_mut(3 * BATCH_PIXELS)) {
        cancel.check()?;
        let converted = transform.as_ref().is_some_and(|transform| transform.transform(source, target).is_ok());
        if !converted {
            cmyk_by_formula(source, target);
        }
    }
    Ok(rgb)
}

fn cmyk_by_formula(cmyk: &[u8], rgb: &mut [u8]) {
    for (ink, color) in cmyk.chunks_exact(4).zip(rgb.chunks_exact_mut(3)) {
        let light = 255 - u16::from(ink[3]);
        for (ink, color) in ink.iter().zip(color) {
            *color = (((255 - u16::from(*ink)) * light + 127) / 255) as u8;
        }
    }
}

/// The profile of pixels whose primaries and transfer curve are named by the codes of H.273, as video does; `None` for
/// sRGB, for what reads like it, and for codes without a meaning.
///
/// The curves of BT.709 and BT.2020 are read as sRGB's, as browsers do; so are those of HDR (PQ, HLG), which no profile
/// of 8 bits could show.
#[cfg_attr(not(feature = "avif"), allow(dead_code, reason = "only AVIF has such codes"))]
pub(super) fn profile_of_cicp(primaries: u16, transfer: u16) -> Option<Vec<u8>> {
    use moxcms::TransferCharacteristics as Curve;
    let color_primaries = CicpColorPrimaries::try_from(u8::try_from(primaries).ok()?).ok()?;
    let curve = match Curve::try_from(u8::try_from(transfer).ok()?).ok()? {
        known @ (Curve::Linear | Curve::Bt470M | Curve::Bt470Bg) => known,
        _ => Curve::Srgb,
    };
    let color_primaries = match color_primaries {
        CicpColorPrimaries::Unspecified | CicpColorPrimaries::Reserved => CicpColorPrimaries::Bt709,
        known => known,
    };
    if color_primaries == CicpColorPrimaries::Bt709 && curve == Curve::Srgb {
        return None;
    }
    let mut profile = ColorProfile::new_from_cicp(CicpProfile {
        color_primaries,
        transfer_characteristics: curve,
        matrix_coefficients: MatrixCoefficients::Identity,
        full_range: true,
    });
    profile.red_trc.as_ref()?;
    // The curves above are not always those of the file: the profile says what is meant by itself.
    profile.cicp = None;
    profile.encode().ok()
}

/// The transform from `icc` to sRGB; `None` where the profile cannot serve.
fn transform(icc: &[u8], from: Channels, to: Channels) -> Option<Arc<Transform8BitExecutor>> {
    to_srgb_by(icc, from, to, |profile, target, options| profile.create_transform_8bit(from, target, to, options).ok())
}

/// [`transform`] for 16 bits; the library's whole numbers have 13.
fn deep_transform(icc: &[u8], channels: Channels) -> Option<Arc<Transform16BitExecutor>> {
    to_srgb_by(icc, channels, channels, |profile, target, options| {
        let options = TransformOptions { prefer_fixed_point: false, ..options };
        profile.create_transform_16bit(channels, target, channels, options).ok()
    })
}

/// What `create` makes of the profiles of `icc` and of sRGB.
///
/// Four source channels that become three are CMYK. A profile without a colorimetric table is used with the perceptual
/// one, as colour management systems do.
fn to_srgb_by<T>(
    icc: &[u8],
    from: Channels,
    to: Channels,
    create: impl Fn(&ColorProfile, &ColorProfile, TransformOptions) -> Option<T>,
) -> Option<T> {
    let profile = ColorProfile::new_from_slice(icc).ok()?;
    let expected = match (from, to) {
        (Channels::Gray, _) => DataColorSpace::Gray,
        (Channels::Rgba, Channels::Rgb) => DataColorSpace::Cmyk,
        _ => DataColorSpace::Rgb,
    };
    if profile.color_space != expected {
        return None;
    }
    let target = if to == Channels::Gray { gray_target() } else { ColorProfile::new_srgb() };
    [RenderingIntent::RelativeColorimetric, RenderingIntent::Perceptual].into_iter().find_map(|rendering_intent| {
        let options = TransformOptions { rendering_intent, ..TransformOptions::default() };
        create(&profile, &target, options)
    })
}

/// Gray with sRGB's tone curve.
fn gray_target() -> ColorProfile {
    let srgb = ColorProfile::new_srgb();
    let mut gray = ColorProfile::new_gray_with_gamma(2.2);
    gray.gray_trc = srgb.green_trc;
    gray
}

/// Copies the colour channels, not alpha.
fn copy_color<S: Copy>(pixels: &mut [S], converted: &[S], width: usize) {
    if width < 4 {
        pixels.copy_from_slice(converted);
        return;
    }
    for (pixel, converted) in pixels.chunks_exact_mut(4).zip(converted.chunks_exact(4)) {
        pixel[..3].copy_from_slice(&converted[..3]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::limits::tests::looks_of;
    use crate::geometry::Size;

    fn of(layout: Layout, pixel: &[u8]) -> Frame {
        // More pixels than one batch.
        let pixels = pixel.repeat(BATCH_PIXELS + 10);
        Frame::new(Size::new(BATCH_PIXELS as u32 + 10, 1), layout, pixels).expect("a row")
    }

    #[test]
    fn display_p3_becomes_srgb() {
        let icc = ColorProfile::new_display_p3().encode().expect("a built-in profile");
        // Grays stay, colours move by the two matrices and sRGB's curve, and what lies outside sRGB is clipped.
        for (p3, srgb) in
            [([128, 128, 128], [128, 128, 128]), ([200, 100, 50], [215, 93, 31]), ([0, 255, 0], [0, 255, 0])]
        {
            for layout in [Layout::Rgb, Layout::Rgba] {
                let pixel = [p3[0], p3[1], p3[2], 77];
                let mut frame = of(layout, &pixel[..layout.channels()]);
                to_srgb(&mut frame, &icc, &Cancel::default()).expect("nothing stops it");
                for x in [0, BATCH_PIXELS as u32 + 9] {
                    let [r, g, b, a] = frame.rgba_at(x, 0);
                    let far = [r, g, b].into_iter().zip(srgb).any(|(value, expected)| value.abs_diff(expected) > 2);
                    assert!(!far, "{p3:?} became {:?}", [r, g, b]);
                    assert_eq!(a, if layout == Layout::Rgba { 77 } else { 255 });
                }
            }
        }
    }

    #[test]
    fn srgb_stays_as_it_is() {
        let icc = ColorProfile::new_srgb().encode().expect("a built-in profile");
        let pixels: Vec<u8> = (0..=255).flat_map(|code| [code, 255 - code, code / 2]).collect();
        let mut frame = Frame::new(Size::new(256, 1), Layout::Rgb, pixels.clone()).expect("a row");
        to_srgb(&mut frame, &icc, &Cancel::default()).expect("nobody cancels");
        assert_eq!(frame.pixels(), pixels);

        let deep: Vec<Deep> =
            (0..=255).flat_map(|code: u16| [code * 257, 65_535 - code, code]).map(u16::to_be_bytes).collect();
        let mut frame = Frame::of(Size::new(256, 1), Layout::Rgb, deep.clone()).expect("a row");
        deep_to_srgb(&mut frame, &icc, &Cancel::default()).expect("nobody cancels");
        assert_eq!(frame.pixels(), deep);
    }

    #[test]
    fn gray_takes_srgbs_curve() {
        let icc = ColorProfile::new_gray_with_gamma(1.0).encode().expect("a built-in profile");
        let mut frame = of(Layout::Gray, &[128]);
        to_srgb(&mut frame, &icc, &Cancel::default()).expect("nothing stops it");
        // Half the light is 188 in sRGB.
        assert!(frame.pixels()[5].abs_diff(188) <= 1, "{}", frame.pixels()[5]);
    }

    #[test]
    fn profiles_that_cannot_serve_are_ignored() {
        let gray = ColorProfile::new_gray_with_gamma(1.0).encode().expect("a built-in profile");
        let p3 = ColorProfile::new_display_p3().encode().expect("a built-in profile");
        for icc in [&b""[..], b"no profile", &p3[..100], &gray] {
            let mut frame = of(Layout::Rgb, &[200, 100, 50]);
            to_srgb(&mut frame, icc, &Cancel::default()).expect("nothing stops it");
            assert_eq!(frame.rgba_at(0, 0), [200, 100, 50, 255]);
        }
    }

    #[test]
    fn inks_become_light() {
        for (cmyk, rgb) in [
            ([0, 0, 0, 0], [255, 255, 255]),
            ([0, 0, 0, 255], [0, 0, 0]),
            ([255, 0, 0, 0], [0, 255, 255]),
            ([0, 128, 255, 127], [128, 64, 0]),
        ] {
            for icc in [None, Some(&b"no profile"[..])] {
                assert_eq!(cmyk_to_srgb(&cmyk, icc, &Cancel::default()), Ok(rgb.to_vec()));
            }
        }
    }

    #[test]
    fn it_stops_between_batches() {
        let p3 = ColorProfile::new_display_p3().encode().expect("a built-in profile");
        assert_eq!(looks_of(|cancel| to_srgb(&mut of(Layout::Rgb, &[1, 2, 3]), &p3, cancel)), 2);
        assert_eq!(looks_of(|cancel| cmyk_to_srgb(&[7; 4 * 3 * BATCH_PIXELS], None, cancel)), 3);
    }
}
