//! What is written beside an integration's file: the status of the integration and of the strand, in the form that a cluster
//! has them. No secret is in it.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use boboyka_crds::{
    BoboykaIntegration, BoboykaStrand, IntegrationStatus, StrandCounts, StrandStatus,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, ObjectMeta, Time};
use k8s_openapi::jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::machine::Machine;

/// A status file.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct StatusFile {
    integration: Document<IntegrationStatus>,
    strand: Document<StrandStatus>,
}

/// One of its documents.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Document<S> {
    api_version: String,
    kind: String,
    metadata: ObjectMeta,
    status: S,
}

/// The status now; `before` are the conditions that were said last. Without a Supabase nothing waits to be mirrored.
pub(super) fn status(
    machine: &Machine,
    has_supabase: bool,
    strand: StrandStatus,
    before: &[Condition],
    now: &Time,
) -> StatusFile {
    let name = machine.accepted().map(|documents| documents.name.clone());
    let name = name.unwrap_or_else(|| "unknown".to_owned());
    let ready = i32::from(strand.ready);
    let integration = IntegrationStatus {
        observed_generation: Some(machine.generation()),
        strands: StrandCounts {
            total: 1,
            held: 1,
            ready,
            summary: Some(format!("{ready}/1")),
        },
        records: strand.records,
        records_by_type: strand.records_by_type.clone(),
        backlog: if has_supabase { strand.backlog } else { 0 },
        dead_letters: strand.dead_letters,
        unmirrored: strand.unmirrored,
        unmirrored_bytes: strand.unmirrored_bytes,
        supabase_url: strand.supabase_url.clone(),
        conditions: conditions(machine, &strand, before, now),
        ..machine.decided().clone()
    };
    StatusFile {
        integration: document::<BoboykaIntegration, _>(&name, integration),
        strand: document::<BoboykaStrand, _>(&name, strand),
    }
}

/// The file of the status of an integration's file: `integration.status.yaml` beside `integration.yaml`.
pub(crate) fn status_path(file: &Path) -> PathBuf {
    file.with_extension("status.yaml")
}

impl StatusFile {
    /// Reads one.
    ///
    /// # Errors
    /// It is not there, or is no status file.
    pub(crate) fn read(path: &Path) -> io::Result<Self> {
        let text = fs::read_to_string(path)?;
        let mut documents = serde_yaml::Deserializer::from_str(&text);
        let (first, second) = (documents.next(), documents.next());
        let missing =
            || io::Error::new(io::ErrorKind::InvalidData, "it has less than two documents");
        let (first, second) = first.zip(second).ok_or_else(missing)?;
        let (integration, strand) = (Document::deserialize(first), Document::deserialize(second));
        Ok(Self {
            integration: integration.map_err(io::Error::other)?,
            strand: strand.map_err(io::Error::other)?,
        })
    }

    /// Replaces the status file of an integration's file.
    pub(super) fn write(&self, path: &Path, of: &Path) -> io::Result<()> {
        let text = self.to_yaml(&of.display().to_string());
        let temporary = path.with_extension("yaml.new");
        fs::write(&temporary, text.map_err(io::Error::other)?)?;
        fs::rename(&temporary, path)
    }

    fn to_yaml(&self, of: &str) -> Result<String, serde_yaml::Error> {
        let integration = serde_yaml::to_string(&self.integration)?;
        let strand = serde_yaml::to_string(&self.strand)?;
        Ok(format!(
            "# boboyka-sidecar writes this file: the status of {of}. Edits are lost.\n{integration}---\n{strand}"
        ))
    }

    /// The status of the integration.
    pub(crate) fn integration(&self) -> &IntegrationStatus {
        &self.integration.status
    }

    /// The conditions of integration and strand.
    pub(super) fn conditions(&self) -> (Vec<Condition>, Vec<Condition>) {
        let (integration, strand) = (&self.integration.status, &self.strand.status);
        (integration.conditions.clone(), strand.conditions.clone())
    }

    /// What must be written at once when it changes: all but figures that move by themselves.
    pub(super) fn news(&self) -> impl PartialEq + use<> {
        let status = &self.integration.status;
        (
            status.observed_generation,
            status.phase,
            status.transition.clone(),
            (status.force.clone(), status.last_change.clone()),
            status.legal_hold.clone(),
            status.conditions.clone(),
            self.strand.status.ready,
            self.strand.status.phase,
            self.strand.status.chain.clone(),
        )
    }

    /// Without what changes with time alone.
    pub(super) fn at_no_time(&self) -> Self {
        let mut still = self.clone();
        let strand = &mut still.strand.status;
        (strand.reported_at, strand.lag_ms) = (None, 0);
        still
    }
}

fn document<K: kube::Resource<DynamicType = ()>, S>(name: &str, status: S) -> Document<S> {
    Document {
        api_version: K::api_version(&()).into_owned(),
        kind: K::kind(&()).into_owned(),
        metadata: ObjectMeta {
            name: Some(name.to_owned()),
            ..ObjectMeta::default()
        },
        status,
    }
}

fn conditions(
    machine: &Machine,
    strand: &StrandStatus,
    before: &[Condition],
    now: &Time,
) -> Vec<Condition> {
    let mut conditions = vec![ready(machine, strand)];
    if let Some(wrong) = machine.wrong() {
        conditions.push(condition("Stalled", true, "InvalidSpec", wrong));
    }
    if let Some((reason, why)) = waits(machine) {
        conditions.push(condition("Reconciling", true, reason, &why));
    }
    for one in &mut conditions {
        let earlier = before.iter().find(|it| it.type_ == one.type_);
        let since = earlier.filter(|it| it.status == one.status);
        one.last_transition_time =
            since.map_or_else(|| now.clone(), |it| it.last_transition_time.clone());
        one.observed_generation = Some(machine.generation());
    }
    conditions
}

fn ready(machine: &Machine, strand: &StrandStatus) -> Condition {
    if let Some(wrong) = machine.wrong() {
        return condition("Ready", false, "InvalidSpec", wrong);
    }
    if let Some(chain) = strand.chain.as_ref().filter(|chain| !chain.intact) {
        let why = chain.reason.as_deref().unwrap_or_default();
        return condition("Ready", false, "ChainBroken", why);
    }
    if !strand.ready {
        return condition(
            "Ready",
            false,
            "SidecarsNotReady",
            "the sidecar takes no records",
        );
    }
    let unused = machine.accepted().map(|it| it.unused.join(", "));
    let message = match unused.filter(|unused| !unused.is_empty()) {
        None => "the sidecar takes records".to_owned(),
        Some(unused) => format!("the sidecar takes records; not used without a cluster: {unused}"),
    };
    condition("Ready", true, "AsExpected", &message)
}

/// What the next phase waits for.
fn waits(machine: &Machine) -> Option<(&'static str, String)> {
    let transition = machine.decided().transition.as_ref()?;
    let reason = if transition.paused {
        "MigrationPaused"
    } else {
        "PhaseGateClosed"
    };
    let why = format!("{} waits: {}", transition.goal(), transition.why());
    Some((reason, why))
}

fn condition(kind: &str, is_true: bool, reason: &str, message: &str) -> Condition {
    Condition {
        type_: kind.to_owned(),
        status: if is_true { "True" } else { "False" }.to_owned(),
        reason: reason.to_owned(),
        message: message.to_owned(),
        last_transition_time: Time(Timestamp::UNIX_EPOCH),
        observed_generation: None,
    }
}
