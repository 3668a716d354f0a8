//! `--allowed-registries`: where images may come from.
//!
//! An entry is a registry (`ghcr.io`), a part of one (`quay.io/team`) or a single repository (`quay.io/team/app`). It
//! matches at the boundaries of the path only: `quay.io/team` does not allow `quay.io/teammate/app`, which a comparison
//! of texts would.

use std::fmt;
use std::str::FromStr;

use super::image::{Reference, is_repository, normal_registry, split_registry};

/// A registry or a part of one.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Registry {
    host: String,
    /// Empty for the whole registry.
    path: String,
}

/// The registries that images may come from. There is at least one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AllowedRegistries(Vec<Registry>);

/// An entry that names no registry.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} names no registry: use a host as in `ghcr.io`, or a host and a path as in `docker.io/library` or \
     `localhost:5000/team`, without tag and digest"
)]
pub struct PolicyError(String);

impl Registry {
    /// Whether the image is in this registry, or in this part of it.
    fn contains(&self, image: &Reference) -> bool {
        let Self { host, path } = self;
        let below = |rest: &str| rest.is_empty() || rest.starts_with('/');
        *host == image.registry && (path.is_empty() || image.repository.strip_prefix(path.as_str()).is_some_and(below))
    }
}

impl FromStr for Registry {
    type Err = PolicyError;

    fn from_str(text: &str) -> Result<Self, PolicyError> {
        let wrong = || PolicyError(text.to_owned());
        let entry = text.trim();
        let entry = entry.strip_suffix('/').unwrap_or(entry);
        // A first component that looks like a host is one also without a path behind it.
        let with_path = format!("{entry}/");
        let (Some(host), path) = split_registry(&with_path) else { return Err(wrong()) };
        let path = path.trim_end_matches('/');
        let host = normal_registry(host).filter(|_| path.is_empty() || is_repository(path)).ok_or_else(wrong)?;
        Ok(Self { host, path: path.to_owned() })
    }
}

impl fmt::Display for Registry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.host)?;
        if self.path.is_empty() { Ok(()) } else { write!(f, "/{}", self.path) }
    }
}

impl AllowedRegistries {
    /// Whether the image is in one of them.
    pub fn allow(&self, image: &Reference) -> bool {
        self.0.iter().any(|registry| registry.contains(image))
    }
}

/// Registries, separated by commas.
impl FromStr for AllowedRegistries {
    type Err = PolicyError;

    fn from_str(text: &str) -> Result<Self, PolicyError> {
        text.split(',').map(str::parse).collect::<Result<Vec<Registry>, PolicyError>>().map(Self)
    }
}

impl fmt::Display for AllowedRegistries {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, registry) in self.0.iter().enumerate() {
            let separator = if number == 0 { "" } else { ", " };
            write!(f, "{separator}{registry}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allowed(by: &str, image: &str) -> bool {
        by.parse::<AllowedRegistries>().unwrap().allow(&Reference::parse(image).unwrap())
    }

    #[test]
    fn a_prefix_matches_at_the_boundaries_of_a_path_only() {
        for (by, image, expected) in [
            ("ghcr.io", "ghcr.io/a/b:1", true),
            ("ghcr.io", "ghcr.io.evil.example/a/b", false),
            ("ghcr.io", "evil.example/ghcr.io/a", false),
            ("quay.io/team", "quay.io/team/app", true),
            ("quay.io/team", "quay.io/team", true),
            ("quay.io/team", "quay.io/teammate/app", false),
            ("quay.io/team/", "quay.io/teammate/app", false),
            ("quay.io/team/app", "quay.io/team/app@sha256:0123456789abcdef0123456789abcdef", true),
            ("quay.io/team/app", "quay.io/team/app2", false),
            ("docker.io", "nginx", true),
            ("docker.io/library", "nginx", true),
            ("docker.io/library", "team/app", false),
            ("index.docker.io", "team/app", true),
            ("localhost:5000", "localhost:5000/x", true),
            ("localhost:5000", "localhost/x", false),
            ("localhost", "localhost:5000/x", false),
            ("host:5000", "host:5000/x", true),
            ("host:5000", "host:5000", false),
            ("GHCR.IO", "ghcr.io/a", true),
            ("ghcr.io, quay.io/team", "quay.io/team/app", true),
        ] {
            assert_eq!(allowed(by, image), expected, "{by} and {image}");
        }
    }

    #[test]
    fn an_entry_that_names_no_registry_is_refused_with_the_valid_forms() {
        for text in ["", "nginx", "team/app", "ghcr.io,", "ghcr.io/a:1", "https://ghcr.io", "ghcr.io//a", "ghcr.io/A"] {
            let error = text.parse::<AllowedRegistries>().unwrap_err().to_string();
            assert!(error.contains("names no registry") && error.contains("docker.io/library"), "{text:?}: {error}");
        }
        assert_eq!(
            " ghcr.io,Quay.io/team/ ".parse::<AllowedRegistries>().unwrap().to_string(),
            "ghcr.io, quay.io/team"
        );
    }
}
