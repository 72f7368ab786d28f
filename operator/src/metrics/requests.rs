//! A layer around the client's connection that counts requests to the API server.

use std::sync::Arc;
use std::task::{Context, Poll};

use axum::http::{Method, Request, Response, Uri};
use futures_util::future::BoxFuture;
use tower::{Layer, Service};

use super::registry::Metrics;

/// Counts requests by verb, resource and code.
#[derive(Clone, Debug)]
pub(crate) struct CountRequests(Arc<Metrics>);

impl CountRequests {
    /// A layer that counts into these metrics.
    pub(crate) fn new(metrics: Arc<Metrics>) -> Self {
        Self(metrics)
    }
}

impl<S> Layer<S> for CountRequests {
    type Service = Counted<S>;

    fn layer(&self, inner: S) -> Counted<S> {
        Counted {
            inner,
            metrics: Arc::clone(&self.0),
        }
    }
}

/// The client's connection, counted.
#[derive(Clone, Debug)]
pub(crate) struct Counted<S> {
    inner: S,
    metrics: Arc<Metrics>,
}

impl<S, B, C> Service<Request<B>> for Counted<S>
where
    S: Service<Request<B>, Response = Response<C>>,
    S::Future: Send + 'static,
{
    type Response = Response<C>;
    type Error = S::Error;
    type Future = BoxFuture<'static, Result<Response<C>, S::Error>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let (verb, resource) = what(request.method(), request.uri());
        let metrics = Arc::clone(&self.metrics);
        let answer = self.inner.call(request);
        Box::pin(async move {
            let answer = answer.await;
            let code = answer.as_ref().map_or(0, |answer| answer.status().as_u16());
            metrics.requested(verb, resource, code);
            answer
        })
    }
}

/// The verb and the resource (with its subresource) of a request, as the API server's authorizer knows them.
fn what(method: &Method, uri: &Uri) -> (&'static str, String) {
    let mut parts = uri.path().split('/').filter(|part| !part.is_empty());
    match parts.next() {
        // /api/VERSION and /apis/GROUP/VERSION
        Some("api") => drop(parts.next()),
        Some("apis") => drop((parts.next(), parts.next())),
        _ => return (verb(method, uri, true), "none".to_owned()),
    }
    let parts: Vec<_> = parts.collect();
    let rest = match parts.as_slice() {
        ["namespaces", _, rest @ ..] if !rest.is_empty() && rest != ["status"] => rest,
        all => all,
    };
    let resource = match rest {
        [resource, _, subresource, ..] => format!("{resource}/{subresource}"),
        [resource, ..] => (*resource).to_owned(),
        [] => "none".to_owned(),
    };
    (verb(method, uri, rest.len() > 1), resource)
}

fn verb(method: &Method, uri: &Uri, named: bool) -> &'static str {
    let watches = uri
        .query()
        .is_some_and(|query| query.split('&').any(|one| one == "watch=true"));
    match (method.as_str(), named) {
        ("GET", _) if watches => "watch",
        ("GET", true) => "get",
        ("GET", false) => "list",
        ("POST", _) => "create",
        ("PUT", _) => "update",
        ("PATCH", _) => "patch",
        ("DELETE", true) => "delete",
        ("DELETE", false) => "deletecollection",
        _ => "other",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_named_as_the_authorizer_names_it() {
        for (method, uri, verb, resource) in [
            ("GET", "/api/v1/pods?watch=true&limit=5", "watch", "pods"),
            ("GET", "/api/v1/namespaces/a/pods", "list", "pods"),
            ("GET", "/api/v1/namespaces/a/pods/p", "get", "pods"),
            ("GET", "/api/v1/namespaces/a", "get", "namespaces"),
            ("GET", "/api/v1/namespaces", "list", "namespaces"),
            (
                "PATCH",
                "/apis/boboyka.sapixdb.com/v1alpha1/namespaces/a/boboykastrands/s/status?force=true",
                "patch",
                "boboykastrands/status",
            ),
            (
                "PUT",
                "/apis/coordination.k8s.io/v1/namespaces/a/leases/l",
                "update",
                "leases",
            ),
            ("POST", "/apis/batch/v1/namespaces/a/jobs", "create", "jobs"),
            ("GET", "/version", "get", "none"),
        ] {
            let method = Method::from_bytes(method.as_bytes()).unwrap();
            let said = what(&method, &uri.parse().unwrap());
            assert_eq!(said, (verb, resource.to_owned()), "{uri}");
        }
    }
}
