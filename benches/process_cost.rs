//! The cost of a process with the library and without: `/bin/true`, which allocates nothing and leaves no
//! trace, and one that allocates once. And the size of the library.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use mallook_benches::artifacts::artifacts;
use mallook_benches::stats::Samples;
use mallook_benches::{inside, process, scale};
use mallook_format::Mode;
use object::elf::{PT_LOAD, SHT_REL, SHT_RELA, SHT_RELR};
use object::read::elf::{FileHeader, ProgramHeader, SectionHeader};
use tempfile::TempDir;

/// Programs with arguments, and how many traces each leaves.
const PROGRAMS: [(&str, &[&str], usize); 2] =
    [("/bin/true", &[], 0), (env!("CARGO_BIN_EXE_churn"), &["pairs", "1", "1"], 1)];

fn main() -> Result<()> {
    let pairs = scale::amount("MALLOOK_BENCH_PAIRS", 1000, 20);
    println!("{pairs} pairs of runs, µs");
    println!("{:<14}{:>10}{:>10}{:>12}{:>12}", "", "without", "with", "difference", "");
    println!("{:<14}{:>10}{:>10}{:>12}{:>12}", "", "median", "median", "median", "mean");
    for (program, arguments, traces) in PROGRAMS {
        for (name, mode) in [("full", Mode::Full), ("ring", Mode::Ring)] {
            let mut command = Command::new(program);
            command.args(arguments).stdout(Stdio::null());
            let (without, with) = measure(command, mode, pairs, traces)?;
            let difference = with.zip(&without, |with, without| with - without);
            let short = program.rsplit('/').next().unwrap_or(program);
            println!(
                "{:<14}{:>10.1}{:>10.1}{:>12.1}{:>12.1}",
                format!("{short}, {name}"),
                without.median(),
                with.median(),
                difference.median(),
                difference.mean()
            );
        }
    }
    describe(&artifacts().library)
}

/// Wall times of pairs of runs in µs, without the library and with it.
fn measure(
    mut command: Command,
    mode: Mode,
    pairs: usize,
    traces: usize,
) -> Result<(Samples, Samples)> {
    let directory = TempDir::new()?;
    let library = inside::environment(mode);
    let prefix = directory.path().join("trace");
    let mut run = |traced: bool| {
        command.env_clear().env("MALLOOK_PREFIX", &prefix);
        if traced {
            command.envs(library.clone());
        }
        process::run(&mut command).map(|usage| usage.wall.as_nanos() as f64 / 1e3)
    };
    let (mut without, mut with) = (Samples::default(), Samples::default());
    for pair in 0..=pairs {
        // Neither of the two always comes first.
        let swapped = pair % 2 == 1;
        let (first, second) = (run(swapped)?, run(!swapped)?);
        // The first pair finds everything cold.
        if pair != 0 {
            without.push(if swapped { second } else { first });
            with.push(if swapped { first } else { second });
        }
        let found = remove_traces(directory.path())?;
        ensure!(found == traces, "{found} traces instead of {traces}");
    }
    Ok((without, with))
}

/// Removes all files of a directory; how many there were.
fn remove_traces(directory: &Path) -> Result<usize> {
    let mut count = 0;
    for entry in directory.read_dir()? {
        fs::remove_file(entry?.path())?;
        count += 1;
    }
    Ok(count)
}

/// Prints how large a library is and what the loader has to do for it.
fn describe(library: &Path) -> Result<()> {
    let bytes = fs::read(library).with_context(|| library.display().to_string())?;
    let header = object::elf::FileHeader64::<object::LittleEndian>::parse(&*bytes)?;
    let endian = header.endian()?;
    let loaded = header.program_headers(endian, &*bytes)?.iter();
    let loaded = loaded.filter(|segment| segment.p_type(endian) == PT_LOAD);
    let (file, memory) = loaded.fold((0, 0), |(file, memory), segment| {
        (file + segment.p_filesz(endian), memory + segment.p_memsz(endian))
    });
    let sections = header.sections(endian, &*bytes)?;
    let relocations = |kind| -> u64 {
        let tables = sections.iter().filter(|section| section.sh_type(endian) == kind);
        tables.map(|s| s.sh_size(endian) / s.sh_entsize(endian).max(1)).sum()
    };
    println!("\n{}", library.display());
    println!("file size                {:>10} bytes, debug information included", bytes.len());
    println!("loaded from the file     {file:>10} bytes");
    println!("memory, untouched mostly {memory:>10} bytes");
    println!("relocations              {:>10}", relocations(SHT_REL) + relocations(SHT_RELA));
    println!("words of RELR            {:>10}", relocations(SHT_RELR));
    Ok(())
}
