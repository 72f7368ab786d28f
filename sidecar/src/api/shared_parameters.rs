//! Parameters that several operations have, and the errors that come with them.

use boboyka_strand::RecordType;
use serde_json::{Value, json};

use super::error::Code;
use super::operation::Operation;

/// A hash as text.
const HASH: &str = "^[0-9a-f]{64}$";

/// Fails when a part of the strand can't be read.
pub(super) const READING: [Code; 1] = [Code::StrandDamaged];
/// What a store says that takes nothing.
pub(super) const WRITING: [Code; 3] = [Code::QueueFull, Code::DiskFull, Code::StorePoisoned];
/// What can be wrong with a record.
pub(super) const RECORD: [Code; 9] = [
    Code::DuplicateField,
    Code::InvalidField,
    Code::MissingField,
    Code::NotAnObject,
    Code::NulInText,
    Code::NumberNotKept,
    Code::ReservedField,
    Code::TooDeep,
    Code::TooLarge,
];

/// The schema of a reference to a named one.
pub(super) fn named(name: &str) -> Value {
    json!({"$ref": format!("#/components/schemas/{name}")})
}

/// A whole number, at least this.
pub(super) fn whole(minimum: u64) -> Value {
    json!({"type": "integer", "format": "uint64", "minimum": minimum, "maximum": u64::MAX})
}

/// A `record_hash` or a seq.
fn record_name() -> Value {
    json!({"anyOf": [{"type": "string", "pattern": HASH}, whole(0)]})
}

fn choice(texts: &[&str]) -> Value {
    json!({"type": "string", "enum": texts})
}

impl Operation {
    /// A record in the path, of its hash or seq.
    pub(super) fn record_in_path(self) -> Self {
        self.path(
            "hash",
            record_name(),
            "The `record_hash` of a record, or its `seq`.",
        )
        .refuses(&[Code::NotFound, Code::PayloadGone, Code::Pruned, Code::Lost])
        .refuses(&READING)
    }

    /// A record in the path, of its hash; what is no hash is not found.
    pub(super) fn hash_in_path(self) -> Self {
        self.path(
            "hash",
            json!({"type": "string", "minLength": 1}),
            "The `content_hash` of a record. What is none is not found.",
        )
        .refuses(&[Code::NotFound, Code::PayloadGone, Code::Pruned, Code::Lost])
        .refuses(&READING)
    }

    /// A type with keys in the path.
    pub(super) fn keyed_type(self) -> Self {
        self.path(
            "record_type",
            named("KeyedTypeName"),
            "A record type that has keys.",
        )
    }

    /// A key in the path.
    pub(super) fn key(self) -> Self {
        self.keyed_type()
            .path(
                "key",
                json!({"type": "string", "minLength": 1}),
                "The `build_id`, `queue_id` or `agent_id`, percent-encoded.",
            )
            .refuses(&[Code::NotFound, Code::PayloadGone])
    }

    /// A moment.
    pub(super) fn moment(self) -> Self {
        let moment = json!({"anyOf": [
            {"type": "integer", "minimum": 0},
            {"type": "string", "pattern": "^seq:[1-9][0-9]{0,18}$"},
            {"type": "string", "pattern": HASH},
        ]});
        self.query(
            "as_of",
            moment,
            "The moment that the answer is of: milliseconds since 1970, `seq:` and a seq, or a `record_hash`; default now. It \
             can't be in the future.",
        )
        .refuses(&[Code::NotFound, Code::Pruned, Code::Lost, Code::VersionsNotReady])
        .refuses(&READING)
    }

    /// A page's length and place.
    pub(super) fn page(self) -> Self {
        self.limit(50).query(
            "cursor",
            json!({"type": "string", "minLength": 1}),
            "`next_cursor` of the page before, with the same other parameters.",
        )
    }

    /// How many elements.
    pub(super) fn limit(self, default: u64) -> Self {
        let limit = json!({"type": "integer", "minimum": 1, "maximum": 1000, "default": default});
        self.query("limit", limit, "The most elements of the answer.")
    }

    /// Whether the elements have their records.
    pub(super) fn include(self) -> Self {
        let says = "`data` adds the records themselves.";
        self.query("include", choice(&["data"]), says)
    }

    /// Whether versions bring their proofs.
    pub(super) fn proof(self) -> Self {
        let says = "Each version brings the `.tlog-proof` of its record; a page has at most 100 elements then.";
        self.query("proof", choice(&["true"]), says)
            .refuses(&[Code::LogUnavailable, Code::CatchingUp])
    }

    /// Only one type.
    pub(super) fn of_type(self) -> Self {
        let says = "Only records of this type.";
        self.query(
            "record_type",
            choice(&RecordType::ALL.map(RecordType::name)),
            says,
        )
    }

    /// Only one lane.
    pub(super) fn lane(self) -> Self {
        let says = "Only this lane; all if it is left out.";
        self.query(
            "lane",
            choice(&RecordType::MIRRORED.map(RecordType::name)),
            says,
        )
        .refuses(&[Code::MirrorDisabled, Code::LaneBusy])
    }
}
