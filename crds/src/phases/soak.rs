//! How long a step has been asked for and its gates have held, by a clock that never jumps. Pure: the clock is an argument.

use std::time::{Duration, Instant};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use crate::integration::IntegrationStatus;
use crate::migration::{Gate, GateName, Soak, Transition};
use crate::phase::Phase;

/// Nobody looked between two looks that are further apart, so that time does not count.
const LOOK_MAX: Duration = Duration::from_mins(1);
/// A soak is recorded in steps of this part of itself, so that it costs few writes of a status.
const STEPS: u32 = 60;
const STEP_MIN: Duration = Duration::from_secs(1);
const STEP_MAX: Duration = Duration::from_mins(1);
const SOAK: &str = GateName::Soak.as_str();

/// Watches a step, and its soak between two records of it. A new process has a new one, so that the time without it does not count.
#[derive(Clone, Debug, Default)]
pub struct Watch {
    /// What was recorded when the count began.
    recorded: Option<Soak>,
    counted: Duration,
    looked: Option<Instant>,
    /// A gate was seen closed, and that is not recorded yet.
    broken: bool,
    /// The step that waits, and when it was first seen.
    step: Option<(Asking, Instant)>,
}

/// Which step waits: for which generation, its phases, whether it ends the migration, and since when.
type Asking = (i64, Phase, Phase, bool, Option<Time>);

impl Watch {
    /// For how long the step that waits has been seen, at this moment of a clock that never jumps.
    pub fn asked(&mut self, before: &IntegrationStatus, now: Instant) -> Duration {
        let step = before.transition.as_ref().map(|it| {
            let since = it.since.clone();
            (it.generation, it.from, it.to, it.finalizes, since)
        });
        let known = self
            .step
            .take()
            .filter(|(known, _)| Some(known) == step.as_ref());
        self.step = known.or_else(|| step.map(|step| (step, now)));
        let first = self.step.as_ref().map(|(_, first)| *first);
        first.map_or(Duration::ZERO, |first| now.saturating_duration_since(first))
    }

    /// Looks at what is recorded, at this moment of a clock that never jumps. Returns for how long what is recorded has been
    /// watched, or `None` if a gate was closed meanwhile.
    pub fn look(&mut self, before: &IntegrationStatus, now: Instant) -> Option<Duration> {
        let recorded = before.transition.as_ref().and_then(|it| it.soak.clone());
        let passed = self
            .looked
            .map(|looked| now.saturating_duration_since(looked));
        self.looked = Some(now);
        if recorded == self.recorded {
            self.counted += passed.filter(|it| *it <= LOOK_MAX).unwrap_or_default();
        } else {
            (self.recorded, self.counted, self.broken) = (recorded, Duration::ZERO, false);
        }
        (!self.broken).then_some(self.counted)
    }

    /// Takes notice of what was decided at this look.
    pub fn note(&mut self, transition: Option<&Transition>) {
        let soak = transition.and_then(|it| it.soak.as_ref());
        self.broken |= soak.is_none_or(|soak| soak.since.is_none());
        let holds = transition.is_some_and(|it| it.closed().all(|gate| gate.name == SOAK));
        if !holds {
            (self.counted, self.looked) = (Duration::ZERO, None);
        }
    }
}

/// How the other gates are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Others {
    Hold,
    /// Evidence is missing for one: the soak stands still.
    Wait,
    /// There is evidence against one: the soak begins anew.
    Closed,
}

/// The soak now, as far as it is recorded.
pub(super) fn next(
    recorded: Option<&Soak>,
    others: Others,
    watched: Option<Duration>,
    required: Duration,
    now: &Time,
) -> Soak {
    match others {
        Others::Closed => return Soak::default(),
        Others::Wait if watched.is_none() => return Soak::default(),
        Others::Wait => return recorded.cloned().unwrap_or_default(),
        Others::Hold => {}
    }
    let going = recorded.filter(|soak| soak.since.is_some()).zip(watched);
    let Some((soak, watched)) = going else {
        return Soak {
            held_seconds: 0,
            since: Some(now.clone()),
        };
    };
    let step = (required / STEPS)
        .clamp(STEP_MIN, STEP_MAX)
        .as_secs()
        .max(1);
    let more = watched.as_secs();
    let is_over = held(soak).saturating_add(watched) >= required;
    let more = if is_over { more } else { more / step * step };
    let more = i64::try_from(more).unwrap_or(i64::MAX);
    Soak {
        held_seconds: soak.held_seconds.max(0).saturating_add(more),
        ..soak.clone()
    }
}

fn held(soak: &Soak) -> Duration {
    Duration::from_secs(u64::try_from(soak.held_seconds).unwrap_or(0))
}

/// The gate of a soak.
pub(super) fn gate(soak: &Soak, required: Duration) -> Gate {
    let (held, since) = (held(soak), soak.since.as_ref());
    let message = match since {
        None => format!(
            "all other gates must hold for {}, without evidence against one",
            told(required)
        ),
        Some(since) => format!(
            "all other gates have held for {} of {}, since {}",
            told(held),
            told(required),
            since.0
        ),
    };
    Gate {
        name: GateName::Soak.to_string(),
        passed: since.is_some() && held >= required,
        forced: false,
        message,
    }
}

/// A time as resources spell it, in whole seconds.
fn told(time: Duration) -> String {
    let seconds = time.as_secs();
    let parts = [
        (seconds / 3600, "h"),
        (seconds % 3600 / 60, "m"),
        (seconds % 60, "s"),
    ];
    let told = parts.iter().filter(|(count, _)| *count > 0);
    let told: Vec<String> = told.map(|(count, unit)| format!("{count}{unit}")).collect();
    if told.is_empty() {
        "0s".to_owned()
    } else {
        told.concat()
    }
}

#[cfg(test)]
mod tests {
    use k8s_openapi::jiff::Timestamp;

    use super::*;
    use crate::phase::Phase;

    fn at(second: i64) -> Time {
        Time(Timestamp::from_second(1_800_000_000 + second).unwrap())
    }

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn status(soak: Soak) -> IntegrationStatus {
        IntegrationStatus {
            transition: Some(Transition {
                to: Phase::MigrateInternals,
                soak: Some(soak),
                ..Transition::default()
            }),
            ..IntegrationStatus::default()
        }
    }

    fn held(held_seconds: i64) -> Soak {
        Soak {
            held_seconds,
            since: Some(at(0)),
        }
    }

    #[test]
    fn time_counts_while_somebody_looks_and_a_restart_adds_nothing() {
        let (mut watch, before) = (Watch::default(), status(held(7)));
        let begin = Instant::now();
        let after = |second| begin + seconds(second);
        assert_eq!(watch.look(&before, after(1000)), Some(Duration::ZERO));
        assert_eq!(watch.look(&before, after(1015)), Some(seconds(15)));
        let slept = watch.look(&before, after(9000));
        assert_eq!(slept, Some(seconds(15)), "nobody looked");
        assert_eq!(watch.look(&before, after(9010)), Some(seconds(25)));
        let recorded = watch.look(&status(held(32)), after(9011));
        assert_eq!(recorded, Some(Duration::ZERO), "it is in the record now");
        assert_eq!(
            Watch::default().look(&before, after(5)),
            Some(Duration::ZERO)
        );
    }

    #[test]
    fn a_gate_that_closed_breaks_the_soak_even_if_that_was_never_recorded() {
        let (mut watch, before) = (Watch::default(), status(held(7)));
        let begin = Instant::now();
        let after = |second| begin + seconds(second);
        watch.look(&before, after(10));
        let closed = status(Soak::default());
        watch.note(closed.transition.as_ref());
        assert_eq!(watch.look(&before, after(20)), None);
        let again = next(Some(&held(7)), Others::Hold, None, seconds(60), &at(20));
        assert_eq!((again.held_seconds, again.since), (0, Some(at(20))));
        assert_eq!(
            watch.look(&status(again_from(20)), after(21)),
            Some(Duration::ZERO)
        );
    }

    fn again_from(second: i64) -> Soak {
        Soak {
            held_seconds: 0,
            since: Some(at(second)),
        }
    }

    #[test]
    fn a_soak_is_recorded_in_steps_and_over_to_the_second_by_no_wall_clock() {
        let day = Duration::from_hours(24);
        let step = |watched, required| {
            next(
                Some(&held(0)),
                Others::Hold,
                Some(seconds(watched)),
                required,
                &at(-9000),
            )
            .held_seconds
        };
        assert_eq!((step(59, day), step(61, day), step(125, day)), (0, 60, 120));
        assert_eq!((step(5, seconds(10)), step(11, seconds(10))), (5, 11));
        let almost = Soak {
            held_seconds: 86_399,
            ..held(0)
        };
        let over = next(Some(&almost), Others::Hold, Some(seconds(1)), day, &at(0));
        assert!(gate(&over, day).passed && !gate(&almost, day).passed);
        assert!(!gate(&Soak::default(), seconds(1)).passed);
        assert_eq!(told(Duration::from_secs(3661)), "1h1m1s");
    }
}
