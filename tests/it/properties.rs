//! Properties over random sizes and operators: what is predicted is what is rendered.

use mogr::engine::limits::{Cancel, Limits};
use mogr::engine::program::Rendering;
use mogr::engine::{decode, resolve, run};
use mogr::plan::Plan;
use proptest::prelude::*;

use crate::cards;

fn fops() -> impl Strategy<Value = String> {
    let edge = || 1..1200_u32;
    let single = prop_oneof![
        (0..=5_u8, edge(), edge()).prop_map(|(mode, w, h)| format!("imageView2/{mode}/w/{w}/h/{h}")),
        (0..=5_u8, edge()).prop_map(|(mode, w)| format!("imageView2/{mode}/w/{w}")),
        (edge(), edge()).prop_map(|(w, h)| format!("imageView/1/w/{w}/h/{h}")),
        edge().prop_map(|w| format!("imageMogr2/thumbnail/{w}x")),
        edge().prop_map(|h| format!("imageMogr2/thumbnail/x{h}")),
        (edge(), edge(), "[!><]?").prop_map(|(w, h, mark)| format!("imageMogr2/thumbnail/{w}x{h}{mark}")),
        (1..150_u32).prop_map(|percent| format!("imageMogr2/thumbnail/!{percent}p")),
        (1..1_000_000_u32).prop_map(|area| format!("imageMogr2/thumbnail/{area}@")),
        (edge(), edge()).prop_map(|(w, h)| format!("imageMogr2/gravity/center/crop/{w}x{h}")),
        (edge(), edge(), 0..50, 0..50).prop_map(|(w, h, x, y)| format!("imageMogr2/crop/!{w}x{h}-{x}a{y}")),
        (0..360_u32).prop_map(|degrees| format!("imageMogr2/auto-orient/rotate/{degrees}")),
        (edge(), edge()).prop_map(|(w, h)| format!("imageMogr2/extent/{w}x{h}/background/cmVk")),
        (0..20_u32, 0..20_u32).prop_map(|(w, h)| format!("imageMogr2/border/{w}x{h}")),
        (0..100_u32).prop_map(|radius| format!("roundPic/radius/{radius}")),
        Just("watermark/2/text/aGVsbG8=/gravity/Center".to_owned()),
        Just("imageMogr2/blur/2x1/sharpen/1".to_owned()),
    ];
    proptest::collection::vec(single, 1..4).prop_map(|fops| fops.join("|"))
}

/// Sizes as photographs and icons have them, up to 5000×3000, small ones more often.
fn size() -> impl Strategy<Value = (u32, u32)> {
    prop_oneof![
        6 => (1..64_u32, 1..64_u32),
        3 => (64..700_u32, 64..700_u32),
        1 => (700..=5000_u32, 700..=3000_u32),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 160, ..ProptestConfig::default() })]

    #[test]
    fn predicted_size_is_rendered_size((width, height) in size(), orientation in 1..=8_u8, fops in fops()) {
        let source = bytes::Bytes::from(cards::oriented(&cards::jpeg(&cards::quadrants(width, height), 80), orientation));
        let plan = Plan::parse(&fops).unwrap();
        let header = decode::probe(&source).unwrap();
        let limits = Limits::default();
        match resolve::resolve(&plan, &header, &[], &limits, Rendering::default()) {
            Ok(program) => {
                let output = run::run(&program, &source, &[], &limits, &Cancel::default(), &mut |_| {}).unwrap();
                prop_assert_eq!(decode::probe(&output.body).unwrap().size, program.size, "{} on {}x{}", fops, width, height);
                let again = run::run(&program, &source, &[], &limits, &Cancel::default(), &mut |_| {}).unwrap();
                prop_assert!(output == again, "{} gives different bytes", fops);
            }
            Err(error) => {
                let text = error.to_string();
                prop_assert!(text.contains("over the limit") || text.contains("outside the image"), "{}: {}", fops, text);
            }
        }
    }
}
