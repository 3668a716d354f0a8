//! The HorizontalPodAutoscaler controller, as far as it gets without metrics: it holds its bounds.
//!
//! No containers run here, so nothing uses a processor and nothing measures it. What remains of autoscaling is real: a
//! target below `minReplicas` grows, one above `maxReplicas` shrinks, one of zero is left alone, and in between the
//! autoscaler says what a cluster without a metrics server says.

use std::sync::Arc;

use serde_json::{Value, json};
use tokio::time::{Duration, Instant};

use super::MANAGER;
use super::harness::{Change, Control};
use super::meta::{condition, int, is_deleting, name, namespace, stamp, text};
use super::queue::Queue;
use super::recorder::{Recorder, Word};
use crate::Cluster;
use crate::cluster::{Target, WriteOptions};
use crate::resources::{Registry, Resource, Scale, ScaleSelector};
use crate::status::Status;
use crate::storage::{EventKind, Key};

const AUTOSCALERS: &str = "horizontalpodautoscalers.autoscaling";
/// How often an autoscaler looks at its target.
const PERIOD: Duration = Duration::from_secs(15);
const NO_METRICS: &str = "the HPA was unable to compute the replica count: failed to get cpu utilization: unable to get \
    metrics for resource cpu: unable to fetch metrics from resource metrics API: the server could not find the requested \
    resource (get pods.metrics.k8s.io)";

/// What an autoscaler sees of its target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seen {
    /// How many replicas the target asks for.
    pub replicas: u64,
    /// Whether its scale names a selector.
    pub selects: bool,
}

/// What an autoscaler makes of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// The target is to have this many, for this reason.
    Rescale(u64, &'static str),
    /// Scaling is not active: reason and message.
    Inactive(&'static str, &'static str),
}

/// Decides for an autoscaler.
pub fn judge(autoscaler: &Value, seen: Seen) -> Verdict {
    let bound = |field: &str| u64::try_from(int(autoscaler, &["spec", field])).unwrap_or(0);
    let (min, max) = (bound("minReplicas"), bound("maxReplicas"));
    match seen {
        Seen { replicas: 0, .. } if min != 0 => {
            Verdict::Inactive("ScalingDisabled", "scaling is disabled since the replica count of the target is zero")
        }
        Seen { replicas, .. } if replicas > max => {
            Verdict::Rescale(max, "Current number of replicas above Spec.MaxReplicas")
        }
        Seen { replicas, .. } if replicas < min => {
            Verdict::Rescale(min, "Current number of replicas below Spec.MinReplicas")
        }
        Seen { selects: false, .. } => {
            Verdict::Inactive("InvalidSelector", "the HPA target's scale is missing a selector")
        }
        Seen { .. } => Verdict::Inactive("FailedGetResourceMetric", NO_METRICS),
    }
}

/// The acting half.
#[derive(Debug)]
pub(super) struct Controller {
    cluster: Cluster,
    recorder: Recorder,
}

impl Controller {
    pub(super) fn new(cluster: Cluster, recorder: Recorder) -> Self {
        Self { cluster, recorder }
    }

    /// The target and what is seen of it; an error says why there is none.
    fn target(&self, autoscaler: &Value) -> Result<(Target, Seen), String> {
        let reference = &autoscaler["spec"]["scaleTargetRef"];
        let (api_version, kind) = (text(reference, &["apiVersion"]), text(reference, &["kind"]));
        let registry = self.cluster.registry();
        let scalable = |resource: &&Arc<Resource>| {
            resource.kind == kind && resource.api_version() == api_version && resource.scale.is_some()
        };
        let group = api_version.split_once('/').map_or("", |(group, _)| group);
        let found = registry.all().find(scalable);
        let resource = found.ok_or_else(|| format!("no matches for kind \"{kind}\" in group \"{group}\""))?;
        let target = self.cluster.target_of(Arc::clone(resource), namespace(autoscaler), text(reference, &["name"]));
        let object = self.cluster.get(&resource.group_resource(), &target.key.namespace, &target.key.name);
        let object = object.ok_or_else(|| Status::not_found(resource, &target.key.name).message)?;
        let seen = target.stored.scale.as_ref().map(|scale| see(scale, &object));
        Ok((target, seen.ok_or_else(|| format!("{} has no scale", resource.group_resource()))?))
    }

    fn rescale(&self, autoscaler: &Value, target: &Target, size: u64, why: &str) -> Result<Value, Status> {
        self.cluster.write_scale(target, &WriteOptions::by(MANAGER), |_| Ok(size))?;
        let word = Word::normal("SuccessfulRescale", format!("New size: {size}; reason: {why}"));
        self.recorder.say(autoscaler, None, &word);
        let mut next = autoscaler.clone();
        next["status"]["desiredReplicas"] = size.into();
        next["status"]["lastScaleTime"] = stamp(self.cluster.now()).into();
        let message = format!("the HPA controller was able to update the target scale to {size}");
        self.set(&mut next, "AbleToScale", "True", "SucceededRescale", &message);
        Ok(next)
    }

    fn set(&self, autoscaler: &mut Value, kind: &str, status: &str, reason: &str, message: &str) {
        let mut conditions = autoscaler["status"]["conditions"].as_array().cloned().unwrap_or_default();
        let before = condition(&conditions, kind).filter(|before| text(before, &["status"]) == status);
        let now = stamp(self.cluster.now());
        let since = before.map_or(now, |before| text(before, &["lastTransitionTime"]).to_owned());
        let new =
            json!({"type": kind, "status": status, "lastTransitionTime": since, "reason": reason, "message": message});
        match conditions.iter_mut().find(|condition| text(condition, &["type"]) == kind) {
            Some(condition) => *condition = new,
            None => conditions.push(new),
        }
        autoscaler["status"]["conditions"] = conditions.into();
    }

    fn look(&self, autoscaler: &Value) -> Result<Value, Status> {
        let mut next = autoscaler.clone();
        let (target, seen) = match self.target(autoscaler) {
            Ok(found) => found,
            Err(why) => {
                let message = format!("the HPA controller was unable to get the target's current scale: {why}");
                self.recorder.say(autoscaler, None, &Word::warning("FailedGetScale", why));
                self.set(&mut next, "AbleToScale", "False", "FailedGetScale", &message);
                return Ok(next);
            }
        };
        next["status"]["currentReplicas"] = seen.replicas.into();
        match judge(autoscaler, seen) {
            Verdict::Rescale(size, why) => return self.rescale(&next, &target, size, why),
            Verdict::Inactive(reason, message) => {
                let able = "the HPA controller was able to get the target's current scale";
                self.set(&mut next, "AbleToScale", "True", "SucceededGetScale", able);
                self.set(&mut next, "ScalingActive", "False", reason, message);
            }
        }
        Ok(next)
    }
}

fn see(scale: &Scale, object: &Value) -> Seen {
    let at = |path: &[String]| path.iter().fold(object, |value, part| &value[part]);
    let selects = match &scale.selector {
        ScaleSelector::Absent => false,
        ScaleSelector::Text(path) => at(path).as_str().is_some_and(|selector| !selector.is_empty()),
        ScaleSelector::Structured(path) => at(path).is_object(),
    };
    Seen { replicas: at(&scale.spec_replicas).as_u64().unwrap_or(0), selects }
}

impl Control for Controller {
    type Key = Key;

    fn tables(&self, _: &Registry) -> Vec<String> {
        vec![AUTOSCALERS.into()]
    }

    fn observe(&mut self, change: &Change<'_>, queue: &mut Queue<Key>) {
        // Its own status is not news: the next look comes with the clock.
        let object = change.object.value();
        let same_spec = change.previous.is_some_and(|before| before.value()["spec"] == object["spec"]);
        if change.kind != EventKind::Deleted && !same_spec {
            queue.add(change.object.key.clone());
        }
    }

    fn sync(&mut self, key: &Key, queue: &mut Queue<Key>) -> Result<(), Status> {
        let Some(autoscaler) = self.cluster.get(AUTOSCALERS, &key.namespace, &key.name) else { return Ok(()) };
        if is_deleting(&autoscaler) {
            return Ok(());
        }
        queue.add_at(key.clone(), Instant::now() + PERIOD);
        let next = self.look(&autoscaler)?;
        if next["status"] != autoscaler["status"] {
            let namespace = namespace(&autoscaler).to_owned();
            tracing::debug!(name = name(&autoscaler), "an autoscaler has news");
            self.cluster.update_status(AUTOSCALERS, &namespace, next, MANAGER)?;
        }
        Ok(())
    }

    fn reset(&mut self) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_are_held_and_without_metrics_nothing_else_is_done() {
        let autoscaler = json!({"spec": {"minReplicas": 2, "maxReplicas": 5}});
        let of = |replicas, selects| match judge(&autoscaler, Seen { replicas, selects }) {
            Verdict::Rescale(size, _) => Ok(size),
            Verdict::Inactive(reason, _) => Err(reason),
        };
        assert_eq!(of(1, false), Ok(2));
        assert_eq!(of(9, true), Ok(5));
        assert_eq!(of(0, true), Err("ScalingDisabled"));
        assert_eq!(of(3, false), Err("InvalidSelector"));
        assert_eq!(of(3, true), Err("FailedGetResourceMetric"));
    }
}
