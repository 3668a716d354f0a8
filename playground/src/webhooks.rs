//! Admission webhooks: whoever registered for it is asked before a write is done.
//!
//! ```text
//!  Attempt --[hook: is it asked?]--> [review: the question] --[call: TLS, HTTP]--> [answer: the verdict]
//!     |                                                                                  |
//!     +------------------ commit, if the object still is what it was <------- all allow -+
//! ```
//!
//! A call takes seconds if it has to, so nothing is locked meanwhile; and what was decided is stored only if nobody
//! wrote in between, else it is decided and asked again, as the API server does.
//!
//! Asked are the webhooks of ValidatingWebhookConfigurations, about what comes in by HTTP. What the playground's own
//! controllers write, and tests by the methods of [`Cluster`], is not asked about: those writes are done at once, and a
//! call is not. **Mutating webhooks are not called**; a write that one of them would have been called for is done as it
//! came, and says so in a `Warning`.
//!
//! Not here: conversion webhooks, `admission.k8s.io/v1beta1`, the `authorizer` in match conditions, and the system's
//! own roots: without a `caBundle` nobody is trusted. Pods have no containers, so nothing listens at their addresses:
//! a call to one is refused without asking the network. A Service leads somewhere where its EndpointSlice names an
//! address of its own, as that of a webhook on this machine.
//!
//! The words are those of `k8s.io/apiserver/pkg/admission/plugin/webhook`.

mod answer;
mod call;
mod endpoint;
mod hook;
mod review;
mod warnings;

use serde_json::{Map, Value};
use tokio::task::JoinSet;

pub(crate) use warnings::Warnings;

use crate::auth::User;
use crate::cluster::{Attempt, Cluster, DeleteOptions, Deleted, Settled, Target, Write};
use crate::status::Status;
use answer::Verdict;
use call::Call;
use hook::{FailurePolicy, Hook};
use review::Asked;

const VALIDATING: &str = "validatingwebhookconfigurations.admissionregistration.k8s.io";
const MUTATING: &str = "mutatingwebhookconfigurations.admissionregistration.k8s.io";

/// Does the writes of one request, after asking those who registered for it.
pub(crate) struct Reviewer<'a> {
    pub(crate) cluster: &'a Cluster,
    /// On whose behalf.
    pub(crate) user: &'a User,
    /// What the request's options say, as far as a review shows it.
    pub(crate) options: Map<String, Value>,
    /// Where warnings go, whatever becomes of the request.
    pub(crate) warnings: &'a Warnings,
}

/// A webhook that is asked, ready to be called.
struct Question {
    hook: Hook,
    uid: String,
    call: Result<Call, String>,
}

impl Reviewer<'_> {
    /// Does a write, asking anew for each attempt.
    pub(crate) async fn write(&self, mut write: Write<'_>) -> Result<Settled, Status> {
        loop {
            let attempt = write.attempt()?;
            if let Err(refused) = self.review(&attempt, write.subresource).await {
                self.cluster.abandon(&attempt);
                return Err(refused);
            }
            if let Some(settled) = self.cluster.commit_attempt(attempt)? {
                return Ok(settled);
            }
        }
    }

    /// DELETE of one object. What goes along with it is not asked about.
    pub(crate) async fn delete(&self, target: &Target, options: &DeleteOptions) -> Result<Deleted, Status> {
        if !Cluster::takes_others_along(target) {
            return self.write(self.cluster.plan_delete(target, options)).await.map(Deleted::from);
        }
        let attempt = self.cluster.announce_delete(target, options)?;
        self.review(&attempt, None).await?;
        let old = attempt.old_object().unwrap_or_default();
        let asked_about = DeleteOptions { uid: old["metadata"]["uid"].as_str().map(str::to_owned), ..options.clone() };
        self.cluster.write_delete(target, &asked_about)
    }

    /// Asks all who are to be asked; the first refusal is the answer.
    async fn review(&self, attempt: &Attempt, subresource: Option<&str>) -> Result<(), Status> {
        let (validating, mutating) = (self.cluster.list(VALIDATING, None), self.cluster.list(MUTATING, None));
        let exempt = [VALIDATING, MUTATING].contains(&attempt.target.resource.group_resource().as_str());
        if exempt || (validating.is_empty() && mutating.is_empty()) {
            return Ok(());
        }
        let asked = Asked::of(attempt, subresource);
        for hook in hook::all(&mutating)? {
            if self.matches(&hook, &asked)?.is_some() {
                let says = format!("the playground calls no mutating webhooks: {:?} has not seen this", hook.name);
                self.warnings.add(says);
            }
        }
        let mut questions = Vec::new();
        for hook in hook::all(&validating)? {
            if let Some(request) = self.matches(&hook, &asked)? {
                questions.push(self.question(hook, &request));
            }
        }
        if let Some(unsafe_hook) =
            questions.iter().find(|question| attempt.dry_run && !question.hook.is_free_in_dry_runs())
        {
            let name = &unsafe_hook.hook.name;
            return Err(Status::bad_request(format!("admission webhook {name:?} does not support dry run")));
        }
        self.ask(questions).await
    }

    /// The request of an AdmissionReview, where this webhook is to see it.
    fn matches(&self, hook: &Hook, asked: &Asked) -> Result<Option<Value>, Status> {
        let Some(form) = hook::matches(self.cluster, hook, asked)? else { return Ok(None) };
        let request = asked.request(&form, &self.cluster.new_uid(), self.user, &self.options);
        Ok(hook::conditions_hold(hook, asked, &request)?.then_some(request))
    }

    fn question(&self, hook: Hook, request: &Value) -> Question {
        let uid = request["uid"].as_str().unwrap_or_default().to_owned();
        let call = endpoint::resolve(self.cluster, &hook.client_config, hook.timeout_seconds).map(|endpoint| Call {
            endpoint,
            timeout: hook.timeout(),
            body: review::body(request).into(),
        });
        Question { hook, uid, call }
    }

    /// Calls all at once; their answers count in the order of the configurations.
    async fn ask(&self, questions: Vec<Question>) -> Result<(), Status> {
        let mut calls = JoinSet::new();
        for (at, question) in questions.into_iter().enumerate() {
            calls.spawn(async move { (at, question.verdict().await) });
        }
        let mut verdicts = Vec::new();
        while let Some(done) = calls.join_next().await {
            verdicts.push(done.map_err(|error| Status::internal(error.to_string()))?);
        }
        verdicts.sort_by_key(|(at, _)| *at);
        let mut refusals = Vec::new();
        for (_, verdict) in verdicts {
            let Verdict { warnings, refusal } = verdict;
            for warning in warnings {
                self.warnings.add(warning);
            }
            refusals.extend(refusal);
        }
        refusals.into_iter().next().map_or(Ok(()), Err)
    }
}

impl Question {
    /// What the webhook says; where it says nothing, what its failure policy says.
    async fn verdict(self) -> Verdict {
        let Self { hook, uid, call } = self;
        let said = match call {
            Err(why) => Err(why),
            Ok(call) => match call.post().await {
                Err(why) => Err(format!("failed to call webhook: {why}")),
                Ok(body) => answer::verdict(&hook.name, &uid, &body),
            },
        };
        said.unwrap_or_else(|why| {
            let why = format!("failed calling webhook {:?}: {why}", hook.name);
            match hook.failure_policy {
                FailurePolicy::Ignore => {
                    tracing::debug!(why, "a webhook failed and is ignored");
                    Verdict::default()
                }
                FailurePolicy::Fail => Verdict { refusal: Some(Status::internal(why)), ..Verdict::default() },
            }
        })
    }
}
