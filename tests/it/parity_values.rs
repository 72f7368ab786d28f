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
    assert_eq!(told["parity"]["unchecked_columns"], json!(["at"]), "{told}");
    supabase.change_schema(NO_FUNCTIONS).await;
    let told = checked(&sidecar, "agent_health").await;
    assert_eq!(counts(&told), [0; 4], "read without the functions: {told}");
    for (column, value) in [
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
