//! The paths at which API servers call the webhook. A path is a secret: who knows it speaks for an API server. It stands in
//! the webhook configuration, which no tenant may read, and changes often, because an API server that can't reach the
//! operator tells the path to whoever created the pod.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// API servers may call by a path of an older configuration for this long.
const KEPT: Duration = Duration::from_mins(1);
/// What a path begins with; 64 hexadecimal digits follow.
const PREFIX: &str = "/inject/";
/// The number of digits: 256 bits.
const DIGITS: usize = 64;

/// A path that nobody can guess.
pub(crate) fn new_path() -> String {
    let [one, two] = [uuid::Uuid::new_v4(), uuid::Uuid::new_v4()];
    let mix = blake3::hash(&[one.into_bytes(), two.into_bytes()].concat());
    format!("{PREFIX}{}", mix.to_hex())
}

/// Whether a path has the form that [`new_path`] gives it.
pub(crate) fn is_secret(path: &str) -> bool {
    let digits = path.strip_prefix(PREFIX).unwrap_or_default();
    digits.len() == DIGITS && digits.bytes().all(|one| one.is_ascii_hexdigit())
}

/// The paths that are accepted. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub(crate) struct Paths(Arc<Mutex<HashMap<String, Instant>>>);

impl Paths {
    /// Accepts the paths of the configuration as it is now, and for a while those of the one before.
    pub(crate) fn accept(&self, current: impl IntoIterator<Item = String>, now: Instant) {
        let mut paths = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        paths.extend(current.into_iter().map(|path| (path, now)));
        paths.retain(|_, seen| now.saturating_duration_since(*seen) < KEPT);
    }

    /// Whether a request by this path comes from an API server. The map hashes with a secret of its own, so the time that
    /// this takes tells nothing of the paths.
    pub(crate) fn has(&self, path: &str) -> bool {
        let paths = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        paths.contains_key(path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_accepted_while_it_is_current_and_a_minute_longer() {
        let (paths, begin) = (Paths::default(), Instant::now());
        let (one, two) = (new_path(), new_path());
        assert!(is_secret(&one) && is_secret(&two) && one != two);
        paths.accept([one.clone()], begin);
        paths.accept([two.clone()], begin + KEPT / 2);
        assert!(paths.has(&one) && paths.has(&two));
        paths.accept([two.clone()], begin + KEPT);
        assert!(!paths.has(&one) && paths.has(&two));
    }

    #[test]
    fn a_path_that_could_be_guessed_is_no_secret() {
        for path in [
            "",
            "/",
            "/inject",
            "/inject/",
            "/inject/0",
            "/inject/../inject",
        ] {
            assert!(!is_secret(path), "{path}");
        }
    }
}
