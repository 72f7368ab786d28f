//! Strangers: whoever has nothing but the address of the operator, and what they can make of it.

use boboyka_cluster::wait_for;
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Pod};
use kube::api::{ListParams, PostParams};
use serde_json::{Value, json};

use super::installed::{Installed, LIMIT, NAME};
use super::replica::Replica;
use crate::shared::run;

/// A review of a labelled pod, as an API server would send it.
fn forged(namespace: &str, number: u32) -> Value {
    json!({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": {
        "uid": format!("u-{number}"), "kind": {"group": "", "version": "v1", "kind": "Pod"},
        "resource": {"group": "", "version": "v1", "resource": "pods"},
        "namespace": namespace, "operation": "CREATE", "userInfo": {"username": "system:kube-controller-manager"},
        "object": {"apiVersion": "v1", "kind": "Pod",
            "metadata": {"generateName": "p-", "labels": {"boboyka.sapixdb.com/integration": "boboyka"}},
            "spec": {"containers": [{"name": "c", "image": "i"}]}},
        "oldObject": null, "options": {"kind": "CreateOptions", "apiVersion": "meta.k8s.io/v1"},
    }})
}

/// Requests that claim a body and send half of it, over connections that stay open.
async fn half_sent(
    replica: &Replica,
    bundle: &[u8],
    path: &str,
    count: usize,
) -> Vec<Box<dyn Send>> {
    let mut open: Vec<Box<dyn Send>> = Vec::new();
    for _ in 0..count {
        let head = format!("POST {path} HTTP/1.1\r\nhost: h\r\ncontent-length: 1000000\r\n\r\n{{");
        // An operator that is full may drop the connection already.
        if let Ok(stream) = replica.send(bundle, &head).await {
            open.push(Box::new(stream));
        }
    }
    open
}

#[test]
fn a_review_that_no_api_server_sent_changes_nothing() {
    run(async {
        let installed = Installed::new().await;
        let replica = installed.operated(&[]).await;
        let bundle = installed.bundles().await.remove(0);
        let namespace = installed.namespace.name();
        for (number, path) in
            (0..).zip(["/inject", "/", "/inject/", "/inject?timeout=5s"].repeat(25))
        {
            let body = forged(namespace, number).to_string();
            let answer = replica.post(&bundle, path, &body).await.unwrap();
            assert!(answer.starts_with("HTTP/1.1 404"), "{answer}");
        }
        assert!(installed.strands().await.is_empty());
        let all = ListParams::default();
        let claims = installed.namespace.api::<PersistentVolumeClaim>();
        assert!(claims.list(&all).await.unwrap().items.is_empty());
    });
}

#[test]
fn connections_that_send_nothing_or_half_keep_no_pod_waiting() {
    run(async {
        let installed = Installed::new().await;
        let replica = installed.operator(&[]).await;
        let bundle = installed.bundles().await.remove(0);
        let mut open = half_sent(&replica, &bundle, "/inject", 300).await;
        for _ in 0..300 {
            open.extend(
                replica
                    .send(&bundle, "")
                    .await
                    .map(|one| Box::new(one) as Box<dyn Send>),
            );
        }
        for _ in 0..20 {
            installed.admit().await.unwrap();
        }
        // Even who knows the path keeps a review waiting only for as long as a body may take.
        let path = installed.path().await;
        open.extend(half_sent(&replica, &bundle, &path, 300).await);
        installed.admitted().await;
        drop(open);
    });
}

#[test]
fn the_path_is_secret_changes_and_is_put_right() {
    run(async {
        let installed = Installed::new().await;
        // The path changes when a fourth of an authority's life is over.
        let replicas =
            ["first", "second"].map(|name| installed.replica(name, &["--authority-lifetime=40s"]));
        installed.call(&[&replicas[0], &replicas[1]]).await;
        installed.admitted().await;
        let first = installed.path().await;
        assert!(first.starts_with("/inject/") && first.len() > 40, "{first}");
        wait_for("another path", LIMIT, || async {
            installed.admit().await?;
            Ok(installed.path().await != first)
        })
        .await
        .unwrap();
        // Somebody applies the chart anew.
        let mut hook = installed.hooks().get(NAME).await.unwrap();
        for (one, replica) in hook.webhooks.iter_mut().flatten().zip(&replicas) {
            one.client_config.url = Some(format!("https://{}/inject", replica.webhook));
        }
        let how = PostParams::default();
        installed.hooks().replace(NAME, &how, &hook).await.unwrap();
        installed.admitted().await;
        let path = installed.path().await;
        assert!(path.starts_with("/inject/") && path.len() > 40, "{path}");
        let said = replicas.each_ref().map(Replica::log).concat();
        assert!(!said.contains(&first) && !said.contains(&path), "{said}");
        let pods = installed.namespace.api::<Pod>();
        assert!(
            pods.list(&ListParams::default())
                .await
                .unwrap()
                .items
                .is_empty()
        );
    });
}
