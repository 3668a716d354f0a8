//! Bearer tokens: those that the embedder gives, and those that are issued to ServiceAccounts.
//!
//! A token of a ServiceAccount is good for as long as it was asked for, and no longer than the ServiceAccount itself: one
//! that is made again under the same name is another one, and its uid says so.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};

use jiff::{SignedDuration, Timestamp};

use super::{Authorization, Options, User};
use crate::cluster::Cluster;
use crate::status::Status;

/// Whom a token is meant for, if it says nothing else.
pub(crate) const API_AUDIENCE: &str = "https://kubernetes.default.svc";
const CREDENTIAL: &str = "authentication.kubernetes.io/credential-id";

/// A token and whose it is.
#[derive(Clone, PartialEq, Eq)]
pub struct StaticToken {
    /// What follows `Bearer`.
    pub token: String,
    /// Who it proves to be there.
    pub user: User,
}

impl fmt::Debug for StaticToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a token of {:?}", self.user.name)
    }
}

/// A token of a ServiceAccount.
#[derive(Debug, Clone)]
pub(crate) struct Issued {
    pub(crate) namespace: String,
    pub(crate) name: String,
    pub(crate) uid: String,
    pub(crate) audiences: Vec<String>,
    pub(crate) expires: Timestamp,
    /// What names the token in logs and reviews.
    pub(crate) id: String,
}

/// How the cluster tells people apart, and all tokens that it knows.
#[derive(Debug, Default)]
pub(crate) struct Tokens {
    pub(super) authorization: Authorization,
    pub(super) enforce_owner_references: bool,
    fixed: Mutex<BTreeMap<String, User>>,
    /// Those that have expired go when a new one comes.
    issued: Mutex<BTreeMap<String, Issued>>,
}

impl Tokens {
    pub(crate) fn new(options: Options) -> Self {
        let Options { authorization, tokens, enforce_owner_references } = options;
        let fixed = tokens.into_iter().map(|StaticToken { token, user }| (token, user)).collect();
        Self { authorization, enforce_owner_references, fixed: Mutex::new(fixed), issued: Mutex::default() }
    }

    /// Who comes without credentials.
    pub(crate) fn nobody(&self) -> User {
        match self.authorization {
            Authorization::AlwaysAllow => User::admin(),
            Authorization::Rbac => User::anonymous(),
        }
    }

    fn issued(&self) -> MutexGuard<'_, BTreeMap<String, Issued>> {
        self.issued.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Cluster {
    /// A token of a ServiceAccount, good for the API server, as `kubectl create token` gets one.
    pub fn issue_token(&self, namespace: &str, name: &str, lifetime: SignedDuration) -> Result<String, Status> {
        self.issue(namespace, name, lifetime, vec![API_AUDIENCE.to_owned()]).map(|(token, _)| token)
    }

    /// From now on this token proves to be that user.
    pub fn accept_token(&self, token: StaticToken) {
        let mut fixed = self.auth().fixed.lock().unwrap_or_else(PoisonError::into_inner);
        fixed.insert(token.token, token.user);
    }

    pub(crate) fn issue(
        &self,
        namespace: &str,
        name: &str,
        lifetime: SignedDuration,
        audiences: Vec<String>,
    ) -> Result<(String, Issued), Status> {
        let account = self.service_account(namespace, name);
        let uid = account.ok_or_else(|| match self.target("serviceaccounts", namespace, name) {
            Ok(target) => Status::not_found(&target.resource, name),
            Err(status) => status,
        })?;
        let now = self.now();
        let expires = now.saturating_add(lifetime).unwrap_or(Timestamp::MAX);
        let issued =
            Issued { namespace: namespace.into(), name: name.into(), uid, audiences, expires, id: self.new_uid() };
        let token = self.new_token();
        let mut known = self.auth().issued();
        known.retain(|_, issued| issued.expires > now);
        known.insert(token.clone(), issued.clone());
        Ok((token, issued))
    }

    /// Whose token it is, and which of the `audiences` it is meant for; `None` if it is good for nothing there.
    pub(crate) fn identify(&self, token: &str, audiences: &[String]) -> Option<(User, Vec<String>)> {
        let fixed = self.auth().fixed.lock().unwrap_or_else(PoisonError::into_inner).get(token).cloned();
        if let Some(user) = fixed {
            return Some((user, audiences.to_vec()));
        }
        let Issued { namespace, name, uid, audiences: meant, expires, id } =
            self.auth().issued().get(token).cloned()?;
        let common: Vec<String> = audiences.iter().filter(|audience| meant.contains(audience)).cloned().collect();
        let alive = self.service_account(&namespace, &name).is_some_and(|own| own == uid);
        if common.is_empty() || !alive || expires <= self.now() {
            return None;
        }
        let mut user = User::service_account(&namespace, &name, &uid);
        user.extra.insert(CREDENTIAL.to_owned(), vec![format!("JTI={id}")]);
        Some((user, common))
    }

    /// The uid of a ServiceAccount.
    fn service_account(&self, namespace: &str, name: &str) -> Option<String> {
        let account = self.get("serviceaccounts", namespace, name)?;
        account["metadata"]["uid"].as_str().map(str::to_owned)
    }
}
