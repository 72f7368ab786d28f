//! Reads the API server's admission reviews, has them decided within a deadline, and answers them.
//!
//! The size of a body, the number of reviews at a time and the time for each are bounded. A decision that panics is
//! answered with an error and ends the process: nobody knows what it left half done.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::State;
use axum::http::{Request, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use futures_util::FutureExt as _;
use kube::core::admission::{AdmissionRequest, AdmissionResponse, AdmissionReview};
use kube::core::{DynamicObject, Status};
use serde_json::Value;
use tokio::sync::{Notify, Semaphore};
use tokio::time::{Instant, timeout};

use super::decision::{Decide, Decision};
use crate::causes::causes;
use crate::metrics::{Admitted, Metrics};

/// An API server takes objects of up to 3 MiB, and a review of an update has two.
const BODY_BYTES_MAX: usize = 7 << 20;
/// Reviews at a time, which bounds memory together with the size of a body. A decision takes about a millisecond.
const REVIEWS_MAX: usize = 32;
/// From the head of a request to its answer; shorter than the API server waits.
const DEADLINE: Duration = Duration::from_secs(5);

/// The state of the handler.
struct Reviews {
    decide: Decide,
    metrics: Arc<Metrics>,
    permits: Semaphore,
    panicked: Arc<Notify>,
}

/// The routes of the https server. `panicked` is notified when a decision panicked.
pub(crate) fn router(decide: Decide, metrics: Arc<Metrics>, panicked: Arc<Notify>) -> Router {
    let reviews = Reviews {
        decide,
        metrics,
        permits: Semaphore::new(REVIEWS_MAX),
        panicked,
    };
    Router::new()
        .route("/inject", post(inject))
        .with_state(Arc::new(reviews))
}

async fn inject(State(reviews): State<Arc<Reviews>>, request: Request<Body>) -> Response {
    let began = Instant::now();
    let (outcome, answer) = match timeout(DEADLINE, reviews.answer(request)).await {
        Ok(Ok(answered)) => answered,
        Ok(Err(error)) => (error.outcome, error.into_response()),
        Err(_) => {
            let error = ReviewError::timeout();
            tracing::error!(
                error = error.message,
                "could not answer an admission review"
            );
            (error.outcome, error.into_response())
        }
    };
    reviews.metrics.admitted(outcome, began.elapsed());
    answer
}

impl Reviews {
    async fn answer(&self, request: Request<Body>) -> Result<(Admitted, Response), ReviewError> {
        // Before the body is read: what waits takes no memory.
        let _permit = self.permits.acquire().await;
        let body = to_bytes(request.into_body(), BODY_BYTES_MAX)
            .await
            .map_err(|error| {
                ReviewError::malformed(format!("could not read the body: {}", causes(&error)))
            })?;
        let review = decode(&body).map_err(ReviewError::malformed)?;
        let subject = Subject::of(&review);
        let response = AdmissionResponse::from(&review);
        let decide = &self.decide;
        // Calling it may panic as well as awaiting it.
        let decision = AssertUnwindSafe(async { decide(review).await })
            .catch_unwind()
            .await
            .map_err(|_| {
                tracing::error!(pod = %subject, "the decision about pod {subject} panicked");
                self.panicked.notify_one();
                ReviewError::panicked()
            })?;
        subject.log(&decision);
        let outcome = decision.outcome();
        let answer = encode(response, decision).map_err(|error| ReviewError::failed(&error))?;
        let json = [(header::CONTENT_TYPE, "application/json")];
        Ok((outcome, (json, answer).into_response()))
    }
}

/// An error instead of an answer; the API server shows its message.
struct ReviewError {
    outcome: Admitted,
    code: StatusCode,
    message: String,
}

impl ReviewError {
    fn malformed(message: String) -> Self {
        tracing::warn!(
            error = message,
            "received a request that is no admission review"
        );
        Self {
            outcome: Admitted::Malformed,
            code: StatusCode::BAD_REQUEST,
            message,
        }
    }

    fn failed(error: &serde_json::Error) -> Self {
        tracing::error!(
            error = causes(error),
            "could not answer an admission review"
        );
        Self {
            outcome: Admitted::Failed,
            code: StatusCode::INTERNAL_SERVER_ERROR,
            message: "the operator could not write its answer".to_owned(),
        }
    }

    fn panicked() -> Self {
        Self {
            outcome: Admitted::Panicked,
            code: StatusCode::INTERNAL_SERVER_ERROR,
            message: "the operator failed while it decided about the pod and restarts".to_owned(),
        }
    }

    fn timeout() -> Self {
        Self {
            outcome: Admitted::TimedOut,
            code: StatusCode::INTERNAL_SERVER_ERROR,
            message: format!(
                "the operator did not decide about the pod within {} s",
                DEADLINE.as_secs()
            ),
        }
    }
}

impl IntoResponse for ReviewError {
    fn into_response(self) -> Response {
        (self.code, self.message).into_response()
    }
}

/// The pod that a review is about, for the log.
struct Subject {
    namespace: String,
    name: String,
    uid: String,
    dry_run: bool,
}

impl Subject {
    fn of(review: &AdmissionRequest<DynamicObject>) -> Self {
        let generated = review
            .object
            .as_ref()
            .and_then(|object| object.metadata.generate_name.clone());
        let name = Some(review.name.clone()).filter(|name| !name.is_empty());
        Self {
            namespace: review.namespace.clone().unwrap_or_default(),
            name: name.or(generated).unwrap_or_default(),
            uid: review.uid.clone(),
            dry_run: review.dry_run,
        }
    }

    fn log(&self, decision: &Decision) {
        match decision {
            Decision::Inject(_) => {
                tracing::info!(pod = %self, review = self.uid, dry_run = self.dry_run, "injected a sidecar into pod {self}");
            }
            // The decider logs what is worth more than this.
            Decision::Skip(why) | Decision::Refuse(why) => {
                tracing::debug!(pod = %self, review = self.uid, why, "{} pod {self}", decision.outcome().as_str());
            }
        }
    }
}

impl std::fmt::Display for Subject {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

/// Reads a review. The pod stays untyped, so that fields newer than this program survive.
fn decode(body: &[u8]) -> Result<AdmissionRequest<DynamicObject>, String> {
    let review: AdmissionReview<DynamicObject> = serde_json::from_slice(body)
        .map_err(|error| format!("the body is no AdmissionReview: {}", causes(&error)))?;
    let version = &review.types.api_version;
    if version != kube::core::admission::META_API_VERSION_V1 {
        return Err(format!(
            "the AdmissionReview has version {version:?}; the operator reads admission.k8s.io/v1"
        ));
    }
    review
        .try_into()
        .map_err(|_| "the AdmissionReview has no request".to_owned())
}

/// Writes the answer to a review.
fn encode(
    mut response: AdmissionResponse,
    decision: Decision,
) -> Result<String, serde_json::Error> {
    let mut patched = None;
    match decision {
        Decision::Inject(patch) => patched = Some(STANDARD.encode(serde_json::to_vec(&patch)?)),
        Decision::Skip(reason) => {
            response.audit_annotations = [("skipped".to_owned(), reason)].into();
        }
        Decision::Refuse(message) => {
            response.allowed = false;
            response.result = Status::failure(&message, "Forbidden").with_code(403);
        }
    }
    let mut review = serde_json::to_value(response.into_review())?;
    if let Some(patch) = patched
        && let Some(response) = review.get_mut("response").and_then(Value::as_object_mut)
    {
        // Kubernetes reads bytes as base64; the library would write an array of numbers.
        response.insert("patch".to_owned(), patch.into());
        response.insert("patchType".to_owned(), "JSONPatch".into());
    }
    Ok(review.to_string())
}

#[cfg(test)]
mod tests;
