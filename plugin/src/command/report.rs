//! `report`: one archive for a bug report, with objects, conditions, Events, logs and versions.

use std::path::PathBuf;

use anyhow::{Context as _, Result};
use boboyka_crds::{BoboykaIntegration, BoboykaStrand, names};
use k8s_openapi::api::admissionregistration::v1::MutatingWebhookConfiguration;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Pod};
use k8s_openapi::api::events::v1::Event;
use k8s_openapi::jiff::Timestamp;
use kube::api::{ListParams, LogParams};
use kube::{Api, ResourceExt};
use serde::Serialize;
use serde_json::{Value, json};

use crate::archive::Archive;
use crate::checks;
use crate::command::check;
use crate::ending::Ending;
use crate::fleet::{Fleet, standings};
use crate::fleet_text;
use crate::reading::{Reader, Scope, asked};
use crate::refusal::Read;
use crate::standing::Standing;
use crate::terminal::Terminal;

/// Pods whose logs are in a report; the worst first.
const PODS: usize = 40;
/// Lines of one log.
const LINES: i64 = 2_000;
/// Bytes of one log.
const BYTES: i64 = 1 << 20;

/// Where the report goes.
#[derive(clap::Args, Clone, Debug)]
pub(crate) struct ReportOptions {
    /// File of the archive. Default: `boboyka-report-TIME.tar.gz` in this folder.
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
    /// Leaves out the logs.
    #[arg(long)]
    no_logs: bool,
    /// Namespace of the operator, if the webhook configuration can't be read.
    #[arg(long, value_name = "NAME", default_value = "boboyka-system")]
    operator_namespace: String,
}

/// Writes the archive.
pub(crate) async fn report(
    reader: &Reader,
    terminal: &Terminal,
    options: &ReportOptions,
) -> Result<Ending> {
    let now = Timestamp::now();
    let folder = format!("boboyka-report-{}", now.strftime("%Y%m%dT%H%M%SZ"));
    let file = options
        .file
        .clone()
        .unwrap_or_else(|| PathBuf::from(format!("{folder}.tar.gz")));
    let mut gathered = Gathered {
        reader,
        archive: Archive::new(folder),
        logs: !options.no_logs,
    };
    Box::pin(gathered.all(&options.operator_namespace, now)).await?;
    let archive = gathered.archive;
    let packed = archive.packed(u64::try_from(now.as_second())?)?;
    std::fs::write(&file, &packed)
        .with_context(|| format!("--file: could not write {}", file.display()))?;
    let paths: Vec<&String> = archive.paths().collect();
    let view =
        json!({"file": file, "bytes": packed.len(), "files": paths, "unread": archive.unread()});
    terminal.show(&view, |_| {
        format!(
            "{}: {} files, {} KiB; look through it before you send it\n",
            file.display(),
            paths.len(),
            packed.len().div_ceil(1024)
        )
    })?;
    for why in archive.unread() {
        Terminal::tell(&format!("not in the report: {why}"));
    }
    Ok(if archive.unread().is_empty() {
        Ending::Well
    } else {
        Ending::Unanswered
    })
}

struct Gathered<'a> {
    reader: &'a Reader,
    archive: Archive,
    logs: bool,
}

impl Gathered<'_> {
    async fn all(&mut self, home: &str, now: Timestamp) -> Result<()> {
        let seen = Box::pin(check::look(self.reader, home)).await;
        self.archive.text(
            "check.txt",
            &plain(&checks::text(&checks::run(&seen, seen.is_absent()), None)),
        );
        let integrations: Vec<BoboykaIntegration> = self.keep(self.reader.list().await);
        let strands: Vec<BoboykaStrand> = self.keep(self.reader.list().await);
        let fleet = Fleet::new(&integrations, &strands, now);
        self.archive
            .text("status.txt", &plain(&fleet_text::text(&fleet, now, None)));
        self.archive
            .text("versions.json", &versions(&seen, &strands));
        let mut standings = standings(&integrations, &strands, now);
        standings.sort_by_key(|one| one.state);
        self.objects("boboykaintegrations", integrations)?;
        self.objects("boboykastrands", strands)?;
        self.of_pods(&standings).await?;
        self.of_operator(&seen.home).await
    }

    async fn of_pods(&mut self, standings: &[Standing]) -> Result<()> {
        let reader = self.reader;
        let labelled = ListParams::default().labels(names::INTEGRATION_LABEL);
        let pods: Vec<Pod> = self.keep(reader.list_in(reader.scope(), &labelled).await);
        let claims: Vec<PersistentVolumeClaim> =
            self.keep(reader.list_in(reader.scope(), &labelled).await);
        let jobs: Vec<Job> = self.keep(reader.list_in(reader.scope(), &labelled).await);
        let events: Vec<Event> = self.keep(reader.list().await);
        self.archive
            .text("events.txt", &events.iter().map(line).collect::<String>());
        let worst = |pod: &Pod| {
            let its = |one: &Standing| one.pod.as_ref() == pod.metadata.name.as_ref();
            standings.iter().position(its).unwrap_or(usize::MAX)
        };
        let mut of_logs: Vec<&Pod> = pods.iter().collect();
        of_logs.sort_by_key(|pod| worst(pod));
        if of_logs.len() > PODS && self.logs {
            self.archive.note(format!(
                "the logs of {} pods; it has those of the worst {PODS}",
                of_logs.len() - PODS
            ));
        }
        for pod in of_logs.into_iter().take(PODS) {
            self.log(pod, names::CONTAINER).await;
        }
        self.objects("pods", pods)?;
        self.objects("persistentvolumeclaims", claims)?;
        self.objects("jobs", jobs)
    }

    async fn of_operator(&mut self, home: &str) -> Result<()> {
        let reader = self.reader;
        let at_home = Scope::One(home.to_owned());
        let its = ListParams::default().labels("app.kubernetes.io/name=boboyka-operator");
        let pods: Vec<Pod> = self.keep(reader.list_in(&at_home, &its).await);
        for pod in &pods {
            self.log(pod, "operator").await;
        }
        self.objects("pods", pods)?;
        let deployment: Option<Deployment> = self.keep_one(reader.get(home, names::WEBHOOK).await);
        self.objects("deployments", deployment)?;
        let lease: Option<Lease> = self.keep_one(reader.get(home, names::WEBHOOK).await);
        self.objects("leases", lease)?;
        let webhook: Option<MutatingWebhookConfiguration> =
            self.keep_one(reader.get_whole(names::WEBHOOK).await);
        self.objects("mutatingwebhookconfigurations", webhook)
    }

    /// The log of a container, and that of its run before.
    async fn log(&mut self, pod: &Pod, container: &str) {
        if !self.logs {
            return;
        }
        let (namespace, name) = (pod.namespace().unwrap_or_default(), pod.name_any());
        let statuses = pod.status.iter().flat_map(|status| {
            let lists = [&status.init_container_statuses, &status.container_statuses];
            lists.into_iter().flatten().flatten()
        });
        let restarts = statuses
            .filter(|one| one.name == container)
            .any(|one| one.restart_count > 0);
        let api: Api<Pod> = Api::namespaced(self.reader.client(), &namespace);
        for previous in [false, true]
            .into_iter()
            .filter(|previous| !previous || restarts)
        {
            let parameters = LogParams {
                container: Some(container.to_owned()),
                tail_lines: Some(LINES),
                limit_bytes: Some(BYTES),
                previous,
                ..LogParams::default()
            };
            let mut question = asked::<Pod>("get", &namespace, &name);
            "pods/log".clone_into(&mut question.resource);
            match self
                .reader
                .ask(question, api.logs(&name, &parameters))
                .await
            {
                Ok(log) => {
                    let end = if previous { ".previous" } else { "" };
                    self.archive.text(
                        &format!("logs/{namespace}/{name}/{container}{end}.log"),
                        &log,
                    );
                }
                Err(refusal) => self.archive.note(refusal.to_string()),
            }
        }
    }

    fn objects<K: Serialize>(
        &mut self,
        kind: &str,
        objects: impl IntoIterator<Item = K>,
    ) -> Result<()> {
        for object in objects {
            self.archive.object(kind, serde_json::to_value(object)?)?;
        }
        Ok(())
    }

    fn keep<T>(&mut self, read: Read<Vec<T>>) -> Vec<T> {
        read.unwrap_or_else(|refusal| {
            self.archive.note(refusal.to_string());
            Vec::new()
        })
    }

    fn keep_one<T>(&mut self, read: Read<T>) -> Option<T> {
        read.map_err(|refusal| self.archive.note(refusal.to_string()))
            .ok()
    }
}

fn versions(seen: &checks::Seen, strands: &[BoboykaStrand]) -> String {
    let sidecars = strands.iter().map(|strand| {
        let version = strand
            .status
            .as_ref()
            .and_then(|status| status.version.clone());
        (strand.name_any(), json!(version))
    });
    let kubernetes = seen
        .version
        .as_ref()
        .ok()
        .map(|(major, minor)| format!("{major}.{minor}"));
    let operator = seen
        .deployment
        .as_ref()
        .ok()
        .and_then(|one| one.labels().get("app.kubernetes.io/version").cloned());
    let view = json!({
        "program": env!("CARGO_PKG_VERSION"), "kubernetes": kubernetes, "operator": operator,
        "sidecars": Value::Object(sidecars.collect()),
    });
    serde_json::to_string_pretty(&view).unwrap_or_default()
}

fn line(event: &Event) -> String {
    let regarding = event.regarding.clone().unwrap_or_default();
    let at = event.event_time.as_ref().map(|time| time.0);
    let at = at.or(event.deprecated_last_timestamp.as_ref().map(|time| time.0));
    format!(
        "{}  {} {}/{}  {}: {}\n",
        at.map(|at| at.to_string()).unwrap_or_default(),
        regarding.kind.unwrap_or_default(),
        regarding.namespace.unwrap_or_default(),
        regarding.name.unwrap_or_default(),
        event.reason.clone().unwrap_or_default(),
        crate::table::plain(event.note.as_deref().unwrap_or_default())
    )
}

fn plain(text: &str) -> String {
    anstream::adapter::strip_str(text).to_string()
}
