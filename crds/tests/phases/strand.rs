//! A strand, and what is known of it.

use std::time::Duration;

use boboyka_crds::phases::{Evidence, Report};
use boboyka_crds::{
    Boundary, ForeignTable, ForeignWrites, IntegrationStatus, LaneStatus, Parity, Phase,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::Timestamp;

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
    pub(crate) fixed: Option<(i64, i64)>,
    /// What is known of it, and the head that it had then.
    pub(crate) known: Evidence<String>,
    pub(crate) known_head: i64,
    pub(crate) known_at: i64,
}

impl Strand {
    pub(crate) fn obey(&mut self, written: &IntegrationStatus) {
        let wanted = written.transition.as_ref().map(|change| change.generation);
        self.fixed = wanted.map(|wanted| match self.fixed {
            Some((generation, seq)) if generation == wanted => (generation, seq),
            _ => (wanted, self.head),
        });
        self.obeys = written.phase;
    }

    pub(crate) fn compare(&mut self, at: i64) {
        self.compared = Some((self.mirrored, at));
        self.differs.1 = self.differs.0;
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
                missing: i64::from(self.differs.1),
                changed: 0,
                extra: 0,
                doubled: 0,
            }),
            parity_unknown: None,
        }
    }

    pub(crate) fn report(&mut self, name: usize, at: i64, counted: Option<(bool, i64)>) {
        self.known_head = self.head;
        self.known_at = at;
        self.known = Evidence {
            head: self.head,
            reported_at: Some(time(at)),
            scrubbed_to: (self.scrubbed > 0).then_some(self.scrubbed),
            lanes: vec![self.lane()],
            foreign_writes: counted
                .filter(|_| name == 0)
                .map(|(foreign, at)| ForeignWrites {
                    since: time(0),
                    checked_at: time(at),
                    tables: foreign.then(foreign_rows).into_iter().collect(),
                }),
            ..Evidence::default()
        };
        self.known = Evidence {
            name: format!("strand-{name}"),
            held: true,
            report: Report::Fresh,
            obeys: self.obeys,
            backlog: self.head - self.mirrored,
            obstacle: None,
            dead_letters: self.dead_letters,
            problem: self.broken.then(|| "broken".to_owned()),
            boundary: self.fixed.map(|(generation, seq)| Boundary {
                generation,
                seq,
                drained: self.mirrored >= seq,
            }),
            ..self.known.clone()
        };
    }

    /// What is known at this time.
    pub(crate) fn known(&self, now: i64) -> Evidence<String> {
        let age = u64::try_from(now - self.known_at).unwrap();
        Evidence {
            age: self
                .known
                .reported_at
                .as_ref()
                .map(|_| Duration::from_secs(age)),
            ..self.known.clone()
        }
    }
}

pub(crate) fn foreign_rows() -> ForeignTable {
    ForeignTable {
        table: "agent_audit_log".to_owned(),
        rows: 1,
        newest_at: None,
        sample: Vec::new(),
    }
}

pub(crate) fn time(second: i64) -> Time {
    Time(Timestamp::from_second(1_800_000_000 + second).unwrap())
}
