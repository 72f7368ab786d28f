//! `install`: applies the manifest that this program was built with, or says what applying it would do.

use anyhow::Result;
use kube::Api;
use kube::api::{DynamicObject, Patch, PatchParams};
use kube::core::{ApiResource, GroupVersionKind};
use kube::discovery::{Scope, pinned_kind};
use serde_json::{Value, json};

use crate::applied::{Action, Applied, action, ending, refused, text};
use crate::ending::Ending;
use crate::manifest::{self, text_at};
use crate::reading::Reader;
use crate::refusal::{Asked, Read, Refusal};
use crate::terminal::Terminal;

/// Who owns the fields of what is applied.
const MANAGER: &str = "kubectl-boboyka";

/// How to install.
#[derive(clap::Args, Clone, Debug)]
pub(crate) struct InstallOptions {
    /// Has the API server check every object and says what would happen. Nothing changes.
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Prints the manifest and asks no API server.
    #[arg(long, conflicts_with = "dry_run")]
    pub(crate) print: bool,
}

/// Prints the manifest.
pub(crate) fn print(terminal: &Terminal) -> Result<Ending> {
    terminal.print(manifest::text())?;
    Ok(Ending::Well)
}

/// Applies the manifest.
pub(crate) async fn install(
    reader: &Reader,
    terminal: &Terminal,
    options: &InstallOptions,
) -> Result<Ending> {
    let (all, unanswered) = apply_all(reader, manifest::objects()?, options.dry_run).await;
    if !all.is_empty() {
        let view = json!({"dryRun": options.dry_run, "objects": all});
        terminal.show(&view, |width| text(&all, options.dry_run, width))?;
    }
    if let Some(refusal) = unanswered {
        return Err(refusal.into());
    }
    Ok(ending(&all))
}

/// Applies objects until the API server gives no answer: it would give none for the others either, and each would take as
/// long as a request may.
async fn apply_all(
    reader: &Reader,
    objects: Vec<Value>,
    dry_run: bool,
) -> (Vec<Applied>, Option<Refusal>) {
    let mut all = Vec::new();
    for object in objects {
        let (action, message) = match apply(reader, &object, dry_run).await {
            Ok(action) => (action, String::new()),
            Err(refusal) if refusal.is_silence() => return (all, Some(refusal)),
            Err(refusal) => refused(&refusal, text_at(&object, "/metadata/namespace"), dry_run),
        };
        all.push(Applied {
            kind: text_at(&object, "/kind").to_owned(),
            name: manifest::name(&object).to_owned(),
            action,
            message,
        });
    }
    (all, None)
}

async fn apply(reader: &Reader, object: &Value, dry_run: bool) -> Read<Action> {
    let (name, namespace) = (
        manifest::name(object),
        text_at(object, "/metadata/namespace"),
    );
    let (resource, scope) = resource(reader, object).await?;
    let api: Api<DynamicObject> = match scope {
        Scope::Namespaced => Api::namespaced_with(reader.client(), namespace, &resource),
        Scope::Cluster => Api::all_with(reader.client(), &resource),
    };
    let before = reader
        .ask(asked("get", &resource, namespace, name), api.get_opt(name))
        .await?;
    let parameters = PatchParams {
        dry_run,
        ..PatchParams::apply(MANAGER)
    };
    let patch = Patch::Apply(object);
    let request = api.patch(name, &parameters, &patch);
    let after = reader
        .ask(asked("patch", &resource, namespace, name), request)
        .await?;
    Ok(action(before.as_ref(), &after))
}

async fn resource(reader: &Reader, object: &Value) -> Read<(ApiResource, Scope)> {
    let (api_version, kind) = (text_at(object, "/apiVersion"), text_at(object, "/kind"));
    let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
    let known = GroupVersionKind::gvk(group, version, kind);
    let client = reader.client();
    let question = Asked {
        verb: "discover",
        resource: format!("{api_version} {kind}"),
        namespace: String::new(),
        name: String::new(),
    };
    let (resource, capabilities) = reader.ask(question, pinned_kind(&client, &known)).await?;
    Ok((resource, capabilities.scope))
}

fn asked(verb: &'static str, resource: &ApiResource, namespace: &str, name: &str) -> Asked {
    let (plural, group) = (&resource.plural, &resource.group);
    Asked {
        verb,
        resource: if group.is_empty() {
            plural.clone()
        } else {
            format!("{plural}.{group}")
        },
        namespace: namespace.to_owned(),
        name: name.to_owned(),
    }
}
