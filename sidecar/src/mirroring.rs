//! What the integration asks of the mirror, as the mirror's own settings.

use std::collections::BTreeMap;

use boboyka_crds::{MirrorMode, MirrorTable};
use boboyka_mirror::{ForeignScope, Mode, Settings, TableSettings};
use boboyka_strand::{PerType, RecordType};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::cluster::Assignment;
use crate::integration::Integration;

/// The mirror's settings as the integration has them now, and the task that keeps them so until `shutdown`.
pub fn settings(
    integration: watch::Receiver<Integration>,
    shutdown: CancellationToken,
) -> (watch::Receiver<Settings>, JoinHandle<()>) {
    assigned(integration, None, shutdown)
}

/// The same in a cluster, where the strand's resource says whether this sidecar counts foreign writes.
pub(crate) fn assigned(
    integration: watch::Receiver<Integration>,
    assignment: Option<watch::Receiver<Assignment>>,
    shutdown: CancellationToken,
) -> (watch::Receiver<Settings>, JoinHandle<()>) {
    let first = settings_of(&integration.borrow(), foreign_scope(assignment.as_ref()));
    let (settings, receiver) = watch::channel(first);
    (
        receiver,
        tokio::spawn(forward(integration, assignment, settings, shutdown)),
    )
}

async fn forward(
    mut integration: watch::Receiver<Integration>,
    mut assignment: Option<watch::Receiver<Assignment>>,
    settings: watch::Sender<Settings>,
    shutdown: CancellationToken,
) {
    loop {
        let assigned = async {
            match assignment.as_mut() {
                Some(assignment) => assignment.changed().await,
                None => std::future::pending().await,
            }
        };
        let changed = tokio::select! {
            () = shutdown.cancelled() => return,
            changed = integration.changed() => changed,
            changed = assigned => changed,
        };
        if changed.is_err() {
            // Nothing changes any more.
            return shutdown.cancelled().await;
        }
        let foreign = foreign_scope(assignment.as_ref());
        let wanted = settings_of(&integration.borrow_and_update(), foreign);
        settings.send_if_modified(|now| {
            let changed = *now != wanted;
            *now = wanted;
            changed
        });
    }
}

/// Outside of a cluster, the integration has one strand, and its sidecar counts.
fn foreign_scope(assignment: Option<&watch::Receiver<Assignment>>) -> ForeignScope {
    match assignment {
        None => ForeignScope::AllButOwn,
        Some(assignment) if assignment.borrow().counts_foreign_writes => ForeignScope::Nameless,
        Some(_) => ForeignScope::Elsewhere,
    }
}

fn settings_of(integration: &Integration, foreign: ForeignScope) -> Settings {
    Settings {
        foreign,
        ack_timeout: integration.ack_timeout,
        batch_rows: integration.batch_rows,
        tables: tables(&integration.tables),
        ..Settings::default()
    }
}

/// The tables that differ from the product's own, by record type.
pub(crate) fn tables(tables: &BTreeMap<String, MirrorTable>) -> PerType<TableSettings> {
    PerType::from_fn(|record_type: RecordType| {
        let table = tables.get(record_type.name());
        table.map_or_else(TableSettings::default, table_settings)
    })
}

fn table_settings(table: &MirrorTable) -> TableSettings {
    TableSettings {
        table: table.table.clone(),
        mode: table.mode.map(|mode| match mode {
            MirrorMode::Append => Mode::Append,
            MirrorMode::Latest => Mode::Latest,
        }),
        key: table.key_fields(),
        columns: table.columns.clone(),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::sync::watch;
    use tokio_util::sync::CancellationToken;

    use super::settings;
    use crate::integration::Integration;

    #[tokio::test]
    async fn an_edit_of_the_integration_reaches_the_mirror() {
        let (sender, integration) = watch::channel(Integration {
            batch_rows: 7,
            ..Integration::standalone()
        });
        let shutdown = CancellationToken::new();
        let (mut settings, task) = settings(integration, shutdown.clone());
        assert_eq!(settings.borrow().batch_rows, 7);
        sender.send_modify(|integration| {
            integration.batch_rows = 10;
            integration.ack_timeout = Duration::from_millis(100);
        });
        let now = settings.wait_for(|now| now.batch_rows == 10).await.unwrap();
        assert_eq!(now.ack_timeout, Duration::from_millis(100));
        drop(now);
        shutdown.cancel();
        task.await.unwrap();
    }
}
