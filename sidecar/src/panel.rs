//! The panel: a page for people, with all its files in the program. It uses the API like any other client, and asks
//! nothing of any other address.

use axum::http::{HeaderName, HeaderValue, header};
use axum::response::{IntoResponse, Response};

/// A file of the panel.
struct File {
    name: &'static str,
    kind: &'static str,
    content: &'static [u8],
}

/// Makes [`FILES`] of the names in the folder.
macro_rules! files {
    ($($name:literal: $kind:ident,)*) => {
        /// Every file of the folder `panel`.
        const FILES: &[File] = &[$(File {
            name: $name,
            kind: $kind,
            content: include_bytes!(concat!("../panel/", $name)),
        },)*];
    };
}

const CSS: &str = "text/css; charset=utf-8";
const HTML: &str = "text/html; charset=utf-8";
const JS: &str = "text/javascript; charset=utf-8";
const SVG: &str = "image/svg+xml";

files! {
    "index.html": HTML,
    "panel.css": CSS,
    "icon.svg": SVG,
    "main.js": JS,
    "api.js": JS,
    "charts.js": JS,
    "check.js": JS,
    "dom.js": JS,
    "events.js": JS,
    "key.js": JS,
    "lanes.js": JS,
    "list.js": JS,
    "live.js": JS,
    "migration.js": JS,
    "record.js": JS,
    "try.js": JS,
    "well.js": JS,
    "words.js": JS,
}

/// The page runs its own scripts and styles only, calls its own API only, lies in no frame, and can't make HTML of text.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; \
    base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'";

const HEADERS: [(HeaderName, &str); 6] = [
    (header::CONTENT_SECURITY_POLICY, POLICY),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::REFERRER_POLICY, "no-referrer"),
    // Another version of the sidecar may answer next time.
    (header::CACHE_CONTROL, "no-store"),
    (
        HeaderName::from_static("cross-origin-opener-policy"),
        "same-origin",
    ),
    (
        HeaderName::from_static("cross-origin-resource-policy"),
        "same-origin",
    ),
];

/// The page itself.
pub(crate) const PAGE: &str = "index.html";

/// What the page needs; nothing if the panel has no such file.
pub(crate) fn file(name: &str) -> Option<Response> {
    let file = FILES.iter().find(|file| file.name == name)?;
    Some(answer(file))
}

fn answer(file: &File) -> Response {
    let mut response = file.content.into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(file.kind));
    for (name, value) in HEADERS {
        headers.insert(name, HeaderValue::from_static(value));
    }
    response
}

#[cfg(test)]
mod tests {
    use super::{FILES, POLICY};

    /// All files together, in bytes: a phone on a bad line forwards them too.
    const SIZE_MAX: usize = 150 * 1024;

    #[test]
    fn the_folder_has_these_files_and_they_are_small() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/panel");
        let entries = std::fs::read_dir(folder).unwrap();
        let mut there: Vec<_> = entries
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        let mut served: Vec<_> = FILES.iter().map(|file| file.name.to_owned()).collect();
        there.sort();
        served.sort();
        assert_eq!(there, served);
        let size: usize = FILES.iter().map(|file| file.content.len()).sum();
        assert!(size <= SIZE_MAX, "{size} bytes");
    }

    #[test]
    fn no_file_has_what_the_policy_forbids() {
        assert!(!POLICY.contains("unsafe"));
        for file in FILES {
            let text = std::str::from_utf8(file.content).unwrap();
            for forbidden in [
                "innerHTML",
                "outerHTML",
                "insertAdjacentHTML",
                "document.write",
                "eval(",
                "style=\"",
                "onclick=",
            ] {
                assert!(!text.contains(forbidden), "{}: {forbidden}", file.name);
            }
        }
    }
}
