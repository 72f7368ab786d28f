//! The fleet at a glance, from integrations and strands. Pure.

use std::collections::BTreeMap;

use boboyka_crds::{
    BackfillStatus, BoboykaIntegration, BoboykaStrand, IntegrationStatus, LegalHold, Migration,
    Phase, Transition,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use k8s_openapi::jiff::Timestamp;
use kube::ResourceExt as _;
use serde::Serialize;

use crate::standing::{Standing, State, standing};

/// How many of the worst strands are shown.
const WORST: usize = 5;

/// The fleet at a glance.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Fleet {
    pub(crate) integrations: Vec<Integration>,
    /// The number of strands in each state.
    pub(crate) states: BTreeMap<State, usize>,
    /// The worst strands, at most five.
    pub(crate) worst: Vec<Standing>,
}

/// One integration.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Integration {
    pub(crate) namespace: String,
    pub(crate) name: String,
    /// The phase in force.
    pub(crate) phase: Option<Phase>,
    /// The phase that the specification asks for.
    pub(crate) requested: Phase,
    /// Whether it is ready; absent until the operator has seen it.
    pub(crate) ready: Option<bool>,
    /// Why it is, or is not.
    pub(crate) message: String,
    pub(crate) suspended: bool,
    /// Whether `spec.retention.hold` is set.
    pub(crate) hold: bool,
    /// The legal hold, as somebody changed it last.
    pub(crate) legal_hold: Option<LegalHold>,
    /// Whether the operator has processed the newest specification.
    pub(crate) current: bool,
    /// Ready strands / strands that a pod holds.
    pub(crate) strands: String,
    pub(crate) records: i64,
    pub(crate) backlog: i64,
    pub(crate) lag: Option<String>,
    pub(crate) dead_letters: i64,
    pub(crate) supabase_url: Option<String>,
    /// How the migration moves, `spec.migration`.
    pub(crate) migration: Option<Migration>,
    /// How the backfill stands.
    pub(crate) backfill: Option<BackfillStatus>,
    /// What tells how many projects Supabase is still needed for, after `DualWrite`.
    pub(crate) legacy: Option<String>,
    /// The phase change that waits, with its gates.
    pub(crate) transition: Option<Transition>,
    pub(crate) conditions: Vec<Condition>,
}

impl Fleet {
    /// Looks at all of them.
    pub(crate) fn new(
        integrations: &[BoboykaIntegration],
        strands: &[BoboykaStrand],
        now: Timestamp,
    ) -> Self {
        let mut standings = standings(integrations, strands, now);
        let mut states = BTreeMap::new();
        for one in &standings {
            *states.entry(one.state).or_default() += 1;
        }
        standings.retain(|one| one.state.is_worth_a_look());
        standings
            .sort_by(|a, b| (a.state, -a.backlog, &a.name).cmp(&(b.state, -b.backlog, &b.name)));
        standings.truncate(WORST);
        Self {
            integrations: integrations.iter().map(Integration::new).collect(),
            states,
            worst: standings,
        }
    }

    /// Whether somebody has to act.
    pub(crate) fn is_wrong(&self) -> bool {
        let mut states = self.states.keys();
        let mut integrations = self.integrations.iter();
        integrations.any(|one| one.ready != Some(true) || one.fails_to_archive())
            || states.any(|state| state.is_wrong())
    }
}

/// How every strand of agents stands; the history is told of as the backfill of its integration.
pub(crate) fn standings(
    integrations: &[BoboykaIntegration],
    strands: &[BoboykaStrand],
    now: Timestamp,
) -> Vec<Standing> {
    let by_name: BTreeMap<_, _> = integrations
        .iter()
        .map(|one| ((one.namespace(), one.name_any()), one))
        .collect();
    let of = |strand: &BoboykaStrand| {
        let key = (strand.namespace(), strand.spec.integration.clone());
        standing(strand, by_name.get(&key).copied(), now)
    };
    let of_agents = strands.iter().filter(|strand| !strand.is_history());
    of_agents.map(of).collect()
}

impl Integration {
    /// Looks at one.
    pub(crate) fn new(integration: &BoboykaIntegration) -> Self {
        let none = IntegrationStatus::default();
        let status = integration.status.as_ref().unwrap_or(&none);
        let ready = status.conditions.iter().find(|one| one.type_ == "Ready");
        Self {
            namespace: integration.namespace().unwrap_or_default(),
            name: integration.name_any(),
            phase: status.phase,
            requested: integration.spec.phase,
            ready: ready.map(|one| one.status == "True"),
            message: ready.map_or_else(
                || "no operator has seen it yet: kubectl boboyka check".to_owned(),
                |one| one.message.clone(),
            ),
            suspended: integration.spec.suspend,
            hold: integration
                .spec
                .retention
                .as_ref()
                .is_some_and(|retention| retention.hold),
            legal_hold: status.legal_hold.clone(),
            current: status.observed_generation == integration.metadata.generation,
            strands: status
                .strands
                .summary
                .clone()
                .unwrap_or_else(|| "0/0".to_owned()),
            records: status.records,
            backlog: status.backlog,
            lag: status.lag.clone(),
            dead_letters: status.dead_letters,
            supabase_url: status.supabase_url.clone(),
            migration: integration.spec.migration.clone(),
            backfill: status.migration.as_ref().and_then(|it| it.backfill.clone()),
            legacy: status
                .migration
                .as_ref()
                .and_then(|it| it.told(status.phase?)),
            transition: status.transition.clone(),
            conditions: status.conditions.clone(),
        }
    }

    /// What is known of the legal hold, if one is asked for or in force.
    pub(crate) fn on_hold(&self) -> Option<String> {
        let mut conditions = self.conditions.iter();
        let told = conditions.find(|one| one.reason == "LegalHold");
        let asked = "a legal hold is asked for (spec.retention.hold)";
        let told = told.map(|one| one.message.clone());
        told.or_else(|| self.hold.then(|| asked.to_owned()))
    }

    /// What is wrong with the archive, or not known of it, if it has one.
    pub(crate) fn unarchived(&self) -> Option<&str> {
        let condition = self.archived()?;
        (condition.status != "True").then_some(condition.message.as_str())
    }

    fn fails_to_archive(&self) -> bool {
        self.archived().is_some_and(|one| one.status == "False")
    }

    fn archived(&self) -> Option<&Condition> {
        let mut conditions = self.conditions.iter();
        conditions.find(|one| one.type_ == "Archived")
    }

    /// Namespace and name.
    pub(crate) fn full_name(&self) -> String {
        format!("{}/{}", self.namespace, self.name)
    }
}
