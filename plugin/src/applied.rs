//! What applying the manifest does, or would do. Pure.

use kube::api::DynamicObject;
use serde::Serialize;

use crate::ending::Ending;
use crate::refusal::Refusal;
use crate::table::{Cell, Look, Table};

/// What happens to one object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) enum Action {
    /// It was not there.
    Created,
    /// It was another one.
    Changed,
    /// It is there already.
    Unchanged,
    /// The API server does not take it.
    Refused,
}

/// One object.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Applied {
    pub(crate) kind: String,
    pub(crate) name: String,
    pub(crate) action: Action,
    /// Why it was refused.
    pub(crate) message: String,
}

/// Compares an object before and after.
pub(crate) fn action(before: Option<&DynamicObject>, after: &DynamicObject) -> Action {
    match before {
        None => Action::Created,
        Some(before) if bare(before) == bare(after) => Action::Unchanged,
        Some(_) => Action::Changed,
    }
}

/// An object without what the API server writes at every change.
fn bare(object: &DynamicObject) -> DynamicObject {
    let mut bare = object.clone();
    bare.metadata.managed_fields = None;
    bare.metadata.resource_version = None;
    bare.metadata.generation = None;
    bare
}

/// An object that the API server does not take. In a dry run, its namespace may not be there yet.
pub(crate) fn refused(refusal: &Refusal, namespace: &str, dry_run: bool) -> (Action, String) {
    let waits = dry_run && !namespace.is_empty() && refusal.is_missing();
    if waits {
        return (Action::Created, format!("after namespace {namespace}"));
    }
    let message = refusal.to_string();
    let helm = "; it was installed by helm: upgrade it with helm";
    let is_helms = message.contains("conflict") && message.contains("helm");
    (
        Action::Refused,
        if is_helms { message + helm } else { message },
    )
}

/// How applying them ends.
pub(crate) fn ending(all: &[Applied]) -> Ending {
    if all.iter().any(|one| one.action == Action::Refused) {
        Ending::Unanswered
    } else {
        Ending::Well
    }
}

/// The objects as people read them.
pub(crate) fn text(all: &[Applied], dry_run: bool, width: Option<usize>) -> String {
    let mut table = Table::new(&["ACTION", "KIND", "NAME", "REMARK"]);
    for one in all {
        let (word, look) = match one.action {
            Action::Created => ("created", Look::Good),
            Action::Changed => ("changed", Look::Odd),
            Action::Unchanged => ("unchanged", Look::Faint),
            Action::Refused => ("refused", Look::Bad),
        };
        table.row([
            Cell::new(word, look),
            Cell::from(&one.kind),
            Cell::from(&one.name),
            Cell::from(&one.message),
        ]);
    }
    let count = |action| all.iter().filter(|one| one.action == action).count();
    let end = if dry_run {
        "Nothing was changed: this was a dry run."
    } else {
        "next: kubectl boboyka check"
    };
    table.render(width)
        + &format!(
            "\n{} created, {} changed, {} unchanged, {} refused\n{end}\n",
            count(Action::Created),
            count(Action::Changed),
            count(Action::Unchanged),
            count(Action::Refused)
        )
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::refusal::Asked;

    fn object(version: &str, value: i64) -> DynamicObject {
        serde_json::from_value(json!({
            "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a", "resourceVersion": version}, "data": value,
        }))
        .unwrap()
    }

    #[test]
    fn an_object_is_created_changed_or_left_alone() {
        assert_eq!(action(None, &object("1", 1)), Action::Created);
        assert_eq!(
            action(Some(&object("1", 1)), &object("2", 1)),
            Action::Unchanged
        );
        assert_eq!(
            action(Some(&object("1", 1)), &object("1", 2)),
            Action::Changed
        );
    }

    #[test]
    fn one_refused_object_is_a_refused_change() {
        let applied = |action| Applied {
            kind: "ConfigMap".to_owned(),
            name: "a".to_owned(),
            action,
            message: String::new(),
        };
        let all = [Action::Created, Action::Changed, Action::Unchanged].map(applied);
        assert_eq!(ending(&all), Ending::Well);
        let all = [Action::Created, Action::Refused].map(applied);
        assert_eq!(ending(&all), Ending::Unanswered);
    }

    #[test]
    fn a_refusal_tells_whose_the_object_is() {
        let asked = Asked {
            verb: "patch",
            resource: "deployments.apps".to_owned(),
            namespace: "boboyka-system".to_owned(),
            name: "boboyka-operator".to_owned(),
        };
        let conflict = Refusal::Refused {
            asked: asked.clone(),
            why: "Apply failed with 1 conflict: conflict with \"helm\"".to_owned(),
        };
        assert!(
            refused(&conflict, "boboyka-system", false)
                .1
                .ends_with("upgrade it with helm")
        );
        let missing = Refusal::Missing(asked);
        assert_eq!(refused(&missing, "boboyka-system", true).0, Action::Created);
        assert_eq!(
            refused(&missing, "boboyka-system", false).0,
            Action::Refused
        );
    }
}
