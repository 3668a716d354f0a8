//! Which permissions does `run` need, and are they granted?
//!
//! The list below is the third copy of the same knowledge: [`Request`] builds the requests, `config/rbac` grants them,
//! and this module asks for them. Copies drift apart. So a test holds this list equal to `config/rbac`, with the webhook
//! and the secured metrics to `config/webhook` and `config/metrics-secure` as well, and another one holds `config/rbac`
//! equal to what an operator requests in its life.

use std::collections::BTreeMap;

use serde_json::Value;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout_at};

use super::finding::Finding;
use crate::api::MCPSERVERS;
use crate::client::request::Target;
use crate::client::{Client, Request, Verb, rule_to_add};
use crate::object::{
    ACCESS_REVIEWS, DEPLOYMENTS, EVENTS, HORIZONTAL_POD_AUTOSCALERS, LEASES, NETWORK_POLICIES, ObjectKey,
    POD_DISRUPTION_BUDGETS, PODS, Resource, SECRETS, SERVICES, TOKEN_REVIEWS, WEBHOOK_CONFIGURATIONS,
};
use crate::tls::Place;

/// At most this many permissions are asked for, which is enough for about thirty namespaces.
pub const MOST: usize = 1000;
/// How many questions are asked at the same time.
const AT_ONCE: usize = 8;

const READ: &[Verb] = &[Verb::List, Verb::Watch];
const CHILD: &[Verb] = &[Verb::List, Verb::Watch, Verb::Create, Verb::Patch];
const EXTRA: &[Verb] = &[Verb::List, Verb::Watch, Verb::Create, Verb::Patch, Verb::Delete];

/// What is needed in each namespace that is served: resource, subresource, verbs.
const IN_EACH_NAMESPACE: &[(Resource, &str, &[Verb])] = &[
    (MCPSERVERS, "", READ),
    (MCPSERVERS, "status", &[Verb::Patch]),
    (MCPSERVERS, "finalizers", &[Verb::Update]),
    (DEPLOYMENTS, "", CHILD),
    (SERVICES, "", CHILD),
    (POD_DISRUPTION_BUDGETS, "", EXTRA),
    (NETWORK_POLICIES, "", EXTRA),
    (HORIZONTAL_POD_AUTOSCALERS, "", EXTRA),
    (PODS, "", READ),
    (SECRETS, "", READ),
    (EVENTS, "", &[Verb::Create, Verb::Patch]),
];

/// What is needed of one resource in one place: one line of the table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Need {
    /// The resource.
    pub resource: Resource,
    /// `status`, `finalizers`, or empty.
    pub subresource: &'static str,
    /// What has to be allowed.
    pub verbs: &'static [Verb],
    /// Where.
    pub target: Target,
}

impl Need {
    /// `may use deployments.apps`
    fn what(&self) -> String {
        let Self { resource, subresource, verbs: _, target: _ } = self;
        let slash = if subresource.is_empty() { "" } else { "/" };
        format!("may use {resource}{slash}{subresource}")
    }

    fn place(&self) -> String {
        match &self.target {
            // Reviews are in no namespace.
            Target::Cluster if [TOKEN_REVIEWS, ACCESS_REVIEWS].contains(&self.resource) => "in the cluster".to_owned(),
            Target::Cluster | Target::Path(_) => "in all namespaces".to_owned(),
            Target::Namespace(namespace) => format!("in namespace {namespace}"),
            Target::Object(key) => format!("on {key}"),
        }
    }
}

/// What an operator is to do, as far as its permissions depend on it.
#[derive(Debug, Clone, Default)]
pub struct Duties {
    /// The namespaces to serve; all, if there are none.
    pub namespaces: Vec<String>,
    /// The Lease to hold.
    pub lease: Option<ObjectKey>,
    /// The webhook whose certificate it has to make.
    pub webhook: Option<Place>,
    /// Ask about everybody who wants to read the metrics.
    pub metrics_secure: bool,
}

/// Everything that an operator with these duties needs.
pub fn needed(duties: &Duties) -> Vec<Need> {
    let Duties { namespaces, lease, webhook, metrics_secure } = duties;
    let places = match namespaces.as_slice() {
        [] => vec![Target::Cluster],
        names => names.iter().cloned().map(Target::Namespace).collect(),
    };
    let in_each = |target: Target| {
        let needs = IN_EACH_NAMESPACE.iter();
        needs.map(move |(resource, subresource, verbs)| Need {
            resource: *resource,
            subresource,
            verbs,
            target: target.clone(),
        })
    };
    let mut needs: Vec<Need> = places.into_iter().flat_map(in_each).collect();
    let mut need = |resource, verbs, target| needs.push(Need { resource, subresource: "", verbs, target });
    if let Some(lease) = lease {
        need(LEASES, &[Verb::Create], Target::Namespace(lease.namespace().to_owned()));
        need(LEASES, &[Verb::Get, Verb::Update], Target::Object(lease.clone()));
    }
    if let Some(Place { service: _, secret, configuration }) = webhook {
        need(SECRETS, &[Verb::Create], Target::Namespace(secret.namespace().to_owned()));
        need(SECRETS, &[Verb::Get, Verb::Update], Target::Object(secret.clone()));
        need(WEBHOOK_CONFIGURATIONS, &[Verb::Get, Verb::Patch], Target::Object(configuration.clone()));
    }
    if *metrics_secure {
        need(TOKEN_REVIEWS, &[Verb::Create], Target::Cluster);
        need(ACCESS_REVIEWS, &[Verb::Create], Target::Cluster);
    }
    needs
}

/// The answer to one question.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Answer {
    Yes,
    No,
    /// It could not be asked, for this reason.
    NotAsked(String),
}

/// Asks for all of them, until `until`.
pub async fn examine(client: &Client, duties: &Duties, until: Instant) -> Vec<Finding> {
    let needs = needed(duties);
    let questions = needs.iter().enumerate().flat_map(|(need, it)| it.verbs.iter().map(move |verb| (need, *verb)));
    let questions: Vec<(usize, Verb)> = questions.collect();
    let mut answers: BTreeMap<(usize, &'static str), Answer> = BTreeMap::new();
    for some in questions[..questions.len().min(MOST)].chunks(AT_ONCE) {
        if Instant::now() >= until {
            break;
        }
        let mut asking = JoinSet::new();
        for (need, verb) in some.iter().copied() {
            let (client, it) = (client.clone(), needs[need].clone());
            asking.spawn(async move { ((need, verb.as_str()), ask(&client, verb, &it, until).await) });
        }
        while let Some(answered) = asking.join_next().await {
            answers.extend(answered.ok());
        }
    }
    let answer = |need: usize, verb: Verb| {
        let not_asked = || Answer::NotAsked("not asked: there are too many, or too little time".to_owned());
        (verb, answers.get(&(need, verb.as_str())).cloned().unwrap_or_else(not_asked))
    };
    let answers_to = |need: usize| needs[need].verbs.iter().map(|verb| answer(need, *verb)).collect::<Vec<_>>();
    needs.iter().enumerate().map(|(number, need)| judge(need, &answers_to(number))).collect()
}

async fn ask(client: &Client, verb: Verb, need: &Need, until: Instant) -> Answer {
    let Need { resource, subresource, verbs: _, target } = need;
    let question = client.send::<Value>(Request::may_i(verb, resource, subresource, target));
    match timeout_at(until, question).await {
        Ok(Ok(review)) if review["status"]["allowed"] == true => Answer::Yes,
        Ok(Ok(_)) => Answer::No,
        Ok(Err(error)) => Answer::NotAsked(error.to_string()),
        Err(_elapsed) => Answer::NotAsked("there was no answer in time".to_owned()),
    }
}

fn judge(need: &Need, answers: &[(Verb, Answer)]) -> Finding {
    let Need { resource, subresource, verbs, target } = need;
    let names = |verbs: &[Verb]| verbs.iter().map(|verb| verb.as_str()).collect::<Vec<_>>().join(", ");
    let refused: Vec<Verb> =
        answers.iter().filter(|(_, answer)| *answer == Answer::No).map(|(verb, _)| *verb).collect();
    let unasked = answers.iter().find_map(|(_, answer)| match answer {
        Answer::NotAsked(why) => Some(why),
        Answer::Yes | Answer::No => None,
    });
    let (what, place) = (need.what(), need.place());
    match (refused.as_slice(), unasked) {
        ([], None) => Finding::ok(&what, format!("{} {place}", names(verbs))),
        ([], Some(why)) => Finding::unknown(&what, format!("{} {place}: {why}", names(verbs))),
        (refused, _) => {
            let rule = rule_to_add(resource, subresource, refused, target);
            Finding::wrong(&what, &format!("no {} {place}", names(refused)), &rule)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::finding::Verdict;
    use super::*;

    fn serving(namespaces: &[&str], lease: Option<&ObjectKey>) -> Duties {
        let namespaces = namespaces.iter().map(|name| (*name).to_owned()).collect();
        Duties { namespaces, lease: lease.cloned(), ..Duties::default() }
    }

    fn count(duties: &Duties) -> usize {
        needed(duties).iter().map(|need| need.verbs.len()).sum()
    }

    #[test]
    fn each_namespace_is_asked_for_and_the_lease_only_where_it_is_used() {
        let all = count(&serving(&[], None));
        assert_eq!(count(&serving(&["a", "b"], None)), 2 * all);
        let lease = ObjectKey::new("ops", "smooth-operator");
        assert_eq!(count(&serving(&["a"], Some(&lease))), all + 3);
        let clusterwide = |need: &Need| need.target == Target::Cluster;
        assert!(!needed(&serving(&["a"], Some(&lease))).iter().any(clusterwide), "Roles can't grant that");
        assert!(all < 50, "{all} questions about one place");
        assert!(MOST / all >= 30, "{MOST} are enough for {} namespaces", MOST / all);
    }

    #[test]
    fn the_webhook_and_secured_metrics_are_asked_for_where_they_are_used() {
        let plain = serving(&["a"], None);
        let webhook = Some(Place::of(ObjectKey::new("ops", "hook")));
        let told = |duties: &Duties| {
            let needs = needed(duties).split_off(needed(&plain).len());
            let allowed = |need: &Need| need.verbs.iter().map(|verb| (*verb, Answer::Yes)).collect::<Vec<_>>();
            let line = |need: &Need| format!("{}: {}", need.what(), judge(need, &allowed(need)).found);
            needs.iter().map(line).collect::<Vec<_>>()
        };
        let expected = [
            "may use secrets: create in namespace ops",
            "may use secrets: get, update on ops/smooth-operator-webhook-cert",
            "may use validatingwebhookconfigurations.admissionregistration.k8s.io: get, patch on smooth-operator",
        ];
        assert_eq!(told(&Duties { webhook, ..plain.clone() }), expected);
        let expected = [
            "may use tokenreviews.authentication.k8s.io: create in the cluster",
            "may use subjectaccessreviews.authorization.k8s.io: create in the cluster",
        ];
        assert_eq!(told(&Duties { metrics_secure: true, ..plain.clone() }), expected);
    }

    #[test]
    fn what_is_refused_is_told_with_the_rule_to_add() {
        let need = &needed(&serving(&["a"], None))[3];
        let found = judge(
            need,
            &[
                (Verb::List, Answer::Yes),
                (Verb::Watch, Answer::NotAsked("no answer".into())),
                (Verb::Create, Answer::No),
                (Verb::Patch, Answer::No),
            ],
        );
        assert_eq!(
            (found.verdict, found.what.as_str(), found.found.as_str()),
            (
                Verdict::Wrong,
                "may use deployments.apps",
                "no create, patch in namespace a; add to the operator's Role (or ClusterRole) for namespace a: \
                 {apiGroups: [\"apps\"], resources: [\"deployments\"], verbs: [\"create\", \"patch\"]}"
            )
        );
    }

    #[test]
    fn what_could_not_be_asked_is_unknown() {
        let need = &needed(&serving(&[], None))[1];
        assert_eq!(judge(need, &[(Verb::Patch, Answer::Yes)]).found, "patch in all namespaces");
        let found = judge(need, &[(Verb::Patch, Answer::NotAsked("no answer".into()))]);
        assert_eq!((found.verdict, found.found.as_str()), (Verdict::Unknown, "patch in all namespaces: no answer"));
    }
}
