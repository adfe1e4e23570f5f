//! How different two colours look: CIEDE2000, as G. Sharma, W. Wu and E. N. Dalal write it out ("The CIEDE2000
//! Color-Difference Formula: Implementation Notes, Supplementary Test Data, and Mathematical Observations", 2005).

/// A colour as L*, a*, b*.
pub(crate) type Lab = [f64; 3];

/// CIE XYZ, relative to this white, as L*, a*, b*.
pub(crate) fn lab(xyz: [f64; 3], white: [f64; 3]) -> Lab {
    let curve = |t: f64| if t > 216.0 / 24389.0 { t.cbrt() } else { (24389.0 / 27.0 * t + 16.0) / 116.0 };
    let [x, y, z] = std::array::from_fn(|at| curve(xyz[at] / white[at]));
    [116.0 * y - 16.0, 500.0 * (x - y), 200.0 * (y - z)]
}

/// The difference of two colours; 1 is just noticeable side by side. The equations' numbers are those of the paper.
pub(crate) fn ciede2000(one: Lab, other: Lab) -> f64 {
    let mean_chroma = (one[1].hypot(one[2]) + other[1].hypot(other[2])) / 2.0;
    // (4) to (7)
    let stretch = 1.0 + 0.5 * (1.0 - seventh(mean_chroma));
    let polar = |[_, a, b]: Lab| ((a * stretch).hypot(b), hue(a * stretch, b));
    let ((chroma1, hue1), (chroma2, hue2)) = (polar(one), polar(other));
    // (8) to (11)
    let (lightness_step, chroma_step) = (other[0] - one[0], chroma2 - chroma1);
    let hue_step = if chroma1 * chroma2 == 0.0 { 0.0 } else { shorter_way(hue2 - hue1) };
    let hue_step = 2.0 * (chroma1 * chroma2).sqrt() * (hue_step / 2.0).to_radians().sin();
    // (12) to (14)
    let (lightness, chroma) = ((one[0] + other[0]) / 2.0, (chroma1 + chroma2) / 2.0);
    let hue = mean_hue((chroma1, hue1), (chroma2, hue2));
    // (15) to (22)
    let cosine = |times: f64, less: f64| (times * hue - less).to_radians().cos();
    let t =
        1.0 - 0.17 * cosine(1.0, 30.0) + 0.24 * cosine(2.0, 0.0) + 0.32 * cosine(3.0, -6.0) - 0.20 * cosine(4.0, 63.0);
    let middle = (lightness - 50.0).powi(2);
    let lightness_step = lightness_step / (1.0 + 0.015 * middle / (20.0 + middle).sqrt());
    let chroma_step = chroma_step / (1.0 + 0.045 * chroma);
    let hue_step = hue_step / (1.0 + 0.015 * chroma * t);
    let turn = 30.0 * (-((hue - 275.0) / 25.0).powi(2)).exp();
    let rotation = -2.0 * seventh(chroma) * (2.0 * turn).to_radians().sin();
    let squares = lightness_step.powi(2) + chroma_step.powi(2) + hue_step.powi(2);
    (squares + rotation * chroma_step * hue_step).sqrt()
}

fn seventh(chroma: f64) -> f64 {
    (chroma.powi(7) / (chroma.powi(7) + 25.0_f64.powi(7))).sqrt()
}

/// In degrees, 0 to 360; 0 without colour.
fn hue(a: f64, b: f64) -> f64 {
    if a == 0.0 && b == 0.0 { 0.0 } else { b.atan2(a).to_degrees().rem_euclid(360.0) }
}

fn shorter_way(degrees: f64) -> f64 {
    match degrees {
        ..-180.0 => degrees + 360.0,
        _ if degrees > 180.0 => degrees - 360.0,
        _ => degrees,
    }
}

fn mean_hue((chroma1, hue1): (f64, f64), (chroma2, hue2): (f64, f64)) -> f64 {
    let sum = hue1 + hue2;
    match () {
        () if chroma1 * chroma2 == 0.0 => sum,
        () if (hue1 - hue2).abs() <= 180.0 => sum / 2.0,
        () if sum < 360.0 => (sum + 360.0) / 2.0,
        () => (sum - 360.0) / 2.0,
    }
}

/// The paper's table 1, those pairs that tell wrong implementations apart: hues around the circle, grays, blues, the
/// discontinuities, large differences.
#[test]
fn the_published_pairs() {
    for (number, one, other, difference) in [
        (1, [50.0, 2.6772, -79.7751], [50.0, 0.0, -82.7485], 2.0425),
        (2, [50.0, 3.1571, -77.2803], [50.0, 0.0, -82.7485], 2.8615),
        (3, [50.0, 2.8361, -74.0200], [50.0, 0.0, -82.7485], 3.4412),
        (4, [50.0, -1.3802, -84.2814], [50.0, 0.0, -82.7485], 1.0000),
        (7, [50.0, 0.0, 0.0], [50.0, -1.0, 2.0], 2.3669),
        (9, [50.0, 2.4900, -0.0010], [50.0, -2.4900, 0.0009], 7.1792),
        (11, [50.0, 2.4900, -0.0010], [50.0, -2.4900, 0.0011], 7.2195),
        (13, [50.0, -0.0010, 2.4900], [50.0, 0.0009, -2.4900], 4.8045),
        (15, [50.0, -0.0010, 2.4900], [50.0, 0.0011, -2.4900], 4.7461),
        (16, [50.0, 2.5, 0.0], [50.0, 0.0, -2.5], 4.3065),
        (17, [50.0, 2.5, 0.0], [73.0, 25.0, -18.0], 27.1492),
        (18, [50.0, 2.5, 0.0], [61.0, -5.0, 29.0], 22.8977),
        (19, [50.0, 2.5, 0.0], [56.0, -27.0, -3.0], 31.9030),
        (20, [50.0, 2.5, 0.0], [58.0, 24.0, 15.0], 19.4535),
        (25, [60.2574, -34.0099, 36.2677], [60.4626, -34.1751, 39.4387], 1.2644),
        (26, [63.0109, -31.0961, -5.8663], [62.8187, -29.7946, -4.0864], 1.2630),
        (28, [35.0831, -44.1164, 3.7933], [35.0232, -40.0716, 1.5901], 1.8645),
        (29, [22.7233, 20.0904, -46.6940], [23.0331, 14.9730, -42.5619], 2.0373),
        (30, [36.4612, 47.8580, 18.3852], [36.2715, 50.5065, 21.2231], 1.4146),
        (33, [6.7747, -0.2908, -2.4247], [5.8714, -0.0985, -2.2286], 0.6377),
        (34, [2.0776, 0.0795, -1.1350], [0.9033, -0.0636, -0.5514], 0.9082),
    ] {
        for (from, to) in [(one, other), (other, one)] {
            let is = ciede2000(from, to);
            assert!((is - difference).abs() < 5e-5, "pair {number}: {is} instead of {difference}");
        }
    }
}
