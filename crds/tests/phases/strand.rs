//! A strand, and what is known of it.

use std::time::Duration;

use boboyka_crds::phases::{Evidence, Report};
use std::collections::BTreeMap;

use boboyka_crds::{
    Boundary, DepartedProject, ForeignTable, ForeignWrites, IntegrationStatus, LaneStatus,
    LegacyList, LegacyReport, Parity, Phase,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::Timestamp;

/// A boundary that a sidecar fixed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Fixed {
    generation: i64,
    phase: Option<Phase>,
    seq: i64,
    at: i64,
}

/// A list of legacy projects in force, as a sidecar sees it.
#[derive(Clone, Debug, Default)]
pub(crate) struct ListInForce {
    pub(crate) list: LegacyList,
    pub(crate) generation: i64,
    pub(crate) revision: i64,
}

/// The list of legacy projects that a strand obeys, and which left it where and when.
#[derive(Clone, Debug, Default)]
pub(crate) struct Listed {
    pub(crate) list: Option<LegacyList>,
    /// The generation that brought it into force last, and its revision, as far as the sidecar has seen.
    pub(crate) generation: i64,
    revision: i64,
    pub(crate) departed: BTreeMap<String, (i64, i64)>,
}

impl Listed {
    fn report(&self, strand: &Strand) -> Option<LegacyReport> {
        let departed = self
            .departed
            .iter()
            .map(|(name, (boundary, _))| DepartedProject {
                name: name.clone(),
                boundary: *boundary,
                waits_for: (!strand.has_shown(name)).then(|| "it waits".to_owned()),
            });
        Some(LegacyReport {
            digest: self.list.as_ref()?.digest(),
            generation: self.generation,
            revision: self.revision,
            departed: departed.collect(),
            ..LegacyReport::default()
        })
    }
}

/// A strand as it is.
#[derive(Clone, Debug, Default)]
pub(crate) struct Strand {
    pub(crate) head: i64,
    pub(crate) mirrored: i64,
    pub(crate) dead_letters: i64,
    pub(crate) broken: bool,
    pub(crate) scrubbed: i64,
    /// Up to which seq its table was compared, and when.
    pub(crate) compared: Option<(i64, i64)>,
    /// Whether its table differs, really and as far as it was compared.
    pub(crate) differs: (bool, bool),
    pub(crate) obeys: Option<Phase>,
    pub(crate) legacy: Listed,
    /// The boundary: for which generation and phase in force, its seq, and when it was fixed.
    pub(crate) fixed: Option<Fixed>,
    /// What is known of it, and the head that it had then.
    pub(crate) known: Evidence<String>,
    pub(crate) known_head: i64,
    pub(crate) known_at: i64,
}

impl Strand {
    /// Takes over a list of a generation: what leaves it has a boundary at the head.
    pub(crate) fn obey_list(&mut self, in_force: Option<ListInForce>, at: i64) {
        let mirrors = self.obeys.is_none_or(Phase::mirrors);
        if mirrors {
            self.legacy = Listed::default();
        }
        let Some(in_force) = in_force.filter(|_| !mirrors) else {
            return;
        };
        let list = in_force.list;
        (self.legacy.generation, self.legacy.revision) = (in_force.generation, in_force.revision);
        if Some(&list) == self.legacy.list.as_ref() {
            return;
        }
        let before = self.legacy.list.take().unwrap_or_default();
        let left = before.names().iter().filter(|name| !list.contains(name));
        let left: Vec<String> = left.cloned().collect();
        self.legacy.departed.retain(|name, _| !list.contains(name));
        let left = left.into_iter().map(|name| (name, (self.head, at)));
        self.legacy.departed.extend(left);
        self.legacy.list = Some(list);
    }

    /// Whether the table is known to have all of a project that left the list.
    pub(crate) fn has_shown(&self, name: &str) -> bool {
        let departed = self.legacy.departed.get(name);
        departed.is_none_or(|(boundary, at)| {
            let compared = self
                .compared
                .is_some_and(|(to, when)| to >= *boundary && when >= *at);
            self.mirrored >= *boundary && compared && !self.differs.1
        })
    }

    pub(crate) fn obey(&mut self, written: &IntegrationStatus, at: i64) {
        let wanted = written.transition.as_ref().map(|change| change.generation);
        self.fixed = wanted.map(|wanted| match self.fixed {
            Some(fixed) if (fixed.generation, fixed.phase) == (wanted, written.phase) => fixed,
            _ => Fixed {
                generation: wanted,
                phase: written.phase,
                seq: self.head,
                at,
            },
        });
        self.obeys = written.phase;
    }

    pub(crate) fn compare(&mut self, at: i64) {
        self.compared = Some((self.mirrored, at));
        self.differs.1 = self.differs.0;
    }

    /// The change for which something was found at this time.
    fn found_for(&self, at: i64) -> Option<i64> {
        let fixed = self
            .fixed
            .filter(|fixed| at >= fixed.at && fixed.phase == self.obeys);
        fixed.map(|fixed| fixed.generation)
    }

    pub(crate) fn lane(&self) -> LaneStatus {
        LaneStatus {
            record_type: "audit_log".to_owned(),
            state: "mirroring".to_owned(),
            reason: None,
            mark: self.mirrored,
            backlog: self.head - self.mirrored,
            dead_letters: self.dead_letters,
            parity: self.compared.map(|(up_to, at)| Parity {
                up_to,
                checked_at: time(at),
                generation: self.found_for(at),
                missing: i64::from(self.differs.1),
                changed: 0,
                extra: 0,
                doubled: 0,
                unchecked_columns: Vec::new(),
            }),
            parity_unknown: None,
        }
    }

    pub(crate) fn report(&mut self, name: usize, at: i64, counted: Option<(bool, i64)>) {
        self.known_head = self.head;
        self.known_at = at;
        self.known = Evidence {
            head: self.head,
            scrubbed_to: (self.scrubbed > 0).then_some(self.scrubbed),
            lanes: vec![self.lane()],
            foreign_writes: counted
                .filter(|_| name == 0)
                .map(|(foreign, at)| ForeignWrites {
                    since: time(0),
                    checked_at: time(at),
                    generation: self.found_for(at),
                    tables: foreign.then(foreign_rows).into_iter().collect(),
                }),
            ..Evidence::default()
        };
        self.known = Evidence {
            name: format!("strand-{name}"),
            held: true,
            report: Report::Fresh,
            obeys: self.obeys,
            legacy: self.legacy.report(self),
            backlog: self.head - self.mirrored,
            obstacle: None,
            dead_letters: self.dead_letters,
            problem: self.broken.then(|| "broken".to_owned()),
            boundary: self.fixed.map(|fixed| Boundary {
                generation: fixed.generation,
                seq: fixed.seq,
                drained: self.mirrored >= fixed.seq,
            }),
            ..self.known.clone()
        };
    }

    /// What is known at this time.
    pub(crate) fn known(&self, now: i64) -> Evidence<String> {
        let age = u64::try_from(now - self.known_at).unwrap();
        Evidence {
            age: (self.known.report != Report::Never).then(|| Duration::from_secs(age)),
            ..self.known.clone()
        }
    }
}

pub(crate) fn foreign_rows() -> ForeignTable {
    ForeignTable {
        table: "agent_audit_log".to_owned(),
        rows: 1,
        newest_at: None,
        quiet_seconds: None,
        sample: Vec::new(),
    }
}

pub(crate) fn time(second: i64) -> Time {
    Time(Timestamp::from_second(1_800_000_000 + second).unwrap())
}
