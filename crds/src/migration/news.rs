//! What a change of status tells of legacy projects, each once. Pure.

use super::legacy::{LegacyList, LegacyStatus, ProjectState};
use crate::integration::IntegrationStatus;

/// Names that a sentence has.
const NAMED: usize = 5;

/// The list in force before a change of status and after it, as far as their names are known. A status has them only while
/// the specification does not.
#[derive(Clone, Debug, Default)]
pub struct Lists {
    /// Before.
    pub before: Option<LegacyList>,
    /// After.
    pub after: Option<LegacyList>,
}

impl Lists {
    /// The change was told: what is in force now is what the next change is told against.
    pub fn told(&mut self) {
        self.before.clone_from(&self.after);
    }

    /// What tells that the list in force changed, if it did.
    pub fn changed(&self, before: &IntegrationStatus, after: &IntegrationStatus) -> Option<String> {
        let was = legacy(before);
        let is = legacy(after)?;
        if was.is_some_and(|was| was.digest == is.digest) {
            return None;
        }
        let old = was.map_or_else(
            || Some(LegacyList::default()),
            |was| was.list(self.before.as_ref()),
        );
        let new = is.list(self.after.as_ref());
        let moved = old.zip(new).map(|(old, new)| difference(&old, &new));
        let shared = if is.shared {
            ", and records without a project"
        } else {
            ""
        };
        let by = is.by.as_ref().map(|by| format!(", requested by {by}"));
        Some(format!(
            "the list of legacy projects has {} {} now, and had {}{}{shared}{}",
            is.listed,
            if is.listed == 1 { "name" } else { "names" },
            was.map_or(0, |was| was.listed),
            moved.unwrap_or_default(),
            by.unwrap_or_default()
        ))
    }
}

/// What tells that projects became migrated, if any did.
pub fn migrated(before: &IntegrationStatus, after: &IntegrationStatus) -> Option<String> {
    let count = |status| legacy(status).map_or(0, |it| it.migrated);
    let known = before.migration.iter().flat_map(|it| &it.projects);
    let known: Vec<_> = known.map(|it| (it.name.as_str(), it.state)).collect();
    let has_more = count(after) > count(before);
    // A project without a place in the status before may have been migrated for long.
    let is_new = |name: &str| {
        let was = known.iter().find(|(known, _)| *known == name);
        was.map_or(has_more, |(_, state)| *state != ProjectState::Migrated)
    };
    let projects = after.migration.iter().flat_map(|it| &it.projects);
    let done = projects.filter(|it| it.state == ProjectState::Migrated && is_new(&it.name));
    let done: Vec<&str> = done.map(|it| it.name.as_str()).collect();
    let is = if done.len() == 1 { "is" } else { "are" };
    let told = || {
        format!(
            "{} {is} migrated: Supabase has all of their records up to the boundary, and gets none after it",
            some(&done)
        )
    };
    (!done.is_empty()).then(told)
}

fn legacy(status: &IntegrationStatus) -> Option<&LegacyStatus> {
    status.migration.as_ref()?.legacy.as_ref()
}

fn difference(old: &LegacyList, new: &LegacyList) -> String {
    let only_in = |one: &LegacyList, other: &LegacyList| {
        let only = one.names().iter().filter(|name| !other.contains(name));
        only.cloned().collect::<Vec<String>>()
    };
    let moved = [("added", only_in(new, old)), ("removed", only_in(old, new))];
    let moved = moved.iter().filter(|(_, names)| !names.is_empty());
    let told = moved.map(|(what, names)| {
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        format!("; {} {what}: {}", names.len(), some(&names))
    });
    told.collect()
}

/// The first few names, and how many more there are.
fn some(names: &[&str]) -> String {
    let (first, rest) = names.split_at(names.len().min(NAMED));
    match rest.len() {
        0 => first.join(", "),
        more => format!("{} and {more} more", first.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn list(names: &[&str]) -> LegacyList {
        LegacyList::of(names.iter().map(ToString::to_string), false)
    }

    fn status(names: &[&str], more: &Value, projects: &Value) -> IntegrationStatus {
        let mut legacy = json!({
            "generation": 3, "digest": list(names).digest(), "listed": names.len(), "since": "2026-01-01T00:00:00Z",
        });
        let fields = legacy.as_object_mut().unwrap();
        fields.extend(more.as_object().unwrap().clone());
        let migration = json!({"legacy": legacy, "projects": projects});
        serde_json::from_value(json!({ "migration": migration })).unwrap()
    }

    fn projects(of: &[(&str, &str)]) -> Value {
        let of = of.iter().map(
            |(name, state)| json!({"name": name, "state": state, "since": "2026-01-01T00:00:00Z"}),
        );
        of.collect()
    }

    #[test]
    fn a_change_of_the_list_tells_what_was_added_and_removed_with_a_few_names() {
        let many = ["a", "b", "c", "d", "e", "f", "g"];
        let before = status(&["z", "a"], &json!({}), &json!([]));
        let after = status(&many, &json!({"by": "alice"}), &json!([]));
        let lists = Lists {
            before: Some(list(&["z", "a"])),
            after: Some(list(&many)),
        };
        assert_eq!(
            lists.changed(&before, &after).unwrap(),
            "the list of legacy projects has 7 names now, and had 2; 6 added: b, c, d, e, f and 1 more; 1 removed: z, requested by alice"
        );
        assert_eq!(lists.changed(&after, &after), None, "once");
        let none = IntegrationStatus::default();
        let shared = status(&["a"], &json!({"shared": true, "names": ["a"]}), &json!([]));
        let told = Lists::default().changed(&none, &shared).unwrap();
        assert_eq!(
            told,
            "the list of legacy projects has 1 name now, and had 0, and records without a project"
        );
    }

    #[test]
    fn names_that_nobody_knows_are_counted() {
        let before = status(&["z", "a"], &json!({}), &json!([]));
        let after = status(&["a"], &json!({"names": ["a"]}), &json!([]));
        let told = Lists::default().changed(&before, &after).unwrap();
        assert_eq!(
            told,
            "the list of legacy projects has 1 name now, and had 2"
        );
    }

    #[test]
    fn a_project_that_became_migrated_is_told_once() {
        let before = status(
            &[],
            &json!({"migrated": 1}),
            &projects(&[("a", "Migrating"), ("c", "Migrated")]),
        );
        let after = status(
            &[],
            &json!({"migrated": 2}),
            &projects(&[("a", "Migrated"), ("b", "Migrated"), ("c", "Migrated")]),
        );
        let told = migrated(&before, &after).unwrap();
        assert!(told.starts_with("a, b are migrated"), "{told}");
        assert_eq!(migrated(&after, &after), None);
        let place = status(
            &[],
            &json!({"migrated": 2}),
            &projects(&[("b", "Migrated")]),
        );
        assert_eq!(
            migrated(&place, &after),
            None,
            "it got a place in the status"
        );
    }
}
