//! Random requests, reports, delays and crashes against the machine of phases. `PHASE_STEPS` sets how many (10 000).

#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test that panics says where"
)]

mod check;
mod step;
mod strand;
mod world;

use proptest::test_runner::{Config, TestRunner};

use step::step;
use world::World;

/// The steps of one walk.
const WALK: usize = 100;

#[test]
fn no_walk_passes_a_gate_on_missing_evidence_or_closes_the_way_back() {
    let steps = std::env::var("PHASE_STEPS").map_or(10_000, |steps| steps.parse().unwrap());
    let cases = u32::try_from(steps / WALK).unwrap();
    let mut runner = TestRunner::new(Config {
        cases,
        failure_persistence: None,
        ..Config::default()
    });
    // Steps forward and back, steps after a soak, ends, forced steps.
    let mut passed = [0_u32; 5];
    let walk = proptest::collection::vec(step(), WALK);
    let counted = std::cell::RefCell::new(&mut passed);
    let outcome = runner.run(&walk, |steps| {
        let mut world = World::new();
        for step in &steps {
            let before = world.written.phase;
            world.take(step);
            if let (Some(before), Some(after)) = (before, world.written.phase) {
                counted.borrow_mut()[0] += u32::from(after > before);
                counted.borrow_mut()[1] += u32::from(after < before);
            }
            world.count(&mut counted.borrow_mut()[2..]);
        }
        Ok(())
    });
    outcome.unwrap();
    let enough = [10, 10, 40, 100, 100].map(|part| cases / part);
    assert!(
        passed
            .iter()
            .zip(enough)
            .all(|(count, enough)| *count >= enough),
        "the walks lead nowhere: {passed:?}"
    );
}
