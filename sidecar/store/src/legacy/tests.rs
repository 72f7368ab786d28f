use boboyka_strand::Record;

use super::*;

fn list(names: &[&str], shared: bool) -> LegacyList {
    LegacyList::of(names.iter().map(ToString::to_string), shared)
}

fn wants(legacy: &Legacy, seq: Seq, project: &str) -> bool {
    let data = format!(r#"{{"project_id":"{project}","build_id":"b","status":"queued"}}"#);
    let record = Record::from_json(RecordType::ProjectBuild, &data).unwrap();
    legacy.wants(RecordType::ProjectBuild, seq, record.payload())
}

fn health(legacy: &Legacy, seq: Seq) -> bool {
    let data = r#"{"agent_id":"a","status":"healthy","project_id":"a"}"#;
    let record = Record::from_json(RecordType::AgentHealth, data).unwrap();
    legacy.wants(RecordType::AgentHealth, seq, record.payload())
}

#[test]
fn a_record_is_mirrored_by_the_list_as_it_was_at_its_own_seq() {
    let both = Legacy::next(None, &list(&["a", "b"], true), 10, 2);
    let one = Legacy::next(Some(&both), &list(&["b"], true), 20, 3);
    let again = Legacy::next(Some(&one), &list(&["a"], false), 30, 4);
    let at = |project: &str| -> Vec<Seq> {
        let all = (9..=41).filter(|seq| wants(&again, *seq, project));
        all.collect()
    };
    assert_eq!(at("a"), (11..=20).chain(31..=41).collect::<Vec<_>>());
    assert_eq!(at("b"), (11..=30).collect::<Vec<_>>());
    assert!(at("c").is_empty());
    assert!((9..=41).filter(|seq| health(&again, *seq)).eq(11..=30));
    assert_eq!(again.list(), list(&["a"], false));
    let departed = Departed {
        project: "b".to_owned(),
        boundary: 30,
    };
    assert_eq!(again.departed().collect::<Vec<_>>(), [departed]);
}

#[test]
fn a_lane_ends_where_the_last_of_its_projects_left_the_list() {
    let begun = Legacy::next(None, &list(&["a", "b"], false), 10, 2);
    let ends = |legacy: &Legacy| {
        let ends = legacy.state().ends;
        let lanes = RecordType::MIRRORED.map(|lane| ends[lane]);
        (lanes, legacy.state().projects)
    };
    assert_eq!(ends(&begun), ([Seq::MAX, Seq::MAX, 0, 0], 2));
    let less = Legacy::next(Some(&begun), &list(&["b"], false), 15, 3);
    assert_eq!(ends(&less), ([Seq::MAX, Seq::MAX, 0, 0], 1));
    let none = Legacy::next(Some(&less), &list(&[], false), 20, 4);
    assert_eq!(ends(&none), ([20, 20, 0, 0], 0));
    assert!(!none.is_empty(), "records up to there are still to be sent");
}

#[test]
fn what_lies_below_the_floor_is_forgotten_and_a_span_of_no_block_never_was() {
    let begun = Legacy::next(None, &list(&["a", "b"], true), 10, 2);
    let at_once = Legacy::next(Some(&begun), &list(&["b"], false), 10, 3);
    assert_eq!((at_once.ended(), at_once.projects["a"].len()), (0, 0));
    let mut pruned = Legacy::next(Some(&begun), &list(&["b"], false), 20, 3);
    assert_eq!(pruned.ended(), 2);
    pruned.prune(19);
    assert_eq!(pruned.ended(), 2);
    pruned.prune(20);
    assert_eq!((pruned.ended(), pruned.list()), (0, list(&["b"], false)));
}

#[test]
fn a_list_is_in_force_when_the_strand_has_a_record_of_it() {
    let wanted = list(&["a"], false);
    let mut legacy = Legacy::next(None, &wanted, 10, 2);
    assert!(!legacy.is(&wanted));
    legacy.record = Some((11, Hash::from_bytes([1; 32])));
    assert!(legacy.is(&wanted));
    assert!(!legacy.is(&list(&["a"], true)) && !legacy.is(&list(&["a", "b"], false)));
    assert!(!legacy.is(&list(&[], false)));
    assert!(Legacy::default().is(&list(&[], false)));
}
