//! The operator's shell as processes beside a real API server: who leads, whom the API server trusts, who may be there.

/// Prints a figure into the test's output.
macro_rules! say {
    ($($what:tt)*) => {{
        use std::io::Write as _;
        let _ = writeln!(std::io::stderr(), $($what)*);
    }};
}

mod admission;
mod backfill;
mod before;
mod drains;
mod fences;
mod idle;
mod installed;
mod lists;
mod monitoring;
mod reconcile;
mod replica;
mod strangers;
mod topology;
mod traces;
mod witness;

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use boboyka_cluster::wait_for;
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::{DeleteParams, Patch, PatchParams, PostParams};
use serde_json::json;

use crate::shared::run;
use installed::{Installed, LIMIT, NAME};
use replica::Replica;

const AUTHORITIES: &str = "boboyka-operator-authorities";

#[test]
fn a_leader_that_ends_hands_the_lease_over() {
    run(async {
        let installed = Installed::new().await;
        // The Lease outlasts the test: only its release lets the second lead.
        let lease = ["--lease-seconds=3600"];
        let first = installed.replica("first", &lease);
        first.leads_within(LIMIT).await;
        let second = installed.replica("second", &lease);
        installed.call(&[&first, &second]).await;
        first.ready_within(LIMIT).await;
        second.ready_within(LIMIT).await;
        assert!(!second.leads().await);
        let ending = tokio::task::spawn_blocking(move || first.terminate());
        let took = second.leads_within(LIMIT).await;
        let (status, log) = ending.await.unwrap();
        assert!(status.success(), "{status}: {log}");
        say!(
            "a replica leads {:.2} s after the leader was told to end",
            took.as_secs_f64()
        );
        let map = installed.namespace.api::<ConfigMap>();
        let map = map.get(AUTHORITIES).await.unwrap();
        assert!(!map.data.unwrap_or_default().contains_key("first"));
    });
}

#[test]
fn another_replica_takes_over_after_a_crash_and_a_hang_and_no_sooner_than_the_lease_runs_out() {
    run(async {
        let installed = Installed::new().await;
        let lease = ["--lease-seconds=5"];
        let first = installed.replica("first", &lease);
        first.leads_within(LIMIT).await;
        let second = installed.replica("second", &lease);
        installed.call(&[&first, &second]).await;
        first.ready_within(LIMIT).await;
        second.ready_within(LIMIT).await;
        assert!(!second.leads().await);

        // A crash: the Lease has to run out, and no sooner is there another leader.
        drop(first);
        let left = installed.lease().await;
        let took = second.leads_within(LIMIT).await;
        let taken = installed.lease().await;
        let (renewed, acquired) = (left.renew_time.unwrap().0, taken.acquire_time.unwrap().0);
        assert!(
            acquired.as_millisecond() - renewed.as_millisecond() >= 5_000,
            "renewed at {renewed}, acquired at {acquired}"
        );
        say!(
            "a replica leads {:.1} s after the leader was killed",
            took.as_secs_f64()
        );

        // A hang: another leads, and the one that wakes up ends with an error.
        let third = installed.replica("third", &lease);
        wait_for("the third to serve", LIMIT, || async {
            Ok(third.metrics().await.is_ok())
        })
        .await
        .unwrap();
        second.signal("STOP");
        third.leads_within(LIMIT).await;
        second.signal("CONT");
        let (status, log) = tokio::task::spawn_blocking(move || second.ended())
            .await
            .unwrap();
        assert!(!status.success(), "{status}");
        assert!(log.contains("the Lease was lost"), "{log}");
        let lease = installed.lease().await;
        assert!(lease.holder_identity.unwrap().starts_with("third_"));
        assert_eq!(lease.lease_transitions, Some(2));
    });
}

#[test]
fn certificates_are_renewed_under_calls_without_one_that_fails() {
    run(async {
        let installed = Installed::new().await;
        let life = ["--authority-lifetime=20s"];
        let replicas = [
            installed.replica("first", &life),
            installed.replica("second", &life),
        ];
        installed.call(&[&replicas[0], &replicas[1]]).await;
        for replica in &replicas {
            replica.ready_within(LIMIT).await;
        }
        installed.admitted().await;

        let (end, calls, handshakes) = (
            AtomicBool::new(false),
            AtomicUsize::new(0),
            AtomicUsize::new(0),
        );
        let call = || async {
            while !end.load(Ordering::Relaxed) {
                installed.admit().await.unwrap();
                calls.fetch_add(1, Ordering::Relaxed);
            }
        };
        // The API server keeps its connections; others are new each time.
        let connect = || async {
            while !end.load(Ordering::Relaxed) {
                let bundles = installed.bundles().await;
                for (replica, bundle) in replicas.iter().zip(bundles) {
                    replica.trusted_by(&bundle).await.unwrap();
                    handshakes.fetch_add(1, Ordering::Relaxed);
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        let watch = async {
            let mut seen = [BTreeSet::new(), BTreeSet::new()];
            let begun = Instant::now();
            while seen.iter().any(|seen| seen.len() < 3) || calls.load(Ordering::Relaxed) <= 100 {
                assert!(begun.elapsed() < LIMIT, "{seen:?}");
                for (replica, seen) in replicas.iter().zip(&mut seen) {
                    seen.insert(replica.gauge("certificate_expiry_timestamp_seconds").await);
                    assert!(replica.is_ready().await, "{}", replica.log());
                }
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
            end.store(true, Ordering::Relaxed);
            seen.iter().map(BTreeSet::len).sum::<usize>()
        };
        let (certificates, ..) = tokio::join!(watch, call(), call(), connect());
        say!(
            "{} calls by the API server and {} handshakes, none failed, while {certificates} certificates were served",
            calls.load(Ordering::Relaxed),
            handshakes.load(Ordering::Relaxed),
        );
        let bundle = installed.bundles().await.pop().unwrap();
        let count = String::from_utf8(bundle).unwrap().matches("BEGIN").count();
        assert!(count <= 4, "{count}");
    });
}

#[test]
fn what_somebody_overwrites_or_deletes_is_put_right() {
    run(async {
        let installed = Installed::new().await;
        let replicas = [
            installed.replica("first", &[]),
            installed.replica("second", &[]),
        ];
        let both = [&replicas[0], &replicas[1]];
        installed.call(&both).await;
        installed.admitted().await;

        let (_, _, foreign) = installed
            .cluster
            .server_certificate("somebody.else")
            .unwrap();
        for garbage in [foreign.into_bytes(), Vec::new()] {
            let mut hook = installed.hooks().get(NAME).await.unwrap();
            for one in hook.webhooks.iter_mut().flatten() {
                one.client_config.ca_bundle = Some(ByteString(garbage.clone()));
            }
            let begun = Instant::now();
            installed
                .hooks()
                .replace(NAME, &PostParams::default(), &hook)
                .await
                .unwrap();
            for replica in both {
                wait_for("the bundle to be put right", LIMIT, || async {
                    let bundles = installed.bundles().await;
                    let mut trusted = true;
                    for bundle in bundles {
                        trusted &= replica.trusted_by(&bundle).await.is_ok();
                    }
                    Ok(trusted)
                })
                .await
                .unwrap();
            }
            let took = begun.elapsed();
            say!(
                "an overwritten bundle was put right after {:.2} s",
                took.as_secs_f64()
            );
            installed.admitted().await;
        }
        Box::pin(delete(&installed, both)).await;
    });
}

async fn delete(installed: &Installed, both: [&Replica; 2]) {
    installed
        .namespace
        .api::<ConfigMap>()
        .delete(AUTHORITIES, &DeleteParams::default())
        .await
        .unwrap();
    wait_for("both to publish again", LIMIT, || async {
        let map = installed
            .namespace
            .api::<ConfigMap>()
            .get_opt(AUTHORITIES)
            .await?;
        Ok(map
            .and_then(|map| map.data)
            .is_some_and(|data| data.len() == 2))
    })
    .await
    .unwrap();
    // What somebody puts there that is no certificate reaches no API server.
    let patch = json!({"data": {"garbage": "[{\"notAfter\":\"2999-01-01T00:00:00Z\",\"pem\":\"garbage\"}]"}});
    installed
        .namespace
        .api::<ConfigMap>()
        .patch(AUTHORITIES, &PatchParams::default(), &Patch::Merge(patch))
        .await
        .unwrap();
    // The configuration comes anew, without a bundle.
    installed.call(&both).await;
    installed.admitted().await;
    for bundle in installed.bundles().await {
        assert!(!String::from_utf8(bundle).unwrap().contains("garbage"));
    }
}

#[test]
fn a_certificate_that_expired_while_the_replica_hung_is_replaced() {
    run(async {
        let installed = Installed::new().await;
        // The Lease outlasts the hang: this is not about who leads.
        let life = ["--authority-lifetime=4s", "--lease-seconds=120"];
        let replica = installed.replica("only", &life);
        installed.call(&[&replica]).await;
        installed.admitted().await;
        replica.signal("STOP");
        tokio::time::sleep(Duration::from_secs(6)).await;
        assert!(installed.admit().await.is_err());
        replica.signal("CONT");
        let begun = Instant::now();
        installed.admitted().await;
        let took = begun.elapsed();
        say!(
            "an expired certificate was replaced after {:.2} s",
            took.as_secs_f64()
        );
    });
}

#[test]
fn a_replica_that_ends_answers_until_nobody_calls_it_any_more() {
    run(async {
        let installed = Installed::new().await;
        let replica = installed.replica("only", &["--linger=10s"]);
        installed.call(&[&replica]).await;
        installed.admitted().await;
        replica.signal("TERM");
        wait_for("it not to be ready", LIMIT, || async {
            Ok(!replica.is_ready().await)
        })
        .await
        .unwrap();
        for _ in 0..20 {
            installed.admit().await.unwrap();
        }
        let ending = tokio::task::spawn_blocking(move || replica.ended());
        let (status, log) = ending.await.unwrap();
        assert!(status.success(), "{log}");
    });
}

#[test]
fn an_operator_in_a_second_namespace_refuses_to_start() {
    run(async {
        let installed = Installed::new().await;
        let _ = installed
            .hooks()
            .delete(NAME, &DeleteParams::default())
            .await;
        let hook = json!({"metadata": {"name": NAME}, "webhooks": [{
            "name": "inject.boboyka.test", "admissionReviewVersions": ["v1"], "sideEffects": "NoneOnDryRun",
            "failurePolicy": "Fail",
            "clientConfig": {"service": {"name": NAME, "namespace": "elsewhere", "path": "/inject"}},
            "objectSelector": {"matchLabels": {"nobody": "has-this"}},
            "rules": [{"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods"]}],
        }]});
        let hook = serde_json::from_value(hook).unwrap();
        installed
            .hooks()
            .create(&PostParams::default(), &hook)
            .await
            .unwrap();
        let second = installed.replica("second", &[]);
        let (status, log) = tokio::task::spawn_blocking(move || second.ended())
            .await
            .unwrap();
        assert_eq!(status.code(), Some(1));
        assert!(
            log.contains(
                "belongs to the operator in namespace elsewhere; there is one operator in a cluster"
            ),
            "{log}"
        );
        assert_eq!(installed.bundles().await, [Vec::<u8>::new()]);
        installed
            .hooks()
            .delete(NAME, &DeleteParams::default())
            .await
            .unwrap();
    });
}
