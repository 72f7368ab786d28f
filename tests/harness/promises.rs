//! What the phases and the lists of legacy projects promise of each record, and what Supabase holds of it, by `record_hash`.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use crate::supabase::Supabase;

/// The projects that [`record`] writes for.
pub const PROJECTS: [&str; 3] = ["proj_a", "proj_b", "proj_x"];

/// Each record type with its table.
const TABLES: [(&str, &str); 4] = [
    ("project_build", "project_builds"),
    ("build_queue_item", "build_queue"),
    ("agent_health", "agent_health"),
    ("audit_log", "agent_audit_log"),
];

/// The table that is one of states where a test wants one: it has a row for each build.
const STATES: &str = "project_builds";

/// The n-th record of a writer: its type and its data. Each writer goes round six builds and queue items of each project,
/// and now and then it says how it is.
pub fn record(writer: &str, n: u64) -> (&'static str, Value) {
    let (turn, place) = (n / 7, usize::try_from(n % 7).unwrap());
    let project = PROJECTS[place % 3];
    let id = format!("{writer}-{project}-{}", turn % 6);
    match place {
        0..3 => (
            "project_build",
            json!({"project_id": project, "build_id": id, "status": "queued", "output_url": n.to_string()}),
        ),
        3..6 => (
            "build_queue_item",
            json!({"project_id": project, "queue_id": id, "status": "waiting", "priority": turn}),
        ),
        _ => (
            "agent_health",
            json!({"agent_id": writer, "status": "healthy", "n": n}),
        ),
    }
}

/// A record of a strand.
#[derive(Clone, Debug)]
pub struct Record {
    /// Its seq.
    pub seq: u64,
    hash: String,
    table: &'static str,
    /// The project that it belongs to, if its type has projects.
    project: Option<String>,
    build: Option<String>,
}

impl Record {
    /// The record that a receipt or an event tells of; `None` of a document, which is never mirrored.
    pub fn of(told: &Value, data: &Value) -> Option<Self> {
        let kind = told["record_type"].as_str().unwrap();
        let (_, table) = TABLES.into_iter().find(|(name, _)| *name == kind)?;
        let text = |field: &str| data[field].as_str().map(ToOwned::to_owned);
        let has_project = ["project_builds", "build_queue"].contains(&table);
        Some(Self {
            seq: told["seq"].as_u64().unwrap(),
            hash: told["record_hash"].as_str().unwrap().to_owned(),
            table,
            project: text("project_id").filter(|_| has_project),
            build: text("build_id").filter(|_| table == STATES),
        })
    }

    /// Its hash.
    pub fn hash(&self) -> &str {
        &self.hash
    }
}

/// What a strand was told to mirror: everything up to its first boundary, and behind each later place what is on a list.
#[derive(Clone, Debug, Default)]
pub struct Promise {
    /// The seq up to which everything is mirrored.
    pub until: u64,
    /// Behind this seq: the names of the list, and whether records without a project are mirrored.
    pub lists: Vec<(u64, Vec<&'static str>, bool)>,
}

impl Promise {
    fn holds(&self, record: &Record) -> bool {
        let before = |place: &u64| record.seq > *place;
        let list = self.lists.iter().rfind(|(place, ..)| before(place));
        let is_listed = |(_, named, shared): &(u64, Vec<&'static str>, bool)| {
            let project = record.project.as_deref();
            project.map_or(*shared, |project| named.contains(&project))
        };
        !before(&self.until) || list.is_some_and(is_listed)
    }
}

/// A strand: its records, and what was promised of them.
#[derive(Clone, Debug, Default)]
pub struct Strand {
    /// Its records.
    pub records: Vec<Record>,
    /// The promise.
    pub promise: Promise,
}

impl Strand {
    fn promised(&self) -> impl Iterator<Item = &Record> {
        let records = self.records.iter();
        records.filter(|record| self.promise.holds(record))
    }
}

/// What Supabase holds at a moment.
#[derive(Debug)]
pub struct Rows {
    rows: Vec<Row>,
    has_states: bool,
}

#[derive(Debug)]
struct Row {
    table: &'static str,
    hash: String,
    seq: u64,
    /// What there may be one row of.
    key: String,
}

impl Rows {
    /// Reads them. `has_states` is whether the table of builds has a row for each build.
    pub fn of(supabase: &Supabase, has_states: bool) -> Self {
        let read = |table: &'static str| {
            let key = if has_states && table == STATES {
                "build_id"
            } else {
                "record_hash"
            };
            let sql = format!("select record_hash, seq, {key} from {table}");
            let found = supabase.sql(&sql);
            let rows = found.lines().filter(|line| !line.is_empty());
            let rows = rows.map(|line| {
                let mut columns = line.splitn(3, '|').map(ToOwned::to_owned);
                Row {
                    table,
                    hash: columns.next().unwrap(),
                    seq: columns.next().unwrap().parse().unwrap(),
                    key: columns.next().unwrap(),
                }
            });
            rows.collect::<Vec<_>>()
        };
        let rows = TABLES.into_iter().flat_map(|(_, table)| read(table));
        Self {
            rows: rows.collect(),
            has_states,
        }
    }

    /// The rows that nobody promised, and those that there are twice, of the tables that the strands have records of. The
    /// strands are to be read after the rows.
    pub fn too_many(&self, strands: &[Strand]) -> Vec<String> {
        let records = || strands.iter().flat_map(|strand| &strand.records);
        let tables: BTreeSet<&str> = records().map(|record| record.table).collect();
        let promised = strands.iter().flat_map(Strand::promised);
        let promised: BTreeSet<_> = promised.map(|it| (it.table, it.hash.as_str())).collect();
        let mut seen = BTreeSet::new();
        let rows = self.rows.iter().filter(|row| tables.contains(row.table));
        let wrong = rows.filter(|row| {
            let is_first = seen.insert((row.table, row.key.as_str()));
            !is_first || !promised.contains(&(row.table, row.hash.as_str()))
        });
        wrong.map(|row| format!("{row:?}")).collect()
    }

    /// The records that were promised and are not there; in a table of states those that are newer than the row of their
    /// key. The strands are to be read before the rows.
    pub fn missing(&self, strands: &[Strand]) -> Vec<String> {
        let rows = self.rows.iter();
        let rows = rows.map(|row| ((row.table, row.key.as_str()), row.seq));
        let rows: BTreeMap<_, _> = rows.collect();
        let is_missing = |record: &&Record| {
            let build = record.build.as_deref().filter(|_| self.has_states);
            let key = build.unwrap_or(&record.hash);
            let seq = rows.get(&(record.table, key));
            seq.is_none_or(|seq| *seq < record.seq)
        };
        let missing = strands.iter().flat_map(Strand::promised).filter(is_missing);
        missing.map(|record| format!("{record:?}")).collect()
    }
}
