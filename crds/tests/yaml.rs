//! The committed YAML matches the types.

#[test]
fn the_committed_definitions_match_the_types() {
    for definition in boboyka_crds::definitions().unwrap() {
        let path = format!(
            "{}/yaml/{}.yaml",
            env!("CARGO_MANIFEST_DIR"),
            definition.spec.names.plural
        );
        let committed = std::fs::read_to_string(&path).unwrap_or_default();
        let generated = boboyka_crds::to_yaml(&definition).unwrap();
        assert!(
            committed == generated,
            "{path} differs from the types: run `make generate`"
        );
    }
}
