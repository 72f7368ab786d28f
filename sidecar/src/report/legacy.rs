//! How the strand stands to the list of legacy projects: which list it obeys, and whether Supabase has everything of the
//! projects that left it. Pure.

use boboyka_crds::{DepartedProject, LegacyList, LegacyReport};
use boboyka_mirror::{LaneStatus, Parity};
use boboyka_store::{Departed, View};
use boboyka_strand::{RecordType, Seq};

/// Projects that a report names.
const NAMED_MAX: usize = 300;

/// Of a reason, which repeats what Supabase answered.
const REASON_MAX: usize = 200;

/// What is known of the strand's list.
pub(super) struct Listed<'a> {
    pub(super) strand: &'a View,
    pub(super) lanes: &'a [LaneStatus],
    pub(super) has_supabase: bool,
}

impl Listed<'_> {
    /// What is reported; `in_force` are the generation that brought the list into force last, and its revision.
    pub(super) fn report(
        &self,
        in_force: (i64, i64),
        list: &LegacyList,
        departed: Vec<Departed>,
    ) -> LegacyReport {
        let projects = departed.into_iter().map(|it| DepartedProject {
            waits_for: self.waits_for(it.boundary),
            boundary: number(it.boundary),
            name: it.project,
        });
        let (waiting, done): (Vec<_>, Vec<_>) = projects.partition(|it| it.waits_for.is_some());
        LegacyReport {
            digest: list.digest(),
            generation: in_force.0,
            revision: in_force.1,
            since: number(self.strand.list_since()),
            migrating: number(waiting.len() as u64),
            migrated: number(done.len() as u64),
            departed: waiting.into_iter().chain(done).take(NAMED_MAX).collect(),
        }
    }

    /// Why Supabase is not known to have everything up to a boundary in the lanes that have projects.
    fn waits_for(&self, boundary: Seq) -> Option<String> {
        let lanes = self.lanes.iter();
        let lanes = lanes.filter(|lane| self.has_supabase && lane.record_type.project().is_some());
        let mut reasons = lanes.filter_map(|lane| {
            let why = self.lane_waits_for(lane, boundary)?;
            let why: String = why.chars().take(REASON_MAX).collect();
            Some(format!("{}: {why}", lane.record_type))
        });
        reasons.next()
    }

    fn lane_waits_for(&self, lane: &LaneStatus, boundary: Seq) -> Option<String> {
        let kind: RecordType = lane.record_type;
        let backlog = self.strand.backlog(kind);
        if self.strand.counts[kind] == 0 {
            return None;
        }
        if backlog > 0 && self.strand.marks[kind].seq < boundary {
            return Some(match &lane.reason {
                Some(reason) => format!("{backlog} records wait; {reason}"),
                None => format!("{backlog} records wait"),
            });
        }
        if lane.dead_lettered + lane.set_aside > 0 {
            let refused = lane.dead_lettered + lane.set_aside;
            return Some(format!("{refused} records are refused"));
        }
        match &lane.parity {
            Parity::Unknown(why) => Some(format!("parity is not known: {why}")),
            Parity::Known(it) if !it.is_equal() => Some("the table differs from the strand".into()),
            Parity::Known(it) if it.up_to < boundary.min(self.strand.head.seq) => {
                let up_to = it.up_to;
                Some(format!(
                    "compared up to seq {up_to}, and not yet up to {boundary}"
                ))
            }
            Parity::Known(it) if it.list_since != self.strand.list_since() => {
                Some("not compared again yet since the list changed".to_owned())
            }
            Parity::Known(_) => None,
        }
    }
}

fn number(of: u64) -> i64 {
    i64::try_from(of).unwrap_or(i64::MAX)
}
