//! What the integration asks of the mirror, as the mirror's own settings.

use boboyka_crds::{MirrorMode, MirrorTable};
use boboyka_mirror::{Mode, Settings, TableSettings};
use boboyka_strand::{PerType, RecordType};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::integration::Integration;

/// The mirror's settings as the integration has them now, and the task that keeps them so until `shutdown`.
pub fn settings(
    integration: watch::Receiver<Integration>,
    shutdown: CancellationToken,
) -> (watch::Receiver<Settings>, JoinHandle<()>) {
    let (settings, receiver) = watch::channel(settings_of(&integration.borrow()));
    (
        receiver,
        tokio::spawn(forward(integration, settings, shutdown)),
    )
}

async fn forward(
    mut integration: watch::Receiver<Integration>,
    settings: watch::Sender<Settings>,
    shutdown: CancellationToken,
) {
    let forwarding = async {
        while integration.changed().await.is_ok() {
            let wanted = settings_of(&integration.borrow_and_update());
            settings.send_if_modified(|now| {
                let changed = *now != wanted;
                *now = wanted;
                changed
            });
        }
        // Nothing changes any more.
        std::future::pending::<()>().await;
    };
    tokio::select! {
        () = shutdown.cancelled() => {}
        () = forwarding => {}
    }
}

fn settings_of(integration: &Integration) -> Settings {
    Settings {
        ack_timeout: integration.ack_timeout,
        batch_rows: integration.batch_rows,
        tables: PerType::from_fn(|record_type: RecordType| {
            let table = integration.tables.get(record_type.name());
            table.map_or_else(TableSettings::default, table_settings)
        }),
        ..Settings::default()
    }
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
