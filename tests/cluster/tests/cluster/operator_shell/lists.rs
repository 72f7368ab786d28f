//! A list of legacy projects in a ConfigMap: what the leader makes of it, and of one that is missing or wrong.

use boboyka_cluster::wait_for;
use boboyka_crds::{BoboykaIntegration, LegacyStatus};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::{DeleteParams, Patch, PatchParams};
use serde_json::{Value, json};

use super::installed::{Installed, LIMIT};
use super::reconcile::condition;
use crate::shared::run;

const MAP: &str = "boboyka-legacy-projects";
const KIND: &str = "LegacyProjectsRead";

async fn write(installed: &Installed, key: &str, names: &str) {
    let map = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": MAP}, "data": {key: names}});
    let parameters = PatchParams::apply("test").force();
    let maps = installed.namespace.api::<ConfigMap>();
    maps.patch(MAP, &parameters, &Patch::Apply(&map))
        .await
        .unwrap();
}

async fn migrate(installed: &Installed, migration: &Value) -> Result<(), kube::Error> {
    let patch = Patch::Merge(json!({"spec": {"migration": migration}}));
    let api = installed.namespace.api::<BoboykaIntegration>();
    let edited = api.patch("boboyka", &PatchParams::default(), &patch).await;
    edited.map(drop)
}

fn from(name: &str) -> Value {
    json!({"legacyProjectsFrom": {"configMapKeyRef": {"name": name, "key": "names"}}})
}

async fn list(installed: &Installed) -> Option<LegacyStatus> {
    let api = installed.namespace.api::<BoboykaIntegration>();
    let status = api.get("boboyka").await.unwrap().status;
    status?.migration?.legacy
}

/// Waits until this list is in force; its status.
async fn has(installed: &Installed, names: &[&str]) -> LegacyStatus {
    wait_for("the list to be in force", LIMIT, || async {
        Ok(list(installed).await.is_some_and(|it| it.names == names))
    })
    .await
    .unwrap();
    list(installed).await.unwrap()
}

#[test]
fn a_config_map_has_the_list_and_one_that_is_missing_or_wrong_changes_nothing_and_is_named() {
    run(async {
        let installed = Installed::new().await;
        let _replica = installed.operated(&[]).await;
        migrate(&installed, &from(MAP)).await.unwrap();
        let missing = "False/LegacyListMissing";
        let said = condition(&installed, "boboyka", KIND, missing).await;
        assert!(
            said.contains("there is no ConfigMap boboyka-legacy-projects"),
            "{said}"
        );
        assert_eq!(list(&installed).await, None);

        write(&installed, "names", "b\n\n# of the old shop\na\n").await;
        condition(&installed, "boboyka", KIND, "True/AsExpected").await;
        let first = has(&installed, &["a", "b"]).await;
        assert_eq!((first.listed, first.revision), (2, 1));

        let invalid = "False/LegacyListInvalid";
        let long = format!("b\n{}\n", "x".repeat(257));
        for (names, line) in [
            (long.as_str(), "line 2"),
            ("# nobody\n", "must have a name"),
        ] {
            write(&installed, "names", names).await;
            let said = condition(&installed, "boboyka", KIND, invalid).await;
            let named = format!("key names of ConfigMap {MAP}: {line}");
            assert!(said.contains(&named), "{said}");
            condition(&installed, "boboyka", "Ready", invalid).await;
            assert_eq!(list(&installed).await, Some(first.clone()));
            write(&installed, "other", "c\n").await;
            let said = condition(&installed, "boboyka", KIND, missing).await;
            assert!(said.contains("has no key names"), "{said}");
        }
        write(&installed, "names", "b\n").await;
        let second = has(&installed, &["b"]).await;
        assert_eq!((second.revision, second.by), (2, None), "nobody signs that");

        let maps = installed.namespace.api::<ConfigMap>();
        maps.delete(MAP, &DeleteParams::default()).await.unwrap();
        condition(&installed, "boboyka", KIND, missing).await;
        has(&installed, &["b"]).await;
        migrate(&installed, &from("other")).await.unwrap();
        let said = condition(&installed, "boboyka", KIND, missing).await;
        assert!(
            said.contains("the operator reads no ConfigMap other"),
            "{said}"
        );
        has(&installed, &["b"]).await;

        let both = migrate(&installed, &json!({"legacyProjects": ["c"]})).await;
        let refused = both.unwrap_err().to_string();
        assert!(
            refused.contains("spec.migration.legacyProjectsFrom: must be absent while"),
            "{refused}"
        );
        migrate(
            &installed,
            &json!({"legacyProjectsFrom": null, "legacyProjects": ["b"]}),
        )
        .await
        .unwrap();
        let third = has(&installed, &[]).await;
        assert_eq!((third.listed, third.revision), (1, 2), "the same list");
    });
}
