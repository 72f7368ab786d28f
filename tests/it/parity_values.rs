//! What a value reads like in a column, on a real Postgres and PostgREST: a table that nobody touched is equal to its
//! strand, whatever its columns and values.

use boboyka_tests::{Sidecar, Supabase};
use serde_json::{Value, json};

use crate::mirror::lane;
use crate::parity::{NO_FUNCTIONS, checked, counts, drained};

/// Values that a database and a program may write differently.
fn odd_values() -> Vec<Value> {
    let texts = [
        "",
        " ",
        "é",
        "e\u{301}",
        "\u{1}\u{8}\u{c}\u{1f}\u{7f}",
        "\"\\/\n\r\t",
        "\u{10ffff}",
        "{\"a\": 1}",
        "null",
        "1e5",
        "-",
    ];
    let numbers = [
        "0",
        "-0.0",
        "1.0",
        "1.50",
        "0.1",
        "1e21",
        "1e-7",
        "1e300",
        "5e-324",
        "9007199254740993",
        "18446744073709551615",
        "-9223372036854775808",
        "123456789.123456789",
        "2e23",
        "1.7976931348623157e308",
        "0.30000000000000004",
    ];
    let numbers = numbers.map(|text| serde_json::from_str::<Value>(text).unwrap());
    let mut values: Vec<Value> = texts.map(Value::from).into();
    values.extend(numbers);
    values.extend([
        json!(null),
        json!(true),
        json!([]),
        json!({}),
        json!([[], {}, [null]]),
        json!({"b": 1, "aa": 2, "a": {"z": [1.5, "x"], "é": 0, "zz": "\u{2}"}, "": ""}),
    ]);
    values
}

/// Records with these values, in fields with and without a column.
fn odd_records() -> Vec<Value> {
    let record = |value: Value| json!({"agent_id": "a", "status": "healthy", "odd": value});
    let mut records: Vec<Value> = odd_values().into_iter().map(record).collect();
    for value in odd_values() {
        records
            .push(json!({"agent_id": "a", "status": "degraded", "old": value, "any_text": value}));
        if value.is_number() {
            records.push(
                json!({"agent_id": "a", "status": "offline", "cpu_pct": value, "exact": value}),
            );
        }
        if let Some(text) = value.as_str() {
            records.push(json!({"agent_id": text, "status": "offline"}));
        }
    }
    for text in ["0.1", "3.4e38", "16777217", "1e-45"] {
        let number: Value = serde_json::from_str(text).unwrap();
        records.push(json!({"agent_id": "a", "status": "healthy", "memory_mb": number}));
    }
    records.push(json!({"agent_id": "a", "status": "healthy", "ident": "A0EEBC999C0B4EF8BB6D6BB9BD380A11", "small": -3, "flag": false,
        "at": "2026-01-01T00:00:00+02:00", "rest": "set"}));
    records
}

#[tokio::test]
async fn whatever_values_records_have_a_table_that_nobody_touched_is_equal() {
    let supabase = Supabase::start().await;
    supabase
        .change_schema(
            "create type mood as enum ('healthy', 'degraded', 'unhealthy', 'offline'); \
             alter table agent_health alter column status type mood using status::mood, alter column memory_mb type real, \
             add column ident uuid, add column exact numeric, add column small smallint, add column flag boolean, \
             add column old json, add column any_text text, add column at timestamptz, add column rest text default 'unset'",
        )
        .await;
    let folder = tempfile::tempdir().unwrap();
    let tables = folder.path().join("tables.yaml");
    let columns = "ident: ident, exact: exact, small: small, flag: flag, old: old, any_text: any_text, at: at, rest: rest";
    std::fs::write(&tables, format!("agent_health: {{columns: {{{columns}}}}}")).unwrap();
    let secret = supabase.folder();
    let arguments = [
        "--supabase-dir",
        secret.to_str().unwrap(),
        "--mirror-tables",
        tables.to_str().unwrap(),
    ];
    let sidecar = Sidecar::start_with(&arguments, &[]).await;
    let records = odd_records();
    let lines: Vec<Value> = records
        .into_iter()
        .map(|data| json!({"record_type": "agent_health", "data": data}))
        .collect();
    // Numbers that can't be returned exactly are refused, each for itself.
    let body = Value::from(lines).to_string();
    sidecar.post("/v1/boboyka/ingest/batch", &body).await;
    drained(&sidecar, "agent_health").await;
    let told = checked(&sidecar, "agent_health").await;
    let mirrored = lane(&sidecar, "agent_health").await["mirrored"]
        .as_u64()
        .unwrap();
    assert!(mirrored > 60, "{told}");
    assert_eq!(
        counts(&told),
        [0; 4],
        "{told}\n{}",
        supabase.sql(
            "select seq, any_text, old, exact, cpu_pct, payload from agent_health order by seq"
        )
    );
    assert_eq!(told["parity"]["unchecked_columns"], json!([]), "{told}");
    supabase.change_schema(NO_FUNCTIONS).await;
    let told = checked(&sidecar, "agent_health").await;
    assert_eq!(counts(&told), [0; 4], "read without the functions: {told}");
    for (column, value) in [
        ("at", "at + interval '1 microsecond'"),
        ("ident", "gen_random_uuid()"),
        ("exact", "1"),
        ("small", "4"),
        ("flag", "true"),
        ("rest", "'other'"),
        ("agent_id", "'A'"),
    ] {
        supabase.sql(&format!("update agent_health set {column} = {value} where seq = (select max(seq) from agent_health)"));
        let told = checked(&sidecar, "agent_health").await;
        assert_eq!(counts(&told)[1], 1, "{column}: {told}");
    }
}

/// Columns whose type changes what is written into them: name, type, a value, and a small change of it.
type Changing = (&'static str, &'static str, &'static str, &'static str);

const CHANGING: [Changing; 14] = [
    (
        "at",
        "timestamptz",
        r#""2026-01-01T00:00:00.123456+02:00""#,
        "at + interval '1 microsecond'",
    ),
    (
        "spoken",
        "timestamptz",
        r#""January 8, 1999 04:05:06 PST""#,
        "spoken - interval '1 second'",
    ),
    (
        "naive",
        "timestamp",
        r#""2026-01-01T00:00:00+02:00""#,
        "naive + interval '1 second'",
    ),
    ("day", "date", r#""2026-01-01T23:00:00Z""#, "day + 1"),
    (
        "hour",
        "time",
        r#""04:05 PM""#,
        "hour + interval '1 second'",
    ),
    (
        "span",
        "interval",
        r#""1 day 90 minutes""#,
        "span + interval '1 second'",
    ),
    ("price", "numeric(10,2)", "1.005", "1.02"),
    ("fixed", "char(5)", r#""ab""#, "'ac'"),
    ("short", "varchar(3)", r#""abc""#, "'abd'"),
    ("tags", "text[]", r#"["b", "a"]"#, "array['a', 'b']"),
    ("address", "inet", r#""10.0.0.1/8""#, "'10.0.0.2/8'"),
    ("bytes", "bytea", r#""\\xDEADBEEF""#, "'\\xdeadbeee'"),
    ("range", "int4range", r#""[1,3]""#, "'[1,5)'"),
    ("place", "point", r#""(1,2)""#, "'(1,3)'"),
];

async fn with_columns(
    supabase: &Supabase,
    folder: &std::path::Path,
    changing: &[Changing],
) -> Sidecar {
    let added: Vec<String> = changing
        .iter()
        .map(|(name, of_type, ..)| format!("add column {name} {of_type}"))
        .collect();
    let schema = format!("alter table agent_health {}", added.join(", "));
    supabase.change_schema(&schema).await;
    let tables = folder.join("tables.yaml");
    let columns: Vec<String> = changing
        .iter()
        .map(|(name, ..)| format!("{name}: {name}"))
        .collect();
    let columns = format!("agent_health: {{columns: {{{}}}}}", columns.join(", "));
    std::fs::write(&tables, columns).unwrap();
    let secret = supabase.folder();
    let (secret, tables) = (secret.to_str().unwrap(), tables.to_str().unwrap());
    let arguments = ["--supabase-dir", secret, "--mirror-tables", tables];
    let sidecar = Sidecar::start_with(&arguments, &[]).await;
    for n in 0..3 {
        let mut data = json!({"agent_id": format!("a{n}"), "status": "healthy"});
        for (name, _, value, _) in changing {
            data[*name] = serde_json::from_str(value).unwrap();
        }
        sidecar.ingest("agent_health", &data).await;
    }
    // Neither null nor a missing field is a difference.
    let nulls = json!({"agent_id": "b", "status": "healthy", "at": null, "price": null});
    sidecar.ingest("agent_health", &nulls).await;
    drained(&sidecar, "agent_health").await;
    assert_eq!(
        lane(&sidecar, "agent_health").await["mirrored"],
        4,
        "{}",
        sidecar.log()
    );
    sidecar
}

async fn each_change_is_told(supabase: &Supabase, sidecar: &Sidecar) {
    for (name, _, _, change) in CHANGING {
        let told = checked(sidecar, "agent_health").await;
        assert_eq!(counts(&told), [0; 4], "before {name}: {told}");
        assert_eq!(told["parity"]["unchecked_columns"], json!([]), "{told}");
        for change in [change, "null"] {
            supabase.sql(&format!(
                "create table kept as select {name} as value from agent_health where seq = 2; \
                 update agent_health set {name} = {change} where seq = 2"
            ));
            let told = checked(sidecar, "agent_health").await;
            let differences = &told["parity"]["differences"];
            let expected = json!([{"seq": 2, "kind": "changed"}]);
            assert_eq!(differences, &expected, "{name} = {change}: {told}");
            supabase.sql(&format!(
                "update agent_health set {name} = (select value from kept) where seq = 2; drop table kept"
            ));
        }
    }
    supabase.sql("update agent_health set price = 7 where seq = 4");
    let told = checked(sidecar, "agent_health").await;
    assert_eq!(counts(&told)[1], 1, "null in the strand: {told}");
    supabase.sql("update agent_health set price = null where seq = 4");
}

#[tokio::test]
async fn a_row_that_was_changed_in_a_column_of_any_type_is_told() {
    let (supabase, folder) = (Supabase::start().await, tempfile::tempdir().unwrap());
    let sidecar = with_columns(&supabase, folder.path(), &CHANGING).await;
    each_change_is_told(&supabase, &sidecar).await;
    // A payload that no longer fits a column stops no comparison.
    supabase.sql(
        "update agent_health set payload = jsonb_set(payload, '{at}', '\"never\"') where seq = 3",
    );
    let told = checked(&sidecar, "agent_health").await;
    let expected = json!([{"seq": 3, "kind": "changed"}]);
    assert_eq!(told["parity"]["differences"], expected, "{told}");
}

#[tokio::test]
async fn in_a_table_of_states_a_column_of_any_type_is_compared_too() {
    let (supabase, folder) = (Supabase::start().await, tempfile::tempdir().unwrap());
    supabase
        .change_schema(
            "alter table agent_health add constraint one unique (agent_id); \
             select boboyka_guard('agent_health'); grant update on agent_health to service_role",
        )
        .await;
    let sidecar = with_columns(&supabase, folder.path(), &CHANGING).await;
    assert_eq!(lane(&sidecar, "agent_health").await["mode"], "latest");
    each_change_is_told(&supabase, &sidecar).await;
}

#[tokio::test]
async fn without_the_functions_times_are_compared_and_what_can_not_be_is_named() {
    let (supabase, folder) = (Supabase::start().await, tempfile::tempdir().unwrap());
    let known = ["at", "naive", "day", "tags"];
    let mut known: Vec<Changing> = CHANGING
        .into_iter()
        .filter(|(name, ..)| known.contains(name))
        .collect();
    known.insert(0, ("cost", "numeric(10,3)", "1.5", "1.501"));
    let sidecar = with_columns(&supabase, folder.path(), &known).await;
    supabase.change_schema(NO_FUNCTIONS).await;
    for (name, _, _, change) in &known[..4] {
        let told = checked(&sidecar, "agent_health").await;
        assert_eq!(counts(&told), [0; 4], "before {name}: {told}");
        assert_eq!(
            told["parity"]["unchecked_columns"],
            json!(["tags"]),
            "{told}"
        );
        supabase.sql(&format!(
            "update agent_health set {name} = {change} where seq = 2"
        ));
        let told = checked(&sidecar, "agent_health").await;
        assert_eq!(counts(&told), [0, 1, 0, 0], "{name}: {told}");
        supabase.sql(&format!("update agent_health set {name} = (select {name} from agent_health where seq = 1) where seq = 2"));
    }
    let data = json!({"agent_id": "a", "status": "healthy", "at": "January 8, 1999 04:05:06 PST"});
    sidecar.ingest("agent_health", &data).await;
    drained(&sidecar, "agent_health").await;
    let told = checked(&sidecar, "agent_health").await;
    let reason = told["parity_unknown"].as_str().unwrap();
    assert!(
        reason.contains("column at") && reason.contains("schema.sql"),
        "{reason}"
    );
}

#[tokio::test]
async fn functions_of_an_earlier_file_are_not_believed() {
    let supabase = Supabase::start().await;
    supabase
        .change_schema(
            "alter table project_builds add constraint one unique (build_id); \
             select boboyka_guard('project_builds'); grant update on project_builds to service_role; \
             create or replace function boboyka_digest(p_table text, p_strand text, p_from_seq bigint, p_to_seq bigint, \
             p_layout jsonb) returns jsonb language sql as \
             $$ select jsonb_build_object('rows', 0, 'high', '0', 'low', '0') $$",
        )
        .await;
    let secret = supabase.folder();
    let sidecar = Sidecar::start_with(&["--supabase-dir", secret.to_str().unwrap()], &[]).await;
    sidecar
        .ingest("audit_log", &json!({"agent_id": "a", "event": "one"}))
        .await;
    let build = json!({"project_id": "p", "build_id": "b", "status": "running"});
    sidecar.ingest("project_build", &build).await;
    for lane in ["audit_log", "project_build"] {
        drained(&sidecar, lane).await;
    }
    let read = checked(&sidecar, "audit_log").await;
    assert_eq!(
        counts(&read),
        [0; 4],
        "the rows themselves are read: {read}"
    );
    let states = checked(&sidecar, "project_build").await;
    let reason = states["parity_unknown"].as_str().unwrap();
    assert!(reason.contains("run it again"), "{reason}");
}

/// What the functions say of the one row of a table `odd` after this was done to it: its digest.
fn digest_after(supabase: &Supabase, column: &str, sql: &str) -> String {
    let column = json!({"name": column, "field": column, "kind": "cast", "absent": false});
    let layout = json!({"table": "odd", "strand": "strand", "seq": "seq", "record_hash": "strand", "ingested_at_ms": "seq",
        "payload": "payload", "key": ["seq"], "columns": [column]});
    supabase.sql(&format!(
        "{sql}; select boboyka_rows('odd', 's', 1, 1, '{layout}', 9) -> 0 ->> 2"
    ))
}

#[tokio::test]
async fn the_functions_take_no_sql_of_their_caller() {
    let supabase = Supabase::start().await;
    let takes = "select pg_get_function_identity_arguments(oid) from pg_proc where proname = 'boboyka_cast'";
    assert_eq!(
        supabase.sql(takes),
        "p_value jsonb, p_type oid, p_modifier integer",
        "a type's name would be SQL of whoever calls"
    );
    supabase.sql(
        "create table odd (strand text, seq bigint, payload jsonb, \"o'd \"\"d\" numeric(4,1)); \
         insert into odd values ('s', 1, '{\"o''d \\\"d\": 1.25}', 1.3)",
    );
    let layout = |name: &str| name.replace('\'', "''");
    let equal = digest_after(&supabase, &layout("o'd \"d"), "select");
    let refused = "update odd set payload = jsonb_set(payload, '{\"o''d \\\"d\"}', '\"never\"')";
    let guarded = digest_after(&supabase, &layout("o'd \"d"), refused);
    assert!(
        equal.trim() != guarded && guarded.len() == 32,
        "{equal} {guarded}"
    );
}

#[tokio::test]
async fn no_collation_setting_or_error_of_a_type_hides_a_change_or_stops_the_functions() {
    let supabase = Supabase::start().await;
    supabase.sql(
        "create collation nocase (provider = icu, locale = 'und-u-ks-level2', deterministic = false); \
         create function refuses(text) returns boolean language plpgsql as \
           $$ begin if $1 = 'bad' then raise exception 'refused'; end if; return true; end $$; \
         create domain refusing as text check (refuses(value)); \
         create table odd (strand text, seq bigint, payload jsonb, at timestamptz(3), \
           short char(5) collate nocase, floats float8[], own refusing); \
         insert into odd values ('s', 1, '{\"short\": \"ab\", \"floats\": [0.1], \"own\": \"ok\"}', null, 'ab', '{0.1}', 'ok')",
    );
    let few_digits = "set extra_float_digits = 0; update odd set floats = '{0.10000000000000002}'";
    for (column, change) in [
        ("short", "update odd set short = 'AB'"),
        ("floats", few_digits),
        (
            "own",
            "update odd set payload = jsonb_set(payload, '{own}', '\"bad\"')",
        ),
    ] {
        let equal = digest_after(&supabase, column, "select");
        let changed = digest_after(&supabase, column, change);
        assert_ne!(equal.trim(), changed, "{column}");
        assert_eq!(changed.len(), 32, "{column}: {changed}");
    }
    let kinds = supabase.sql("select boboyka_columns('odd')");
    let kinds: Vec<Value> = serde_json::from_str(&kinds).unwrap();
    let rounding = kinds.iter().find(|it| it["name"] == "at").unwrap();
    assert_eq!(rounding["kind"], "cast", "it rounds what is written");
    let of_earlier_sidecars = r#"{"strand": "strand", "seq": "seq", "record_hash": "strand", "ingested_at_ms": "seq", "payload": null,
        "key": [], "columns": [{"name": "seq", "field": null, "kind": "integer", "absent": false}]}"#;
    let told = supabase.sql(&format!(
        "select boboyka_digest('odd', 's', 1, 1, '{of_earlier_sidecars}') ->> 'rows'"
    ));
    assert_eq!(told, "1");
}
