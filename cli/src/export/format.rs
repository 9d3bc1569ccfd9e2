//! The formats.

use std::io::{self, Write};
use std::path::Path;

use clap::ValueEnum;
use mallook_export::{
    Ctf, Dhat, Export, Firefox, Heaptrack, Massif, MemoryReplay, Mtrace, Parquet, Pprof, Rep,
    Source,
};

/// A format.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// A line a call stack: flamegraph.pl, inferno, speedscope, Perfetto
    Folded,
    /// profile.proto: go tool pprof, speedscope, Pyroscope, Parca, Datadog
    Pprof,
    /// The Firefox Profiler's JSON: profiler.firefox.com, samply load
    Firefox,
    /// heaptrack_gui, heaptrack_print
    Heaptrack,
    /// massif.out: ms_print, massif-visualizer
    Massif,
    /// DHAT's JSON: valgrind's dh_view.html
    Dhat,
    /// The lines that glibc writes for the program mtrace
    Mtrace,
    /// A directory, of CTF 1.8 with LTTng's events: babeltrace2, Trace Compass
    Ctf,
    /// Android's malloc_debug records: memory_replay
    #[value(name = "memory_replay", alias = "memory-replay")]
    MemoryReplay,
    /// The traces of the CS:APP malloc lab: mdriver
    Rep,
    /// A directory of tables: DuckDB, pandas, Polars, Spark
    Parquet,
}

impl Format {
    /// The word on the command line.
    pub fn name(self) -> String {
        self.to_possible_value().map_or_else(String::new, |value| value.get_name().to_owned())
    }

    /// It is several files.
    pub fn is_directory(self) -> bool {
        matches!(self, Format::Ctf | Format::Parquet)
    }

    /// It is no text.
    pub fn is_binary(self) -> bool {
        self.is_directory() || self == Format::Pprof
    }

    /// Its addresses are those of one process.
    pub fn has_one_process(self) -> bool {
        matches!(self, Format::Heaptrack | Format::Mtrace | Format::MemoryReplay | Format::Rep)
    }

    /// It has a place for call stacks.
    pub fn has_stacks(self) -> bool {
        !matches!(self, Format::MemoryReplay | Format::Rep)
    }

    /// It has a place for the names of functions.
    pub fn has_names(self) -> bool {
        self.has_stacks() && self != Format::Ctf
    }

    /// Writes into an empty directory.
    pub fn directory_export<'a>(
        self,
        source: Source<'a>,
        directory: &Path,
    ) -> io::Result<Box<dyn Export + 'a>> {
        Ok(match self {
            Format::Ctf => Box::new(Ctf::new(source, directory)?),
            Format::Parquet => Box::new(Parquet::new(source, directory)?),
            _ => return Err(io::ErrorKind::Unsupported.into()),
        })
    }

    /// Writes one file.
    pub fn file_export<'a>(
        self,
        source: Source<'a>,
        out: &'a mut dyn Write,
    ) -> io::Result<Box<dyn Export + 'a>> {
        Ok(match self {
            Format::Pprof => Box::new(Pprof::new(source, out)),
            Format::Firefox => Box::new(Firefox::new(source, out)),
            Format::Heaptrack => Box::new(Heaptrack::new(source, out)?),
            Format::Massif => Box::new(Massif::new(source, out)),
            Format::Dhat => Box::new(Dhat::new(source, out)),
            Format::Mtrace => Box::new(Mtrace::new(source, out)?),
            Format::MemoryReplay => Box::new(MemoryReplay::new(source, out)),
            Format::Rep => Box::new(Rep::new(source, out)?),
            Format::Folded | Format::Ctf | Format::Parquet => {
                return Err(io::ErrorKind::Unsupported.into());
            }
        })
    }
}
