//! What a person sees who looks at the playground with kubectl, the real one.
//!
//! The `kubectl` on PATH is run; where there is none, the tests say so and pass. `KUBECTL=/a/kubectl:/another/kubectl` names
//! others, each of which must pass. 1.27 to 1.36 do: where two versions word a thing differently, the test takes the words
//! of both and nothing else.
//!
//! Whatever is printed here is what a real cluster would have made kubectl print, but for one kind of answer: of what needs
//! containers, the playground says that it has none.

#[path = "kubectl/session.rs"]
mod session;

use serde_json::json;
use session::{assert_says, assert_says_one, line_with, server, squeezed, with_each_kubectl};

#[tokio::test]
async fn an_apply_creates_changes_and_leaves_alone() {
    with_each_kubectl("apply", async |session| {
        let mut config = server("a");
        session.file("a.json", &config);
        assert_eq!(session.good("apply -f a.json").await, "mcpserver.mcp.mcp.dev/a created\n");
        assert_eq!(session.good("apply -f a.json").await, "mcpserver.mcp.mcp.dev/a unchanged\n");
        config["spec"]["image"] = "registry.example/a:2".into();
        session.file("a.json", &config);
        let changes = session.run("diff -f a.json").await;
        assert_eq!(changes.code, 1, "{changes:?}");
        assert_says(&changes.out, &["- image: registry.example/a:1", "+ image: registry.example/a:2"]);
        assert_eq!(session.good("apply -f a.json").await, "mcpserver.mcp.mcp.dev/a configured\n");
        assert_eq!(session.good("diff -f a.json").await, "");
    })
    .await;
}

#[tokio::test]
async fn a_server_side_apply_names_who_else_owns_a_field() {
    with_each_kubectl("ssa", async |session| {
        let mut config = server("a");
        session.file("a.json", &config);
        let applied = "mcpserver.mcp.mcp.dev/a serverside-applied\n";
        assert_eq!(session.good("apply --server-side -f a.json").await, applied);
        assert_eq!(session.good("apply --server-side --field-manager=other -f a.json").await, applied);
        config["spec"]["image"] = "registry.example/a:2".into();
        session.file("a.json", &config);
        let conflict = session.bad("apply --server-side --field-manager=other -f a.json").await;
        assert_says(&conflict, &["Apply failed with 1 conflict: conflict with \"kubectl\": .spec.image"]);
        let forced = session.good("apply --server-side --force-conflicts --field-manager=other -f a.json").await;
        assert_eq!(forced, applied);
        config["spec"]["imag"] = "x".into();
        session.file("a.json", &config);
        let refused = session.bad("apply --server-side --field-manager=other -f a.json").await;
        assert_says(&refused, &["(default/a; mcp.mcp.dev/v1alpha1, Kind=MCPServer): .spec.imag: field not declared"]);
    })
    .await;
}

#[tokio::test]
async fn unknown_fields_are_refused_warned_of_or_dropped() {
    with_each_kubectl("unknown", async |session| {
        let template = json!({"metadata": {"labels": {"a": "b"}},
            "spec": {"containers": [{"name": "c", "image": "i:1", "imag": "x"}]}});
        let spec = json!({"replica": 2, "selector": {"matchLabels": {"a": "b"}}, "template": template});
        let deployment =
            json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "d"}, "spec": spec});
        session.file("d.json", &deployment);
        let fields = "unknown field \"spec.replica\", unknown field \"spec.template.spec.containers[0].imag\"";
        let refused = session.bad("apply --validate=strict -f d.json").await;
        assert_says(&refused, &[&format!("strict decoding error: {fields}")]);
        let warned = session.run("apply --validate=warn -f d.json").await;
        assert_says(&warned.err, &["Warning: unknown field \"spec.replica\""]);
        assert_eq!(warned.out, "deployment.apps/d created\n");
        assert!(!session.good("get deployment d -o json").await.contains("\"imag\""), "it was not stored");
        let fatal = session.bad("apply --validate=warn --warnings-as-errors -f d.json").await;
        assert_says(&fatal, &["unknown field"]);
        let refused = session.bad("apply --server-side -f d.json --validate=ignore").await;
        assert_says(
            &refused,
            &["errors: .spec.replica: field not declared in schema", ".containers[name=\"c\"].imag:"]
                .map(|part| part.split_once("errors: ").map_or(part, |(_, rest)| rest)),
        );
        let mut wrong = server("w");
        wrong["spec"]["port"] = json!("http");
        session.file("w.json", &wrong);
        assert_says(&session.bad("apply -f w.json").await, &["spec.port: Invalid value", "must be of type integer"]);
    })
    .await;
}

#[tokio::test]
async fn get_shows_objects_in_every_form() {
    with_each_kubectl("get", async |session| {
        session.make_server("a", &json!({"team": "x"}));
        session.make_server("b", &json!({}));
        session.good("create deployment web --image=i:1 --port=80").await;
        session.rolled_out("web").await;
        assert_says(&session.good("get mcp").await, &["NAME READY PHASE AVAILABLE PODS URL AGE\na "]);
        assert_says(
            &session.good("get mcp -o wide").await,
            &["AGE IMAGE SERVER PROTOCOL TOOLS MESSAGE", "registry.example/a:1"],
        );
        assert_says(&session.good("get mcp a -o yaml").await, &["kind: MCPServer", "image: registry.example/a:1"]);
        assert_says(&session.good("get mcp a -o json").await, &["\"kind\": \"MCPServer\""]);
        assert_eq!(session.good("get mcp a -o jsonpath={.spec.image}").await, "registry.example/a:1");
        assert_eq!(session.good("get mcps -o name").await, "mcpserver.mcp.mcp.dev/a\nmcpserver.mcp.mcp.dev/b\n");
        assert_eq!(session.good("get mcp -l team=x -o name").await, "mcpserver.mcp.mcp.dev/a\n");
        let named = session.good("get mcp --field-selector metadata.name=b -o name").await;
        assert_eq!(named, "mcpserver.mcp.mcp.dev/b\n");
        assert_says(&session.good("get mcp -A").await, &["NAMESPACE NAME", "default a"]);
        let several = session.good("get deploy,rs,po -o wide").await;
        assert_says(&several, &["deployment.apps/web 1/1 1 1", "i i:1 app=web", "READY STATUS RESTARTS AGE IP NODE"]);
        let all = session.good("get all").await;
        assert_says(&all, &["pod/web-", "deployment.apps/web", "replicaset.apps/web-", "mcpserver.mcp.mcp.dev/a"]);
        assert_says(&session.bad("get mcp nobody").await, &["mcpservers.mcp.mcp.dev \"nobody\" not found"]);
        assert_says(&session.bad("get nothings").await, &["doesn't have a resource type \"nothings\""]);
    })
    .await;
}

/// Of its own accord kubectl reads v3. Of v2, as protobuf, it reads before it says that a kind is not served, and up to 1.28
/// before every apply.
#[tokio::test]
async fn fields_are_explained_by_v3_and_by_v2() {
    with_each_kubectl("openapi", async |session| {
        assert_says(&session.good("explain mcpserver.spec.replicas").await, &["FIELD: replicas <integer>"]);
        assert_says(
            &session.good("get --raw /openapi/v2").await,
            &["\"swagger\":\"2.0\"", "dev.mcp.mcp.v1alpha1.MCPServer"],
        );
        let second = session.good("explain mcpserver.spec --output=plaintext-openapiv2").await;
        assert_says(&second, &["RESOURCE: spec <Object>", "image <string> -required-"]);
        let ports = "explain deployment.spec.template.spec.containers.ports --output=plaintext-openapiv2";
        assert_says(&session.good(ports).await, &["RESOURCE: ports <[]Object>", "containerPort <integer> -required-"]);
        let job = json!({"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "j"}});
        let refused = session.piped("apply -f -", &job).await;
        assert_says(&refused.err, &["no matches for kind \"Job\" in version \"batch/v1\""]);
    })
    .await;
}

#[tokio::test]
async fn a_watching_get_shows_what_comes() {
    with_each_kubectl("watch", async |session| {
        session.make_server("a", &json!({}));
        let mut watching = session.started("get mcp -w -o name");
        session.make_server("late", &json!({}));
        assert_eq!(line_with(&mut watching, "late").await, "mcpserver.mcp.mcp.dev/late");
    })
    .await;
}

#[tokio::test]
async fn describe_tells_the_story_with_its_events() {
    with_each_kubectl("describe", async |session| {
        session.make_server("a", &json!({}));
        session.good("create deployment web --image=i:1 --port=80").await;
        session.good("expose deployment web --port=80").await;
        session.rolled_out("web").await;
        assert_says(
            &session.good("describe mcp a").await,
            &["Kind: MCPServer", "Image: registry.example/a:1", "Events:"],
        );
        let deployment = session.good("describe deployment web").await;
        assert_says(&deployment, &["1 desired | 1 updated | 1 total | 1 available", "RollingUpdateStrategy: 25% max"]);
        assert_says(&deployment, &["Normal ScalingReplicaSet", "deployment-controller Scaled up replica set web-"]);
        assert_says(&session.good("describe rs").await, &["Normal SuccessfulCreate", "Created pod: web-"]);
        let pod = session.good("describe pod").await;
        assert_says(
            &pod,
            &["Node: playground/", "State: Running", "default-scheduler Successfully assigned default/web-"],
        );
        // Which part of the pod it is about is told since 1.35.
        let pulled = "Container image \"i:1\" already present on machine and can be accessed by the pod";
        assert_says_one(&pod, &[&format!("kubelet {pulled}"), &format!("kubelet spec.containers{{i}}: {pulled}")]);
        let story = ["Scheduled", "Pulled", "Created", "Started"].map(|reason| pod.find(&format!("Normal  {reason}")));
        assert!(story.is_sorted() && story[0].is_some(), "{pod}");
        let service = session.good("describe service web").await;
        assert_says(&service, &["Type: ClusterIP", "IP: 10.96.0.", "Port: <unset> 80/TCP"]);
        // Up to 1.30 kubectl looks for them in the Endpoints of old, which are not kept.
        assert_says_one(&service, &["Endpoints: 127.1.0.1:80", "Endpoints: <none>"]);
        session.good("create secret generic s --from-literal=key=value").await;
        let secret = session.good("describe secret s").await;
        assert_says(&secret, &["Type: Opaque", "key: 5 bytes"]);
        assert!(!secret.contains("dmFsdWU"), "{secret}");
        let events = session.good("get events").await;
        assert_says(&events, &["LAST SEEN TYPE REASON OBJECT MESSAGE", "deployment/web"]);
        assert!(events.starts_with("LAST SEEN"), "{events}");
        assert_says(&session.good("events --for deployment/web").await, &["ScalingReplicaSet Deployment/web"]);
    })
    .await;
}

#[tokio::test]
async fn explain_knows_custom_and_built_in_kinds() {
    with_each_kubectl("explain", async |session| {
        assert_says(&session.good("explain mcpserver.spec").await, &["KIND: MCPServer", "image <string> -required-"]);
        let replicas = session.good("explain deployment.spec.replicas").await;
        assert_says(&replicas, &["FIELD: replicas <integer>"]);
        let policy = session.good("explain pod.spec.restartPolicy").await;
        // The values that there are, are told since 1.30.
        assert_says_one(
            &policy,
            &[
                "FIELD: restartPolicy <string>\nENUM:\nAlways\nNever\nOnFailure\n",
                "FIELD: restartPolicy <string>\n\nDESCRIPTION:",
            ],
        );
        let all = session.good("explain service --recursive").await;
        assert_says(&all, &["spec <ServiceSpec>", "targetPort <IntOrString>", "port <integer> -required-"]);
        assert_says(&session.bad("explain deployment.spec.nothing").await, &["field \"nothing\" does not exist"]);
    })
    .await;
}

#[tokio::test]
async fn patches_of_all_kinds_and_an_editor_change_an_object() {
    with_each_kubectl("patch", async |session| {
        session.make_server("a", &json!({}));
        session.good("create deployment web --image=i:1").await;
        let patched = "mcpserver.mcp.mcp.dev/a patched\n";
        assert_eq!(session.good("patch mcp a --type=merge -p {\"spec\":{\"replicas\":2}}").await, patched);
        let operations = "[{\"op\":\"replace\",\"path\":\"/spec/replicas\",\"value\":3}]";
        assert_eq!(session.good(&format!("patch mcp a --type=json -p {operations}")).await, patched);
        assert_eq!(session.good("get mcp a -o jsonpath={.spec.replicas}").await, "3");
        let refused = session.bad("patch mcp a --type=strategic -p {\"spec\":{\"replicas\":2}}").await;
        assert_says(&refused, &["strategic-merge-patch+json is not supported by mcp.mcp.dev/v1alpha1, Kind=MCPServer"]);
        let container = "{\"spec\":{\"template\":{\"spec\":{\"containers\":[{\"name\":\"i\",\"image\":\"i:2\"}]}}}}";
        assert_eq!(
            session.good(&format!("patch deployment web -p {container}")).await,
            "deployment.apps/web patched\n"
        );
        assert_says(&session.bad("patch mcp a --type=merge -p {\"spec\":{\"port\":0}}").await, &["spec.port"]);
        let nowhere = "[{\"op\":\"replace\",\"path\":\"/spec/a/b\",\"value\":3}]";
        let refused = session.bad(&format!("patch deployment web --type=json -p {nowhere}")).await;
        assert_says(&refused, &["the server rejected our request due to an error in our request"]);
        session.editor("s/replicas: .*/replicas: 5/");
        assert_eq!(session.good("edit mcp a").await, "mcpserver.mcp.mcp.dev/a edited\n");
        assert_says(&session.run("edit mcp a").await.err, &["Edit cancelled, no changes made."]);
        assert_eq!(session.good("edit deployment web").await, "deployment.apps/web edited\n");
        assert_eq!(session.good("get deployment web -o jsonpath={.spec.replicas}").await, "5");
    })
    .await;
}

#[tokio::test]
async fn scale_and_autoscale_act_on_whatever_has_a_scale() {
    with_each_kubectl("scale", async |session| {
        session.make_server("a", &json!({}));
        session.good("create deployment web --image=i:1").await;
        assert_eq!(session.good("scale mcp/a --replicas=3").await, "mcpserver.mcp.mcp.dev/a scaled\n");
        assert_eq!(session.good("scale deployment/web --replicas=2").await, "deployment.apps/web scaled\n");
        let refused = session.bad("scale deployment/web --current-replicas=9 --replicas=1").await;
        assert_eq!(refused, "error: Expected replicas to be 9, was 2\n");
        let made = session.good("autoscale deployment web --min=3 --max=5 --cpu-percent=50").await;
        assert_eq!(made, "horizontalpodautoscaler.autoscaling/web autoscaled\n");
        session.good("wait hpa/web --for=condition=AbleToScale --timeout=60s").await;
        assert_says(&session.good("get hpa").await, &["REFERENCE TARGETS", "web Deployment/web", "<unknown>/50% 3 5"]);
        assert_eq!(session.good("get deployment web -o jsonpath={.spec.replicas}").await, "3");
        assert_says(&session.good("describe hpa web").await, &["Reference: Deployment/web", "AbleToScale True"]);
    })
    .await;
}

#[tokio::test]
async fn a_delete_takes_the_dependents_along_or_leaves_them() {
    with_each_kubectl("delete", async |session| {
        for (name, cascade, left) in [("b", "background", false), ("f", "foreground", false), ("o", "orphan", true)] {
            session.good(&format!("create deployment {name} --image=i:1")).await;
            session.rolled_out(name).await;
            let deleted = session.good(&format!("delete deployment {name} --cascade={cascade}")).await;
            assert_says(&deleted, &[&format!("deployment.apps \"{name}\" deleted")]);
            if left {
                assert_says(&session.good(&format!("get rs -l app={name} -o name")).await, &["replicaset.apps/o-"]);
            } else {
                session.run(&format!("wait --for=delete pod -l app={name} --timeout=60s")).await;
                assert_eq!(session.good(&format!("get rs,pod -l app={name} -o name")).await, "");
            }
        }
        session.make_server("a", &json!({}));
        session.good("delete mcp a --wait=false").await;
        session.good("wait --for=delete mcp/a --timeout=60s").await;
        assert_says(&session.bad("delete mcp a").await, &["mcpservers.mcp.mcp.dev \"a\" not found"]);
        session.make_server("b", &json!({}));
        assert_says(&session.good("delete mcp --all").await, &["\"b\" deleted"]);
    })
    .await;
}

#[tokio::test]
async fn a_wait_ends_when_the_condition_holds() {
    with_each_kubectl("wait", async |session| {
        session.make_server("a", &json!({}));
        let ready = json!({"status": {"phase": "Running", "observedGeneration": 1, "conditions": [{"type": "Ready", "status": "True",
            "reason": "Available", "message": "", "lastTransitionTime": "2026-01-01T00:00:00Z"}]}});
        let cluster = session.playground.cluster();
        let late = async {
            cluster.patch_merge("mcpservers.mcp.mcp.dev", "default", "a", Some("status"), &ready, "test").unwrap();
        };
        let wait = session.good("wait --for=condition=Ready mcp/a --timeout=60s");
        let (said, ()) = tokio::join!(wait, late);
        assert_eq!(said, "mcpserver.mcp.mcp.dev/a condition met\n");
        session.good("wait --for=jsonpath={.status.phase}=Running mcp/a --timeout=60s").await;
        let late = session.bad("wait --for=condition=Ready=False mcp/a --timeout=1s").await;
        assert_says(&late, &["timed out waiting for the condition on mcpservers/a"]);
    })
    .await;
}

#[tokio::test]
async fn a_rollout_is_followed_paused_and_undone() {
    with_each_kubectl("rollout", async |session| {
        session.good("create deployment web --image=i:1 --replicas=2").await;
        session.rolled_out("web").await;
        assert_eq!(session.good("set image deployment/web i=i:2").await, "deployment.apps/web image updated\n");
        let status = session.good("rollout status deployment/web --timeout=60s").await;
        assert_says(&status, &["deployment \"web\" successfully rolled out"]);
        let history = squeezed(&session.good("rollout history deployment/web").await);
        assert_says(&history, &["REVISION CHANGE-CAUSE\n1 <none>\n2 <none>"]);
        assert_says(&session.good("rollout history deployment/web --revision=1").await, &["Image: i:1"]);
        assert_eq!(session.good("rollout undo deployment/web").await, "deployment.apps/web rolled back\n");
        session.rolled_out("web").await;
        let image = "get deployment web -o jsonpath={.spec.template.spec.containers[0].image}";
        assert_eq!(session.good(image).await, "i:1");
        assert_eq!(session.good("rollout pause deployment/web").await, "deployment.apps/web paused\n");
        assert_says(&session.bad("rollout pause deployment/web").await, &["is already paused"]);
        session.good("set image deployment/web i=i:3").await;
        assert_eq!(session.good("rollout resume deployment/web").await, "deployment.apps/web resumed\n");
        session.rolled_out("web").await;
        assert_eq!(session.good("rollout restart deployment/web").await, "deployment.apps/web restarted\n");
        session.rolled_out("web").await;
        session.good("set image deployment/web i=does-not-exist:1").await;
        assert_says(&session.bad("rollout status deployment/web --timeout=1s").await, &["timed out waiting"]);
    })
    .await;
}

#[tokio::test]
async fn what_needs_containers_is_refused_in_plain_words() {
    with_each_kubectl("containers", async |session| {
        session.good("run p --image=i:1").await;
        session.good("wait --for=condition=Ready pod/p --timeout=60s").await;
        for (command, subresource) in [
            ("logs p", "pods/log"),
            ("exec p -- ls", "pods/exec"),
            ("attach p", "pods/attach"),
            ("port-forward p 8080:80", "pods/portforward"),
        ] {
            let refused = session.bad(command).await;
            let why = format!("does not implement {subresource}: its pods have a status and no containers");
            assert_says(&refused, &[&why]);
        }
        assert_says(&session.bad("logs nobody").await, &["pods \"nobody\" not found"]);
        assert_says(&session.bad("top pods").await, &["Metrics API not available"]);
    })
    .await;
}

#[tokio::test]
async fn what_kubectl_creates_it_finds_again() {
    with_each_kubectl("create", async |session| {
        for (command, made) in [
            ("secret generic s --from-literal=a=b", "secret/s created"),
            ("configmap c --from-literal=a=b", "configmap/c created"),
            ("namespace n", "namespace/n created"),
            ("serviceaccount sa", "serviceaccount/sa created"),
            ("quota q --hard=pods=2", "resourcequota/q created"),
            ("poddisruptionbudget b --selector=a=b --min-available=1", "poddisruptionbudget.policy/b created"),
            ("priorityclass p --value=10", "priorityclass.scheduling.k8s.io/p created"),
            ("role r --verb=get --resource=pods", "role.rbac.authorization.k8s.io/r created"),
            ("rolebinding rb --role=r --serviceaccount=default:sa", "rolebinding.rbac.authorization.k8s.io/rb created"),
            ("service nodeport np --tcp=80:web", "service/np created"),
            ("service clusterip ci --tcp=80", "service/ci created"),
        ] {
            assert_eq!(session.good(&format!("create {command}")).await, format!("{made}\n"));
        }
        assert_says(
            &session.good("get svc np ci").await,
            &["np NodePort 10.96.0.2 <none> 80:30000/TCP", "ci ClusterIP"],
        );
        assert_says(&session.good("get pdb").await, &["b 1 N/A 0"]);
        assert_says(&session.good("get priorityclass").await, &["p 10 false"]);
        assert_eq!(session.good("get svc np -o jsonpath={.spec.ports[0].targetPort}").await, "web");
        assert_says(&session.bad("create namespace n").await, &["namespaces \"n\" already exists"]);
        let dry = session.good("create configmap dry --dry-run=server -o name").await;
        assert_eq!(dry, "configmap/dry\n");
        assert_says(&session.bad("get configmap dry").await, &["not found"]);
        assert_says(&session.bad("create job j --image=i").await, &["could not find the requested resource"]);
    })
    .await;
}

#[tokio::test]
async fn a_service_shows_where_it_is_reached_and_a_scale_how_much_there_is() {
    with_each_kubectl("tables", async |session| {
        session.good("create service externalname en --external-name=x.example").await;
        session.good("create deployment web --image=i:1 --replicas=2").await;
        session.good("expose deployment web --port=80 --external-ip=192.0.2.1").await;
        session.good("expose deployment web --name=lb --port=80 --type=LoadBalancer").await;
        session.rolled_out("web").await;
        session.good("create service nodeport np --tcp=80").await;
        session.good("patch service np -p {\"spec\":{\"type\":\"ClusterIP\"}}").await;
        let services = session.good("get svc").await;
        assert_says(
            &services,
            &[
                "np ClusterIP 10.96.0.",
                "<none> 80/TCP",
                "en ExternalName <none> x.example <none>",
                "192.0.2.1 80/TCP",
                "<pending> 80:3000",
            ],
        );
        let scale = session.good("get deployment web --subresource=scale").await;
        assert_says(&scale, &["NAME DESIRED AVAILABLE AGE\nweb 2 2 "]);
        let events = session.good("get events -o wide").await;
        let header = "LAST SEEN TYPE REASON OBJECT SUBOBJECT SOURCE MESSAGE FIRST SEEN COUNT NAME";
        assert_says(&events, &[header, "spec.containers{i} kubelet Container started"]);
        assert_says(&session.good("get --raw /livez?verbose").await, &["[+]ping ok\nlivez check passed"]);
        assert_says(&session.good("get --raw /").await, &["\"/apis/mcp.mcp.dev/v1alpha1\""]);
    })
    .await;
}

/// What nobody may make is not made in silence.
#[tokio::test]
async fn pods_that_are_refused_leave_word_in_events_and_conditions() {
    with_each_kubectl("refused", async |session| {
        session.good("create deployment web --image=i:1").await;
        session.good("set serviceaccount deployment web ghost").await;
        session.good("wait deployment/web --for=condition=ReplicaFailure --timeout=60s").await;
        let why = "is forbidden: error looking up service account default/ghost: serviceaccount \"ghost\" not found";
        assert_says(
            &session.good("get events").await,
            &["Warning FailedCreate replicaset/web-", "Error creating:", why],
        );
        session.good("create serviceaccount ghost").await;
        session.rolled_out("web").await;
        let conditions = session.good("get deployment web -o jsonpath={.status.conditions[*].type}").await;
        assert!(!conditions.contains("ReplicaFailure"), "{conditions}");
        let refused = session.bad("run p --image=i:1 --overrides={\"spec\":{\"priorityClassName\":\"ghost\"}}").await;
        assert_says(&refused, &["pods \"p\" is forbidden: no PriorityClass with name ghost was found"]);
    })
    .await;
}

#[tokio::test]
async fn what_is_allowed_and_hardly_meant_is_warned_of() {
    with_each_kubectl("warned", async |session| {
        let env = json!([{"name": "A", "value": "1"}, {"name": "A", "value": "2"}]);
        let template = json!({"metadata": {"labels": {"a": "b"}},
            "spec": {"containers": [{"name": "c", "image": "i:1", "env": env}]}});
        let spec = json!({"selector": {"matchLabels": {"a": "b"}}, "template": template});
        let deployment =
            json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "d"}, "spec": spec});
        let warning = "Warning: spec.template.spec.containers[0].env[1]: hides previous definition of \"A\", which may be \
                       dropped when using apply";
        assert_says(&session.piped("create -f -", &deployment).await.err, &[warning]);
        session.good("scale deployment d --replicas=0").await;
        assert_eq!(session.run("label deployment d x=y").await.err, "");
    })
    .await;
}

#[tokio::test]
async fn a_namespace_goes_and_takes_nothing_new() {
    with_each_kubectl("namespace", async |session| {
        session.good("create namespace n").await;
        let held =
            json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c", "finalizers": ["x.dev/y"]}});
        assert_eq!(session.piped("create -n n -f -", &held).await.out, "configmap/c created\n");
        session.good("delete namespace n --wait=false").await;
        assert_says(&session.good("get namespace n").await, &["n Terminating"]);
        let refused = session.bad("create configmap d -n n").await;
        assert_says(
            &refused,
            &["configmaps \"d\" is forbidden: unable to create new content in namespace n because it is"],
        );
        session
            .good("patch configmap c -n n --type=json -p [{\"op\":\"remove\",\"path\":\"/metadata/finalizers\"}]")
            .await;
        session.good("wait --for=delete namespace/n --timeout=60s").await;
        assert_says(&session.bad("create configmap d -n n").await, &["namespaces \"n\" not found"]);
        assert_says(&session.bad("delete namespace default").await, &["this namespace may not be deleted"]);
    })
    .await;
}

#[tokio::test]
async fn the_server_says_what_it_is_and_what_it_serves() {
    with_each_kubectl("discovery", async |session| {
        // Up to 1.27 in many words.
        let version = session.good("version").await;
        assert_says_one(&version, &["Server Version: v1.36.2+playground", "GitVersion:\"v1.36.2+playground\""]);
        assert_says(&session.good("cluster-info").await, &["Kubernetes control plane"]);
        let resources = session.good("api-resources").await;
        assert_says(&resources, &["mcpservers mcp,mcps mcp.mcp.dev/v1alpha1 true MCPServer"]);
        assert_says(&resources, &["horizontalpodautoscalers hpa autoscaling/v2 true HorizontalPodAutoscaler"]);
        let versions = session.good("api-versions").await;
        assert_says(&versions, &["apps/v1", "autoscaling/v1\nautoscaling/v2", "mcp.mcp.dev/v1alpha1"]);
        assert_says(&session.good("config view").await, &["current-context: playground"]);
        assert_eq!(session.good("auth can-i create deployments").await, "yes\n");
        assert_eq!(session.good("get --raw /readyz").await, "ok");
    })
    .await;
}

#[tokio::test]
async fn labels_kustomizations_and_replacements_do_what_they_say() {
    with_each_kubectl("misc", async |session| {
        session.file("k/a.json", &server("a"));
        session.file("k/kustomization.yaml", &json!({"namePrefix": "k-", "resources": ["a.json"]}));
        assert_eq!(session.good("apply -k k").await, "mcpserver.mcp.mcp.dev/k-a created\n");
        assert_eq!(session.good("apply -k k").await, "mcpserver.mcp.mcp.dev/k-a unchanged\n");
        assert_eq!(session.good("label mcp k-a team=x").await, "mcpserver.mcp.mcp.dev/k-a labeled\n");
        assert_says(&session.bad("label mcp k-a team=y").await, &["already has a value (x)"]);
        // Up to 1.27 without its last letter.
        let noted = session.good("annotate mcp k-a note=y").await;
        assert_says_one(&noted, &["mcpserver.mcp.mcp.dev/k-a annotated", "mcpserver.mcp.mcp.dev/k-a annotate"]);
        let pruned =
            session.good("apply --prune -l team=x --prune-allowlist=mcp.mcp.dev/v1alpha1/MCPServer -f k/b.json");
        let mut kept = server("b");
        kept["metadata"]["labels"] = json!({"team": "x"});
        session.file("k/b.json", &kept);
        assert_says(&pruned.await, &["mcpserver.mcp.mcp.dev/b created", "mcpserver.mcp.mcp.dev/k-a pruned"]);
        kept["spec"]["image"] = "registry.example/b:2".into();
        session.file("k/b.json", &kept);
        assert_eq!(session.good("replace -f k/b.json").await, "mcpserver.mcp.mcp.dev/b replaced\n");
        assert_says(&session.good("replace --force -f k/b.json").await, &["b replaced"]);
        session.file("k/c.json", &server("c"));
        assert_says(&session.bad("replace -f k/c.json").await, &["mcpservers.mcp.mcp.dev \"c\" not found"]);
        let tried = session.good("apply --dry-run=server -f k/c.json").await;
        assert_eq!(tried, "mcpserver.mcp.mcp.dev/c created (server dry run)\n");
        assert_eq!(session.good("get mcp -o name").await, "mcpserver.mcp.mcp.dev/b\n");
        let deleted = session.good("delete mcp b --dry-run=server").await;
        // From which namespace is told since 1.35.
        assert_says_one(
            &deleted,
            &["\"b\" deleted (server dry run)", "\"b\" deleted from default namespace (server dry run)"],
        );
        assert_eq!(session.good("get mcp -o name").await, "mcpserver.mcp.mcp.dev/b\n");
    })
    .await;
}
