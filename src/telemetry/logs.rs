//! Logs: one line per thing that happened, to standard error, as text for people or JSON for machines.
//!
//! Standard output is for what a command prints (`crd`), so that it can be piped.

use std::fmt;
use std::io::{self, IsTerminal as _};
use std::str::FromStr;

use thiserror::Error;
use tracing::Subscriber;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt as _;

/// The format of the log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogFormat {
    /// For people; coloured on a terminal.
    #[default]
    Text,
    /// One JSON object per line, with the fields of the event at the top level, and those of its span in `span`.
    Json,
}

impl FromStr for LogFormat {
    type Err = LogsError;

    fn from_str(text: &str) -> Result<Self, LogsError> {
        match text {
            "text" => Ok(Self::Text),
            "json" => Ok(Self::Json),
            other => Err(LogsError::Format(other.to_owned())),
        }
    }
}

impl fmt::Display for LogFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Text => "text",
            Self::Json => "json",
        })
    }
}

/// Which lines pass: a level, `module=level`, or several of both, separated by commas.
///
/// If several modules match a line, the longest name counts. Lines of other modules pass according to the level without
/// a module; if there is none, they don't pass at all.
///
/// The parser of [`Targets`] is not used: it takes every unknown word for the name of a module and lets only that
/// module's lines pass. With `verbose`, nothing at all would be logged.
#[derive(Clone, Debug, PartialEq)]
pub struct LogFilter(Targets);

/// The levels as people write them, the quietest first.
const LEVELS: [(&str, LevelFilter); 6] = [
    ("off", LevelFilter::OFF),
    ("error", LevelFilter::ERROR),
    ("warn", LevelFilter::WARN),
    ("info", LevelFilter::INFO),
    ("debug", LevelFilter::DEBUG),
    ("trace", LevelFilter::TRACE),
];

impl FromStr for LogFilter {
    type Err = LogsError;

    fn from_str(text: &str) -> Result<Self, LogsError> {
        text.split(',').try_fold(Targets::new(), directive).map(Self)
    }
}

/// Adds one part of a filter.
fn directive(targets: Targets, part: &str) -> Result<Targets, LogsError> {
    let wrong = || LogsError::Filter(part.to_owned());
    let (module, name) = part.split_once('=').map_or((None, part), |(module, name)| (Some(module.trim()), name));
    let same = |level: &&(&str, LevelFilter)| level.0.eq_ignore_ascii_case(name.trim());
    let (_, level) = *LEVELS.iter().find(same).ok_or_else(wrong)?;
    match module {
        None => Ok(targets.with_default(level)),
        Some(module) if is_a_module(module) => Ok(targets.with_target(module, level)),
        Some(_) => Err(wrong()),
    }
}

fn is_a_module(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | ':' | '-'))
}

/// Why logging could not be set up.
#[derive(Debug, Error)]
pub enum LogsError {
    /// There is no such format.
    #[error("the log format must be `text` or `json`, not `{0}`")]
    Format(String),
    /// A part of the filter is neither a level nor `module=level`.
    #[error("{0:?} is not a log level: use {levels}, or module=level", levels = LEVELS.map(|(name, _)| name).join(", "))]
    Filter(String),
    /// Another logger was installed in this process before.
    #[error("logging was set up twice")]
    Twice(#[from] tracing::subscriber::SetGlobalDefaultError),
}

/// Writes the logs of the whole process that pass `filter` to standard error. Call it once, at the start.
pub fn init_logs(format: LogFormat, filter: &LogFilter) -> Result<(), LogsError> {
    let subscriber = subscriber(format, filter, io::stderr().is_terminal(), io::stderr);
    Ok(tracing::subscriber::set_global_default(subscriber)?)
}

/// The same, to `writer` and without colours, for a program that uses its terminal for something else.
pub fn init_logs_to<W>(format: LogFormat, filter: &LogFilter, writer: W) -> Result<(), LogsError>
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    Ok(tracing::subscriber::set_global_default(subscriber(format, filter, false, writer))?)
}

fn subscriber<W>(
    format: LogFormat,
    LogFilter(targets): &LogFilter,
    colours: bool,
    writer: W,
) -> Box<dyn Subscriber + Send + Sync>
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    let lines = tracing_subscriber::fmt::layer().with_ansi(colours).with_writer(writer);
    let passing = tracing_subscriber::registry().with(targets.clone());
    match format {
        LogFormat::Text => Box::new(passing.with(lines)),
        LogFormat::Json => Box::new(passing.with(lines.json().flatten_event(true).with_span_list(false))),
    }
}

#[cfg(test)]
pub(crate) mod heard;

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};
    use tracing::{debug, info, info_span};

    use super::heard::Heard;
    use super::*;

    fn logged(format: LogFormat, filter: &str, log: impl FnOnce()) -> String {
        let heard = Heard::default();
        tracing::subscriber::with_default(heard.subscriber(format, filter), log);
        heard.text()
    }

    #[test]
    fn a_json_line_has_level_message_fields_and_span() {
        let line = logged(LogFormat::Json, "info", || {
            info_span!("reconcile", key = "default/gofetch").in_scope(|| info!(replicas = 2, "scaled"));
        });
        let line: Value = serde_json::from_str(&line).unwrap();
        assert_eq!(line["level"], "INFO");
        assert_eq!(line["message"], "scaled");
        assert_eq!(line["replicas"], 2);
        assert_eq!(line["span"], json!({"name": "reconcile", "key": "default/gofetch"}));
    }

    #[test]
    fn a_text_line_has_no_escape_codes_where_there_is_no_terminal() {
        let line = logged(LogFormat::Text, "info", || info!("hello"));
        assert!(line.ends_with("hello\n") && !line.contains('\u{1b}'), "{line:?}");
    }

    #[test]
    fn the_filter_decides_per_module_what_passes() {
        let log = || {
            debug!(target: "loud", "one");
            debug!(target: "quiet", "two");
            info!(target: "quiet", "three");
        };
        let lines = logged(LogFormat::Text, "info,loud=debug", log);
        assert!(lines.contains("one") && !lines.contains("two") && lines.contains("three"), "{lines}");
    }

    #[test]
    fn without_a_lone_level_only_the_named_modules_are_heard() {
        let lines = logged(LogFormat::Text, " loud = DEBUG ", || {
            debug!(target: "loud::inner", "one");
            tracing::error!(target: "quiet", "two");
        });
        assert!(lines.contains("one") && !lines.contains("two"), "{lines}");
    }

    #[test]
    fn what_is_neither_a_level_nor_a_module_with_one_is_named_along_with_the_choices() {
        for (filter, wrong) in [
            ("verbose", "\"verbose\""),
            ("info,wran", "\"wran\""),
            ("info,chatty=verbose,warn", "\"chatty=verbose\""),
            ("smooth_operator::informer", "\"smooth_operator::informer\""),
            ("info,=debug", "\"=debug\""),
            ("module[span]=debug", "\"module[span]=debug\""),
            ("module=", "\"module=\""),
            ("info,", "\"\""),
            ("", "\"\""),
            ("3", "\"3\""),
        ] {
            let error = filter.parse::<LogFilter>().unwrap_err().to_string();
            assert_eq!(
                error,
                format!("{wrong} is not a log level: use off, error, warn, info, debug, trace, or module=level")
            );
        }
    }

    #[test]
    fn a_format_that_there_is_not_is_an_error_that_names_the_choices() {
        let error = "xml".parse::<LogFormat>().unwrap_err().to_string();
        assert!(error.contains("xml") && error.contains("json"), "{error}");
    }

    #[test]
    fn a_format_is_written_as_it_is_read() {
        for format in [LogFormat::Text, LogFormat::Json] {
            assert_eq!(format.to_string().parse::<LogFormat>().unwrap(), format);
        }
    }
}
