use super::*;

fn parse(text: &str) -> Result<Transcode, String> {
    Transcode::parse(&mut Cursor::new("avthumb", Some(text))).map_err(|error| error.to_string())
}

/// Spec 7.4, and what else occurs.
#[test]
fn arguments_become_those_of_the_program() {
    for (text, expected) in [
        ("mp3/aq/6/ar/16000", "-c:a libmp3lame -q:a 6 -ar 16000 -vn -f mp3"),
        ("mp3/ar/44100/ab/32k", "-c:a libmp3lame -b:a 32000 -ar 44100 -vn -f mp3"),
        ("ogg/aq/3", "-c:a libvorbis -q:a 7 -vn -f ogg"),
        ("wav/ab/64k/ac/1", "-c:a pcm_s16le -ac 1 -vn -f wav"),
        ("opus/ar/44100", "-c:a libopus -ar 48000 -vn -f opus"),
        (
            "mp4/r/30/vb/256k/vcodec/libx264/ar/22061/ab/64k/acodec/libmp3lame",
            "-c:a libmp3lame -b:a 64000 -ar 22050 -c:v libx264 -pix_fmt yuv420p -preset veryfast -threads 2 -b:v 256000 \
             -r 30 -vf scale=trunc(iw/2)*2:trunc(ih/2)*2 -movflags +faststart -f mp4",
        ),
        (
            "webm/an/1/s/641x/rotate/90/aspect/16:9",
            "-an -c:v libvpx -pix_fmt yuv420p -threads 2 -aspect 16:9 -vf transpose=clock,scale=640:-2 -f webm",
        ),
        (
            "gif/s/100x80/autoscale/1",
            "-an -c:v gif -threads 2 -vf scale=100:80:force_original_aspect_ratio=decrease:force_divisible_by=2 -f gif",
        ),
    ] {
        let arguments = parse(text).unwrap_or_else(|error| panic!("{error}")).output_arguments().join(" ");
        let (_, codecs) = arguments.split_once("-flags:a +bitexact ").expect("always the same flags");
        assert_eq!(codecs, expected, "{text}");
    }
    let part = parse("mp3/ss/1.5/t/2/stripmeta/1").expect("a part");
    assert_eq!(part.input_arguments(), ["-ss", "1.500"]);
    assert!(part.output_arguments().join(" ").starts_with("-t 2.000 -sn"));
    assert_eq!(part.length_of(Milliseconds(3000)), Milliseconds(1500));
    assert_eq!(part.length_of(Milliseconds(10_000)), Milliseconds(2000));
}

#[test]
fn what_is_wrong_is_named() {
    let formats = "mp3, m4a, aac, wav, flac, ogg, opus, mp4, webm, flv, gif";
    for (text, message) in [
        ("", format!("avthumb: the format is missing; expected one of {formats}")),
        ("iphone_low", format!("avthumb: the format is \"iphone_low\"; expected one of {formats}")),
        (
            "m3u8/vb/440k",
            "unsupported fop: avthumb/m3u8: playlists of segments are not made here; ask for mp4".to_owned(),
        ),
        ("mp3/ab/9m", "avthumb: ab is \"9m\"; expected a bit rate from 8k to 512k, such as 128k".to_owned()),
        ("mp3/ab/32", "avthumb: ab is \"32\"; expected a bit rate from 8k to 512k, such as 128k".to_owned()),
        ("mp3/aq/10", "avthumb: aq is \"10\"; expected an integer from 0 to 9".to_owned()),
        ("m4a/aq/5", "avthumb: aq is \"5\"; expected ab: aac has no aq".to_owned()),
        ("mp3/ar/7999", "avthumb: ar is \"7999\"; expected an integer from 8000 to 96000".to_owned()),
        ("mp3/ac/3", "avthumb: ac is \"3\"; expected at most 2 with libmp3lame".to_owned()),
        ("mp4/s/x", "avthumb: s is \"x\"; expected <W>x<H>, <W>x or x<H>, each from 20 to 3840".to_owned()),
        ("mp4/vcodec/libvpx", "avthumb: vcodec is \"libvpx\"; expected one of libx264".to_owned()),
        ("mp3/vcodec/libx264", "avthumb: vcodec is \"libx264\"; expected none in this format".to_owned()),
        ("mp4/aspect/16x9", "avthumb: aspect is \"16x9\"; expected <width>:<height>, each from 1 to 1000".to_owned()),
        ("mp3/an/1", "avthumb: an and vn is \"1\"; expected mp3 to keep its sound or its film".to_owned()),
        ("mp4/r/61", "avthumb: r is \"61\"; expected an integer from 1 to 60".to_owned()),
    ] {
        assert_eq!(parse(text).expect_err(text), message, "{text}");
    }
    let unknown = parse("mp3/filter/movie").expect_err("no such argument");
    assert!(unknown.starts_with("avthumb: unknown argument \"filter\"; expected one of ab, aq"), "{unknown}");
}
