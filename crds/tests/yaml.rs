//! The committed YAML is what the types say.

#[test]
fn the_committed_definitions_are_what_the_types_say() {
    for definition in boboyka_crds::definitions().unwrap() {
        let place = format!(
            "{}/yaml/{}.yaml",
            env!("CARGO_MANIFEST_DIR"),
            definition.spec.names.plural
        );
        let committed = std::fs::read_to_string(&place).unwrap_or_default();
        let generated = boboyka_crds::to_yaml(&definition).unwrap();
        assert!(
            committed == generated,
            "{place} differs from the types: run `make generate`"
        );
    }
}
