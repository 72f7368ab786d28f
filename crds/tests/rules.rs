//! The Rust side of the rules keeps to the table of fixtures. The API server is held to the same table by the cluster's
//! tests.

use boboyka_crds::{BoboykaIntegrationSpec, rules};
use serde::Deserialize;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Fixture {
    it: String,
    name: Option<String>,
    from: Option<BoboykaIntegrationSpec>,
    spec: BoboykaIntegrationSpec,
    refused: Option<String>,
}

#[test]
fn the_rules_refuse_what_the_table_says_and_name_the_field() {
    let fixtures: Vec<Fixture> = serde_yaml::from_str(include_str!("fixtures.yaml")).unwrap();
    for fixture in &fixtures {
        let name = fixture.name.as_deref().unwrap_or("boboyka");
        let refusals = match &fixture.from {
            None => rules::check(name, &fixture.spec),
            Some(from) => {
                assert_eq!(rules::check(name, from), [], "{}: before", fixture.it);
                rules::check_change(name, from, &fixture.spec)
            }
        };
        let fields: Vec<&str> = refusals.iter().map(|one| one.field.as_str()).collect();
        let expected: Vec<&str> = fixture.refused.as_deref().into_iter().collect();
        assert_eq!(fields, expected, "{}", fixture.it);
    }
    let refused = |fixture: &&Fixture| fixture.refused.is_some();
    assert!(fixtures.iter().filter(refused).count() >= rules::COUNT);
}
