//! The integration of a sidecar without a cluster: a file with the documents that a cluster would have. An edit is obeyed at
//! once; an edit that is wrong changes nothing, and says so. The status stands beside the file.
//!
//! A thread of its own looks at the file and at the strand, decides by the code that decides in the operator, and tells the
//! tasks of the sidecar, as the watch of a cluster does.

mod config_map;
mod documents;
mod edit;
mod machine;
mod named;
mod news;
mod owner;
mod reader;
mod secret;
mod standing;
mod status;
mod supabase;
#[cfg(test)]
mod tests;
mod unknown;
mod wrong;
mod yaml;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::{Duration, Instant};

use boboyka_crds::BoboykaIntegrationSpec;
use boboyka_mirror::{SupabaseSource, Told};
use boboyka_store::Store;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use k8s_openapi::jiff::Timestamp;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

pub(crate) use self::edit::{EditError, request_phase};
use self::machine::Machine;
use self::reader::{Reader, Text};
pub(crate) use self::standing::Standing;
pub(crate) use self::status::{StatusFile, status_path};
use self::supabase::Elsewhere;
use crate::archive::ArchiveOptions;
use crate::cluster;
use crate::integration::{ArchiveRequest, Integration, Keys};
use crate::report::{Source, Wanted};
use crate::trouble::Trouble;

/// How often file and strand are looked at: an edit is obeyed within a second.
const LOOK_INTERVAL: Duration = Duration::from_millis(250);
/// How often figures alone are written.
const FIGURES_INTERVAL: Duration = Duration::from_secs(1);

/// What a command that reads the file once takes from it.
pub(crate) struct ReadOnce {
    pub(crate) spec: BoboykaIntegrationSpec,
    /// Where the credentials come from.
    pub(crate) supabase: SupabaseSource,
}

/// Reads the file once. `elsewhere` has the credentials when the file has none.
///
/// # Errors
/// What is wrong with it, by line and field.
pub(crate) fn read_once(path: &Path, elsewhere: SupabaseSource) -> Result<ReadOnce, String> {
    let wrong = |why: &dyn std::fmt::Display| format!("{}: {why}", path.display());
    let text = reader::read(path).map_err(|why| wrong(&why))?;
    let documents = documents::parse(&text).map_err(|why| wrong(&why))?;
    let supabase = match (documents.credentials, elsewhere) {
        (_, folder @ SupabaseSource::Folder(_)) => folder,
        (Some(credentials), _) => SupabaseSource::Fixed(credentials),
        (None, elsewhere) => elsewhere,
    };
    Ok(ReadOnce {
        spec: documents.spec,
        supabase,
    })
}

/// The file of an integration, and what follows from it.
pub(crate) struct IntegrationFile {
    path: PathBuf,
    reader: Reader,
    machine: Machine,
    elsewhere: Elsewhere,
    /// Whether flags say where the archive is, and the file does not.
    archive_by_flags: bool,
    integration: watch::Sender<Integration>,
    told: watch::Sender<Told>,
    standing: watch::Sender<Arc<Standing>>,
    /// What was written last, and when.
    written: Option<(StatusFile, Instant)>,
    unused: Vec<String>,
    file_trouble: Trouble,
    status_trouble: Trouble,
}

impl IntegrationFile {
    /// Reads the file. `elsewhere` has the credentials when the file has none.
    pub(crate) fn open(
        path: &Path,
        elsewhere: SupabaseSource,
        archive: &ArchiveOptions,
        store: &Store,
    ) -> Self {
        let recorded = store.view().phase;
        let obeyed = recorded.map(|it| (it.phase, it.generation));
        let before = StatusFile::read(&status_path(path)).ok();
        let before = before.as_ref().map(StatusFile::integration);
        let known = before.and_then(|it| it.observed_generation).unwrap_or(0);
        let known = obeyed.map_or(known, |(_, generation)| known.max(generation));
        let (reader, first) = Reader::new(path.to_owned());
        let mut machine = Machine::new(obeyed, known);
        let has_ended = recorded.is_some_and(|it| it.finalized);
        machine.restore(before, has_ended, &Time(Timestamp::now()));
        let mut file = Self {
            path: path.to_owned(),
            reader,
            machine,
            elsewhere: Elsewhere(elsewhere),
            archive_by_flags: archive.by_flags(),
            integration: watch::channel(Integration::unknown()).0,
            told: watch::channel(Ok(None)).0,
            standing: watch::channel(Arc::default()).0,
            written: None,
            unused: Vec::new(),
            file_trouble: Trouble::with("obey the file of the integration"),
            status_trouble: Trouble::with("write the status of the integration beside its file"),
        };
        file.read(&first);
        file.tell();
        file
    }

    /// What the file asks of the sidecar.
    pub(crate) fn integration(&self) -> watch::Receiver<Integration> {
        self.integration.subscribe()
    }

    /// Where the mirror's credentials come from.
    pub(crate) fn supabase(&self) -> SupabaseSource {
        if let SupabaseSource::Folder(folder) = &self.elsewhere.0 {
            return SupabaseSource::Folder(folder.clone());
        }
        SupabaseSource::Told(self.told.subscribe())
    }

    /// How the file stands, for the API.
    pub(crate) fn standing(&self) -> watch::Receiver<Arc<Standing>> {
        self.standing.subscribe()
    }

    /// Looks at file and strand until the shutdown. A thread of its own looks: the runtime wakes for a change only.
    pub(crate) async fn run(mut self, mut source: Source, shutdown: CancellationToken) {
        let (end, ended) = mpsc::channel::<()>();
        let looking = tokio::task::spawn_blocking(move || {
            loop {
                self.turn(&mut source);
                if ended.recv_timeout(LOOK_INTERVAL) != Err(RecvTimeoutError::Timeout) {
                    return self.last(&mut source);
                }
            }
        });
        shutdown.cancelled().await;
        drop(end);
        // The thread ends with its channel; a panic of it was logged.
        let _ = looking.await;
    }

    fn turn(&mut self, source: &mut Source) {
        if let Some(text) = self.reader.look() {
            self.read(&text);
        }
        let now = Time(Timestamp::now());
        let has_supabase = self.has_supabase();
        let strand = source.status_now(true, &self.wanted(), &self.said().1);
        let before = self.machine.decided().clone();
        self.machine
            .decide(&strand, has_supabase, &now, Instant::now());
        for line in news::lines(&before, self.machine.decided(), self.machine.lists()) {
            let path = self.path.display();
            tracing::warn!("the integration {path}: {line}");
        }
        self.tell();
        let status = status::status(&self.machine, has_supabase, strand, &self.said().0, &now);
        self.write(status);
    }

    /// Says that the sidecar takes no records any more.
    fn last(&mut self, source: &mut Source) {
        let has_supabase = self.has_supabase();
        let strand = source.status_now(false, &self.wanted(), &self.said().1);
        let now = Time(Timestamp::now());
        let status = status::status(&self.machine, has_supabase, strand, &self.said().0, &now);
        self.write(status);
    }

    fn read(&mut self, text: &Text) {
        self.machine.read(text, owner::owner(&self.path));
        let path = self.path.display();
        if let Some(wrong) = self.machine.wrong() {
            self.file_trouble.is(&format!("{path}: {wrong}"));
        } else {
            self.file_trouble.over();
            let phase = self.machine.spec().map(|spec| spec.phase.as_str());
            let generation = self.machine.generation();
            tracing::info!(phase, generation, "the sidecar read the integration {path}");
        }
        let unused = self.unused();
        if unused != self.unused && !unused.is_empty() {
            let unused = unused.join(", ");
            tracing::info!("the integration {path} has what is not used here: {unused}");
        }
        self.unused = unused;
    }

    /// What of the file is not used.
    fn unused(&self) -> Vec<String> {
        let mut unused = self.elsewhere.unused(self.machine.accepted());
        let has_archive = self.machine.spec().is_some_and(|it| it.archive.is_some());
        if has_archive && self.archive_by_flags {
            unused.push("spec.archive, because --archive-url says where the archive is".to_owned());
        }
        unused
    }

    /// Where the file wants the strand archived, with the Secret that stands in it.
    fn archive(&self, asked: Option<ArchiveRequest>) -> Option<ArchiveRequest> {
        let told = self
            .machine
            .accepted()
            .and_then(|it| it.archive_keys.clone());
        asked.map(|asked| ArchiveRequest {
            keys: match (told, asked.keys) {
                (Some(told), _) => Keys::Told(told),
                (None, Keys::Secret(name) | Keys::Missing(name)) => Keys::Missing(name),
                (None, Keys::Own | Keys::Told(_)) => Keys::Own,
            },
            ..asked
        })
    }

    fn has_supabase(&self) -> bool {
        let has_ended = self.machine.decided().finalized.is_some();
        !has_ended && self.elsewhere.has_supabase(self.machine.accepted())
    }

    /// What a report depends on: what the tasks of the sidecar were told, and whether there is a Supabase now.
    fn wanted(&self) -> Wanted {
        Wanted {
            has_supabase: self.has_supabase(),
            ..Wanted::of(&self.integration.borrow())
        }
    }

    /// Tells the tasks of the sidecar what counts now.
    fn tell(&self) {
        set(&self.told, self.elsewhere.told(&self.machine));
        let known = self.integration.borrow().clone();
        let read = self.machine.object();
        let read = read.map_or(known.clone(), |object| cluster::read(&object, &known).0);
        let integration = Integration {
            has_supabase: self.has_supabase(),
            archive: self.archive(read.archive.clone()),
            ..read
        };
        set(&self.integration, integration);
        set(
            &self.standing,
            Arc::new(Standing::of(&self.path, &self.machine)),
        );
    }

    /// The conditions that were said last, of the integration and of the strand.
    fn said(&self) -> (Vec<Condition>, Vec<Condition>) {
        let written = self.written.as_ref();
        written.map_or_else(Default::default, |(file, _)| file.conditions())
    }

    fn write(&mut self, status: StatusFile) {
        let path = status_path(&self.path);
        let is_due = self.written.as_ref().is_none_or(|(before, at)| {
            let moved = before.at_no_time() != status.at_no_time();
            let news = before.news() != status.news() || !path.exists();
            news || moved && at.elapsed() >= FIGURES_INTERVAL
        });
        if !is_due {
            return;
        }
        match status.write(&path, &self.path) {
            Ok(()) => self.status_trouble.over(),
            Err(error) => {
                let error = boboyka_store::causes(&error);
                self.status_trouble
                    .is(&format!("{}: {error}", path.display()));
            }
        }
        self.written = Some((status, Instant::now()));
    }
}

fn set<T: PartialEq>(sender: &watch::Sender<T>, value: T) {
    sender.send_if_modified(|now| {
        let changed = *now != value;
        *now = value;
        changed
    });
}
