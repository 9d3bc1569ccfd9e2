//! Lines on standard error, each with the name of the program.

use std::fmt;
use std::io::{self, Write};

/// Says lines under the name of a program.
#[derive(Clone, Copy, Debug)]
pub struct Messages {
    program: &'static str,
    silent: bool,
}

impl Messages {
    /// Messages of this program.
    pub const fn of(program: &'static str) -> Messages {
        Messages { program, silent: false }
    }

    /// Messages that nobody sees: they were said.
    pub const fn silent() -> Messages {
        Messages { program: "", silent: true }
    }

    /// Writes a line. Unlike `eprintln!`, it does not panic when standard error is closed.
    pub fn say(self, message: fmt::Arguments) {
        if self.silent {
            return;
        }
        let _ = writeln!(io::stderr(), "{}: {message}", self.program);
    }
}
