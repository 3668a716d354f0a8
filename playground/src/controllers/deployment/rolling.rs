//! One step of a rolling update: how large the sets may be next.
//!
//! Never more than `replicas + surge` pods, never fewer than `replicas - unavailable` available ones. The new set grows
//! as far as the first rule lets it, the old ones shrink as far as the second does, and pods that don't work go first.

use super::spec::{Set, Spec, Strategy, total_available, total_size};

/// How large the new set shall be, given the size of all sets with it.
pub(super) fn new_size(spec: &Spec, total: i64, current: i64) -> i64 {
    match spec.strategy {
        Strategy::Recreate => spec.replicas,
        Strategy::RollingUpdate { surge, .. } => {
            let room = spec.replicas + surge - total;
            if current > spec.replicas || room <= 0 {
                current.min(spec.replicas)
            } else {
                (current + room).min(spec.replicas)
            }
        }
    }
}

/// The old sets that can shrink, with their next sizes.
pub(super) fn shrink_old<'a>(spec: &Spec, new: &Set<'_>, old: &[Set<'a>]) -> Vec<(Set<'a>, i64)> {
    let min_available = spec.replicas - spec.unavailable();
    let mut old: Vec<Set<'a>> = old.iter().filter(|set| set.size > 0).copied().collect();
    old.sort_by_key(Set::age);
    let mut spare = total_size(&old) + new.size - min_available - (new.size - new.available);
    let before: Vec<i64> = old.iter().map(|set| set.size).collect();
    if spare <= 0 {
        return Vec::new();
    }
    // Pods that aren't available don't count: taking them away makes nothing worse.
    for set in &mut old {
        let broken = (set.size - set.available).clamp(0, spare);
        set.size -= broken;
        spare -= broken;
    }
    let mut spare = total_available(&old) + new.available - min_available;
    for set in &mut old {
        let taken = set.size.min(spare.max(0));
        set.size -= taken;
        spare -= taken;
    }
    let changed = old.into_iter().zip(before).filter(|(set, before)| set.size != *before);
    changed.map(|(set, _)| (set, set.size)).collect()
}
