//! Folded cloth on a market stall: rolls of striped weave, thread by thread.

use crate::{
    noise::{noise2, random},
    picture::{Picture, Sample, hex},
    vector::{V3, mix, smooth},
};

const DYES: [u32; 8] = [0xb8_32_27, 0xe0_9f_2d, 0x1f_5f_7a, 0xf1_e6_cf, 0x6b_1f_3a, 0x2f_7d_5b, 0x22_26_4a, 0xd9_6a_4a];

/// Renders the stall, `grid` × `grid` samples to a pixel.
pub(crate) fn paint(width: usize, height: usize, grid: i32) -> Picture {
    Picture::render(width, height, grid, look)
}

fn look(s: Sample) -> V3 {
    let sag = 0.02 * (s.x * 2.1).sin() + 0.012 * noise2(s.x * 3.0, s.y * 2.0, 1);
    let stacked = (s.y + sag + 1.0) * 3.1;
    let roll = stacked.floor() as i32;
    let round = stacked - stacked.floor();
    // Each roll bulges: bright near its upper side, dark where it meets its neighbours.
    let bulge = (4.0 * round * (1.0 - round)).sqrt();
    let light = mix(0.10, 1.0, bulge) * (0.62 + 0.5 * round) * (0.85 + 0.25 * noise2(s.x * 2.5, stacked, 3));
    let around = (1.0 - 2.0 * round).acos();
    weave(roll, s.x + 0.3 * random(roll, 1, 9), around * 0.22) * light
}

fn dye(roll: i32, choice: i32) -> V3 {
    hex(DYES[(roll * 3 + choice).rem_euclid(8) as usize])
}

/// Stripes and lozenges in three dyes; warp threads and weft threads take turns on top.
fn weave(roll: i32, x: f32, y: f32) -> V3 {
    let (warp, weft) = (x * 62.0, y * 62.0);
    let stripe = random((warp / 4.0).floor() as i32, roll, 21);
    let lozenge = ((x * 5.0 + y * 6.0).rem_euclid(1.0) - 0.5).abs() + ((x * 5.0 - y * 6.0).rem_euclid(1.0) - 0.5).abs();
    let base = if stripe < 0.30 {
        dye(roll, 1)
    } else if stripe > 0.86 {
        dye(roll, 3)
    } else {
        dye(roll, 0)
    };
    let inlaid = if roll.rem_euclid(2) == 0 && lozenge < 0.34 { dye(roll, 2) } else { base };
    let over = (warp.floor() as i32 + weft.floor() as i32).rem_euclid(2) == 0;
    let (along, across) = if over { (warp, weft) } else { (weft, warp) };
    let thread = (1.0 - (2.0 * along.fract().abs() - 1.0).powi(2)).max(0.0).sqrt();
    let twist = 0.85 + 0.15 * (across * 9.0 + along * 3.0).sin();
    inlaid * (mix(0.35, 1.15, thread) * twist * smooth(-0.6, 0.3, thread))
}
