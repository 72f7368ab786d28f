//! The record types: their names on the wire, their Supabase tables, their fields. All that the
//! product knows about them is this one table; checks, rows and metrics are derived from it.

use std::fmt;
use std::str::FromStr;

use enum_map::{Enum, EnumMap};
use serde::Serialize;

/// One of the four kinds of record that Boboyka sends, or a document.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Enum, Serialize)]
#[serde(rename_all = "snake_case")]
#[repr(u8)]
pub enum RecordType {
    /// One build run of a project.
    ProjectBuild = 1,
    /// An item of the build queue.
    BuildQueueItem = 2,
    /// A health snapshot of an agent.
    AgentHealth = 3,
    /// An auditable action of an agent.
    AuditLog = 4,
    /// A record of a collection of its own: it has no field that the product knows, and is never mirrored.
    Document = 5,
}

/// What a field's value must be when it is present. JSON `null` counts as absent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FieldKind {
    /// Text that is not empty.
    Text,
    /// One of these texts.
    OneOf(&'static [&'static str]),
    /// A whole number in the range of a signed 64-bit integer.
    Integer,
    /// Any number.
    Number,
    /// A JSON object.
    Object,
}

/// A field that a record type knows by name. Other fields are kept as they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Field {
    /// Name in the record and of the Supabase column.
    pub name: &'static str,
    /// What its value must be.
    pub kind: FieldKind,
    /// Whether a record without it is refused.
    pub required: bool,
}

const fn required(name: &'static str, kind: FieldKind) -> Field {
    Field {
        name,
        kind,
        required: true,
    }
}

const fn optional(name: &'static str, kind: FieldKind) -> Field {
    Field {
        name,
        kind,
        required: false,
    }
}

/// One value for each record type; in the order of [`RecordType::ALL`].
pub type PerType<T> = EnumMap<RecordType, T>;

struct Definition {
    name: &'static str,
    table: Option<&'static str>,
    key: Option<&'static str>,
    project: Option<&'static str>,
    fields: &'static [Field],
}

static PROJECT_BUILD: Definition = Definition {
    name: "project_build",
    table: Some("project_builds"),
    key: Some("build_id"),
    project: Some("project_id"),
    fields: &[
        required("project_id", FieldKind::Text),
        required("build_id", FieldKind::Text),
        required(
            "status",
            FieldKind::OneOf(&["queued", "running", "succeeded", "failed"]),
        ),
        optional("agent_id", FieldKind::Text),
        optional("started_at_ms", FieldKind::Integer),
        optional("completed_at_ms", FieldKind::Integer),
        optional("output_url", FieldKind::Text),
    ],
};

static BUILD_QUEUE_ITEM: Definition = Definition {
    name: "build_queue_item",
    table: Some("build_queue"),
    key: Some("queue_id"),
    project: Some("project_id"),
    fields: &[
        required("queue_id", FieldKind::Text),
        required("project_id", FieldKind::Text),
        optional("priority", FieldKind::Integer),
        required(
            "status",
            FieldKind::OneOf(&["waiting", "processing", "done"]),
        ),
        optional("enqueued_at_ms", FieldKind::Integer),
        optional("dequeued_at_ms", FieldKind::Integer),
    ],
};

static AGENT_HEALTH: Definition = Definition {
    name: "agent_health",
    table: Some("agent_health"),
    key: Some("agent_id"),
    project: None,
    fields: &[
        required("agent_id", FieldKind::Text),
        required(
            "status",
            FieldKind::OneOf(&["healthy", "degraded", "unhealthy"]),
        ),
        optional("cpu_pct", FieldKind::Number),
        optional("memory_mb", FieldKind::Number),
        optional("checked_at_ms", FieldKind::Integer),
    ],
};

static AUDIT_LOG: Definition = Definition {
    name: "audit_log",
    table: Some("agent_audit_log"),
    key: None,
    project: None,
    fields: &[
        required("agent_id", FieldKind::Text),
        required("event", FieldKind::Text),
        optional("actor", FieldKind::Text),
        optional("timestamp_ms", FieldKind::Integer),
        optional("metadata", FieldKind::Object),
    ],
};

static DOCUMENT: Definition = Definition {
    name: "document",
    table: None,
    key: None,
    project: None,
    fields: &[],
};

/// A name that is no record type's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be one of project_build, build_queue_item, agent_health, audit_log, document")]
pub struct UnknownRecordType;

impl RecordType {
    /// All of them, in the public page's order, documents last.
    pub const ALL: [Self; 5] = [
        Self::ProjectBuild,
        Self::BuildQueueItem,
        Self::AgentHealth,
        Self::AuditLog,
        Self::Document,
    ];

    /// Those that have a table, and so a lane.
    pub const MIRRORED: [Self; 4] = [
        Self::ProjectBuild,
        Self::BuildQueueItem,
        Self::AgentHealth,
        Self::AuditLog,
    ];

    fn definition(self) -> &'static Definition {
        match self {
            Self::ProjectBuild => &PROJECT_BUILD,
            Self::BuildQueueItem => &BUILD_QUEUE_ITEM,
            Self::AgentHealth => &AGENT_HEALTH,
            Self::AuditLog => &AUDIT_LOG,
            Self::Document => &DOCUMENT,
        }
    }

    /// The name on the wire: `project_build`, …
    pub fn name(self) -> &'static str {
        self.definition().name
    }

    /// The Supabase table that its records are mirrored to; a document has none.
    pub fn table(self) -> Option<&'static str> {
        self.definition().table
    }

    /// The field that names the build, queue item or agent whose state a record tells. An `audit_log`
    /// tells an event, so it has none; what a document tells is known to its writer alone.
    pub fn key(self) -> Option<&'static str> {
        self.definition().key
    }

    /// The field that names the project of a record. An agent works for many projects, so `agent_health` and `audit_log` have
    /// none, whatever else they say.
    pub fn project(self) -> Option<&'static str> {
        self.definition().project
    }

    /// The fields that the type knows by name, in the page's order.
    pub fn fields(self) -> &'static [Field] {
        self.definition().fields
    }

    /// The number that stands for the type in a block header.
    pub const fn code(self) -> u8 {
        self as u8
    }

    /// The type that a block header's number stands for.
    pub fn from_code(code: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.code() == code)
    }
}

impl FromStr for RecordType {
    type Err = UnknownRecordType;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .into_iter()
            .find(|kind| kind.name() == name)
            .ok_or(UnknownRecordType)
    }
}

impl fmt::Display for RecordType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::{PerType, RecordType};

    #[test]
    fn values_per_type_come_in_the_order_of_the_list_and_of_the_codes() {
        let names = PerType::from_fn(|kind: RecordType| kind.name()).into_array();
        assert_eq!(names, RecordType::ALL.map(RecordType::name));
        assert_eq!(RecordType::ALL.map(RecordType::code), [1, 2, 3, 4, 5]);
    }

    #[test]
    fn what_is_mirrored_is_what_has_a_table() {
        let with_table = RecordType::ALL
            .into_iter()
            .filter(|kind| kind.table().is_some());
        assert!(with_table.eq(RecordType::MIRRORED));
    }
}
