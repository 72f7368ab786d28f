//! The sidecar's and the operator's image: what is in them, that they are the same bytes every time, and that the
//! Dockerfile says the same.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a test that fails says where"
)]

use std::collections::BTreeMap;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use boboyka_images::{
    Architecture, OPERATOR, Profile, SIDECAR, product_image, product_images, write_all,
};
use serde_json::{Value, json};

type Files = BTreeMap<String, Vec<u8>>;

#[test]
fn the_same_program_gives_the_same_bytes() {
    let folder = tempfile::tempdir().unwrap();
    let program = folder.path().join("boboyka-sidecar");
    std::fs::write(&program, program_for(0x3e)).unwrap();
    let write = |name: &str| {
        let place = folder.path().join(name);
        std::fs::read(
            product_image(&SIDECAR, &program)
                .unwrap()
                .write(&place)
                .unwrap(),
        )
        .unwrap()
    };
    let first = write("first");
    // Another modification time and another mode: neither is in the archive.
    let file = std::fs::File::open(&program).unwrap();
    file.set_modified(std::time::UNIX_EPOCH).unwrap();
    file.set_permissions(std::os::unix::fs::PermissionsExt::from_mode(0o600))
        .unwrap();
    assert_eq!(first, write("second"));
}

/// The beginning of a program for a machine, by its number in ELF.
fn program_for(machine: u8) -> Vec<u8> {
    let mut program = b"\x7fELF".to_vec();
    program.resize(18, 0);
    program.extend([machine, 0]);
    program
}

#[test]
fn an_archive_has_a_program_for_each_architecture_under_its_own_name_only() {
    let folder = tempfile::tempdir().unwrap();
    let program = folder.path().join("boboyka-sidecar");
    let image = |machine: u8| {
        std::fs::write(&program, program_for(machine)).unwrap();
        product_image(&SIDECAR, &program)
    };
    let images = [image(0x3e).unwrap(), image(0xb7).unwrap()];
    let archive = write_all(&images, &folder.path().join("both.tar")).unwrap();
    for (architecture, machine) in [("amd64", 0x3e), ("arm64", 0xb7)] {
        let (config, files) = image_in(&archive, architecture);
        assert_eq!(config["architecture"], architecture);
        assert_eq!(files["boboyka-sidecar"], program_for(machine));
    }
    let refused = image(0x28).unwrap_err().to_string();
    assert!(
        refused.contains("no program for amd64 or arm64"),
        "{refused}"
    );
}

/// After `make images`: what would be published has both.
#[test]
#[ignore = "`make images` runs it on what it made"]
fn the_release_images_run_on_both_architectures() {
    let emulator = std::env::var("BOBOYKA_ARM64_RUN").unwrap();
    for (name, architecture) in [SIDECAR.name, OPERATOR.name]
        .into_iter()
        .flat_map(|name| Architecture::ALL.map(|architecture| (name, architecture)))
    {
        let archive = Profile::Release.images().join(format!("{name}.tar"));
        let (config, files) = image_in(&archive, architecture.name());
        assert_eq!(config["architecture"], architecture.name());
        let folder = tempfile::tempdir().unwrap();
        let program = folder.path().join(name);
        std::fs::write(&program, &files[name]).unwrap();
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        std::fs::set_permissions(&program, mode).unwrap();
        let mut command = match architecture {
            Architecture::Amd64 => Command::new(&program),
            Architecture::Arm64 => {
                let mut command = Command::new(&emulator);
                command.arg(&program);
                command
            }
        };
        let told = command.arg("--version").output().unwrap();
        let told = String::from_utf8_lossy(&told.stdout).into_owned();
        assert!(
            told.contains(env!("CARGO_PKG_VERSION")),
            "{name} {architecture:?}: {told}"
        );
    }
}

#[test]
fn the_sidecars_image_is_one_static_program_and_what_https_needs() {
    let (config, files) = image_of("boboyka-sidecar");
    assert_eq!(config["config"]["User"], "65532:65532");
    assert_eq!(config["config"]["Entrypoint"], json!(["/boboyka-sidecar"]));
    let names: Vec<&str> = files.keys().map(String::as_str).collect();
    assert_eq!(
        names,
        [
            "boboyka-sidecar",
            "etc/passwd",
            "etc/ssl/certs/ca-certificates.crt",
            "sbom.cdx.json"
        ]
    );
    let roots = String::from_utf8_lossy(&files["etc/ssl/certs/ca-certificates.crt"]);
    assert!(roots.matches("BEGIN CERTIFICATE").count() > 100);
    assert_static(&files["boboyka-sidecar"]);
}

#[test]
fn the_operators_image_is_one_static_program() {
    let (config, files) = image_of("boboyka-operator");
    assert_eq!(config["config"]["User"], "65532:65532");
    assert_eq!(config["config"]["Entrypoint"], json!(["/boboyka-operator"]));
    let names: Vec<&str> = files.keys().map(String::as_str).collect();
    assert_eq!(names, ["boboyka-operator", "etc/passwd", "sbom.cdx.json"]);
    assert_static(&files["boboyka-operator"]);
}

fn assert_static(content: &[u8]) {
    let folder = tempfile::tempdir().unwrap();
    let program = folder.path().join("program");
    std::fs::write(&program, content).unwrap();
    let told = Command::new("ldd").arg(&program).output().unwrap();
    let told = String::from_utf8_lossy(&[told.stdout, told.stderr].concat()).into_owned();
    assert!(
        told.contains("statically linked") || told.contains("not a dynamic"),
        "{told}"
    );
}

#[test]
fn the_bill_of_materials_names_what_is_linked_and_nothing_else() {
    for (name, linked, not_linked) in [
        ("boboyka-sidecar", "sled", "tempfile"),
        ("boboyka-operator", "kube", "sled"),
    ] {
        let (_, files) = image_of(name);
        let bill: Value = serde_json::from_slice(&files["sbom.cdx.json"]).unwrap();
        assert_eq!(bill["bomFormat"], "CycloneDX");
        assert_eq!(bill["metadata"]["component"]["name"], name);
        let parts = bill["components"].as_array().unwrap();
        let has = |name: &str| parts.iter().any(|one| one["name"] == name);
        assert!(
            has(linked) && has("rustls") && has("boboyka-crds"),
            "{name}"
        );
        assert!(!has(not_linked) && !has("cc"), "{name}");
        assert!(
            parts
                .iter()
                .all(|one| one["version"].is_string() && one["licenses"].is_array())
        );
    }
}

#[test]
fn the_dockerfile_declares_what_the_images_declare() {
    let text = std::fs::read_to_string(root().join("Dockerfile")).unwrap();
    for name in [SIDECAR.name, OPERATOR.name] {
        let (config, files) = image_of(name);
        let (_, stage) = text
            .split_once(&format!("FROM scratch AS {name}\n"))
            .expect("there is a stage for every image");
        let stage = stage.split("\nFROM ").next().unwrap();
        let said = |word: &'static str| {
            stage
                .lines()
                .filter_map(move |line| line.strip_prefix(word))
                .map(str::trim)
        };
        assert_eq!(
            said("USER ").collect::<Vec<_>>(),
            [config["config"]["User"].as_str().unwrap()]
        );
        let entrypoint: Value = serde_json::from_str(said("ENTRYPOINT ").next().unwrap()).unwrap();
        assert_eq!(entrypoint, config["config"]["Entrypoint"]);
        let labels: BTreeMap<String, String> = said("LABEL ")
            .map(|label| label.split_once('=').unwrap())
            .map(|(name, value)| (name.to_owned(), value.trim_matches('"').to_owned()))
            .collect();
        assert_eq!(json!(labels), config["config"]["Labels"]);
        assert!(
            said("ENV ").next().is_none() && said("EXPOSE ").next().is_none(),
            "the image has neither"
        );

        // It copies what lies beside the archive, so the files are the same too.
        let copied = format!("--from=build /src/target/images/{name}/$TARGETARCH/ /");
        assert_eq!(said("COPY ").collect::<Vec<_>>(), [copied.as_str()]);
        let beside = Profile::Debug.images().join(name).join("amd64");
        for (file, content) in &files {
            assert!(
                std::fs::read(beside.join(file)).unwrap() == *content,
                "{file} differs"
            );
        }
    }
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// Both images; to make them takes long enough to do it once.
fn images() -> &'static [PathBuf] {
    static IMAGES: OnceLock<Vec<PathBuf>> = OnceLock::new();
    IMAGES.get_or_init(|| product_images(Profile::Debug, &[Architecture::Amd64]).unwrap())
}

/// An image's configuration and its files.
fn image_of(name: &str) -> (Value, Files) {
    let images = images();
    let file = format!("{name}.tar");
    let archive = images.iter().find(|place| place.ends_with(&file)).unwrap();
    image_in(archive, "amd64")
}

/// The configuration and the files of the image in an archive, for an architecture.
fn image_in(archive: &Path, architecture: &str) -> (Value, Files) {
    let archive = unpack(&std::fs::read(archive).unwrap());
    let blob =
        |digest: &Value| &archive[&format!("blobs/{}", digest.as_str().unwrap().replace(':', "/"))];
    let index: Value = serde_json::from_slice(&archive["index.json"]).unwrap();
    let platforms: Value = serde_json::from_slice(blob(&index["manifests"][0]["digest"])).unwrap();
    let of = |platform: &&Value| platform["platform"]["architecture"] == architecture;
    let platform = platforms["manifests"].as_array().unwrap().iter().find(of);
    let manifest: Value = serde_json::from_slice(blob(&platform.unwrap()["digest"])).unwrap();
    let config = serde_json::from_slice(blob(&manifest["config"]["digest"])).unwrap();
    (config, unpack(blob(&manifest["layers"][0]["digest"])))
}

fn unpack(bytes: &[u8]) -> Files {
    let mut archive = tar::Archive::new(bytes);
    let files = archive.entries().unwrap().map(|file| {
        let mut file = file.unwrap();
        let mut content = Vec::new();
        file.read_to_end(&mut content).unwrap();
        (file.path().unwrap().display().to_string(), content)
    });
    files.collect()
}
