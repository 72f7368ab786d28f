//! An error as one line for a log or a status: its text and the text of every cause.
//!
//! The JSON log writes only the text of an error that is recorded as one, and drops its causes. So errors are recorded
//! by `error = causes(&error)`, in both formats alike.

use std::error::Error;

/// An error's text and those of its causes, separated by colons. A cause that its error quotes is not repeated.
pub(crate) fn causes(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let more = error.to_string();
        if !text.ends_with(&more) {
            text.extend([": ", &more]);
        }
        cause = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    enum Failed {
        #[error("could not read the Lease")]
        Read(#[source] Box<Failed>),
        #[error("the request failed: {0}")]
        Quotes(#[source] std::io::Error),
    }

    #[test]
    fn every_cause_is_told_once() {
        let reset = std::io::Error::other("connection reset");
        let error = Failed::Read(Box::new(Failed::Quotes(reset)));
        assert_eq!(
            causes(&error),
            "could not read the Lease: the request failed: connection reset"
        );
    }
}
