//! Texts for readers avoid words that a newcomer has to translate.

use std::path::{Path, PathBuf};

/// Phrases that no text contains, in any case.
const PHRASES: [&str; 5] = [
    "so long",
    "so many",
    "is not as it asks to be",
    "told by halves",
    "lacks something",
];
/// Words that no sentence begins with, because they hide its subject.
const OPENINGS: [&str; 2] = ["Whoever ", "One that "];

const EXTENSIONS: [&str; 12] = [
    "css", "html", "js", "md", "py", "rs", "sh", "sql", "toml", "tpl", "txt", "yaml",
];
/// Build output, and files that are generated from others.
const SKIPPED: [&str; 5] = [
    "target",
    "definitions",
    "crds/yaml",
    "charts/install.yaml",
    "tests/it/words.rs",
];

#[test]
fn texts_use_plain_words() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let mut files = Vec::new();
    collect(root, &mut files);
    assert!(files.len() > 200, "the texts are not where they were");
    let mut found = Vec::new();
    for file in files {
        let text = std::fs::read_to_string(&file).unwrap();
        let name = file.strip_prefix(root).unwrap().display().to_string();
        found.extend(findings(&text).map(|(line, phrase)| format!("{name}:{line}: {phrase}")));
    }
    assert!(found.is_empty(), "write it plainly:\n{}", found.join("\n"));
}

#[test]
fn a_phrase_is_found_inside_words_of_its_own_only() {
    let lines = |text| findings(text).map(|(line, _)| line).collect::<Vec<_>>();
    assert_eq!(lines("// Waits\n// so long that it ends."), [2]);
    assert_eq!(lines("    /// Whoever calls it waits."), [1]);
    assert_eq!(lines("It ends. One that waits goes on."), [1]);
    assert_eq!(
        lines("also longer; the one that waits; whoever it is"),
        [0; 0]
    );
}

/// The lines with a phrase that is not allowed, counted from 1.
fn findings(text: &str) -> impl Iterator<Item = (usize, &'static str)> {
    text.lines().enumerate().flat_map(|(number, line)| {
        let lower = line.to_lowercase();
        let phrases = PHRASES
            .into_iter()
            .filter(move |phrase| has_phrase(&lower, phrase));
        let openings = OPENINGS
            .into_iter()
            .filter(move |words| begins_with(line, words));
        phrases
            .chain(openings)
            .map(move |phrase| (number + 1, phrase.trim_end()))
    })
}

fn has_phrase(line: &str, phrase: &str) -> bool {
    line.match_indices(phrase).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        let after = line[at + phrase.len()..].chars().next();
        ![before, after]
            .into_iter()
            .flatten()
            .any(char::is_alphanumeric)
    })
}

fn begins_with(line: &str, words: &str) -> bool {
    let opening = line.trim_start_matches(|c: char| !c.is_alphanumeric());
    opening.starts_with(words) || line.contains(&format!(". {words}"))
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let hidden = path
            .file_name()
            .is_some_and(|name| name.to_string_lossy().starts_with('.'));
        if hidden || SKIPPED.iter().any(|skipped| path.ends_with(skipped)) {
            continue;
        }
        if path.is_dir() {
            collect(&path, files);
        } else if path
            .extension()
            .is_some_and(|end| EXTENSIONS.iter().any(|known| end == *known))
        {
            files.push(path);
        }
    }
}
