//! Logs: one line per thing that happened, to standard error, as text for people or JSON for machines.
//!
//! Standard output belongs to what a command prints (`crd`, `doctor`), so that it can be piped.

use std::fmt;
use std::io::{self, IsTerminal as _};
use std::str::FromStr;

use thiserror::Error;
use tracing::Subscriber;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;

/// How a line of the log looks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogFormat {
    /// For people; coloured on a terminal.
    #[default]
    Text,
    /// One JSON object per line, the fields of the event at its top level, those of its span in `span`.
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

/// Why logging could not be set up.
#[derive(Debug, Error)]
pub enum LogsError {
    /// No such format.
    #[error("the log format is `text` or `json`, not `{0}`")]
    Format(String),
    /// The filter does not parse, or names no level.
    #[error(
        "`{filter}` is no log level: give error, warn, info, debug or trace, or per module as in `info,smooth_operator::workqueue=debug`"
    )]
    Filter {
        /// What was given.
        filter: String,
        /// What the parser disliked, if it was the parser.
        source: Option<tracing_subscriber::filter::ParseError>,
    },
    /// Something else in this process receives the logs already.
    #[error("logging was set up twice")]
    Twice(#[from] tracing::subscriber::SetGlobalDefaultError),
}

/// Sends the logs of the whole process to standard error, as far as `filter` lets them pass.
///
/// `filter` is a level or a list of `module=level`, as for [`EnvFilter`]. To be called once, by `main`.
pub fn init_logs(format: LogFormat, filter: &str) -> Result<(), LogsError> {
    let subscriber = subscriber(format, filter, io::stderr().is_terminal(), io::stderr)?;
    Ok(tracing::subscriber::set_global_default(subscriber)?)
}

fn subscriber<W>(
    format: LogFormat,
    filter: &str,
    colours: bool,
    writer: W,
) -> Result<Box<dyn Subscriber + Send + Sync>, LogsError>
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    let wrong = |source| LogsError::Filter { filter: filter.to_owned(), source };
    if filter.split(',').any(is_a_lone_word_but_no_level) {
        return Err(wrong(None));
    }
    let filter = EnvFilter::builder().parse(filter).map_err(|source| wrong(Some(source)))?;
    let lines = tracing_subscriber::fmt().with_env_filter(filter).with_ansi(colours).with_writer(writer);
    Ok(match format {
        LogFormat::Text => Box::new(lines.finish()),
        LogFormat::Json => Box::new(lines.json().flatten_event(true).with_span_list(false).finish()),
    })
}

/// The parser takes `wran` for the name of a module, all of whose lines it then lets pass, and no others.
fn is_a_lone_word_but_no_level(part: &str) -> bool {
    let part = part.trim();
    let is_a_module = part.contains("::") || part.contains(['=', '[']);
    !is_a_module && part.parse::<LevelFilter>().is_err()
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use serde_json::{Value, json};
    use tracing::{debug, info, info_span};

    use super::*;

    /// Where the lines of a test end up.
    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn logged(format: LogFormat, filter: &str, log: impl FnOnce()) -> String {
        let lines = Lines::default();
        let writer = lines.clone();
        let subscriber = subscriber(format, filter, false, move || writer.clone()).unwrap();
        tracing::subscriber::with_default(subscriber, log);
        let bytes = lines.0.lock().unwrap().clone();
        String::from_utf8(bytes).unwrap()
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
    fn a_filter_or_format_that_makes_no_sense_is_an_error_that_names_the_choices() {
        let error = subscriber(LogFormat::Text, "chatty=verbose", false, io::sink).err().unwrap().to_string();
        assert!(error.contains("chatty=verbose") && error.contains("debug"), "{error}");
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
