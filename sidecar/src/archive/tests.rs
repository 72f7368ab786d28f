//! Which archive is obeyed: what is asked for is kept at once, by whichever pod, and an edit is obeyed without a restart.

use std::path::Path;

use boboyka_store::{NewRecord, Options};
use boboyka_strand::{Record, RecordType};
use tempfile::TempDir;
use tokio::task::JoinHandle;

use super::*;

struct Desk {
    store: Store,
    integration: watch::Sender<Integration>,
    handle: ArchiveHandle,
    shutdown: CancellationToken,
    task: JoinHandle<()>,
    folder: TempDir,
}

fn options(url: Option<&str>, secrets: Option<&Path>) -> ArchiveOptions {
    let flags = Archive {
        url: url.map(|url| url.parse().unwrap()),
        after: Duration::ZERO,
        keys: ArchiveKeys { dir: None },
    };
    ArchiveOptions::of(&flags, secrets.map(Path::to_owned))
}

impl Desk {
    /// With a strand whose record is sealed at once.
    async fn new(options: ArchiveOptions, archives: bool) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let sealing = Options {
            seal_blocks: 1,
            ..Options::new(folder.path())
        };
        let store = Store::open(sealing).unwrap();
        let data = r#"{"agent_id": "a", "status": "healthy"}"#;
        let record = Record::from_json(RecordType::AgentHealth, data).unwrap();
        let records = vec![NewRecord { record, key: None }];
        store.append(records).await.unwrap();
        let integration = watch::Sender::new(Integration::standalone());
        let archiving = Archiving::new(store.clone(), options, integration.subscribe(), archives);
        let handle = archiving.handle();
        let shutdown = CancellationToken::new();
        let cosigned = watch::channel(Cosigned::default()).1;
        let task = tokio::spawn(archiving.run(cosigned, shutdown.clone()));
        Self {
            store,
            integration,
            handle,
            shutdown,
            task,
            folder,
        }
    }

    /// Asks for an archive; returns when it is obeyed.
    async fn ask(&mut self, archive: Option<ArchiveRequest>) {
        let asked = Integration {
            archive,
            ..Integration::standalone()
        };
        self.integration.send_replace(asked.clone());
        while !self.handle.obeys(&asked) {
            self.handle.changed().await;
        }
    }

    /// Waits until the archive stands so.
    async fn stands(&self, so: impl FnMut(&ArchiveStatus) -> bool) -> ArchiveStatus {
        let mut status = self.handle.now().unwrap().status;
        status.wait_for(so).await.unwrap().clone()
    }

    fn kept(&self) -> Option<u64> {
        self.store.archive_need().map(|need| need.archived)
    }

    async fn end(self) {
        self.shutdown.cancel();
        self.task.await.unwrap();
        let close = tokio::task::spawn_blocking(move || self.store.close());
        close.await.unwrap();
        self.folder.close().unwrap();
    }
}

fn request(place: Option<Place>, keys: Keys) -> ArchiveRequest {
    ArchiveRequest {
        place,
        after: Duration::ZERO,
        keys,
    }
}

fn folder(path: &Path) -> ArchiveRequest {
    let place = Place::Folder(path.to_owned());
    request(Some(place), Keys::Own)
}

#[tokio::test]
async fn an_edit_is_obeyed_at_once_and_another_archive_begins_anew() {
    let (one, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let mut desk = Desk::new(options(None, None), true).await;
    assert_eq!(desk.kept(), None);
    for archive in [&one, &other] {
        desk.ask(Some(folder(archive.path()))).await;
        assert!(desk.kept().is_some());
        let held = desk.stands(|status| status.seq > 0).await.seq;
        assert_eq!(desk.kept(), Some(held));
        let strand = archive.path().join(desk.store.strand_id().to_string());
        assert!(strand.is_dir());
    }
    desk.ask(None).await;
    assert_eq!(desk.kept(), None, "retention waits no longer");
    assert!(desk.handle.now().is_none());
    desk.end().await;
}

#[tokio::test]
async fn a_pod_without_the_secret_keeps_everything_and_says_so() {
    let mounts = tempfile::tempdir().unwrap();
    let mut desk = Desk::new(options(None, Some(mounts.path())), true).await;
    let bucket = || "s3://bucket/strands".parse().ok();
    let keyed = request(bucket(), Keys::Secret("keys".to_owned()));
    desk.ask(Some(keyed)).await;
    assert_eq!(desk.kept(), Some(0));
    let fault = desk.stands(|status| status.fault.is_some()).await.fault;
    let fault = fault.unwrap();
    assert_eq!(fault.kind, Kind::Unmounted);
    assert!(
        fault.to_string().contains("without the Secret keys"),
        "{fault}"
    );

    desk.ask(Some(request(None, Keys::Own))).await;
    assert_eq!(desk.kept(), Some(0));
    let fault = desk.stands(|status| status.fault.is_some()).await.fault;
    assert_eq!(fault.unwrap().kind, Kind::Settings);
    assert_eq!(desk.handle.now().unwrap().url(), "");
    desk.end().await;
}

#[tokio::test]
async fn flags_count_more_than_the_integration() {
    let (flag, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let url = format!("file://{}", flag.path().display());
    let mut desk = Desk::new(options(Some(&url), None), true).await;
    assert_eq!(desk.kept(), Some(0), "before anything is pruned");
    desk.ask(Some(folder(other.path()))).await;
    while desk.handle.now().is_none() {
        desk.handle.changed().await;
    }
    assert_eq!(desk.handle.now().unwrap().url(), url);
    desk.end().await;
}

#[tokio::test]
async fn what_archives_nothing_keeps_what_the_archive_is_to_have() {
    let archive = tempfile::tempdir().unwrap();
    let mut desk = Desk::new(options(None, None), false).await;
    desk.ask(Some(folder(archive.path()))).await;
    assert_eq!(desk.kept(), Some(0));
    assert!(desk.handle.now().is_none());
    desk.end().await;
}
