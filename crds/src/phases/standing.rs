//! What was decided, and how it stands in a status. Pure.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use crate::integration::IntegrationStatus;
use crate::legal_hold::LegalHold;
use crate::migration::{Change, Finalized, Gate, MigrationStatus, TakenForce, Transition};
use crate::phase::Phase;

/// The phase in force, and what the next one waits for.
#[derive(Clone, Debug, PartialEq)]
pub struct Standing {
    /// The phase in force.
    pub phase: Phase,
    /// The generation of the integration that brought it into force.
    pub generation: i64,
    /// The transition that waits for its gates.
    pub transition: Option<Transition>,
    /// The force that the specification has.
    pub force: Option<TakenForce>,
    /// The last change.
    pub last_change: Option<Change>,
    /// The legacy projects.
    pub migration: Option<MigrationStatus>,
    /// The legal hold.
    pub legal_hold: Option<LegalHold>,
    /// The end of the migration, once it has come.
    pub finalized: Option<Finalized>,
}

impl Standing {
    /// The standing after the step that waited.
    pub(super) fn after(self, step: Transition, at: Time) -> Self {
        let is_forced = step.gates.iter().any(|gate| gate.forced);
        let evidence = digest(&step.gates);
        let finalized = step.finalizes.then(|| Finalized {
            generation: step.generation,
            at: at.clone(),
            by: step.by.clone(),
            evidence: evidence.clone(),
        });
        let change = Change {
            from: step.from,
            to: step.to,
            finalized: step.finalizes,
            generation: step.generation,
            at,
            by: step.by,
            gates: step.gates,
            force: self.force.clone().filter(|_| is_forced),
            evidence,
        };
        Self {
            phase: step.to,
            generation: step.generation,
            transition: None,
            force: self.force,
            last_change: Some(change),
            migration: self.migration,
            legal_hold: self.legal_hold,
            finalized: finalized.or(self.finalized),
        }
    }

    /// Legacy projects that are not migrated yet: those that left the list, and those on the list in force, which a pause keeps
    /// after the specification has emptied it.
    pub(super) fn migrating(&self) -> Option<i64> {
        let legacy = self.migration.as_ref()?.legacy.as_ref()?;
        Some(legacy.listed.saturating_add(legacy.migrating))
    }

    /// Writes it into a status.
    pub fn write(&self, status: &mut IntegrationStatus) {
        status.phase = Some(self.phase);
        status.phase_generation = Some(self.generation);
        status.transition.clone_from(&self.transition);
        status.force.clone_from(&self.force);
        status.last_change.clone_from(&self.last_change);
        status.migration.clone_from(&self.migration);
        status.legal_hold.clone_from(&self.legal_hold);
        status.finalized.clone_from(&self.finalized);
    }
}

/// The digest of evidence: the BLAKE3 hash of the gates, each as the line `NAME STATE MESSAGE`.
pub fn digest(gates: &[Gate]) -> String {
    let mut hasher = blake3::Hasher::new();
    for gate in gates {
        let line = format!("{} {} {}\n", gate.name, gate.state(), gate.message);
        hasher.update(line.as_bytes());
    }
    hasher.finalize().to_hex().to_string()
}
