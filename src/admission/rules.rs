//! What the webhook has to say, one rule at a time.
//!
//! A rule is a function from a change to at most one [`Finding`]. To add one, write it and add it to [`RULES`]. A rule
//! that can be expressed in the schema belongs there instead (`src/api`): it then also holds while the operator is down.
//!
//! A warning is for the person who is typing: one line that begins with the field, and says what will happen and what
//! to do. It is about 120 characters long, because `kubectl` shows it in one line and the API server cuts it at 256.

use std::collections::BTreeSet;

use serde_json::Value;

use super::image::Reference;
use super::{AllowedRegistries, Reviewer};
use crate::api::verbatim::Verbatim;
use crate::api::{MCPServerSpec, SessionAffinity};
use crate::object::ObjectKey;

/// A new or changed MCPServer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// Its namespace and name; the name is empty while the API server has not chosen it yet.
    pub key: ObjectKey,
    /// What it asks for.
    pub spec: MCPServerSpec,
    /// What is stored now; `None` if it is new.
    pub former: Option<Former>,
}

/// The stored state of an MCPServer that is to be changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Former {
    /// What it asks for; `None` if that can't be decoded.
    pub spec: Option<MCPServerSpec>,
    /// Whether the server is known to keep sessions in memory (`status.server.sessionMode` is `Stateful`).
    pub keeps_sessions: bool,
}

/// What a rule has found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Finding {
    /// Allow it, and tell the person who asked for it.
    Warning(String),
    /// Refuse it.
    Denial(String),
}

/// What all rules have found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Findings {
    /// The warnings.
    pub warnings: Vec<String>,
    /// The reasons to refuse the change; it is allowed if there are none.
    pub denials: Vec<String>,
}

/// A rule: what it has to say about a change, if anything.
pub type Rule = fn(&Change, &Reviewer) -> Option<Finding>;

/// All rules, in the order in which people read what they say.
pub const RULES: [Rule; 5] = [
    registry_is_allowed,
    registries_of_volumes_are_allowed,
    image_names_a_version,
    secret_exists,
    sessions_find_their_pod,
];

/// What all rules have to say.
pub fn apply(change: &Change, reviewer: &Reviewer) -> Findings {
    let mut findings = Findings::default();
    for finding in RULES.iter().filter_map(|rule| rule(change, reviewer)) {
        match finding {
            Finding::Warning(warning) => findings.warnings.push(warning),
            Finding::Denial(denial) => findings.denials.push(denial),
        }
    }
    findings
}

/// Without a version, two pods of one server may run different programs, and nobody changed anything.
fn image_names_a_version(change: &Change, _: &Reviewer) -> Option<Finding> {
    let warning = match Reference::parse(&change.spec.image) {
        None => "spec.image: this is not a valid image reference, so no node can pull it",
        Some(Reference { digest: Some(_), .. }) => return None,
        Some(Reference { tag: None, .. }) => {
            "spec.image: without a tag or digest, each new pod may run another version; name the version to run"
        }
        Some(Reference { tag: Some(tag), .. }) if tag == "latest" => {
            "spec.image: with the tag latest, each new pod may run another version; name the version to run"
        }
        Some(Reference { tag: Some(_), .. }) => return None,
    };
    Some(Finding::Warning(warning.to_owned()))
}

/// Whether the Secret exists is read from a cache: unknown is no reason to worry anybody.
fn secret_exists(change: &Change, reviewer: &Reviewer) -> Option<Finding> {
    let name = change.spec.secret_name.as_deref()?;
    let exists = (reviewer.secret_exists)(&change.key.sibling(name))?;
    (!exists).then(|| {
        Finding::Warning(format!("spec.secretName: Secret {name} does not exist yet; no pod is started before it does"))
    })
}

/// A session lives in the memory of one pod. Without affinity, every other request reaches a pod that has never heard
/// of it.
fn sessions_find_their_pod(change: &Change, _: &Reviewer) -> Option<Finding> {
    let Change { key: _, spec, former } = change;
    // With an autoscaler, nobody looks at spec.replicas.
    let (field, most) = match &spec.autoscaling {
        Some(autoscaling) => ("spec.autoscaling.maxReplicas", autoscaling.max_replicas),
        None => ("spec.replicas", spec.replicas),
    };
    let scattered = most > 1 && spec.service.session_affinity == SessionAffinity::None;
    (scattered && former.as_ref()?.keeps_sessions).then(|| {
        Finding::Warning(format!(
            "{field}: this server keeps sessions in memory, and its clients will lose them with more than one pod; \
             set spec.service.sessionAffinity to ClientIP"
        ))
    })
}

/// A change that keeps the image is allowed whatever the image is. The policy may be newer than the object, and a
/// refusal would then block everything else that can happen to it: scaling it down, suspending it, and even the removal
/// of the finalizer without which it can't be deleted.
fn registry_is_allowed(change: &Change, reviewer: &Reviewer) -> Option<Finding> {
    let allowed = reviewer.allowed_registries.as_ref()?;
    let image = &change.spec.image;
    let kept = |former: &Former| former.spec.as_ref().is_some_and(|spec| spec.image == *image);
    if change.former.as_ref().is_some_and(kept) {
        return None;
    }
    denial("spec.image", image, allowed)
}

/// A volume of the type `image` is content from a registry like any other, and a server may well run a program from it.
fn registries_of_volumes_are_allowed(change: &Change, reviewer: &Reviewer) -> Option<Finding> {
    let allowed = reviewer.allowed_registries.as_ref()?;
    let former = change.former.as_ref().and_then(|former| former.spec.as_ref());
    let kept: BTreeSet<String> = former.into_iter().flat_map(volume_images).map(|(_, image)| image).collect();
    let mut added = volume_images(&change.spec).into_iter().filter(|(_, image)| !kept.contains(image));
    added.find_map(|(index, image)| denial(&format!("spec.volumes[{index}].image.reference"), &image, allowed))
}

/// The images that are mounted, with the indexes of their volumes.
fn volume_images(spec: &MCPServerSpec) -> Vec<(usize, String)> {
    let volumes = spec.volumes.as_ref().map(Verbatim::value).unwrap_or_default();
    let image = |volume: &Value| volume["image"]["reference"].as_str().filter(|it| !it.is_empty()).map(str::to_owned);
    let volumes = volumes.as_array().into_iter().flatten().enumerate();
    volumes.filter_map(|(index, volume)| Some((index, image(volume)?))).collect()
}

/// `None` if the image may be used.
fn denial(field: &str, image: &str, allowed: &AllowedRegistries) -> Option<Finding> {
    let why = match Reference::parse(image) {
        Some(reference) if allowed.allow(&reference) => return None,
        Some(reference) => format!("comes from {}, but", reference.registry),
        None => "is not a valid image reference, and".to_owned(),
    };
    Some(Finding::Denial(format!("{field}: {image:?} {why} this cluster allows only images from: {allowed}")))
}
