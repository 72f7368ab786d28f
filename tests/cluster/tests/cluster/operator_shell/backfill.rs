//! The backfill that an integration asks for: a strand and a Job of its own, which follow the specification, and a status.

use boboyka_cluster::wait_for;
use boboyka_crds::{BackfillStatus, BoboykaIntegration, BoboykaStrand, names};
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::PersistentVolumeClaim;
use kube::ResourceExt as _;
use kube::api::{ListParams, Patch, PatchParams};
use serde_json::{Value, json};

use super::installed::{Installed, LIMIT, holder_of};
use crate::shared::run;

const HISTORY: &str = "boboyka-history";

/// The Job that fills the history, if one does and is not being deleted.
async fn job(installed: &Installed) -> Option<Job> {
    let jobs = installed.namespace.api::<Job>();
    let all = jobs.list(&ListParams::default()).await.unwrap();
    all.items
        .into_iter()
        .find(|job| job.metadata.deletion_timestamp.is_none())
}

async fn edit(installed: &Installed, migration: &Value) {
    let edit = Patch::Merge(json!({"spec": {"migration": migration}}));
    let integrations = installed.namespace.api::<BoboykaIntegration>();
    let how = PatchParams::default();
    let edited = integrations.patch("boboyka", &how, &edit);
    edited.await.unwrap();
}

/// What the sidecar of the Job would report.
async fn report(installed: &Installed, backfill: &Value) {
    let status = json!({"status": {"ready": false, "records": 9, "backlog": 0, "lagMs": 0, "deadLetters": 0,
        "diskBytes": 0, "reportedAt": "2020-01-01T00:00:00Z", "backfill": backfill}});
    let strands = installed.namespace.api::<BoboykaStrand>();
    let (how, status) = (PatchParams::default(), Patch::Merge(status));
    let reported = strands.patch_status(HISTORY, &how, &status);
    reported.await.unwrap();
}

async fn wait_for_status(
    installed: &Installed,
    what: &str,
    is_so: impl Fn(&BackfillStatus) -> bool,
) {
    let integrations = installed.namespace.api::<BoboykaIntegration>();
    wait_for(what, LIMIT, || async {
        let status = integrations
            .get("boboyka")
            .await?
            .status
            .unwrap_or_default();
        assert_eq!(
            status.strands.total, 0,
            "the history is no strand of an agent"
        );
        let backfill = status.migration.and_then(|it| it.backfill);
        Ok(backfill.is_some_and(|it| is_so(&it)))
    })
    .await
    .unwrap();
}

#[test]
fn a_backfill_has_a_strand_and_a_job_of_its_own_and_ends_with_the_field() {
    run(async {
        let installed = Installed::new().await;
        let spec = json!({"supabase": {"secretRef": {"name": "s"}},
            "migration": {"backfill": {"tables": ["audit_log"]}}});
        let integration = json!({"metadata": {"name": "boboyka"}, "spec": spec});
        let created = installed
            .namespace
            .create::<BoboykaIntegration>(integration);
        created.await.unwrap();
        let _replica = installed.operator(&[]).await;

        let strands = installed.namespace.api::<BoboykaStrand>();
        wait_for("the Job's pod to hold the history", LIMIT, || async {
            let history = strands.get_opt(HISTORY).await?;
            Ok(history.is_some_and(|it| holder_of(&it).is_some()))
        })
        .await
        .unwrap();
        let first = job(&installed).await.unwrap();
        let name = first.name_any();
        assert!(
            name.starts_with("boboyka-backfill-boboyka-history-"),
            "{name}"
        );
        let pod = first.spec.clone().unwrap().template.spec.unwrap();
        assert_eq!(
            pod.containers[0].args.clone().unwrap(),
            ["backfill", "--data-dir", "/var/lib/boboyka/strand"]
        );

        let table = json!({"table": "agent_audit_log", "rows": 7, "refused": 1, "done": false});
        report(
            &installed,
            &json!({"tables": {"audit_log": table}, "problem": "could not read table x"}),
        )
        .await;
        wait_for_status(&installed, "the problem", |it| {
            it.problem.as_deref() == Some("could not read table x")
                && it.rows["audit_log"] == 7
                && !it.done
        })
        .await;
        let more = json!({"backfill": {"tables": ["audit_log"], "rowsPerSecond": 5}});
        edit(&installed, &more).await;
        wait_for("another Job for another rate", LIMIT, || async {
            let now = job(&installed).await.and_then(|job| job.uid());
            Ok(now.is_some() && now != first.uid())
        })
        .await
        .unwrap();
        let table = json!({"table": "agent_audit_log", "rows": 9, "refused": 1, "done": true});
        report(
            &installed,
            &json!({"tables": {"audit_log": table}, "problem": null}),
        )
        .await;
        wait_for_status(&installed, "the end", |it| it.done && it.problem.is_none()).await;

        // Nobody asks any more: the Job goes; strand, claim and figures stay.
        edit(&installed, &Value::Null).await;
        wait_for("the Job to be gone", LIMIT, || async {
            Ok(job(&installed).await.is_none())
        })
        .await
        .unwrap();
        wait_for_status(&installed, "the figures", |it| {
            it.rows["audit_log"] == 9 && it.refused == 1
        })
        .await;
        let claims = installed.namespace.api::<PersistentVolumeClaim>();
        let claim = claims.get(&names::claim_of(HISTORY)).await.unwrap();
        assert!(claim.metadata.deletion_timestamp.is_none());
        assert!(strands.get_opt(HISTORY).await.unwrap().is_some());
    });
}
