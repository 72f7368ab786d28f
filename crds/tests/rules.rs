//! Holds the Rust side of the rules to the table of fixtures. The cluster tests hold the API server to the same table.

use boboyka_crds::{BoboykaIntegrationSpec, IntegrationStatus, rules};
use serde::Deserialize;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Fixture {
    it: String,
    name: Option<String>,
    from: Option<BoboykaIntegrationSpec>,
    spec: BoboykaIntegrationSpec,
    #[serde(default)]
    status: IntegrationStatus,
    refused: Option<String>,
    #[serde(default)]
    stored: Stored,
}

/// What the rules say of an integration that is stored already.
#[derive(Default, Deserialize, PartialEq)]
#[serde(rename_all = "lowercase")]
enum Stored {
    /// The same as of a new one.
    #[default]
    Same,
    /// It works.
    Works,
}

fn fixtures() -> serde_yaml::Result<Vec<Fixture>> {
    serde_yaml::from_str(include_str!("fixtures.yaml"))
}

#[test]
fn the_rules_refuse_what_the_table_says_and_name_the_field() {
    for fixture in fixtures()
        .unwrap()
        .iter()
        .filter(|fixture| fixture.from.is_none())
    {
        let name = fixture.name.as_deref().unwrap_or("boboyka");
        let violations = rules::check(name, &fixture.spec);
        let fields: Vec<&str> = violations.iter().map(|one| one.field.as_str()).collect();
        let refused = fixture.refused.as_deref();
        let refused = refused.filter(|_| fixture.stored == Stored::Same);
        let expected: Vec<&str> = refused.into_iter().collect();
        assert_eq!(fields, expected, "{}", fixture.it);
    }
}

#[test]
fn a_refused_change_is_one_between_two_valid_specifications() {
    for fixture in &fixtures().unwrap() {
        let Some(from) = &fixture.from else { continue };
        for spec in [from, &fixture.spec] {
            assert_eq!(rules::check("boboyka", spec), [], "{}", fixture.it);
        }
        let violations = rules::check_change(from, &fixture.spec, &fixture.status);
        let fields = violations.iter().map(|one| one.field.as_str());
        let expected: Vec<&str> = fixture.refused.as_deref().into_iter().collect();
        assert_eq!(fields.collect::<Vec<_>>(), expected, "{}", fixture.it);
    }
}

#[test]
fn the_table_refuses_something_by_every_rule() {
    let refused = fixtures()
        .unwrap()
        .into_iter()
        .filter(|one| one.refused.is_some());
    assert!(refused.count() >= rules::count());
}
