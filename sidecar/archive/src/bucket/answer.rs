//! What the errors of `object_store` mean.

use object_store::Error;

use crate::fault::Kind;

/// What kind of failure it is, in words that hold nothing of the request.
pub(super) fn told(error: &Error) -> (Kind, String) {
    let known = |kind, why: &str| (kind, why.to_owned());
    if matches!(error, Error::PermissionDenied { .. }) {
        return known(Kind::Refused, "the store answers 403");
    }
    if matches!(error, Error::Unauthenticated { .. }) {
        return known(Kind::Refused, "the store answers 401");
    }
    if matches!(error, Error::AlreadyExists { .. }) {
        return known(Kind::Conflict, "it is there already");
    }
    if matches!(error, Error::Precondition { .. }) {
        return known(Kind::Busy, "somebody else has replaced it");
    }
    if matches!(error, Error::NotFound { .. }) {
        return known(Kind::Missing, "it is not there");
    }
    let text = causes(error);
    let Some(status) = status(&text) else {
        let sent = text.contains("error sending request") || text.contains("HTTP error");
        return if sent {
            known(Kind::Unreachable, "the store does not answer")
        } else {
            (Kind::Failed, reason(error))
        };
    };
    let kind = match status {
        401 | 403 => Kind::Refused,
        429 | 500.. => Kind::Busy,
        _ => Kind::Failed,
    };
    (kind, format!("the store answers {status}"))
}

/// The status that a server answered with.
fn status(text: &str) -> Option<u16> {
    let (_, rest) = text.split_once("status code: ")?;
    rest.get(..3)?.parse().ok()
}

/// The operating system's reason, which is all that is repeated.
fn reason(error: &Error) -> String {
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(at) = cause {
        if let Some(io) = at.downcast_ref::<std::io::Error>() {
            return io.to_string();
        }
        cause = at.source();
    }
    "the store could not do it".to_owned()
}

fn causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(at) = cause {
        text.push_str(": ");
        text.push_str(&at.to_string());
        cause = at.source();
    }
    text
}
