//! What the results of `server/discover` and `initialize` say, as far as it is shown.
//!
//! The one thing that decides, the version, must have its place and its form. The rest is only shown: a server whose
//! `serverInfo` has no name still speaks MCP. Lists are cut while they are read: a result of a megabyte of empty texts
//! must not become twenty megabytes of them.

use std::fmt;
use std::time::Duration;

use serde::de::{DeserializeOwned, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use super::Claim;

/// How many entries of a list are kept.
const MOST: usize = 16;
/// A longer time than this is as good as for ever.
const LONGEST_TTL: Duration = Duration::from_secs(24 * 60 * 60);

/// The result of `server/discover`.
#[derive(Debug, Deserialize)]
pub(super) struct Discovered {
    #[serde(rename = "supportedVersions")]
    pub(super) versions: Versions,
    #[serde(default, deserialize_with = "lenient")]
    pub(super) capabilities: Capabilities,
    #[serde(default, rename = "_meta", deserialize_with = "lenient")]
    meta: Meta,
    #[serde(default, rename = "ttlMs", deserialize_with = "lenient")]
    ttl: Option<u64>,
}

impl Discovered {
    pub(super) fn info(&self) -> Info {
        self.meta.info.clone()
    }

    /// How long the answer may be remembered. Zero says nothing: it is what servers send that have no opinion.
    pub(super) fn ttl(&self) -> Option<Duration> {
        self.ttl.filter(|ttl| *ttl > 0).map(|ttl| Duration::from_millis(ttl).min(LONGEST_TTL))
    }
}

/// The result of `initialize`.
#[derive(Debug, Deserialize)]
pub(super) struct Initialized {
    #[serde(rename = "protocolVersion")]
    pub(super) version: Claim,
    #[serde(default, deserialize_with = "lenient")]
    pub(super) capabilities: Capabilities,
    #[serde(default, rename = "serverInfo", deserialize_with = "lenient")]
    pub(super) info: Info,
}

#[derive(Debug, Default, Deserialize)]
struct Meta {
    #[serde(default, rename = "io.modelcontextprotocol/serverInfo", deserialize_with = "lenient")]
    info: Info,
}

/// Who a server claims to be.
#[derive(Debug, Clone, Default, Deserialize)]
pub(super) struct Info {
    #[serde(default, deserialize_with = "lenient")]
    pub(super) name: Option<Claim>,
    #[serde(default, deserialize_with = "lenient")]
    pub(super) version: Option<Claim>,
}

/// The `data` of the error that refuses a version.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Supported {
    #[serde(default, deserialize_with = "lenient")]
    pub(super) supported: Versions,
}

/// The versions that a server lists, in its order.
#[derive(Debug, Default)]
pub(super) struct Versions(pub(super) Vec<Claim>);

impl Versions {
    pub(super) fn contain(&self, version: &str) -> bool {
        self.0.iter().any(|listed| listed.as_str() == version)
    }
}

impl fmt::Display for Versions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, version) in self.0.iter().take(4).enumerate() {
            write!(f, "{}{version}", if index == 0 { "" } else { ", " })?;
        }
        f.write_str(match self.0.len() {
            0 => "no version",
            1..=4 => "",
            _ => ", …",
        })
    }
}

impl<'de> Deserialize<'de> for Versions {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct First;
        impl<'de> Visitor<'de> for First {
            type Value = Versions;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list of versions")
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Versions, A::Error> {
                let mut versions = Vec::new();
                while versions.len() < MOST {
                    let Some(version) = list.next_element()? else { return Ok(Versions(versions)) };
                    versions.push(version);
                }
                while list.next_element::<IgnoredAny>()?.is_some() {}
                Ok(Versions(versions))
            }
        }
        deserializer.deserialize_seq(First)
    }
}

/// What a server offers.
#[derive(Debug, Default)]
pub(super) struct Capabilities {
    /// Sorted: some servers list them in another order each time.
    pub(super) names: Vec<Claim>,
    pub(super) tools: bool,
}

impl<'de> Deserialize<'de> for Capabilities {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Names;
        impl<'de> Visitor<'de> for Names {
            type Value = Capabilities;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("capabilities by name")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Capabilities, A::Error> {
                let mut capabilities = Capabilities::default();
                while let Some((name, _)) = map.next_entry::<Claim, IgnoredAny>()? {
                    capabilities.tools |= name.as_str() == "tools";
                    if capabilities.names.len() < MOST {
                        capabilities.names.push(name);
                    }
                }
                capabilities.names.sort();
                capabilities.names.dedup();
                Ok(capabilities)
            }
        }
        deserializer.deserialize_map(Names)
    }
}

/// What has another form counts as absent.
fn lenient<'de, D: Deserializer<'de>, T: DeserializeOwned + Default>(deserializer: D) -> Result<T, D::Error> {
    let value = <&RawValue>::deserialize(deserializer)?;
    Ok(serde_json::from_str(value.get()).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_only_shown_may_have_any_form() {
        let odd = r#"{"supportedVersions":["2026-07-28"],"capabilities":[1],"_meta":{"io.modelcontextprotocol/serverInfo":{"name":7,"version":"1"}},"ttlMs":"soon","more":{}}"#;
        let discovered: Discovered = serde_json::from_str(odd).unwrap();
        let Info { name, version } = discovered.info();
        assert_eq!((name, version, discovered.ttl()), (None, Some(Claim::new("1")), None));
        assert!(discovered.capabilities.names.is_empty() && !discovered.capabilities.tools);
        assert!(serde_json::from_str::<Discovered>(r#"{"supportedVersions":"2026-07-28"}"#).is_err());
        assert!(serde_json::from_str::<Discovered>("{}").is_err());
        assert!(serde_json::from_str::<Initialized>(r#"{"protocolVersion":20250618}"#).is_err());
    }

    #[test]
    fn of_a_long_list_only_the_beginning_is_kept_but_tools_count_wherever_they_stand() {
        let versions = vec![r#""2026-07-28""#; 10_000].join(",");
        let versions: Versions = serde_json::from_str(&format!("[{versions}]")).unwrap();
        assert_eq!(versions.0.len(), MOST);
        assert_eq!(versions.to_string(), "2026-07-28, 2026-07-28, 2026-07-28, 2026-07-28, …");
        let names: Vec<String> = (0..100).map(|n| format!(r#""a{n:02}":{{}}"#)).collect();
        let capabilities: Capabilities =
            serde_json::from_str(&format!(r#"{{{},"tools":{{}}}}"#, names.join(","))).unwrap();
        assert_eq!((capabilities.names.len(), capabilities.tools), (MOST, true));
    }

    #[test]
    fn the_order_of_capabilities_says_nothing() {
        let read = |text| serde_json::from_str::<Capabilities>(text).unwrap().names;
        assert_eq!(read(r#"{"tools":{},"prompts":{"listChanged":true}}"#), read(r#"{"prompts":{},"tools":{}}"#));
    }

    #[test]
    fn a_time_to_live_of_zero_says_nothing_and_one_of_a_century_is_a_day() {
        let ttl = |ms: &str| {
            let text = format!(r#"{{"supportedVersions":[],"ttlMs":{ms}}}"#);
            serde_json::from_str::<Discovered>(&text).unwrap().ttl()
        };
        assert_eq!(ttl("0"), None);
        assert_eq!(ttl("-5"), None);
        assert_eq!(ttl("30000"), Some(Duration::from_secs(30)));
        assert_eq!(ttl("18446744073709551615"), Some(LONGEST_TTL));
    }
}
