//! The alerts, each tried by promtool on series as the programs emit them and the `PodMonitors` label them.

use std::process::Command;

use serde_json::{Value, json};

use super::render::{MONITORING, find};
use super::{provisioned, root, template};

/// Labels of a sample of a sidecar.
const SIDECAR: &str = r#"namespace="agents",pod="p",integration="boboyka",strand="boboyka-0""#;
const LANE: &str =
    r#"namespace="agents",pod="p",integration="boboyka",strand="boboyka-0",lane="audit_log""#;
const UP: &str = r#"up{job="boboyka-system/boboyka-sidecar",namespace="agents",pod="p"}"#;

/// Series by name, labels included, with their values every 30 seconds.
type Series = Vec<(String, String)>;

fn operator(metric: &str, labels: &str) -> String {
    format!(r#"boboyka_operator_{metric}{{namespace="boboyka-system",pod="a"{labels}}}"#)
}

fn admissions(decision: &str) -> String {
    operator("admissions_total", &format!(r#",decision="{decision}""#))
}

/// Two hours in which nothing is wrong.
fn healthy() -> Series {
    let errors = r#",controller="integration",result="error""#;
    [
        (operator("leader", ""), "1x240"),
        (admissions("injected"), "0+1x240"),
        (admissions("refused"), "0x240"),
        (
            operator("reconcile_duration_seconds_count", errors),
            "0x240",
        ),
        (
            operator("certificate_expiry_timestamp_seconds", ""),
            "100000x240",
        ),
        (format!("boboyka_quarantined{{{SIDECAR}}}"), "0x240"),
        (format!("boboyka_lost_records{{{SIDECAR}}}"), "0x240"),
        (
            format!("boboyka_scrub_damaged_segments{{{SIDECAR}}}"),
            "0x240",
        ),
        (
            format!("boboyka_start_time_seconds{{{SIDECAR}}}"),
            "100x240",
        ),
        (UP.to_owned(), "1x240"),
        (format!("boboyka_mirror_lag_seconds{{{LANE}}}"), "2x240"),
        (format!("boboyka_mirror_dead_letters{{{LANE}}}"), "0x240"),
        (format!("boboyka_retention_blocked{{{SIDECAR}}}"), "0x240"),
        (format!("boboyka_legal_hold{{{SIDECAR}}}"), "0x240"),
        (format!("boboyka_archive_failing{{{SIDECAR}}}"), "0x240"),
        (
            format!("boboyka_archive_waiting_segments{{{SIDECAR}}}"),
            "0 1 0x238",
        ),
    ]
    .map(|(series, values)| (series, values.to_owned()))
    .to_vec()
}

/// A series of the healthy ones that has other values, when to look, and the alerts that fire then.
type Case = (
    &'static str,
    String,
    &'static str,
    &'static str,
    &'static [&'static str],
);

#[expect(clippy::too_many_lines, reason = "a table")]
fn cases() -> Vec<Case> {
    let errors = r#",controller="integration",result="error""#;
    let starts = || format!("boboyka_start_time_seconds{{{SIDECAR}}}");
    let archive = &["BoboykaArchiveFails"];
    let (down, refused, fails) = (
        &["BoboykaOperatorDown"],
        &["BoboykaPodsRefused"],
        &["BoboykaSidecarFails"],
    );
    vec![
        ("nothing is wrong", UP.to_owned(), "1x240", "2h", &[]),
        (
            "no replica leads",
            operator("leader", ""),
            "0x240",
            "10m",
            down,
        ),
        (
            "no replica is there",
            operator("leader", ""),
            "1x4 _x230",
            "20m",
            down,
        ),
        (
            "reconciliations fail",
            operator("reconcile_duration_seconds_count", errors),
            "0+1x240",
            "40m",
            &["BoboykaReconcileErrors"],
        ),
        (
            "many pods are refused",
            admissions("refused"),
            "0x2 20x240",
            "8m",
            refused,
        ),
        (
            "a pod is refused once",
            admissions("refused"),
            "0x20 1x220",
            "30m",
            &[],
        ),
        (
            "a pod is refused every 1000 s",
            admissions("refused"),
            "0x4 1x32 2x32 3x32 4x32 5x32 6x32",
            "60m",
            refused,
        ),
        (
            "and goes on so",
            admissions("refused"),
            "0x4 1x32 2x32 3x32 4x32 5x32 6x32",
            "95m",
            refused,
        ),
        (
            "the certificate is old",
            operator("certificate_expiry_timestamp_seconds", ""),
            "4000x240",
            "40m",
            &["BoboykaCertificateExpires"],
        ),
        (
            "a strand is damaged",
            format!("boboyka_quarantined{{{SIDECAR}}}"),
            "1x240",
            "1m",
            &["BoboykaStrandChainBroken"],
        ),
        (
            "a strand has lost records",
            format!("boboyka_lost_records{{{SIDECAR}}}"),
            "3x240",
            "1m",
            &["BoboykaStrandChainBroken"],
        ),
        (
            "the scrub found damage",
            format!("boboyka_scrub_damaged_segments{{{SIDECAR}}}"),
            "1x240",
            "1m",
            &["BoboykaStrandChainBroken"],
        ),
        (
            "a sidecar restarts again and again",
            starts(),
            "100x4 300x4 500x4 700x220",
            "15m",
            fails,
        ),
        (
            "a sidecar got another image",
            starts(),
            "100x20 700x220",
            "20m",
            &[],
        ),
        (
            "a sidecar does not answer",
            UP.to_owned(),
            "1x4 0x230",
            "15m",
            fails,
        ),
        (
            "the mirror lags",
            format!("boboyka_mirror_lag_seconds{{{LANE}}}"),
            "700x240",
            "10m",
            &["BoboykaMirrorLags"],
        ),
        (
            "records are rejected",
            format!("boboyka_mirror_dead_letters{{{LANE}}}"),
            "3x240",
            "10m",
            &["BoboykaDeadLetters"],
        ),
        (
            "retention is blocked",
            format!("boboyka_retention_blocked{{{SIDECAR}}}"),
            "1x240",
            "70m",
            &["BoboykaRetentionBlocked"],
        ),
        (
            "a strand can't be archived",
            format!("boboyka_archive_failing{{{SIDECAR}}}"),
            "1x240",
            "20m",
            archive,
        ),
        (
            "an archive fails for a moment",
            format!("boboyka_archive_failing{{{SIDECAR}}}"),
            "0x20 1x20 0x200",
            "20m",
            &[],
        ),
        (
            "an archive is behind all the time",
            format!("boboyka_archive_waiting_segments{{{SIDECAR}}}"),
            "0x20 3x220",
            "65m",
            archive,
        ),
        (
            "an archive has something to do now and then",
            format!("boboyka_archive_waiting_segments{{{SIDECAR}}}"),
            "1 0x38 1 0x38 1 0x38 1 0x38 1 0x38 1 0x38",
            "65m",
            &[],
        ),
    ]
}

/// A test of promtool.
fn test(name: &str, series: &Series, at: &str, firing: &[&str]) -> Value {
    let inputs: Vec<Value> = series
        .iter()
        .map(|(series, values)| json!({"series": series, "values": values}))
        .collect();
    let firing: Vec<Value> = firing
        .iter()
        .map(|alert| json!({"labels": format!(r#"{{alertname="{alert}"}}"#), "value": 1}))
        .collect();
    json!({"name": name, "interval": "30s", "input_series": inputs, "promql_expr_test": [{
        "expr": r#"count by (alertname) (ALERTS{alertstate="firing"})"#, "eval_time": at, "exp_samples": firing,
    }]})
}

/// Runs promtool on the alerts that the chart renders.
fn try_alerts(arguments: &[&str], tests: &[Value]) {
    let rendered = template(arguments);
    let rule = find(&rendered, "PrometheusRule", "boboyka-operator").unwrap();
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, value: &Value| {
        std::fs::write(
            folder.path().join(name),
            serde_yaml::to_string(value).unwrap(),
        )
        .unwrap();
    };
    write("rules.yaml", &rule["spec"]);
    write(
        "tests.yaml",
        &json!({"rule_files": ["rules.yaml"], "evaluation_interval": "30s", "tests": tests}),
    );
    let output = Command::new(provisioned("PROMTOOL"))
        .args(["test", "rules", "tests.yaml"])
        .current_dir(folder.path())
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&output.stdout).into_owned()
        + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{told}");
}

#[test]
fn each_alert_fires_when_it_is_due_and_at_no_other_time() {
    let cases = cases();
    let mut tests: Vec<Value> = cases
        .iter()
        .map(|(name, changed, values, at, firing)| {
            let mut series = healthy();
            let one = series.iter_mut().find(|(series, _)| series == changed);
            one.unwrap_or_else(|| panic!("{name}: no series {changed}"))
                .1 = (*values).to_owned();
            test(name, &series, at, firing)
        })
        .collect();
    let mut held = healthy();
    for (series, values) in &mut held {
        if series.contains("retention_blocked") || series.contains("legal_hold") {
            *values = "1x240".to_owned();
        }
    }
    tests.push(test("a legal hold keeps records", &held, "70m", &[]));
    try_alerts(&MONITORING, &tests);
    let tried: std::collections::BTreeSet<_> = cases.iter().flat_map(|case| case.4).collect();
    assert_eq!(tried.len(), 10, "each alert is tried: {tried:?}");
}

#[test]
fn without_pod_monitors_nothing_fires_because_nothing_is_scraped() {
    let only_rules: Vec<&str> = MONITORING
        .iter()
        .map(|argument| {
            if argument.contains("podMonitor") {
                "monitoring.prometheusRule.enabled=true"
            } else {
                argument
            }
        })
        .collect();
    try_alerts(
        &only_rules,
        &[test("nothing is scraped", &Vec::new(), "30m", &[])],
    );
}

#[test]
fn each_alert_has_a_chapter_that_says_what_to_do() {
    let rendered = template(&MONITORING);
    let rule = find(&rendered, "PrometheusRule", "boboyka-operator").unwrap();
    let groups = rule["spec"]["groups"].as_array().unwrap();
    let rules = groups
        .iter()
        .flat_map(|group| group["rules"].as_array().unwrap());
    let alerts: Vec<&str> = rules.map(|rule| rule["alert"].as_str().unwrap()).collect();
    let text = std::fs::read_to_string(root().join("docs/alerts.md")).unwrap();
    let chapters: Vec<&str> = text
        .lines()
        .filter_map(|line| line.strip_prefix("## "))
        .collect();
    assert_eq!(chapters, alerts);
    let text = std::fs::read_to_string(root().join("docs/troubleshooting.md")).unwrap();
    for alert in alerts {
        assert!(text.contains(&format!("[`{alert}`]")), "{alert}");
    }
}
