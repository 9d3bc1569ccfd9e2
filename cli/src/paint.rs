//! Colours, on a terminal only.

use std::env;
use std::io::{self, IsTerminal};

/// Paints text, or leaves it as it is.
#[derive(Clone, Copy, Debug)]
pub struct Paint {
    is_on: bool,
}

impl Paint {
    /// No colours.
    pub const OFF: Paint = Paint { is_on: false };

    /// Colours if this is a terminal, and the environment does not speak against them.
    pub fn on(output: &impl IsTerminal) -> Paint {
        let is_unwanted = env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty())
            || env::var_os("TERM").is_some_and(|term| term == "dumb");
        Paint { is_on: output.is_terminal() && !is_unwanted }
    }

    /// The same of the standard output.
    pub fn on_stdout() -> Paint {
        Paint::on(&io::stdout())
    }

    /// There are colours.
    pub fn has_colours(self) -> bool {
        self.is_on
    }

    fn sgr(self, code: &str, text: &str) -> String {
        if self.is_on { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }

    /// Text that is read first.
    pub fn bold(self, text: &str) -> String {
        self.sgr("1", text)
    }

    /// Text that can be left out.
    pub fn dim(self, text: &str) -> String {
        self.sgr("2", text)
    }

    /// Good news.
    pub fn good(self, text: &str) -> String {
        self.sgr("32", text)
    }

    /// Bad news.
    pub fn bad(self, text: &str) -> String {
        self.sgr("1;31", text)
    }

    /// Live memory.
    pub fn live(self, text: &str) -> String {
        self.sgr("36", text)
    }

    /// The peak.
    pub fn peak(self, text: &str) -> String {
        self.sgr("1;33", text)
    }
}
