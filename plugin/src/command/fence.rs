//! `fence` and `unfence`: keeps a strand from pods, and gives it back.

use anyhow::Result;
use boboyka_crds::{BoboykaStrand, Fence};
use kube::ResourceExt as _;
use serde::Serialize;
use serde_json::{Value, json};

use crate::ending::Ending;
use crate::reading::Reader;
use crate::table::paragraph;
use crate::terminal::Terminal;

/// Which strand, and why.
#[derive(clap::Args, Clone, Debug)]
pub(crate) struct FenceOptions {
    /// Name of the strand.
    strand: String,
    /// Why, in one line of up to 500 characters, for those who wait for the strand.
    #[arg(long, value_name = "TEXT")]
    reason: String,
    /// Has the API server check the change. Nothing changes.
    #[arg(long)]
    dry_run: bool,
}

/// A strand and its fence as they are now.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Answer {
    namespace: String,
    strand: String,
    /// Whether this command changed the fence.
    changed: bool,
    fenced: Option<Fence>,
    /// The pod that holds the strand.
    pod: Option<String>,
}

impl Answer {
    fn new(strand: BoboykaStrand, changed: bool) -> Self {
        Self {
            namespace: strand.namespace().unwrap_or_default(),
            strand: strand.name_any(),
            changed,
            fenced: strand.spec.fenced,
            pod: strand.spec.holder.and_then(|holder| holder.pod_name),
        }
    }

    fn text(&self, width: Option<usize>) -> String {
        let name = format!("{}/{}", self.namespace, self.strand);
        let text = match (&self.fenced, &self.pod) {
            (Some(fence), Some(pod)) => format!(
                "{name} is {fence}. Pod {pod} still holds it, and keeps it until that pod is gone; no other pod gets it."
            ),
            (Some(fence), None) => format!("{name} is {fence}. No pod gets it."),
            (None, _) if self.changed => format!("{name} is no longer fenced: pods get it again."),
            (None, _) => format!("{name} was not fenced."),
        };
        paragraph(&text, 0, width)
    }
}

/// Fences a strand, or changes the reason of its fence.
pub(crate) async fn fence(
    reader: &Reader,
    terminal: &Terminal,
    options: &FenceOptions,
) -> Result<Ending> {
    // The operator says who and when.
    let fence = json!({"reason": options.reason, "by": null, "at": null});
    set(reader, terminal, &options.strand, &fence, options.dry_run).await
}

/// Lifts the fence of a strand.
pub(crate) async fn unfence(reader: &Reader, terminal: &Terminal, strand: &str) -> Result<Ending> {
    set(reader, terminal, strand, &Value::Null, false).await
}

async fn set(
    reader: &Reader,
    terminal: &Terminal,
    name: &str,
    fence: &Value,
    dry_run: bool,
) -> Result<Ending> {
    let namespace = reader.one_namespace()?;
    let before: BoboykaStrand = reader.get(namespace, name).await?;
    let change = json!({"spec": {"fenced": fence}});
    let after = if fence.is_null() && before.spec.fenced.is_none() {
        before.clone()
    } else {
        reader.merge(namespace, name, &change, dry_run).await?
    };
    let changed = before.spec.fenced != after.spec.fenced;
    let answer = Answer::new(after, changed && !dry_run);
    terminal.show(&answer, |width| {
        let text = answer.text(width);
        if dry_run {
            text + "Nothing was changed: this was a dry run.\n"
        } else {
            text
        }
    })?;
    Ok(Ending::Well)
}
