//! Flags and environment: the only place that reads either. Secrets come by environment or file only.

use std::path::{Path, PathBuf};
use std::time::Duration;

use boboyka_archive::{Place, Settings};
use boboyka_crds::{Phase, names, quantity};
use boboyka_otlp::TraceOptions;
use boboyka_strand::{Hash, RecordType};
use boboyka_tlog::VerifierKey;
use clap::{Args, Parser, Subcommand};
use jiff::Timestamp;

use crate::log::LogFormat;
use crate::server::listen::ListenAddress;

/// The Boboyka sidecar: takes records on localhost, appends each to a hash-chained strand before it answers,
/// and mirrors them to Supabase.
#[derive(Debug, Parser)]
#[command(
    version,
    after_help = "Supabase: set BOBOYKA_SUPABASE_URL and BOBOYKA_SUPABASE_KEY (both), or name a folder \
                  with the files `url` and `key`, which is read again whenever they change. Without \
                  either, records are kept in the strand only and mirrored once Supabase is there.\n\n\
                  Try it:\n  curl -sS localhost:7475/v1/boboyka/ingest -H 'content-type: \
                  application/json' \\\n    -d '{\"record_type\":\"agent_health\",\"data\":\
                  {\"agent_id\":\"me\",\"status\":\"healthy\"}}'",
    args_conflicts_with_subcommands = true
)]
pub struct Cli {
    /// What to do instead of serving.
    #[command(subcommand)]
    pub command: Option<Command>,
    /// How log lines look: auto is text on a terminal and JSON anywhere else.
    #[arg(
        long,
        global = true,
        env = "BOBOYKA_LOG_FORMAT",
        value_enum,
        default_value_t
    )]
    pub log_format: LogFormat,
    /// How to serve.
    #[command(flatten)]
    pub serve: Serve,
}

/// What the program can do besides serving.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Check a strand that no process has open: hash every block again and change nothing. With --checkpoint, compare
    /// it with a signed checkpoint too. With --proof, check the proof of one record, without any strand. Exits with 0
    /// when it holds, with 1 when it does not, with 2 when a folder or file can't be read.
    Verify(Verify),
    /// Wait until a sidecar on this machine takes records. Exits with 0 once it does, with 1 after the time-out.
    Wait {
        /// The sidecar's health port.
        #[arg(long, env = names::OBSERVE_VARIABLE, default_value = "localhost:7476")]
        observe: ListenAddress,
        /// How long to wait, such as 60s.
        #[arg(long, default_value = "60s", value_parser = duration)]
        timeout: Duration,
    },
    /// Print the proof that a record is in the strand's transparency log, a .tlog-proof with the header in its extra line.
    /// Asks the running sidecar, or reads the data folder of a strand that no sidecar has open. Exits with 0 and the
    /// proof, or with 1 and the reason.
    Prove {
        /// The hash in the record's receipt.
        hash: Hash,
        /// Address of the running sidecar's API.
        #[arg(long, env = "BOBOYKA_LISTEN", default_value = "localhost:7475")]
        listen: ListenAddress,
        /// File with the key of the API, if the sidecar asks for one.
        #[arg(long, env = "BOBOYKA_API_KEY_FILE")]
        api_key_file: Option<PathBuf>,
        /// The data folder, instead of a running sidecar.
        #[arg(long)]
        data_dir: Option<PathBuf>,
    },
    /// Show which phase is in force and what the next one waits for, or ask for another phase.
    Phase(PhaseOptions),
    /// Mirror the records of a strand that Supabase does not have yet, then exit with 0. Takes no records.
    Drain(Strand),
    /// Import what was in Supabase before any strand wrote to it, into a strand of its own, then exit with 0. Goes on where
    /// an earlier run ended, and imports nothing twice. Takes no records and mirrors none.
    Backfill(Backfill),
    /// Rebuild a lost strand from its archive, verify all of it, and say what of it is missing. Its log goes on as the next
    /// incarnation. Exits with 0 when the strand is there, with 1 when the archive does not hold, with 2 when it can't be read.
    Restore(Restore),
}

/// What to import, and into which folder.
#[derive(Debug, Args)]
pub struct Backfill {
    /// Data folder of the history's strand; created when it is missing. No agent's strand is taken.
    #[arg(long, default_value = "boboyka-history")]
    pub data_dir: PathBuf,
    /// Folder with the files `url` and `key`, such as a mounted Secret.
    #[arg(long, env = names::SUPABASE_DIR_VARIABLE)]
    pub supabase_dir: Option<PathBuf>,
    /// YAML file with the tables that differ from those of schema.sql, as a sidecar reads it.
    #[arg(long, env = "BOBOYKA_MIRROR_TABLES")]
    pub mirror_tables: Option<PathBuf>,
    /// YAML file with a `BoboykaIntegration`, and perhaps the Secret that it names: credentials, tables and
    /// `spec.migration.backfill` come from there. The flags count more.
    #[arg(long, env = INTEGRATION_FILE, conflicts_with = "mirror_tables")]
    pub integration: Option<PathBuf>,
    /// Record types whose tables are imported, separated by commas. Default: all four.
    #[arg(long, value_delimiter = ',', value_parser = mirrored)]
    pub tables: Vec<RecordType>,
    /// Leave out rows that say of themselves to be younger than this time, such as 2026-01-31T12:00:00Z. Default: the time
    /// when the mirror began.
    #[arg(long, value_parser = moment)]
    pub until: Option<Timestamp>,
    /// How many rows are read in a second at most. Default: 1000.
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub rows_per_second: Option<u32>,
    /// Import nothing while the disk has less than this many bytes free.
    #[arg(long, env = "BOBOYKA_MIN_FREE_BYTES", default_value_t = 64 * 1024 * 1024)]
    pub min_free_bytes: u64,
}

/// What to check.
#[derive(Debug, Args)]
pub struct Verify {
    /// The data folder.
    #[arg(long, env = names::DATA_DIR_VARIABLE, default_value = "boboyka-data")]
    pub data_dir: PathBuf,
    /// A .tlog-proof with the record's header in its line `extra`. Needs --policy or --vkey.
    #[arg(long, group = "claim", requires = "trust")]
    pub proof: Option<PathBuf>,
    /// A signed checkpoint: the strand in the data folder must hold its tree. Needs --policy or --vkey.
    #[arg(long, group = "claim", requires = "trust")]
    pub checkpoint: Option<PathBuf>,
    /// Whom to trust.
    #[command(flatten)]
    pub trust: Trust,
    /// The record itself.
    #[command(flatten)]
    pub content: Content,
}

/// Whom to trust with a log.
#[derive(Debug, Args)]
#[group(id = "trust", multiple = false)]
pub struct Trust {
    /// File with the logs and witnesses to trust and the quorum, as c2sp.org/tlog-policy has it.
    #[arg(long, requires = "claim")]
    pub policy: Option<PathBuf>,
    /// Verifier key of the log (NAME+ID+BASE64), when no witness is asked for.
    #[arg(long, requires = "claim")]
    pub vkey: Option<VerifierKey>,
}

/// The record that a proof is of.
#[derive(Debug, Args)]
#[group(multiple = false)]
pub struct Content {
    /// File with the record as JSON: what was posted, or what GET /v1/boboyka/records/{hash} answers.
    #[arg(long, requires = "proof")]
    pub record: Option<PathBuf>,
    /// File with the record as the strand keeps it: canonical MessagePack.
    #[arg(long, requires = "proof")]
    pub payload: Option<PathBuf>,
}

/// What to show or to ask for.
#[derive(Debug, Args)]
pub struct PhaseOptions {
    /// The file of the integration that a sidecar obeys.
    #[arg(long, env = INTEGRATION_FILE, default_value = "integration.yaml")]
    pub integration: PathBuf,
    /// Ask for this phase by an edit of the file, which keeps comments, and wait until it is in force.
    #[arg(long, value_parser = phase)]
    pub to: Option<Phase>,
    /// Show only what keeps the next phase from coming into force. Exits with 1 if anything does. With --to, ask for that phase
    /// first, and don't wait for it.
    #[arg(long)]
    pub why_not: bool,
    /// How long to wait, such as 60s.
    #[arg(long, default_value = "60s", value_parser = duration)]
    pub timeout: Duration,
}

/// How to serve.
#[derive(Debug, Args)]
pub struct Serve {
    /// The strand.
    #[command(flatten)]
    pub strand: Strand,
    /// Address of the API; localhost means both loopback addresses.
    #[arg(long, env = "BOBOYKA_LISTEN", default_value = "localhost:7475")]
    pub listen: ListenAddress,
    /// File with the key that callers must show as `Authorization: Bearer KEY`. Without it, everybody who reaches the
    /// API may use it. The file is read again whenever it changes.
    #[arg(long, env = "BOBOYKA_API_KEY_FILE")]
    pub api_key_file: Option<PathBuf>,
    /// Seconds after the signal to end during which the sidecar goes on until Supabase has everything.
    #[arg(long, env = names::DRAIN_SECONDS_VARIABLE, default_value_t = 0)]
    pub drain_seconds: u64,
    /// Its traces.
    #[command(flatten)]
    pub traces: TraceOptions,
}

/// A strand, and where it is mirrored to.
#[derive(Debug, Args)]
pub struct Strand {
    /// Data folder of the strand; created when it is missing.
    #[arg(long, env = names::DATA_DIR_VARIABLE, default_value = "boboyka-data")]
    pub data_dir: PathBuf,
    /// Address of the health port: /live, /ready and /metrics.
    #[arg(long, env = names::OBSERVE_VARIABLE, default_value = "localhost:7476")]
    pub observe: ListenAddress,
    /// Folder with the files `url` and `key`, such as a mounted Secret.
    #[arg(long, env = names::SUPABASE_DIR_VARIABLE)]
    pub supabase_dir: Option<PathBuf>,
    /// YAML file with the tables that differ from those of schema.sql: `spec.supabase.mirror.tables` of an
    /// integration, such as `project_build: {table: builds, mode: latest}`. Read once, at the start; a sidecar
    /// in a cluster has them from its integration instead.
    #[arg(long, env = "BOBOYKA_MIRROR_TABLES")]
    pub mirror_tables: Option<PathBuf>,
    /// File with the Ed25519 key that signs the checkpoints of the strand's transparency log, in the form of Go's tools:
    /// PRIVATE+KEY+NAME+ID+BASE64. Without it, the sidecar makes a key beside the strand.
    #[arg(long, env = "BOBOYKA_LOG_KEY_FILE")]
    pub log_key_file: Option<PathBuf>,
    /// File with a policy (c2sp.org/tlog-policy) whose witnesses, those with a URL, cosign the checkpoints of the
    /// strand's transparency log. Read once, at the start.
    #[arg(long, env = "BOBOYKA_WITNESSES")]
    pub witnesses: Option<PathBuf>,
    /// Its archive.
    #[command(flatten)]
    pub archive: Archive,
    /// YAML file with a `BoboykaIntegration`, and perhaps the Secret that it names: the documents that a cluster would
    /// have. An edit is obeyed at once. The status stands beside it, in `FILE.status.yaml`.
    #[arg(long, env = INTEGRATION_FILE, conflicts_with = "mirror_tables")]
    pub integration: Option<PathBuf>,
    /// Refuse records while the disk has less than this many bytes free.
    #[arg(long, env = "BOBOYKA_MIN_FREE_BYTES", default_value_t = 64 * 1024 * 1024)]
    pub min_free_bytes: u64,
}

/// Where a strand is archived.
#[derive(Debug, Args)]
pub struct Archive {
    /// Where sealed segments are archived: `s3://BUCKET/PREFIX`, or a folder as `file:///FOLDER`. Retention then keeps what is not
    /// there. Endpoint, region and keys come by the usual variables, such as `AWS_ENDPOINT`, `AWS_REGION`, `AWS_ACCESS_KEY_ID` and
    /// `AWS_SECRET_ACCESS_KEY`, or by the files of --archive-dir.
    #[arg(long = "archive-url", env = "BOBOYKA_ARCHIVE_URL")]
    pub url: Option<Place>,
    /// How old a record may get before the segment with it is sealed and archived, such as 1h.
    #[arg(long = "archive-after", env = "BOBOYKA_ARCHIVE_AFTER", default_value = "1h", value_parser = archive_after)]
    pub after: Duration,
    /// How to reach it.
    #[command(flatten)]
    pub keys: ArchiveKeys,
}

/// How an archive is reached.
#[derive(Clone, Debug, Args)]
pub struct ArchiveKeys {
    /// Folder with files that are named as the variables `AWS_…` and hold their values, such as a mounted Secret. They count more
    /// than the variables, and are read again before they are used.
    #[arg(long = "archive-dir", env = "BOBOYKA_ARCHIVE_DIR")]
    pub dir: Option<PathBuf>,
}

impl ArchiveKeys {
    /// The settings as environment and files have them now.
    ///
    /// # Errors
    /// The folder or a file can't be read; no content is named.
    pub fn read(&self) -> Result<Settings, String> {
        self.read_with(&Settings::default())
    }

    /// The same with settings that count more than the environment and less than the files.
    pub(crate) fn read_with(&self, told: &Settings) -> Result<Settings, String> {
        let mut settings = Settings::default();
        for (name, value) in std::env::vars_os() {
            if let (Some(name), Some(value)) = (name.to_str(), value.to_str()) {
                settings.set(name, value);
            }
        }
        settings.extend(told);
        if let Some(dir) = &self.dir {
            settings.extend(&archive_files(dir)?);
        }
        Ok(settings)
    }
}

/// The settings in the files of a folder.
pub(crate) fn archive_files(dir: &Path) -> Result<Settings, String> {
    let wrong =
        |path: &Path, error: std::io::Error| format!("cannot read {}: {error}", path.display());
    let mut settings = Settings::default();
    for entry in std::fs::read_dir(dir).map_err(|error| wrong(dir, error))? {
        let path = entry.map_err(|error| wrong(dir, error))?.path();
        let name = path.file_name().and_then(|name| name.to_str());
        if let Some(name) = name.filter(|name| name.starts_with("AWS_")) {
            let value = std::fs::read_to_string(&path).map_err(|error| wrong(&path, error))?;
            settings.set(name, &value);
        }
    }
    Ok(settings)
}

/// The folder with the Secrets of archives that the operator has mounted into this pod, if it is in one.
pub(crate) fn archive_secrets() -> Option<PathBuf> {
    variable(names::ARCHIVE_SECRETS_VARIABLE).map(PathBuf::from)
}

/// From where to rebuild a strand, and into which folder.
#[derive(Debug, Args)]
pub struct Restore {
    /// The archive: `s3://BUCKET/PREFIX`, or a folder as `file:///FOLDER`.
    #[arg(long)]
    pub from: Place,
    /// The data folder, which must be empty or missing.
    #[arg(long, env = names::DATA_DIR_VARIABLE)]
    pub data_dir: PathBuf,
    /// The strand's id, where the archive has more than one.
    #[arg(long)]
    pub strand: Option<uuid::Uuid>,
    /// A signed checkpoint of the strand's log that the restored strand must hold, instead of the one in the archive.
    #[arg(long)]
    pub checkpoint: Option<PathBuf>,
    /// File with the logs and witnesses to trust and the quorum, as c2sp.org/tlog-policy has it: the checkpoint must satisfy it.
    #[arg(long)]
    pub policy: Option<PathBuf>,
    /// How to reach the archive.
    #[command(flatten)]
    pub keys: ArchiveKeys,
}

/// The variable with the path of an integration's file.
pub const INTEGRATION_FILE: &str = "BOBOYKA_INTEGRATION_FILE";

/// The variable with Supabase's URL.
pub const SUPABASE_URL: &str = "BOBOYKA_SUPABASE_URL";

/// The variable with Supabase's key.
pub const SUPABASE_KEY: &str = "BOBOYKA_SUPABASE_KEY";

/// Supabase's URL and key from the environment; each may be missing. No flag carries them: every user
/// of the machine can read command lines.
pub fn supabase_variables() -> (Option<String>, Option<String>) {
    (variable(SUPABASE_URL), variable(SUPABASE_KEY))
}

/// Where in the cluster this sidecar belongs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Membership {
    /// The namespace.
    pub namespace: String,
    /// Its integration.
    pub integration: String,
    /// Its strand.
    pub strand: String,
    /// Its pod's UID.
    pub pod_uid: String,
}

/// Some of the variables that place a sidecar in a cluster are set, others are not.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{set} is set but {missing} is not: a sidecar in a cluster needs both")]
pub struct HalfMember {
    /// A variable that is set.
    pub set: &'static str,
    /// The first variable that is not.
    pub missing: &'static str,
}

/// The sidecar's place in a cluster, from the environment; `None` when it runs on its own.
///
/// # Errors
/// Something of it is missing.
pub fn membership() -> Result<Option<Membership>, HalfMember> {
    membership_from(variable)
}

fn membership_from(
    variable: impl Fn(&'static str) -> Option<String>,
) -> Result<Option<Membership>, HalfMember> {
    let mut set = None;
    let mut missing = None;
    let mut take = |name| {
        let value = variable(name);
        let first = if value.is_some() {
            &mut set
        } else {
            &mut missing
        };
        first.get_or_insert(name);
        value.unwrap_or_default()
    };
    let membership = Membership {
        namespace: take(names::NAMESPACE_VARIABLE),
        integration: take(names::INTEGRATION_VARIABLE),
        strand: take(names::STRAND_VARIABLE),
        pod_uid: take(names::POD_UID_VARIABLE),
    };
    match (set, missing) {
        (None, _) => Ok(None),
        (Some(_), None) => Ok(Some(membership)),
        (Some(set), Some(missing)) => Err(HalfMember { set, missing }),
    }
}

fn variable(name: &str) -> Option<String> {
    let value = std::env::var(name).ok();
    value.filter(|value| !value.trim().is_empty())
}

fn phase(text: &str) -> Result<Phase, String> {
    let all = [Phase::DualWrite, Phase::MigrateInternals, Phase::CutOver];
    let found = all.into_iter().find(|phase| phase.as_str() == text);
    found.ok_or_else(|| "must be DualWrite, MigrateInternals or CutOver".to_owned())
}

fn mirrored(text: &str) -> Result<RecordType, String> {
    let found = RecordType::MIRRORED
        .into_iter()
        .find(|record_type| record_type.name() == text);
    found.ok_or_else(|| {
        "must be project_build, build_queue_item, agent_health or audit_log".to_owned()
    })
}

fn moment(text: &str) -> Result<Timestamp, String> {
    let time: Option<Timestamp> = text.parse().ok();
    time.filter(|time| *time >= Timestamp::UNIX_EPOCH)
        .ok_or_else(|| "must be a time after 1970 such as 2026-01-31T12:00:00Z".to_owned())
}

fn duration(text: &str) -> Result<Duration, String> {
    quantity::duration(text).ok_or_else(|| "must be a duration such as 60s".to_owned())
}

fn archive_after(text: &str) -> Result<Duration, String> {
    boboyka_crds::archive_after(text)
        .ok_or_else(|| "must be a duration of at most 8760h, such as 1h".to_owned())
}

#[cfg(test)]
mod tests {
    use boboyka_crds::names;

    use super::membership_from;

    #[test]
    fn a_sidecar_is_in_a_cluster_when_all_four_variables_say_so() {
        let all = membership_from(|name| Some(name.to_lowercase()))
            .unwrap()
            .unwrap();
        assert_eq!(all.pod_uid, "boboyka_pod_uid");
        assert_eq!(membership_from(|_| None), Ok(None));
    }

    #[test]
    fn the_variable_that_is_missing_is_named() {
        let error =
            membership_from(|name| (name != names::STRAND_VARIABLE).then(String::new)).unwrap_err();
        assert_eq!(
            error.to_string(),
            "BOBOYKA_NAMESPACE is set but BOBOYKA_STRAND is not: a sidecar in a cluster needs both"
        );
    }
}
