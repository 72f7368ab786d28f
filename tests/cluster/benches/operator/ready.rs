//! From creating a pod until it is ready, on real nodes with the product installed as `make deploy` does: with a sidecar
//! and without, one after another in turn.
//!
//! Times are by this program's own clock, from the call that creates the pod to the watch's event that shows a step.

mod pods;

use std::process::Command;
use std::time::Duration;

use boboyka_cluster::{Cluster, TestNamespace, Tier, release_images, wait_for};
use boboyka_crds::{BoboykaIntegration, BoboykaStrand};
use k8s_openapi::api::core::v1::PersistentVolumeClaim;
use kube::ResourceExt as _;
use kube::api::{DeleteParams, ListParams};
use serde_json::json;

use crate::figure::{Figure, heading};
use crate::stage::{LIMIT, integrate};
use pods::{Steps, run};

/// Which pod is created.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Variant {
    Plain,
    PlainWithClaim,
    NewStrand,
    FreeStrand,
    Ephemeral,
}

const VARIANTS: [Variant; 5] = [
    Variant::Plain,
    Variant::PlainWithClaim,
    Variant::NewStrand,
    Variant::FreeStrand,
    Variant::Ephemeral,
];

impl Variant {
    fn name(self) -> &'static str {
        match self {
            Self::Plain => "without us",
            Self::PlainWithClaim => "without us, on a new volume",
            Self::NewStrand => "a new strand, on a new volume",
            Self::FreeStrand => "a strand that is there and free",
            Self::Ephemeral => "an ephemeral strand",
        }
    }

    /// Its integration.
    fn integration(self) -> Option<&'static str> {
        match self {
            Self::Plain | Self::PlainWithClaim => None,
            Self::NewStrand => Some("new"),
            Self::FreeStrand => Some("free"),
            Self::Ephemeral => Some("ephemeral"),
        }
    }

    /// The pod without a sidecar that is the same but for it.
    fn reference(self) -> Self {
        match self {
            Self::NewStrand => Self::PlainWithClaim,
            Self::Plain | Self::PlainWithClaim | Self::FreeStrand | Self::Ephemeral => Self::Plain,
        }
    }
}

/// Measures and prints.
pub(crate) async fn measure(rounds: usize) {
    let cluster = Cluster::start(Tier::Nodes(2), &release_images().unwrap())
        .await
        .unwrap();
    deploy(&cluster);
    let namespace = TestNamespace::new(cluster.client()).await.unwrap();
    prepare(&namespace).await;
    // Once for nothing: images, caches, and the strand that is free from then on.
    round(&namespace).await;
    heading(&format!(
        "ready: seconds from creating a pod; {rounds} rounds (aim: 0.5 s more than the same pod without us)"
    ));
    let mut all: [Vec<Steps>; VARIANTS.len()] = Default::default();
    for _ in 0..rounds {
        for (steps, measured) in all.iter_mut().zip(round(&namespace).await) {
            steps.push(measured);
        }
    }
    let figure = |variant: Variant, step: fn(&Steps) -> f64| {
        let place = VARIANTS.iter().position(|one| *one == variant).unwrap();
        Figure::of(all[place].iter().map(step).collect())
    };
    for variant in VARIANTS {
        let ready = figure(variant, |steps| steps.ready);
        println!("  {}: ready after {ready:.2} s", variant.name());
        println!(
            "      created {:.2} s, scheduled {:.2} s, sidecar runs {:.2} s, app runs {:.2} s",
            figure(variant, |steps| steps.created).median,
            figure(variant, |steps| steps.scheduled).median,
            figure(variant, |steps| steps.sidecar).median,
            figure(variant, |steps| steps.app).median
        );
        if variant.integration().is_none() {
            continue;
        }
        let mut references = vec![variant.reference(), Variant::Plain];
        references.dedup();
        for reference in references {
            let without = figure(reference, |steps| steps.ready);
            println!(
                "      ÷ {} {:.2}   {:.2} s more",
                reference.name(),
                ready.median / without.median,
                ready.median - without.median
            );
        }
    }
}

/// Installs the product.
fn deploy(cluster: &Cluster) {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tools/deploy.sh");
    let output = Command::new(script)
        .env("KUBECONFIG", cluster.kubeconfig())
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
}

/// Makes the integrations, and waits until the operator knows them.
async fn prepare(namespace: &TestNamespace) {
    integrate(namespace, "new", json!({"storage": {"size": "100Mi"}})).await;
    integrate(namespace, "free", json!({"storage": {"size": "100Mi"}})).await;
    // A Secret that never comes keeps no sidecar from taking records.
    let ephemeral = json!({
        "supabase": {"secretRef": {"name": "boboyka-supabase"}}, "storage": {"ephemeral": {"sizeLimit": "1Gi"}},
    });
    integrate(namespace, "ephemeral", ephemeral).await;
    let known = || async {
        let found = namespace
            .api::<BoboykaIntegration>()
            .list(&ListParams::default())
            .await?;
        Ok(found.items.iter().all(|one| {
            one.status
                .as_ref()
                .is_some_and(|status| status.phase.is_some())
        }))
    };
    wait_for("the integrations to be known", LIMIT, known)
        .await
        .unwrap();
}

/// Each pod once, each alone.
async fn round(namespace: &TestNamespace) -> Vec<Steps> {
    let mut all = Vec::new();
    for variant in VARIANTS {
        let claim = variant == Variant::PlainWithClaim;
        all.push(run(namespace, variant.integration(), claim).await);
        free(namespace).await;
        if variant == Variant::NewStrand {
            forget(namespace).await;
        }
    }
    all
}

/// Waits until no pod holds a strand.
async fn free(namespace: &TestNamespace) {
    let freed = || async {
        let strands = namespace
            .api::<BoboykaStrand>()
            .list(&ListParams::default())
            .await?;
        Ok(strands
            .items
            .iter()
            .all(|strand| strand.spec.holder.is_none()))
    };
    wait_for("the strands to be free", LIMIT, freed)
        .await
        .unwrap();
}

/// Deletes the strand that was new, with its volume.
async fn forget(namespace: &TestNamespace) {
    let now = DeleteParams::default();
    let strands = namespace.api::<BoboykaStrand>();
    for strand in strands.list(&ListParams::default()).await.unwrap() {
        if let Some(claim) = strand
            .spec
            .claim_name
            .as_ref()
            .filter(|_| strand.spec.integration == "new")
        {
            // The claim first: the operator would make the strand again from it.
            let claims = namespace.api::<PersistentVolumeClaim>();
            claims.delete(claim, &now).await.unwrap();
            strands.delete(&strand.name_any(), &now).await.unwrap();
            let gone = || async {
                Ok(claims.get_opt(claim).await?.is_none()
                    && strands.get_opt(&strand.name_any()).await?.is_none())
            };
            wait_for("a strand to be forgotten", Duration::from_mins(1), gone)
                .await
                .unwrap();
        }
    }
}
