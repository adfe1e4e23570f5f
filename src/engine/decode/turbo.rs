//! TurboJPEG handles: the one place that owns `tj3*` instances, for the decoder, the encoder and turns without loss.

use std::ffi::{CStr, c_int};

use turbojpeg_sys as tj;

use crate::geometry::{Rect, Size};

/// What TurboJPEG said of a call that did not end well.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::engine) struct Complaint {
    /// A warning: the data is not as it should be, yet pixels were made. Otherwise the call failed.
    pub(in crate::engine) warning: bool,
    /// libjpeg's text; it names no addresses or paths.
    pub(in crate::engine) text: String,
}

impl Complaint {
    fn failure(text: &str) -> Self {
        Self { warning: false, text: text.to_owned() }
    }
}

/// An owned TurboJPEG instance.
pub(in crate::engine) struct Turbo(tj::tjhandle);

impl Turbo {
    /// An instance that decompresses.
    pub(in crate::engine) fn decompressor() -> Result<Self, Complaint> {
        Self::new(tj::TJINIT_TJINIT_DECOMPRESS)
    }

    /// An instance that compresses.
    #[cfg(any(test, feature = "internals"))]
    pub(in crate::engine) fn compressor() -> Result<Self, Complaint> {
        Self::new(tj::TJINIT_TJINIT_COMPRESS)
    }

    /// An instance that turns coefficients.
    pub(in crate::engine) fn transformer() -> Result<Self, Complaint> {
        Self::new(tj::TJINIT_TJINIT_TRANSFORM)
    }

    fn new(purpose: tj::TJINIT) -> Result<Self, Complaint> {
        // SAFETY: tj3Init takes a plain number, and answers with an instance or null.
        let handle = unsafe { tj::tj3Init(purpose as c_int) };
        if handle.is_null() { Err(Complaint::failure("no memory for a JPEG codec")) } else { Ok(Self(handle)) }
    }

    /// Sets a parameter.
    pub(in crate::engine) fn set(&mut self, parameter: tj::TJPARAM, value: c_int) -> Result<(), Complaint> {
        // SAFETY: the handle is live until drop; a wrong parameter or value is an error return.
        let code = unsafe { tj::tj3Set(self.0, parameter as c_int, value) };
        self.check(code)
    }

    /// A parameter's value, −1 where unknown.
    pub(in crate::engine) fn get(&self, parameter: tj::TJPARAM) -> c_int {
        // SAFETY: the handle is live until drop.
        unsafe { tj::tj3Get(self.0, parameter as c_int) }
    }

    /// Reads the header of `jpeg`; [`Turbo::get`] then answers its size and colour space.
    pub(in crate::engine) fn read_header(&mut self, jpeg: &[u8]) -> Result<(), Complaint> {
        // SAFETY: pointer and length are those of a live slice, which the call only reads.
        let code = unsafe { tj::tj3DecompressHeader(self.0, jpeg.as_ptr(), jpeg.len() as tj::size_t) };
        self.check(code)
    }

    /// Decompresses `jpeg`, whose header was just read, at `eighths`/8 into `pixels`, in `format` without padding.
    ///
    /// Refuses a buffer that is too small for what the header says, and scales other than 1, 2, 4 and 8 eighths. On a
    /// warning the pixels are filled as far as the data went.
    pub(in crate::engine) fn decompress(
        &mut self,
        jpeg: &[u8],
        pixels: &mut [u8],
        eighths: u8,
        format: tj::TJPF,
    ) -> Result<(), Complaint> {
        let denominator = match eighths {
            1 => 8,
            2 => 4,
            4 => 2,
            8 => 1,
            _ => return Err(Complaint::failure("it scales to 1/8, 2/8, 4/8 and 8/8 only")),
        };
        if self.get(tj::TJPARAM_TJPARAM_LOSSLESS) != 0 {
            return Err(Complaint::failure("it is lossless, which does not scale"));
        }
        let channels = channels(format);
        let scaled = |edge: c_int| usize::try_from(edge).unwrap_or(0).div_ceil(denominator);
        let width = scaled(self.get(tj::TJPARAM_TJPARAM_JPEGWIDTH));
        let height = scaled(self.get(tj::TJPARAM_TJPARAM_JPEGHEIGHT));
        if width * height * channels > pixels.len() || width * height == 0 {
            return Err(Complaint::failure("its size changed while it was read"));
        }
        let factor = tj::tjscalingfactor { num: 1, denom: denominator as c_int };
        // SAFETY: the handle is live until drop; an unsupported factor is an error return.
        let code = unsafe { tj::tj3SetScalingFactor(self.0, factor) };
        self.check(code)?;
        let stride = (width * channels) as c_int;
        // SAFETY: `jpeg` is a live slice that is only read. The call writes `height` rows of `stride` bytes, the
        // scaled size of this same header, and the check above made sure that `pixels` holds them.
        let code = unsafe {
            tj::tj3Decompress8(
                self.0,
                jpeg.as_ptr(),
                jpeg.len() as tj::size_t,
                pixels.as_mut_ptr(),
                stride,
                format as c_int,
            )
        };
        self.check(code)
    }

    /// Embeds `icc` in what is compressed next.
    pub(in crate::engine) fn set_icc(&mut self, icc: &[u8]) -> Result<(), Complaint> {
        // SAFETY: pointer and length are those of a live slice; the call copies it (its parameter merely lacks const).
        let code = unsafe { tj::tj3SetICCProfile(self.0, icc.as_ptr().cast_mut(), icc.len() as tj::size_t) };
        self.check(code)
    }

    /// Compresses `pixels`, `width` × `height` in `format` without padding.
    #[cfg(any(test, feature = "internals"))]
    pub(in crate::engine) fn compress(
        &mut self,
        pixels: &[u8],
        width: u32,
        height: u32,
        format: tj::TJPF,
    ) -> Result<Vec<u8>, Complaint> {
        let row = width as usize * channels(format);
        if row * height as usize != pixels.len() || pixels.is_empty() {
            return Err(Complaint::failure("pixels and size do not agree"));
        }
        let mut jpeg = Buffer::default();
        // SAFETY: `pixels` holds `height` rows of `row` bytes, as was just checked. A null buffer makes the call
        // allocate one, which it hands over.
        let code = unsafe {
            tj::tj3Compress8(
                self.0,
                pixels.as_ptr(),
                width as c_int,
                row as c_int,
                height as c_int,
                format as c_int,
                &raw mut jpeg.start,
                &raw mut jpeg.length,
            )
        };
        self.check(code).map(|()| jpeg.to_vec())
    }

    /// Compresses planes of Y, Cb and Cr in the subsampling that was set: 4:4:4 or 4:2:0. At 4:2:0 chroma is half as wide
    /// and high, rounded up, and luma exactly twice that: with a column and a row more than the picture where it is odd.
    #[cfg(test)]
    pub(in crate::engine) fn compress_planes(
        &mut self,
        planes: [&[u8]; 3],
        width: u32,
        height: u32,
    ) -> Result<Vec<u8>, Complaint> {
        let coarseness = match self.get(tj::TJPARAM_TJPARAM_SUBSAMP) as tj::TJSAMP {
            tj::TJSAMP_TJSAMP_444 => 1,
            tj::TJSAMP_TJSAMP_420 => 2,
            _ => return Err(Complaint::failure("planes are 4:4:4 or 4:2:0")),
        };
        let chroma = width.div_ceil(coarseness) as usize * height.div_ceil(coarseness) as usize;
        let expected = [chroma * (coarseness * coarseness) as usize, chroma, chroma];
        if planes.map(<[u8]>::len) != expected || expected[0] == 0 {
            return Err(Complaint::failure("planes and size do not agree"));
        }
        let mut starts = planes.map(<[u8]>::as_ptr);
        let mut jpeg = Buffer::default();
        // SAFETY: each plane has the rows and columns that the call reads for this size and subsampling (those of
        // tj3YUVPlaneSize for rows without padding, which null strides stand for), as was just checked. A null buffer makes the call allocate one, which it
        // hands over.
        let code = unsafe {
            tj::tj3CompressFromYUVPlanes8(
                self.0,
                starts.as_mut_ptr(),
                width as c_int,
                std::ptr::null(),
                height as c_int,
                &raw mut jpeg.start,
                &raw mut jpeg.length,
            )
        };
        self.check(code).map(|()| jpeg.to_vec())
    }

    /// Turns the coefficients of `jpeg`, and cuts `region` out of what is turned; `options` are those of `tjtransform`.
    ///
    /// Refuses what is not perfect where the options say so, and regions that do not begin between units.
    pub(in crate::engine) fn transform(
        &mut self,
        jpeg: &[u8],
        operation: tj::TJXOP,
        region: Option<Rect>,
        options: u32,
    ) -> Result<Vec<u8>, Complaint> {
        let crop = if region.is_some() { tj::TJXOPT_CROP } else { 0 };
        let Rect { x, y, size } = region.unwrap_or(Rect { x: 0, y: 0, size: Size::new(0, 0) });
        let transform = tj::tjtransform {
            r: tj::tjregion { x: x as c_int, y: y as c_int, w: size.width as c_int, h: size.height as c_int },
            op: operation as c_int,
            options: (options | crop) as c_int,
            data: std::ptr::null_mut(),
            customFilter: None,
        };
        let mut turned = Buffer::default();
        // SAFETY: `jpeg` and `transform` are live and only read, and one transform has one buffer. A null buffer makes the
        // call allocate one, which it hands over.
        let code = unsafe {
            tj::tj3Transform(
                self.0,
                jpeg.as_ptr(),
                jpeg.len() as tj::size_t,
                1,
                &raw mut turned.start,
                &raw mut turned.length,
                &raw const transform,
            )
        };
        self.check(code).map(|()| turned.to_vec())
    }

    fn check(&self, code: c_int) -> Result<(), Complaint> {
        if code == 0 {
            return Ok(());
        }
        // SAFETY: the handle is live; both calls only read it, and the text is NUL-terminated inside the instance.
        let (severity, text) =
            unsafe { (tj::tj3GetErrorCode(self.0), CStr::from_ptr(tj::tj3GetErrorStr(self.0)).to_string_lossy()) };
        // libjpeg's own texts come bare; TurboJPEG's carry the name of the function in front.
        let text = text.rsplit("(): ").next().unwrap_or_default().trim().to_owned();
        Err(Complaint { warning: severity == tj::TJERR_TJERR_WARNING as c_int, text })
    }
}

impl Drop for Turbo {
    fn drop(&mut self) {
        // SAFETY: the handle came from tj3Init and is destroyed once.
        unsafe { tj::tj3Destroy(self.0) };
    }
}

/// A buffer that TurboJPEG allocated, or none.
struct Buffer {
    start: *mut u8,
    length: tj::size_t,
}

impl Default for Buffer {
    fn default() -> Self {
        Self { start: std::ptr::null_mut(), length: 0 }
    }
}

impl Buffer {
    /// What a call wrote that succeeded.
    fn to_vec(&self) -> Vec<u8> {
        if self.start.is_null() {
            return Vec::new();
        }
        // SAFETY: after success `start` points to `length` bytes that the call wrote.
        unsafe { std::slice::from_raw_parts(self.start, self.length as usize) }.to_vec()
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        // SAFETY: `start` is null or was allocated by TurboJPEG, and is not used again.
        unsafe { tj::tj3Free(self.start.cast()) };
    }
}

/// Bytes a pixel in a TurboJPEG format.
pub(in crate::engine) const fn channels(format: tj::TJPF) -> usize {
    match format {
        tj::TJPF_TJPF_GRAY => 1,
        tj::TJPF_TJPF_CMYK => 4,
        _ => 3,
    }
}
