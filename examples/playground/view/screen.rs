//! The terminal: taken, drawn on, and given back whatever happens.
//!
//! A program that dies in raw mode leaves a terminal without echo and without lines. There are four ways out, and each
//! gives it back: the end in order and every error drop the [`Screen`]; a panic while drawing passes the hook before its
//! message is printed; a signal is one more reason to end in order. A panic anywhere else, in an operator's task, ends
//! only that task: it is logged, and not printed across the picture.

use std::io::{self, Stdout, stdout};
use std::panic;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use ratatui::Terminal;
use ratatui::backend::CrosstermBackend;
use ratatui::crossterm::cursor::Show;
use ratatui::crossterm::event::{self, Event, KeyEvent};
use ratatui::crossterm::execute;
use ratatui::crossterm::terminal::{EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode, enable_raw_mode};
use ratatui::{CompletedFrame, Frame};
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_util::sync::{CancellationToken, DropGuard};

/// How long the keyboard's thread waits at most before it looks whether it should end.
const LOOK: Duration = Duration::from_millis(100);

/// The terminal in raw mode, showing its alternate screen. Dropping it gives the terminal back.
pub(crate) struct Screen(Terminal<CrosstermBackend<Stdout>>);

impl Screen {
    /// Takes the terminal.
    pub(crate) fn take() -> io::Result<Self> {
        give_back_on_panic();
        let terminal = Terminal::new(CrosstermBackend::new(stdout()))?;
        enable_raw_mode()?;
        // From here on the terminal is given back, whatever fails.
        let screen = Self(terminal);
        execute!(stdout(), EnterAlternateScreen)?;
        Ok(screen)
    }

    /// Draws one frame; only what is different from the last one is sent. A new size is found out here, too.
    pub(crate) fn draw(&mut self, picture: impl FnOnce(&mut Frame<'_>)) -> io::Result<CompletedFrame<'_>> {
        self.0.draw(picture)
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        // After a panic, this would be the second time, and the cursor would jump back above the message.
        if !thread::panicking() {
            give_back();
        }
    }
}

/// If this fails, the terminal has gone, and nobody is there to be told.
fn give_back() {
    let _ = disable_raw_mode();
    let _ = execute!(stdout(), Show, LeaveAlternateScreen);
}

fn give_back_on_panic() {
    let (ours, print) = (thread::current().id(), panic::take_hook());
    panic::set_hook(Box::new(move |panic| {
        if thread::current().id() == ours {
            give_back();
            print(panic);
        } else {
            tracing::error!("{panic}");
        }
    }));
}

/// What a person does at the terminal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Input {
    /// A key was pressed.
    Key(KeyEvent),
    /// The terminal has another size.
    Resized,
}

/// Reads the keyboard, in a thread, because a terminal can't be waited for in any other way without another crate.
/// Dropping it stops the thread; [`end`](Self::end) waits for it, too.
pub(crate) struct Keyboard {
    inputs: mpsc::UnboundedReceiver<Input>,
    thread: JoinHandle<()>,
    /// Stops the thread when it is dropped.
    stop_guard: DropGuard,
}

impl Keyboard {
    /// Begins to read. The terminal must be in raw mode.
    pub(crate) fn listen() -> io::Result<Self> {
        let (to, inputs) = mpsc::unbounded_channel();
        let stop = CancellationToken::new();
        let stopped = stop.clone();
        let thread = thread::Builder::new().name("keyboard".to_owned()).spawn(move || {
            // Ends with an error when the terminal has gone. Then the channel closes, and that ends the view.
            while !stopped.is_cancelled() {
                let input =
                    match event::poll(LOOK).and_then(|some| if some { event::read().map(Some) } else { Ok(None) }) {
                        Ok(Some(Event::Key(key))) => Input::Key(key),
                        Ok(Some(Event::Resize(..))) => Input::Resized,
                        Ok(_) => continue,
                        Err(_gone) => return,
                    };
                if to.send(input).is_err() {
                    return;
                }
            }
        })?;
        Ok(Self { inputs, thread, stop_guard: stop.drop_guard() })
    }

    /// The next input; waits for it. None: the terminal has gone.
    pub(crate) async fn next(&mut self) -> Option<Input> {
        self.inputs.recv().await
    }

    /// Ends the thread. It is not waited for any longer than it takes to look: in a terminal that has hung up, the
    /// library reads the end of its input again and again, and comes back only with the end of the process.
    pub(crate) async fn end(self) {
        let Self { mut inputs, thread, stop_guard } = self;
        drop(stop_guard);
        let ended = async { while inputs.recv().await.is_some() {} };
        if timeout(2 * LOOK, ended).await.is_ok() {
            let _ = thread.join();
        }
    }
}
