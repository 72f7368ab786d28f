//! What an integration may say depends on who says it.

use boboyka_crds::BoboykaIntegration;
use kube::api::{Patch, PatchParams, PostParams};
use serde_json::{Value, json};

use super::{Caller, assert_refused, bind, dry, integration, tenancy};
use crate::shared::run;

fn with(spec: &Value) -> BoboykaIntegration {
    let mut made = serde_json::to_value(integration("boboyka")).unwrap();
    made["spec"] = spec.clone();
    serde_json::from_value(made).unwrap()
}

#[test]
fn a_tenant_runs_no_image_of_a_repository_that_the_chart_does_not_allow() {
    run(async {
        let namespace = tenancy().await;
        let api = Caller::person("tenant")
            .api::<BoboykaIntegration>(&namespace)
            .await;
        let refused = "of a repository that the operator was not installed for";
        for (image, why) in [
            ("localhost/boboyka-sidecar:next", None),
            ("localhost/boboyka-sidecar", None),
            ("attacker.example.com/boboyka-sidecar:1", Some(refused)),
            ("localhost/boboyka-sidecar-of-mine:1", Some(refused)),
            ("localhost/boboyka-sidecar/other:1", Some(refused)),
            ("localhost:5000/boboyka-sidecar:1", Some(refused)),
        ] {
            let spec = json!({"sidecar": {"image": image}});
            let answer = api.create(&dry(), &with(&spec)).await;
            match why {
                Some(why) => assert_refused(image, answer, why),
                None => drop(answer.unwrap_or_else(|error| panic!("{image}: {error}"))),
            }
        }
        let create = PostParams::default();
        api.create(&create, &integration("boboyka")).await.unwrap();
        let change = Patch::Merge(json!({"spec": {"sidecar": {"image": "other/sidecar:1"}}}));
        let answer = api.patch("boboyka", &PatchParams::default(), &change).await;
        assert_refused("a later change", answer, refused);
    });
}

#[test]
fn only_who_administers_strands_lets_an_integration_delete_them() {
    run(async {
        let namespace = tenancy().await;
        let delete = json!({"storage": {"reclaim": "Delete"}});
        let api = Caller::person("tenant")
            .api::<BoboykaIntegration>(&namespace)
            .await;
        let why = "requires the verb administer on boboykastrands";
        let answer = api.create(&dry(), &with(&delete)).await;
        assert_refused("a new integration", answer, why);
        let create = PostParams::default();
        api.create(&create, &integration("boboyka")).await.unwrap();
        let change = Patch::Merge(json!({"spec": delete}));
        let switch = async || api.patch("boboyka", &PatchParams::default(), &change).await;
        assert_refused("a switch", switch().await, why);

        bind(&namespace, "boboyka-administer", "tenant").await;
        boboyka_cluster::wait_for("the tenant to be let", super::LIMIT, || async {
            Ok(switch().await.is_ok())
        })
        .await
        .unwrap();
        // What is so already does not keep others from changing the rest.
        bind(&namespace, "edit", "editor").await;
        let api = Caller::person("editor")
            .api::<BoboykaIntegration>(&namespace)
            .await;
        let change = Patch::Merge(json!({"spec": {"suspend": true}}));
        boboyka_cluster::wait_for("the editor to be let", super::LIMIT, || async {
            Ok(api
                .patch("boboyka", &PatchParams::default(), &change)
                .await
                .is_ok())
        })
        .await
        .unwrap();
    });
}
