//! Trouble that may last for hours: logged once when it begins, once when its reason changes, once when it is over.

/// One kind of trouble.
#[derive(Debug)]
pub(crate) struct Trouble {
    /// What can't be done, for the log.
    what: &'static str,
    reason: Option<String>,
}

impl Trouble {
    /// None yet, with doing this: `watch the integration`.
    pub(crate) fn with(what: &'static str) -> Self {
        Self { what, reason: None }
    }

    /// It is there, for this reason.
    pub(crate) fn is(&mut self, reason: &str) {
        if self.note(reason) {
            tracing::warn!(reason, "the sidecar can't {}: {reason}", self.what);
        }
    }

    /// It is not there, or not any more.
    pub(crate) fn over(&mut self) {
        if self.reason.take().is_some() {
            tracing::info!("the sidecar can {} again", self.what);
        }
    }

    fn note(&mut self, reason: &str) -> bool {
        let new = self.reason.as_deref() != Some(reason);
        if new {
            self.reason = Some(reason.to_owned());
        }
        new
    }
}

#[cfg(test)]
mod tests {
    use super::Trouble;

    #[test]
    fn the_same_reason_is_said_once() {
        let mut trouble = Trouble::with("test");
        let said: Vec<_> = ["a", "a", "b", "b", "a"].map(|r| trouble.note(r)).into();
        assert_eq!(said, [true, false, true, false, true]);
        trouble.over();
        assert!(trouble.note("a"));
    }
}
