//! Good files with damage: a picture or a clear error for each, without a panic. `scripts/mutate` runs many more of them,
//! on files of one's own, and then time and memory count too.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use mogr::engine::limits::{Cancel, Limits};
use mogr::engine::program::Rendering;
use mogr::engine::{decode, resolve, run};
use mogr::plan::Plan;

use crate::server::photos;

/// One cheap result of each kind of path: planes, pixels, a crop, another format, coefficients, metadata.
const FOPS: [&str; 7] = [
    "imageView2/2/w/64",
    "imageView2/1/w/40/h/90/format/webp",
    "imageMogr2/crop/!50x50a10a10/format/png",
    "imageMogr2/auto-orient/rotate/90/thumbnail/!30p/blur/3x2",
    "imageMogr2/quality/100",
    "imageInfo",
    "exif",
];

const LONGEST: Duration = Duration::from_secs(1);
const MOST_KIB: u64 = 300 << 10;

#[test]
fn damaged_files_are_pictures_or_errors() {
    let count =
        std::env::var("MOGR_MUTATIONS").ok().map(|count| count.parse::<usize>().expect("a number of mutations"));
    let files = corpus();
    assert!(files.len() >= 10, "only {} files", files.len());
    let mut random = Random(20_261_122);
    for index in 0..count.unwrap_or(300) {
        let (name, file) = &files[random.below(files.len())];
        let (damaged, what) = damage(file, &mut random);
        let fops = FOPS[random.below(FOPS.len())];
        if count.is_some() {
            reset_peak();
        }
        let started = Instant::now();
        render(&damaged, fops);
        if count.is_some() {
            let (took, peak) = (started.elapsed(), peak_kib());
            assert!(took < LONGEST, "{name}, {what}, {fops} (number {index}): {took:?}");
            assert!(peak < MOST_KIB, "{name}, {what}, {fops} (number {index}): {peak} KiB");
        }
    }
}

/// Small files of every format, and those in the folders of `MOGR_CORPUS`, separated by colons.
fn corpus() -> Vec<(String, Vec<u8>)> {
    let seeds = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/fuzz/seeds"));
    let mut folders = vec![photos().to_owned(), seeds.join("decode"), seeds.join("reduced"), seeds.join("animation")];
    folders.extend(std::env::var_os("MOGR_CORPUS").iter().flat_map(std::env::split_paths));
    let mut files = Vec::new();
    for folder in folders {
        for entry in std::fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display())) {
            let path = entry.expect("an entry").path();
            let body = std::fs::read(&path).expect("a readable file");
            if body.len() <= 2 << 20 {
                files.push((path.file_name().unwrap_or_default().to_string_lossy().into_owned(), body));
            }
        }
    }
    files.sort();
    files
}

fn render(file: &[u8], fops: &str) {
    let source = bytes::Bytes::copy_from_slice(file);
    let limits = Limits { source_pixels: 25_000_000, ..Limits::default() };
    let plan = Plan::parse(fops).expect("a pipeline");
    let Ok(header) = decode::probe(&source) else { return };
    let Ok(program) = resolve::resolve(&plan, &header, &[], &limits, Rendering::default()) else { return };
    match run::run(&program, &source, &[], &limits, &Cancel::default(), &mut |_| {}) {
        Ok(output) => assert!(!output.body.is_empty(), "an empty answer"),
        Err(error) => assert!(!error.to_string().is_empty(), "an error without words"),
    }
}

/// One to eight damages, and what they were.
fn damage(file: &[u8], random: &mut Random) -> (Vec<u8>, String) {
    let mut damaged = file.to_vec();
    let mut what = Vec::new();
    for _ in 0..=random.below(8) {
        if damaged.is_empty() {
            break;
        }
        // Headers are short and decide most.
        let reach = if random.below(2) == 0 { damaged.len().min(700) } else { damaged.len() };
        let at = random.below(reach);
        let kind = random.below(6);
        what.push(format!("{kind}@{at}"));
        match kind {
            0 => damaged[at] ^= 1 << random.below(8),
            1 => damaged[at] = [0x00, 0x01, 0x7F, 0x80, 0xFE, 0xFF][random.below(6)],
            2 => damaged[at] = random.below(256) as u8,
            3 => damaged.truncate(at.max(1)),
            4 => drop(damaged.drain(at..(at + 1 + random.below(40)).min(damaged.len()))),
            _ => {
                let piece = damaged[at..(at + 1 + random.below(40)).min(damaged.len())].to_vec();
                let target = random.below(damaged.len());
                damaged.splice(target..target, piece);
            }
        }
    }
    (damaged, what.join(" "))
}

struct Random(u64);

impl Random {
    /// xorshift64*.
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        ((self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) as usize) % bound
    }
}

/// Linux: the peak counts from here.
fn reset_peak() {
    let _unsupported_elsewhere = std::fs::write("/proc/self/clear_refs", "5");
}

/// Most memory in use at once since [`reset_peak`]; 0 where the system does not tell.
fn peak_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.and_then(|line| line.trim().trim_end_matches(" kB").parse().ok()).unwrap_or(0)
}
