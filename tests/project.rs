//! What the project promises of itself: the manifests are what the code says, and the layers are kept.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

use smooth_operator::api::crd;

/// The layers, from below. A module imports only from layers below its own, or from its own module.
const LAYERS: [&[&str]; 8] = [
    &["object", "telemetry", "backoff", "clock"],
    &["api", "watch"],
    &["client", "mcp", "admission"],
    &["access", "tls", "informer", "workqueue", "leader_election", "events", "verification"],
    &["controller"],
    &["mcpserver", "http"],
    &["manager"],
    &["cli", "main", "lib"],
];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// All Rust files below a folder.
fn sources(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                files.push(path);
            }
        }
    }
    files.sort();
    files
}

/// The module that a file of `src` belongs to: `informer` for `src/informer/store.rs`.
fn module(file: &Path) -> String {
    let inner = file.strip_prefix(root().join("src")).unwrap();
    let first = inner.components().next().unwrap().as_os_str().to_str().unwrap();
    first.trim_end_matches(".rs").to_owned()
}

/// The modules of this crate that a piece of code names as `crate::…`, comments and tests aside.
fn imports(code: &str) -> Vec<String> {
    let code = code.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
    let lines = code.lines().map(str::trim).filter(|line| !line.starts_with("//"));
    let named = |line: &str| -> Vec<String> {
        let word = |text: &str| text.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
        line.match_indices("crate::").map(|(at, found)| word(&line[at + found.len()..])).collect()
    };
    lines.flat_map(named).collect()
}

#[test]
fn a_module_imports_only_from_the_layers_below_its_own() {
    let layer: BTreeMap<&str, usize> =
        LAYERS.iter().enumerate().flat_map(|(layer, modules)| modules.iter().map(move |name| (*name, layer))).collect();
    let mut checked = 0;
    for file in sources(&root().join("src")) {
        let own = module(&file);
        let own_layer = *layer.get(own.as_str()).unwrap_or_else(|| panic!("{own} has no layer"));
        if file.components().any(|part| part.as_os_str() == "tests.rs" || part.as_os_str() == "simulation") {
            continue;
        }
        for import in imports(&read(&file)).into_iter().filter(|import| *import != own) {
            let import_layer = *layer.get(import.as_str()).unwrap_or_else(|| panic!("{import} has no layer"));
            let place = file.display();
            assert!(
                import_layer < own_layer,
                "{place}: {own} (layer {own_layer}) imports {import} (layer {import_layer})"
            );
            checked += 1;
        }
    }
    assert!(checked > 40, "only {checked} imports were found: does this test still read them?");
}

#[test]
fn the_work_queue_knows_nothing_of_kubernetes() {
    for file in sources(&root().join("src/workqueue")).into_iter().chain([root().join("src/workqueue.rs")]) {
        let imports = imports(&read(&file));
        let foreign: Vec<&String> =
            imports.iter().filter(|import| !matches!(import.as_str(), "telemetry" | "workqueue")).collect();
        assert!(foreign.is_empty(), "{}: {foreign:?}", file.display());
        assert!(!read(&file).contains("k8s_openapi"), "{}", file.display());
    }
}

#[test]
fn the_operator_stands_without_kube_runtime_and_kube_derive() {
    let lock = read(&root().join("Cargo.lock"));
    for unwanted in ["kube-runtime", "kube-derive"] {
        assert!(!lock.contains(&format!("name = \"{unwanted}\"")), "{unwanted} is in Cargo.lock");
    }
    assert!(lock.contains("name = \"kube-client\""));
}

#[test]
fn the_operator_and_the_playground_meet_over_http_alone() {
    for file in sources(&root().join("playground/src")) {
        assert!(!read(&file).contains("smooth_operator::"), "{}", file.display());
    }
    for file in sources(&root().join("src")) {
        assert!(!read(&file).contains("playground::"), "{}", file.display());
    }
    let manifest = read(&root().join("Cargo.toml"));
    let dependencies = manifest.split("[dependencies]").nth(1).and_then(|rest| rest.split("[dev-dependencies]").next());
    assert!(!dependencies.unwrap().contains("playground"), "the playground is for tests only");
}

#[test]
fn the_crd_in_config_is_the_one_that_the_types_make() {
    let written = read(&root().join("config/crd/mcp.mcp.dev_mcpservers.yaml"));
    assert!(written == crd::yaml().unwrap(), "config/crd is not what the types make: run `make manifests`");
}

#[test]
fn the_readme_and_the_doctor_support_the_same_versions() {
    let told = smooth_operator::cli::doctor::version::judge("v1.36.0").found;
    let supported = told.split(['(', ')']).nth(1).unwrap().trim_end_matches(" are supported").to_owned();
    assert!(read(&root().join("README.md")).contains(&format!("Kubernetes {supported}")), "{supported}");
}

#[test]
fn the_role_for_one_namespace_has_the_rules_of_the_cluster_role() {
    let rules = |file: &str| -> serde_json::Value {
        let role: serde_json::Value = serde_saphyr::from_str(&read(&root().join("config").join(file))).unwrap();
        role["rules"].clone()
    };
    assert!(rules("rbac/manager_role.yaml").is_array());
    assert_eq!(rules("namespaced/namespace/role.yaml"), rules("rbac/manager_role.yaml"));
}

#[test]
fn the_chart_is_the_one_that_the_manifests_make_and_of_this_version() {
    let fresh = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("chart-{}", std::process::id()));
    let made = Command::new("bash").arg(root().join("config/chart.sh")).arg(&fresh).output().unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let written = root().join("config/chart");
    for folder in ["templates", "crds"] {
        let names = |chart: &Path| -> BTreeSet<String> {
            let files = std::fs::read_dir(chart.join(folder)).unwrap();
            files.map(|file| file.unwrap().file_name().into_string().unwrap()).collect()
        };
        let by_hand = BTreeSet::from(["NOTES.txt".to_owned()]);
        assert_eq!(names(&fresh), &names(&written) - &by_hand, "run `make manifests`");
        for name in names(&fresh) {
            let same = read(&fresh.join(folder).join(&name)) == read(&written.join(folder).join(&name));
            assert!(same, "config/chart/{folder}/{name} is not what the manifests make: run `make manifests`");
        }
    }
    std::fs::remove_dir_all(fresh).unwrap();
    let chart: serde_json::Value = serde_saphyr::from_str(&read(&written.join("Chart.yaml"))).unwrap();
    for version in ["version", "appVersion"] {
        assert_eq!(chart[version], env!("CARGO_PKG_VERSION"), "{version}");
    }
}

/// tokio draws lots, and not from our seed. Where there are sockets, nothing repeats itself anyway.
#[test]
fn every_choice_that_a_simulation_meets_is_made_in_a_fixed_order() {
    const SOCKETS: [&str; 6] = [
        "src/http.rs",
        "playground/src/main.rs",
        "playground/src/mcp/listener.rs",
        "playground/src/server.rs",
        "playground/src/server/connection.rs",
        "src/leader_election/simulation/overlap.rs",
    ];
    let mut choices = 0;
    for file in sources(&root().join("src")).into_iter().chain(sources(&root().join("playground/src"))) {
        let path = file.strip_prefix(root()).unwrap();
        if SOCKETS.iter().any(|socket| path == Path::new(socket)) {
            continue;
        }
        let text = read(&file);
        let code = text.lines().filter(|line| !line.trim_start().starts_with("//")).map(str::trim);
        let code: Vec<&str> = code.filter(|line| !line.is_empty()).collect();
        for (line, next) in code.iter().zip(&code[1..]).filter(|(line, _)| line.contains("select! {")) {
            assert_eq!(*next, "biased;", "{}: {line}", path.display());
            choices += 1;
        }
    }
    assert!(choices > 10, "only {choices}");
}
