//! Which strand a pod gets where the API server knows more than the caches.

use std::convert::Infallible;
use std::sync::Mutex;

use axum::http::{Method, Request, Response};
use boboyka_crds::{BoboykaStrandSpec, Holder, Slot, names};
use k8s_openapi::api::core::v1::Pod;
use kube::client::Body;
use serde_json::{Value, json};

use super::*;
use crate::integration::tests::validated;

const STRAND: &str = "boboyka-web-n1";
const WORKLOAD: &str = "DaemonSet/web";

/// What an API server has.
struct Server {
    /// The strand.
    strand: Value,
    /// Whether the pod that held it is there.
    has_pod: bool,
    /// How often the strand changes just before a write arrives.
    changes: usize,
    /// Whether another pod is faster then.
    is_taken: bool,
    writes: usize,
    pod_reads: usize,
}

impl Server {
    fn answer(&mut self, method: &Method, path: &str, body: &[u8]) -> (u16, Value) {
        let failure = |code: u16, reason: &str| {
            let status = json!({"kind": "Status", "status": "Failure", "code": code, "message": "no", "reason": reason});
            (code, status)
        };
        if path.contains("/pods/") {
            self.pod_reads += 1;
            let pod = json!({"metadata": {"name": "before", "uid": "u-before"}});
            return if self.has_pod {
                (200, pod)
            } else {
                failure(404, "NotFound")
            };
        }
        if *method == Method::GET {
            return (200, self.strand.clone());
        }
        self.writes += 1;
        let version = &self.strand["metadata"]["resourceVersion"];
        let version: usize = version.as_str().unwrap().parse().unwrap();
        let next = json!((version + 1).to_string());
        if self.changes > 0 {
            self.changes -= 1;
            self.strand["metadata"]["resourceVersion"] = next;
            if self.is_taken {
                self.strand["spec"]["holder"] = json!({"token": "another"});
            }
            return failure(409, "Conflict");
        }
        let change: Value = serde_json::from_slice(body).unwrap();
        if change["metadata"]["resourceVersion"] != self.strand["metadata"]["resourceVersion"] {
            return failure(409, "Conflict");
        }
        json_patch::merge(&mut self.strand, &change);
        self.strand["metadata"]["resourceVersion"] = next;
        (200, self.strand.clone())
    }
}

fn client(server: &Arc<Mutex<Server>>) -> Client {
    let server = Arc::clone(server);
    let service = tower::service_fn(move |request: Request<Body>| {
        let server = Arc::clone(&server);
        async move {
            let (head, body) = request.into_parts();
            let body = body.collect_bytes().await.unwrap();
            let mut server = server.lock().unwrap();
            let (status, answer) = server.answer(&head.method, head.uri.path(), &body);
            let response = Response::builder().status(status);
            let response = response.body(Body::from(answer.to_string().into_bytes()));
            Ok::<_, Infallible>(response.unwrap())
        }
    });
    Client::new(service, "agents")
}

fn slot() -> Slot {
    Slot {
        kind: "DaemonSet".to_owned(),
        name: "web".to_owned(),
        key: "n1".to_owned(),
    }
}

/// A strand of a workload whose pod `before` holds it.
fn strand(name: &str, slot: Option<Slot>) -> BoboykaStrand {
    let spec = BoboykaStrandSpec {
        integration: "boboyka".to_owned(),
        claim_name: Some(names::claim_of(name)),
        slot,
        workload: Some(WORKLOAD.to_owned()),
        holder: Some(Holder {
            token: "t".to_owned(),
            pod_name: Some("before".to_owned()),
            pod_uid: Some("u-before".to_owned()),
            ..Holder::default()
        }),
        ..BoboykaStrandSpec::default()
    };
    let mut strand = BoboykaStrand::new(name, spec);
    strand.metadata.namespace = Some("agents".to_owned());
    strand.metadata.resource_version = Some("7".to_owned());
    strand
}

/// The holder, as the cache may still show it.
fn holder() -> Pod {
    let pod = json!({"metadata": {"name": "before", "namespace": "agents", "uid": "u-before"}});
    serde_json::from_value(pod).unwrap()
}

fn server(strand: &BoboykaStrand) -> Server {
    Server {
        strand: json!(strand),
        has_pod: false,
        changes: 0,
        is_taken: false,
        writes: 0,
        pod_reads: 0,
    }
}

/// The strand that the workload's next pod gets, and how often the server was asked to write a strand and to read a pod.
async fn given(
    server: Server,
    strands: Vec<BoboykaStrand>,
    pods: Vec<Pod>,
) -> (String, usize, usize) {
    let requester = Requester {
        slot: strands[0].spec.slot.clone(),
        workload: Some(WORKLOAD.to_owned()),
        ..Requester::default()
    };
    let server = Arc::new(Mutex::new(server));
    let giver = Giver::new(client(&server), Caches::with(strands, pods));
    let held = giver.give(&validated(&json!({})), &requester, false).await;
    let server = server.lock().unwrap();
    (held.unwrap().strand, server.writes, server.pod_reads)
}

#[tokio::test]
async fn a_strand_that_changes_while_it_is_given_is_the_pods_as_long_as_it_is_free() {
    let ours = strand(STRAND, Some(slot()));
    for (changes, is_taken, gets_it) in [
        (0, false, true),
        (1, false, true),
        (5, false, true),
        (1, true, false),
        (usize::MAX, false, false),
    ] {
        let server = Server {
            changes,
            is_taken,
            ..server(&ours)
        };
        let (name, writes, _) = given(server, vec![ours.clone()], Vec::new()).await;
        assert_eq!(name == STRAND, gets_it, "{changes} {is_taken}: {name}");
        let least = changes.saturating_add(1).min(WRITES);
        assert_eq!(writes, if is_taken { 1 } else { least });
    }
}

#[tokio::test]
async fn a_nodes_pod_gets_its_strand_though_the_cache_still_shows_the_pod_before() {
    for slot in [Some(slot()), None] {
        let ours = strand(STRAND, slot);
        for (has_pod, gets_it) in [(false, true), (true, false)] {
            let server = Server {
                has_pod,
                ..server(&ours)
            };
            let (name, ..) = given(server, vec![ours.clone()], vec![holder()]).await;
            assert_eq!(name == STRAND, gets_it, "{name}");
        }
    }
}

#[tokio::test]
async fn the_pods_of_a_large_workload_do_not_ask_for_each_of_its_strands() {
    for (count, asked) in [(LOOKUPS_MAX, LOOKUPS_MAX), (LOOKUPS_MAX + 1, 0)] {
        let strands = (0..count).map(|number| strand(&format!("boboyka-{number}"), None));
        let strands: Vec<_> = strands.collect();
        let server = Server {
            has_pod: true,
            ..server(&strands[0])
        };
        let (.., pod_reads) = given(server, strands, vec![holder()]).await;
        assert_eq!(pod_reads, asked);
    }
}
