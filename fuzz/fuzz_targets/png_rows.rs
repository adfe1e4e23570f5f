//! PNG files whose chunks are sound and whose data is anything: our own rows beside those of the `png` crate.
#![no_main]

use libfuzzer_sys::fuzz_target;
use mogr::engine::internals::check_png_rows;

fuzz_target!(|bytes: &[u8]| {
    let [width, shape, piece, data @ ..] = bytes else { return };
    let (has_alpha, is_packed, height) = (shape & 1 == 1, shape & 2 == 2, 1 + u32::from(shape >> 2));
    let width = 1 + u32::from(*width);
    let channels = if has_alpha { 4 } else { 3 };
    let packed =
        if is_packed { data.to_vec() } else { fdeflate::compress_to_vec(&rows(data, 1 + width * channels, height)) };

    let mut file = b"\x89PNG\r\n\x1A\n".to_vec();
    let [width, height] = [width, height].map(u32::to_be_bytes);
    chunk(&mut file, b"IHDR", &[&width[..], &height, &[8, if has_alpha { 6 } else { 2 }, 0, 0, 0]].concat());
    packed.chunks(1 + usize::from(*piece) * 8).for_each(|piece| chunk(&mut file, b"IDAT", piece));
    chunk(&mut file, b"IEND", &[]);
    check_png_rows(&file);
});

/// As many rows as there should be, with filters that exist.
fn rows(data: &[u8], row_bytes: u32, height: u32) -> Vec<u8> {
    let count = (row_bytes * height) as usize;
    let mut rows: Vec<u8> = data.iter().copied().cycle().take(if data.is_empty() { 0 } else { count }).collect();
    rows.resize(count, 0);
    rows.iter_mut().step_by(row_bytes as usize).for_each(|filter| *filter %= 5);
    rows
}

fn chunk(file: &mut Vec<u8>, name: &[u8; 4], data: &[u8]) {
    let named = [&name[..], data].concat();
    file.extend_from_slice(&(data.len() as u32).to_be_bytes());
    file.extend_from_slice(&named);
    file.extend_from_slice(&crc32fast::hash(&named).to_be_bytes());
}
