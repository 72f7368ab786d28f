//! The calls by which the API server asks about pods that are to be created. A review is decoded, decided within a
//! deadline, and answered; what is decided is not known here.
//!
//! Bodies, calls at a time and time are bounded. A decision that panics is answered with an error and ends the
//! process: nobody knows what it left half done.

pub mod choose;
pub mod inject;
mod server;

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
use futures_util::future::BoxFuture;
use kube::core::admission::{AdmissionRequest, AdmissionResponse, AdmissionReview};
use kube::core::{DynamicObject, Status};
use serde_json::Value;
use tokio::sync::{Notify, Semaphore};
use tokio::time::{Instant, timeout};

use crate::metrics::Metrics;

pub(crate) use server::serve;

/// An API server takes objects of up to 3 MiB, and a review of an update has two.
const BODY_BYTES_MAX: usize = 7 << 20;
/// Reviews under way; with the bound on bodies it bounds memory. Decisions take a millisecond or so.
const REVIEWS_MAX: usize = 32;
/// From the request's head to the answer; shorter than the API server waits.
const DEADLINE: Duration = Duration::from_secs(5);

/// What becomes of a pod.
#[derive(Clone, Debug, PartialEq)]
pub enum Decision {
    /// It is let in with these changes.
    Inject(json_patch::Patch),
    /// It is let in as it is, for this reason.
    Skip(String),
    /// It is not let in; the message is for whoever created it.
    Refuse(String),
}

impl Decision {
    fn name(&self) -> &'static str {
        match self {
            Self::Inject(_) => "injected",
            Self::Skip(_) => "skipped",
            Self::Refuse(_) => "refused",
        }
    }
}

/// Decides about one pod.
pub type Decide =
    Arc<dyn Fn(AdmissionRequest<DynamicObject>) -> BoxFuture<'static, Decision> + Send + Sync>;

/// What the handler needs.
struct Reviews {
    decide: Decide,
    metrics: Arc<Metrics>,
    permits: Semaphore,
    panicked: Arc<Notify>,
}

/// The routes of the https server. `panicked` is told when a decision panicked.
pub fn router(decide: Decide, metrics: Arc<Metrics>, panicked: Arc<Notify>) -> Router {
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
        Ok(Err(refusal)) => (refusal.outcome, refusal.into_response()),
        Err(_) => {
            let refusal = Refusal::timeout();
            tracing::error!(error = refusal.message, "a review was not answered");
            (refusal.outcome, refusal.into_response())
        }
    };
    reviews.metrics.admitted(outcome, began.elapsed());
    answer
}

impl Reviews {
    async fn answer(&self, request: Request<Body>) -> Result<(&'static str, Response), Refusal> {
        // Before the body is read: what waits takes no memory.
        let _permit = self.permits.acquire().await;
        let body = to_bytes(request.into_body(), BODY_BYTES_MAX)
            .await
            .map_err(|error| Refusal::malformed(format!("the body could not be read: {error}")))?;
        let review = decode(&body).map_err(Refusal::malformed)?;
        let subject = Subject::of(&review);
        let response = AdmissionResponse::from(&review);
        let decide = &self.decide;
        // Calling it may panic as well as awaiting it.
        let decision = AssertUnwindSafe(async { decide(review).await })
            .catch_unwind()
            .await
            .map_err(|_| {
                tracing::error!(%subject, "a decision panicked");
                self.panicked.notify_one();
                Refusal::panicked()
            })?;
        subject.log(&decision);
        let outcome = decision.name();
        let answer = encode(response, decision).map_err(|error| Refusal::failed(&error))?;
        let json = [(header::CONTENT_TYPE, "application/json")];
        Ok((outcome, (json, answer).into_response()))
    }
}

/// An error instead of a review; the API server shows its message.
struct Refusal {
    outcome: &'static str,
    code: StatusCode,
    message: String,
}

impl Refusal {
    fn malformed(message: String) -> Self {
        tracing::warn!(error = message, "a request was no admission review");
        Self {
            outcome: "malformed",
            code: StatusCode::BAD_REQUEST,
            message,
        }
    }

    fn failed(error: &serde_json::Error) -> Self {
        tracing::error!(%error, "a review was not answered");
        Self {
            outcome: "failed",
            code: StatusCode::INTERNAL_SERVER_ERROR,
            message: "the answer could not be written".to_owned(),
        }
    }

    fn panicked() -> Self {
        Self {
            outcome: "panicked",
            code: StatusCode::INTERNAL_SERVER_ERROR,
            message: "the operator failed while it decided; it starts again".to_owned(),
        }
    }

    fn timeout() -> Self {
        Self {
            outcome: "timed_out",
            code: StatusCode::INTERNAL_SERVER_ERROR,
            message: format!(
                "the operator did not decide within {} s",
                DEADLINE.as_secs()
            ),
        }
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        (self.code, self.message).into_response()
    }
}

/// Which pod a review is about, for the log.
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
                tracing::info!(pod = %self, review = self.uid, dry_run = self.dry_run, "pod {self} gets a sidecar");
            }
            // Whoever decided so has told it where it is worth a line.
            Decision::Skip(why) | Decision::Refuse(why) => {
                tracing::debug!(pod = %self, review = self.uid, why, "pod {self} is {}", decision.name());
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
        .map_err(|error| format!("the body is no AdmissionReview: {error}"))?;
    let version = &review.types.api_version;
    if version != kube::core::admission::META_API_VERSION_V1 {
        return Err(format!(
            "the AdmissionReview is of {version:?}; admission.k8s.io/v1 is understood"
        ));
    }
    review
        .try_into()
        .map_err(|_| "the AdmissionReview has no request".to_owned())
}

/// The answer to a review.
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
        // The library would write an array of numbers; bytes are base64 in Kubernetes.
        response.insert("patch".to_owned(), patch.into());
        response.insert("patchType".to_owned(), "JSONPatch".into());
    }
    Ok(review.to_string())
}

#[cfg(test)]
mod tests;
