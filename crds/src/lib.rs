//! The custom resources: `BoboykaIntegration`, which a platform team writes, and `BoboykaStrand`, which the operator and
//! one sidecar write.
//!
//! A ground crate: types, rules and names, without a client, a runtime or a clock. [`phases`] decides which
//! phase is in force. [`rules`] contains each validation rule
//! once, as CEL for the API server and as Rust for the operator. `crdgen` generates the YAML in `yaml/` from this crate.

mod archive;
mod audit;
mod definition;
mod integration;
mod legal_hold;
mod migration;
pub mod names;
mod phase;
pub mod phases;
pub mod quantity;
pub mod rules;
mod strand;
mod table;

pub use archive::{
    Archive, ArchiveCounts, ArchiveReport, ArchiveSecret, Place, PlaceError, archive_after,
};
pub use audit::{
    Audit, AuditWitness, Contradiction, ContradictionKind, EarlierLog, Held, LogReport, OPERATOR,
};
pub use definition::{definitions, to_yaml};
pub use integration::{
    BoboykaIntegration, BoboykaIntegrationSpec, Ephemeral, IntegrationStatus, Mirror,
    PayloadRetention, Reclaim, Retention, SecretReference, Sidecar, Storage, StrandCounts,
    Supabase,
};
pub use legal_hold::LegalHold;
pub use migration::{
    Backfill, BackfillReport, BackfillStatus, Change, ConfigMapKeyReference, DepartedProject,
    Finalized, Force, Gate, GateName, ImportedTable, LegacyList, LegacyProjectsFrom, LegacyReport,
    LegacyStatus, Lists, Migration, MigrationStatus, ProjectState, ProjectStatus, Soak, TakenForce,
    Transition, WrongNames, migrated, names_in, notice,
};
pub use phase::Phase;
pub use strand::{
    BoboykaStrand, BoboykaStrandSpec, Boundary, Chain, Fence, ForeignTable, ForeignWrites,
    HeadReference, Holder, LaneStatus, Parity, Slot, StrandStatus,
};
pub use table::{MirrorMode, MirrorTable, RECORD_TYPES, table_of};
