//! When a new authority is generated and when the server begins to use it. Pure but for the keys: the time is an argument.
//!
//! The server never uses an authority that API servers have not known for a while, unless the one before has expired.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::authority::{Authority, AuthorityError};

/// API servers use a changed webhook configuration within this time; shorter for short lifetimes.
const SETTLE_MAX: Duration = Duration::from_secs(10);

/// The authorities of this replica.
#[derive(Debug)]
pub(super) struct Rotation {
    names: Vec<String>,
    lifetime: Duration,
    serving: Authority,
    next: Option<Next>,
}

/// The authority to serve with next.
#[derive(Debug)]
struct Next {
    authority: Authority,
    /// Since when it has been in the webhook configuration.
    trusted_since: Option<Timestamp>,
}

impl Rotation {
    /// Begins with a first authority.
    pub(super) fn begin(
        names: Vec<String>,
        lifetime: Duration,
        now: Timestamp,
    ) -> Result<Self, AuthorityError> {
        let serving = Authority::make(&names, lifetime, now)?;
        Ok(Self {
            names,
            lifetime,
            serving,
            next: None,
        })
    }

    /// The authority in use.
    pub(super) fn serving(&self) -> &Authority {
        &self.serving
    }

    /// All authorities of this replica, newest first.
    pub(super) fn all(&self) -> impl Iterator<Item = &Authority> {
        let next = self.next.as_ref().map(|next| &next.authority);
        next.into_iter().chain([&self.serving])
    }

    /// Generates a new authority when it is due, or when the bundle leaves the present one out. Returns whether there is a
    /// new one to publish.
    pub(super) fn renew(
        &mut self,
        crowded_out: bool,
        now: Timestamp,
    ) -> Result<bool, AuthorityError> {
        let newest = self.all().next().unwrap_or(&self.serving);
        let room_is_needed = crowded_out && self.next.is_none();
        if !room_is_needed && !self.is_due(newest, now) {
            return Ok(false);
        }
        self.next = Some(Next {
            authority: Authority::make(&self.names, self.lifetime, now)?,
            trusted_since: None,
        });
        Ok(true)
    }

    /// Uses the next authority once API servers have known it for long enough. Returns whether the server has to change.
    pub(super) fn switch(&mut self, trusted: impl Fn(&Authority) -> bool, now: Timestamp) -> bool {
        let settle = self.settle();
        let expired = now >= self.serving.expires;
        let Some(next) = &mut self.next else {
            return false;
        };
        if !trusted(&next.authority) {
            next.trusted_since = None;
            return false;
        }
        // A clock that was set back begins the time again.
        let since = next.trusted_since.filter(|since| *since <= now);
        let since = *next.trusted_since.insert(since.unwrap_or(now));
        if !expired && now < since + settle {
            return false;
        }
        if let Some(next) = self.next.take() {
            self.serving = next.authority;
        }
        true
    }

    fn is_due(&self, authority: &Authority, now: Timestamp) -> bool {
        // Also when the clock was set back to before it was made.
        now >= authority.made + self.lifetime / 2
            || now + SignedDuration::from_mins(5) < authority.made
    }

    fn settle(&self) -> Duration {
        (self.lifetime / 10).min(SETTLE_MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIFETIME: Duration = Duration::from_secs(1000);

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + second).unwrap()
    }

    fn begun() -> Rotation {
        Rotation::begin(vec!["op.system.svc".to_owned()], LIFETIME, at(0)).unwrap()
    }

    #[test]
    fn an_authority_is_renewed_at_half_of_its_life_and_once() {
        let mut rotation = begun();
        assert!(!rotation.renew(false, at(499)).unwrap());
        assert!(rotation.renew(false, at(500)).unwrap());
        assert!(!rotation.renew(false, at(501)).unwrap());
        assert_eq!(rotation.all().count(), 2);
    }

    #[test]
    fn the_server_changes_only_after_api_servers_have_known_the_new_authority_for_a_while() {
        let mut rotation = begun();
        let first = rotation.serving().pem.clone();
        rotation.renew(false, at(500)).unwrap();
        assert!(!rotation.switch(|_| false, at(600)));
        assert!(!rotation.switch(|_| true, at(601)));
        // Somebody overwrote the configuration: the time begins again.
        assert!(!rotation.switch(|_| false, at(605)));
        assert!(!rotation.switch(|_| true, at(606)));
        assert!(!rotation.switch(|_| true, at(615)));
        assert_eq!(rotation.serving().pem, first);
        assert!(rotation.switch(|_| true, at(616)));
        assert_ne!(rotation.serving().pem, first);
        assert_eq!(rotation.all().count(), 1);
        assert!(!rotation.switch(|_| true, at(617)));
    }

    #[test]
    fn an_expired_authority_is_not_held_on_to() {
        let mut rotation = begun();
        rotation.renew(false, at(500)).unwrap();
        assert!(!rotation.switch(|_| false, at(1000)));
        // Half of the next one's life is over too: another is made, and used as soon as it is known.
        assert!(rotation.renew(false, at(1000)).unwrap());
        assert!(rotation.switch(|_| true, at(1000)));
        assert_eq!(rotation.serving().expires, at(2000));
    }

    #[test]
    fn an_authority_that_found_no_room_is_replaced_by_a_newer_one() {
        let mut rotation = begun();
        assert!(rotation.renew(true, at(1)).unwrap());
        assert!(!rotation.renew(true, at(2)).unwrap());
    }

    #[test]
    fn a_clock_that_was_set_back_makes_no_certificate_of_the_future() {
        let mut rotation = begun();
        assert!(rotation.renew(false, at(-1000)).unwrap());
        assert!(!rotation.switch(|_| true, at(-1000)));
        assert!(!rotation.switch(|_| true, at(-2000)));
        assert!(rotation.switch(|_| true, at(-1989)));
    }
}
