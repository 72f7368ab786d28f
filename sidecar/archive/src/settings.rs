//! How a bucket is reached. Pure. Nothing shows a value.

use std::collections::BTreeMap;
use std::fmt;

/// How to reach a bucket: names such as `AWS_REGION` and their values. What comes last counts.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Settings(BTreeMap<String, String>);

impl Settings {
    /// Takes a value; one that is no setting of a bucket is passed over.
    pub fn set(&mut self, name: &str, value: &str) {
        if name.starts_with("AWS_") && !value.trim().is_empty() {
            self.0.insert(name.to_owned(), value.trim().to_owned());
        }
    }

    /// Takes every value of others.
    pub fn extend(&mut self, others: &Self) {
        self.0.extend(others.0.clone());
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Names, in lower case, and values.
    pub(crate) fn pairs(&self) -> impl Iterator<Item = (String, &str)> {
        let pairs = self.0.iter();
        pairs.map(|(name, value)| (name.to_ascii_lowercase(), value.as_str()))
    }
}

/// The names alone.
impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.0.keys()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::Settings;

    #[test]
    fn settings_show_names_alone() {
        let mut settings = Settings::default();
        settings.set("AWS_SECRET_ACCESS_KEY", " s3cret\n");
        settings.set("HOME", "/root");
        settings.set("AWS_REGION", " ");
        let pairs: Vec<_> = settings.pairs().collect();
        assert_eq!(pairs, [("aws_secret_access_key".to_owned(), "s3cret")]);
        assert_eq!(format!("{settings:?}"), r#"["AWS_SECRET_ACCESS_KEY"]"#);
    }
}
