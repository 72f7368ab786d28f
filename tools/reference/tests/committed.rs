//! The committed pages are what the source makes.

#![allow(clippy::unwrap_used, reason = "a test that fails says where")]

use std::path::Path;

#[test]
fn the_committed_reference_is_what_the_source_makes() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/reference");
    let pages = boboyka_reference::pages().unwrap();
    for (name, text) in &pages {
        let committed = std::fs::read_to_string(folder.join(name)).unwrap_or_default();
        assert!(
            committed == *text,
            "docs/reference/{name} is old: run `make generate`"
        );
        assert!(text.lines().count() > 10, "{text}");
    }
    assert_eq!(std::fs::read_dir(folder).unwrap().count(), pages.len());
}

#[test]
fn the_manual_pages_name_each_flag() {
    let manuals = boboyka_reference::manuals().unwrap();
    for (name, flag) in [
        ("boboyka-sidecar.1", "min\\-free\\-bytes"),
        ("boboyka-operator.1", "lease\\-seconds"),
    ] {
        let page = manuals.iter().find(|(one, _)| *one == name).unwrap();
        assert!(
            page.1.starts_with(".ie") && page.1.contains(flag),
            "{}",
            page.1
        );
    }
}
