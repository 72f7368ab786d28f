//! What a lane does about a failure: the consequences of `classify`'s classes, and the patience and
//! the suspicion that go with them. Pure.

use std::time::Duration;

use crate::classify::Class;
use crate::failure::Failure;

/// Uploads of one batch that may be cut off before its size is suspected.
const RESETS_TO_SUSPECT: u32 = 3;

/// A shorter body fits into socket buffers, so a reset says nothing about its length.
const RESET_MIN_BYTES: usize = 64 * 1024;

/// Faults in a row for the same request after which a preflight shows whether its rows cause them.
const FAULTS_TO_ASK: u32 = 5;

/// Refused rows in a row for one reason, none accepted between, that show that the table is wrong
/// and not the records.
pub(crate) const REFUSALS_TO_STOP: u32 = 100;

/// What to do about a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Disposition {
    /// The row is there: go on.
    Accept,
    /// Send the first half alone.
    Split,
    /// Send halves from now on: the batch was too large.
    Shrink,
    /// The row is refused: it becomes a dead letter, or is sent again later, while the lane goes on.
    Refuse,
    /// See by a preflight whether Supabase takes requests: if so, the rows are to blame.
    Ask,
    /// Send it again after the backoff, counting against the breaker.
    BackOff,
    /// Send it again after a long while.
    Slow,
    /// Wait for the table to change.
    PauseSchema,
}

/// What a lane has put up with since a row was last settled.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Patience {
    /// Requests with one row alone: the attempts that its dead letter reports.
    tries: u32,
    resets: u32,
    /// Answers that blame Supabase and not the rows.
    faults: u32,
}

impl Patience {
    /// What to do about a failed request with this number of rows and bytes.
    pub(crate) fn disposition(
        &mut self,
        failure: &Failure,
        rows: usize,
        body_len: usize,
    ) -> Disposition {
        let single = rows <= 1;
        self.tries += u32::from(single);
        if !failure.reset {
            self.resets = 0;
        }
        match failure.class {
            Class::Done if single => Disposition::Accept,
            Class::Done => Disposition::Split,
            Class::Transient => self.after_fault(failure, body_len),
            Class::Auth | Class::TimedOut | Class::Suspect => Disposition::Ask,
            Class::Schema => Disposition::PauseSchema,
            Class::Size if !single => Disposition::Shrink,
            Class::Poison | Class::Dependency if !single => Disposition::Split,
            Class::Size | Class::Poison | Class::Dependency => Disposition::Refuse,
            Class::ReadOnly => Disposition::Slow,
        }
    }

    /// How often the row at hand was sent alone.
    pub(crate) fn tries(&self) -> u32 {
        self.tries
    }

    /// A row was settled: all patience is there again.
    pub(crate) fn settled(&mut self) {
        *self = Self::default();
    }

    fn after_fault(&mut self, failure: &Failure, body_len: usize) -> Disposition {
        let counted = if failure.reset && body_len >= RESET_MIN_BYTES {
            self.resets += 1;
            self.resets >= RESETS_TO_SUSPECT
        } else {
            self.faults += u32::from(failure.is_answer());
            failure.is_answer() && self.faults >= FAULTS_TO_ASK
        };
        if counted {
            (self.resets, self.faults) = (0, 0);
            Disposition::Ask
        } else {
            Disposition::BackOff
        }
    }
}

/// The wait while the project takes no writes: its owner has to pay or to free space first.
pub(crate) fn read_only_delay(jitter: f64) -> Duration {
    Duration::from_mins(1).mul_f64(0.5 + 0.5 * jitter.clamp(0.0, 1.0))
}

/// Counts refused rows in a row of one code.
#[derive(Clone, Debug, Default)]
pub(crate) struct Guard {
    code: String,
    run: u32,
}

impl Guard {
    /// A row was refused with this code; whether that makes too many.
    pub(crate) fn refused(&mut self, code: &str) -> bool {
        if self.code == code {
            self.run += 1;
        } else {
            *self = Self {
                code: code.to_owned(),
                run: 1,
            };
        }
        self.run >= REFUSALS_TO_STOP
    }

    /// A row was accepted.
    pub(crate) fn accepted(&mut self) {
        *self = Self::default();
    }
}

/// How much goes into one request. What was too large is halved for the requests to come, and only
/// after many have passed is more tried again.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limit {
    rows: usize,
    bytes: usize,
    rows_max: usize,
    bytes_max: usize,
    passed: u32,
}

/// Requests that pass before a lowered limit is raised: one failure in 64 costs little.
const PASSES_TO_RAISE: u32 = 64;

impl Limit {
    /// The limit while nothing fails.
    pub(crate) fn new(rows_max: usize, bytes_max: usize) -> Self {
        Self {
            rows: rows_max,
            bytes: bytes_max,
            rows_max,
            bytes_max,
            passed: 0,
        }
    }

    /// Sets the most rows that a request may ever have: a change is obeyed at once.
    pub(crate) fn set_rows_max(&mut self, rows_max: usize) {
        if rows_max != self.rows_max {
            self.rows_max = rows_max;
            self.rows = rows_max;
            self.passed = 0;
        }
    }

    /// Most rows of a request.
    pub(crate) fn rows(&self) -> usize {
        self.rows
    }

    /// Most bytes of a request.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// A request with this number of rows and bytes was too large.
    pub(crate) fn shrink(&mut self, rows: usize, bytes: usize) {
        self.rows = (rows / 2).max(1);
        self.bytes = (bytes / 2).max(1);
        self.passed = 0;
    }

    /// A request passed.
    pub(crate) fn passed(&mut self) {
        self.passed += 1;
        if self.passed >= PASSES_TO_RAISE {
            self.rows = self.rows.saturating_mul(2).min(self.rows_max);
            self.bytes = self.bytes.saturating_mul(2).min(self.bytes_max);
            self.passed = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Class, Disposition, Failure, Guard, Limit, Patience, REFUSALS_TO_STOP};

    fn failed(class: Class, code: &str) -> Failure {
        Failure {
            class,
            ..Failure::network(code, "")
        }
    }

    fn first(class: Class, rows: usize) -> Disposition {
        Patience::default().disposition(&failed(class, "x"), rows, 1000)
    }

    #[test]
    fn each_class_has_its_consequence() {
        for (class, one, many) in [
            (Class::Done, Disposition::Accept, Disposition::Split),
            (Class::Transient, Disposition::BackOff, Disposition::BackOff),
            (Class::Auth, Disposition::Ask, Disposition::Ask),
            (Class::TimedOut, Disposition::Ask, Disposition::Ask),
            (Class::Suspect, Disposition::Ask, Disposition::Ask),
            (
                Class::Schema,
                Disposition::PauseSchema,
                Disposition::PauseSchema,
            ),
            (Class::Size, Disposition::Refuse, Disposition::Shrink),
            (Class::Poison, Disposition::Refuse, Disposition::Split),
            (Class::Dependency, Disposition::Refuse, Disposition::Split),
            (Class::ReadOnly, Disposition::Slow, Disposition::Slow),
        ] {
            assert_eq!(
                (first(class, 1), first(class, 500)),
                (one, many),
                "{class:?}"
            );
        }
    }

    #[test]
    fn a_fault_that_comes_back_for_the_same_rows_is_looked_into() {
        let mut patience = Patience::default();
        let fault = failed(Class::Transient, "58030");
        for _ in 0..4 {
            assert_eq!(patience.disposition(&fault, 1, 10), Disposition::BackOff);
        }
        assert_eq!(patience.disposition(&fault, 1, 10), Disposition::Ask);
        for _ in 0..20 {
            let unreachable = Failure::unreachable();
            assert_eq!(
                patience.disposition(&unreachable, 1, 10),
                Disposition::BackOff
            );
        }
    }

    #[test]
    fn a_long_body_cut_off_three_times_in_a_row_is_suspected_of_its_size() {
        let mut patience = Patience::default();
        let reset = Failure::reset();
        assert_eq!(
            patience.disposition(&reset, 500, 1 << 20),
            Disposition::BackOff
        );
        assert_eq!(
            patience.disposition(&reset, 500, 1 << 20),
            Disposition::BackOff
        );
        assert_eq!(patience.disposition(&reset, 500, 1 << 20), Disposition::Ask);
    }

    #[test]
    fn a_short_body_or_a_reset_now_and_then_is_not_suspected() {
        let mut patience = Patience::default();
        for _ in 0..20 {
            assert_eq!(
                patience.disposition(&Failure::reset(), 500, 2000),
                Disposition::BackOff
            );
        }
        for _ in 0..20 {
            assert_eq!(
                patience.disposition(&Failure::reset(), 500, 1 << 20),
                Disposition::BackOff
            );
            assert_eq!(
                patience.disposition(&Failure::unreachable(), 500, 1 << 20),
                Disposition::BackOff
            );
        }
    }

    #[test]
    fn a_hundred_refusals_of_one_code_in_a_row_are_too_many() {
        let mut guard = Guard::default();
        for _ in 1..REFUSALS_TO_STOP {
            assert!(!guard.refused("23514"));
        }
        guard.accepted();
        for _ in 1..REFUSALS_TO_STOP {
            assert!(!guard.refused("23514"));
        }
        assert!(!guard.refused("22P02"));
        for _ in 1..REFUSALS_TO_STOP - 1 {
            assert!(!guard.refused("22P02"));
        }
        assert!(guard.refused("22P02"));
    }

    #[test]
    fn a_limit_is_halved_at_once_and_raised_slowly() {
        let mut limit = Limit::new(500, 1000);
        limit.shrink(500, 900);
        assert_eq!((limit.rows(), limit.bytes()), (250, 450));
        for _ in 0..64 {
            limit.passed();
        }
        assert_eq!((limit.rows(), limit.bytes()), (500, 900));
        limit.shrink(1, 1);
        assert_eq!((limit.rows(), limit.bytes()), (1, 1));
    }
}
