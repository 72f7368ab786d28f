//! What may happen.

use boboyka_crds::{Force, GateName, Migration, Phase};
use proptest::prelude::*;

pub(crate) const STRANDS: usize = 3;
const PHASES: [Phase; 3] = [Phase::DualWrite, Phase::MigrateInternals, Phase::CutOver];

#[derive(Clone, Debug)]
pub(crate) enum Step {
    Ask(Phase),
    Suspend(bool),
    NameSupabase(bool),
    /// Another `spec.migration`, or none.
    Migrate(Option<Migration>),
    /// Another list of legacy projects, by its bits.
    List(u8),
    /// The same in a ConfigMap, which has none without bits.
    ListElsewhere(u8),
    /// Another list for a moment, which one strand obeys, or misses, and does not report.
    ListAndBack(usize, u8, bool),
    /// The migration pauses or goes on, and the list stays.
    Pause(bool),
    /// Time passes.
    Pass,
    /// The wall clock of who decides jumps by this many seconds.
    Jump(i64),
    /// Who decides is killed.
    Restart,
    /// The scrub reads the strand again.
    Scrub(usize),
    /// The strand's table is compared with it, and foreign rows are counted.
    Compare(usize),
    /// The sidecar does not know any more how strand and table differ.
    Unknow(usize),
    /// Somebody changes a row of the strand's table.
    Differ(usize),
    /// Somebody else writes to the tables.
    WriteForeign,
    Append(usize),
    Mirror(usize),
    Refuse(usize),
    Repair(usize),
    Break(usize),
    /// The sidecar sees the phase in force, and the change under way.
    Obey(usize),
    /// What the strand shows now becomes known.
    Report(usize),
    /// The last report grows old.
    Silence(usize),
    /// The sidecar is killed: the boundary that it fixed is gone.
    Kill(usize),
    /// The pod is gone.
    Free(usize),
    /// Nobody has ever heard of the strand.
    Forget(usize),
    /// All goes well for a while: what is wrong is repaired, everything is mirrored, obeyed and reported.
    Settle(usize),
    /// All goes well everywhere for some seconds.
    Flow(usize),
    /// What is decided is not written: somebody else wrote at that moment.
    Lose,
    /// The process that decides is killed, and reads back what was written.
    Decide,
}

fn migration() -> impl Strategy<Value = Option<Migration>> {
    let soak = prop::sample::select(vec!["0s", "0s", "20s"]);
    let gates = vec![
        vec![],
        vec![],
        vec![GateName::Parity],
        vec![GateName::Drained, GateName::Soak],
        vec![GateName::Parity, GateName::Drained, GateName::Soak],
    ];
    let (force, rarely) = (prop::sample::select(gates), prop::bool::weighted);
    let some = (soak, force, 0..9_u8, rarely(0.1), rarely(0.4));
    let some = some.prop_map(|(soak, gates, reason, pause, finalized)| Migration {
        legacy_projects: Vec::new(),
        legacy_projects_from: None,
        legacy_shared: false,
        backfill: None,
        soak: soak.to_owned(),
        pause,
        force: (!gates.is_empty()).then(|| Force {
            gates,
            reason: reason.to_string(),
        }),
        finalized,
    });
    prop::option::weighted(0.8, some)
}

pub(crate) fn step() -> impl Strategy<Value = Step> {
    let one = || 0..STRANDS;
    prop_oneof![
        3 => prop::sample::select(&PHASES[..]).prop_map(Step::Ask),
        1 => Just(Step::Ask(Phase::CutOver)),
        1 => prop::sample::select(vec![true, false, false]).prop_map(Step::Suspend),
        1 => prop::bool::weighted(0.7).prop_map(Step::NameSupabase),
        5 => migration().prop_map(Step::Migrate),
        3 => (0..8_u8).prop_map(Step::List),
        2 => (0..8_u8).prop_map(Step::ListElsewhere),
        2 => (one(), 0..8_u8, any::<bool>()).prop_map(|(one, bits, is_obeyed)| Step::ListAndBack(one, bits, is_obeyed)),
        1 => prop::bool::weighted(0.3).prop_map(Step::Pause),
        4 => Just(Step::Pass),
        1 => (-100_000_i64..100_000).prop_map(Step::Jump),
        1 => Just(Step::Restart),
        4 => one().prop_map(Step::Scrub),
        4 => one().prop_map(Step::Compare),
        2 => Just(Step::Lose),
        2 => one().prop_map(Step::Unknow),
        1 => one().prop_map(Step::Differ),
        1 => Just(Step::WriteForeign),
        4 => one().prop_map(Step::Append),
        6 => one().prop_map(Step::Mirror),
        1 => one().prop_map(Step::Refuse),
        2 => one().prop_map(Step::Repair),
        1 => one().prop_map(Step::Break),
        8 => one().prop_map(Step::Obey),
        12 => one().prop_map(Step::Report),
        2 => one().prop_map(Step::Silence),
        1 => one().prop_map(Step::Kill),
        1 => one().prop_map(Step::Free),
        1 => one().prop_map(Step::Forget),
        12 => one().prop_map(Step::Settle),
        10 => (1..60_usize).prop_map(Step::Flow),
        16 => Just(Step::Decide),
    ]
}
