//! What `mallook-dump` does.

use std::fs::File;
use std::io::{self, ErrorKind, Write};
use std::process::ExitCode;
use std::thread;

use anyhow::{Context, Result, ensure};
use mallook_reader::render::{Format, Page, Renderer};
use mallook_reader::{Check, Filter, Summary, Trace, Violation, follow};

use crate::cli::Arguments;
use crate::print;

/// Impossible events of a trace that are printed.
const MOST_VIOLATIONS: u64 = 20;

/// Runs the command; the exit code says whether all could be read.
pub fn run(arguments: &Arguments) -> Result<ExitCode> {
    let mut output = open_output(arguments)?;
    if let Some(page) = arguments.generate {
        output.write_all(&page.text()?).context("cannot write the output")?;
        return Ok(ExitCode::SUCCESS);
    }
    if arguments.follow {
        return run_follow(arguments, &mut *output);
    }
    let traces =
        arguments.files.iter().map(|path| Trace::open(path)).collect::<Result<Vec<_>, _>>()?;
    let mut sound = true;
    if arguments.info {
        print_info(&traces, &mut *output)?;
    } else if arguments.check {
        sound = print_check(&traces, &mut *output)?;
    } else {
        let renderer = Renderer::new(arguments.format.into(), &traces);
        let progress = print::progress_bar(arguments, &traces);
        let filter = filter(arguments, &traces);
        print::events(&traces, &filter, renderer, &progress, &mut *output)?;
    }
    output.flush().context("cannot write the output")?;
    let code = report_damage(&traces);
    Ok(if sound { code } else { ExitCode::from(1) })
}

/// Whoever reads our output has seen enough.
pub fn is_closed_pipe(error: &anyhow::Error) -> bool {
    let mut causes = error.chain().filter_map(|cause| cause.downcast_ref::<io::Error>());
    causes.any(|cause| cause.kind() == ErrorKind::BrokenPipe)
}

fn open_output(arguments: &Arguments) -> Result<Box<dyn Write>> {
    Ok(match &arguments.output {
        None => Box::new(io::stdout().lock()),
        Some(path) => {
            let same = |file: &std::path::PathBuf| matches!((file.canonicalize(), path.canonicalize()), (Ok(a), Ok(b)) if a == b);
            ensure!(!arguments.files.iter().any(same), "{}: is a trace itself", path.display());
            Box::new(File::create(path).with_context(|| path.display().to_string())?)
        }
    })
}

fn filter(arguments: &Arguments, traces: &[Trace]) -> Filter {
    let start = traces.iter().map(|trace| trace.header().realtime_ns).min().unwrap_or(0);
    Filter {
        since_ns: arguments.since.map(|time| time.unix_ns(start)),
        until_ns: arguments.until.map(|time| time.unix_ns(start)),
        functions: arguments.functions.clone(),
        tids: arguments.tids.clone(),
        min_size: arguments.min_size,
        max_size: arguments.max_size,
    }
}

fn print_info(traces: &[Trace], output: &mut dyn Write) -> Result<()> {
    let processors = thread::available_parallelism().map_or(1, usize::from);
    for (position, trace) in traces.iter().enumerate() {
        let blank = if position == 0 { "" } else { "\n" };
        let summary = Summary::on_threads(trace, processors);
        write!(output, "{blank}{summary}").context("cannot write the output")?;
    }
    Ok(())
}

/// Whether nothing impossible was found.
fn print_check(traces: &[Trace], output: &mut dyn Write) -> Result<bool> {
    let mut sound = true;
    for trace in traces {
        let mut renderer = Renderer::new(Format::Text, std::slice::from_ref(trace));
        let summary = Summary::of(trace);
        let lost = summary.all_lost();
        let mut lines = Page::new();
        let mut printed = 0;
        let check = Check::of(trace, |violation, event| {
            printed += 1;
            if printed <= MOST_VIOLATIONS {
                let text: &[u8] = match violation {
                    Violation::BornAlive => b"  given out while alive: ",
                    Violation::DoubleDeath => b"  released while dead: ",
                };
                lines.put(text);
                renderer.event(event, &mut lines);
            }
        });
        let found = check.violations;
        let complete = summary.overwritten == 0 && lost == 0;
        sound &= found == 0 || !complete || trace.is_coarse();
        let verdict = match (found, complete) {
            (0, _) => "nothing impossible",
            (_, false) => "not conclusive, since events are missing",
            _ if trace.is_coarse() => "not conclusive, since the clock was coarse",
            _ => "IMPOSSIBLE",
        };
        writeln!(
            output,
            "{}: {verdict}: {found} impossible events in {} calls; {} blocks alive at the end, \
             {} releases of memory from elsewhere; {} moments present, {} overwritten, {lost} lost",
            trace.path().display(),
            check.calls,
            check.alive(),
            check.strangers,
            summary.present,
            summary.overwritten,
        )
        .and_then(|()| output.write_all(lines.text()))
        .context("cannot write the output")?;
    }
    Ok(sound)
}

fn run_follow(arguments: &Arguments, output: &mut dyn Write) -> Result<ExitCode> {
    let [path] = &arguments.files[..] else {
        anyhow::bail!("--follow takes one file, found {}", arguments.files.len());
    };
    let trace = [Trace::open(path)?];
    let filter = filter(arguments, &trace);
    let mut renderer = Renderer::new(arguments.format.into(), &trace);
    let mut piece = Page::new();
    renderer.begin(&mut piece);
    let mut written = Ok(());
    follow(path, |event| {
        if filter.wants(event) {
            renderer.event(event, &mut piece);
        }
        written = output.write_all(piece.text()).and_then(|()| output.flush());
        piece.clear();
        written.is_ok() && !filter.is_past(event.time_ns)
    })?;
    written.context("cannot write the output")?;
    let end = [Trace::open(path)?];
    Ok(report_damage(&end))
}

/// Says what could not be read.
fn report_damage(traces: &[Trace]) -> ExitCode {
    let mut code = ExitCode::SUCCESS;
    for trace in traces {
        let (damage, more) = trace.damage();
        for damage in &damage {
            eprintln!("mallook-dump: {}: {damage}", trace.path().display());
        }
        if more != 0 {
            eprintln!("mallook-dump: {}: {more} more places damaged", trace.path().display());
        }
        if !damage.is_empty() {
            code = ExitCode::from(1);
        }
    }
    code
}
