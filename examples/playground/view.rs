//! The view: a page to look at, and keys to interfere with what is on it.
//!
//! Everything that decides is pure: [`model`] (what is known), [`draw`] (what it looks like), [`keys`] (what a key asks
//! for). Around them, this file waits for the next thing to happen and draws; [`screen`] has the terminal, and [`act`]
//! the connection through which keys change the cluster.
//!
//! Frames are drawn when something has happened, but not more often than a person can see: a rollout changes hundreds
//! of objects in a second. Without any news there is one frame per second, for the ages.

pub(crate) mod act;
pub(crate) mod draw;
pub(crate) mod keys;
pub(crate) mod model;
pub(crate) mod screen;
pub(crate) mod server;
pub(crate) mod text;

use std::fs::File;
use std::io::{Write as _, stdout};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use jiff::Timestamp;
use playground::Cluster;
use ratatui::crossterm::event::KeyEvent;
use smooth_operator::telemetry::{LogFormat, init_logs_to};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc;
use tokio::time::{interval, sleep_until};
use tokio_util::task::AbortOnDropHandle;

use crate::operators::{Life, Operators};
use crate::story::{KINDS, Line, Story};
use crate::{Args, install, operators, samples, serve, stop_at_once_on_ctrl_c, story};
use act::{Hands, Said};
use keys::{Action, Deed};
use model::{LEASE_KIND, Model, Signs};
use screen::{Input, Keyboard, Screen};

/// From one frame to the next, at least.
const FRAME: Duration = Duration::from_millis(40);

/// Shows what happens until somebody ends it.
pub(crate) async fn run(args: &Args) -> anyhow::Result<()> {
    let log = log_to_file(args)?;
    let samples = samples::read(&args.samples)?;
    let server = serve(args).await?;
    let cluster = server.cluster().clone();
    install(&cluster)?;
    let signs = Signs { exports: exports(&args.kubeconfig), log: log.display().to_string() };
    let (lives_to, lives) = mpsc::unbounded_channel();
    let view = View::new(&cluster, Model::new(signs), Hands::new(&server.url(), samples.clone())?, lives);
    let operators =
        operators::start(&cluster, &args.kubeconfig, &args.metrics_bind_address, operators::timing()?, &lives_to)?;
    samples::create(&cluster, &samples)?;
    let ended = view.show(&operators).await;
    // The terminal is an ordinary one again, unless it has gone: then nobody reads this.
    let _ = writeln!(stdout(), "Stopping the operators, then the API server. Ctrl-C again stops at once.");
    stop_at_once_on_ctrl_c();
    operators.stop().await?;
    server.stop().await;
    ended
}

/// The log would tear the picture, so it goes to a file next to the kubeconfig.
fn log_to_file(args: &Args) -> anyhow::Result<PathBuf> {
    let path = args.kubeconfig.with_file_name("operator.log");
    if let Some(directory) = path.parent() {
        std::fs::create_dir_all(directory).with_context(|| format!("can't create {}", directory.display()))?;
    }
    let file = File::create(&path).with_context(|| format!("can't write {}", path.display()))?;
    init_logs_to(LogFormat::Text, &args.log_level.clone().unwrap_or("info".parse()?), Mutex::new(file))?;
    Ok(path)
}

/// The commands that lead kubectl here, the best one first: one for everywhere, which can be long; one for this
/// directory; and only the variable.
fn exports(kubeconfig: &Path) -> Vec<String> {
    let (given, everywhere) = (kubeconfig.display(), std::path::absolute(kubeconfig));
    let mut exports = vec![format!("export KUBECONFIG={}", everywhere.as_deref().unwrap_or(kubeconfig).display())];
    if kubeconfig.is_relative() {
        exports.push(format!("export KUBECONFIG=$PWD/{given}"));
    }
    exports.push(format!("KUBECONFIG={given}"));
    exports
}

/// The model, and everything that feeds it.
struct View {
    model: Model,
    began: Instant,
    cluster: Cluster,
    story: Story,
    lives: mpsc::UnboundedReceiver<(usize, Life)>,
    /// To the task that does one after the other, in the order of the keys.
    deeds: mpsc::UnboundedSender<Deed>,
    said: mpsc::UnboundedReceiver<Said>,
    _doing: AbortOnDropHandle<()>,
}

impl View {
    /// Begins to watch, and draws nothing yet.
    fn new(cluster: &Cluster, model: Model, hands: Hands, lives: mpsc::UnboundedReceiver<(usize, Life)>) -> Self {
        let (deeds, mut to_do) = mpsc::unbounded_channel();
        let (said_to, said) = mpsc::unbounded_channel();
        let doing = tokio::spawn(async move {
            while let Some(deed) = to_do.recv().await {
                // Nobody reads this while everything ends.
                hands.act(deed, |said| drop(said_to.send(said))).await;
            }
        });
        let kinds: Vec<_> = KINDS.into_iter().chain([(operators::LEASES, LEASE_KIND)]).collect();
        let story = story::begin(cluster, &kinds);
        let cluster = cluster.clone();
        let began = Instant::now();
        Self { model, began, cluster, story, lives, deeds, said, _doing: AbortOnDropHandle::new(doing) }
    }

    /// Draws until somebody ends it. When this returns, the terminal has been given back.
    async fn show(mut self, operators: &Operators) -> anyhow::Result<()> {
        let mut ends = Ends::new()?;
        let mut screen = Screen::take().context("can't draw on this terminal; --plain prints lines instead")?;
        let mut keyboard = Keyboard::listen().context("can't read the keyboard")?;
        let ended = tokio::select! {
            ended = self.follow(&mut screen, &mut keyboard, operators) => ended,
            () = ends.next() => Ok(()),
        };
        drop(screen);
        keyboard.end().await;
        ended
    }

    /// Draws whatever happens, until a key ends it.
    async fn follow(
        &mut self,
        screen: &mut Screen,
        keyboard: &mut Keyboard,
        operators: &Operators,
    ) -> anyhow::Result<()> {
        let mut second = interval(Duration::from_secs(1));
        loop {
            self.catch_up();
            screen
                .draw(|frame| draw::draw(&self.model, Timestamp::now(), frame))
                .context("can't draw on the terminal")?;
            sleep_until(tokio::time::Instant::now() + FRAME).await;
            let at = self.began.elapsed();
            tokio::select! {
                Some((kind, event)) = self.story.next() => self.model.changed(kind, &event, at),
                Some((number, life)) = self.lives.recv() => self.model.lived(number, life, at),
                Some(said) = self.said.recv() => self.say(said),
                _ = second.tick() => self.model.struck(self.cluster.faults().strikes()),
                input = keyboard.next() => match input {
                    // The next frame has the new size.
                    Some(Input::Resized) => {}
                    Some(Input::Key(key)) => {
                        if self.pressed(key, operators).is_break() {
                            return Ok(());
                        }
                    }
                    None => bail!("the terminal has gone"),
                },
            }
        }
    }

    /// Takes everything that has happened already, so that it costs only one frame.
    fn catch_up(&mut self) {
        // The cause before the effects.
        while let Ok(said) = self.said.try_recv() {
            self.say(said);
        }
        let at = self.began.elapsed();
        while let Some((kind, event)) = self.story.next_now() {
            self.model.changed(kind, &event, at);
        }
        while let Ok((number, life)) = self.lives.try_recv() {
            self.model.lived(number, life, at);
        }
    }

    fn pressed(&mut self, key: KeyEvent, operators: &Operators) -> ControlFlow<()> {
        match keys::action(key, &self.model) {
            None => {}
            Some(Action::Quit) => return ControlFlow::Break(()),
            Some(Action::Select(down)) => self.model.select(down),
            Some(Action::Kill(number)) => {
                self.say(Said { name: operators::name(number), text: "kill".to_owned() });
                operators.kill(number);
            }
            Some(Action::Explain(text)) => self.say(Said { name: String::new(), text }),
            Some(Action::Do(deed)) => {
                // Its task ends only with this view.
                let _ = self.deeds.send(deed);
            }
        }
        ControlFlow::Continue(())
    }

    fn say(&mut self, Said { name, text }: Said) {
        self.model.tell(Line { at: self.began.elapsed(), kind: "You", name, text });
    }
}

/// The signals that end the view. Ctrl-C is none of them: in raw mode, it is a key.
struct Ends([Signal; 3]);

impl Ends {
    fn new() -> anyhow::Result<Self> {
        let on = |kind| signal(kind).context("can't handle signals");
        Ok(Self([on(SignalKind::interrupt())?, on(SignalKind::terminate())?, on(SignalKind::hangup())?]))
    }

    async fn next(&mut self) {
        let [interrupt, terminate, hangup] = &mut self.0;
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
            _ = hangup.recv() => {}
        }
    }
}
