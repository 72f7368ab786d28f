//! The checker on small made-up crates: it finds what is wrong, and nothing else.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test that fails says where"
)]

use boboyka_architecture::{Arrow, Graph, graph};
use tempfile::TempDir;

/// A crate of these files, `lib.rs` among them.
fn crate_of(files: &[(&str, &str)]) -> (TempDir, Graph) {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in files {
        let file = folder.path().join(name);
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(file, text).unwrap();
    }
    let graph = graph(&folder.path().join("lib.rs")).unwrap();
    (folder, graph)
}

/// `from -> to: names`, with the last parts of the paths only.
fn told(arrows: &[&Arrow]) -> Vec<String> {
    let name = |file: &std::path::Path| file.file_name().unwrap().to_str().unwrap().to_owned();
    let told = arrows.iter().map(|arrow| {
        let names: Vec<&str> = arrow.names.keys().map(String::as_str).collect();
        format!(
            "{} -> {}: {}",
            name(&arrow.from),
            name(&arrow.to),
            names.join(" ")
        )
    });
    told.collect()
}

fn all(graph: &Graph) -> Vec<String> {
    told(&graph.arrows().iter().collect::<Vec<_>>())
}

#[test]
fn siblings_that_import_each_other_are_a_circle() {
    let (_folder, graph) = crate_of(&[
        ("lib.rs", "mod a; mod b; mod c;"),
        ("a.rs", "use crate::b::B; pub struct A(B);"),
        ("b.rs", "pub struct B; fn f() { super::a::A::new() }"),
        ("c.rs", "use crate::{a::A, b::B}; pub fn c(_: A, _: B) {}"),
    ]);
    let circles = graph.circles();
    assert_eq!(circles.len(), 1);
    assert_eq!(told(&circles[0]), ["a.rs -> b.rs: B", "b.rs -> a.rs: A"]);
    assert!(graph.upward().is_empty());
}

#[test]
fn a_circle_over_three_files_and_another_are_told_apart() {
    let (_folder, graph) = crate_of(&[
        ("lib.rs", "mod a; mod b; mod c; mod d; mod e;"),
        ("a.rs", "use crate::b::B; pub struct A;"),
        ("b.rs", "use crate::c::C; pub struct B;"),
        ("c.rs", "use crate::a::A; use crate::d::D; pub struct C;"),
        ("d.rs", "use crate::e::E; pub struct D;"),
        ("e.rs", "use crate::d::D; pub struct E;"),
    ]);
    let circles = graph.circles();
    let sizes: Vec<usize> = circles.iter().map(Vec::len).collect();
    assert_eq!(sizes, [3, 2]);
}

#[test]
fn a_child_that_imports_from_a_module_above_it_is_an_upward_arrow() {
    for import in [
        "use super::Parent;",
        "use crate::parent::Parent;",
        "use super::*; fn f(_: Parent) {}",
        "fn f() { crate::parent::Parent::new() }",
        "fn f() { use crate::parent as p; p::Parent::new() }",
        "fn f() { assert!(super::Parent::new()) }",
        "struct S { #[serde(with = \"super::Parent\")] field: u8 }",
        "impl super::Parent {}",
    ] {
        let (_folder, graph) = crate_of(&[
            ("lib.rs", "mod parent;"),
            ("parent.rs", "mod child; pub struct Parent;"),
            ("parent/child.rs", import),
        ]);
        let upward = graph.upward();
        assert_eq!(upward.len(), 1, "{import}");
        assert!(upward[0].to.ends_with("parent.rs"), "{import}");
    }
}

#[test]
fn what_the_root_defines_is_above_everything() {
    let (_folder, graph) = crate_of(&[
        ("lib.rs", "mod parent; pub struct Error;"),
        ("parent.rs", "mod child;"),
        ("parent/child.rs", "use crate::Error;"),
    ]);
    assert_eq!(told(&graph.upward()), ["child.rs -> lib.rs: Error"]);
}

#[test]
fn a_name_that_the_parent_hands_on_leads_to_the_file_that_defines_it() {
    for (hands_on, name) in [
        ("pub use one::Thing;", "Thing"),
        ("pub use one::*;", "Thing"),
        ("pub(crate) use self::one::Other as Thing;", "Other"),
        ("use one::Thing;", "Thing"),
    ] {
        let (_folder, graph) = crate_of(&[
            ("lib.rs", "mod parent;"),
            ("parent.rs", &format!("mod one; mod two; {hands_on}")),
            ("parent/one.rs", "pub struct Thing; pub struct Other;"),
            ("parent/two.rs", "use super::Thing; fn f(_: Thing) {}"),
        ]);
        assert!(
            all(&graph).contains(&format!("two.rs -> one.rs: {name}")),
            "{hands_on}"
        );
        assert!(
            graph.upward().is_empty() && graph.circles().is_empty(),
            "{hands_on}"
        );
    }
}

#[test]
fn a_parent_may_use_its_children_and_a_nephew_its_aunt() {
    let (_folder, graph) = crate_of(&[
        ("lib.rs", "mod parent; mod aunt; pub use parent::run;"),
        ("parent.rs", "mod child; pub fn run() { child::run() }"),
        (
            "parent/child.rs",
            "use crate::aunt::Aunt; pub fn run() { Aunt::help() }",
        ),
        ("aunt.rs", "pub struct Aunt;"),
    ]);
    assert_eq!(
        all(&graph),
        ["child.rs -> aunt.rs: Aunt", "parent.rs -> child.rs: run"]
    );
    assert!(graph.upward().is_empty() && graph.circles().is_empty());
}

#[test]
fn tests_and_other_crates_do_not_count() {
    let (_folder, graph) = crate_of(&[
        ("lib.rs", "mod parent; pub struct Root;"),
        (
            "parent.rs",
            "use serde::Root; use ::parent::child; #[cfg(test)] mod tests; #[cfg(all(unix, test))] use crate::Root as R;
             struct S; impl S { #[cfg(test)] fn f() { crate::Root::new() } }
             #[cfg(test)] mod inline { use crate::Root; }",
        ),
    ]);
    assert!(all(&graph).is_empty(), "{:?}", all(&graph));
}

#[test]
fn an_inline_module_belongs_to_its_file() {
    let (_folder, graph) = crate_of(&[
        ("lib.rs", "mod parent;"),
        (
            "parent.rs",
            "struct Own; mod inline { use super::Own; mod deep; }",
        ),
        ("parent/inline/deep.rs", "use crate::parent::Own;"),
    ]);
    assert_eq!(told(&graph.upward()), ["deep.rs -> parent.rs: Own"]);
}

#[test]
fn imports_that_chase_each_other_end() {
    let (_folder, graph) = crate_of(&[
        ("lib.rs", "mod a; mod b;"),
        ("a.rs", "pub use crate::b::Thing; pub use crate::b::*;"),
        (
            "b.rs",
            "pub use crate::a::Thing; pub use crate::a::*; fn f(_: Thing, _: Other) {}",
        ),
    ]);
    assert!(all(&graph).is_empty());
}

#[test]
fn a_file_that_is_missing_or_no_rust_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("lib.rs");
    for (text, complaint) in [("mod gone;", "gone.rs"), ("fn (", "could not parse")] {
        std::fs::write(&root, text).unwrap();
        let error = format!("{:#}", graph(&root).unwrap_err());
        assert!(error.contains(complaint), "{error}");
    }
}
