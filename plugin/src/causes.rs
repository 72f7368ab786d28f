//! An error as one line: its text and those of its causes, each once.

use std::error::Error;

/// The line.
pub(crate) fn causes(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let more = cause.to_string();
        if !text.contains(&more) {
            text.extend([": ", &more]);
        }
        next = cause.source();
    }
    text
}
