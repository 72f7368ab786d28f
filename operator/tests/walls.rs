//! Walls inside the crate, read from its sources: who may write what, and how errors reach the log.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// The product's part of the sources, by path from `src`.
fn read_sources() -> std::io::Result<BTreeMap<String, String>> {
    let whole = read_whole()?.into_iter();
    Ok(whole
        .map(|(name, text)| (name, product_part(&text)))
        .collect())
}

/// The sources without the files of tests, by path from `src`.
fn read_whole() -> std::io::Result<BTreeMap<String, String>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut found = BTreeMap::new();
    let mut folders: Vec<PathBuf> = vec![root.clone()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder)? {
            let path = entry?.path();
            let name = path
                .strip_prefix(&root)
                .unwrap_or(&path)
                .display()
                .to_string();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|end| end == "rs") && !name.contains("tests") {
                found.insert(name, std::fs::read_to_string(&path)?);
            }
        }
    }
    Ok(found)
}

/// A source up to its tests, which stand at its end, without its comments.
fn product_part(text: &str) -> String {
    let product = text.split("\n#[cfg(test)]").next().unwrap_or_default();
    let lines = product.lines();
    let code = lines.filter(|line| !line.trim_start().starts_with("//"));
    code.collect::<Vec<_>>().join("\n")
}

/// Whether a source calls itself pure at its top.
fn calls_itself_pure(text: &str) -> bool {
    let mut about = text.lines().take_while(|line| line.starts_with("//!"));
    about.any(|line| words(line).contains(&"Pure"))
}

/// The words of a source: identifiers, and `::`, `=`, `<` and such left out.
fn words(text: &str) -> Vec<&str> {
    let words = text.split(|c: char| !c.is_alphanumeric() && c != '_');
    words.filter(|word| !word.is_empty()).collect()
}

/// The files that could write objects of a kind: they name the kind, and what a write needs. A type alias would hide the
/// kind, so it counts too.
fn writers_of(kind: &str, sources: &BTreeMap<String, String>) -> Vec<String> {
    const WRITES: [&str; 5] = [
        "Api",
        "PatchParams",
        "PostParams",
        "DeleteParams",
        "merge_parameters",
    ];
    let could_write = |text: &&String| {
        let words = words(text);
        let names = words.contains(&kind);
        let is_renamed = words.windows(2).any(|pair| *pair == [kind, "as"]);
        let has_alias = text
            .lines()
            .any(|line| line.contains("type ") && line.contains('=') && line.contains(kind));
        let writes = words.iter().any(|word| WRITES.contains(word));
        names && (writes || is_renamed || has_alias)
    };
    let writers = sources.iter().filter(|(_, text)| could_write(text));
    writers.map(|(name, _)| name.clone()).collect()
}

#[test]
fn one_file_writes_strands_and_their_claims() {
    let sources = read_sources().unwrap();
    for kind in ["BoboykaStrand", "PersistentVolumeClaim"] {
        assert_eq!(writers_of(kind, &sources), ["strands/writer.rs"], "{kind}");
    }
}

#[test]
fn a_second_writer_is_found_however_it_names_the_kind() {
    for second in [
        "let api: Api<BoboykaStrand> = Api::namespaced(client, namespace);",
        "use boboyka_crds::BoboykaStrand as Strand;",
        "pub(crate) type Strand = boboyka_crds::BoboykaStrand;",
        "fn write(strand: &BoboykaStrand) { api.create(&PostParams::default(), strand); }",
    ] {
        let mut sources = read_sources().unwrap();
        sources.insert("second.rs".to_owned(), second.to_owned());
        let writers = writers_of("BoboykaStrand", &sources);
        assert_eq!(writers, ["second.rs", "strands/writer.rs"], "{second}");
    }
    let innocent = "use boboyka_crds::BoboykaStrand;\nfn name(strand: &BoboykaStrand) {}";
    let sources = [("innocent.rs".to_owned(), innocent.to_owned())].into();
    assert!(writers_of("BoboykaStrand", &sources).is_empty());
}

#[test]
fn the_leader_knows_nothing_of_the_webhook_and_strands_know_neither() {
    let sources = read_sources().unwrap();
    let imports = |folder: &str, module: &str| -> Vec<&String> {
        let found = sources.iter().filter(|(name, text)| {
            name.starts_with(folder) && text.contains(&format!("crate::{module}"))
        });
        found.map(|(name, _)| name).collect()
    };
    for (folder, module) in [
        ("controller", "admission"),
        ("admission", "controller"),
        ("strands", "admission"),
        ("strands", "controller"),
        ("objects", "controller"),
        ("objects", "admission"),
    ] {
        assert!(
            imports(folder, module).is_empty(),
            "{folder} imports {module}"
        );
    }
    assert!(
        !imports("controller", "strands").is_empty(),
        "the check finds imports"
    );
    assert!(!imports("admission", "strands").is_empty());
}

#[test]
fn what_decides_reads_no_clock() {
    let sources = read_sources().unwrap();
    let whole = read_whole().unwrap();
    for known in [
        "strands/change.rs",
        "strands/choice.rs",
        "strands/placement.rs",
        "strands/requester.rs",
        "strands/slot.rs",
        "strands/witness.rs",
        "controller/plan.rs",
        "controller/plan/claims.rs",
        "controller/plan/jobs.rs",
        "controller/plan/situation.rs",
        "controller/plan/strands.rs",
        "controller/news.rs",
        "controller/rollout.rs",
        "controller/reports.rs",
        "controller/seen.rs",
        "controller/status.rs",
        "controller/status/backfill.rs",
        "controller/status/chain.rs",
        "controller/status/checks.rs",
        "controller/status/conditions.rs",
        "controller/status/facts.rs",
        "controller/status/mirror.rs",
        "controller/status/ready.rs",
        "controller/status/reported.rs",
        "controller/status/sidecars.rs",
        "controller/status/storage.rs",
        "controller/status/tally.rs",
        "controller/status/workloads.rs",
        "integration.rs",
        "lease/terms.rs",
        "certificates/rotation.rs",
    ] {
        let text = whole
            .get(known)
            .unwrap_or_else(|| panic!("{known} is gone"));
        assert!(
            calls_itself_pure(text),
            "{known} no longer calls itself pure"
        );
    }
    for (pure, text) in sources
        .iter()
        .filter(|(name, _)| calls_itself_pure(&whole[*name]))
    {
        let words = words(text);
        for foreign in ["async", "Client", "SystemTime"] {
            assert!(!words.contains(&foreign), "{pure} names {foreign}");
        }
        let reads = ["::now", ".elapsed()"];
        let reads = reads.iter().filter(|read| text.contains(**read));
        assert_eq!(reads.count(), 0, "{pure} reads a clock");
    }
}

#[test]
fn one_file_reads_the_wall_clock() {
    let sources = read_sources().unwrap();
    let reads = |text: &String| text.contains("Timestamp::now") || text.contains("SystemTime::now");
    let readers = sources.iter().filter(|(_, text)| reads(text));
    let readers: Vec<&String> = readers.map(|(name, _)| name).collect();
    assert_eq!(readers, ["clock.rs"]);
}

#[test]
fn errors_are_logged_with_their_causes() {
    for (name, text) in read_sources().unwrap() {
        for bare in ["%error", "?error", "dyn std::error::Error,"] {
            assert!(
                !text.contains(bare),
                "{name} logs {bare}: write error = causes(&error)"
            );
        }
    }
}
