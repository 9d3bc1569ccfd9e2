//! The terminal that a person looks at: taken over, and given back however this ends.

use std::io::{self, IsTerminal};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use mallook_reader::FollowStatus;
use ratatui::DefaultTerminal;
use ratatui::crossterm::event::{self, Event, KeyEventKind};
use signal_hook::consts::{SIGINT, SIGQUIT, SIGTERM, SIGTSTP};
use signal_hook::low_level;

use super::data::Now;
use super::draw::{Look, draw};
use super::live::{INTERVAL, Live};
use super::view::{Asked, View};
use crate::paint::Paint;

/// Intervals that keys choose.
const SHORTEST: Duration = Duration::from_millis(100);
const LONGEST: Duration = Duration::from_secs(60);

/// The terminal, which is given back when this is dropped; the library does it where there is a panic.
struct Screen(DefaultTerminal);

impl Screen {
    fn take() -> Result<Screen> {
        ratatui::try_init().map(Screen).context("cannot take over the terminal")
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        // The terminal may be gone.
        let _ = ratatui::try_restore();
    }
}

/// Shows the state until a key asks to leave, or a signal does.
pub fn show(live: &mut Live, interval: Duration, until: Option<Instant>) -> Result<()> {
    let signal = Arc::new(AtomicUsize::new(0));
    // SIGHUP ends us at once: the terminal has gone, and nobody gives back what is not there.
    for number in [SIGTERM, SIGINT, SIGQUIT] {
        let value = usize::try_from(number).unwrap_or_default();
        signal_hook::flag::register_usize(number, Arc::clone(&signal), value)
            .context("cannot catch signals")?;
    }
    let screen = Screen::take()?;
    let colours = Paint::on(&io::stdout()).has_colours();
    let mut shown = Shown {
        screen: Some(screen),
        view: View::default(),
        look: Look { colours },
        interval,
        now: Now::default(),
    };
    let ended = shown.run(live, until, &signal);
    drop(shown);
    ended?;
    let number = i32::try_from(signal.load(Relaxed)).unwrap_or_default();
    if number != 0 {
        // Whoever has sent it shall see that it has worked.
        let _ = low_level::emulate_default_handler(number);
    }
    Ok(())
}

struct Shown {
    screen: Option<Screen>,
    view: View,
    look: Look,
    interval: Duration,
    now: Now,
}

impl Shown {
    fn run(&mut self, live: &mut Live, until: Option<Instant>, signal: &AtomicUsize) -> Result<()> {
        let mut next = Instant::now();
        loop {
            let status = live.step();
            if signal.load(Relaxed) != 0 || until.is_some_and(|until| Instant::now() >= until) {
                return Ok(());
            }
            if Instant::now() >= next {
                let wait = if live.is_behind_with_names() { INTERVAL * 4 } else { self.interval };
                next = Instant::now() + self.interval.min(wait);
                if !self.view.is_paused {
                    self.now = live.now();
                }
                self.draw()?;
            }
            let left = next.saturating_duration_since(Instant::now());
            let wait =
                if status == FollowStatus::More { Duration::ZERO } else { left.min(INTERVAL) };
            while event::poll(wait).context("cannot read keys")? {
                match self.input()? {
                    Asked::Quit => return Ok(()),
                    Asked::Faster => self.change(live, self.interval / 2),
                    Asked::Slower => self.change(live, self.interval * 2),
                    Asked::Suspend => self.suspend()?,
                    Asked::Nothing => {}
                }
                self.draw()?;
                if !event::poll(Duration::ZERO)? {
                    break;
                }
            }
        }
    }

    fn input(&mut self) -> Result<Asked> {
        match event::read().context("cannot read keys")? {
            Event::Key(key) if key.kind == KeyEventKind::Press => Ok(self.view.key(key)),
            // A screen of another size is drawn anew.
            _ => Ok(Asked::Nothing),
        }
    }

    fn change(&mut self, live: &mut Live, interval: Duration) {
        self.interval = interval.clamp(SHORTEST, LONGEST);
        live.model.set_interval_ns(u64::try_from(self.interval.as_nanos()).unwrap_or(u64::MAX));
    }

    fn draw(&mut self) -> Result<()> {
        let (now, view, look) = (&self.now, &mut self.view, self.look);
        if let Some(Screen(terminal)) = &mut self.screen {
            terminal.draw(|frame| draw(frame, now, view, look)).context("cannot draw")?;
        }
        Ok(())
    }

    /// Gives the terminal back to the shell until that lets us go on.
    fn suspend(&mut self) -> Result<()> {
        self.screen = None;
        low_level::emulate_default_handler(SIGTSTP).context("cannot stop")?;
        self.screen = Some(Screen::take()?);
        Ok(())
    }
}

/// A person looks at the standard output, and can press keys.
pub fn is_there() -> bool {
    io::stdout().is_terminal() && io::stdin().is_terminal()
}
