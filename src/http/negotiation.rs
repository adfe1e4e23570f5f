//! What a client takes, from its `Accept`.

use http::{HeaderMap, header};

use crate::plan::output::Accepts;

/// The formats that a client names. `image/*` and `*/*` name none: clients that show no AVIF send them too.
pub(super) fn accepts(headers: &HeaderMap) -> Accepts {
    let ranges = || headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok());
    let takes = |name| ranges().flat_map(|value| value.split(',')).any(|range| is_taken(range, name));
    Accepts { avif: takes("image/avif"), webp: takes("image/webp") }
}

/// Whether a media range is this type with a weight above 0 (RFC 9110, 12.5.1).
fn is_taken(range: &str, name: &str) -> bool {
    let mut parts = range.split(';').map(str::trim);
    if !parts.next().is_some_and(|media_type| media_type.eq_ignore_ascii_case(name)) {
        return false;
    }
    let weight = parts.find_map(|part| part.strip_prefix("q=").or_else(|| part.strip_prefix("Q=")));
    weight.is_none_or(|weight| weight.trim().parse::<f32>().is_ok_and(|weight| weight > 0.0))
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn formats_are_named() {
        let both = Accepts { avif: true, webp: true };
        let webp = Accepts { avif: false, webp: true };
        for (accept, expected) in [
            ("image/avif,image/webp,image/apng,image/svg+xml,image/*,*/*;q=0.8", both),
            ("image/webp,*/*", webp),
            ("IMAGE/WebP ; q=0.5, image/avif;q=0", webp),
            ("image/avif;q=0.000, image/webp;q=x", Accepts::default()),
            ("image/*,*/*;q=0.8", Accepts::default()),
            ("image/avifs, ximage/webp", Accepts::default()),
            ("", Accepts::default()),
        ] {
            let headers = HeaderMap::from_iter([(header::ACCEPT, HeaderValue::from_static(accept))]);
            assert_eq!(accepts(&headers), expected, "{accept}");
        }
        let lines =
            ["text/html, image/avif", "image/webp"].map(|line| (header::ACCEPT, HeaderValue::from_static(line)));
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(name, value);
        }
        assert_eq!(accepts(&headers), both);
        assert_eq!(accepts(&HeaderMap::new()), Accepts::default());
    }
}
