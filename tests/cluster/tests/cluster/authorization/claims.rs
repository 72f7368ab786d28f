//! The claims of strands: who may make, change, own, keep and copy them.

use boboyka_cluster::TestNamespace;
use k8s_openapi::api::core::v1::{ConfigMap, PersistentVolumeClaim};
use kube::ResourceExt as _;
use kube::api::{DeleteParams, Patch, PatchParams, PostParams};
use serde_json::{Value, json};

use super::{Caller, OPERATOR, assert_refused, dry, tenancy};
use crate::shared::run;

fn claim(name: &str) -> PersistentVolumeClaim {
    serde_json::from_value(json!({
        "metadata": {"name": name, "labels": {"boboyka.sapixdb.com/strand": "s"}},
        "spec": {"accessModes": ["ReadWriteOncePod"], "resources": {"requests": {"storage": "1Gi"}}},
    }))
    .unwrap()
}

/// Has the operator make the claim of a strand.
pub(super) async fn claim_of_operator(namespace: &TestNamespace, name: &str) {
    Caller::account(OPERATOR)
        .api::<PersistentVolumeClaim>(namespace)
        .await
        .create(&PostParams::default(), &claim(name))
        .await
        .unwrap();
}

/// A claim of a copy of another one's volume.
fn copy(name: &str, field: &str, of: &str) -> PersistentVolumeClaim {
    let mut copy = serde_json::to_value(claim(name)).unwrap();
    copy["spec"][field] = json!({"kind": "PersistentVolumeClaim", "name": of});
    serde_json::from_value(copy).unwrap()
}

#[test]
fn a_tenant_neither_makes_nor_relabels_nor_deletes_the_claim_of_a_strand() {
    run(async {
        let namespace = tenancy().await;
        claim_of_operator(&namespace, "boboyka-strand-s").await;
        let api = Caller::person("tenant")
            .api::<PersistentVolumeClaim>(&namespace)
            .await;
        let made = api.create(&dry(), &claim("boboyka-strand-t")).await;
        assert_refused(
            "a claim of its own",
            made,
            "may create claims that begin with boboyka-strand-",
        );
        api.create(&dry(), &claim("data-0")).await.unwrap();
        let change =
            |key: &str, list: &str, value: Value| json!({"metadata": {list: {key: value}}});
        let patch = async |change: Value| {
            let parameters = PatchParams::default();
            api.patch("boboyka-strand-s", &parameters, &Patch::Merge(&change))
                .await
        };
        for (what, change) in [
            (
                "another slot",
                change(
                    "boboyka.sapixdb.com/slot",
                    "annotations",
                    json!("StatefulSet/x/0"),
                ),
            ),
            (
                "another strand",
                change("boboyka.sapixdb.com/strand", "labels", json!("other")),
            ),
            (
                "no strand",
                change("boboyka.sapixdb.com/strand", "labels", Value::Null),
            ),
        ] {
            assert_refused(
                what,
                patch(change).await,
                "only the operator may change labels and annotations",
            );
        }
        patch(change("team", "labels", json!("mine")))
            .await
            .unwrap();
        let deleted = api
            .delete("boboyka-strand-s", &DeleteParams::default())
            .await;
        assert_refused("deletion", deleted, "holds a strand: deleting it requires");
        let admin = namespace.api::<PersistentVolumeClaim>();
        admin
            .create(&dry(), &claim("boboyka-strand-from-backup"))
            .await
            .unwrap();
        admin
            .delete("boboyka-strand-s", &DeleteParams::default())
            .await
            .unwrap();
    });
}

#[test]
fn a_tenant_has_no_strand_deleted_kept_or_copied_by_its_claim() {
    run(async {
        let namespace = tenancy().await;
        claim_of_operator(&namespace, "boboyka-strand-s").await;
        let map = json!({"metadata": {"name": "owner"}});
        let map = namespace.create::<ConfigMap>(map).await.unwrap();
        let tenant = Caller::person("tenant")
            .api::<PersistentVolumeClaim>(&namespace)
            .await;
        let owned = json!({"metadata": {"ownerReferences": [
            {"apiVersion": "v1", "kind": "ConfigMap", "name": "owner", "uid": map.uid()}]}});
        for (what, change, why) in [
            (
                "an owner",
                owned,
                "changing metadata.ownerReferences requires",
            ),
            (
                "no finalizer",
                json!({"metadata": {"finalizers": null}}),
                "changing metadata.finalizers requires",
            ),
            (
                "a finalizer",
                json!({"metadata": {"finalizers": ["mine.example.com/x", "kubernetes.io/pvc-protection"]}}),
                "changing metadata.finalizers requires",
            ),
        ] {
            let parameters = PatchParams::default();
            let answer = tenant
                .patch("boboyka-strand-s", &parameters, &Patch::Merge(&change))
                .await;
            assert_refused(what, answer, why);
        }
        for field in ["dataSource", "dataSourceRef"] {
            let clone = copy("clone", field, "boboyka-strand-s");
            let answer = tenant.create(&dry(), &clone).await;
            assert_refused(field, answer, "clone would copy the volume of a strand");
        }
        // What others do with their claims, snapshot controllers with what they copy, and administrators with these.
        let other = copy("clone", "dataSource", "data-0");
        tenant.create(&dry(), &other).await.unwrap();
        let copied = "snapshot.storage.kubernetes.io/pvc-as-source-protection";
        let copied = json!({"metadata": {"finalizers": ["kubernetes.io/pvc-protection", copied]}});
        tenant
            .patch(
                "boboyka-strand-s",
                &PatchParams::default(),
                &Patch::Merge(&copied),
            )
            .await
            .unwrap();
        let admin = Caller::administrator()
            .api::<PersistentVolumeClaim>(&namespace)
            .await;
        let clone = copy("clone", "dataSource", "boboyka-strand-s");
        admin.create(&dry(), &clone).await.unwrap();
    });
}

#[test]
fn the_operator_makes_empty_claims_of_strands_and_touches_no_other() {
    run(async {
        let namespace = tenancy().await;
        let others = namespace.api::<PersistentVolumeClaim>();
        let create = PostParams::default();
        others.create(&create, &claim("data-0")).await.unwrap();
        let operator = Caller::account(OPERATOR)
            .api::<PersistentVolumeClaim>(&namespace)
            .await;
        let only_its_own = "only claims that begin with boboyka-strand-";
        let answer = operator.create(&dry(), &claim("data-1")).await;
        assert_refused("another claim", answer, only_its_own);
        let change =
            Patch::Merge(json!({"metadata": {"labels": {"boboyka.sapixdb.com/strand": "s"}}}));
        let answer = operator
            .patch("data-0", &PatchParams::default(), &change)
            .await;
        assert_refused("a claim of others", answer, only_its_own);
        let copy = copy("boboyka-strand-s", "dataSource", "data-0");
        let answer = operator.create(&dry(), &copy).await;
        assert_refused("a copy", answer, "empty volumes only");
        claim_of_operator(&namespace, "boboyka-strand-s").await;
        let owned = json!({"metadata": {"ownerReferences": [
            {"apiVersion": "v1", "kind": "ConfigMap", "name": "owner", "uid": "u"}]}});
        let answer = operator
            .patch(
                "boboyka-strand-s",
                &PatchParams::default(),
                &Patch::Merge(&owned),
            )
            .await;
        assert_refused(
            "another owner",
            answer,
            "only an integration the owner of a claim",
        );
    });
}
