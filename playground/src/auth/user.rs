//! Users, as requests bear them. They are no objects: a user is whoever credentials say it is.

use std::collections::BTreeMap;

use serde_json::{Value, json};

/// All who have brought good credentials.
pub(crate) const AUTHENTICATED: &str = "system:authenticated";
/// All who have brought none.
pub(crate) const UNAUTHENTICATED: &str = "system:unauthenticated";
/// Who has brought none.
pub(crate) const ANONYMOUS: &str = "system:anonymous";
/// May do everything, whatever roles say.
pub(crate) const MASTERS: &str = "system:masters";
const SERVICE_ACCOUNTS: &str = "system:serviceaccounts";
const SERVICE_ACCOUNT: &str = "system:serviceaccount:";

/// Who asks.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct User {
    /// The name by which bindings know it.
    pub name: String,
    /// The uid of a ServiceAccount; mostly empty otherwise.
    pub uid: String,
    /// The groups that it is in.
    pub groups: Vec<String>,
    /// What else the credentials say.
    pub extra: BTreeMap<String, Vec<String>>,
}

impl User {
    /// Somebody who has proved to be who they are.
    pub fn new(name: &str, groups: &[&str]) -> Self {
        let mut groups: Vec<String> = groups.iter().map(ToString::to_string).collect();
        if !groups.iter().any(|group| group == AUTHENTICATED) {
            groups.push(AUTHENTICATED.to_owned());
        }
        Self { name: name.to_owned(), groups, ..Self::default() }
    }

    /// The administrator, who is in `system:masters`.
    pub fn admin() -> Self {
        Self::new("kubernetes-admin", &[MASTERS])
    }

    /// Who brings no credentials where they are needed.
    pub fn anonymous() -> Self {
        Self { name: ANONYMOUS.to_owned(), groups: vec![UNAUTHENTICATED.to_owned()], ..Self::default() }
    }

    /// A ServiceAccount.
    pub fn service_account(namespace: &str, name: &str, uid: &str) -> Self {
        let groups = service_account_groups(namespace);
        let groups: Vec<&str> = groups.iter().map(String::as_str).collect();
        Self { uid: uid.to_owned(), ..Self::new(&service_account_name(namespace, name), &groups) }
    }

    /// `UserInfo`, as reviews show it.
    pub(crate) fn info(&self) -> Value {
        let Self { name, uid, groups, extra } = self;
        let mut info = json!({"username": name});
        if !uid.is_empty() {
            info["uid"] = uid.as_str().into();
        }
        if !groups.is_empty() {
            info["groups"] = groups.as_slice().into();
        }
        if !extra.is_empty() {
            info["extra"] = json!(extra);
        }
        info
    }

    /// Is it in this group?
    pub fn is_in(&self, group: &str) -> bool {
        self.groups.iter().any(|own| own == group)
    }
}

/// The name of a ServiceAccount's user.
pub(super) fn service_account_name(namespace: &str, name: &str) -> String {
    format!("{SERVICE_ACCOUNT}{namespace}:{name}")
}

/// Namespace and name of the ServiceAccount whose user this is.
pub(super) fn as_service_account(user: &str) -> Option<(&str, &str)> {
    let (namespace, name) = user.strip_prefix(SERVICE_ACCOUNT)?.split_once(':')?;
    (!namespace.is_empty() && !name.is_empty() && !name.contains(':')).then_some((namespace, name))
}

/// The groups of all ServiceAccounts of a namespace.
pub(super) fn service_account_groups(namespace: &str) -> [String; 2] {
    [SERVICE_ACCOUNTS.to_owned(), format!("{SERVICE_ACCOUNTS}:{namespace}")]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_service_account_is_in_the_groups_of_its_kind_and_of_its_namespace() {
        let user = User::service_account("a", "x", "1");
        assert_eq!(user.name, "system:serviceaccount:a:x");
        assert_eq!(user.groups, ["system:serviceaccounts", "system:serviceaccounts:a", "system:authenticated"]);
        assert_eq!(as_service_account(&user.name), Some(("a", "x")));
    }

    #[test]
    fn other_names_are_no_service_accounts() {
        for name in ["a", "system:serviceaccount:a", "system:serviceaccount:a:", "system:serviceaccount:a:b:c"] {
            assert_eq!(as_service_account(name), None, "{name}");
        }
    }
}
