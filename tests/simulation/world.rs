//! One cluster, with its weather, and a judge at its door.
//!
//! Every request of an operator passes [`World::arrive`]: there it is noted, counted, searched for Secrets' values, and,
//! if it writes, judged: is its sender the one who holds the Lease? Is what it deletes its own?

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock, Mutex};

use bytes::Bytes;
use http::{Method, Request, Response};
use jiff::Timestamp;
use playground::auth;
use playground::{Cluster, controllers};
use serde_json::{Value, json};
use tokio::time::{Duration, Instant};

use crate::instance::{Crew, LEASE};
use crate::rolls::Rolls;
use crate::sieve::grow_stale;
use crate::timeline::Timeline;
use crate::wire::{Asked, Crash, Life, whole};

pub(crate) const SERVERS: &str = "mcpservers.mcp.mcp.dev";
pub(crate) const DEPLOYMENTS: &str = "deployments.apps";
pub(crate) const SERVICES: &str = "services";
pub(crate) const BUDGETS: &str = "poddisruptionbudgets.policy";
pub(crate) const POLICIES: &str = "networkpolicies.networking.k8s.io";
pub(crate) const AUTOSCALERS: &str = "horizontalpodautoscalers.autoscaling";
pub(crate) const SECRETS: &str = "secrets";
pub(crate) const LEASES: &str = "leases.coordination.k8s.io";
/// All that an operator may make.
pub(crate) const CHILDREN: [&str; 5] = [DEPLOYMENTS, SERVICES, BUDGETS, POLICIES, AUTOSCALERS];
pub(crate) const NAMESPACES: [&str; 2] = ["default", "team"];

/// No key is asked about more often within a second. A backoff that begins with 5 ms and doubles makes eight attempts in
/// its first second, and each may be a few requests.
const MOST_PER_SECOND: u64 = 40;
/// More tasks than these nobody needs for a handful of objects.
const MOST_TASKS: usize = 400;

/// Made once, and without its prose: half a world's time would go into that.
static DEFINITION: LazyLock<Value> = LazyLock::new(|| silent(smooth_operator::api::crd::definition()));

/// A schema without descriptions.
fn silent(mut schema: Value) -> Value {
    match &mut schema {
        Value::Object(fields) => {
            fields.retain(|name, value| name != "description" || !value.is_string());
            fields.values_mut().for_each(|field| *field = silent(field.take()));
        }
        Value::Array(items) => items.iter_mut().for_each(|item| *item = silent(item.take())),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
    schema
}

/// See the [module](self).
pub(crate) struct World {
    pub(crate) cluster: Cluster,
    pub(crate) timeline: Timeline,
    /// Whether the operators elect a leader.
    pub(crate) elects: bool,
    pub(crate) rolls: Mutex<Rolls>,
    weather: Mutex<Weather>,
    lives: Mutex<BTreeMap<usize, Arc<Life>>>,
    plan: Plan,
    /// Writes that have arrived, those to the Lease aside.
    writes: AtomicU64,
    requests: AtomicU64,
    /// Who asked about what in which second, and how often.
    asked: Mutex<BTreeMap<(usize, String), (u64, u64)>>,
    started: Instant,
    /// The revision before the last step of a life.
    before_step: AtomicU64,
    /// When the tools of all servers changed last.
    tools_changed: Mutex<Option<Timestamp>>,
}

/// What is to happen to the first operator in its first life.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Plan {
    /// It dies.
    pub(crate) crash: Option<Crash>,
    /// These lists of its API server are stale when it starts again.
    pub(crate) stale: Option<Stale>,
    /// It is not shown this piece of a watch.
    pub(crate) lost: Option<u64>,
}

/// Each resource has a cache of its own in an API server.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Stale {
    /// All lists.
    Everything,
    /// The lists of what the operator acts upon, but not of what it has made from that.
    Causes,
}

/// What the network is like.
#[derive(Default)]
struct Weather {
    /// How long a request takes each way, at most.
    latency: Duration,
    /// The API server can't be reached until then; by this instance alone, or by all (0).
    away: BTreeMap<usize, Instant>,
    /// Pods answer nobody until then.
    silent_pods: Option<Instant>,
    /// By operator (0 for all) and resource: how much later its watches show things.
    late: BTreeMap<(usize, String), Duration>,
}

impl World {
    /// A cluster that knows MCPServers, and its controllers.
    pub(crate) fn start(seed: u64, elects: bool, plan: Plan, timeline: Timeline) -> (Arc<Self>, Crew) {
        let noon = Timestamp::from_second(1_767_268_800).unwrap();
        let cluster = Cluster::started_at(noon, seed, Duration::from_secs(60), auth::Options::default());
        let definition = DEFINITION.clone();
        cluster.create("customresourcedefinitions.apiextensions.k8s.io", "", definition, "kubectl").unwrap();
        let team = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACES[1]}});
        cluster.create("namespaces", "", team, "kubectl").unwrap();
        let controllers = Crew::start(|stop| {
            let listening = controllers::Listening::InProcess;
            controllers::start(&cluster, controllers::Options { listening, ..controllers::Options::default() }, stop)
        });
        let world = Self {
            cluster,
            timeline,
            elects,
            rolls: Mutex::default(),
            weather: Mutex::default(),
            lives: Mutex::default(),
            plan,
            writes: AtomicU64::new(0),
            requests: AtomicU64::new(0),
            asked: Mutex::default(),
            started: Instant::now(),
            before_step: AtomicU64::new(1),
            tools_changed: Mutex::default(),
        };
        (Arc::new(world), controllers)
    }

    /// All servers, whoever wrote them.
    pub(crate) fn servers(&self) -> Vec<Arc<Value>> {
        self.cluster.list(SERVERS, None)
    }

    /// Their namespaces and names.
    pub(crate) fn server_names(&self) -> BTreeSet<(String, String)> {
        let of = |server: &Value, field: &str| server["metadata"][field].as_str().unwrap_or_default().to_owned();
        self.servers().iter().map(|server| (of(server, "namespace"), of(server, "name"))).collect()
    }

    /// The newest life of each operator.
    pub(crate) fn newest_lives(&self) -> Vec<Arc<Life>> {
        self.lives.lock().unwrap().values().cloned().collect()
    }

    /// The life that holds the Lease.
    pub(crate) fn leader(&self) -> Option<Arc<Life>> {
        let lease = self.cluster.get(LEASES, LEASE.0, LEASE.1)?;
        let holder = lease["spec"]["holderIdentity"].as_str()?;
        self.newest_lives().into_iter().find(|life| life.identity().as_deref() == Some(holder))
    }

    pub(crate) fn lives(&self, life: &Arc<Life>) {
        let Plan { crash, stale, lost } = self.plan;
        match (life.instance, life.number) {
            (1, 1) => {
                if let Some(crash) = crash {
                    life.crashes(crash);
                }
                if let Some(lost) = lost {
                    life.loses(lost);
                }
            }
            (1, 2) => {
                if let Some(stale) = stale {
                    grow_stale(self, stale);
                }
            }
            _ => {}
        }
        self.lives.lock().unwrap().insert(life.instance, Arc::clone(life));
    }

    /// How many writes have arrived, those to the Lease aside.
    pub(crate) fn writes(&self) -> u64 {
        self.writes.load(Ordering::Relaxed)
    }

    /// How many requests have arrived.
    pub(crate) fn requests(&self) -> u64 {
        self.requests.load(Ordering::Relaxed)
    }

    /// Whether an operator has asked for this.
    pub(crate) fn asked_for(&self, what: &str) -> bool {
        self.asked.lock().unwrap().keys().any(|(_, asked)| asked == what)
    }

    /// A step of a life begins.
    pub(crate) fn begin_step(&self) {
        self.before_step.store(self.cluster.revision(), Ordering::Relaxed);
    }

    pub(crate) fn before_step(&self) -> u64 {
        self.before_step.load(Ordering::Relaxed)
    }

    /// All servers have other tools from now on, and nothing else tells of it.
    pub(crate) fn change_tools(&self) {
        self.cluster.servers().change_tools("");
        *self.tools_changed.lock().unwrap() = Some(self.cluster.now());
    }

    /// When the tools of all servers changed last, to the second.
    pub(crate) fn tools_changed(&self) -> Option<String> {
        let changed = (*self.tools_changed.lock().unwrap())?;
        Some(changed.strftime("%Y-%m-%dT%H:%M:%SZ").to_string())
    }

    // --- the weather

    pub(crate) fn latency(&self) -> Duration {
        self.weather.lock().unwrap().latency
    }

    pub(crate) fn set_latency(&self, latency: Duration) {
        self.weather.lock().unwrap().latency = latency;
    }

    /// Nobody reaches the API server for so long; or only this operator does not.
    pub(crate) fn cut_off(&self, instance: Option<usize>, time: Duration) {
        self.weather.lock().unwrap().away.insert(instance.unwrap_or(0), Instant::now() + time);
    }

    /// No pod answers an operator for so long, though each is ready.
    pub(crate) fn silence_pods(&self, time: Duration) {
        self.weather.lock().unwrap().silent_pods = Some(Instant::now() + time);
    }

    pub(crate) fn pods_are_silent(&self) -> bool {
        self.weather.lock().unwrap().silent_pods.is_some_and(|until| Instant::now() < until)
    }

    /// The watches of this resource show things so much later from now on; to this operator, or to all.
    pub(crate) fn delay_watches(&self, instance: Option<usize>, resource: &str, late: Duration) {
        self.weather.lock().unwrap().late.insert((instance.unwrap_or(0), resource.to_owned()), late);
    }

    /// Fine weather, for good.
    pub(crate) fn clear_up(&self) {
        self.cluster.faults().clear();
        *self.weather.lock().unwrap() = Weather::default();
    }

    fn away(&self, instance: usize) -> Duration {
        let weather = self.weather.lock().unwrap();
        let until = [0, instance].iter().filter_map(|who| weather.away.get(who)).max();
        until.map(|until| until.saturating_duration_since(Instant::now())).unwrap_or_default()
    }

    /// How much later a watch shows what has just come.
    pub(crate) fn lateness(&self, instance: usize, resource: &str) -> Duration {
        let late = |who| self.weather.lock().unwrap().late.get(&(who, resource.to_owned())).copied();
        late(0).max(late(instance)).unwrap_or_default().max(self.away(instance))
    }

    // --- the door

    /// A request has reached the API server, or would have.
    pub(crate) async fn arrive(
        &self,
        life: &Life,
        asked: &Asked,
        request: Request<Bytes>,
    ) -> io::Result<Response<playground::http::Body>> {
        if !self.away(life.instance).is_zero() {
            return Err(io::Error::new(io::ErrorKind::ConnectionRefused, "the API server can't be reached"));
        }
        self.requests.fetch_add(1, Ordering::Relaxed);
        self.timeline.scan("a request's path", request.uri().to_string().as_bytes());
        self.timeline.scan(&asked.to_string(), request.body());
        self.count(life, asked);
        if asked.writes() {
            self.judge(life, asked, request.body());
        }
        let deployment = asked.writes() && asked.resource == "deployments";
        let look = || self.cluster.get(DEPLOYMENTS, &asked.namespace, &asked.name).filter(|_| deployment);
        let before = look();
        let theirs = if asked.method == Method::DELETE { self.theirs(asked) } else { None };
        let response = self.cluster.exchange(request).await;
        if let Some((kind, object)) = theirs
            && self.cluster.get(kind, &asked.namespace, &asked.name).is_none_or(|now| !is_same(&now, &object))
        {
            self.timeline.violation(format_args!("{} deletes what is not its own: {asked}", life.name()));
        }
        if deployment && let Some(after) = look() {
            let told = self.rolls.lock().unwrap().wrote(before.as_deref(), &after);
            if let Err(what) = told {
                self.timeline.violation(format_args!("{}: {what}", life.name()));
            }
        }
        let code = response.as_ref().map_or(0, |response| response.status().as_u16());
        // The Lease is renewed every two seconds: only what is unusual about it is worth a line.
        if asked.resource != "leases" || !(200..300).contains(&code) {
            self.timeline.note(life.name(), format_args!("{asked}: {code}"));
        }
        let response = response?;
        if asked.watch { Ok(response) } else { Ok(whole(response).await?.0) }
    }

    /// Only the leader writes, and only the own is deleted.
    fn judge(&self, life: &Life, asked: &Asked, body: &[u8]) {
        if asked.resource == "leases" {
            let lease: Value = serde_json::from_slice(body).unwrap_or_default();
            if let Some(identity) = lease["spec"]["holderIdentity"].as_str().filter(|identity| !identity.is_empty()) {
                life.calls_itself(identity);
            }
            return;
        }
        self.writes.fetch_add(1, Ordering::Relaxed);
        if self.elects {
            let lease = self.cluster.get(LEASES, LEASE.0, LEASE.1);
            let holder = lease.as_deref().and_then(|lease| lease["spec"]["holderIdentity"].as_str());
            if holder.is_none() || holder != life.identity().as_deref() {
                self.timeline.violation(format_args!(
                    "{} writes while {holder:?} holds the Lease: {asked} (it is {:?})",
                    life.name(),
                    life.identity()
                ));
            }
        }
    }

    /// What has this name, if it is not the operator's own.
    fn theirs(&self, asked: &Asked) -> Option<(&'static str, Arc<Value>)> {
        let kind = CHILDREN.into_iter().find(|kind| kind.split('.').next() == Some(&asked.resource))?;
        let object = self.cluster.get(kind, &asked.namespace, &asked.name)?;
        let owner = &object["metadata"]["ownerReferences"][0];
        let own = owner["kind"] == "MCPServer" && owner["controller"] == true && owner["name"] == asked.name.as_str();
        (!own).then_some((kind, object))
    }

    /// Nobody asks about one thing again and again.
    fn count(&self, life: &Life, asked: &Asked) {
        let second = self.started.elapsed().as_secs();
        let mut counts = self.asked.lock().unwrap();
        let count = counts.entry((life.instance, asked.to_string())).or_default();
        *count = if count.0 == second { (second, count.1 + 1) } else { (second, 1) };
        let events = asked.resource == "events";
        if count.1 == MOST_PER_SECOND && !events {
            self.timeline.violation(format_args!("{}: {asked} {MOST_PER_SECOND} times within a second", life.name()));
        }
        drop(counts);
        let tasks = tokio::runtime::Handle::current().metrics().num_alive_tasks();
        if tasks > MOST_TASKS {
            self.timeline.violation(format_args!("{tasks} tasks are alive"));
        }
    }
}

fn is_same(one: &Value, other: &Value) -> bool {
    one["metadata"]["uid"] == other["metadata"]["uid"]
}
