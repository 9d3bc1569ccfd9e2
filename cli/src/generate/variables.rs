//! The manual page of the variables that the preloaded library reads.

use std::io;

use clap_mangen::roff::{Roff, bold, roman};

use crate::generate::page::{DATE, SOURCE, references};

/// Name and section of the page.
pub const NAME: &str = "mallook-variables";
/// The section of conventions and of things that belong to no single command.
pub const SECTION: &str = "7";

const INTRODUCTION: &str = "\
The library that records reads these variables once, when a process makes its first event. \
mallook run sets those for which it has an option, and leaves the others as they are. A value that \
makes no sense is named in one line on standard error, and the default is used. Children inherit \
the variables, and with them the recording.";

/// Name, option of `mallook run`, meaning, default.
const VARIABLES: [(&str, &str, &str, &str); 10] = [
    (
        "LD_PRELOAD",
        "--library",
        "Puts the library into a process: mallook library prints its path. mallook run puts it in \
         front of what is there.",
        "none",
    ),
    (
        "MALLOOK_PREFIX",
        "-o, --output",
        "Traces are PREFIX.PID.EPOCH.COUNTER, readable by their owner only, and never overwritten. \
         The directory must exist; in one that is named alone, names start with mallook.out.",
        "mallook.out",
    ),
    (
        "MALLOOK_MODE",
        "--mode",
        "full: every event is kept and the file grows. ring: the newest events are kept in a file \
         of fixed size.",
        "full",
    ),
    ("MALLOOK_SIZE", "--size", "The size of a ring, from 80K to 1T.", "64M"),
    (
        "MALLOOK_MAX",
        "--max",
        "A bound on a file that grows, from 80K to 1T. Events after it are counted as lost.",
        "none",
    ),
    (
        "MALLOOK_CLOCK",
        "--clock",
        "tsc: the processor's time stamp counter. coarse: the same, read once for up to 16 events \
         of a thread. monotonic: CLOCK_MONOTONIC of the kernel.",
        "tsc where it is invariant, else monotonic",
    ),
    (
        "MALLOOK_STACK",
        "--stacks",
        "off: no call stacks. caller: the function that has called the allocator, alone. fp: call \
         stacks by frame pointers. full: whole ones, by the unwind tables.",
        "off",
    ),
    (
        "MALLOOK_STACK_FREE",
        "--stacks-of-frees",
        "1: releases have call stacks as well, where allocations have. 0: they have not.",
        "0",
    ),
    (
        "MALLOOK_START",
        "--after",
        "running: the program is recorded from its start. paused: it is when somebody says so \
         (mallook ctl resume, mallook_resume). What mallook ctl has told the prefix counts more.",
        "running",
    ),
    (
        "MALLOOK_CMDLINE",
        "",
        "1: the command line of the process goes into its trace. 0: it does not, since it may hold \
         secrets.",
        "0",
    ),
];

const SIZES: &str = "\
A size is a number, with a fraction if need be, and a unit: B, K, M, G, T, P or E, in either case, \
with or without iB or B behind it. Units are powers of 1024: 64K, 1.5G, 1 GiB, 4096.";

/// The page.
pub fn page(see_also: &[(&str, &str)]) -> io::Result<Vec<u8>> {
    let mut roff = Roff::new();
    roff.control("TH", [NAME, SECTION, DATE, SOURCE, "mallook"]);
    roff.control("SH", ["NAME"]);
    roff.text([roman(format!("{NAME} - the environment of programs that are recorded"))]);
    roff.control("SH", ["DESCRIPTION"]).text([roman(INTRODUCTION)]);
    roff.control("SH", ["VARIABLES"]);
    for (name, option, meaning, default) in VARIABLES {
        roff.control("TP", []).text([bold(name)]).text([roman(meaning)]);
        let option = if option.is_empty() { "none" } else { option };
        roff.control("IP", []);
        roff.text([roman(format!("Option of mallook run: {option}. Default: {default}."))]);
    }
    roff.control("SH", ["SIZES"]).text([roman(SIZES)]);
    roff.control("SH", ["EXAMPLES"]).control("nf", []);
    roff.text([roman("LD_PRELOAD=$(mallook library) MALLOOK_PREFIX=/var/tmp/out ./server")]);
    roff.control("fi", []);
    references(&mut roff, see_also);
    let mut text = Vec::new();
    roff.to_writer(&mut text)?;
    Ok(text)
}
