//! Acting as somebody else: `kubectl --as` (`k8s.io/apiserver/pkg/endpoints/filters/impersonation`).
//!
//! Each part of the wanted identity needs the verb `impersonate` upon a resource that exists in roles only: `users`,
//! `groups`, `uids`, `userextras`; for a ServiceAccount, upon the ServiceAccount itself.

use std::collections::BTreeMap;

use http::HeaderMap;

use super::user::{ANONYMOUS, AUTHENTICATED, UNAUTHENTICATED, as_service_account, service_account_groups};
use super::{Attributes, ResourceAttributes, User};
use crate::status::Status;

const EXTRA: &str = "impersonate-extra-";
const AUTHENTICATION: &str = "authentication.k8s.io";

/// Whom a request wants to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Impersonation {
    name: String,
    uid: String,
    groups: Vec<String>,
    extra: BTreeMap<String, Vec<String>>,
}

impl Impersonation {
    /// What the headers say; `None` where they say nothing.
    pub(crate) fn of(headers: &HeaderMap) -> Result<Option<Self>, Status> {
        let texts = |name: &str| -> Vec<String> {
            let all = headers.get_all(name).iter();
            all.filter_map(|value| value.to_str().ok()).filter(|value| !value.is_empty()).map(str::to_owned).collect()
        };
        let one = |name: &str| texts(name).into_iter().next().unwrap_or_default();
        let (name, uid, groups) = (one("impersonate-user"), one("impersonate-uid"), texts("impersonate-group"));
        let mut extra: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for header in headers.keys() {
            if let Some(key) = header.as_str().strip_prefix(EXTRA) {
                // The key is percent-encoded: a header's name can't hold a slash.
                let key = key.replace('+', "%2B");
                let key = form_urlencoded::parse(key.as_bytes()).next().unwrap_or_default().0.to_lowercase();
                extra.entry(key).or_default().extend(texts(header.as_str()));
            }
        }
        if name.is_empty() {
            return if uid.is_empty() && groups.is_empty() && extra.is_empty() {
                Ok(None)
            } else {
                Err(Status::internal("requesting uid, groups or user-extra without impersonating a user"))
            };
        }
        Ok(Some(Self { name, uid, groups, extra }))
    }

    /// All that must be allowed for it, in the order in which it is asked.
    pub(crate) fn needs(&self) -> Vec<Attributes> {
        let Self { name, uid, groups, extra } = self;
        let upon = |group: &str, resource: &str, subresource: &str, name: &str| ResourceAttributes {
            group: group.to_owned(),
            resource: resource.to_owned(),
            subresource: subresource.to_owned(),
            name: name.to_owned(),
            ..ResourceAttributes::default()
        };
        let mut needs = vec![match as_service_account(name) {
            Some((namespace, name)) => {
                ResourceAttributes { namespace: namespace.to_owned(), ..upon("", "serviceaccounts", "", name) }
            }
            None => upon("", "users", "", name),
        }];
        needs.extend(groups.iter().map(|group| upon("", "groups", "", group)));
        for (key, values) in extra {
            needs.extend(values.iter().map(|value| upon(AUTHENTICATION, "userextras", key, value)));
        }
        if !uid.is_empty() {
            needs.push(upon(AUTHENTICATION, "uids", "", uid));
        }
        needs.into_iter().map(|about| Attributes::upon("impersonate", about)).collect()
    }

    /// The user that the request is made by from now on.
    pub(crate) fn user(self) -> User {
        let Self { name, uid, mut groups, extra } = self;
        if let (Some((namespace, _)), true) = (as_service_account(&name), groups.is_empty()) {
            groups.extend(service_account_groups(namespace));
        }
        let has = |group: &str| groups.iter().any(|own| own == group);
        if name == ANONYMOUS {
            if !has(UNAUTHENTICATED) {
                groups.push(UNAUTHENTICATED.to_owned());
            }
        } else if !has(AUTHENTICATED) && !has(UNAUTHENTICATED) {
            groups.push(AUTHENTICATED.to_owned());
        }
        User { name, uid, groups, extra }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(headers: &[(&'static str, &str)]) -> Result<Option<Impersonation>, Status> {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(*name, value.parse().unwrap());
        }
        Impersonation::of(&map)
    }

    #[test]
    fn each_part_of_an_identity_needs_a_right_of_its_own() {
        let headers = [
            ("impersonate-user", "jane"),
            ("impersonate-group", "devs"),
            ("impersonate-extra-acme.com%2fscope", "all"),
        ];
        let impersonation = read(&headers).unwrap().unwrap();
        let needs: Vec<String> = impersonation.needs().iter().map(|need| need.refusal(&User::admin())).collect();
        assert!(needs[0].contains("cannot impersonate resource \"users\""), "{needs:?}");
        assert!(needs[1].contains("resource \"groups\""), "{needs:?}");
        assert!(needs[2].contains("resource \"userextras/acme.com/scope\" in API group \"authentication.k8s.io\""));
        let user = impersonation.user();
        assert_eq!(user.groups, ["devs", "system:authenticated"]);
        assert_eq!(user.extra["acme.com/scope"], ["all"]);
    }

    #[test]
    fn a_service_account_brings_its_groups() {
        let impersonation = read(&[("impersonate-user", "system:serviceaccount:a:x")]).unwrap().unwrap();
        assert!(
            impersonation.needs()[0]
                .refusal(&User::admin())
                .ends_with("\"serviceaccounts\" in API group \"\" in the namespace \"a\"")
        );
        assert_eq!(
            impersonation.user().groups,
            ["system:serviceaccounts", "system:serviceaccounts:a", "system:authenticated"]
        );
    }

    #[test]
    fn a_group_without_a_user_is_nobody() {
        assert_eq!(read(&[]), Ok(None));
        assert_eq!(read(&[("impersonate-group", "devs")]).unwrap_err().code, 500);
    }
}
