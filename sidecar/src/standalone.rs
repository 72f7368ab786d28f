//! Where a sidecar without a cluster mirrors to: by variables, a folder and a file. What is wrong with
//! them switches the mirror off and says why; it never keeps the sidecar from taking records.

use std::collections::BTreeMap;
use std::path::Path;

use boboyka_crds::{MirrorMode, MirrorTable, rules};
use boboyka_mirror::{Credentials, SupabaseSource};
use serde::Deserialize;

use crate::config::{SUPABASE_KEY, SUPABASE_URL, supabase_variables};

/// A table's settings in the file, where a mistyped name must not pass unnoticed.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FileTable {
    table: Option<String>,
    mode: Option<MirrorMode>,
    key: Option<String>,
    #[serde(default)]
    columns: BTreeMap<String, String>,
}

/// Where the credentials come from: the folder, else the variables.
pub(crate) fn supabase(folder: Option<&Path>) -> SupabaseSource {
    match folder {
        Some(folder) => SupabaseSource::Folder(folder.to_owned()),
        None => by_variables(supabase_variables()),
    }
}

fn by_variables((url, key): (Option<String>, Option<String>)) -> SupabaseSource {
    let wrong = |reason: String| SupabaseSource::Wrong(reason.into());
    let only = |set, missing| wrong(format!("{set} is set and {missing} is not: set both"));
    match (url, key) {
        (None, None) => SupabaseSource::Absent,
        (Some(_), None) => only(SUPABASE_URL, SUPABASE_KEY),
        (None, Some(_)) => only(SUPABASE_KEY, SUPABASE_URL),
        (Some(url), Some(key)) => match Credentials::new(&url, &key) {
            Ok(credentials) => SupabaseSource::Fixed(credentials),
            Err(error) if error.is_about_key() => wrong(format!("{SUPABASE_KEY}: {error}")),
            Err(error) => wrong(format!("{SUPABASE_URL}: {error}")),
        },
    }
}

/// The tables that a file names; none without a file.
///
/// # Errors
/// What is wrong with it.
pub(crate) fn tables(file: Option<&Path>) -> Result<BTreeMap<String, MirrorTable>, String> {
    let Some(file) = file else {
        return Ok(BTreeMap::new());
    };
    let name = file.display();
    let text = std::fs::read_to_string(file)
        .map_err(|error| format!("could not read the file of tables {name}: {error}"))?;
    parse(&text).map_err(|error| format!("the file of tables {name} is wrong: {error}"))
}

fn parse(text: &str) -> Result<BTreeMap<String, MirrorTable>, String> {
    let tables: BTreeMap<String, FileTable> =
        serde_yaml::from_str(text).map_err(|error| error.to_string())?;
    let tables = tables.into_iter().map(|(name, table)| {
        let table = MirrorTable {
            table: table.table,
            mode: table.mode,
            key: table.key,
            columns: table.columns,
        };
        (name, table)
    });
    let tables = tables.collect();
    match rules::check_tables(&tables).first() {
        None => Ok(tables),
        Some(violation) => Err(violation.message.clone()),
    }
}

#[cfg(test)]
mod tests {
    use boboyka_crds::MirrorMode;
    use boboyka_mirror::SupabaseSource;

    use super::{by_variables, parse};

    fn reason(url: Option<&str>, key: Option<&str>) -> String {
        let source = by_variables((url.map(str::to_owned), key.map(str::to_owned)));
        let SupabaseSource::Wrong(reason) = source else {
            panic!("not wrong: {source:?}");
        };
        reason.to_string()
    }

    #[test]
    fn the_variable_that_is_wrong_or_missing_is_named_with_the_reason() {
        let url = Some("https://xyz.supabase.co");
        assert_eq!(
            reason(url, None),
            "BOBOYKA_SUPABASE_URL is set and BOBOYKA_SUPABASE_KEY is not: set both"
        );
        assert!(reason(None, Some("k")).starts_with("BOBOYKA_SUPABASE_KEY is set"));
        for (url, key, variable, why) in [
            ("xyz.supabase.co", "k", "BOBOYKA_SUPABASE_URL", "https://"),
            ("postgres://x", "k", "BOBOYKA_SUPABASE_URL", "https://"),
            ("\"https://x.co\"", "k", "BOBOYKA_SUPABASE_URL", "quotes"),
            (
                "https://x.co",
                "'topsecret'",
                "BOBOYKA_SUPABASE_KEY",
                "quotes",
            ),
            (
                "https://x.co",
                "top\nsecret",
                "BOBOYKA_SUPABASE_KEY",
                "line break",
            ),
        ] {
            let reason = reason(Some(url), Some(key));
            assert!(reason.starts_with(&format!("{variable}: ")), "{reason}");
            assert!(
                reason.contains(why) && !reason.contains("secret"),
                "{reason}"
            );
        }
        assert!(matches!(by_variables((None, None)), SupabaseSource::Absent));
    }

    #[test]
    fn a_file_of_tables_is_read_as_an_integration_has_them_and_mistakes_are_named() {
        let tables = parse("project_build: {table: builds, mode: latest, columns: {build_id: id}}");
        let table = &tables.unwrap()["project_build"];
        assert_eq!(table.table.as_deref(), Some("builds"));
        assert_eq!(table.mode, Some(MirrorMode::Latest));
        assert!(
            parse("project_build: {tabel: builds}")
                .unwrap_err()
                .contains("tabel")
        );
        assert!(parse("builds: {}").unwrap_err().contains("record type"));
        assert!(
            parse("project_build: {mode: newest}")
                .unwrap_err()
                .contains("newest")
        );
    }
}
