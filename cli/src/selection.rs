//! The traces and the events that are wanted.

use std::path::PathBuf;

use anyhow::{Result, ensure};
use clap::Args;
use mallook_reader::{Filter, Trace};

use crate::input::{self, Opened};
use crate::messages::Messages;
use crate::shell;
use crate::units::counted;
use crate::value::{self, Time};

/// Traces, by file and by process.
#[derive(Args, Clone, Debug)]
pub struct Traces {
    /// The traces: files, "-" for the standard input, pipes, directories, prefixes of mallook run;
    /// compressed ones (gzip, zstd, xz), too
    #[arg(required = true, value_name = "FILE")]
    pub files: Vec<PathBuf>,

    /// Only traces of this process (may be repeated)
    #[arg(long = "pid", value_name = "PID", value_delimiter = ',')]
    pub pids: Vec<u32>,

    /// Only traces of this executable, by its name or its path (may be repeated)
    #[arg(long = "exe", value_name = "EXECUTABLE")]
    pub executables: Vec<String>,
}

impl Traces {
    /// All traces of these files.
    pub fn all(files: Vec<PathBuf>) -> Traces {
        Traces { files, pids: Vec::new(), executables: Vec::new() }
    }

    /// Opens the files and keeps the wanted traces. It is an error if none is left.
    pub fn open(&self, messages: Messages) -> Result<Opened> {
        let Opened { mut traces, unreadable } = input::open(&self.files, messages)?;
        let count = traces.len();
        traces.retain(|trace| self.wants(trace.header().pid, trace.header().executable()));
        ensure!(
            !traces.is_empty() || count == 0,
            "{} read, and none of the process or the executable that was asked for",
            counted(count as u64, "trace")
        );
        Ok(Opened { traces, unreadable })
    }

    fn wants(&self, pid: u32, executable: &[u8]) -> bool {
        (self.pids.is_empty() || self.pids.contains(&pid))
            && (self.executables.is_empty()
                || self.executables.iter().any(|wanted| is_named(executable, wanted.as_bytes())))
    }
}

/// How a command line names these files; many of them as FILE...
pub fn shown(files: &[PathBuf]) -> String {
    const MOST: usize = 3;
    match files.len() > MOST {
        true => "FILE...".to_owned(),
        false => files.iter().map(shell::quote).collect::<Vec<_>>().join(" "),
    }
}

/// A name with a slash is the path of the executable, one without its last part.
pub fn is_named(path: &[u8], wanted: &[u8]) -> bool {
    match wanted.contains(&b'/') {
        true => path == wanted,
        false => path.rsplit(|&byte| byte == b'/').next() == Some(wanted),
    }
}

/// Events, by time, function, thread, size and address.
#[derive(Args, Clone, Debug, Default)]
pub struct Events {
    /// Leave out events before this time
    #[arg(long, value_name = "TIME", value_parser = value::time)]
    pub since: Option<Time>,

    /// Leave out events after this time
    #[arg(long, value_name = "TIME", value_parser = value::time)]
    pub until: Option<Time>,

    /// Only calls of this function (may be repeated)
    #[arg(long = "op", value_name = "FUNCTION", value_delimiter = ',', value_parser = value::function)]
    pub functions: Vec<String>,

    /// Only events of this thread (may be repeated)
    #[arg(long = "tid", value_name = "TID", value_delimiter = ',')]
    pub tids: Vec<u32>,

    /// Only calls with a size of at least this many bytes ("4096", "64K")
    #[arg(long, value_name = "SIZE", value_parser = value::size)]
    pub min_size: Option<u64>,

    /// Only calls with a size of at most this many bytes
    #[arg(long, value_name = "SIZE", value_parser = value::size)]
    pub max_size: Option<u64>,

    /// Only calls that give out or release this address (may be repeated)
    #[arg(long = "address", value_name = "ADDRESS", value_delimiter = ',', value_parser = value::address)]
    pub addresses: Vec<u64>,
}

impl Events {
    /// The filter for these traces, to whose first start relative times refer.
    pub fn filter(&self, traces: &[Trace]) -> Filter {
        let start = traces.iter().map(|trace| trace.header().realtime_ns).min().unwrap_or(0);
        Filter {
            since_ns: self.since.map(|time| time.unix_ns(start)),
            until_ns: self.until.map(|time| time.unix_ns(start)),
            functions: self.functions.clone(),
            tids: self.tids.clone(),
            min_size: self.min_size,
            max_size: self.max_size,
            pids: Vec::new(),
            addresses: self.addresses.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn executables_by_name_and_by_path() {
        let path = b"/usr/lib/gcc/12/cc1";
        for (wanted, expected) in [
            ("cc1", true),
            ("/usr/lib/gcc/12/cc1", true),
            ("c1", false),
            ("12/cc1", false),
            ("", false),
            ("gcc", false),
        ] {
            assert_eq!(is_named(path, wanted.as_bytes()), expected, "{wanted}");
        }
        let traces = |pids: &[u32], executables: &[&str]| Traces {
            files: Vec::new(),
            pids: pids.to_vec(),
            executables: executables.iter().map(|name| (*name).to_owned()).collect(),
        };
        assert!(traces(&[], &[]).wants(7, path));
        assert!(traces(&[6, 7], &["ld", "cc1"]).wants(7, path));
        assert!(!traces(&[6], &["cc1"]).wants(7, path));
        assert!(!traces(&[7], &["ld"]).wants(7, path));
    }
}
