//! The witness's key and its memory: who may make the one and write the other.

use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use kube::api::{DeleteParams, Patch, PatchParams, PostParams};
use kube::{Api, Resource};
use serde_json::json;

use super::{Caller, LIMIT, OPERATOR, assert_refused, cluster, dry};
use crate::charts::NAMESPACE;
use crate::shared::run;
use boboyka_cluster::wait_for;

const MAKER: &str = "system:serviceaccount:boboyka-system:boboyka-witness-key";
const MEMORY: &str = "boboyka-operator-witness-3";

async fn own<K>(caller: &Caller) -> Api<K>
where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope>,
{
    Api::namespaced(caller.client().await, NAMESPACE)
}

fn secret(name: &str, kind: &str) -> Secret {
    let secret = json!({"metadata": {"name": name}, "type": kind, "stringData": {"key": "k"}});
    serde_json::from_value(secret).unwrap()
}

fn memory(name: &str) -> ConfigMap {
    serde_json::from_value(json!({"metadata": {"name": name}, "data": {"a": "b"}})).unwrap()
}

#[test]
fn the_account_of_the_job_makes_the_witnesss_secret_and_no_other() {
    run(async {
        cluster().await;
        let secrets = own::<Secret>(&Caller::account(MAKER)).await;
        let only = "may create no Secret except boboyka-operator-witness";
        // The policy is one of many that come into force.
        wait_for("the policy to be in force", LIMIT, || async {
            let made = secrets.create(&dry(), &secret("other", "Opaque")).await;
            Ok(made.is_err_and(|error| error.to_string().contains(only)))
        })
        .await
        .unwrap();
        let made = secrets
            .create(&dry(), &secret("boboyka-operator-witness", "Opaque"))
            .await;
        made.unwrap();
        let token = secret("boboyka-operator-witness", "example.com/other");
        assert_refused("another type", secrets.create(&dry(), &token).await, only);
        let named = secrets.get("boboyka-operator-witness").await;
        assert_refused("reading it", named, "forbidden");
    });
}

#[test]
fn only_the_operator_writes_what_its_witness_remembers() {
    run(async {
        cluster().await;
        let root = own::<ConfigMap>(&Caller::administrator()).await;
        let operator = own::<ConfigMap>(&Caller::account(OPERATOR)).await;
        let only = "only the operator may write what its witness remembers";
        wait_for("the policy to be in force", LIMIT, || async {
            let made = root.create(&dry(), &memory(MEMORY)).await;
            Ok(made.is_err_and(|error| error.to_string().contains(only)))
        })
        .await
        .unwrap();
        operator
            .create(&PostParams::default(), &memory(MEMORY))
            .await
            .unwrap();
        let change = Patch::Merge(json!({"data": {"a": "c"}}));
        let changed = root.patch(MEMORY, &PatchParams::default(), &change).await;
        assert_refused("a change by an administrator", changed, only);
        let changed = operator
            .patch(MEMORY, &PatchParams::default(), &change)
            .await;
        assert_eq!(changed.unwrap().data.unwrap()["a"], "c");
        let deleted = operator.delete(MEMORY, &DeleteParams::default()).await;
        assert_refused("the operator deletes it", deleted, "forbidden");
        let others = root.create(&dry(), &memory("boboyka-other")).await;
        others.unwrap();
        // Who may administer strands may begin anew.
        root.delete(MEMORY, &DeleteParams::default()).await.unwrap();
    });
}
