//! Image references, read as a container runtime reads them.
//!
//! ```text
//!   nginx                              docker.io          library/nginx
//!   team/app:1                         docker.io          team/app          tag 1
//!   localhost:5000/app                 localhost:5000     app
//!   ghcr.io/team/app:1@sha256:…        ghcr.io            team/app          tag 1, digest sha256:…
//! ```
//!
//! The difficult part is the first component: it is a registry only if it looks like a host. `app:5000` is an image of
//! Docker Hub with the tag 5000; `app:5000/x` is the image `x` on the host `app`. A policy that confuses the two lets
//! the wrong images through.
//!
//! The grammar is that of [distribution/reference](https://github.com/distribution/reference/blob/main/reference.go).

/// The registry of a reference that names none.
const DEFAULT_REGISTRY: &str = "docker.io";
/// Its older name, which runtimes still accept.
const OLD_DEFAULT_REGISTRY: &str = "index.docker.io";
/// Where that registry keeps images without an owner.
const OFFICIAL: &str = "library/";

/// A parsed image reference.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reference {
    /// The host, in lower case, with its port if the reference has one.
    pub registry: String,
    /// The path within the registry: `library/nginx`.
    pub repository: String,
    /// The tag.
    pub tag: Option<String>,
    /// The digest: `sha256:…`.
    pub digest: Option<String>,
}

impl Reference {
    /// Reads a reference; `None` if no registry could serve it.
    pub fn parse(text: &str) -> Option<Self> {
        let (name, digest) = match text.split_once('@') {
            Some((name, digest)) => (name, Some(digest)),
            None => (text, None),
        };
        let (registry, rest) = split_registry(name);
        let (path, tag) = match rest.split_once(':') {
            Some((path, tag)) => (path, Some(tag)),
            None => (rest, None),
        };
        let good = is_repository(path) && tag.is_none_or(is_tag) && digest.is_none_or(is_digest);
        let registry = normal_registry(registry.unwrap_or(DEFAULT_REGISTRY)).filter(|_| good)?;
        let official = registry == DEFAULT_REGISTRY && !path.contains('/');
        Some(Self {
            registry,
            repository: if official { format!("{OFFICIAL}{path}") } else { path.to_owned() },
            tag: tag.map(str::to_owned),
            digest: digest.map(str::to_owned),
        })
    }

    /// `ghcr.io/team/app`: where the image is, without its version.
    pub fn place(&self) -> String {
        format!("{}/{}", self.registry, self.repository)
    }
}

/// Splits off the registry, if the first component of a name looks like a host: it has a dot or a port, or is
/// `localhost`, or has capital letters, which no repository has.
pub(super) fn split_registry(name: &str) -> (Option<&str>, &str) {
    let looks_like_host = |first: &str| {
        first.contains(['.', ':']) || first == "localhost" || first.chars().any(|c| c.is_ascii_uppercase())
    };
    match name.split_once('/') {
        Some((first, rest)) if looks_like_host(first) => (Some(first), rest),
        _ => (None, name),
    }
}

/// A registry as it is compared: in lower case, and Docker Hub under one name. `None` if it is no host.
pub(super) fn normal_registry(host: &str) -> Option<String> {
    let (name, port) = match host.rsplit_once(':') {
        // The colons of an IPv6 address are within brackets.
        Some((name, port)) if !port.ends_with(']') => (name, Some(port)),
        _ => (host, None),
    };
    let label = |label: &str| {
        let inner = |c: char| c.is_ascii_alphanumeric() || c == '-';
        !label.is_empty() && label.chars().all(inner) && !label.starts_with('-') && !label.ends_with('-')
    };
    let address = name.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    let is_host = match address {
        Some(address) => address.parse::<std::net::Ipv6Addr>().is_ok(),
        None => name.split('.').all(label),
    };
    let is_port = port.is_none_or(|port| !port.is_empty() && port.chars().all(|c| c.is_ascii_digit()));
    let host = host.to_ascii_lowercase();
    let host = if host == OLD_DEFAULT_REGISTRY { DEFAULT_REGISTRY.to_owned() } else { host };
    (is_host && is_port).then_some(host)
}

/// Components of lower-case letters and digits, which `.`, `_`, `__` or dashes may separate.
pub(super) fn is_repository(path: &str) -> bool {
    let alphanumeric = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    let separates = |gap: &str| matches!(gap, "." | "_" | "__") || gap.chars().all(|c| c == '-');
    let component = |component: &str| {
        component.starts_with(alphanumeric)
            && component.ends_with(alphanumeric)
            && component.split(alphanumeric).all(separates)
    };
    !path.is_empty() && path.split('/').all(component)
}

fn is_tag(tag: &str) -> bool {
    let word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    tag.len() <= 128 && tag.starts_with(word) && tag.chars().all(|c| word(c) || c == '.' || c == '-')
}

fn is_digest(digest: &str) -> bool {
    let Some((algorithm, hex)) = digest.split_once(':') else { return false };
    let algorithm_char = |c: char| c.is_ascii_alphanumeric() || matches!(c, '+' | '.' | '_' | '-');
    algorithm.starts_with(|c: char| c.is_ascii_alphabetic())
        && algorithm.chars().all(algorithm_char)
        && hex.len() >= 32
        && hex.chars().all(|c| c.is_ascii_hexdigit())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const DIGEST: &str = "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

    fn read(text: &str) -> Option<(String, String, Option<String>, bool)> {
        let Reference { registry, repository, tag, digest } = Reference::parse(text)?;
        Some((registry, repository, tag, digest.is_some()))
    }

    #[test]
    fn a_reference_is_read_as_runtimes_read_it() {
        let of = |registry: &str, repository: &str, tag: Option<&str>, digest| {
            Some((registry.to_owned(), repository.to_owned(), tag.map(str::to_owned), digest))
        };
        for (text, expected) in [
            ("nginx", of("docker.io", "library/nginx", None, false)),
            ("nginx:latest", of("docker.io", "library/nginx", Some("latest"), false)),
            ("team/app:1", of("docker.io", "team/app", Some("1"), false)),
            ("docker.io/nginx", of("docker.io", "library/nginx", None, false)),
            ("index.docker.io/team/app", of("docker.io", "team/app", None, false)),
            ("ghcr.io/team/app:1.0", of("ghcr.io", "team/app", Some("1.0"), false)),
            ("GHCR.io/team/app", of("ghcr.io", "team/app", None, false)),
            ("host:5000/x", of("host:5000", "x", None, false)),
            ("host:5000/x:2", of("host:5000", "x", Some("2"), false)),
            ("host:5000", of("docker.io", "library/host", Some("5000"), false)),
            ("localhost/x", of("localhost", "x", None, false)),
            ("host/x", of("docker.io", "host/x", None, false)),
            ("[::1]:5000/x", of("[::1]:5000", "x", None, false)),
            ("[fd00::1]/x", of("[fd00::1]", "x", None, false)),
            ("a__b/c-d.e", of("docker.io", "a__b/c-d.e", None, false)),
        ] {
            assert_eq!(read(text), expected, "{text}");
        }
        let with_digest = of("ghcr.io", "team/app", Some("1"), true);
        assert_eq!(read(&format!("ghcr.io/team/app:1@{DIGEST}")), with_digest);
        assert_eq!(read(&format!("nginx@{DIGEST}")), of("docker.io", "library/nginx", None, true));
    }

    #[test]
    fn what_no_registry_serves_is_no_reference() {
        for text in [
            "",
            " nginx",
            "nginx ",
            "Nginx",
            "team/App",
            "a//b",
            "/a",
            "a/",
            "nginx:",
            "nginx:a b",
            "nginx@",
            "nginx@sha256:12",
            "nginx@sha256:zzzz456789abcdef0123456789abcdef",
            "https://ghcr.io/a",
            "ghcr.io/",
            "-a.io/x",
            "host:port/x",
            "a___b",
            "[nonsense]/x",
            "a..b",
        ] {
            assert_eq!(Reference::parse(text), None, "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_read_without_panic_and_its_registry_is_a_host(text in "\\PC{0,40}") {
            if let Some(reference) = Reference::parse(&text) {
                prop_assert_eq!(normal_registry(&reference.registry), Some(reference.registry.clone()));
                prop_assert!(is_repository(&reference.repository));
            }
        }

        /// Without capital letters: a host may be recognisable by nothing else.
        #[test]
        fn what_was_read_names_the_same_place_when_read_again(text in "[a-z0-9.:/_-]{1,30}") {
            if let Some(reference) = Reference::parse(&text) {
                let again = Reference::parse(&reference.place()).expect("a place is a reference");
                prop_assert_eq!(again.place(), reference.place());
            }
        }
    }
}
