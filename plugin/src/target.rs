//! Which strands a command works on, and the pods through which it reaches them. Pure.

use boboyka_crds::{BoboykaStrand, HeadReference};
use kube::ResourceExt as _;

/// What the names of the pods of Jobs begin with, and why their sidecars serve nobody.
const OF_JOBS: [(&str, &str); 2] = [
    ("boboyka-drain-", "a drain holds it, which serves no API"),
    (
        "boboyka-backfill-",
        "a backfill holds it, which serves no API",
    ),
];

/// Which strands.
#[derive(clap::Args, Clone, Debug, Default)]
pub(crate) struct Which {
    /// Only the strands of this integration.
    #[arg(long, value_name = "NAME")]
    pub(crate) integration: Option<String>,
    /// Only this strand; can be given several times.
    #[arg(long = "strand", value_name = "NAME")]
    pub(crate) strands: Vec<String>,
}

/// One strand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Target {
    pub(crate) namespace: String,
    pub(crate) strand: String,
    /// The pod whose sidecar serves it, or why none does.
    pub(crate) pod: Result<String, &'static str>,
    /// The head that the operator recorded.
    pub(crate) recorded: Option<HeadReference>,
}

/// The strands that are meant, by name.
///
/// # Errors
/// A strand that was named does not exist.
pub(crate) fn targets(strands: &[BoboykaStrand], which: &Which) -> anyhow::Result<Vec<Target>> {
    let exists = |name: &&String| !strands.iter().any(|strand| strand.name_any() == **name);
    if let Some(name) = which.strands.iter().find(exists) {
        anyhow::bail!("there is no strand {name}: kubectl get bbs lists them");
    }
    let is_meant = |strand: &&BoboykaStrand| {
        let integration = which.integration.as_ref();
        integration.is_none_or(|name| strand.spec.integration == *name)
            && (which.strands.is_empty() || which.strands.contains(&strand.name_any()))
    };
    let mut targets: Vec<Target> = strands.iter().filter(is_meant).map(target).collect();
    targets.sort_by(|a, b| (&a.namespace, &a.strand).cmp(&(&b.namespace, &b.strand)));
    Ok(targets)
}

fn target(strand: &BoboykaStrand) -> Target {
    let holder = strand.spec.holder.as_ref();
    let pod = match holder.and_then(|holder| holder.pod_name.clone()) {
        None => Err("no pod holds it"),
        Some(pod) => {
            let mut jobs = OF_JOBS.iter();
            let of_job = jobs.find(|(prefix, _)| pod.starts_with(prefix));
            of_job.map_or(Ok(pod), |(_, why)| Err(*why))
        }
    };
    Target {
        namespace: strand.namespace().unwrap_or_default(),
        strand: strand.name_any(),
        pod,
        recorded: strand.spec.witnessed.clone(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn strand(name: &str, integration: &str, holder: &Value) -> BoboykaStrand {
        serde_json::from_value(json!({
            "apiVersion": "boboyka.sapixdb.com/v1alpha1", "kind": "BoboykaStrand",
            "metadata": {"name": name, "namespace": "agents"}, "spec": {"integration": integration, "holder": holder},
        }))
        .unwrap()
    }

    #[test]
    fn a_command_works_on_the_strands_that_are_meant() {
        let strands = [
            strand(
                "c",
                "one",
                &json!({"token": "t", "podName": "boboyka-drain-c-1"}),
            ),
            strand("b", "two", &json!({"token": "t", "podName": "agent"})),
            strand("a", "one", &Value::Null),
        ];
        let told = |which: &Which| {
            let targets = targets(&strands, which).unwrap().into_iter();
            targets
                .map(|target| (target.strand, target.pod.is_ok()))
                .collect::<Vec<_>>()
        };
        let all =
            [("a", false), ("b", true), ("c", false)].map(|(name, is_up)| (name.to_owned(), is_up));
        assert_eq!(told(&Which::default()), all);
        let one = Which {
            integration: Some("two".to_owned()),
            ..Which::default()
        };
        assert_eq!(told(&one), all[1..2]);
        let unknown = Which {
            strands: vec!["z".to_owned()],
            ..Which::default()
        };
        assert!(
            targets(&strands, &unknown)
                .unwrap_err()
                .to_string()
                .contains("there is no strand z")
        );
    }
}
