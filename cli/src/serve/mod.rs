//! `mallook serve`: the page of `mallook report` on this machine, whose parts are read from the traces
//! when they are looked at.
//!
//! The law of the modules: each uses only modules of the rows above it and to its left in its row.
//!
//! ```text
//! token query   the secret in the address; the question of the page
//! head http     the head of a request; answers
//! job           the jobs of the worker, and the questions that count
//! door          who is let in
//! connections   who waits for an answer, each on a thread
//! worker        who reads the traces, one question after the other
//! stop          signals that end it
//! ```

mod connections;
mod door;
mod head;
mod http;
mod job;
mod query;
mod stop;
mod token;
mod worker;

use std::io::{self, Write};
use std::net::{Ipv4Addr, TcpListener};
use std::process::{Command, ExitCode, Stdio};
use std::sync::mpsc::channel;
use std::thread;

use anyhow::{Context, Result, anyhow};
use clap::Args;

use crate::input::{self, Opened};
use crate::messages::Messages;
use crate::selection;
use crate::stacks::Naming;

use door::Door;
use token::Token;
use worker::Worker;

const HELP: &str = "\
Examples:
  mallook serve mallook.out                prints the address of the page
  mallook serve --open mallook.out         opens it in a browser
  mallook serve --port 8080 mallook.out    on a remote machine: ssh -L 8080:127.0.0.1:8080 HOST

Only this machine reaches it (127.0.0.1), and only who knows the address, which has a secret in it. \
Traces of running processes work: the page asks for what has come since. Ctrl-C ends it.

Exit codes:
  0  it was ended by SIGINT or SIGTERM
  1  the same, and a trace is damaged or no trace, see stderr
  2  wrong usage, no trace at all, or the port is taken";

/// Options of `mallook serve`.
#[derive(Args, Clone, Debug)]
#[command(after_help = HELP)]
pub struct Options {
    /// The traces.
    #[command(flatten)]
    pub traces: selection::Traces,

    /// The port; without it, one that is free
    #[arg(long, value_name = "PORT", default_value_t = 0, hide_default_value = true)]
    pub port: u16,

    /// Open the page in a browser
    #[arg(long)]
    pub open: bool,

    /// Temporary is what its thread frees with at most N other births of it in between
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub threshold: u64,

    /// Show at most N places in one view; further ones are a click away
    #[arg(long, value_name = "N", default_value_t = 2000)]
    pub cells: usize,

    /// Where names come from.
    #[command(flatten)]
    pub naming: Naming,
}

/// Answers until a signal comes; the exit code says whether all could be read.
pub fn run(options: &Options, messages: Messages) -> Result<ExitCode> {
    let opened = options.traces.open(messages)?;
    // What is said of traces stands before the address.
    input::report_missing(&opened.traces, messages);
    let code = input::report_damage(&opened.traces, messages);
    let code = if opened.unreadable == 0 { code } else { ExitCode::from(input::UNSOUND) };
    let signals = stop::block();
    let address = (Ipv4Addr::LOCALHOST, options.port);
    let listener = TcpListener::bind(address).map_err(|error| {
        anyhow!("cannot listen on {}:{}: {error}; another --port?", address.0, address.1)
    })?;
    let port = listener.local_addr().context("cannot listen")?.port();
    let token = Token::new().context("no random numbers from the system")?;
    let url = format!("http://127.0.0.1:{port}/{}/", token.text());
    writeln!(io::stdout(), "{url}")?;
    io::stdout().flush()?;
    if options.open {
        open(&url, messages);
    }
    answer(listener, Door::new(token, port), options, opened, &signals, messages);
    Ok(code)
}

fn answer(
    listener: TcpListener,
    door: Door,
    options: &Options,
    opened: Opened,
    signals: &stop::Signals,
    messages: Messages,
) {
    let (sender, jobs) = channel();
    let newest = door.newest().clone();
    let worker = Worker {
        traces: options.traces.clone(),
        which: (options.threshold, options.cells),
        naming: options.naming.clone(),
        messages,
        newest: newest.clone(),
    };
    // Nobody waits for these at the end: a pass over a large trace takes its time.
    thread::spawn(move || worker.work(opened.traces, &jobs));
    thread::spawn(move || connections::accept(&listener, door, sender));
    signals.wait();
    newest.close();
}

/// Opens the page in the user's browser.
fn open(url: &str, messages: Messages) {
    let mut command = Command::new("xdg-open");
    command.arg(url).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    if let Err(error) = command.spawn() {
        messages
            .say(format_args!("--open: cannot run xdg-open: {error}; open the address yourself"));
    }
}
