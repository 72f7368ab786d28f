//! Asking for another phase by an edit of the file: the one word changes, everything else stays as it is.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::Path;

use boboyka_crds::{IntegrationStatus, Phase};

use super::documents::{self, Documents};
use super::reader;
use super::wrong::Wrong;
use super::yaml::{self, Node, Place};

/// Why a file could not be edited.
#[derive(Debug, thiserror::Error)]
pub(crate) enum EditError {
    /// It can't be read, or is wrong already or would be.
    #[error("{0}")]
    Wrong(String),
    /// It can't be written.
    #[error("it can't be written")]
    Write(#[from] io::Error),
}

/// Asks for a phase in the file of an integration, which is replaced as a whole; whether that is another one than before.
///
/// # Errors
/// [`EditError`]; the file is as it was.
pub(crate) fn request_phase(path: &Path, phase: Phase) -> Result<bool, EditError> {
    let text = reader::read(path).map_err(EditError::Wrong)?;
    let edited = edited(&text, phase).map_err(|wrong| EditError::Wrong(wrong.to_string()))?;
    if edited == text {
        return Ok(false);
    }
    // A link stays one.
    let path = path.canonicalize()?;
    replace(&path, &edited)?;
    Ok(true)
}

/// Replaces a file, so that a reader sees the old text or the new one.
fn replace(path: &Path, text: &str) -> io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let temporary = folder.join(format!(".{name}.{}", std::process::id()));
    let written = (|| {
        let mut file = File::create_new(&temporary)?;
        file.set_permissions(fs::metadata(path)?.permissions())?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        fs::rename(&temporary, path)
    })();
    if written.is_err() {
        // What is left of it would be in the way of the next edit.
        let _ = fs::remove_file(&temporary);
    }
    written
}

/// The text with another phase.
fn edited(text: &str, phase: Phase) -> Result<String, Wrong> {
    let before = documents::parse(text)?;
    if before.spec.phase == phase {
        return Ok(text.to_owned());
    }
    let documents = yaml::documents(text)?;
    let spec = documents.iter().find_map(|document| {
        let kind = document.get("kind")?;
        let kind = text.get(kind.bytes.clone())?;
        kind.contains("BoboykaIntegration")
            .then(|| document.get("spec"))
    });
    let edited = spec
        .flatten()
        .and_then(|spec| with_phase(text, spec, phase));
    let Some(edited) = edited else {
        let line = documents.first().map_or(1, |place| place.line);
        let why =
            "is not there in a form that can be edited: write `phase: DualWrite` below spec first";
        return Err(Wrong::field(line, "spec.phase", why));
    };
    let after = documents::parse(&edited)?;
    // What the status forbids, the sidecar says.
    after.may_follow(&before, &IntegrationStatus::default(), &edited)?;
    let mut expected = before.clone();
    expected.spec.phase = phase;
    let is_all = |after: &Documents| *after == expected;
    if is_all(&after) {
        Ok(edited)
    } else {
        Err(Wrong::whole(
            "can't be edited safely: change spec.phase by hand",
        ))
    }
}

fn with_phase(text: &str, spec: &Place, phase: Phase) -> Option<String> {
    if let Some(place) = spec.get("phase") {
        let is_plain = matches!(place.node, Node::Scalar);
        let (before, after) = (text.get(..place.bytes.start)?, text.get(place.bytes.end..)?);
        return is_plain.then(|| format!("{before}{phase}{after}"));
    }
    let Node::Mapping(fields, in_braces) = &spec.node else {
        return None;
    };
    let (_, first) = fields.first().filter(|_| !in_braces)?;
    // Before the first field, in a line of its own.
    let line_start = text
        .split_inclusive('\n')
        .take(first.line - 1)
        .map(str::len)
        .sum();
    let (before, after) = (text.get(..line_start)?, text.get(line_start..)?);
    let indent = " ".repeat(first.column);
    Some(format!("{before}{indent}phase: {phase}\n{after}"))
}

#[cfg(test)]
mod tests {
    use boboyka_crds::Phase::{CutOver, DualWrite, MigrateInternals};

    use super::{edited, request_phase};

    const HEAD: &str = "# Ours.\napiVersion: boboyka.sapixdb.com/v1alpha1\nkind: BoboykaIntegration\nmetadata: {name: b}\n";

    #[test]
    fn the_one_word_changes_and_everything_else_stays() {
        for (before, after) in [
            (
                "spec:\n  # The phase.\n  phase: DualWrite   # now\n",
                "spec:\n  # The phase.\n  phase: MigrateInternals   # now\n",
            ),
            (
                "spec: {phase: \"DualWrite\"}",
                "spec: {phase: MigrateInternals}",
            ),
            (
                "spec:\n    retention: {maxAge: 2h} # ä\n",
                "spec:\n    phase: MigrateInternals\n    retention: {maxAge: 2h} # ä\n",
            ),
        ] {
            let (before, after) = (format!("{HEAD}{before}"), format!("{HEAD}{after}"));
            assert_eq!(edited(&before, MigrateInternals).unwrap(), after);
            assert_eq!(edited(&before, DualWrite).unwrap(), before);
        }
    }

    #[test]
    fn what_can_not_be_edited_or_breaks_a_rule_is_refused_and_the_file_stays() {
        for (spec, to, why) in [
            ("spec: {}", MigrateInternals, "spec.phase"),
            ("", MigrateInternals, "spec.phase"),
            ("spec: {phase: DualWrite}", CutOver, "one step at a time"),
            ("spec: {phase: Dual}", CutOver, "Dual"),
        ] {
            let wrong = edited(&format!("{HEAD}{spec}"), to)
                .unwrap_err()
                .to_string();
            assert!(wrong.contains(why), "{wrong}");
        }
        let folder = tempfile::tempdir().unwrap();
        assert!(request_phase(&folder.path().join("none"), CutOver).is_err());
    }
}
