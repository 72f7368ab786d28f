//! The integration of one strand without a cluster: which edits count, and which phase is in force. Pure: the phases are
//! decided by the same code as in the operator.

use std::time::Instant;

use boboyka_crds::phases::{self, Evidence, Now, Report, Request, Watch};
use boboyka_crds::{
    BoboykaIntegrationSpec, Finalized, IntegrationStatus, Lists, Phase, StrandStatus,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use serde_json::{Value, json};

use super::documents::{self, Documents};
use super::reader::Text;

/// The name of the strand in messages.
const STRAND: &str = "this strand";

/// The integration, as the file asked for it and as it is in force.
#[derive(Debug)]
pub(super) struct Machine {
    /// The edit that counts; none before the file was right for the first time.
    accepted: Option<Documents>,
    /// What is wrong with the file as it is now.
    wrong: Option<String>,
    generation: i64,
    /// Who made the edit that counts.
    by: Option<String>,
    /// Phase, generation, transition and what else is decided, as it was decided last.
    decided: IntegrationStatus,
    /// The list of legacy projects in force, before the last decision and after it.
    lists: Lists,
    /// Whether no list in force is an answer: this process has decided, and the strand does not obey the list that is asked for.
    has_decided: bool,
    watch: Watch,
}

impl Machine {
    /// `obeyed` is the phase that the strand recorded last, and its generation; `generation` the last one that is known.
    pub(super) fn new(obeyed: Option<(Phase, i64)>, generation: i64) -> Self {
        Self {
            accepted: None,
            wrong: None,
            generation,
            by: None,
            lists: Lists::default(),
            has_decided: false,
            watch: Watch::default(),
            decided: IntegrationStatus {
                phase: obeyed.map(|(phase, _)| phase),
                phase_generation: obeyed.map(|(_, generation)| generation),
                ..IntegrationStatus::default()
            },
        }
    }

    /// Takes up what an earlier process decided, if it is about the phase that the strand obeys; who changed the legal hold
    /// has nothing to do with that. `finalized` is whether the strand recorded the end of the migration, which counts whatever
    /// a status says.
    pub(super) fn restore(
        &mut self,
        before: Option<&IntegrationStatus>,
        finalized: bool,
        now: &Time,
    ) {
        self.decided.legal_hold = before.and_then(|before| before.legal_hold.clone());
        let before = before.filter(|it| it.phase.is_some() && it.phase == self.decided.phase);
        if let Some(before) = before {
            self.decided.transition.clone_from(&before.transition);
            self.decided.force.clone_from(&before.force);
            self.decided.last_change.clone_from(&before.last_change);
            self.decided.finalized.clone_from(&before.finalized);
            self.decided.migration.clone_from(&before.migration);
        }
        if finalized && self.decided.finalized.is_none() {
            self.decided.finalized = Some(Finalized {
                generation: self.decided.phase_generation.unwrap_or_default(),
                at: now.clone(),
                by: None,
                evidence: String::new(),
            });
        }
    }

    /// Reads the file as it is now, and its owner. What is wrong changes nothing.
    pub(super) fn read(&mut self, text: &Text, owner: Option<String>) {
        let read = text.clone().and_then(|text| self.parse(&text));
        match read {
            Err(wrong) => self.wrong = Some(wrong),
            Ok(documents) => {
                self.wrong = None;
                // What an API server counts: changes of the specification.
                let is_edit = self.spec() != Some(&documents.spec);
                self.generation += i64::from(is_edit);
                if is_edit || self.names() != documents.names.as_ref() {
                    self.by = owner;
                }
                self.accepted = Some(documents);
            }
        }
    }

    fn parse(&self, text: &str) -> Result<Documents, String> {
        let read = documents::parse(text).and_then(|documents| {
            let before = self.accepted.as_ref().unwrap_or(&documents);
            documents.may_follow(before, &self.decided, text)?;
            Ok(documents)
        });
        read.map_err(|wrong| wrong.to_string())
    }

    /// Decides which phase is in force, now that the strand is so.
    /// `moment` is the same time by a clock that never jumps.
    pub(super) fn decide(
        &mut self,
        strand: &StrandStatus,
        has_supabase: bool,
        now: &Time,
        moment: Instant,
    ) {
        let Some(spec) = self.spec() else { return };
        let request = Request {
            has_supabase,
            ..self.request(spec)
        };
        let now = Now {
            time: now.clone(),
            watched: self.watch.look(&self.decided, moment),
            asked: self.watch.asked(&self.decided, moment),
        };
        let evidence = evidence(strand);
        self.has_decided = !obeys_list(&evidence, &request);
        let standing = phases::decide(&request, &self.decided, &[evidence], &now);
        self.watch.note(standing.transition.as_ref());
        self.lists.told();
        let listed = standing.migration.as_ref();
        let listed = listed.and_then(|it| it.legacy.as_ref());
        self.lists.after = listed.and_then(|it| it.list(request.legacy().as_ref()));
        standing.write(&mut self.decided);
    }

    fn request(&self, spec: &BoboykaIntegrationSpec) -> Request {
        Request {
            names: self.names().cloned(),
            ..Request::of(spec, self.generation, self.by.clone())
        }
    }

    /// The names of legacy projects, where a ConfigMap has them.
    fn names(&self) -> Option<&Vec<String>> {
        self.accepted.as_ref()?.names.as_ref()
    }

    /// The specification that counts.
    pub(super) fn spec(&self) -> Option<&BoboykaIntegrationSpec> {
        self.accepted.as_ref().map(|documents| &documents.spec)
    }

    pub(super) fn accepted(&self) -> Option<&Documents> {
        self.accepted.as_ref()
    }

    pub(super) fn wrong(&self) -> Option<&str> {
        self.wrong.as_deref()
    }

    pub(super) fn generation(&self) -> i64 {
        self.generation
    }

    /// Phase, generation, transition and what else is decided.
    pub(super) fn decided(&self) -> &IntegrationStatus {
        &self.decided
    }

    /// The list of legacy projects in force, before the last decision and after it.
    pub(super) fn lists(&self) -> &Lists {
        &self.lists
    }

    /// Specification and status, as a cluster would have them; none before the file was right for the first time.
    pub(super) fn object(&self) -> Option<Value> {
        let spec = self.spec()?;
        // Without a decision, the phase that will be decided on an empty strand: nothing is mirrored before it is known.
        let mut status = match self.decided.phase {
            Some(_) => self.decided.clone(),
            None => IntegrationStatus {
                phase: Some(spec.phase),
                phase_generation: Some(self.generation),
                ..IntegrationStatus::default()
            },
        };
        // No record must pass by a list that is not decided on yet. Once it is, none in force is an answer: a pause keeps it so.
        let list = || phases::first_list(&self.request(spec)).filter(|_| !self.has_decided);
        status.migration = status.migration.or_else(list);
        Some(json!({"spec": spec, "status": status}))
    }
}

/// Whether the strand obeys the list of the specification, as after a restart.
fn obeys_list(strand: &Evidence<String>, request: &Request) -> bool {
    let asked = phases::first_list(request).and_then(|it| it.legacy);
    let obeyed = strand.legacy.as_ref();
    asked.is_some_and(|asked| obeyed.is_some_and(|it| it.digest == asked.digest))
}

fn evidence(strand: &StrandStatus) -> Evidence<String> {
    let chain = strand.chain.as_ref().filter(|chain| !chain.intact);
    let problem = chain.map(|chain| chain.reason.clone().unwrap_or_default());
    Evidence::reported(STRAND, true, Report::Fresh, Some(strand), problem)
}
