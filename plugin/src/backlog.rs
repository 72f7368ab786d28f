//! How far the draining of strands has come. Pure.

use serde::Serialize;

use crate::standing::{Standing, State};
use crate::table::{Cell, Table, paragraph};

/// What waits in the strands that are meant.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Backlog {
    /// Records that wait for Supabase.
    #[serde(rename = "backlog")]
    pub(crate) records: i64,
    pub(crate) dead_letters: i64,
    /// The strands in which records wait.
    pub(crate) waiting: Vec<Standing>,
}

impl Backlog {
    /// Sums up.
    pub(crate) fn new(strands: Vec<Standing>) -> Self {
        let sum = |of: fn(&Standing) -> i64| strands.iter().map(of).sum();
        Self {
            records: sum(|one| one.backlog),
            dead_letters: sum(|one| one.dead_letters),
            waiting: strands.into_iter().filter(|one| one.backlog > 0).collect(),
        }
    }

    /// Whether nothing waits.
    pub(crate) fn is_drained(&self) -> bool {
        self.records == 0
    }

    /// Who mirrors a strand.
    fn who(one: &Standing) -> String {
        let by = match (&one.pod, one.state) {
            (None, State::Fenced) => "nobody",
            (None, _) => "a drain Job of the operator",
            (Some(_), State::Draining) => "the drain Job",
            (Some(_), _) => "its pod's sidecar",
        };
        if one.why.is_empty() {
            by.to_owned()
        } else {
            format!("{by}; {}", one.why)
        }
    }

    /// The answer as people read it.
    pub(crate) fn text(&self, width: Option<usize>) -> String {
        let mut text = String::new();
        if !self.is_drained() {
            let mut table = Table::new(&["STRAND", "BACKLOG", "MIRRORED BY"]);
            for one in &self.waiting {
                table.row([
                    Cell::from(format!("{}/{}", one.namespace, one.name)),
                    Cell::from(one.backlog.to_string()),
                    Cell::from(Self::who(one)),
                ]);
            }
            text += &table.render(width);
            text += "\n";
        }
        let sentence = match self.records {
            0 => "drained: no record waits for Supabase".to_owned(),
            waiting => format!("{waiting} records still wait for Supabase"),
        };
        text += &paragraph(&sentence, 0, width);
        if self.dead_letters > 0 {
            let rejected = format!(
                "{} dead letters are not among them: kubectl boboyka dead-letters",
                self.dead_letters
            );
            text += &paragraph(&rejected, 0, width);
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use boboyka_crds::BoboykaStrand;
    use serde_json::{Value, json};

    use super::*;
    use crate::standing::standing;

    fn strand(name: &str, backlog: i64, holder: &Value) -> Standing {
        let strand: BoboykaStrand = serde_json::from_value(json!({
            "apiVersion": "boboyka.sapixdb.com/v1alpha1", "kind": "BoboykaStrand",
            "metadata": {"name": name, "namespace": "agents"}, "spec": {"integration": "boboyka", "holder": holder},
            "status": {"podUid": "u", "reportedAt": "2026-01-01T12:00:00Z", "ready": true, "lanes": [], "backlog": backlog,
                "deadLetters": 1},
        }))
        .unwrap();
        standing(&strand, None, "2026-01-01T12:00:00Z".parse().unwrap())
    }

    #[test]
    fn what_waits_is_told_with_who_mirrors_it() {
        let held = json!({"token": "t", "podName": "agent", "podUid": "u"});
        let backlog = Backlog::new(vec![
            strand("a", 3, &held),
            strand("b", 2, &Value::Null),
            strand("c", 0, &Value::Null),
        ]);
        assert_eq!(
            backlog.text(None),
            "STRAND    BACKLOG  MIRRORED BY\n\
             agents/a  3        its pod's sidecar; Supabase rejected 1 record\n\
             agents/b  2        a drain Job of the operator; Supabase rejected 1 record\n\
             \n\
             5 records still wait for Supabase\n\
             3 dead letters are not among them: kubectl boboyka dead-letters\n"
        );
        let drained = Backlog::new(vec![strand("c", 0, &Value::Null)]);
        assert!(drained.is_drained() && drained.text(None).starts_with("drained: no record waits"));
    }
}
