//! The samples: what to apply, in a cluster where some of them exist already.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use playground::Cluster;
use serde_json::Value;
use smooth_operator::api::MCPSERVERS;

/// A file with one MCPServer, and with what it needs.
#[derive(Debug, Clone)]
pub(crate) struct Sample {
    /// The file.
    file: PathBuf,
    /// MCPServers and Secrets, in the order of the file.
    objects: Vec<Value>,
}

/// Reads all samples of a directory, in the order of their names.
pub(crate) fn read(directory: &Path) -> anyhow::Result<Vec<Sample>> {
    let place = directory.display();
    let entries = std::fs::read_dir(directory).with_context(|| {
        format!("no samples in {place}; run this in the top directory of the repository, or choose a directory with --samples")
    })?;
    let mut files: Vec<PathBuf> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
    files.sort();
    let yaml = |file: &PathBuf| file.extension().is_some_and(|extension| extension == "yaml");
    files.into_iter().filter(yaml).map(read_file).collect()
}

fn read_file(file: PathBuf) -> anyhow::Result<Sample> {
    let text = std::fs::read_to_string(&file).with_context(|| format!("can't read {}", file.display()))?;
    let documents = text.split("\n---\n").map(|document| serde_saphyr::from_str(document).context("a document"));
    let objects: Vec<Value> =
        documents.collect::<Result<_, _>>().with_context(|| format!("{} is not valid YAML", file.display()))?;
    for object in &objects {
        let kind = object["kind"].as_str();
        if resource(object).is_none() {
            bail!("{}: only MCPServers and Secrets are supported, not {kind:?}", file.display());
        }
    }
    Ok(Sample { file, objects })
}

/// The resource of a sample's object.
fn resource(object: &Value) -> Option<String> {
    match object["kind"].as_str() {
        Some("MCPServer") => Some(MCPSERVERS.to_string()),
        Some("Secret") => Some("secrets".to_owned()),
        _ => None,
    }
}

/// What `kubectl apply -f config/samples/` does.
pub(crate) fn create(cluster: &Cluster, samples: &[Sample]) -> anyhow::Result<()> {
    for Sample { file, objects } in samples {
        for object in objects {
            let (resource, name) = (resource(object).unwrap_or_default(), &object["metadata"]["name"]);
            if let Err(status) = cluster.create(&resource, "default", object.clone(), "kubectl") {
                bail!("{}: the API server refused {name}: {status:?}", file.display());
            }
        }
    }
    Ok(())
}

/// What to apply next: the first sample whose server does not exist, with all that is in its file. If all exist, a
/// second MCPServer like the first sample, then like the second one, and so on; what they need exists already.
pub(crate) fn next(samples: &[Sample], exists: impl Fn(&str) -> bool) -> Vec<Value> {
    let servers = || samples.iter().filter_map(|sample| Some((sample, sample.server()?)));
    if servers().next().is_none() {
        return Vec::new();
    }
    if let Some((sample, _)) = servers().find(|(_, server)| !exists(name_of(server))) {
        return sample.objects.clone();
    }
    let copies = (2_u64..).flat_map(|number| servers().map(move |(_, server)| renamed(server, number)));
    copies.filter(|server| !exists(name_of(server))).take(1).collect()
}

impl Sample {
    fn server(&self) -> Option<&Value> {
        self.objects.iter().find(|object| object["kind"] == "MCPServer")
    }
}

fn renamed(server: &Value, number: u64) -> Value {
    let mut copy = server.clone();
    copy["metadata"]["name"] = format!("{}-{number}", name_of(server)).into();
    copy
}

/// The name of an object.
pub(crate) fn name_of(object: &Value) -> &str {
    object["metadata"]["name"].as_str().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The names of what is applied next.
    fn next_where(existing: &[&str]) -> Vec<String> {
        let samples = read(Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/config/samples"))).unwrap();
        next(&samples, |name| existing.contains(&name)).iter().map(|object| name_of(object).to_owned()).collect()
    }

    #[test]
    fn a_missing_sample_comes_back_with_what_it_needs() {
        assert_eq!(next_where(&["everything", "fetch"]), ["mcp-secrets", "example-server"]);
    }

    #[test]
    fn where_all_samples_exist_copies_of_them_are_applied() {
        let samples = ["everything", "example-server", "fetch", "standby"];
        assert_eq!(next_where(&samples), ["everything-2"]);
        assert_eq!(next_where(&[&samples[..], &["everything-2"]].concat()), ["example-server-2"]);
    }

    #[test]
    fn without_samples_there_is_nothing_to_apply() {
        assert!(next(&[], |_| true).is_empty());
    }
}
