//! What a payload may be, and what callers may not send.

/// The key under which a payload carries its record type's name; callers may not send it.
pub const TYPE_TAG: &str = "_boboyka_type";

/// The longest payload, in bytes of `MessagePack`.
pub const PAYLOAD_MAX_BYTES: usize = 1024 * 1024;

/// The deepest nesting of objects and lists: far more than people write, far less than a stack holds.
pub const DEPTH_MAX: usize = 64;

/// The agent of the `audit_log` records that a strand makes of itself. No caller may use it: a check of a strand, and
/// whoever reads it, relies on what these records say.
pub const OWN_AGENT: &str = "boboyka_sidecar";

/// The key under which a document carries the name of its collection.
pub const COLLECTION_TAG: &str = "_boboyka_collection";

/// The key under which a tombstone carries the hash of the record that it takes back.
pub const DELETED_TAG: &str = "_boboyka_deleted";

/// The key under which the note of a restored record carries the hash that was taken back.
pub const RESTORED_TAG: &str = "_boboyka_restored";

/// The key under which a record that was imported says so; its value is [`BACKFILL`]. Callers may not send it.
pub const ORIGIN_TAG: &str = "_boboyka_origin";

/// The origin of a record that was a row of a table before any strand wrote to it.
pub const BACKFILL: &str = "backfill";

/// The key under which an imported record carries the name of its table.
pub const TABLE_TAG: &str = "_boboyka_table";

/// The key under which an imported record carries the primary key of its row, such as `id=17`.
pub const ROW_TAG: &str = "_boboyka_row";

/// The key under which an imported document carries why it is no record of its table's type.
pub const UNFIT_TAG: &str = "_boboyka_unfit";

/// What the names of all these keys begin with. A document may have no other key that does.
pub const TAG_PREFIX: &str = "_boboyka_";

/// The longest name of a collection, in bytes.
pub const COLLECTION_MAX_BYTES: usize = 128;
