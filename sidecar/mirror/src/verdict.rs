//! What a lane does about a failure: the consequences of `classify`'s classes, and the patience and
//! the suspicion that go with them. Pure.

use std::time::Duration;

use crate::classify::Class;
use crate::failure::Failure;

/// So often the same batch may be cut off in its upload before its size is suspected.
const RESETS_TO_SUSPECT: u32 = 3;

/// A shorter body fits into socket buffers, so a reset says nothing about its length.
const RESET_MIN_BYTES: usize = 64 * 1024;

/// A row whose neighbour is missing is tried so often again: foreign rows may arrive a little later.
const DEPENDENCY_TRIES: u32 = 10;

/// A single row that ran out of time is tried so often: a lock may have been in its way.
const SLOW_ROW_TRIES: u32 = 3;

/// So many dead letters in a row for one reason, none accepted between, mean that the table is wrong
/// and not the records.
pub const REFUSALS_TO_STOP: u32 = 100;

/// What to do about a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The row is there: go on.
    Accept,
    /// Send the first half alone.
    Split,
    /// Send halves from now on: the batch was too large.
    Shrink,
    /// See by a preflight whether the connection works; if so, the size is to blame.
    SuspectSize,
    /// The row is never accepted.
    DeadLetter,
    /// Send it again after the backoff, counting against the breaker.
    BackOff,
    /// Send it again shortly: this row, not Supabase, has to wait.
    Await,
    /// Send it again after a long while.
    Slow,
    /// Wait for new credentials or a grant.
    PauseAuth,
    /// Wait for the table to change.
    PauseSchema,
}

/// What a lane has put up with since a row was last settled.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// Requests with one row alone, which is what its dead letter tells.
    tries: u32,
    resets: u32,
    slow_row: u32,
    dependency: u32,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            tries: 0,
            resets: 0,
            slow_row: 0,
            dependency: DEPENDENCY_TRIES,
        }
    }
}

impl Patience {
    /// The verdict on a failed request of so many rows and bytes.
    pub fn verdict(&mut self, failure: &Failure, rows: usize, body_len: usize) -> Verdict {
        let single = rows <= 1;
        self.tries += u32::from(single);
        if !failure.reset {
            self.resets = 0;
        }
        match failure.class {
            Class::Done if single => Verdict::Accept,
            Class::Done => Verdict::Split,
            Class::Transient if failure.reset && body_len >= RESET_MIN_BYTES => self.after_reset(),
            Class::Transient => Verdict::BackOff,
            Class::Auth => Verdict::PauseAuth,
            Class::Schema => Verdict::PauseSchema,
            Class::Size if !single => Verdict::Shrink,
            Class::Size if failure.code == "57014" => self.after_slow_row(),
            Class::Poison | Class::Dependency if !single => Verdict::Split,
            Class::Dependency if self.dependency > 0 => {
                self.dependency -= 1;
                Verdict::Await
            }
            Class::Size | Class::Poison | Class::Dependency => Verdict::DeadLetter,
            Class::ReadOnly => Verdict::Slow,
        }
    }

    /// How often the row at hand was sent alone.
    pub fn tries(&self) -> u32 {
        self.tries
    }

    /// A row was accepted: all tries are there again.
    pub fn accepted(&mut self) {
        *self = Self::default();
    }

    /// A row became a dead letter. The tries for missing neighbours stay used up: a thousand rows
    /// that miss the same one must not be waited for one after the other.
    pub fn dead_lettered(&mut self) {
        *self = Self {
            dependency: self.dependency,
            ..Self::default()
        };
    }

    fn after_reset(&mut self) -> Verdict {
        self.resets += 1;
        if self.resets < RESETS_TO_SUSPECT {
            return Verdict::BackOff;
        }
        self.resets = 0;
        Verdict::SuspectSize
    }

    fn after_slow_row(&mut self) -> Verdict {
        self.slow_row += 1;
        if self.slow_row < SLOW_ROW_TRIES {
            Verdict::BackOff
        } else {
            Verdict::DeadLetter
        }
    }
}

/// The wait before a row that misses its neighbour is tried again: the tries span some ten seconds, in
/// which the rows behind it wait too.
pub fn dependency_delay(jitter: f64) -> Duration {
    Duration::from_secs(1).mul_f64(0.5 + jitter.clamp(0.0, 1.0))
}

/// The wait while the project takes no writes: somebody has to pay or to free space first.
pub fn read_only_delay(jitter: f64) -> Duration {
    Duration::from_mins(1).mul_f64(0.5 + 0.5 * jitter.clamp(0.0, 1.0))
}

/// Counts dead letters in a row of one code.
#[derive(Clone, Debug, Default)]
pub struct Guard {
    code: String,
    run: u32,
}

impl Guard {
    /// A row became a dead letter with this code; whether that makes too many.
    pub fn refused(&mut self, code: &str) -> bool {
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
    pub fn accepted(&mut self) {
        *self = Self::default();
    }

    /// The code of the run.
    pub fn code(&self) -> &str {
        &self.code
    }
}

/// How much goes into one request. What was too large is halved for the requests to come, and only
/// after many have passed is more tried again.
#[derive(Clone, Copy, Debug)]
pub struct Limit {
    rows: usize,
    bytes: usize,
    rows_max: usize,
    bytes_max: usize,
    passed: u32,
}

/// So many requests pass before a lowered limit is raised: one failure in 64 costs little.
const PASSES_TO_RAISE: u32 = 64;

impl Limit {
    /// The limit in calm weather.
    pub fn new(rows_max: usize, bytes_max: usize) -> Self {
        Self {
            rows: rows_max,
            bytes: bytes_max,
            rows_max,
            bytes_max,
            passed: 0,
        }
    }

    /// Sets the most rows that a request may ever have: a change is obeyed at once.
    pub fn set_rows_max(&mut self, rows_max: usize) {
        if rows_max != self.rows_max {
            self.rows_max = rows_max;
            self.rows = rows_max;
            self.passed = 0;
        }
    }

    /// Most rows of a request.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Most bytes of a request.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// A request of so many rows and bytes was too large.
    pub fn shrink(&mut self, rows: usize, bytes: usize) {
        self.rows = (rows / 2).max(1);
        self.bytes = (bytes / 2).max(1);
        self.passed = 0;
    }

    /// A request passed.
    pub fn passed(&mut self) {
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
    use super::{Class, Failure, Guard, Limit, Patience, REFUSALS_TO_STOP, Verdict};

    fn failed(class: Class, code: &str) -> Failure {
        Failure {
            class,
            ..Failure::network(code, "")
        }
    }

    fn first(class: Class, rows: usize) -> Verdict {
        Patience::default().verdict(&failed(class, "x"), rows, 1000)
    }

    #[test]
    fn each_class_has_its_consequence() {
        for (class, one, many) in [
            (Class::Done, Verdict::Accept, Verdict::Split),
            (Class::Transient, Verdict::BackOff, Verdict::BackOff),
            (Class::Auth, Verdict::PauseAuth, Verdict::PauseAuth),
            (Class::Schema, Verdict::PauseSchema, Verdict::PauseSchema),
            (Class::Size, Verdict::DeadLetter, Verdict::Shrink),
            (Class::Poison, Verdict::DeadLetter, Verdict::Split),
            (Class::Dependency, Verdict::Await, Verdict::Split),
            (Class::ReadOnly, Verdict::Slow, Verdict::Slow),
        ] {
            assert_eq!(
                (first(class, 1), first(class, 500)),
                (one, many),
                "{class:?}"
            );
        }
    }

    #[test]
    fn a_missing_neighbour_is_awaited_ten_times_until_something_is_accepted() {
        let mut patience = Patience::default();
        let missing = failed(Class::Dependency, "23503");
        for _ in 0..10 {
            assert_eq!(patience.verdict(&missing, 1, 10), Verdict::Await);
        }
        assert_eq!(patience.verdict(&missing, 1, 10), Verdict::DeadLetter);
        patience.dead_lettered();
        assert_eq!(patience.verdict(&missing, 1, 10), Verdict::DeadLetter);
        patience.accepted();
        assert_eq!(patience.verdict(&missing, 1, 10), Verdict::Await);
    }

    #[test]
    fn a_long_body_cut_off_three_times_in_a_row_is_suspected_of_its_size() {
        let mut patience = Patience::default();
        let reset = Failure::reset();
        assert_eq!(patience.verdict(&reset, 500, 1 << 20), Verdict::BackOff);
        assert_eq!(patience.verdict(&reset, 500, 1 << 20), Verdict::BackOff);
        assert_eq!(patience.verdict(&reset, 500, 1 << 20), Verdict::SuspectSize);
    }

    #[test]
    fn a_short_body_or_a_reset_now_and_then_is_not_suspected() {
        let mut patience = Patience::default();
        for _ in 0..20 {
            assert_eq!(
                patience.verdict(&Failure::reset(), 500, 2000),
                Verdict::BackOff
            );
        }
        for _ in 0..20 {
            assert_eq!(
                patience.verdict(&Failure::reset(), 500, 1 << 20),
                Verdict::BackOff
            );
            assert_eq!(
                patience.verdict(&Failure::unreachable(), 500, 1 << 20),
                Verdict::BackOff
            );
        }
    }

    #[test]
    fn a_single_row_that_ran_out_of_time_gets_another_chance() {
        let mut patience = Patience::default();
        let slow = failed(Class::Size, "57014");
        assert_eq!(patience.verdict(&slow, 1, 10), Verdict::BackOff);
        assert_eq!(patience.verdict(&slow, 1, 10), Verdict::BackOff);
        assert_eq!(patience.verdict(&slow, 1, 10), Verdict::DeadLetter);
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
        assert_eq!(guard.code(), "22P02");
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
