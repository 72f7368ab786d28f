//! The documents as a book: links lead somewhere, every page is in the book, and nothing is promised that no test tries.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use boboyka_crds::BoboykaIntegration;
use boboyka_tests::document::{Page, commands};
use serde::Deserialize as _;
use serde_json::{Value, json};

/// The pages with commands, each with the test that runs them. What is not to be run stands in blocks of another language.
const FOLLOWED: [(&str, &str); 14] = [
    (
        "README.md",
        "the_commands_of_the_readme_are_those_of_the_documents",
    ),
    (
        "CONTRIBUTING.md",
        "the_commands_of_the_readme_are_those_of_the_documents",
    ),
    (
        "docs/start.md",
        "the_document_for_a_start_works_from_the_first_record_to_the_last_phase",
    ),
    ("docs/agents.md", "the_document_for_agents_works"),
    ("docs/api.md", "the_stream_of_the_document_works"),
    ("docs/sapixdb.md", "test_the_commands_of_the_documents_run"),
    (
        "docs/supabase.md",
        "the_document_of_supabase_works_on_the_tables_of_the_schema",
    ),
    (
        "docs/migration.md",
        "the_document_of_the_migration_works_without_supabase",
    ),
    (
        "docs/backfill.md",
        "the_document_of_a_backfill_works_beside_tables_that_were_there_before",
    ),
    (
        "docs/audit.md",
        "the_document_of_an_audit_works_from_the_receipt_to_the_proof",
    ),
    (
        "docs/archive.md",
        "the_document_of_an_archive_works_from_the_first_record_to_the_restored_strand",
    ),
    ("docs/kubectl.md", "the_document_of_the_command_works"),
    (
        "docs/install.md",
        "the_documents_of_installing_and_operating_work",
    ),
    (
        "docs/operations.md",
        "the_documents_of_installing_and_operating_work",
    ),
];

fn root() -> PathBuf {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR"));
    tests.parent().unwrap().canonicalize().unwrap()
}

/// The Markdown files of the repository, by their paths in it.
fn pages() -> Vec<String> {
    let mut found = Vec::new();
    let mut open = vec![root()];
    while let Some(folder) = open.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_str().unwrap();
            if name.starts_with('.') || ["target", "node_modules"].contains(&name) {
                continue;
            }
            if path.is_dir() {
                open.push(path);
            } else if path.extension().is_some_and(|end| end == "md") {
                let path = path.strip_prefix(root()).unwrap();
                found.push(path.to_str().unwrap().to_owned());
            }
        }
    }
    assert!(found.len() > 20, "{found:?}");
    found
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The links of a page to files, each as the file in the repository and the anchor.
fn links(page: &str) -> Vec<(PathBuf, Option<String>)> {
    let folder = root().join(page).parent().unwrap().to_owned();
    let links = Page::of(&read(page)).links.into_iter();
    let links = links.filter(|link| !link.contains("://") && !link.starts_with("mailto:"));
    let links = links.map(|link| {
        let (file, anchor) = match link.split_once('#') {
            Some((file, anchor)) => (file.to_owned(), Some(anchor.to_owned())),
            None => (link, None),
        };
        let file = match &*file {
            "" => root().join(page),
            file => folder.join(file),
        };
        (file, anchor)
    });
    links.collect()
}

#[test]
fn every_link_and_every_anchor_leads_somewhere() {
    let mut broken = Vec::new();
    let mut checked = 0;
    for page in pages() {
        for (file, anchor) in links(&page) {
            checked += 1;
            let Ok(file) = file.canonicalize() else {
                broken.push(format!("{page}: no file {}", file.display()));
                continue;
            };
            if let Some(anchor) = anchor {
                let anchors = Page::of(&fs::read_to_string(&file).unwrap()).anchors;
                if !anchors.contains(&anchor) {
                    broken.push(format!("{page}: no #{anchor} in {}", file.display()));
                }
            }
        }
    }
    assert!(broken.is_empty(), "{}", broken.join("\n"));
    assert!(checked > 100, "{checked}");
}

#[test]
fn every_document_is_a_page_of_the_book_and_links_to_nothing_that_the_book_lacks() {
    let listed = links("docs/SUMMARY.md").into_iter();
    let listed: BTreeSet<_> = listed.map(|(file, _)| file).collect();
    let documents = pages()
        .into_iter()
        .filter(|page| page.starts_with("docs/") && page != "docs/SUMMARY.md");
    let documents: Vec<String> = documents.collect();
    let there: BTreeSet<_> = documents.iter().map(|page| root().join(page)).collect();
    assert_eq!(listed, there);
    for page in documents {
        for (file, _) in links(&page) {
            let file = file.canonicalize().unwrap();
            let is_outside = !file.starts_with(root().join("docs"));
            let is_page = file.extension().is_some_and(|end| end == "md");
            assert!(
                !(is_outside && (is_page || file.is_dir())),
                "{page} links to {}: `make docs` takes pages from docs alone",
                file.display()
            );
        }
    }
}

#[test]
fn every_page_with_commands_has_a_test_that_runs_them() {
    let folders = ["tests/it", "tests/cluster/tests", "sdk/python/tests"];
    let tests = folders.map(|folder| sources(&root().join(folder)));
    let tests = tests.concat();
    for page in pages() {
        // The tests of the package run its README; others are no documents of ours.
        if !page.starts_with("docs/") && page.contains('/') {
            continue;
        }
        let followed = FOLLOWED.iter().find(|(followed, _)| *followed == page);
        let has_commands = !commands(&read(&page)).is_empty();
        assert_eq!(has_commands, followed.is_some(), "{page}");
        if let Some((_, test)) = followed {
            let is_there = ["fn", "def"]
                .iter()
                .any(|word| tests.contains(&format!("{word} {test}(")));
            assert!(is_there, "{page}: no {test}");
        }
    }
}

fn sources(folder: &Path) -> String {
    let entries = fs::read_dir(folder).unwrap();
    let texts = entries.map(|entry| match entry.unwrap().path() {
        path if path.is_dir() => sources(&path),
        path => fs::read_to_string(path).unwrap_or_default(),
    });
    texts.collect()
}

/// Other commands than those of `make` stand in a document too, whose test runs them.
#[test]
fn the_commands_of_the_readme_are_those_of_the_documents() {
    let makefile = read("Makefile");
    let documents = pages().into_iter().filter(|page| page.starts_with("docs/"));
    let followed = documents.flat_map(|page| commands(&read(&page)));
    let followed: BTreeSet<String> = followed.map(|(command, _)| command).collect();
    let mut found = 0;
    for page in ["README.md", "CONTRIBUTING.md"] {
        for (command, _) in commands(&read(page)) {
            found += 1;
            let known = match command.strip_prefix("make ") {
                Some(rest) => {
                    let target = rest.split_whitespace().next().unwrap();
                    makefile.contains(&format!("\n{target}:"))
                }
                None => followed.contains(&command),
            };
            assert!(known, "{page}: {command}");
        }
    }
    assert!(found > 4, "{found}");
}

#[test]
fn every_manifest_in_the_documents_is_one() {
    let mut ours = 0;
    for page in pages().iter().filter(|page| page.starts_with("docs/")) {
        for block in Page::of(&read(page)).blocks("yaml") {
            for document in serde_yaml::Deserializer::from_str(block) {
                let document = Value::deserialize(document)
                    .unwrap_or_else(|error| panic!("{page}: {error}\n{block}"));
                ours += usize::from(is_ours(page, &document));
            }
        }
    }
    assert!(ours >= 3, "{ours}");
}

/// Whether a document is an integration, or the `spec` of one, which then must keep every rule.
fn is_ours(page: &str, document: &Value) -> bool {
    let is_other = document["kind"]
        .as_str()
        .is_some_and(|kind| kind != "BoboykaIntegration");
    if is_other || document["spec"].is_null() {
        return false;
    }
    let whole = json!({
        "apiVersion": "boboyka.sapixdb.com/v1alpha1", "kind": "BoboykaIntegration",
        "metadata": {"name": "boboyka"}, "spec": document["spec"],
    });
    serde_json::from_value::<BoboykaIntegration>(whole)
        .unwrap_or_else(|error| panic!("{page}: {error}\n{document}"));
    true
}

/// Where a refused pod, and a sidecar that does not start, have their messages from.
const MESSAGES: [&str; 5] = [
    "operator/src/strands/refusal.rs",
    "operator/src/admission/servable.rs",
    "operator/src/admission/decide.rs",
    "sidecar/src/process.rs",
    "sidecar/store/src/error.rs",
];

#[test]
fn every_message_of_a_refused_pod_and_of_a_sidecar_that_does_not_start_has_an_entry() {
    let document = read("docs/troubleshooting.md");
    let mut found = 0;
    for file in MESSAGES {
        let source = read(file);
        // Of the store, only what keeps it from opening.
        let source = source.split("impl OpenError").next().unwrap();
        for text in source.split("#[error(").skip(1) {
            let Some(message) = text.trim_start().strip_prefix('"') else {
                continue;
            };
            let message = shape(message.split('"').next().unwrap());
            // A message of others, which is told as it is.
            if message == "…" {
                continue;
            }
            assert!(
                document.contains(&format!("| `{message}` |")),
                "{file}: {message}"
            );
            found += 1;
        }
    }
    assert!(found > 20, "{found}");
}

/// A message with an ellipsis for each of its values. Its source may go on in the next line.
fn shape(format: &str) -> String {
    let lines: Vec<_> = format.split("\\\n").map(str::trim_start).collect();
    let format = lines.concat();
    let mut parts = format.split('{');
    let first = parts.next().unwrap().to_owned();
    let parts = parts.filter_map(|part| part.split_once('}'));
    parts.fold(first, |text, (_, rest)| format!("{text}…{rest}"))
}
