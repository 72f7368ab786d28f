//! What goes on beside the API: the mirror, the phase, retention, and in a cluster the watch and the report, or the file of the integration. Started
//! together; one signal ends them all.

mod witnessed;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use boboyka_cosigning::Cosigned;
use boboyka_crds::MirrorTable;
use boboyka_mirror::{Mirror, SupabaseSource};
use boboyka_store::{Store, TlogKey, causes};
use boboyka_tlog::policy::Party;
use tokio::sync::{oneshot, watch};
use tokio::task::{JoinHandle, JoinSet};
use tokio_util::sync::CancellationToken;
use tracing::Instrument as _;

use self::witnessed::Witnessed;
use crate::archive::{ArchiveHandle, ArchiveOptions, Archiving};
use crate::cluster::Cluster;
use crate::config::{Membership, Strand};
use crate::cosigning::Witnesses;
use crate::file::{IntegrationFile, Standing};
use crate::integration::Integration;
use crate::report::{Reporter, Source};
use crate::{mirroring, phase, prune};

/// What the sidecar has to do with others.
#[derive(Debug)]
pub(crate) struct Outside {
    /// Where Supabase's credentials come from.
    pub(crate) supabase: SupabaseSource,
    /// The tables that its own file names, outside a cluster.
    pub(crate) tables: BTreeMap<String, MirrorTable>,
    /// What signs the checkpoints of the strand's transparency log.
    pub(crate) key: TlogKey,
    /// Who cosigns these checkpoints.
    pub(crate) witnesses: Vec<Party>,
    /// Its place in a cluster, if it is in one.
    pub(crate) membership: Option<Membership>,
    /// The file of its integration, if it has one.
    pub(crate) file: Option<PathBuf>,
    /// Where flags want the strand archived.
    pub(crate) archive: ArchiveOptions,
}

/// All of it, running.
pub(crate) struct Upkeep {
    pub(crate) mirror: Mirror,
    pub(crate) integration: watch::Receiver<Integration>,
    pub(crate) cosigned: watch::Receiver<Cosigned>,
    /// How the file of the integration stands, if there is one.
    pub(crate) standing: Option<watch::Receiver<Arc<Standing>>>,
    /// How the archive stands.
    pub(crate) archived: ArchiveHandle,
    store: Store,
    cluster: Option<Cluster>,
    reporter: Option<oneshot::Receiver<Reporter>>,
    tasks: JoinSet<()>,
    /// Keeps the settings of a sidecar outside of a cluster, which never change.
    _standalone: watch::Sender<Integration>,
}

impl Outside {
    /// Names the sidecar in every line of the log.
    pub(crate) fn span(&self) -> tracing::Span {
        let Some(own) = &self.membership else {
            return tracing::Span::none();
        };
        tracing::info_span!(
            "sidecar",
            namespace = own.namespace,
            integration = own.integration,
            strand = own.strand,
            pod = own.pod_uid
        )
    }
}

impl Upkeep {
    /// Starts all of it. `takes_records` is what the report says.
    pub(crate) async fn start(
        store: &Store,
        strand: &Strand,
        outside: Outside,
        takes_records: bool,
        shutdown: &CancellationToken,
    ) -> Self {
        let mut tasks = JoinSet::new();
        let mut supabase = outside.supabase;
        let (standalone, mut integration) = watch::channel(Integration {
            has_supabase: !matches!(supabase, SupabaseSource::Absent),
            tables: outside.tables,
            ..Integration::standalone()
        });
        let cluster = outside.membership.map(|membership| {
            let (cluster, watch) = Cluster::new(membership);
            tasks.spawn(watch.run(shutdown.clone()).in_current_span());
            integration = cluster.integration.clone();
            cluster
        });
        let file = outside.file.map(|path| {
            let file = IntegrationFile::open(&path, supabase.clone(), &outside.archive, store);
            (integration, supabase) = (file.integration(), file.supabase());
            file
        });
        let following = phase::follow(store.clone(), integration.clone(), shutdown.clone());
        let (boundary, follower) = following.await;
        let assignment = cluster.as_ref().map(|cluster| cluster.assignment.clone());
        // What takes no records works on the strand for a short time only, and archives nothing.
        let wanted = (outside.archive, takes_records);
        let (archiving, pruner) = kept(store, wanted, &integration, shutdown);
        let archived = archiving.handle();
        let (settings, forwarder) =
            mirroring::assigned(integration.clone(), assignment.clone(), shutdown.clone());
        let (mirror, lanes) = Mirror::start(store.clone(), supabase, settings, shutdown.clone());
        for (task, what) in [
            (lanes, "mirror"),
            (forwarder, "mirror settings"),
            (follower, "phase"),
            (pruner, "retention"),
        ] {
            tasks.spawn(joined(task, what));
        }
        tasks.spawn(fresh_evidence(&mirror, &boundary, shutdown));
        let witnessed = Witnessed {
            key: outside.key,
            witnesses: Witnesses::new(outside.witnesses, integration.clone()),
            assignment,
        };
        let cosigned = witnessed.start(store, &mut tasks, shutdown);
        let archive = archiving.run(cosigned.clone(), shutdown.clone());
        tasks.spawn(archive.in_current_span());
        let (data_dir, watched) = (strand.data_dir.clone(), cosigned.clone());
        let (own, mirrored) = (store.clone(), mirror.clone());
        let source = Source::new(own, mirrored, boundary, watched, data_dir, takes_records);
        let source = source.with_archive(archived.clone());
        let standing = file.as_ref().map(IntegrationFile::standing);
        if let Some(file) = file {
            let run = file.run(source.clone(), shutdown.clone());
            tasks.spawn(run.in_current_span());
        }
        let reporter = cluster.clone();
        let reporter = reporter.map(|cluster| report(cluster, source, &mut tasks, shutdown));
        Self {
            mirror,
            integration,
            cosigned,
            standing,
            archived,
            store: store.clone(),
            cluster,
            reporter,
            tasks,
            _standalone: standalone,
        }
    }

    /// Adds a task that ends with the others.
    pub(crate) fn spawn(&mut self, task: impl Future<Output = ()> + Send + 'static) {
        self.tasks.spawn(task.in_current_span());
    }

    /// Returns when one of the tasks has ended, which before the signal none does unless something is wrong with it.
    pub(crate) async fn task_ended(&mut self) {
        if let Some(Err(error)) = self.tasks.join_next().await {
            tracing::error!(error = causes(&error), "a task of the sidecar failed");
        }
    }

    /// Whether nothing is left to mirror that can be mirrored.
    pub(crate) fn is_settled(&self) -> bool {
        !self.mirror.configured() || self.store.view().is_settled()
    }

    /// Whether nothing is left that the phase in force wants mirrored: the phase is known and obeyed, and Supabase
    /// has everything.
    pub(crate) fn owes_nothing(&self) -> bool {
        let in_force = self.integration.borrow().in_force;
        let view = self.store.view();
        let obeyed = view.phase.map(|state| state.phase);
        in_force.is_some_and(|force| obeyed == Some(force.phase)) && view.is_settled()
    }

    /// Returns once Supabase has everything.
    pub(crate) async fn settled(&self) {
        self.until(|upkeep| upkeep.is_settled().then_some(())).await;
    }

    /// Looks at once, and again whenever the strand, the integration or the credentials have changed, until there is
    /// an answer.
    pub(crate) async fn until<T>(&self, look: impl Fn(&Self) -> Option<T>) -> T {
        let mut view = self.store.watch_view();
        let mut integration = self.integration.clone();
        let mut source = self.mirror.watch_source();
        loop {
            // A change during the look leads to another look.
            view.mark_unchanged();
            integration.mark_unchanged();
            source.mark_seen();
            if let Some(answer) = look(self) {
                return answer;
            }
            tokio::select! {
                Ok(()) = view.changed() => {}
                // Fails once the watch of the cluster has ended, which is the end of the process.
                Ok(()) = integration.changed() => {}
                () = source.changed() => {}
            }
        }
    }

    /// Returns once this pod is known to hold the strand, so that the next report is taken; at once outside of a cluster.
    pub(crate) async fn held(&self) {
        if let Some(cluster) = &self.cluster {
            cluster.held().await;
        }
    }

    /// Returns once this pod, which held the strand, is known to hold it no longer; never outside of a cluster.
    pub(crate) async fn holder_lost(&self) {
        match &self.cluster {
            Some(cluster) => cluster.holder_lost().await,
            None => std::future::pending().await,
        }
    }

    /// Waits until all tasks have obeyed the signal, and reports a last time, in a limited time.
    pub(crate) async fn end(mut self, report_limit: Duration) {
        while let Some(ended) = self.tasks.join_next().await {
            if let Err(error) = ended {
                tracing::error!(error = causes(&error), "a task of the sidecar failed");
            }
        }
        if let Some(reporter) = self.reporter
            && let Ok(reporter) = reporter.await
        {
            reporter.last(report_limit).await;
        }
    }
}

/// What archives the strand, and what prunes it, which begins when it is known what the archive is to have.
fn kept(
    store: &Store,
    (options, archives): (ArchiveOptions, bool),
    integration: &watch::Receiver<Integration>,
    shutdown: &CancellationToken,
) -> (Archiving, JoinHandle<()>) {
    // A flag is for this very process.
    let archives = archives || options.by_flags();
    let archiving = Archiving::new(store.clone(), options, integration.clone(), archives);
    let (own, handle) = (store.clone(), archiving.handle());
    let pruner = prune::start_beside(own, integration.clone(), handle, shutdown.clone());
    (archiving, pruner)
}

/// Has the strand reported into its cluster; what reports comes back at the end.
fn report(
    cluster: Cluster,
    source: Source,
    tasks: &mut JoinSet<()>,
    shutdown: &CancellationToken,
) -> oneshot::Receiver<Reporter> {
    let (back, at_end) = oneshot::channel();
    let reporter = Reporter::new(cluster, source).run(shutdown.clone());
    let run = async { drop(back.send(reporter.await)) };
    tasks.spawn(run.in_current_span());
    at_end
}

/// Has the tables compared with the strand when a change of phase is asked for: its gates want fresh evidence.
fn fresh_evidence(
    mirror: &Mirror,
    boundary: &watch::Receiver<Option<phase::TransitionProgress>>,
    shutdown: &CancellationToken,
) -> impl Future<Output = ()> + use<> {
    let (mirror, mut boundary, shutdown) = (mirror.clone(), boundary.clone(), shutdown.clone());
    let asking = async move {
        let mut asked = None;
        loop {
            // Asked for again once the lanes are drained, so that the evidence reaches the boundary soon.
            let now = boundary
                .borrow_and_update()
                .map(|it| (it.fixed, it.drained));
            if now.is_some() && now != asked {
                mirror.want_check();
            }
            asked = now;
            tokio::select! {
                () = shutdown.cancelled() => return,
                changed = boundary.changed() => if changed.is_err() {
                    return shutdown.cancelled().await;
                },
            }
        }
    };
    asking.in_current_span()
}

async fn joined(task: JoinHandle<()>, what: &str) {
    if let Err(error) = task.await {
        tracing::error!(error = causes(&error), "the task {what} failed");
    }
}
