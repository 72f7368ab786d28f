//! `backfill`: imports what was in Supabase before any strand wrote to it, into a strand of its own, then ends. In a pod of its
//! integration it reports how far it is.

mod import;
mod member;
mod plan;
mod report;

use boboyka_mirror::{Backfilled, BackfilledTable};
use tokio::sync::watch;

use self::import::{Imported, import};
use crate::config;
use crate::process::{RunError, close, open_folder};
use crate::signals::Signals;

/// Imports what is not imported yet; `say` writes a line.
///
/// # Errors
/// [`RunError`]: what kept it from that, a signal to end among them.
pub async fn backfill(options: config::Backfill, say: impl Fn(&str)) -> Result<(), RunError> {
    let mut signals = Signals::listen();
    let ended = match config::membership()? {
        Some(membership) => {
            let run = member::run(&options, membership, &mut signals);
            Box::pin(run).await
        }
        None => Box::pin(alone(&options, &mut signals)).await,
    };
    let (backfilled, new) = ended?;
    for line in lines(&backfilled, new) {
        say(&line);
    }
    Ok(())
}

async fn alone(options: &config::Backfill, signals: &mut Signals) -> Result<Imported, RunError> {
    let plan = plan::alone(options)?;
    let store = open_folder(&options.data_dir, options.min_free_bytes).await?;
    let unheard = watch::Sender::default();
    let ended = import(&store, plan, signals, &unheard, std::future::pending()).await;
    close(store).await;
    ended
}

/// What came of it.
fn lines(backfilled: &Backfilled, new: u64) -> Vec<String> {
    let documents = |table: &BackfilledTable| match table.documents {
        0 => String::new(),
        count => format!(", {count} of them as documents"),
    };
    let refused = |table: &BackfilledTable| match table.refused {
        0 => String::new(),
        1 => "; 1 row refused, which the strand names".to_owned(),
        count => format!("; {count} rows refused, which the strand names"),
    };
    let table = |(name, table): (&String, &BackfilledTable)| {
        let (rows, of) = (table.records + table.documents, &table.table);
        let (documents, refused) = (documents(table), refused(table));
        format!("{name}: {rows} rows of {of}{documents}{refused}")
    };
    let mut lines: Vec<String> = backfilled.tables.iter().map(table).collect();
    let all = backfilled.imported();
    lines.push(format!(
        "done: this run imported {new} rows; the strand has {all}"
    ));
    lines
}
