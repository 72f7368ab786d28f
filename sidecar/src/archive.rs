//! The strand's archive: where it is by flags or by the integration, and the archiver that works on it. An edit of the integration is
//! obeyed at once. Retention keeps what the archive is to have from the moment in which one is asked for.

mod keys;
mod strand;
#[cfg(test)]
mod tests;

use std::path::PathBuf;
use std::time::Duration;

use boboyka_archive::{ArchiveStatus, Archiver, Fault, Kind, Place};
use boboyka_cosigning::Cosigned;
use boboyka_store::Store;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

pub(crate) use self::keys::read_settings;
use self::strand::{Strand, need};
use crate::config::{Archive, ArchiveKeys};
use crate::integration::{ArchiveRequest, Integration, Keys};

/// What flags and environment say of the archive.
#[derive(Clone, Debug)]
pub(crate) struct ArchiveOptions {
    /// What the flags ask for, which counts more than what the integration does.
    asked: Option<ArchiveRequest>,
    keys: ArchiveKeys,
    /// The folder that has Secrets as folders with their names, in a pod.
    secrets: Option<PathBuf>,
}

impl ArchiveOptions {
    pub(crate) fn of(archive: &Archive, secrets: Option<PathBuf>) -> Self {
        let asked = archive.url.clone().map(|place| ArchiveRequest {
            place: Some(place),
            after: archive.after,
            keys: Keys::Own,
        });
        Self {
            asked,
            keys: archive.keys.clone(),
            secrets,
        }
    }

    /// Whether flags say where the archive is.
    pub(crate) fn by_flags(&self) -> bool {
        self.asked.is_some()
    }

    fn wanted(&self, integration: &Integration) -> Option<ArchiveRequest> {
        let asked = self.asked.as_ref().or(integration.archive.as_ref());
        asked.cloned()
    }
}

/// How a strand's archive stands.
#[derive(Clone, Debug)]
pub(crate) struct Archived {
    place: Option<Place>,
    pub(crate) after: Duration,
    pub(crate) status: watch::Receiver<ArchiveStatus>,
}

impl Archived {
    /// Of an archive whose status does not change.
    #[cfg(test)]
    pub(crate) fn new(place: Option<Place>, status: ArchiveStatus) -> Self {
        Self {
            place,
            after: Duration::from_hours(1),
            status: watch::channel(status).1,
        }
    }

    /// Where it is; empty while that can't be read.
    pub(crate) fn url(&self) -> String {
        let place = self.place.as_ref();
        place.map(ToString::to_string).unwrap_or_default()
    }
}

/// What is obeyed.
#[derive(Clone, Debug, Default)]
struct Obeyed {
    asked: Option<ArchiveRequest>,
    archived: Option<Archived>,
}

/// What others see of the archive.
#[derive(Clone, Debug)]
pub(crate) struct ArchiveHandle {
    by_flags: bool,
    obeyed: watch::Receiver<Obeyed>,
}

impl ArchiveHandle {
    /// Of a sidecar that archives nothing.
    pub(crate) fn none() -> Self {
        Self {
            by_flags: false,
            obeyed: watch::channel(Obeyed::default()).1,
        }
    }

    /// How it stands; `None` without one.
    pub(crate) fn now(&self) -> Option<Archived> {
        self.obeyed.borrow().archived.clone()
    }

    /// Whether retention keeps already what this integration wants archived.
    pub(crate) fn obeys(&self, integration: &Integration) -> bool {
        self.by_flags || self.obeyed.borrow().asked == integration.archive
    }

    /// Returns when another archive is obeyed.
    pub(crate) async fn changed(&mut self) {
        if self.obeyed.changed().await.is_err() {
            // The task that obeys has ended, and so does the process.
            std::future::pending::<()>().await;
        }
    }
}

/// Has the strand archived where flags or integration want it.
pub(crate) struct Archiving {
    pub(crate) store: Store,
    pub(crate) options: ArchiveOptions,
    pub(crate) integration: watch::Receiver<Integration>,
    /// Whether anything is archived; if not, it is kept all the same.
    pub(crate) archives: bool,
    obeyed: watch::Sender<Obeyed>,
}

impl Archiving {
    /// What is asked for by now keeps retention from its work when this returns.
    pub(crate) fn new(
        store: Store,
        options: ArchiveOptions,
        integration: watch::Receiver<Integration>,
        archives: bool,
    ) -> Self {
        let asked = options.wanted(&integration.borrow());
        let kept = asked.as_ref().map(|asked| need(asked.after, 0));
        store.keep_for_archive(kept);
        let obeyed = Obeyed {
            asked,
            archived: None,
        };
        Self {
            store,
            options,
            integration,
            archives,
            obeyed: watch::Sender::new(obeyed),
        }
    }

    pub(crate) fn handle(&self) -> ArchiveHandle {
        ArchiveHandle {
            by_flags: self.options.by_flags(),
            obeyed: self.obeyed.subscribe(),
        }
    }

    /// Archives until the shutdown.
    pub(crate) async fn run(
        mut self,
        cosigned: watch::Receiver<Cosigned>,
        shutdown: CancellationToken,
    ) {
        loop {
            let asked = self.options.wanted(&self.integration.borrow_and_update());
            let archiver = self.obey(asked.clone(), &cosigned);
            let work = async {
                match archiver {
                    Some(archiver) => archiver.run(shutdown.clone()).await,
                    None => shutdown.cancelled().await,
                }
            };
            tokio::select! {
                () = work => return,
                () = self.asks_otherwise(asked.as_ref()) => {}
            }
        }
    }

    /// Returns when something else is asked for.
    async fn asks_otherwise(&mut self, asked: Option<&ArchiveRequest>) {
        loop {
            if self.integration.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
            let now = self.options.wanted(&self.integration.borrow_and_update());
            if now.as_ref() != asked {
                return;
            }
        }
    }

    /// Keeps retention from what the archive is to have, and begins to archive it, if that can be.
    fn obey(
        &self,
        asked: Option<ArchiveRequest>,
        cosigned: &watch::Receiver<Cosigned>,
    ) -> Option<Archiver<Strand>> {
        let kept = asked.as_ref().map(|asked| need(asked.after, 0));
        self.store.keep_for_archive(kept);
        let wanted = asked.clone().filter(|_| self.archives);
        let (work, archived) = match wanted.map(|asked| self.begin(asked, cosigned)) {
            None => (None, None),
            Some((work, archived)) => (work, Some(archived)),
        };
        self.obeyed.send_replace(Obeyed { asked, archived });
        work
    }

    fn begin(
        &self,
        asked: ArchiveRequest,
        cosigned: &watch::Receiver<Cosigned>,
    ) -> (Option<Archiver<Strand>>, Archived) {
        let (place, after) = (asked.place.clone(), asked.after);
        let archived = |status| Archived {
            place: place.clone(),
            after,
            status,
        };
        let place = match self.usable(&asked) {
            Ok(place) => place,
            Err(fault) => {
                tracing::warn!(
                    kind = fault.kind.name(),
                    "the strand can't be archived: {fault}"
                );
                let status = ArchiveStatus {
                    failures: [(fault.kind, 1)].into(),
                    fault: Some(fault),
                    ..ArchiveStatus::default()
                };
                // Nothing changes before something else is asked for, in another pod.
                return (None, archived(watch::channel(status).1));
            }
        };
        let strand = Strand {
            store: self.store.clone(),
            cosigned: cosigned.clone(),
            after,
        };
        let (keys, secrets) = (self.options.keys.clone(), self.options.secrets.clone());
        let read = move || read_settings(&keys, &asked.keys, secrets.as_deref());
        let work = Archiver::new(strand, place, after, read);
        let status = work.status();
        (Some(work), archived(status))
    }

    /// The place, if this sidecar can ever archive there.
    fn usable(&self, asked: &ArchiveRequest) -> Result<Place, Fault> {
        let Some(place) = &asked.place else {
            let why = "this version of the sidecar can't read it";
            return Err(Fault::new(Kind::Settings, "spec.archive", why));
        };
        if let Keys::Secret(name) = &asked.keys
            && !keys::is_mounted(name, self.options.secrets.as_deref())
        {
            let why = format!("the pod was made without the Secret {name}");
            return Err(Fault::new(Kind::Unmounted, place.to_string(), why));
        }
        Ok(place.clone())
    }
}
