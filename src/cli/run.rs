//! `smooth-operator run`.

use std::num::NonZeroU16;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, bail};
use clap::builder::BoolishValueParser;
use clap::error::ErrorKind;
use clap::{Args, CommandFactory as _};
use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use serde_json::Value;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::admission::AllowedRegistries;
use crate::cli::Cli;
use crate::client::{Connection, Request, Target, connect};
use crate::controller::Options;
use crate::http::BindAddress;
use crate::leader_election::Timing as LeaseTiming;
use crate::leader_election::config::InvalidTiming;
use crate::manager::{self, Election, Serving, Settings, Webhook};
use crate::object::ObjectKey;
use crate::telemetry::{LogFilter, LogFormat, init_logs};
use crate::tls::{Files, Pace};

/// The flags of `run`.
#[derive(Debug, Args)]
pub struct RunArgs {
    /// The kubeconfig; otherwise $KUBECONFIG, ~/.kube/config, or the service account of the pod.
    #[arg(long, value_name = "FILE", env = "SMOOTH_OPERATOR_KUBECONFIG")]
    kubeconfig: Option<PathBuf>,
    /// The context of the kubeconfig; otherwise the current one.
    #[arg(long, value_name = "NAME", env = "SMOOTH_OPERATOR_CONTEXT")]
    context: Option<String>,
    /// The namespaces to serve, separated by commas, or `all`. Nothing outside of them is ever requested.
    #[arg(long, value_name = "A,B|all", default_value = "all", env = "SMOOTH_OPERATOR_NAMESPACES", value_parser = namespaces)]
    namespaces: Namespaces,
    /// How many servers may be reconciled at the same time.
    #[arg(long, value_name = "N", default_value = "10", env = "SMOOTH_OPERATOR_WORKERS", value_parser = workers)]
    workers: NonZeroU16,

    /// Act only while holding a Lease, so that several instances can stand by.
    #[arg(long, env = "SMOOTH_OPERATOR_LEADER_ELECT", value_parser = BoolishValueParser::new(), help_heading = "Leader election")]
    leader_elect: bool,
    /// The namespace of the Lease; otherwise the namespace of the pod, or of the kubeconfig's context.
    #[arg(long, value_name = "NAME", env = "SMOOTH_OPERATOR_LEASE_NAMESPACE", value_parser = label, help_heading = "Leader election")]
    lease_namespace: Option<String>,
    /// The name of the Lease.
    #[arg(long, value_name = "NAME", default_value = "smooth-operator", env = "SMOOTH_OPERATOR_LEASE_NAME", value_parser = label, help_heading = "Leader election")]
    lease_name: String,
    /// After this time without a renewal another instance may lead.
    #[arg(long, value_name = "TIME", default_value = "15s", env = "SMOOTH_OPERATOR_LEASE_DURATION", value_parser = duration, help_heading = "Leader election")]
    lease_duration: Duration,
    /// After this time without a renewal this instance gives up.
    #[arg(long, value_name = "TIME", default_value = "10s", env = "SMOOTH_OPERATOR_RENEW_DEADLINE", value_parser = duration, help_heading = "Leader election")]
    renew_deadline: Duration,
    /// The time between two attempts to renew or to take the Lease.
    #[arg(long, value_name = "TIME", default_value = "2s", env = "SMOOTH_OPERATOR_RETRY_PERIOD", value_parser = duration, help_heading = "Leader election")]
    retry_period: Duration,

    /// The address to serve /metrics on; 0 disables it.
    #[arg(
        long,
        value_name = "ADDRESS",
        default_value = ":8080",
        env = "SMOOTH_OPERATOR_METRICS_BIND_ADDRESS",
        help_heading = "Listening"
    )]
    metrics_bind_address: BindAddress,
    /// The address to serve /healthz and /readyz on; 0 disables it.
    #[arg(
        long,
        value_name = "ADDRESS",
        default_value = ":8081",
        env = "SMOOTH_OPERATOR_HEALTH_BIND_ADDRESS",
        help_heading = "Listening"
    )]
    health_bind_address: BindAddress,
    /// The address to serve the validating webhook on, over TLS; 0 disables it.
    #[arg(
        long,
        value_name = "ADDRESS",
        default_value = "0",
        env = "SMOOTH_OPERATOR_WEBHOOK_BIND_ADDRESS",
        help_heading = "Listening"
    )]
    webhook_bind_address: BindAddress,

    /// The Service through which the API server calls the webhook, in the namespace of the pod or the context.
    #[arg(long, value_name = "NAME", default_value = "smooth-operator-webhook", env = "SMOOTH_OPERATOR_WEBHOOK_SERVICE_NAME", value_parser = label, help_heading = "TLS")]
    webhook_service_name: String,
    /// The webhook refuses images from elsewhere: registries or parts of them, such as ghcr.io,docker.io/library.
    #[arg(long, value_name = "A,B/C", env = "SMOOTH_OPERATOR_ALLOWED_REGISTRIES", help_heading = "TLS")]
    allowed_registries: Option<AllowedRegistries>,
    /// Serve /metrics over TLS, to clients whose token may get it.
    #[arg(long, env = "SMOOTH_OPERATOR_METRICS_SECURE", value_parser = BoolishValueParser::new(), help_heading = "TLS")]
    metrics_secure: bool,
    /// The certificate for the webhook and the metrics, in PEM; read again when it changes. Otherwise the operator makes
    /// its own.
    #[arg(
        long,
        value_name = "FILE",
        requires = "tls_key_file",
        env = "SMOOTH_OPERATOR_TLS_CERT_FILE",
        help_heading = "TLS"
    )]
    tls_cert_file: Option<PathBuf>,
    /// The private key of the certificate.
    #[arg(
        long,
        value_name = "FILE",
        requires = "tls_cert_file",
        env = "SMOOTH_OPERATOR_TLS_KEY_FILE",
        help_heading = "TLS"
    )]
    tls_key_file: Option<PathBuf>,

    /// The format of the log: text or json.
    #[arg(
        long,
        value_name = "FORMAT",
        default_value = "text",
        env = "SMOOTH_OPERATOR_LOG_FORMAT",
        help_heading = "Logging"
    )]
    log_format: LogFormat,
    /// What to log: off, error, warn, info, debug or trace, or a list like info,smooth_operator::informer=debug.
    #[arg(
        long,
        value_name = "LEVEL",
        default_value = "info",
        env = "SMOOTH_OPERATOR_LOG_LEVEL",
        help_heading = "Logging"
    )]
    log_level: LogFilter,

    /// The API server ends each watch after this time, or up to twice as long. Some load balancers cut connections
    /// after 4 minutes.
    #[arg(long, value_name = "TIME", default_value = "5m", env = "SMOOTH_OPERATOR_WATCH_TIMEOUT", value_parser = duration, help_heading = "Timing")]
    watch_timeout: Duration,
    /// Reconcile everything again after this time, or up to half as long again; 0s disables it. This is only a safety
    /// net.
    #[arg(long, value_name = "TIME", default_value = "10h", env = "SMOOTH_OPERATOR_RESYNC_PERIOD", value_parser = duration, help_heading = "Timing")]
    resync_period: Duration,
    /// How long running reconciles may take to finish at a stop.
    #[arg(long, value_name = "TIME", default_value = "20s", env = "SMOOTH_OPERATOR_GRACEFUL_SHUTDOWN_TIMEOUT", value_parser = duration, help_heading = "Timing")]
    graceful_shutdown_timeout: Duration,
}

/// Runs the operator until a signal stops it.
///
/// # Errors
///
/// One line that says what is wrong and how to fix it.
pub async fn run(args: RunArgs) -> anyhow::Result<()> {
    init_logs(args.log_format, &args.log_level)?;
    let timing = LeaseTiming::new(args.lease_duration, args.renew_deadline, args.retry_period);
    let timing = timing.map_err(|InvalidTiming(violations)| {
        let why: Vec<String> = violations.iter().map(ToString::to_string).collect();
        usage(&format!("--lease-duration, --renew-deadline and --retry-period don't fit together: {}", why.join("; ")))
    })?;
    if args.allowed_registries.is_some() && args.webhook_bind_address == BindAddress::Disabled {
        return Err(usage("--allowed-registries is enforced by the webhook: set --webhook-bind-address, too"));
    }
    let stop = stop_on_signal()?;
    let target = Target { kubeconfig: args.kubeconfig.clone(), context: args.context.clone() };
    let connection = connect(&target).await.map_err(complete)?;
    let Some(version) = stop.run_until_cancelled(greet(&connection)).await.transpose()? else { return Ok(()) };
    tracing::info!(server = connection.server, version, "connected");
    let settings = settings(args, timing, &connection.namespace);
    Box::pin(manager::run(&connection, settings, stop)).await.map_err(complete)
}

/// An error whose message contains its causes and ends with how to fix it. Without its sources, because `main` would
/// append them once more, after the end.
fn complete(error: impl std::error::Error) -> anyhow::Error {
    anyhow::Error::msg(error.to_string())
}

/// A mistake in a combination of flags. It ends the program like every other usage error.
fn usage(message: &str) -> anyhow::Error {
    Cli::command().error(ErrorKind::ValueValidation, message).into()
}

/// Asks for the version. As the first request it shows at once whether the cluster can be reached; otherwise people
/// would have to conclude it from a series of retries.
async fn greet(connection: &Connection) -> anyhow::Result<String> {
    match connection.client.send::<Value>(Request::get_path("/version")).await {
        Ok(version) => Ok(version["gitVersion"].as_str().unwrap_or("unknown").to_owned()),
        Err(error) if error.status().is_none() => bail!(
            "no cluster at {}: {error}; check that it is running, and that this is the right context (`kubectl config current-context`)",
            connection.server
        ),
        Err(error) => bail!("the cluster at {} refused the first request: {error}", connection.server),
    }
}

fn settings(args: RunArgs, timing: LeaseTiming, namespace: &str) -> Settings {
    let lease_namespace = args.lease_namespace.as_deref().unwrap_or(namespace);
    let election = args
        .leader_elect
        .then(|| Election { lease: ObjectKey::new(lease_namespace, args.lease_name.as_str()), timing });
    let seconds = args.watch_timeout.as_secs().max(1);
    let serving = serving(&args, namespace);
    Settings {
        namespaces: args.namespaces.0,
        work: Options { workers: args.workers.into(), grace: args.graceful_shutdown_timeout },
        election,
        metrics: args.metrics_bind_address,
        health: args.health_bind_address,
        serving,
        watch_seconds: seconds..=seconds * 2,
        resync: args.resync_period,
        seed: StdRng::from_os_rng().random(),
    }
}

fn serving(args: &RunArgs, namespace: &str) -> Serving {
    let certificate = args.tls_cert_file.clone().zip(args.tls_key_file.clone());
    let webhook = Webhook {
        address: args.webhook_bind_address.clone(),
        service: ObjectKey::new(namespace, args.webhook_service_name.as_str()),
        allowed_registries: args.allowed_registries.clone(),
        pace: Pace::default(),
    };
    Serving {
        metrics_secure: args.metrics_secure,
        certificate: certificate.map(|(certificate, key)| Files { certificate, key }),
        webhook: Some(webhook).filter(|webhook| webhook.address != BindAddress::Disabled),
    }
}

/// The first signal stops the operator in order, the second one at once.
fn stop_on_signal() -> anyhow::Result<CancellationToken> {
    let mut terminate = signal(SignalKind::terminate()).context("SIGTERM can't be caught")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("SIGINT can't be caught")?;
    let stop = CancellationToken::new();
    let token = stop.clone();
    tokio::spawn(async move {
        loop {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
            if token.is_cancelled() {
                tracing::warn!("second signal: stopping at once");
                std::process::exit(1);
            }
            tracing::info!("stopping after the running reconciles; a second signal stops at once");
            token.cancel();
        }
    });
    Ok(stop)
}

/// The namespaces to serve; an empty list means all.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Namespaces(Vec<String>);

fn namespaces(text: &str) -> Result<Namespaces, String> {
    if text == "all" {
        return Ok(Namespaces(Vec::new()));
    }
    let mut names = text.split(',').map(label).collect::<Result<Vec<String>, String>>()?;
    names.sort();
    names.dedup();
    Ok(Namespaces(names))
}

/// The upper limit guards against typing errors.
fn workers(text: &str) -> Result<NonZeroU16, String> {
    let number = text.parse::<NonZeroU16>().ok().filter(|number| number.get() <= 1000);
    number.ok_or_else(|| format!("{text:?} is not a number from 1 to 1000"))
}

/// A DNS label, which is required of namespaces.
fn label(text: &str) -> Result<String, String> {
    let inner = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    let good = !text.is_empty()
        && text.len() <= 63
        && text.chars().all(inner)
        && !text.starts_with('-')
        && !text.ends_with('-');
    if good {
        Ok(text.to_owned())
    } else {
        Err(format!(
            "{text:?} is not a valid name: use at most 63 lower-case letters, digits and '-', with no '-' at either end"
        ))
    }
}

/// `90s`, `5m`, `1h30m`: the notation of Kubernetes' own programs.
fn duration(text: &str) -> Result<Duration, String> {
    let span = text
        .parse::<jiff::SignedDuration>()
        .map_err(|_| format!("{text:?} is not a duration: use 90s, 5m or 1h30m"))?;
    Duration::try_from(span).map_err(|_| format!("{text:?} is negative: use 90s, 5m or 1h30m"))
}

#[cfg(test)]
mod tests {
    use std::process::Command as Process;

    use clap::Parser as _;

    use super::*;
    use crate::cli::{Cli, Command};

    fn parse(flags: &[&str]) -> Result<RunArgs, String> {
        let line = ["smooth-operator", "run"].iter().chain(flags);
        match Cli::try_parse_from(line).map_err(|error| error.to_string())?.command {
            Command::Run(args) => Ok(*args),
            Command::Crd => unreachable!("asked for run"),
        }
    }

    fn settled(flags: &[&str]) -> Settings {
        settings(parse(flags).unwrap(), LeaseTiming::default(), "the-pods")
    }

    #[test]
    fn without_flags_the_numbers_are_those_that_operators_are_known_for() {
        let Settings { watch_seconds, resync, work, election, .. } = settled(&[]);
        assert_eq!((watch_seconds, resync), (300..=600, Duration::from_secs(10 * 3600)));
        assert_eq!((work.workers.get(), work.grace, election.is_none()), (10, Duration::from_secs(20), true));
    }

    /// Behind a load balancer that cuts what is older than 240 s.
    #[test]
    fn a_watch_is_asked_for_from_the_given_time_to_twice_that() {
        assert_eq!(settled(&["--watch-timeout", "100s"]).watch_seconds, 100..=200);
        assert_eq!(settled(&["--watch-timeout", "0s"]).watch_seconds, 1..=2, "a watch of no time would be a hot loop");
    }

    #[test]
    fn the_lease_lives_where_the_pod_does_unless_another_place_is_named() {
        let lease = |flags: &[&str]| settled(flags).election.unwrap().lease.to_string();
        assert_eq!(lease(&["--leader-elect"]), "the-pods/smooth-operator");
        assert_eq!(lease(&["--leader-elect", "--lease-namespace", "a", "--lease-name", "b"]), "a/b");
    }

    #[test]
    fn times_are_written_as_elsewhere_in_kubernetes() {
        assert_eq!(duration("90s"), Ok(Duration::from_secs(90)));
        assert_eq!(duration("1h30m"), Ok(Duration::from_secs(5400)));
        assert_eq!(duration("500ms"), Ok(Duration::from_millis(500)));
        assert!(duration("ten").unwrap_err().contains("use 90s"));
        assert!(duration("-5s").is_err());
    }

    #[test]
    fn a_wrong_value_is_refused_with_the_name_of_its_flag() {
        for (flags, expected) in [
            (["--namespaces", "a,,b"], "--namespaces"),
            (["--namespaces", "Prod"], "\"Prod\" is not a valid name"),
            (["--workers", "0"], "--workers"),
            (["--lease-duration", "soon"], "--lease-duration"),
            (["--log-format", "xml"], "--log-format"),
            (["--allowed-registries", "nginx"], "names no registry"),
            (["--webhook-service-name", "A"], "--webhook-service-name"),
        ] {
            let message = parse(&flags).unwrap_err();
            assert!(message.contains(expected), "{flags:?}: {message}");
        }
    }

    /// The flags that are [parsed](the_flags_of_this_environment) with these variables. That takes another process: all
    /// tests share the environment of this one.
    fn parsed_where(variables: &[(&str, &str)]) -> String {
        let this = std::env::current_exe().unwrap();
        let test = "cli::run::tests::the_flags_of_this_environment";
        let child =
            Process::new(this).args(["--exact", test, "--ignored", "--nocapture"]).envs(variables.to_vec()).output();
        let output = String::from_utf8(child.unwrap().stdout).unwrap();
        let parsed = output.lines().find_map(|line| line.strip_prefix("parsed: "));
        parsed.unwrap_or_else(|| panic!("{variables:?}: {output}")).to_owned()
    }

    #[test]
    #[ignore = "prints what it finds; other tests start it with an environment"]
    fn the_flags_of_this_environment() {
        println!("\nparsed: {:?}", parse(&[]));
    }

    #[test]
    fn every_flag_can_be_given_as_an_environment_variable() {
        let others = [
            ("--kubeconfig", "/etc/other"),
            ("--context", "other"),
            ("--namespaces", "a,b"),
            ("--workers", "3"),
            ("--lease-namespace", "other"),
            ("--lease-name", "other"),
            ("--lease-duration", "60s"),
            ("--renew-deadline", "9s"),
            ("--retry-period", "3s"),
            ("--metrics-bind-address", ":9090"),
            ("--health-bind-address", "0"),
            ("--webhook-bind-address", ":9443"),
            ("--webhook-service-name", "other"),
            ("--allowed-registries", "ghcr.io,docker.io/library"),
            ("--log-format", "json"),
            ("--log-level", "warn,smooth_operator::informer=debug"),
            ("--watch-timeout", "100s"),
            ("--resync-period", "1h"),
            ("--graceful-shutdown-timeout", "5s"),
        ];
        let variable = |flag: &str| flag.replacen("--", "smooth-operator-", 1).replace('-', "_").to_uppercase();
        for (flag, value) in others {
            let given = format!("{:?}", parse(&[flag, value]));
            assert_ne!(given, format!("{:?}", parse(&[])), "{flag} {value} is the default");
            assert_eq!(parsed_where(&[(&variable(flag), value)]), given, "{}", variable(flag));
        }
        let command = Cli::command();
        let run = command.find_subcommand("run").unwrap();
        let flags = run.get_arguments().filter_map(|flag| flag.get_long()).map(|flag| format!("--{flag}"));
        let untested: Vec<_> = flags.filter(|flag| others.iter().all(|(other, _)| flag != other)).collect();
        let tests_of_their_own = ["--leader-elect", "--metrics-secure", "--tls-cert-file", "--tls-key-file"];
        assert_eq!(untested, tests_of_their_own);
    }

    #[test]
    fn the_two_files_of_a_certificate_belong_together() {
        let both = ["--tls-cert-file", "/tls.crt", "--tls-key-file", "/tls.key"];
        let variables = [("SMOOTH_OPERATOR_TLS_CERT_FILE", "/tls.crt"), ("SMOOTH_OPERATOR_TLS_KEY_FILE", "/tls.key")];
        assert_eq!(parsed_where(&variables), format!("{:?}", parse(&both)));
        let files = Files { certificate: "/tls.crt".into(), key: "/tls.key".into() };
        assert_eq!(settled(&both).serving.certificate, Some(files));
        for (one, other) in [(&both[..2], "--tls-key-file"), (&both[2..], "--tls-cert-file")] {
            let message = parse(one).unwrap_err();
            assert!(message.contains(other), "{message}");
        }
    }

    #[test]
    fn the_webhook_is_off_until_it_has_an_address_and_is_called_by_a_service_beside_the_pod() {
        assert!(settled(&[]).serving.webhook.is_none());
        let flags = ["--webhook-bind-address", ":9443", "--webhook-service-name", "hook"];
        let webhook = settled(&flags).serving.webhook.unwrap();
        assert_eq!((webhook.service.to_string(), webhook.allowed_registries), ("the-pods/hook".to_owned(), None));
    }

    /// Manifests say "true" or "1", and "0" must not mean yes.
    #[test]
    fn a_flag_without_a_value_is_a_yes_or_a_no_in_the_environment() {
        for (flag, variable) in
            [("--leader-elect", "SMOOTH_OPERATOR_LEADER_ELECT"), ("--metrics-secure", "SMOOTH_OPERATOR_METRICS_SECURE")]
        {
            let (yes, no) = (format!("{:?}", parse(&[flag])), format!("{:?}", parse(&[])));
            for (value, expected) in
                [("1", &yes), ("true", &yes), ("yes", &yes), ("0", &no), ("false", &no), ("off", &no)]
            {
                assert_eq!(parsed_where(&[(variable, value)]), *expected, "{variable}={value}");
            }
        }
        let refused = parsed_where(&[("SMOOTH_OPERATOR_LEADER_ELECT", "perhaps")]);
        assert!(refused.contains("perhaps") && refused.contains("--leader-elect"), "{refused}");
    }

    #[test]
    fn all_namespaces_are_none_in_particular() {
        assert_eq!(parse(&[]).unwrap().namespaces, Namespaces(vec![]));
        assert_eq!(parse(&["--namespaces", "b,a,b"]).unwrap().namespaces, Namespaces(vec!["a".into(), "b".into()]));
    }
}
