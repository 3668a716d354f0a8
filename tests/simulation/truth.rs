//! What should be there, once nothing changes any more.
//!
//! A second opinion: it shares no code with the operator, and reads the documentation's words instead. It only says what
//! differs; whether that is a violation depends on how long everybody had.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde_json::{Value, json};

use crate::rolls::{digest, running};
use crate::world::{AUTOSCALERS, BUDGETS, CHILDREN, DEPLOYMENTS, POLICIES, SECRETS, SERVICES, World};

/// What strangers have made or written, and nobody else may touch.
#[derive(Default)]
pub(crate) struct Foreign {
    /// By kind, uid, namespace and name: what the annotation says.
    annotations: BTreeMap<(&'static str, String, String, String), u32>,
    /// By kind, namespace and name: the uid and the spec.
    objects: BTreeMap<(&'static str, String, String), (String, Value)>,
}

fn text(object: &Value, pointer: &str) -> String {
    object.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned()
}

impl Foreign {
    pub(crate) fn annotated(&mut self, kind: &'static str, object: &Value, number: u32) {
        let of = |field: &str| text(object, &format!("/metadata/{field}"));
        self.annotations.insert((kind, of("uid"), of("namespace"), of("name")), number);
    }

    pub(crate) fn made(&mut self, kind: &'static str, object: &Value) {
        let of = |field: &str| text(object, &format!("/metadata/{field}"));
        self.objects.insert((kind, of("namespace"), of("name")), (of("uid"), object["spec"].clone()));
    }

    pub(crate) fn deleted(&mut self, kind: &'static str, namespace: &str, name: &str) {
        self.objects.remove(&(kind, namespace.to_owned(), name.to_owned()));
    }

    /// What was done to what is theirs.
    fn differences(&self, world: &World) -> Vec<String> {
        let mut found = Vec::new();
        for ((kind, uid, namespace, name), number) in &self.annotations {
            let object = world.cluster.get(kind, namespace, name).filter(|object| object["metadata"]["uid"] == **uid);
            // It is gone, or another one has its name.
            let Some(object) = object else { continue };
            let says = &object["metadata"]["annotations"]["stranger.example/note"];
            if says.as_str() != Some(number.to_string().as_str()) {
                found.push(format!("{kind} {namespace}/{name}: a stranger's annotation is {says}, and not {number}"));
            }
        }
        for ((kind, namespace, name), (uid, spec)) in &self.objects {
            let object = world.cluster.get(kind, namespace, name);
            let Some(object) = object.filter(|object| object["metadata"]["uid"] == **uid) else {
                found.push(format!("{kind} {namespace}/{name} was a stranger's, and is gone"));
                continue;
            };
            if object["spec"] != *spec || object["metadata"]["ownerReferences"].is_array() {
                found.push(format!("{kind} {namespace}/{name} is a stranger's, and was changed: {object}"));
            }
        }
        found
    }
}

/// Everything that is not as it should be.
pub(crate) fn differences(world: &World, foreign: &Foreign) -> Vec<String> {
    let mut found = foreign.differences(world);
    let servers = world.servers();
    for server in &servers {
        let name = format!("{}/{}", text(server, "/metadata/namespace"), text(server, "/metadata/name"));
        found.extend(Server::new(world, server).differences().into_iter().map(|what| format!("{name}: {what}")));
    }
    // All servers of the playground have the same tools at any time.
    let verified = servers.iter().filter(|server| is_verified(server));
    let hashes: BTreeSet<String> = verified.map(|server| text(server, "/status/server/toolsHash")).collect();
    if hashes.len() > 1 {
        found.push(format!("servers with the same tools show different digests of them: {hashes:?}"));
    }
    let living: BTreeSet<String> = servers.iter().map(|server| text(server, "/metadata/uid")).collect();
    for kind in CHILDREN {
        for object in world.cluster.list(kind, None) {
            let owner = &object["metadata"]["ownerReferences"][0];
            if owner["kind"] == "MCPServer" && !living.contains(owner["uid"].as_str().unwrap_or_default()) {
                found.push(format!("{kind} {} is an orphan", text(&object, "/metadata/name")));
            }
        }
    }
    found
}

/// Whether it says of itself that it runs and was verified.
fn is_verified(server: &Value) -> bool {
    let conditions = server["status"]["conditions"].as_array();
    let verified = |condition: &Value| condition["type"] == "Verified" && condition["status"] == "True";
    server["status"]["phase"] == "Running" && conditions.is_some_and(|conditions| conditions.iter().any(verified))
}

/// One server, and what has its name.
struct Server<'a> {
    world: &'a World,
    object: &'a Value,
    namespace: String,
    name: String,
    found: Vec<String>,
}

impl<'a> Server<'a> {
    fn new(world: &'a World, object: &'a Value) -> Self {
        let (namespace, name) = (text(object, "/metadata/namespace"), text(object, "/metadata/name"));
        Self { world, object, namespace, name, found: Vec::new() }
    }

    fn same(&mut self, what: &str, is: &Value, should: &Value) {
        if is != should {
            self.found.push(format!("{what} is {is}, and should be {should}"));
        }
    }

    fn child(&self, kind: &str) -> Option<Arc<Value>> {
        self.world.cluster.get(kind, &self.namespace, &self.name)
    }

    fn owns(&self, child: &Value) -> bool {
        child["metadata"]["ownerReferences"][0]["uid"] == self.object["metadata"]["uid"]
    }

    fn wants(&self, kind: &str) -> bool {
        let spec = &self.object["spec"];
        match kind {
            BUDGETS => spec["disruptionBudget"].is_object(),
            POLICIES => spec["networkPolicy"].is_object(),
            AUTOSCALERS => spec["autoscaling"].is_object(),
            _ => true,
        }
    }

    /// Somebody else's object stands where this server's should.
    fn is_taken(&self, kind: &str) -> bool {
        self.wants(kind) && self.child(kind).is_some_and(|child| !self.owns(&child))
    }

    fn condition(&self, kind: &str) -> (String, String) {
        let conditions = self.object["status"]["conditions"].as_array();
        let condition = conditions.into_iter().flatten().find(|condition| condition["type"] == kind);
        let condition = condition.unwrap_or(&Value::Null);
        (text(condition, "/status"), text(condition, "/reason"))
    }

    fn says(&mut self, kind: &str, status: &str, reason: &str) {
        let (is, why) = self.condition(kind);
        if is != status || (why != reason && !reason.is_empty()) {
            self.found.push(format!("condition {kind} is {is} ({why}), and should be {status} ({reason})"));
        }
    }

    fn differences(mut self) -> Vec<String> {
        let (metadata, status) = (&self.object["metadata"], &self.object["status"]);
        if !metadata["deletionTimestamp"].is_null() {
            self.found.push("is still being deleted".to_owned());
            return self.found;
        }
        self.same("observedGeneration", &status["observedGeneration"], &metadata["generation"]);
        let taken: Vec<&str> = CHILDREN.into_iter().filter(|kind| self.is_taken(kind)).collect();
        if taken.is_empty() {
            self.says("Accepted", "True", "Accepted");
        } else {
            self.says("Accepted", "False", "NameConflict");
            self.says("Ready", "False", "NameConflict");
        }
        if taken.contains(&DEPLOYMENTS) || taken.contains(&SERVICES) {
            return self.found;
        }
        let is_there = self.secret();
        self.service();
        self.extras(&taken);
        let Some(deployment) = self.child(DEPLOYMENTS) else {
            if is_there {
                self.found.push("has no Deployment".to_owned());
            }
            return self.found;
        };
        self.deployment(&deployment, is_there);
        self.counts(&deployment);
        if is_there && taken.is_empty() {
            self.readiness(&deployment);
        }
        self.found
    }

    /// Whether the pods have all that they need of it.
    fn secret(&mut self) -> bool {
        let Some(name) = self.object["spec"]["secretName"].as_str() else {
            self.says("SecretResolved", "True", "NotRequired");
            return true;
        };
        let is_there = self.world.cluster.get(SECRETS, &self.namespace, name).is_some();
        if is_there {
            self.says("SecretResolved", "True", "Resolved");
        } else {
            self.says("SecretResolved", "False", "SecretNotFound");
            let (ready, reason) = self.condition("Ready");
            if ready != "False" {
                self.found.push(format!("is Ready={ready} ({reason}) without its Secret"));
            }
        }
        is_there
    }

    fn service(&mut self) {
        let Some(service) = self.child(SERVICES) else {
            self.found.push("has no Service".to_owned());
            return;
        };
        let port = self.object["spec"].get("port").cloned().unwrap_or(json!(8080));
        self.same("the Service's port", &service["spec"]["ports"][0]["port"], &port);
        self.labels(&service);
    }

    fn labels(&mut self, child: &Value) {
        let labels = &child["metadata"]["labels"];
        for (label, value) in
            [("name", "mcpserver"), ("instance", &*self.name.clone()), ("managed-by", "smooth-operator")]
        {
            self.same(label, &labels[format!("app.kubernetes.io/{label}")], &json!(value));
        }
    }

    fn extras(&mut self, taken: &[&str]) {
        for kind in [BUDGETS, POLICIES, AUTOSCALERS] {
            let child = self.child(kind);
            match (self.wants(kind), &child) {
                _ if taken.contains(&kind) => {}
                (true, None) => self.found.push(format!("has none of {kind}")),
                (false, Some(child)) if self.owns(child) => self.found.push(format!("has one of {kind} too many")),
                (true, Some(child)) => self.labels(child),
                (false, _) => {}
            }
        }
    }

    fn deployment(&mut self, deployment: &Value, has_secret: bool) {
        let spec = &self.object["spec"];
        let (runs, secret, hash) = running(&deployment["spec"]["template"]);
        let args = spec.get("args").cloned().unwrap_or_else(|| json!([]));
        let port = spec.get("port").cloned().unwrap_or(json!(8080));
        self.same("what the pods run", &runs, &json!([spec["image"], port, args, spec["podLabels"]]));
        let replicas = &deployment["spec"]["replicas"];
        if self.wants(AUTOSCALERS) {
            let scaler = self.child(AUTOSCALERS).filter(|scaler| self.owns(scaler));
            let bound = |name: &str| scaler.as_ref().and_then(|scaler| scaler["spec"][name].as_i64());
            let (least, most) = (bound("minReplicas"), bound("maxReplicas"));
            let is = replicas.as_i64().unwrap_or(0);
            if is < least.unwrap_or(is) || is > most.unwrap_or(is) {
                self.found.push(format!("{is} pods are wanted; the autoscaler has not got to it yet"));
            }
        } else {
            self.same("the number of pods", replicas, &spec.get("replicas").cloned().unwrap_or(json!(1)));
        }
        if has_secret {
            self.same("the pods' Secret", &secret, &spec["secretName"]);
            let name = spec["secretName"].as_str();
            let data = name.and_then(|name| self.world.cluster.get(SECRETS, &self.namespace, name));
            let should = data.map(|secret| digest(&secret["data"])).unwrap_or_default();
            self.same("the hash of the Secret", &json!(hash), &json!(should));
        }
        self.labels(deployment);
    }

    fn counts(&mut self, deployment: &Value) {
        let (is, should) = (&self.object["status"], &deployment["status"]);
        let number = |object: &Value, field: &str| json!(object[field].as_i64().unwrap_or(0));
        for field in ["replicas", "readyReplicas", "updatedReplicas", "availableReplicas"] {
            self.same(&format!("status.{field}"), &number(is, field), &number(should, field));
        }
        let (available, _) = self.condition("Available");
        let port = self.object["spec"].get("port").cloned().unwrap_or(json!(8080));
        let url = format!("http://{}.{}.svc:{port}/mcp", self.name, self.namespace);
        let serves = available == "True" && deployment["spec"]["replicas"] != 0;
        self.same("the URL", &is["url"], &if serves { json!(url) } else { Value::Null });
    }

    /// All that it needs is there; whether it runs depends on its image.
    fn readiness(&mut self, deployment: &Value) {
        let (image, wanted) = (text(self.object, "/spec/image"), deployment["spec"]["replicas"].as_i64().unwrap_or(0));
        let available = deployment["status"]["availableReplicas"].as_i64().unwrap_or(0);
        if wanted == 0 {
            self.says("Ready", "True", "Available");
            self.same("the phase", &self.object["status"]["phase"], &json!("ScaledToZero"));
        } else if image.contains("/mcp:") {
            if available != wanted {
                self.found.push(format!("{available} of {wanted} pods are available"));
            }
            self.says("Ready", "True", "Available");
            self.same("the phase", &self.object["status"]["phase"], &json!("Running"));
            self.verification(&image);
        } else if available == 0 {
            self.says("Ready", "False", "");
            self.says("Available", "False", "");
        }
    }

    /// All its pods are there to be asked; what they answer depends on the image, too.
    fn verification(&mut self, image: &str) {
        let server = &self.object["status"]["server"];
        if self.object["spec"]["mcp"]["verify"] == "Off" {
            self.says("Verified", "Unknown", "VerificationOff");
            self.same("the server's own words", server, &Value::Null);
        } else if image.contains("speaks-html") {
            self.says("Verified", "False", "NotMCP");
        } else if image.contains("speaks-login") {
            self.says("Verified", "False", "AuthenticationRequired");
        } else {
            self.says("Verified", "True", "Verified");
            self.same("the server's name for itself", &server["name"], &json!(image));
            self.same("the number of tools", &server["tools"], &json!(3));
            let pods = self.world.cluster.list("pods", Some(&self.namespace));
            for labels in pods.iter().map(|pod| &pod["metadata"]["labels"]) {
                if labels["app.kubernetes.io/instance"] == self.name.as_str() {
                    self.same("the revision that was asked", &server["podTemplateHash"], &labels["pod-template-hash"]);
                }
            }
            let seen = server["lastVerifiedTime"].as_str().unwrap_or_default();
            if self.world.tools_changed().is_some_and(|changed| seen < changed.as_str()) {
                self.found.push(format!("its tools have changed since {seen}"));
            }
        }
    }
}
