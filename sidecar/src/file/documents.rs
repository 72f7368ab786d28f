//! What an integration's file says: one `BoboykaIntegration`, and perhaps the Secret and the ConfigMap that it refers to. Pure. The rules are
//! those of the cluster; a message names line and field, and no value of a Secret.

use boboyka_archive::Settings;
use boboyka_crds::{
    Archive, BoboykaIntegrationSpec, ConfigMapKeyReference, IntegrationStatus, names, rules,
};
use boboyka_mirror::Credentials;
use serde::Deserialize as _;
use serde_json::{Map, Value};

use super::named::Named;
use super::unknown;
use super::wrong::Wrong;
use super::yaml::{self, Place};
use super::{config_map, secret};

/// What a file says.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Documents {
    /// The integration's name.
    pub(super) name: String,
    pub(super) spec: BoboykaIntegrationSpec,
    /// What the Secret says that the integration refers to, if the file has it.
    pub(super) credentials: Option<Credentials>,
    /// What the Secret says that the archive refers to, if the file has it.
    pub(super) archive_keys: Option<Settings>,
    /// The names of legacy projects, if the integration refers to a ConfigMap for them.
    pub(super) names: Option<Vec<String>>,
    /// What is there and means nothing without a cluster.
    pub(super) unused: Vec<String>,
}

/// Reads a file.
///
/// # Errors
/// The first thing that is wrong with it.
pub(super) fn parse(text: &str) -> Result<Documents, Wrong> {
    let places = yaml::documents(text)?;
    let (mut integration, mut secrets, mut maps) = (None, Vec::new(), Vec::new());
    let values = values(text, &places)?;
    for (number, value, place) in &values {
        match kind(value, place)? {
            Kind::Secret => secrets.push(Named::of(value, place, secret::FIELD)?),
            Kind::ConfigMap => maps.push(Named::of(value, place, config_map::FIELD)?),
            Kind::Integration if integration.is_some() => {
                let why = "is the second BoboykaIntegration: a file has one";
                return Err(Wrong::field(place.line_of(["kind"]), "kind", why));
            }
            Kind::Integration => integration = Some((*number, value, *place)),
        }
    }
    let Some((number, value, place)) = integration else {
        return Err(Wrong::whole("has no BoboykaIntegration"));
    };
    let name = name(value, place)?;
    let spec = spec(text, number, value, place)?;
    if let Some(broken) = rules::check(&name, &spec).first() {
        let line = place.line_of(broken.field.split('.'));
        return Err(Wrong::field(line, &broken.field, broken.message.as_str()));
    }
    let reference = spec.supabase.as_ref().map(|supabase| &supabase.secret_ref);
    let of_archive = spec.archive.as_ref().and_then(Archive::secret);
    let secret_of = |name: Option<&str>| secrets.iter().find(|secret| Some(secret.name) == name);
    let found = secret_of(reference.map(|it| it.name.as_str()));
    let credentials = found
        .zip(reference)
        .map(|(found, it)| secret::credentials(found, it));
    let archive_keys = secret_of(of_archive).map(secret::archive_keys);
    let names = names(&spec, &maps, place)?;
    let used = [reference.map(|it| it.name.as_str()), of_archive];
    let foreign = secrets
        .iter()
        .filter(|secret| !used.contains(&Some(secret.name)));
    let foreign = foreign.map(|secret| format!("Secret {}", secret.name));
    let foreign = foreign.chain(foreign_maps(&spec, &maps));
    Ok(Documents {
        name,
        credentials: credentials.transpose()?,
        archive_keys: archive_keys.transpose()?,
        names,
        unused: unused(&spec)
            .map(ToOwned::to_owned)
            .chain(foreign)
            .collect(),
        spec,
    })
}

impl Documents {
    /// Whether these may follow those, while the integration has this status.
    ///
    /// # Errors
    /// The rule about changes that this breaks; `text` is what these were read from.
    pub(super) fn may_follow(
        &self,
        before: &Self,
        status: &IntegrationStatus,
        text: &str,
    ) -> Result<(), Wrong> {
        let broken = rules::check_change(&before.spec, &self.spec, status);
        let Some(broken) = broken.first() else {
            return Ok(());
        };
        let path = || broken.field.split('.');
        let lines = yaml::documents(text)?;
        let lines = lines.iter().map(|place| place.line_of(path()));
        Err(Wrong::field(
            lines.max().unwrap_or(1),
            &broken.field,
            broken.message.as_str(),
        ))
    }
}

fn reference(spec: &BoboykaIntegrationSpec) -> Option<&ConfigMapKeyReference> {
    spec.migration.as_ref()?.reads()
}

/// The names of legacy projects, where the integration refers to a ConfigMap.
fn names(
    spec: &BoboykaIntegrationSpec,
    maps: &[Named<'_>],
    place: &Place,
) -> Result<Option<Vec<String>>, Wrong> {
    let Some(reference) = reference(spec) else {
        return Ok(None);
    };
    let Some(map) = maps.iter().find(|map| map.name == reference.name) else {
        let field = config_map::FIELD;
        let why = format!("the file has no ConfigMap {}", reference.name);
        return Err(Wrong::field(place.line_of(field.split('.')), field, why));
    };
    config_map::names(map, reference).map(Some)
}

fn foreign_maps(spec: &BoboykaIntegrationSpec, maps: &[Named<'_>]) -> Vec<String> {
    let name = reference(spec).map(|reference| reference.name.as_str());
    let foreign = maps.iter().filter(|map| Some(map.name) != name);
    foreign
        .map(|map| format!("ConfigMap {}", map.name))
        .collect()
}

enum Kind {
    Integration,
    Secret,
    ConfigMap,
}

/// A document: its number, what it says, and where it stands.
type Document<'a> = (usize, Map<String, Value>, &'a Place);

/// The documents that are not empty.
fn values<'a>(text: &str, places: &'a [Place]) -> Result<Vec<Document<'a>>, Wrong> {
    let documents = serde_yaml::Deserializer::from_str(text).zip(places);
    let mut values = Vec::new();
    for (number, (document, place)) in documents.enumerate() {
        match Value::deserialize(document) {
            Ok(Value::Null) => {}
            Ok(Value::Object(value)) => values.push((number, value, place)),
            Ok(_) => return Err(Wrong::at(place.line, "must be a document with fields")),
            Err(error) => return Err(unread(&error, place.line)),
        }
    }
    Ok(values)
}

fn kind(value: &Map<String, Value>, place: &Place) -> Result<Kind, Wrong> {
    let text = |name: &str| value.get(name).and_then(Value::as_str).unwrap_or_default();
    let version = format!("{}/{}", names::GROUP, names::VERSION);
    let (field, expected) = match text("kind") {
        "BoboykaIntegration" if text("apiVersion") == version => return Ok(Kind::Integration),
        "Secret" if text("apiVersion") == "v1" => return Ok(Kind::Secret),
        "ConfigMap" if text("apiVersion") == "v1" => return Ok(Kind::ConfigMap),
        "BoboykaIntegration" => ("apiVersion", format!("must be {version}")),
        "Secret" | "ConfigMap" => ("apiVersion", "must be v1".to_owned()),
        _ => (
            "kind",
            "must be BoboykaIntegration, Secret or ConfigMap".to_owned(),
        ),
    };
    Err(Wrong::field(place.line_of([field]), field, expected))
}

fn name(value: &Map<String, Value>, place: &Place) -> Result<String, Wrong> {
    let known = ["apiVersion", "kind", "metadata", "spec", "status"];
    if let Some(field) = value.keys().find(|field| !known.contains(&field.as_str())) {
        return Err(not_known(place.line_of([field.as_str()]), field));
    }
    let name = value
        .get("metadata")
        .and_then(|metadata| metadata.get("name"));
    let name = name.and_then(Value::as_str).filter(|name| !name.is_empty());
    name.map(ToOwned::to_owned).ok_or_else(|| {
        let line = place.line_of(["metadata", "name"]);
        Wrong::field(line, "metadata.name", "must be the name of the integration")
    })
}

fn spec(
    text: &str,
    number: usize,
    value: &Map<String, Value>,
    place: &Place,
) -> Result<BoboykaIntegrationSpec, Wrong> {
    /// With its path, so that a message of the parser has it too.
    #[derive(serde::Deserialize)]
    struct WithSpec {
        #[serde(default)]
        spec: Option<BoboykaIntegrationSpec>,
    }
    if let Some(path) = value.get("spec").and_then(unknown::field) {
        let line = place.line_of(path.iter().map(String::as_str));
        return Err(not_known(line, &path.join(".")));
    }
    let document = serde_yaml::Deserializer::from_str(text).nth(number);
    let document = document.ok_or_else(|| Wrong::whole("has no BoboykaIntegration"))?;
    let read = WithSpec::deserialize(document).map_err(|error| unread(&error, place.line))?;
    Ok(read.spec.unwrap_or_default())
}

fn not_known(line: usize, field: &str) -> Wrong {
    Wrong::field(line, field, "is not a field of a BoboykaIntegration")
}

/// The parser's message names the field; its place and what was written there are cut off.
fn unread(error: &serde_yaml::Error, line: usize) -> Wrong {
    let whole = error.to_string();
    let message = whole.split(" at line ").next().unwrap_or_default();
    let line = error.location().map_or(line, |location| location.line());
    Wrong::at(line, without_text(message))
}

/// A text may be a key that stands in the wrong place.
fn without_text(message: &str) -> String {
    let Some((before, rest)) = message.split_once(" string \"") else {
        return message.to_owned();
    };
    let after = rest.rsplit_once('"').map_or("", |(_, after)| after);
    format!("{before} text{after}")
}

fn unused(spec: &BoboykaIntegrationSpec) -> impl Iterator<Item = &'static str> {
    [
        ("spec.storage", spec.storage.is_some()),
        ("spec.workloadSelector", spec.workload_selector.is_some()),
        ("spec.sidecar", spec.sidecar.is_some()),
    ]
    .into_iter()
    .filter_map(|(field, is_set)| is_set.then_some(field))
}
