//! What the chart renders for the operator as a witness, without a cluster.

use serde_json::json;

use super::render::find;
use super::template;

const KEY_FILE: &str = "BOBOYKA_WITNESS_KEY_FILE";

#[test]
fn the_key_has_a_job_where_the_chart_may_give_it_an_account_and_a_mount_wherever_there_is_a_witness()
 {
    for (values, mounts, makes) in [
        (&[][..], true, true),
        (&["--set", "watchNamespace=agents"], true, true),
        (&["--set", "rbac.create=false"], true, false),
        (&["--set", "serviceAccount.create=false"], true, false),
        (&["--set", "witness.enabled=false"], false, false),
    ] {
        let all = template(values);
        let jobs = all.iter().filter(|one| one["kind"] == "Job").count();
        assert_eq!(jobs, usize::from(makes), "{values:?}");
        let account = find(&all, "ServiceAccount", "boboyka-witness-key");
        assert_eq!(account.is_some(), makes, "{values:?}");
        let operator = find(&all, "Deployment", "boboyka-operator").unwrap();
        let pod = &operator["spec"]["template"]["spec"];
        let told = pod["containers"][0]["env"].as_array().unwrap();
        let told = told.iter().any(|one| one["name"] == KEY_FILE);
        let volume = &pod["volumes"][0]["secret"];
        let optional = json!({"secretName": "boboyka-operator-witness", "optional": true});
        assert_eq!((told, *volume == optional), (mounts, mounts), "{values:?}");
    }
}
