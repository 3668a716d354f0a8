//! The children that not every server has: a PodDisruptionBudget, a NetworkPolicy, a HorizontalPodAutoscaler.
//!
//! The operator only has to know whose they are and whether they are as desired. What they say is for others.

use std::fmt;
use std::marker::PhantomData;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::children::Child;
use crate::object::{HORIZONTAL_POD_AUTOSCALERS, Meta, NETWORK_POLICIES, Object, POD_DISRUPTION_BUDGETS, Resource};

/// A child of which nothing but its [`Child`] is kept.
pub struct Extra<K> {
    /// What is kept of every child.
    pub child: Child,
    kind: PhantomData<fn() -> K>,
}

/// A kind of [`Extra`].
pub trait ExtraKind: 'static {
    /// How the API server addresses it.
    const RESOURCE: Resource;
}

/// A PodDisruptionBudget.
pub enum Budget {}
/// A NetworkPolicy.
pub enum Policy {}
/// A HorizontalPodAutoscaler.
pub enum Autoscaler {}

impl ExtraKind for Budget {
    const RESOURCE: Resource = POD_DISRUPTION_BUDGETS;
}

impl ExtraKind for Policy {
    const RESOURCE: Resource = NETWORK_POLICIES;
}

impl ExtraKind for Autoscaler {
    const RESOURCE: Resource = HORIZONTAL_POD_AUTOSCALERS;
}

impl<K: ExtraKind> Object for Extra<K> {
    const RESOURCE: Resource = K::RESOURCE;

    fn decode(json: &str) -> Result<Self, serde_json::Error> {
        #[derive(Deserialize)]
        struct Wire<'json> {
            #[serde(borrow)]
            metadata: &'json RawValue,
        }
        let Wire { metadata } = serde_json::from_str(json)?;
        Ok(Self { child: Child::decode(metadata)?, kind: PhantomData })
    }

    fn meta(&self) -> &Meta {
        &self.child.meta
    }
}

impl<K> PartialEq for Extra<K> {
    fn eq(&self, other: &Self) -> bool {
        self.child == other.child
    }
}

impl<K> fmt::Debug for Extra<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.child.fmt(f)
    }
}
