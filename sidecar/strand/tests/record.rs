//! What a caller may send, what comes back of it, and what each refusal says.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::format_push_string,
    clippy::format_collect,
    reason = "a test that panics says where"
)]

use boboyka_strand::record::{
    BACKFILL, COLLECTION_TAG, DELETED_TAG, ORIGIN_TAG, OWN_AGENT, PAYLOAD_MAX_BYTES, Row, TYPE_TAG,
    field, text_field,
};
use boboyka_strand::{CallerJson, PayloadJson, Record, RecordError, RecordType};
use proptest::prelude::*;
use serde_json::{Value, json};

fn health(fields: &str) -> Result<Record, RecordError> {
    let data = format!(r#"{{"agent_id":"a","status":"healthy"{fields}}}"#);
    Record::from_json(RecordType::AgentHealth, &data)
}

fn back(record: &Record) -> String {
    serde_json::to_string(&PayloadJson(record.payload())).unwrap()
}

#[test]
fn the_origin_of_a_record_is_set_by_the_strand_alone() {
    for record_type in RecordType::ALL {
        let data = r#"{"_boboyka_origin":"backfill","agent_id":"a"}"#;
        let error = Record::from_json(record_type, data).unwrap_err();
        assert_eq!(error.field(), Some(ORIGIN_TAG), "{record_type}");
    }
    let row = Row {
        table: "agent_audit_log",
        key: "id=1",
    };
    let event = r#"{"agent_id":"a","event":"e"}"#;
    let record = Record::imported(RecordType::AuditLog, event, row).unwrap();
    assert_eq!(text_field(record.payload(), ORIGIN_TAG), Some(BACKFILL));
    let own = r#"{"agent_id":"boboyka_sidecar","event":"backfill"}"#;
    let error = Record::imported(RecordType::AuditLog, own, row).unwrap_err();
    assert_eq!(error, RecordError::ReservedAgent);
}

#[test]
fn the_record_of_every_type_is_taken_with_required_fields_alone_and_comes_back() {
    let records = [
        (
            RecordType::ProjectBuild,
            json!({"project_id": "p", "build_id": "b", "status": "queued"}),
        ),
        (
            RecordType::BuildQueueItem,
            json!({"queue_id": "q", "project_id": "p", "status": "done", "dequeued_at_ms": null}),
        ),
        (
            RecordType::AgentHealth,
            json!({"agent_id": "a", "status": "degraded", "cpu_pct": 23.4}),
        ),
        (
            RecordType::AuditLog,
            json!({"agent_id": "a", "event": "e", "metadata": {"env": "production"}}),
        ),
    ];
    for (kind, data) in records {
        let record = Record::from_json(kind, &data.to_string()).unwrap();
        assert_eq!(serde_json::from_str::<Value>(&back(&record)).unwrap(), data);
        let tagged: Value = rmp_serde::from_slice(record.payload()).unwrap();
        assert_eq!(tagged[TYPE_TAG], kind.name());
    }
}

#[test]
fn numbers_come_back_as_they_went_in() {
    for number in [
        "9007199254740993",
        "18446744073709551615",
        "-9223372036854775808",
        "0.1",
        "-0.0",
        "1e-7",
        "23.400000000000002",
        "1.0",
        "5e-324",
        "0",
        "-1",
    ] {
        let record = health(&format!(r#","x":{number}"#)).unwrap();
        let text = back(&record);
        let (_, came) = text.trim_end_matches('}').rsplit_once(':').unwrap();
        assert_eq!(came, number);
    }
}

#[test]
fn key_order_and_white_space_do_not_matter_content_does() {
    let a = health(r#","x":{"b":1,"a":[1,2]},"é":true"#).unwrap();
    let text = r#" {"é": true, "x": {"a":[1, 2],"b":1}, "status":"healthy", "agent_id":"\u0061"} "#;
    let b = Record::from_json(RecordType::AgentHealth, text).unwrap();
    assert_eq!(
        (a.payload(), a.payload_hash()),
        (b.payload(), b.payload_hash())
    );
    assert_ne!(
        a.payload_hash(),
        health(r#","x":{"b":1,"a":[2,1]},"é":true"#)
            .unwrap()
            .payload_hash()
    );
}

#[test]
fn every_refusal_names_its_field_and_says_what_is_wrong() {
    let deep = format!(r#","x":{}{}"#, "[".repeat(80), "]".repeat(80));
    let cases: &[(&str, Option<&str>, &str)] = &[
        (r#","cpu_pct":"high""#, Some("cpu_pct"), "must be a number"),
        (
            r#","checked_at_ms":1.5"#,
            Some("checked_at_ms"),
            "a whole number",
        ),
        (
            r#","checked_at_ms":18446744073709551615"#,
            Some("checked_at_ms"),
            "a whole number",
        ),
        (r#","x":{"y":["a","b\u0000"]}"#, Some("x.y[1]"), "U+0000"),
        (r#","x\u0000":1"#, Some("x\u{2400}"), "U+0000"),
        (r#","x":{"a":1,"a":2}"#, Some("x.a"), "more than once"),
        (r#","status":"healthy""#, Some("status"), "more than once"),
        (
            r#","x":[0,{"y":1e400}]"#,
            Some("x[1].y"),
            "beyond the range",
        ),
        (
            r#","x":0.12345678901234567890"#,
            Some("x"),
            "more digits than a 64-bit float keeps",
        ),
        (
            r#","_boboyka_type":"audit_log""#,
            Some("_boboyka_type"),
            "set by the strand",
        ),
        (r#","x":"#, None, "line 1 column"),
        (&deep, None, "nested deeper than 64"),
    ];
    for (fields, field, says) in cases {
        let error = health(fields).unwrap_err();
        assert!(error.to_string().contains(says), "{fields}: {error}");
        if let Some(field) = field {
            assert_eq!(error.field(), Some(*field), "{fields}");
        }
    }
    let of = |kind, data: &str| Record::from_json(kind, data).unwrap_err();
    let error = of(
        RecordType::ProjectBuild,
        r#"{"project_id":"p","build_id":"b","status":"done"}"#,
    );
    assert_eq!(error.field(), Some("status"));
    assert!(
        error
            .to_string()
            .contains("queued, running, succeeded, failed")
    );
    let error = of(
        RecordType::ProjectBuild,
        r#"{"project_id":"p","build_id":null}"#,
    );
    assert_eq!(error, RecordError::Missing { field: "build_id" });
    let error = of(RecordType::AuditLog, r#"{"agent_id":"","event":"e"}"#);
    assert_eq!(error.field(), Some("agent_id"));
    for no_object in ["[]", "7", "null", r#""text""#, "true", "-1.5", "[[1]]"] {
        assert_eq!(
            of(RecordType::AuditLog, no_object),
            RecordError::NotAnObject,
            "{no_object}"
        );
    }
}

#[test]
fn no_caller_can_make_a_record_that_looks_like_the_strand_s_own() {
    let forged = |event| format!(r#"{{"event":"{event}","agent\u005fid":"boboyka\u005fsidecar"}}"#);
    for event in ["pruned", "phase_changed", "strand_quarantined", "another"] {
        let error = Record::from_json(RecordType::AuditLog, &forged(event)).unwrap_err();
        assert_eq!(error, RecordError::ReservedAgent);
        assert_eq!(error.field(), Some("agent_id"));
        let own = Record::own(event, &json!({})).unwrap();
        assert_eq!(own.record_type(), RecordType::AuditLog);
        let own = serde_json::to_value(PayloadJson(own.payload())).unwrap();
        assert_eq!(own["agent_id"], OWN_AGENT);
    }
    let other = r#"{"agent_id":"boboyka_sidecar","status":"healthy"}"#;
    assert!(Record::from_json(RecordType::AgentHealth, other).is_ok());
}

#[test]
fn a_record_of_a_mebibyte_is_taken_and_a_longer_one_is_not() {
    let overhead = health(r#","x":"""#).unwrap().payload().len();
    let fits = "x".repeat(PAYLOAD_MAX_BYTES - overhead - 4);
    let record = health(&format!(r#","x":"{fits}""#)).unwrap();
    assert_eq!(record.payload().len(), PAYLOAD_MAX_BYTES);
    let error = health(&format!(r#","x":"{fits}y""#)).unwrap_err();
    assert_eq!(
        error,
        RecordError::TooLarge {
            bytes: PAYLOAD_MAX_BYTES + 1
        }
    );
}

/// The digits of a JSON number and its power of ten, without zeros at either end: what the number is,
/// however it is written.
fn decimal(number: &str) -> (bool, String, i64) {
    let (mantissa, power) = number.split_once(['e', 'E']).unwrap_or((number, "0"));
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let power: i64 = power.parse().unwrap();
    let digits = format!("{whole}{fraction}").replace('-', "");
    let significant = digits.trim_end_matches('0');
    if significant.trim_start_matches('0').is_empty() {
        return (false, String::new(), 0);
    }
    let dropped = digits.len() - significant.len();
    let power = power + i64::try_from(dropped).unwrap() - i64::try_from(fraction.len()).unwrap();
    let significant = significant.trim_start_matches('0').to_owned();
    (number.starts_with('-'), significant, power)
}

/// Numbers as JSON allows them, those near the limits of doubles and of 64 bits more often.
fn any_number() -> impl Strategy<Value = String> {
    prop_oneof![
        "-?(0|[1-9][0-9]{0,22})(\\.[0-9]{1,22})?([eE][+-]?[0-9]{1,3})?",
        "-?(0|[1-9][0-9]{0,8})\\.[0-9]{1,12}",
        "-?90071992547409[0-9]{2}(\\.[0-9]{1,2})?",
        "-?(1844674407370955|922337203685477)[0-9]{4}(\\.0)?",
        "-?[1-9][0-9]{14,15}\\.[0-9]{1,2}",
        "-?[1-9](\\.[0-9]{12,18})?",
        "-?[0-9]\\.[0-9]{1,17}[eE]-?(3[0-9]{2}|0{1,3}[0-9])",
        any::<f64>()
            .prop_filter("JSON has no NaN", |x| x.is_finite())
            .prop_map(|x| format!("{x:e}")),
        any::<f64>()
            .prop_filter("JSON has no NaN", |x| x.is_finite())
            .prop_map(|x| format!("{x:.17e}")),
    ]
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>()
            .prop_filter("JSON has no NaN", |x| x.is_finite())
            .prop_map(Value::from),
        "[^\0]{0,40}".prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 64, 20, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..20).prop_map(Value::from),
            prop::collection::btree_map("[^\0]{0,8}", inner, 0..20)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4096))]

    #[test]
    fn a_number_comes_back_as_the_same_decimal_number_or_is_refused(number in any_number()) {
        match health(&format!(r#","x":{number}"#)) {
            Ok(record) => {
                let text = back(&record);
                let (_, came) = text.trim_end_matches('}').rsplit_once(':').unwrap();
                prop_assert_eq!(decimal(came), decimal(&number), "{} came back as {}", number, came);
            }
            Err(error) => prop_assert!(
                matches!(&error, RecordError::Number { field, .. } if field == "x"),
                "{}: {}", number, error
            ),
        }
    }

    #[test]
    fn a_whole_number_may_have_a_point_or_an_exponent_where_it_must_be_whole(whole in any::<i64>()) {
        let sent = |number: &str| health(&format!(r#","checked_at_ms":{number}"#));
        let plain = sent(&whole.to_string()).unwrap();
        for number in [format!("{whole}.0"), format!("{whole}.000e0"), format!("{whole}0e-1")] {
            match sent(&number) {
                Ok(record) => prop_assert_eq!(record.payload(), plain.payload(), "{}", number),
                Err(error) => prop_assert!(matches!(error, RecordError::Number { .. }), "{}", number),
            }
        }
    }
}

#[test]
fn what_floats_count_exactly_is_taken_as_the_integer_it_is() {
    for (number, whole) in [
        ("1747000000000.0", "1747000000000"),
        ("1.747e12", "1747000000000"),
        ("1747000000000.000", "1747000000000"),
        ("-0", "0"),
        ("-0.0", "0"),
        ("-1.0", "-1"),
        ("2E2", "200"),
    ] {
        let sent = |number: &str| health(&format!(r#","checked_at_ms":{number}"#)).unwrap();
        assert_eq!(sent(number).payload(), sent(whole).payload(), "{number}");
    }
    for number in ["1.5", "1e19", "1e-1"] {
        let error = health(&format!(r#","checked_at_ms":{number}"#)).unwrap_err();
        assert_eq!(error.field(), Some("checked_at_ms"), "{number}");
    }
}

proptest! {
    #[test]
    fn any_json_survives_the_round_trip_exactly(extra in any_json()) {
        let data = json!({"agent_id": "a", "event": "e", "extra": extra});
        let record = Record::from_json(RecordType::AuditLog, &data.to_string()).unwrap();
        prop_assert_eq!(serde_json::from_str::<Value>(&back(&record)).unwrap(), data);
    }

    #[test]
    fn no_text_makes_it_panic(text in "[\\[\\]{}:,\"\\\\0-9eE+.u\0-]{0,60}") {
        let _ = Record::from_json(RecordType::AuditLog, &text);
    }
}

#[test]
fn a_document_is_whatever_its_writer_sends_with_its_collection_beside_it() {
    for data in [
        "{}",
        r#"{"Z":1,"a":[1,2.5,null],"_b":{"agent_id":""},"status":7}"#,
    ] {
        let record = Record::document("orders", data).unwrap();
        assert_eq!(record.record_type(), RecordType::Document);
        let sent: Value = serde_json::from_str(data).unwrap();
        let back = serde_json::to_value(CallerJson(record.payload())).unwrap();
        assert_eq!(back, sent);
        let whole: Value = rmp_serde::from_slice(record.payload()).unwrap();
        assert_eq!(whole[TYPE_TAG], "document");
        assert_eq!(whole[COLLECTION_TAG], "orders");
        for name in ["Z", "a", "_b", "status", "nothing", COLLECTION_TAG, ""] {
            assert_eq!(
                field(record.payload(), name).as_ref(),
                whole.get(name),
                "{name}"
            );
        }
        assert_eq!(text_field(record.payload(), COLLECTION_TAG), Some("orders"));
        assert_eq!(text_field(record.payload(), "status"), None);
    }
    let same = Record::document("orders", "{}").unwrap();
    let other = Record::document("products", "{}").unwrap();
    assert_ne!(same.payload_hash(), other.payload_hash());
}

#[test]
fn what_a_document_may_not_have_is_named() {
    for (collection, data, error) in [
        (
            "",
            "{}",
            "must be 1 to 128 bytes of text without slashes and control characters that does not begin with _boboyka_",
        ),
        (
            "a/b",
            "{}",
            "must be 1 to 128 bytes of text without slashes and control characters that does not begin with _boboyka_",
        ),
        (
            "_boboyka_x",
            "{}",
            "must be 1 to 128 bytes of text without slashes and control characters that does not begin with _boboyka_",
        ),
        (
            "orders",
            r#"{"_boboyka_deleted":"x"}"#,
            "begins with _boboyka_, which is kept for the strand: use another name",
        ),
        ("orders", "[]", "must be a JSON object"),
    ] {
        let refused = Record::document(collection, data).unwrap_err();
        assert_eq!(refused.to_string(), error);
    }
    let deleted = Record::tombstone("orders", &boboyka_strand::Hash::ZERO).unwrap();
    assert!(deleted.flags().contains(boboyka_strand::Flags::TOMBSTONE));
    let text = text_field(deleted.payload(), DELETED_TAG).unwrap();
    assert_eq!(text, "0".repeat(64));
}
