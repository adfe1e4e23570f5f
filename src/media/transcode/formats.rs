//! The formats that `avthumb` writes, and the codecs that they hold.

/// A container, and the codecs that it holds, the usual one first.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Format {
    pub(super) name: &'static str,
    pub(super) muxer: &'static str,
    pub(super) media_type: &'static str,
    pub(super) audio: &'static [AudioCodec],
    pub(super) video: &'static [VideoCodec],
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum AudioCodec {
    Mp3,
    Aac,
    Vorbis,
    Opus,
    Flac,
    Pcm,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum VideoCodec {
    H264,
    Vp8,
    Vp9,
    Flv,
    Gif,
}

const fn sound(
    name: &'static str,
    muxer: &'static str,
    media_type: &'static str,
    codec: &'static [AudioCodec],
) -> Format {
    Format { name, muxer, media_type, audio: codec, video: &[] }
}

/// All formats that are written.
pub(super) static FORMATS: [Format; 11] = [
    sound("mp3", "mp3", "audio/mpeg", &[AudioCodec::Mp3]),
    sound("m4a", "ipod", "audio/mp4", &[AudioCodec::Aac]),
    sound("aac", "adts", "audio/aac", &[AudioCodec::Aac]),
    sound("wav", "wav", "audio/wav", &[AudioCodec::Pcm]),
    sound("flac", "flac", "audio/flac", &[AudioCodec::Flac]),
    sound("ogg", "ogg", "audio/ogg", &[AudioCodec::Vorbis, AudioCodec::Opus]),
    sound("opus", "opus", "audio/ogg", &[AudioCodec::Opus]),
    Format {
        name: "mp4",
        muxer: "mp4",
        media_type: "video/mp4",
        audio: &[AudioCodec::Aac, AudioCodec::Mp3],
        video: &[VideoCodec::H264],
    },
    Format {
        name: "webm",
        muxer: "webm",
        media_type: "video/webm",
        audio: &[AudioCodec::Vorbis, AudioCodec::Opus],
        video: &[VideoCodec::Vp8, VideoCodec::Vp9],
    },
    Format {
        name: "flv",
        muxer: "flv",
        media_type: "video/x-flv",
        audio: &[AudioCodec::Aac],
        video: &[VideoCodec::H264, VideoCodec::Flv],
    },
    Format { name: "gif", muxer: "gif", media_type: "image/gif", audio: &[], video: &[VideoCodec::Gif] },
];

impl AudioCodec {
    /// Under the names that the vendor and the program have for it.
    pub(super) fn named(name: &str) -> Option<Self> {
        Some(match name {
            "libmp3lame" | "mp3" => Self::Mp3,
            "aac" | "libfaac" | "libfdk_aac" => Self::Aac,
            "libvorbis" | "vorbis" => Self::Vorbis,
            "libopus" | "opus" => Self::Opus,
            "flac" => Self::Flac,
            "pcm_s16le" => Self::Pcm,
            _ => return None,
        })
    }

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Mp3 => "libmp3lame",
            Self::Aac => "aac",
            Self::Vorbis => "libvorbis",
            Self::Opus => "libopus",
            Self::Flac => "flac",
            Self::Pcm => "pcm_s16le",
        }
    }

    /// The rates that it has, rising; none where it has all.
    pub(super) const fn sample_rates(self) -> &'static [u32] {
        match self {
            Self::Mp3 => &[8000, 11_025, 12_000, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000],
            Self::Aac => {
                &[8000, 11_025, 12_000, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000, 64_000, 88_200, 96_000]
            }
            Self::Opus => &[8000, 12_000, 16_000, 24_000, 48_000],
            Self::Vorbis | Self::Flac | Self::Pcm => &[],
        }
    }

    /// The rate that it has next to `wanted`: requests with 22061 are in the vendor's own examples.
    pub(super) fn sample_rate(self, wanted: u32) -> u32 {
        let rates = self.sample_rates().iter().copied();
        rates.min_by_key(|rate| rate.abs_diff(wanted)).unwrap_or(wanted)
    }

    pub(super) const fn most_channels(self) -> u8 {
        if matches!(self, Self::Mp3) { 2 } else { 6 }
    }

    /// Whether its quality is a number from 0 to 9 instead of a bit rate.
    pub(super) const fn has_quality(self) -> bool {
        matches!(self, Self::Mp3 | Self::Vorbis)
    }

    /// Whether it is coded at a bit rate.
    pub(super) const fn has_bit_rate(self) -> bool {
        !matches!(self, Self::Flac | Self::Pcm)
    }
}

impl VideoCodec {
    pub(super) fn named(name: &str) -> Option<Self> {
        Some(match name {
            "libx264" | "h264" => Self::H264,
            "libvpx" | "vp8" => Self::Vp8,
            "libvpx-vp9" | "vp9" => Self::Vp9,
            "flv" | "flv1" => Self::Flv,
            "gif" => Self::Gif,
            _ => return None,
        })
    }

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::H264 => "libx264",
            Self::Vp8 => "libvpx",
            Self::Vp9 => "libvpx-vp9",
            Self::Flv => "flv",
            Self::Gif => "gif",
        }
    }
}
