//! Is the cluster of a version that the operator was made for?

use std::ops::RangeInclusive;

use super::finding::Finding;

const WHAT: &str = "server version";
/// The supported minor versions of Kubernetes 1.
const SUPPORTED: RangeInclusive<u32> = 33..=36;

/// `version` is a `gitVersion`, such as `v1.34.1` or `v1.33.4-gke.1000`.
pub fn judge(version: &str) -> Finding {
    let supported = format!("1.{} to 1.{}", SUPPORTED.start(), SUPPORTED.end());
    match minor(version) {
        None => Finding::unknown(WHAT, format!("{version:?} is no version of Kubernetes 1; {supported} are supported")),
        Some(minor) if SUPPORTED.contains(&minor) => {
            Finding::ok(WHAT, format!("{version} ({supported} are supported)"))
        }
        Some(minor) if minor < *SUPPORTED.start() => {
            Finding::wrong(WHAT, &format!("{version} is too old: {supported} are supported"), "upgrade the cluster")
        }
        // Kubernetes keeps its stable APIs, so it will probably work.
        Some(_) => Finding::unknown(WHAT, format!("{version} is newer than what was tested: {supported}")),
    }
}

/// The minor version of Kubernetes 1.
fn minor(version: &str) -> Option<u32> {
    let mut parts = version.strip_prefix("v1.")?.split(|c: char| !c.is_ascii_digit());
    parts.next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::super::finding::Verdict;
    use super::*;

    #[test]
    fn four_versions_are_supported_whatever_a_vendor_appends() {
        for (version, expected) in [
            ("v1.32.9", Verdict::Wrong),
            ("v1.33.4-gke.1000", Verdict::Ok),
            ("v1.34.1-eks-113cf36", Verdict::Ok),
            ("v1.35.0+k3s1", Verdict::Ok),
            ("v1.36", Verdict::Ok),
            ("v1.37.0-alpha.1", Verdict::Unknown),
            ("v2.0.0", Verdict::Unknown),
            ("unknown", Verdict::Unknown),
        ] {
            assert_eq!(judge(version).verdict, expected, "{version}");
        }
    }
}
