//! What a real API server has once said: the recordings in `fixtures/`, and the objects in them.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

/// The repository.
pub fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.ancestors().find(|folder| folder.join("fixtures").is_dir()).expect("the folder fixtures").to_owned()
}

/// The files in a folder whose names end like this, in their order; none if there is no such folder.
pub fn files(folder: &Path, end: &str) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.expect("a folder's entry").path()).collect();
    files.retain(|file| file.is_file() && file.to_string_lossy().ends_with(end));
    files.sort();
    files
}

/// The bytes of a file.
pub fn read(file: &Path) -> Vec<u8> {
    std::fs::read(file).unwrap_or_else(|error| panic!("{}: {error}", file.display()))
}

/// The recorded exchanges of a group, such as `watch`.
pub fn exchanges(group: &str) -> Vec<Value> {
    let folder = root().join("fixtures/kubernetes-1.36").join(group);
    files(&folder, ".json")
        .iter()
        .map(|file| serde_json::from_slice(&read(file)).expect("a recording is JSON"))
        .collect()
}

/// The recorded streams of a group.
pub fn streams(group: &str) -> Vec<Vec<u8>> {
    let folder = root().join("fixtures/kubernetes-1.36").join(group);
    files(&folder, ".jsonl").iter().map(|file| read(file)).collect()
}

/// The MCPServers in `config/samples`.
pub fn samples() -> Vec<Value> {
    let files = files(&root().join("config/samples"), ".yaml");
    let text = |file: &PathBuf| String::from_utf8(read(file)).expect("a sample is text");
    let objects = |file| serde_saphyr::from_multiple::<Value>(&text(file)).expect("a sample is YAML");
    files.iter().flat_map(objects).filter(|object| object["kind"] == "MCPServer").collect()
}

/// All recorded MCPServers, and the samples, as the API server would send them.
pub fn servers() -> Vec<Value> {
    let mut servers = samples();
    for exchange in exchanges("mcpservers") {
        for object in [&exchange["request"]["body"], &exchange["response"]["body"]] {
            servers.extend(object["items"].as_array().into_iter().flatten().cloned());
            servers.push(object.clone());
        }
    }
    for line in streams("watch").iter().flat_map(|stream| stream.split(|byte| *byte == b'\n')) {
        servers.extend(serde_json::from_slice::<Value>(line).map(|event| event["object"].clone()));
    }
    servers.retain(|object| object["spec"]["image"].is_string());
    for object in &mut servers {
        for (field, value) in [("namespace", "default"), ("uid", "a-uid"), ("resourceVersion", "1")] {
            if object["metadata"][field].is_null() {
                object["metadata"][field] = json!(value);
            }
        }
    }
    servers
}
