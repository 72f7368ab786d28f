//! An error as one line for a log or a status: its text and the text of every cause.
//!
//! The JSON log writes only the text of an error that is recorded as one, and drops its causes. So errors are recorded
//! by `error = causes(&error)`, in both formats alike. An answer of the API server is told by its message, a sentence; the
//! library would write out the whole answer.

use std::error::Error;

/// An error's text and those of its causes, separated by colons. A cause that its error quotes is not repeated.
pub(crate) fn causes(error: &(dyn Error + 'static)) -> String {
    let mut text = String::new();
    let mut next = Some(error);
    while let Some(error) = next {
        let (whole, answer) = (error.to_string(), answer(error));
        let more = answer.as_ref().unwrap_or(&whole);
        if text.is_empty() {
            text.clone_from(more);
        } else if text.contains(&whole) {
            text = text.replace(&whole, more);
        } else if !text.ends_with(more) {
            text.extend([": ", more]);
        }
        next = error.source().filter(|_| answer.is_none());
    }
    text
}

/// What the API server answered, if the error is its answer.
fn answer(error: &(dyn Error + 'static)) -> Option<String> {
    let boxed = error.downcast_ref::<Box<kube::Error>>().map(|one| &**one);
    let Some(kube::Error::Api(status)) = error.downcast_ref().or(boxed) else {
        return None;
    };
    let said = [&status.message, &status.reason];
    let said = said.into_iter().find(|said| !said.is_empty());
    Some(said.map_or_else(
        || format!("the API server answered {}", status.code),
        String::clone,
    ))
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
    fn an_answer_of_the_api_server_is_one_sentence() {
        let said = "pods \"p-0\" is forbidden: exceeded quota: none";
        let status = kube::core::Status::failure(said, "Forbidden").with_code(403);
        let error = kube::Error::Api(Box::new(status));
        let wrapped = crate::strands::refusal::Refusal::Api {
            doing: "create strand i-0".to_owned(),
            source: Box::new(error),
        };
        assert_eq!(
            causes(&wrapped),
            format!("could not create strand i-0: {said}")
        );
        let status = kube::core::Status::failure(said, "Forbidden").with_code(403);
        let watched =
            kube::runtime::watcher::Error::InitialListFailed(kube::Error::Api(Box::new(status)));
        let told = causes(&watched);
        assert!(told.ends_with(said) && !told.contains("Status {"), "{told}");
        let silent = kube::Error::Api(Box::new(kube::core::Status::default().with_code(500)));
        assert_eq!(causes(&silent), "the API server answered 500");
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
