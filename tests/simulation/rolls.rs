//! Pods are restarted exactly as often as what they run has changed.
//!
//! What a server's pods should run is a point in two histories: of what its spec said, and of what the Secrets held. An
//! operator sees both late and with gaps, one perhaps later than the other, and that is all right. What it may never do is
//! to go back in one of them, to show what never was, or to change the pods' template without a step forward in either:
//! each of these restarts pods for nothing.

use std::collections::BTreeMap;

use playground::Cluster;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::world::{SECRETS, SERVERS};

/// The histories of the wishes, and how far the operators have followed each.
#[derive(Default)]
pub(crate) struct Rolls {
    /// By the server's uid.
    servers: BTreeMap<String, Server>,
    /// By namespace and name: the digests of the data that it held.
    secrets: BTreeMap<(String, String), Vec<String>>,
    /// The Deployments, by uid, whose template somebody else has changed since the operator wrote it.
    disturbed: std::collections::BTreeSet<String>,
    /// By a Deployment's uid: for which server an operator wrote it last.
    written_for: BTreeMap<String, String>,
    /// How often an operator changed a template that stood.
    pub(crate) count: u64,
}

#[derive(Default)]
struct Server {
    specs: Followed,
    /// The names of the Secret; null for none.
    names: Followed,
    /// By the Secret's name: how far its history was followed.
    hashes: BTreeMap<String, usize>,
}

/// A history, and how far it was followed.
#[derive(Default)]
struct Followed {
    history: Vec<Value>,
    at: usize,
}

impl Followed {
    fn add(&mut self, value: Value) {
        if self.history.last() != Some(&value) {
            self.history.push(value);
        }
    }

    /// Something begins with what its predecessor had: while its Secret is missing, an adopted Deployment keeps the old one.
    fn inherit(&mut self, value: Value) {
        if self.at == 0 && self.history.first() != Some(&value) {
            self.history.insert(0, value);
        }
    }
}

/// Whether the history goes on to this value, from where it was followed to.
fn follow<T: PartialEq>(history: &[T], at: &mut usize, value: &T) -> Option<bool> {
    let found = *at + history.get(*at..)?.iter().position(|past| past == value)?;
    let moved = found > *at;
    *at = found;
    Some(moved)
}

impl Rolls {
    /// Somebody has changed something: what is wished for now?
    pub(crate) fn look(&mut self, cluster: &Cluster) {
        for server in cluster.list(SERVERS, None) {
            let uid = server["metadata"]["uid"].as_str().unwrap_or_default().to_owned();
            let known = self.servers.entry(uid).or_default();
            // A suspended server wishes for nothing until it is none any more.
            known.specs.add(wished(&server["spec"]));
            known.names.add(server["spec"]["secretName"].clone());
        }
        for secret in cluster.list(SECRETS, None) {
            let name = |field: &str| secret["metadata"][field].as_str().unwrap_or_default().to_owned();
            let history = self.secrets.entry((name("namespace"), name("name"))).or_default();
            let hash = digest(&secret["data"]);
            if history.last() != Some(&hash) {
                history.push(hash);
            }
        }
    }

    /// Somebody else has changed the template of this Deployment.
    pub(crate) fn disturb(&mut self, deployment: &Value) {
        self.disturbed.insert(deployment["metadata"]["uid"].as_str().unwrap_or_default().to_owned());
    }

    /// An operator has written a Deployment.
    pub(crate) fn wrote(&mut self, before: Option<&Value>, after: &Value) -> Result<(), String> {
        let uid = |object: &Value| object["metadata"]["uid"].as_str().unwrap_or_default().to_owned();
        let before = before.filter(|before| uid(before) == uid(after));
        let template = &after["spec"]["template"];
        if before.is_some_and(|before| before["spec"]["template"] == *template) {
            return Ok(());
        }
        let name = after["metadata"]["name"].as_str().unwrap_or_default();
        let owner = after["metadata"]["ownerReferences"][0]["uid"].as_str().unwrap_or_default();
        let Some(server) = self.servers.get_mut(owner) else {
            return Err(format!("Deployment {name} is written for a server that nobody has made: {owner}"));
        };
        let (runs, secret, hash) = running(template);
        let not_there = |what: &str, is: &Value, history: &[Value], at: usize| {
            format!(
                "the pods of {name} get a {what} that was not wished for, or not any more: {is}; wished for since: {history:?}",
                history = &history[at..]
            )
        };
        // One that has lost its owner may be adopted by the next server of the name, who may wish for something else.
        let adopted = self.written_for.insert(uid(after), owner.to_owned()).is_some_and(|before| before != owner);
        if let Some(before) = before.filter(|_| adopted) {
            server.names.inherit(running(&before["spec"]["template"]).1);
        }
        let Followed { history, at } = &mut server.specs;
        let Some(mut moved) = follow(history, at, &runs) else { return Err(not_there("spec", &runs, history, *at)) };
        let Followed { history, at } = &mut server.names;
        let Some(more) = follow(history, at, &secret) else { return Err(not_there("Secret", &secret, history, *at)) };
        moved |= more;
        if let Some(secret) = secret.as_str() {
            let namespace = after["metadata"]["namespace"].as_str().unwrap_or_default();
            let history = self.secrets.get(&(namespace.to_owned(), secret.to_owned())).cloned().unwrap_or_default();
            let at = server.hashes.entry(secret.to_owned()).or_default();
            let Some(more) = follow(&history, at, &hash) else {
                return Err(format!("the pods of {name} get a hash of {secret} that is none, or an old one: {hash}"));
            };
            moved |= more;
        }
        let disturbed = self.disturbed.remove(&uid(after));
        if before.is_some() {
            self.count += 1;
            if !moved && !disturbed && !adopted {
                return Err(format!("the pods of {name} are restarted though nothing has changed: {template}"));
            }
        }
        Ok(())
    }
}

/// What the pods should run, by a spec.
fn wished(spec: &Value) -> Value {
    json!([spec["image"], spec["port"], spec.get("args").cloned().unwrap_or_else(|| json!([])), spec["podLabels"]])
}

/// What the pods do run, by a template: in the terms of [`wished`], the Secret's name, and its digest.
pub(crate) fn running(template: &Value) -> (Value, Value, String) {
    let container = &template["spec"]["containers"][0];
    let mut labels = template["metadata"]["labels"].clone();
    if let Some(labels) = labels.as_object_mut() {
        labels.retain(|name, _| !name.starts_with("app.kubernetes.io/"));
    }
    let labels = if labels.as_object().is_none_or(serde_json::Map::is_empty) { Value::Null } else { labels };
    let args = container.get("args").cloned().unwrap_or_else(|| json!([]));
    let runs = json!([container["image"], container["ports"][0]["containerPort"], args, labels]);
    let hash = template["metadata"]["annotations"]["mcp.mcp.dev/secret-hash"].as_str().unwrap_or_default();
    (runs, container["envFrom"][0]["secretRef"]["name"].clone(), hash.to_owned())
}

/// The digest of a Secret's data, by its definition: over its keys in order, each with its length before it and the digest
/// of its value's base64 after it.
pub(crate) fn digest(data: &Value) -> String {
    let mut hash = Sha256::new();
    for (key, value) in data.as_object().into_iter().flatten().collect::<BTreeMap<_, _>>() {
        hash.update((key.len() as u64).to_be_bytes());
        hash.update(key);
        hash.update(Sha256::digest(value.as_str().unwrap_or_default()));
    }
    hash.finalize().iter().fold(String::new(), |text, byte| text + &format!("{byte:02x}"))
}

/// That the judge can say no.
#[cfg(test)]
mod tests {
    use super::*;

    fn deployment(uid: &str, image: &str, secret: Option<(&str, &str)>) -> Value {
        let mut container = json!({"image": image, "ports": [{"containerPort": 8080}]});
        let mut annotations = json!({});
        if let Some((name, hash)) = secret {
            container["envFrom"] = json!([{"secretRef": {"name": name}}]);
            annotations["mcp.mcp.dev/secret-hash"] = json!(hash);
        }
        let metadata = json!({"namespace": "n", "name": "web", "uid": uid, "ownerReferences": [{"uid": "server"}]});
        let template = json!({"metadata": {"annotations": annotations}, "spec": {"containers": [container]}});
        json!({"metadata": metadata, "spec": {"template": template}})
    }

    /// Three images, and a Secret `s` with two contents.
    fn rolls() -> Rolls {
        let mut rolls = Rolls::default();
        let server = rolls.servers.entry("server".to_owned()).or_default();
        for image in ["one", "two", "three"] {
            server.specs.add(wished(&json!({"image": image, "port": 8080})));
        }
        server.names.add(Value::Null);
        server.names.add(json!("s"));
        rolls.secrets.insert(("n".to_owned(), "s".to_owned()), vec!["old".to_owned(), "new".to_owned()]);
        rolls
    }

    #[test]
    fn forward_is_right_whatever_is_skipped_and_back_is_wrong() {
        let mut rolls = rolls();
        let [one, two, three] = ["one", "two", "three"].map(|image| deployment("d", image, None));
        assert_eq!(rolls.wrote(None, &one), Ok(()));
        assert_eq!(rolls.wrote(Some(&one), &three), Ok(()), "two was there for too short a time");
        assert!(rolls.wrote(Some(&three), &two).unwrap_err().contains("not any more"));
        let other = deployment("d", "other", None);
        assert!(rolls.wrote(Some(&three), &other).is_err(), "nobody wished for that");
        assert_eq!(rolls.count, 1);
    }

    #[test]
    fn a_secrets_content_is_followed_like_a_spec() {
        let mut rolls = rolls();
        let [none, new, old] =
            [None, Some(("s", "new")), Some(("s", "old"))].map(|secret| deployment("d", "one", secret));
        assert_eq!(rolls.wrote(None, &none), Ok(()));
        assert_eq!(rolls.wrote(Some(&none), &new), Ok(()));
        assert!(rolls.wrote(Some(&new), &old).is_err());
        assert!(rolls.wrote(Some(&new), &none).is_err());
    }

    #[test]
    fn pods_are_restarted_for_a_reason_or_after_a_stranger_restarted_them() {
        let mut rolls = rolls();
        let right = deployment("d", "one", None);
        let mut odd = right.clone();
        odd["spec"]["template"]["spec"]["hostname"] = json!("odd");
        assert_eq!(rolls.wrote(None, &right), Ok(()));
        assert_eq!(rolls.wrote(Some(&right), &right), Ok(()), "the template is the same");
        assert!(rolls.wrote(Some(&odd), &right).unwrap_err().contains("nothing has changed"));
        rolls.disturb(&odd);
        assert_eq!(rolls.wrote(Some(&odd), &right), Ok(()));
        rolls.written_for.insert("d".to_owned(), "the server before".to_owned());
        assert_eq!(rolls.wrote(Some(&odd), &right), Ok(()), "it was adopted");
        assert!(rolls.wrote(Some(&odd), &right).is_err(), "once");
        assert_eq!(rolls.wrote(Some(&odd), &deployment("another", "one", None)), Ok(()), "it was made anew");
    }

    #[test]
    fn an_adopted_deployment_may_keep_the_secret_of_its_last_owner_and_may_not_go_back_to_it() {
        let mut rolls = rolls();
        rolls.secrets.insert(("n".to_owned(), "other".to_owned()), vec!["hash".to_owned()]);
        let other = Some(("other", "hash"));
        let [before, kept, moved] = [("one", other), ("two", other), ("two", Some(("s", "new")))]
            .map(|(image, secret)| deployment("d", image, secret));
        assert!(rolls.wrote(Some(&before), &kept).is_err(), "nobody wished for it");
        rolls.written_for.insert("d".to_owned(), "the server before".to_owned());
        assert_eq!(rolls.wrote(Some(&before), &kept), Ok(()));
        assert_eq!(rolls.wrote(Some(&kept), &moved), Ok(()));
        assert!(rolls.wrote(Some(&moved), &kept).is_err());
    }
}
