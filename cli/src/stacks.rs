//! Call stacks, and the names of their frames.

use std::ffi::OsString;
use std::fs::File;
use std::io::{BufReader, Read};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use clap::Args;
use mallook_format::Stacks as Mode;
use mallook_reader::symbol::{NamesFile, State, SymbolOptions, Symbolizer};
use mallook_reader::{Grouped, ModuleNames, Shown, Stacks, Trace, escape};

use crate::messages::Messages;

/// Lines about traces, or modules, at the most.
const MOST_NAMED: usize = 20;
/// The first bytes of a file of names.
const MAGIC: &[u8] = b"{\"mallook_symbols\"";
/// The program that fetches debug information.
const DEBUGINFOD: &str = "debuginfod-find";

/// Where names come from.
#[derive(Args, Clone, Debug, Default)]
#[group(skip)]
pub struct Names {
    /// Search this directory for debug information, before /usr/lib/debug (may be repeated)
    #[arg(long = "debug-dir", value_name = "DIR")]
    pub debug_dirs: Vec<PathBuf>,

    /// The root directory of the traced process, whose programs and libraries are below it
    #[arg(long, value_name = "DIR")]
    pub sysroot: Option<PathBuf>,

    /// Fetch debug information from the servers of DEBUGINFOD_URLS, by debuginfod-find
    #[arg(long)]
    pub debuginfod: bool,
}

/// The names of frames.
#[derive(Args, Clone, Debug, Default)]
#[group(skip)]
pub struct Naming {
    /// Take names of functions from this file, which mallook symbolize has written; those beside the
    /// traces are used without asking (may be repeated)
    #[arg(long = "names", value_name = "PATH")]
    pub names_files: Vec<PathBuf>,

    /// Print modules and offsets, and no names of functions
    #[arg(long, conflicts_with_all = ["names_files", "debug_dirs", "sysroot", "debuginfod"])]
    pub no_symbols: bool,

    /// Where names come from.
    #[command(flatten)]
    pub names: Names,
}

impl Naming {
    /// Names the frames of stacks, if they are to have names.
    pub fn name(&self, stacks: &[Stacks], messages: Messages) -> Result<()> {
        if self.no_symbols {
            return Ok(());
        }
        name(stacks, &self.names, &self.names_files, messages)
    }

    /// The same without a word: where a screen is drawn, nothing else may be printed.
    pub fn name_quietly(&self, stacks: &[Stacks]) {
        if self.no_symbols {
            return;
        }
        let read = |path: &Path| NamesFile::read(BufReader::new(File::open(path).ok()?)).ok();
        let symbolizer = self.names.symbolizer();
        for stacks in stacks {
            let beside = beside(stacks.trace().path());
            let beside = if is_names(&beside) { read(&beside) } else { None };
            let given = self.names_files.iter().filter_map(|path| read(path));
            let files: Vec<_> = given.chain(beside).collect();
            Stacks::symbolize([stacks], &symbolizer, &files, |_| {});
        }
    }
}

impl Names {
    /// Finds names in these places.
    pub fn symbolizer(&self) -> Symbolizer {
        Symbolizer::new(SymbolOptions {
            debug_dirs: self.debug_dirs.clone(),
            sysroot: self.sysroot.clone(),
            debuginfod: self.debuginfod.then(|| DEBUGINFOD.into()),
            ..SymbolOptions::default()
        })
    }
}

/// The file of names that travels with a trace.
pub fn beside(trace: &Path) -> PathBuf {
    let mut name = OsString::from(trace);
    name.push(".names");
    name.into()
}

/// The file is one of names, by its name and its first bytes.
pub fn is_names(path: &Path) -> bool {
    let mut start = [0; MAGIC.len()];
    path.extension().is_some_and(|extension| extension == "names")
        && path.is_file()
        && File::open(path).and_then(|mut file| file.read_exact(&mut start)).is_ok()
        && start == MAGIC
}

/// The stacks of traces; what has none is said.
pub fn of<'a>(traces: &'a [Trace<'a>], messages: Messages) -> Vec<Stacks<'a>> {
    let without: Vec<_> = traces.iter().filter(|it| it.stacks() == Ok(Mode::Off)).collect();
    for trace in without.iter().take(MOST_NAMED) {
        let path = Shown(trace.path());
        messages.say(format_args!(
            "{path}: no call stacks were recorded; mallook run --stacks records them"
        ));
    }
    if let Some(more) = without.len().checked_sub(MOST_NAMED).filter(|&more| more != 0) {
        let more = Grouped(more as u64);
        messages.say(format_args!("no call stacks were recorded in {more} more traces"));
    }
    traces.iter().map(Stacks::of).collect()
}

/// Names the frames of stacks, by these files of names, by those beside the traces, and by the modules
/// themselves.
fn name(stacks: &[Stacks], from: &Names, files: &[PathBuf], messages: Messages) -> Result<()> {
    let mut given = files.iter().map(|path| read(path, messages)).collect::<Result<Vec<_>>>()?;
    let symbolizer = from.symbolizer();
    let mut nameless = Nameless { said: Vec::new(), more: 0 };
    let there = stacks.iter().filter(|stacks| stacks.trace().stacks() != Ok(Mode::Off));
    let (own, others): (Vec<_>, Vec<_>) =
        there.partition(|stacks| is_names(&beside(stacks.trace().path())));
    Stacks::symbolize(others, &symbolizer, &given, |module| nameless.add(&module));
    for stacks in own {
        given.push(read(&beside(stacks.trace().path()), messages)?);
        Stacks::symbolize([stacks], &symbolizer, &given, |module| nameless.add(&module));
        given.pop();
    }
    nameless.say(messages);
    Ok(())
}

fn read(path: &Path, messages: Messages) -> Result<NamesFile> {
    let file = File::open(path).with_context(|| format!("cannot open {}", Shown(path)))?;
    let names = NamesFile::read(BufReader::new(file));
    let names = names.with_context(|| format!("cannot read {}", Shown(path)))?;
    if let Some(damage) = names.damage() {
        messages.say(format_args!("{}: {}", Shown(path), escape(&damage)));
    }
    Ok(names)
}

/// Modules whose frames have no names, and why.
#[derive(Default)]
pub struct Nameless {
    said: Vec<String>,
    more: usize,
}

impl Nameless {
    /// Adds a module, if it has no names.
    pub fn add(&mut self, module: &ModuleNames) {
        let is_known = matches!(module.names.state, State::Vdso | State::Anonymous);
        if module.names.state.has_names() || is_known || module.addresses.is_empty() {
            return;
        }
        let line = escape(&module.names.state.to_string()).into_owned();
        if self.said.contains(&line) {
            return;
        }
        match self.said.len() < MOST_NAMED {
            true => self.said.push(line),
            false => self.more += 1,
        }
    }

    /// Says them.
    pub fn say(&self, messages: Messages) {
        for line in &self.said {
            messages.say(format_args!("no names of functions: {line}"));
        }
        if self.more != 0 {
            let more = Grouped(self.more as u64);
            messages.say(format_args!("no names of functions of {more} more modules"));
        }
    }
}
