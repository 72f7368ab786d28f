//! What a file may say, what is wrong with it, and what an edit changes.

use std::time::Instant;

use boboyka_crds::{Chain, IntegrationStatus, LegacyReport, Phase, StrandStatus, rules};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::Timestamp;
use serde::Deserialize;

use super::documents::parse;
use super::machine::Machine;
use super::status::status;

/// The table of fixtures that the rules are held to, in the cluster and out of it.
const FIXTURES: &str = include_str!(concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/../crds/tests/fixtures.yaml"
));

#[derive(Deserialize)]
struct Fixture {
    it: String,
    name: Option<String>,
    from: Option<serde_yaml::Value>,
    #[serde(default)]
    status: IntegrationStatus,
    spec: serde_yaml::Value,
    refused: Option<String>,
    stored: Option<String>,
}

fn file(name: &str, spec: &serde_yaml::Value) -> String {
    let spec = serde_yaml::to_string(&serde_yaml::Mapping::from_iter([(
        "spec".into(),
        spec.clone(),
    )]));
    format!(
        "# A comment.\napiVersion: boboyka.sapixdb.com/v1alpha1\nkind: BoboykaIntegration\nmetadata: {{name: {name}}}\n{}{}",
        spec.unwrap(),
        config_map("proj_a\n")
    )
}

/// The document that the fixtures refer to for legacy projects.
fn config_map(names: &str) -> String {
    let names = serde_json::Value::from(names);
    format!(
        "---\napiVersion: v1\nkind: ConfigMap\nmetadata: {{name: boboyka-legacy-projects}}\ndata:\n  projects.txt: {names}\n"
    )
}

fn with_spec(spec: &str) -> String {
    format!(
        "apiVersion: boboyka.sapixdb.com/v1alpha1\nkind: BoboykaIntegration\nmetadata:\n  name: b\nspec:\n{spec}"
    )
}

fn wrong(text: &str) -> String {
    parse(text).unwrap_err().to_string()
}

#[test]
fn every_rule_of_the_cluster_holds_for_a_file_and_the_field_is_named() {
    let fixtures: Vec<Fixture> = serde_yaml::from_str(FIXTURES).unwrap();
    let mut refused = 0;
    for fixture in &fixtures {
        let (it, name) = (&fixture.it, fixture.name.as_deref().unwrap_or("boboyka"));
        let text = file(name, &fixture.spec);
        // Rules that a stored integration may break are the API server's alone.
        let expected = fixture
            .refused
            .as_ref()
            .filter(|_| fixture.stored.is_none());
        let found = match &fixture.from {
            None => parse(&text).map(drop),
            Some(from) => {
                let before = parse(&file(name, from)).unwrap();
                parse(&text).and_then(|after| after.may_follow(&before, &fixture.status, &text))
            }
        };
        match (found, expected) {
            (Ok(()), None) => {}
            (Err(wrong), Some(field)) => {
                let wrong = wrong.to_string();
                let named = wrong.starts_with("line ") && wrong.contains(&format!(": {field}: "));
                assert!(named, "{it}: {wrong}");
                refused += 1;
            }
            (found, expected) => panic!("{it}: {found:?} instead of {expected:?}"),
        }
    }
    assert!(refused > 20 && refused < rules::count() * 3, "{refused}");
}

#[test]
fn what_is_wrong_is_named_with_its_line_and_its_field() {
    for (text, expected) in [
        (
            with_spec("  phase: Later\n"),
            "line 6: spec.phase: unknown variant `Later`",
        ),
        (
            with_spec("  phaze: CutOver\n"),
            "line 6: spec.phaze: is not a field",
        ),
        (
            with_spec("  phase: DualWrite\n  retention:\n    maxAge: 3d\n"),
            "line 8: spec.retention.maxAge: must be a duration",
        ),
        (
            with_spec("  supabase:\n    secretRef: {name: s}\n    mirror:\n      ackTimeout: 1h\n"),
            "line 9: spec.supabase.mirror.ackTimeout: must be",
        ),
        (with_spec("  phase: [DualWrite\n"), "line "),
        (
            "kind: Pod\n".to_owned(),
            "line 1: kind: must be BoboykaIntegration, Secret or ConfigMap",
        ),
        (
            "kind: BoboykaIntegration\napiVersion: v1\n".to_owned(),
            "line 2: apiVersion: must be",
        ),
        (String::new(), "has no BoboykaIntegration"),
        ("# Nothing.\n".to_owned(), "has no BoboykaIntegration"),
        ("- a\n".to_owned(), "line 1: must be a document with fields"),
        (
            format!("{0}---\n{0}", with_spec("  phase: CutOver\n")),
            "line 9: kind: is the second",
        ),
        (
            with_spec("  phase: CutOver\nmore: 1\n"),
            "line 7: more: is not a field",
        ),
        (
            with_spec("  phase: CutOver\n").replace("  name: b\n", ""),
            "line 3: metadata.name: must be",
        ),
    ] {
        let wrong = wrong(&text);
        assert!(wrong.starts_with(expected), "{wrong}\n{text}");
    }
}

const SUPABASE: &str = "  supabase: {secretRef: {name: s}}\n";

fn with_secret(secret: &str) -> String {
    format!(
        "{}---\napiVersion: v1\nkind: Secret\nmetadata: {{name: s}}\n{secret}",
        with_spec(SUPABASE)
    )
}

#[test]
fn a_secret_is_read_as_a_cluster_reads_it_and_no_message_repeats_it() {
    for secret in [
        "stringData: {url: 'https://x.co', key: topsecret}\n",
        "data: {url: aHR0cHM6Ly94LmNv, key: dG9wc2VjcmV0}\n",
        "data: {url: AAAA, key: dG9wc2VjcmV0}\nstringData: {url: 'https://x.co'}\n",
    ] {
        let read = parse(&with_secret(secret)).unwrap().credentials.unwrap();
        assert_eq!((read.url(), read.key()), ("https://x.co", "topsecret"));
    }
    for (secret, expected) in [
        (
            "stringData: {url: 'https://x.co'}\n",
            "line 11: stringData: has no key key",
        ),
        (
            "stringData: {url: topsecret, key: k}\n",
            "line 11: stringData.url: ",
        ),
        (
            "stringData:\n  url: 'https://x.co'\n  key: \"'topsecret'\"\n",
            "line 13: stringData.key: ",
        ),
        (
            "data: {url: topsecret!, key: dG9wc2VjcmV0}\n",
            "line 11: data.url: must be a text in base64",
        ),
        (
            "stringData: {url: 5, key: topsecret}\n",
            "line 11: stringData.url: must be a text",
        ),
        (
            "stringData: topsecret\n",
            "line 11: stringData: must have keys",
        ),
    ] {
        let wrong = wrong(&with_secret(secret));
        assert!(wrong.starts_with(expected), "{wrong}");
        assert!(!wrong.contains("topsecret"), "{wrong}");
    }
    let misplaced = wrong(&with_spec("  supabase: {secretRef: topsecret}\n"));
    assert!(misplaced.contains("spec.supabase.secretRef") && !misplaced.contains("topsecret"));
    let other = with_secret("").replace("{name: s}\n", "{name: other}\n");
    assert_eq!(parse(&other).unwrap().unused, ["Secret other"]);
}

type Spoil = fn(&mut StrandStatus);

fn now() -> Time {
    Time(Timestamp::from_second(1_800_000_000).unwrap())
}

fn strand(phase: Phase) -> StrandStatus {
    StrandStatus {
        ready: true,
        phase: Some(phase),
        chain: Some(Chain {
            intact: true,
            ..Chain::default()
        }),
        ..StrandStatus::default()
    }
}

fn read(machine: &mut Machine, spec: &str) {
    machine.read(&Ok(with_spec(spec)), Some("me".to_owned()));
}

#[test]
fn nothing_waits_to_be_mirrored_where_there_is_no_supabase() {
    let machine = Machine::new(Some((Phase::DualWrite, 1)), 1);
    let mut waiting = strand(Phase::DualWrite);
    waiting.backlog = 3;
    for (has_supabase, backlog) in [(true, 3), (false, 0)] {
        let file = status(&machine, has_supabase, waiting.clone(), &[], &now());
        assert_eq!(file.integration().backlog, backlog);
    }
}

#[test]
fn a_wrong_edit_changes_nothing_and_the_next_right_one_counts() {
    let mut machine = Machine::new(Some((Phase::DualWrite, 4)), 4);
    read(&mut machine, "  phase: DualWrite\n");
    machine.decide(&strand(Phase::DualWrite), false, &now(), Instant::now());
    for bad in [
        Err("it can't be read: entity not found".to_owned()),
        Ok(with_spec("  phase: Later\n")),
        Ok(with_spec("  phase: CutOver\n")),
    ] {
        machine.read(&bad, None);
        assert!(machine.wrong().is_some(), "{bad:?}");
        machine.decide(&strand(Phase::DualWrite), false, &now(), Instant::now());
        assert_eq!(
            (machine.decided().phase, machine.generation()),
            (Some(Phase::DualWrite), 5)
        );
        let file = status(&machine, true, strand(Phase::DualWrite), &[], &now());
        let stalled = file
            .conditions()
            .0
            .into_iter()
            .find(|it| it.type_ == "Stalled");
        assert_eq!(stalled.unwrap().reason, "InvalidSpec");
    }
    read(&mut machine, "  phase: MigrateInternals\n");
    machine.decide(&strand(Phase::DualWrite), false, &now(), Instant::now());
    assert_eq!((machine.wrong(), machine.generation()), (None, 6));
    assert_eq!(machine.decided().phase, Some(Phase::MigrateInternals));
    assert_eq!(machine.decided().phase_generation, Some(6));
}

#[test]
fn a_list_that_is_new_while_the_migration_pauses_is_not_in_force() {
    let listed = |machine: &Machine| {
        let object = machine.object().unwrap();
        object.pointer("/status/migration/legacy/listed").cloned()
    };
    let spec = |more: &str| format!("  phase: MigrateInternals\n  migration: {{{more}}}\n");
    let mut machine = Machine::new(Some((Phase::MigrateInternals, 4)), 4);
    read(&mut machine, &spec("legacyProjects: [a]"));
    assert_eq!(listed(&machine), Some(1.into()), "nothing is decided yet");
    let mut machine = Machine::new(Some((Phase::MigrateInternals, 4)), 4);
    read(&mut machine, &spec("pause: true"));
    let decide = |machine: &mut Machine| {
        let strand = strand(Phase::MigrateInternals);
        machine.decide(&strand, false, &now(), Instant::now());
    };
    decide(&mut machine);
    read(&mut machine, &spec("pause: true, legacyProjects: [a]"));
    decide(&mut machine);
    assert_eq!(listed(&machine), None);
    read(&mut machine, &spec("legacyProjects: [a]"));
    decide(&mut machine);
    assert_eq!(listed(&machine), Some(1.into()));

    // A restart while it pauses: the strand obeys the list, so it stays.
    let digest = machine.decided().migration.as_ref().unwrap();
    let digest = digest.legacy.as_ref().unwrap().digest.clone();
    let mut machine = Machine::new(Some((Phase::MigrateInternals, 4)), 4);
    read(&mut machine, &spec("pause: true, legacyProjects: [a]"));
    let mut obeys = strand(Phase::MigrateInternals);
    obeys.legacy = Some(LegacyReport {
        digest,
        ..LegacyReport::default()
    });
    machine.decide(&obeys, false, &now(), Instant::now());
    assert_eq!(listed(&machine), Some(1.into()));
}

#[test]
fn gates_block_on_a_laptop_as_in_a_cluster() {
    let spoil: [(&str, Spoil); 3] = [
        ("Drained", |strand| strand.backlog = 2),
        ("NoDeadLetters", |strand| strand.dead_letters = 1),
        ("ChainIntact", |strand| {
            strand.chain = Some(Chain {
                reason: Some("a segment does not verify".to_owned()),
                ..Chain::default()
            });
        }),
    ];
    for (gate, spoil) in spoil {
        let mut machine = Machine::new(Some((Phase::DualWrite, 1)), 1);
        read(
            &mut machine,
            &format!("  phase: MigrateInternals\n{SUPABASE}"),
        );
        let mut bad = strand(Phase::DualWrite);
        spoil(&mut bad);
        machine.decide(&bad, true, &now(), Instant::now());
        let waits = machine.decided().transition.clone().unwrap();
        let closed: Vec<_> = waits.gates.iter().filter(|it| !it.passed).collect();
        assert_eq!((closed.len(), closed[0].name.as_str()), (1, gate));
        assert_eq!(machine.decided().phase, Some(Phase::DualWrite));
        machine.decide(&strand(Phase::DualWrite), true, &now(), Instant::now());
        assert_eq!(machine.decided().phase, Some(Phase::MigrateInternals));
    }
}

const FROM: &str = "  phase: MigrateInternals\n  migration:\n    legacyProjectsFrom:\n      configMapKeyRef: {name: boboyka-legacy-projects, key: projects.txt}\n";

#[test]
fn a_config_map_of_the_file_has_the_legacy_projects_and_a_wrong_one_changes_nothing() {
    let read = |machine: &mut Machine, names: &str, by: &str| {
        let text = with_spec(FROM) + &config_map(names);
        machine.read(&Ok(text), Some(by.to_owned()));
        let strand = strand(Phase::MigrateInternals);
        machine.decide(&strand, false, &now(), Instant::now());
        let legacy = machine.decided().migration.clone().unwrap().legacy.unwrap();
        (
            legacy.names.join(" "),
            legacy.revision,
            machine.generation(),
        )
    };
    let mut machine = Machine::new(Some((Phase::MigrateInternals, 4)), 4);
    let first = read(&mut machine, "b\n# of the old team\na\n", "bob");
    assert_eq!(first, ("a b".to_owned(), 1, 5));
    let second = read(&mut machine, "b\n", "alice");
    assert_eq!(second, ("b".to_owned(), 2, 5));
    let by = machine.decided().migration.clone().unwrap().legacy.unwrap();
    assert_eq!(by.by.as_deref(), Some("alice"), "it is one file");
    assert_eq!(read(&mut machine, "c\n\u{1}\n", "bob"), second);
    let wrong = "line 15: data.projects.txt: line 2: must be a name of 1 to 256 characters without control characters";
    assert_eq!(machine.wrong(), Some(wrong));
    let third = read(&mut machine, "b\na\n", "bob");
    assert_eq!(third, ("a b".to_owned(), 3, 5));
    assert_eq!(machine.wrong(), None);
}

#[test]
fn a_config_map_that_the_file_does_not_have_is_named_by_field_and_line() {
    let other = config_map("a").replace("boboyka-legacy-projects", "other");
    let name = "line 9: spec.migration.legacyProjectsFrom.configMapKeyRef.name: the file has no ConfigMap boboyka-legacy-projects";
    assert_eq!(wrong(&(with_spec(FROM) + &other)), name);
    let keyless = config_map("a").replace("projects.txt", "names");
    let told = wrong(&(with_spec(FROM) + &keyless));
    assert_eq!(told, "line 14: data: has no key projects.txt");
    let unnamed = config_map("a").replace("name: boboyka-legacy-projects", "");
    assert!(wrong(&(with_spec(FROM) + &unnamed)).contains("metadata.name: must be the name"));
    let unused = parse(&(with_spec("  phase: DualWrite\n") + &other)).unwrap();
    assert_eq!(unused.unused, ["ConfigMap other"]);
}

#[test]
fn who_set_a_legal_hold_and_when_is_known_after_a_restart_in_whatever_phase() {
    let text = with_spec("  retention: {hold: true}\n");
    let decide = |machine: &mut Machine, owner: &str, at: Time| {
        machine.read(&Ok(text.clone()), Some(owner.to_owned()));
        machine.decide(&strand(Phase::DualWrite), false, &at, Instant::now());
        machine.decided().clone()
    };
    let mut machine = Machine::new(Some((Phase::DualWrite, 4)), 4);
    let set = decide(&mut machine, "alice", now());
    let hold = set.legal_hold.clone().unwrap();
    assert_eq!((hold.active, hold.by.as_deref()), (true, Some("alice")));
    let later = Time(Timestamp::from_second(1_800_000_060).unwrap());
    for phase in [Some(Phase::DualWrite), Some(Phase::CutOver), None] {
        let before = IntegrationStatus {
            phase,
            ..set.clone()
        };
        let mut machine = Machine::new(Some((Phase::DualWrite, 5)), 5);
        machine.restore(Some(&before), false, &later);
        let now = decide(&mut machine, "bob", later.clone());
        assert_eq!(now.legal_hold.as_ref(), Some(&hold), "{phase:?}");
    }
}

#[test]
fn the_log_tells_which_projects_came_onto_the_list_and_left_it() {
    let mut machine = Machine::new(Some((Phase::MigrateInternals, 4)), 4);
    let mut told = |names: &str| {
        let spec = format!("  phase: MigrateInternals\n  migration: {{legacyProjects: {names}}}\n");
        machine.read(&Ok(with_spec(&spec)), None);
        let (strand, before) = (strand(Phase::MigrateInternals), machine.decided().clone());
        machine.decide(&strand, false, &now(), Instant::now());
        super::news::lines(&before, machine.decided(), machine.lists()).join("; ")
    };
    let first = told("[b, a]");
    assert!(first.ends_with("and had 0; 2 added: a, b"), "{first}");
    let second = told("[b, c]");
    assert!(second.contains("1 added: c; 1 removed: a"), "{second}");
    assert_eq!(told("[b, c]"), "");
}
