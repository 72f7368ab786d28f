//! One request to a witness: the only file that names reqwest.

use std::time::Duration;

use boboyka_tlog::Note;
use boboyka_tlog::note::NoteError;
use boboyka_tlog::witness::{AddCheckpoint, Answer, monitoring_path};
use reqwest::header::CONTENT_TYPE;
use reqwest::redirect::Policy;
use reqwest::{Client as Http, Response, StatusCode};

/// A witness that takes longer is asked again later.
const TIMEOUT: Duration = Duration::from_secs(10);
/// More than any answer has: a hundred signatures.
const ANSWER_BYTES_MAX: usize = 64 * 1024;

/// Why no witness can be asked.
#[derive(Debug, thiserror::Error)]
#[error("could not set up the HTTP client for witnesses")]
pub struct SetupError(#[from] reqwest::Error);

/// Sends requests to witnesses.
pub(crate) struct Client(Http);

impl Client {
    pub(crate) fn new() -> Result<Self, SetupError> {
        let builder = Http::builder().timeout(TIMEOUT);
        // What a witness says holds for its own address only.
        Ok(Self(builder.redirect(Policy::none()).build()?))
    }

    /// The answer of the witness at this prefix, or why there is none.
    pub(crate) async fn add_checkpoint(
        &self,
        prefix: &str,
        request: &AddCheckpoint,
    ) -> Result<Answer, String> {
        let url = format!("{}/add-checkpoint", prefix.trim_end_matches('/'));
        let post = self.0.post(url).body(request.to_string());
        let answer = post.send().await.map_err(|error| causes(&error))?;
        let status = answer.status().as_u16();
        let kind = answer.headers().get(CONTENT_TYPE).cloned();
        let kind = kind.as_ref().and_then(|kind| kind.to_str().ok());
        let body = body(answer).await?;
        Ok(Answer::read(status, kind, &body))
    }
}

impl Client {
    /// The newest checkpoint of a log that the witness at this prefix has cosigned; `None` if it shows none.
    pub(crate) async fn newest(&self, prefix: &str, origin: &str) -> Result<Option<Note>, String> {
        let path = monitoring_path(origin);
        let url = format!("{}/{path}", prefix.trim_end_matches('/'));
        let answer = self.0.get(url).send().await;
        let answer = answer.map_err(|error| causes(&error))?;
        let status = answer.status();
        let body = body(answer).await?;
        if status == StatusCode::NOT_FOUND {
            return Ok(None);
        }
        if !status.is_success() {
            return Err(format!("{}: {}", status.as_u16(), body.trim_end()));
        }
        let note = body.parse().map_err(|error: NoteError| error.to_string());
        note.map(Some)
    }
}

async fn body(mut answer: Response) -> Result<String, String> {
    let mut body = Vec::new();
    while let Some(chunk) = answer.chunk().await.map_err(|error| causes(&error))? {
        if body.len() + chunk.len() > ANSWER_BYTES_MAX {
            return Err(format!("its answer has more than {ANSWER_BYTES_MAX} bytes"));
        }
        body.extend_from_slice(&chunk);
    }
    String::from_utf8(body).map_err(|_| "its answer is not UTF-8".to_owned())
}

/// An error with what caused it.
fn causes(error: &dyn std::error::Error) -> String {
    let chain = std::iter::successors(Some(error), |error| error.source());
    chain
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join(": ")
}
