//! An archive by an edited line: what is asked for is obeyed without a restart, and what is wrong is named.

use boboyka_tests::Objects;
use boboyka_tests::objects::SECRET;
use boboyka_tests::process::{GUARD, wait_until};
use serde_json::Value;

use crate::archive::{holds, ingest, segments, strand};
use crate::laptop::Laptop;

/// The line that asks for an archive with a Secret, and the Secret.
fn edited(store: &Objects, key: &str) -> (String, String) {
    let line = format!(
        "\n  archive: {{url: \"{}\", after: 0s, secretRef: {{name: keys}}}}\n",
        store.url()
    );
    let values = store.variables(key).into_iter();
    let values = values.map(|(name, value)| format!("  {name}: \"{value}\"\n"));
    let values: String = values.collect();
    let head = "---\napiVersion: v1\nkind: Secret\nmetadata: {name: keys}\nstringData:\n";
    (line, format!("{head}{values}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn an_archive_is_an_edited_line_with_its_secret_in_the_same_file() {
    let store = Objects::start().await;
    let laptop = Laptop::start(None).await;
    assert_eq!(laptop.status().await["archive"], Value::Null);
    let head = ingest(&laptop.sidecar, 0, 5).await;
    let (line, secret) = edited(&store, "wrong");
    laptop.edit("# edit this line\n", &format!("{line}{secret}"));
    laptop
        .shows(|it| it["archive"]["error"]["code"] == "refused")
        .await;
    laptop.edit("\"wrong\"", &format!("\"{SECRET}\""));
    holds(&laptop.sidecar, head).await;
    let folder = store.folder(&strand(&laptop.sidecar).await);
    assert!(!segments(&folder).is_empty());
    let written = || async { laptop.status_file().contains("type: Archived") };
    wait_until(GUARD, written, || laptop.told()).await;
    assert!(!laptop.told().contains(SECRET));

    laptop.edit("s3://fleet", "https://fleet");
    let said = || async {
        let file = laptop.status_file();
        file.contains("spec.archive.url: must be s3://BUCKET/PREFIX")
    };
    wait_until(GUARD, said, || laptop.told()).await;
    assert_ne!(
        laptop.status().await["archive"],
        Value::Null,
        "nothing changed"
    );
    laptop.edit("https://fleet", "s3://fleet");
    laptop.edit(&line, "\n");
    laptop.shows(|it| it["archive"] == Value::Null).await;
}

#[tokio::test]
async fn a_folder_is_an_archive_and_the_flag_counts_more_than_the_file() {
    let (flag, file) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let url = format!("file://{}", file.path().display());
    let line = format!("\n  archive: {{url: \"{url}\", after: 0s}}\n");
    let laptop = Laptop::start(None).await;
    laptop.edit("# edit this line\n", &line);
    laptop.shows(|it| it["archive"]["url"] == *url).await;

    let by_flag = format!("file://{}", flag.path().display());
    let laptop = Laptop::start_with(&["--archive-url", &by_flag]).await;
    laptop.edit("# edit this line\n", &line);
    let unused = "spec.archive, because --archive-url says where the archive is";
    let said = || async { laptop.sidecar.log().contains(unused) };
    wait_until(GUARD, said, || laptop.told()).await;
    assert_eq!(laptop.status().await["archive"]["url"], *by_flag);
}
