//! The kinds of children that a server can have.

use crate::api::MCPServerSpec;
use crate::object::{
    DEPLOYMENTS, HORIZONTAL_POD_AUTOSCALERS, NETWORK_POLICIES, POD_DISRUPTION_BUDGETS, Resource, SERVICES,
};

/// A kind of child. Every child has the name of its server, so a server has at most one of each kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum ChildKind {
    /// The Deployment.
    Deployment,
    /// The Service.
    Service,
    /// The PodDisruptionBudget.
    DisruptionBudget,
    /// The NetworkPolicy.
    NetworkPolicy,
    /// The HorizontalPodAutoscaler.
    Autoscaler,
}

impl ChildKind {
    /// All kinds, in the order in which they are written: an autoscaler finds its Deployment.
    pub const ALL: [Self; 5] =
        [Self::Deployment, Self::Service, Self::DisruptionBudget, Self::NetworkPolicy, Self::Autoscaler];

    /// How the API server addresses this kind.
    pub const fn resource(self) -> &'static Resource {
        match self {
            Self::Deployment => &DEPLOYMENTS,
            Self::Service => &SERVICES,
            Self::DisruptionBudget => &POD_DISRUPTION_BUDGETS,
            Self::NetworkPolicy => &NETWORK_POLICIES,
            Self::Autoscaler => &HORIZONTAL_POD_AUTOSCALERS,
        }
    }

    /// The kind in the object.
    pub const fn as_str(self) -> &'static str {
        self.resource().kind
    }

    /// Whether a server can do without such a child. What is in the way of an extra is in the way of nothing else.
    pub const fn is_extra(self) -> bool {
        match self {
            Self::Deployment | Self::Service => false,
            Self::DisruptionBudget | Self::NetworkPolicy | Self::Autoscaler => true,
        }
    }

    /// Whether this spec calls for such a child.
    pub fn is_in(self, spec: &MCPServerSpec) -> bool {
        match self {
            Self::Deployment | Self::Service => true,
            Self::DisruptionBudget => spec.disruption_budget.is_some(),
            Self::NetworkPolicy => spec.network_policy.is_some(),
            Self::Autoscaler => spec.autoscaling.is_some(),
        }
    }
}
