//! Reads the API server's admission reviews, has them decided within a deadline, and answers them.
//!
//! Only who calls by a secret path is heard. The bytes of all bodies together, the number of decisions at a time and the
//! time for each are bounded. A decision that panics is answered with an error and ends the process: nobody knows what it
//! left half done.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes, to_bytes};
use axum::extract::State;
use axum::http::{Method, Request, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Router};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use boboyka_crds::quantity;
use futures_util::FutureExt as _;
use kube::core::admission::{AdmissionRequest, AdmissionResponse, AdmissionReview};
use kube::core::{DynamicObject, Status};
use serde_json::Value;
use tokio::sync::{Notify, Semaphore, SemaphorePermit};
use tokio::time::{Instant, timeout};

use super::decision::{Decide, Decision};
use super::paths::Paths;
use super::places::Place;
use crate::causes::causes;
use crate::metrics::{Admitted, Metrics};

/// The largest review. An API server stores no object of half this size.
const BODY_BYTES_MAX: usize = 3 << 20;
/// The bytes of all reviews in flight, which bound memory: a review takes some times its bytes.
const FLIGHT_BYTES_MAX: usize = 6 << 20;
/// The body of a request arrives within this time.
const BODY_TIME_MAX: Duration = Duration::from_secs(1);
/// Decisions at a time. A decision takes about a millisecond.
const DECISIONS_MAX: usize = 32;
/// From the head of a request to its answer, at most.
const DEADLINE: Duration = Duration::from_secs(4);
/// An API server that waits less long gets its answer within this part of its time.
const PART_OF_TIMEOUT: f64 = 0.8;

/// The state of the handler.
struct Reviews {
    decide: Decide,
    metrics: Arc<Metrics>,
    paths: Paths,
    bytes: Semaphore,
    permits: Semaphore,
    panicked: Arc<Notify>,
}

/// The routes of the https server: the secret `paths`, and nothing else. `panicked` is notified when a decision panicked.
pub(crate) fn router(
    decide: Decide,
    paths: Paths,
    metrics: Arc<Metrics>,
    panicked: Arc<Notify>,
) -> Router {
    let reviews = Reviews {
        decide,
        metrics,
        paths,
        bytes: Semaphore::new(FLIGHT_BYTES_MAX),
        permits: Semaphore::new(DECISIONS_MAX),
        panicked,
    };
    Router::new().fallback(inject).with_state(Arc::new(reviews))
}

async fn inject(
    State(reviews): State<Arc<Reviews>>,
    place: Option<Extension<Place>>,
    request: Request<Body>,
) -> Response {
    if request.method() != Method::POST || !reviews.paths.has(request.uri().path()) {
        // Nothing is read of the body, and the connection ends.
        return (StatusCode::NOT_FOUND, [(header::CONNECTION, "close")]).into_response();
    }
    if let Some(Extension(place)) = place {
        place.prove();
    }
    let began = Instant::now();
    let deadline = deadline(request.uri().query());
    let (outcome, answer) = match timeout(deadline, reviews.answer(request)).await {
        Ok(Ok(answered)) => answered,
        Ok(Err(error)) => (error.outcome, error.into_response()),
        Err(_) => {
            let error = ReviewError::timeout(deadline);
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

/// When the answer must be there: before the API server gives up, which says in the query how long it waits.
fn deadline(query: Option<&str>) -> Duration {
    let mut parts = query.unwrap_or_default().split('&');
    let waits = parts.find_map(|part| part.strip_prefix("timeout="));
    let waits = waits.and_then(quantity::duration);
    waits.map_or(DEADLINE, |waits| {
        waits.mul_f64(PART_OF_TIMEOUT).min(DEADLINE)
    })
}

impl Reviews {
    async fn answer(&self, request: Request<Body>) -> Result<(Admitted, Response), ReviewError> {
        let (body, _bytes) = timeout(BODY_TIME_MAX, self.read(request))
            .await
            .map_err(|_| {
                let most = BODY_TIME_MAX.as_secs();
                ReviewError::malformed(format!("the body did not arrive within {most} s"))
            })??;
        // After the body is read: what arrives slowly keeps no decision waiting.
        let _permit = self.permits.acquire().await;
        let review = decode(&body).map_err(ReviewError::malformed)?;
        drop(body);
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

    /// The body, and the room that it takes among the bytes in flight.
    async fn read(
        &self,
        request: Request<Body>,
    ) -> Result<(Bytes, SemaphorePermit<'_>), ReviewError> {
        let length = request.headers().get(header::CONTENT_LENGTH);
        let length = length.and_then(|length| length.to_str().ok()?.parse().ok());
        // An API server always says how much it sends.
        let length = length.filter(|length| *length <= BODY_BYTES_MAX);
        let length = length.ok_or_else(|| {
            ReviewError::malformed(format!(
                "a review has a Content-Length of at most {BODY_BYTES_MAX} bytes"
            ))
        })?;
        let room = u32::try_from(length).unwrap_or(u32::MAX);
        let room = self.bytes.acquire_many(room).await;
        let room = room.map_err(|_| ReviewError::malformed("the operator ends".to_owned()))?;
        let body = to_bytes(request.into_body(), length).await;
        let body = body.map_err(|error| {
            ReviewError::malformed(format!("could not read the body: {}", causes(&error)))
        })?;
        Ok((body, room))
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

    fn timeout(deadline: Duration) -> Self {
        Self {
            outcome: Admitted::TimedOut,
            code: StatusCode::INTERNAL_SERVER_ERROR,
            message: format!("the operator did not decide about the pod within {deadline:?}"),
        }
    }
}

impl IntoResponse for ReviewError {
    fn into_response(self) -> Response {
        (self.code, self.message).into_response()
    }
}

/// The pod or integration that a review is about, for the log.
struct Subject {
    kind: String,
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
            kind: review.kind.kind.clone(),
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
            Decision::Sign { .. } => {
                let kind = &self.kind;
                tracing::debug!(kind, object = %self, review = self.uid, dry_run = self.dry_run, "signed a change of {kind} {self}");
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
        Decision::Sign { patch, warnings } => {
            if !patch.is_empty() {
                patched = Some(STANDARD.encode(serde_json::to_vec(&patch)?));
            }
            response.warnings = Some(warnings).filter(|warnings| !warnings.is_empty());
        }
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
