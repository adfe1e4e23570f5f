//! `score REFERENCE OUTPUT…`: the SSIMULACRA2 of each output against the reference, one line `SCORE<tab>FILE` each.
//! Higher is better, 100 is identical. Both are taken for sRGB; 16-bit references keep their precision.

use std::error::Error;
use std::process::ExitCode;

use ssimulacra2::{ColorPrimaries, Rgb, TransferCharacteristic, compute_frame_ssimulacra2};

type Failure = Box<dyn Error>;

struct Picture {
    width: usize,
    height: usize,
    pixels: Vec<[f32; 3]>,
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [reference, outputs @ ..] = arguments.as_slice() else {
        eprintln!("usage: score REFERENCE.{{png,ppm}} OUTPUT.{{jpg,png,webp,ppm}}…");
        return ExitCode::FAILURE;
    };
    match score(reference, outputs) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("score: {error}");
            ExitCode::FAILURE
        }
    }
}

fn score(reference: &str, outputs: &[String]) -> Result<(), Failure> {
    let reference = load(reference)?;
    for path in outputs {
        let output = load(path)?;
        if (output.width, output.height) != (reference.width, reference.height) {
            let (width, height) = (reference.width, reference.height);
            return Err(format!("{path} is {}x{}, its reference {width}x{height}", output.width, output.height).into());
        }
        println!("{:.3}\t{path}", compute_frame_ssimulacra2(srgb(&reference)?, srgb(&output)?)?);
    }
    Ok(())
}

fn load(path: &str) -> Result<Picture, Failure> {
    let explain = |error: &dyn Error| format!("{path}: {error}");
    let reader = image::ImageReader::open(path).map_err(|error| explain(&error))?.with_guessed_format()?;
    let picture = reader.decode().map_err(|error| explain(&error))?.into_rgb32f();
    let (width, height) = (picture.width() as usize, picture.height() as usize);
    Ok(Picture { width, height, pixels: picture.pixels().map(|pixel| pixel.0).collect() })
}

fn srgb(picture: &Picture) -> Result<Rgb, Failure> {
    let (transfer, primaries) = (TransferCharacteristic::SRGB, ColorPrimaries::BT709);
    Rgb::new(picture.pixels.clone(), picture.width, picture.height, transfer, primaries)
        .map_err(|error| format!("{}x{}: {error:?}", picture.width, picture.height).into())
}
