//! What to import, and from where: by flags and variables, the file of an integration, or the integration of a cluster. What a
//! flag says counts more than `spec.migration.backfill`.

use std::collections::BTreeMap;

use boboyka_crds::{self as crds, MirrorTable};
use boboyka_mirror::{BackfillPlan, SupabaseSource};
use boboyka_strand::RecordType;

use crate::config;
use crate::integration::Integration;
use crate::process::RunError;
use crate::{file, mirroring, standalone};

/// What to import, and where the credentials come from.
pub(super) type Plan = (BackfillPlan, SupabaseSource);

/// Without a cluster.
pub(super) fn alone(options: &config::Backfill) -> Result<Plan, RunError> {
    let elsewhere = standalone::supabase(options.supabase_dir.as_deref());
    let Some(path) = &options.integration else {
        let tables = standalone::tables(options.mirror_tables.as_deref());
        let tables = tables.map_err(RunError::BackfillPlan)?;
        let plan = plan(options, &crds::Backfill::default(), &tables);
        return Ok((plan, elsewhere));
    };
    let read = file::read_once(path, elsewhere).map_err(RunError::BackfillPlan)?;
    let asked = read.spec.migration.and_then(|it| it.backfill);
    let mirror = read.spec.supabase.and_then(|it| it.mirror);
    let tables = mirror.unwrap_or_default().tables;
    let plan = plan(options, &asked.unwrap_or_default(), &tables);
    Ok((plan, read.supabase))
}

/// In a pod of an integration.
pub(super) fn member(
    options: &config::Backfill,
    integration: &Integration,
) -> Result<Plan, RunError> {
    let asked = integration.backfill.as_ref().ok_or_else(|| {
        RunError::BackfillPlan("the integration has no spec.migration.backfill".to_owned())
    })?;
    let plan = plan(options, asked, &integration.tables);
    Ok((plan, standalone::supabase(options.supabase_dir.as_deref())))
}

fn plan(
    options: &config::Backfill,
    asked: &crds::Backfill,
    tables: &BTreeMap<String, MirrorTable>,
) -> BackfillPlan {
    let named = |name: &str| {
        let mut all = RecordType::MIRRORED.into_iter();
        all.find(|record_type| record_type.name() == name)
    };
    let record_types = match options.tables.as_slice() {
        [] => asked.record_types().filter_map(named).collect(),
        some => some.to_vec(),
    };
    let flag = options.until.map(jiff::Timestamp::as_millisecond);
    let flag = flag.and_then(|until| u64::try_from(until).ok());
    let asked_rows = u32::try_from(asked.rows_per_second).unwrap_or(1);
    BackfillPlan {
        record_types,
        tables: mirroring::tables(tables),
        until_ms: flag.or(asked.until_ms()),
        rows_per_second: options.rows_per_second.unwrap_or(asked_rows),
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;
    use crate::config::{Cli, Command};

    fn planned(arguments: &[&str], asked: &str) -> BackfillPlan {
        let arguments = ["boboyka-sidecar", "backfill"].iter().chain(arguments);
        let Some(Command::Backfill(options)) = Cli::parse_from(arguments).command else {
            panic!("another command");
        };
        let asked = serde_yaml::from_str(asked).unwrap();
        plan(&options, &asked, &BTreeMap::new())
    }

    #[test]
    fn the_integration_says_what_to_import_and_flags_count_more() {
        let asked =
            "{tables: [audit_log, project_build], until: '2026-01-31T12:00:00Z', rowsPerSecond: 7}";
        let plan = planned(&[], asked);
        assert_eq!(
            plan.record_types,
            [RecordType::AuditLog, RecordType::ProjectBuild]
        );
        assert_eq!(
            (plan.until_ms, plan.rows_per_second),
            (Some(1_769_860_800_000), 7)
        );
        let flags = [
            "--tables",
            "agent_health",
            "--until",
            "2020-01-01T00:00:00Z",
            "--rows-per-second",
            "9",
        ];
        let plan = planned(&flags, asked);
        assert_eq!(plan.record_types, [RecordType::AgentHealth]);
        assert_eq!(
            (plan.until_ms, plan.rows_per_second),
            (Some(1_577_836_800_000), 9)
        );
    }

    #[test]
    fn without_more_all_tables_are_imported_up_to_the_mirror() {
        let plan = planned(&[], "{}");
        assert_eq!(plan.record_types.len(), RecordType::MIRRORED.len());
        assert_eq!((plan.until_ms, plan.rows_per_second), (None, 1000));
    }
}
