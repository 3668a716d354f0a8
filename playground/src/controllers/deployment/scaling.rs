//! A Deployment of another size, in the middle of a rollout perhaps.
//!
//! If only the new set grew, scaling up would hasten a rollout that may be a bad one; so all sets that have pods grow
//! and shrink in proportion.

use std::cmp::Reverse;

use super::spec::{DESIRED, MAX, Set, Spec, Strategy, total_size};
use crate::controllers::meta::int;

/// Was the Deployment scaled since its sets were?
pub(super) fn is_due(spec: &Spec, sets: &[Set<'_>]) -> bool {
    let noted = |set: &Set<'_>| set.annotation(DESIRED).and_then(|text| text.parse::<i64>().ok());
    sets.iter().filter(|set| set.size > 0).filter_map(noted).any(|desired| desired != spec.replicas)
}

/// The sets with the sizes that they shall have.
pub(super) fn sizes<'a>(spec: &Spec, new: Option<Set<'a>>, old: &[Set<'a>]) -> Vec<(Set<'a>, i64)> {
    let all = || old.iter().copied().chain(new);
    let active: Vec<Set<'a>> = all().filter(|set| set.size > 0).collect();
    let latest = || new.or_else(|| all().max_by_key(Set::age));
    let only = match active.as_slice() {
        [] => latest(),
        [one] => Some(*one),
        _ => None,
    };
    if let Some(only) = only {
        return vec![(only, spec.replicas)];
    }
    if new.is_some_and(|new| is_saturated(spec, &new)) {
        return old.iter().filter(|set| set.size > 0).map(|set| (*set, 0)).collect();
    }
    match spec.strategy {
        Strategy::Recreate => Vec::new(),
        Strategy::RollingUpdate { surge, .. } => proportional(spec, surge, active),
    }
}

fn is_saturated(spec: &Spec, new: &Set<'_>) -> bool {
    let desired = new.annotation(DESIRED).and_then(|text| text.parse::<i64>().ok());
    new.size == spec.replicas && desired == Some(spec.replicas) && new.available == spec.replicas
}

fn proportional<'a>(spec: &Spec, surge: i64, mut sets: Vec<Set<'a>>) -> Vec<(Set<'a>, i64)> {
    let allowed = if spec.replicas > 0 { spec.replicas + surge } else { 0 };
    let missing = allowed - total_size(&sets);
    // The largest first; among equals the newer one grows and the older one shrinks.
    if missing > 0 {
        sets.sort_by_key(|set| (Reverse(set.size), Reverse(set.age())));
    } else {
        sets.sort_by_key(|set| (Reverse(set.size), set.age()));
    }
    let mut left = missing;
    let mut sizes: Vec<(Set<'a>, i64)> = Vec::new();
    for set in sets {
        let share = share(spec, &set, allowed);
        let share = if missing > 0 { share.clamp(0, left) } else { share.clamp(left, 0) };
        left -= share;
        sizes.push((set, set.size + share));
    }
    if let Some((_, size)) = sizes.first_mut() {
        *size = (*size + left).max(0);
    }
    sizes
}

/// By how much a set changes when its Deployment may have `allowed` pods instead of those it was last scaled for.
fn share(spec: &Spec, set: &Set<'_>, allowed: i64) -> i64 {
    if spec.replicas == 0 {
        return -set.size;
    }
    let noted = set.annotation(MAX).and_then(|text| text.parse::<i64>().ok());
    let before = noted.unwrap_or_else(|| int(set.value, &["status", "replicas"])).max(1);
    // Rounded to the nearest.
    (2 * set.size * allowed + before) / (2 * before) - set.size
}
