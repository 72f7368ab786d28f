//! Admission: a policy of the API server's own, and a webhook of ours that it calls through a Service.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use boboyka_cluster::{Cluster, TestNamespace, wait_for};
use boboyka_tests::process::GUARD;
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::service::service_fn;
use hyper::{Request, Response, body::Incoming};
use hyper_util::rt::TokioIo;
use k8s_openapi::api::admissionregistration::v1::{
    MutatingWebhookConfiguration, ValidatingAdmissionPolicy, ValidatingAdmissionPolicyBinding,
};
use k8s_openapi::api::core::v1::{ConfigMap, Service};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::api::{DeleteParams, PostParams};
use kube::{Api, ResourceExt as _};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use crate::shared::{cluster, run};

const LIMIT: Duration = GUARD;

#[test]
fn a_validating_admission_policy_refuses_what_it_forbids() {
    run(async {
        let client = cluster().await.client();
        let namespace = TestNamespace::new(client.clone()).await.unwrap();
        let name = namespace.name();
        let policy = json!({"metadata": {"name": name}, "spec": {
            "failurePolicy": "Fail",
            "matchConstraints": {"resourceRules": [{"apiGroups": [""], "apiVersions": ["v1"],
                "operations": ["CREATE"], "resources": ["configmaps"]}],
                "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": name}}},
            "validations": [{"expression": "!has(object.data.forbidden)", "message": "forbidden by the test"}],
        }});
        let binding = json!({"metadata": {"name": name},
            "spec": {"policyName": name, "validationActions": ["Deny"]}});
        let (policies, bindings) = (
            Api::<ValidatingAdmissionPolicy>::all(client.clone()),
            Api::<ValidatingAdmissionPolicyBinding>::all(client),
        );
        let create = PostParams::default();
        policies
            .create(&create, &serde_json::from_value(policy).unwrap())
            .await
            .unwrap();
        bindings
            .create(&create, &serde_json::from_value(binding).unwrap())
            .await
            .unwrap();
        // A policy takes a moment to be in force.
        wait_for("the refusal", LIMIT, || async {
            let map = json!({"metadata": {"generateName": "m-"}, "data": {"forbidden": "x"}});
            let refused = namespace.create::<ConfigMap>(map).await;
            Ok(refused.is_err_and(|error| error.to_string().contains("forbidden by the test")))
        })
        .await
        .unwrap();
        let map = json!({"metadata": {"name": "allowed"}, "data": {"other": "x"}});
        namespace.create::<ConfigMap>(map).await.unwrap();
        bindings
            .delete(name, &DeleteParams::default())
            .await
            .unwrap();
        policies
            .delete(name, &DeleteParams::default())
            .await
            .unwrap();
    });
}

#[test]
fn a_mutating_webhook_behind_a_service_is_called() {
    run(async {
        let cluster = cluster().await;
        let client = cluster.client();
        let namespace = TestNamespace::new(client.clone()).await.unwrap();
        let name = namespace.name();
        let (port, authority) = serve_webhook(cluster, &format!("hook.{name}.svc")).await;
        let service = json!({"metadata": {"name": "hook"}, "spec": {"ports": [{"port": 443, "targetPort": port}]}});
        namespace.create::<Service>(service).await.unwrap();
        let slice = json!({
            "metadata": {"name": "hook", "labels": {"kubernetes.io/service-name": "hook"}},
            "addressType": "IPv4", "ports": [{"port": port, "protocol": "TCP"}],
            "endpoints": [{"addresses": [cluster.host()], "conditions": {"ready": true}}],
        });
        namespace.create::<EndpointSlice>(slice).await.unwrap();
        let hook = json!({"metadata": {"name": name}, "webhooks": [{
            "name": "hook.boboyka.test", "admissionReviewVersions": ["v1"], "sideEffects": "None",
            "failurePolicy": "Ignore",
            "clientConfig": {"caBundle": STANDARD.encode(authority),
                "service": {"name": "hook", "namespace": name, "port": 443, "path": "/"}},
            "rules": [{"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["services"]}],
            "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": name}},
        }]});
        let hooks: Api<MutatingWebhookConfiguration> = Api::all(client);
        hooks
            .create(
                &PostParams::default(),
                &serde_json::from_value(hook).unwrap(),
            )
            .await
            .unwrap();
        wait_for("the webhook's label", LIMIT, || async {
            let service =
                json!({"metadata": {"generateName": "s-"}, "spec": {"ports": [{"port": 80}]}});
            let made = namespace.create::<Service>(service).await?;
            Ok(made
                .labels()
                .get("seen-by")
                .is_some_and(|by| by == "the-webhook"))
        })
        .await
        .unwrap();
        hooks.delete(name, &DeleteParams::default()).await.unwrap();
    });
}

/// Serves a webhook that labels everything, on this machine's end of the cluster's link; its port and authority.
async fn serve_webhook(cluster: &Cluster, name: &str) -> (u16, String) {
    let (certificate, key, authority) = cluster.server_certificate(name).unwrap();
    let certificate = CertificateDer::from_pem_slice(certificate.as_bytes()).unwrap();
    let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap();
    let settings = rustls::ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(settings));
    let listener = TcpListener::bind((cluster.host(), 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                if let Ok(stream) = acceptor.accept(stream).await {
                    let http = hyper::server::conn::http1::Builder::new();
                    let _ = http
                        .serve_connection(TokioIo::new(stream), service_fn(answer))
                        .await;
                }
            });
        }
    });
    (port, authority)
}

async fn answer(request: Request<Incoming>) -> Result<Response<Full<Bytes>>, hyper::Error> {
    let body = request.into_body().collect().await?.to_bytes();
    let review: Value = serde_json::from_slice(&body).unwrap();
    let patch =
        json!([{"op": "add", "path": "/metadata/labels", "value": {"seen-by": "the-webhook"}}]);
    let answer = json!({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "response": {
        "uid": review["request"]["uid"], "allowed": true, "patchType": "JSONPatch",
        "patch": STANDARD.encode(patch.to_string()),
    }});
    Ok(Response::builder()
        .header("content-type", "application/json")
        .body(Full::new(Bytes::from(answer.to_string())))
        .unwrap())
}
