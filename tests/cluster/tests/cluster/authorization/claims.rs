//! The claims of strands: who may own, keep and copy them.

use k8s_openapi::api::core::v1::{ConfigMap, PersistentVolumeClaim};
use kube::ResourceExt as _;
use kube::api::{Patch, PatchParams, PostParams};
use serde_json::{Value, json};

use super::{Caller, OPERATOR, assert_refused, dry, tenancy};
use crate::shared::run;

fn claim(name: &str, more: &Value) -> PersistentVolumeClaim {
    let mut claim = json!({
        "metadata": {"name": name},
        "spec": {"accessModes": ["ReadWriteOncePod"], "resources": {"requests": {"storage": "1Gi"}}},
    });
    for (name, value) in more.as_object().unwrap() {
        claim["spec"][name] = value.clone();
    }
    serde_json::from_value(claim).unwrap()
}

#[test]
fn a_tenant_has_no_strand_deleted_kept_or_copied_by_its_claim() {
    run(async {
        let namespace = tenancy().await;
        let operator = Caller::account(OPERATOR)
            .api::<PersistentVolumeClaim>(&namespace)
            .await;
        let create = PostParams::default();
        let made = claim("boboyka-strand-s", &json!({}));
        operator.create(&create, &made).await.unwrap();
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
        let source = json!({"kind": "PersistentVolumeClaim", "name": "boboyka-strand-s"});
        for field in ["dataSource", "dataSourceRef"] {
            let clone = claim("clone", &json!({field: source}));
            let answer = tenant.create(&dry(), &clone).await;
            assert_refused(field, answer, "clone would copy the volume of a strand");
        }
        // What others do with their claims, and administrators with these.
        let other = json!({"dataSource": {"kind": "PersistentVolumeClaim", "name": "data-0"}});
        tenant
            .create(&dry(), &claim("clone", &other))
            .await
            .unwrap();
        let admin = Caller::administrator()
            .api::<PersistentVolumeClaim>(&namespace)
            .await;
        let clone = claim("clone", &json!({"dataSource": source}));
        admin.create(&dry(), &clone).await.unwrap();
    });
}

#[test]
fn the_operator_makes_empty_claims_of_strands_and_touches_no_other() {
    run(async {
        let namespace = tenancy().await;
        namespace
            .create::<PersistentVolumeClaim>(
                serde_json::to_value(claim("data-0", &json!({}))).unwrap(),
            )
            .await
            .unwrap();
        let operator = Caller::account(OPERATOR)
            .api::<PersistentVolumeClaim>(&namespace)
            .await;
        let only_its_own = "only claims that begin with boboyka-strand-";
        let answer = operator.create(&dry(), &claim("data-1", &json!({}))).await;
        assert_refused("another claim", answer, only_its_own);
        let change =
            Patch::Merge(json!({"metadata": {"labels": {"boboyka.sapixdb.com/strand": "s"}}}));
        let answer = operator
            .patch("data-0", &PatchParams::default(), &change)
            .await;
        assert_refused("a claim of others", answer, only_its_own);
        let copy = json!({"dataSource": {"kind": "PersistentVolumeClaim", "name": "data-0"}});
        let answer = operator
            .create(&dry(), &claim("boboyka-strand-s", &copy))
            .await;
        assert_refused("a copy", answer, "empty volumes only");
    });
}
