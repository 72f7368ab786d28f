//! Who made a generation of an integration's specification: an annotation that admission sets, and nobody else can. Pure.

use boboyka_crds::{BoboykaIntegration, names};
use kube::ResourceExt as _;

/// Of a name, which an authenticator chose.
const USER_MAX: usize = 256;

/// The annotation's value: the generation, a space, the name of the user. A policy of the chart holds writers to it.
pub(crate) fn value(generation: i64, user: &str) -> String {
    format!("{generation} {user}")
}

/// Who made the specification as it is, if the annotation is about this generation of it.
pub(crate) fn author(integration: &BoboykaIntegration) -> Option<String> {
    let annotation = integration
        .annotations()
        .get(names::CHANGED_BY_ANNOTATION)?;
    let (generation, user) = annotation.split_once(' ')?;
    let is_about_this = generation.parse().ok() == integration.metadata.generation;
    is_about_this.then(|| user.chars().take(USER_MAX).collect())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::integration::tests::integration;

    #[test]
    fn an_annotation_about_another_generation_names_nobody() {
        let mut integration = integration(&json!({}));
        assert_eq!(author(&integration), None);
        for (generation, expected) in [(3, Some("system:serviceaccount:a:b c")), (2, None)] {
            let value = value(generation, "system:serviceaccount:a:b c");
            integration
                .annotations_mut()
                .insert(names::CHANGED_BY_ANNOTATION.to_owned(), value);
            assert_eq!(author(&integration).as_deref(), expected);
        }
    }
}
