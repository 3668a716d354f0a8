//! Where the server speaks MCP.

use std::borrow::Cow;
use std::time::Duration;

use jiff::SignedDuration;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Where the server speaks MCP, and whether the operator asks it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct McpSpec {
    /// The path of the endpoint. The protocol fixes none.
    #[schemars(length(min = 1, max = 1024), regex(pattern = r"^/[-A-Za-z0-9._~!$&'()*+,;=:@%/]*$"))]
    pub path: String,
    /// Whether the operator asks the server.
    pub verify: Verify,
    /// The time between two questions to a pod, from 5s to 24h.
    pub interval: Interval,
}

impl Default for McpSpec {
    fn default() -> Self {
        Self { path: "/mcp".to_owned(), verify: Verify::default(), interval: Interval::default() }
    }
}

/// Whether the operator asks the server if it speaks MCP.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Verify {
    /// `Off`: it does not ask.
    Off,
    /// `Observe`: it asks each ready pod, and reports the answer in the status. The answer changes nothing else.
    #[default]
    Observe,
}

/// A duration in the notation of Kubernetes: `90s`, `5m`, `1h30m`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Interval(Duration);

impl Interval {
    const SHORTEST: Duration = Duration::from_secs(5);
    const LONGEST: Duration = Duration::from_secs(24 * 60 * 60);

    /// The duration.
    pub fn get(self) -> Duration {
        self.0
    }
}

impl Default for Interval {
    fn default() -> Self {
        Self(Duration::from_secs(60))
    }
}

/// A duration outside of the limits, which only an older schema can have admitted, counts as the nearest limit.
impl<'de> Deserialize<'de> for Interval {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Cow::<str>::deserialize(deserializer)?;
        let span = text.parse::<SignedDuration>().ok().and_then(|span| Duration::try_from(span).ok());
        let span = span.ok_or_else(|| D::Error::custom(format!("{text:?} is not a duration such as 90s or 5m")))?;
        Ok(Self(span.clamp(Self::SHORTEST, Self::LONGEST)))
    }
}

impl Serialize for Interval {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&format_args!("{}s", self.0.as_secs()))
    }
}

impl JsonSchema for Interval {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Interval".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "minLength": 2,
            "maxLength": 16,
            "pattern": "^([0-9]+h)?([0-9]+m)?([0-9]+s)?$",
            "x-kubernetes-validations": [{
                "rule": "duration(self) >= duration('5s') && duration(self) <= duration('24h')",
                "message": "must be between 5s and 24h",
            }],
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<u64, String> {
        serde_json::from_value::<Interval>(text.into()).map(|read| read.get().as_secs()).map_err(|why| why.to_string())
    }

    #[test]
    fn an_interval_is_read_as_kubernetes_writes_it() {
        assert_eq!((read("90s"), read("5m"), read("1h30m"), read("1m0s")), (Ok(90), Ok(300), Ok(5400), Ok(60)));
        assert_eq!(read("soon"), Err(r#""soon" is not a duration such as 90s or 5m"#.to_owned()));
        assert!(read("-5m").is_err());
    }

    #[test]
    fn an_interval_that_no_schema_would_admit_today_is_the_nearest_that_it_would() {
        assert_eq!((read("1s"), read("500h")), (Ok(5), Ok(24 * 60 * 60)));
    }

    #[test]
    fn the_default_is_written_as_it_is_read() {
        assert_eq!(serde_json::to_value(Interval::default()).unwrap(), "60s");
        assert_eq!(read("60s"), Ok(60));
    }
}
