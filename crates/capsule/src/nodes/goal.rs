//! What a server is to become, as the journal keeps it.

use std::collections::BTreeMap;

use capsule_core::PlanKind;
use capsule_engine::{OnFailure, Record};
use capsule_xnode::{Domain, Limits, Owner, Stage};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// An xNode: whose, and how it is watched. Its JSON stands in the journal and stays readable.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Goal {
    /// Whose it is, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<Owner>,
    /// The name that it was told to answer to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub domain: Option<Domain>,
    /// What becomes of it when it runs and never is an xNode.
    #[serde(default = "keep")]
    pub on_stuck: OnFailure,
    /// What becomes of it when it obeys anyone.
    #[serde(default = "keep")]
    pub on_unclaimed: OnFailure,
    /// Other limits than the usual ones, in seconds.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub limits: BTreeMap<Stage, u64>,
}

fn keep() -> OnFailure {
    OnFailure::Keep
}

impl Goal {
    /// An xNode that is there already.
    pub fn existing(owner: Option<Owner>, domain: Option<Domain>) -> Self {
        Goal { owner, domain, on_stuck: keep(), on_unclaimed: keep(), limits: BTreeMap::new() }
    }

    /// What a server of the inventory is meant to be; `None` if that is no xNode.
    pub fn of(record: &Record) -> Option<Goal> {
        record.goal.as_ref().and_then(|goal| serde_json::from_value(goal.clone()).ok())
    }

    /// As the journal keeps it.
    pub fn to_value(&self) -> Value {
        serde_json::to_value(self).expect("a goal holds nothing that JSON cannot")
    }

    /// How long each stage may take on such a machine.
    pub fn limits(&self, kind: Option<PlanKind>) -> Limits {
        let mut limits = Limits::of(kind);
        for (stage, seconds) in &self.limits {
            limits.set(*stage, *seconds);
        }
        limits
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_journal_holds_stays_readable() {
        let first = serde_json::json!({
            "owner": "eth:5aaeb6053f3e94c9b9a09f33669435e7ef1beaed",
            "domain": "node.example.org",
            "on_stuck": "delete",
            "on_unclaimed": "delete",
            "limits": { "kexec": 40 },
        });
        let goal: Goal = serde_json::from_value(first.clone()).unwrap();
        assert_eq!(goal.to_value(), first);
        assert_eq!(goal.limits(None).kexec, 40);
        let least: Goal = serde_json::from_value(serde_json::json!({})).unwrap();
        assert_eq!((least.on_stuck, least.on_unclaimed), (OnFailure::Keep, OnFailure::Keep));
    }
}
