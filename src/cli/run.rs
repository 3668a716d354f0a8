//! `smooth-operator run`.

use std::num::NonZeroU16;
use std::time::Duration;

use anyhow::Context as _;
use clap::Args;
use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use super::cluster::{ClusterArgs, LeaseArgs, complete, greet, usage};
use super::serving::ServingArgs;
use super::values::duration;
use crate::admission::AllowedRegistries;
use crate::controller::Options;
use crate::http::BindAddress;
use crate::leader_election::Timing as LeaseTiming;
use crate::manager::{self, Election, Serving, Settings, Surroundings, Webhook};
use crate::telemetry::{LogFilter, LogFormat, init_logs};
use crate::tls::Pace;

/// The flags of `run`.
#[derive(Debug, Args)]
pub struct RunArgs {
    #[command(flatten)]
    cluster: ClusterArgs,
    /// How many servers may be reconciled at the same time.
    #[arg(long, value_name = "N", default_value = "10", env = "SMOOTH_OPERATOR_WORKERS", value_parser = workers)]
    workers: NonZeroU16,

    #[command(flatten)]
    lease: LeaseArgs,

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
    #[command(flatten)]
    serving: ServingArgs,
    /// The webhook refuses images from elsewhere: registries or parts of them, such as ghcr.io,docker.io/library.
    #[arg(long, value_name = "A,B/C", env = "SMOOTH_OPERATOR_ALLOWED_REGISTRIES", help_heading = "TLS")]
    allowed_registries: Option<AllowedRegistries>,
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
    let timing = args.lease.timing()?;
    if args.allowed_registries.is_some() && args.serving.webhook().is_none() {
        return Err(usage("--allowed-registries is enforced by the webhook: set --webhook-bind-address, too"));
    }
    let stop = stop_on_signal()?;
    let connection = args.cluster.connect().await?;
    let Some(version) = stop.run_until_cancelled(greet(&connection)).await.transpose()? else { return Ok(()) };
    tracing::info!(server = connection.server, version, "connected");
    let settings = settings(args, timing, &connection.namespace);
    Box::pin(manager::run(&connection, settings, stop)).await.map_err(complete)
}

fn settings(args: RunArgs, timing: LeaseTiming, namespace: &str) -> Settings {
    let election = args.lease.leader_elect().then(|| Election { lease: args.lease.key(namespace), timing });
    let seconds = args.watch_timeout.as_secs().max(1);
    let serving = serving(&args, namespace);
    Settings {
        namespaces: args.cluster.namespaces().to_vec(),
        work: Options { workers: args.workers.into(), grace: args.graceful_shutdown_timeout },
        election,
        metrics: args.metrics_bind_address,
        health: args.health_bind_address,
        serving,
        watch_seconds: seconds..=seconds * 2,
        resync: args.resync_period,
        seed: StdRng::from_os_rng().random(),
        surroundings: Surroundings::default(),
    }
}

fn serving(args: &RunArgs, namespace: &str) -> Serving {
    let webhook = |address: &BindAddress| Webhook {
        address: address.clone(),
        service: args.serving.service(namespace),
        allowed_registries: args.allowed_registries.clone(),
        pace: Pace::default(),
    };
    Serving {
        metrics_secure: args.serving.metrics_secure(),
        certificate: args.serving.certificate(),
        webhook: args.serving.webhook().map(webhook),
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
                biased;
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

/// The upper limit guards against typing errors.
fn workers(text: &str) -> Result<NonZeroU16, String> {
    let number = text.parse::<NonZeroU16>().ok().filter(|number| number.get() <= 1000);
    number.ok_or_else(|| format!("{text:?} is not a number from 1 to 1000"))
}

#[cfg(test)]
mod tests {
    use std::process::Command as Process;

    use clap::{CommandFactory as _, Parser as _};

    use super::*;
    use crate::cli::{Cli, Command};
    use crate::tls::Files;

    fn parse(flags: &[&str]) -> Result<RunArgs, String> {
        let line = ["smooth-operator", "run"].iter().chain(flags);
        match Cli::try_parse_from(line).map_err(|error| error.to_string())?.command {
            Command::Run(args) => Ok(*args),
            Command::Crd | Command::Doctor(_) => unreachable!("asked for run"),
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
}
