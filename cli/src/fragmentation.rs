//! `mallook fragmentation`: live bytes against the pages that hold them, and who keeps pages.

use std::collections::HashMap;
use std::io::{self, IsTerminal};
use std::process::ExitCode;
use std::thread;

use anyhow::{Context, Result};
use clap::Args;
use mallook_analysis::{Extent, Fragmentation, Pin, PlaceId, Replay, Stop, When};
use mallook_format::Stacks as Mode;
use mallook_reader::{MergedEvents, Stacks, Trace};
use serde_json::{Value, json};

use crate::coverage::Coverage;
use crate::escape::pretty_json;
use crate::messages::Messages;
use crate::moment::{self, At};
use crate::output::Output;
use crate::paint::Paint;
use crate::progress::Bar;
use crate::stacks::Naming;
use crate::units::{self, count, counted, size, span};
use crate::{place, plot, reading, selection};

/// Bytes of a page.
const PAGE: u64 = 4096;
/// Rows of the chart.
const ROWS: usize = 8;

const HELP: &str = "\
Examples:
  mallook run --stacks -- ./server; mallook fragmentation mallook.out
  mallook fragmentation --at end mallook.out       what is kept when all is done
  mallook fragmentation --nearly-empty 10 mallook.out

The addresses of blocks say which pages of 4 KiB hold them. Held is every page with at least one byte \
of a live block, unused what no block has of these: gaps between blocks, the allocator's own, and free \
blocks. A page can only be given back when its last block is freed: the list says whose blocks keep \
pages that are nearly empty. The moment is the one with most unused bytes, unless --at says another. \
Large blocks that have pages of their own (from 128 KiB on, where mmap(2) puts them) stand apart. \
Sizes are those asked for; what the allocator adds to a block counts as unused.

Exit codes:
  0  all was read
  1  a trace is damaged and was read in part, or a file is no trace, see stderr
  2  wrong usage, or no trace at all";

/// Options of `mallook fragmentation`.
#[derive(Args, Clone, Debug)]
#[command(after_help = HELP)]
pub struct Options {
    /// The traces.
    #[command(flatten)]
    pub traces: selection::Traces,

    /// Who keeps pages then: "end", "peak", or a time; when most bytes are unused, if it is left out
    #[arg(long, value_name = "TIME", value_parser = moment::at)]
    pub at: Option<At>,

    /// Pages are nearly empty if at most PERCENT of their bytes are used
    #[arg(long, value_name = "PERCENT", default_value_t = 25, value_parser = clap::value_parser!(u8).range(1..=100))]
    pub nearly_empty: u8,

    /// The number of places that are printed
    #[arg(long, value_name = "NUMBER", default_value_t = 10)]
    pub top: usize,

    /// Print everything as JSON, as docs/fragmentation.schema.json describes it
    #[arg(long)]
    pub json: bool,

    /// Where names come from.
    #[command(flatten)]
    pub naming: Naming,

    /// Where to.
    #[command(flatten)]
    pub output: Output,
}

/// Prints the figures; the exit code says whether all could be read.
pub fn run(options: &Options, messages: Messages) -> Result<ExitCode> {
    reading::read(&options.traces, &options.output, messages, |traces, output| {
        let has_stacks = |trace: &Trace| trace.stacks() != Ok(Mode::Off);
        let all: Vec<_> = match traces.iter().any(has_stacks) {
            true => traces.iter().map(Stacks::of).collect(),
            false => Vec::new(),
        };
        let threshold = PAGE * u64::from(options.nearly_empty) / 100;
        let to_the_end = Stop::at(When::End);
        let (whole, _) = read(traces, &[], &to_the_end, threshold);
        let when = options.at.map_or_else(|| whole.when_most_unused(), |at| at.when(traces));
        let stop = Stop::at(when);
        let (figures, replay) = read(traces, &all, &stop, threshold);
        if matches!(when, When::Time(_)) && !stop.has_later() {
            moment::say_after_the_end(traces, messages);
        }
        if !all.is_empty() {
            options.naming.name(&all, messages)?;
        }
        let (start_ns, coverage) = (moment::start_ns(traces), Coverage::of(traces));
        let seen = Seen { whole: &whole, figures: &figures, coverage, start_ns, options };
        let name = |id: PlaceId| place::line(&all, &replay, id);
        let text = match options.json {
            true => pretty_json(&seen.json(name))?,
            false => {
                let on_terminal = options.output.path.is_none() && io::stdout().is_terminal();
                let paint = if on_terminal { Paint::on_stdout() } else { Paint::OFF };
                seen.text(name, plot::width(on_terminal), paint)
            }
        };
        output.write_all(text.as_bytes()).context("cannot write the output")
    })
}

/// A pass that stops.
fn read<'s>(
    traces: &[Trace],
    stacks: &[Stacks],
    stop: &'s Stop,
    threshold: u64,
) -> (Fragmentation<'s>, Replay) {
    let start_ns = moment::start_ns(traces);
    let mut figures = Fragmentation::of(stop, traces.len(), start_ns, threshold);
    let mut bar = Bar::new(traces, true);
    let replay = thread::scope(|scope| {
        let mut events = MergedEvents::prefetching_with_stacks(traces, stacks, scope);
        stop.run(traces.len(), &mut events, &mut figures, || bar.step())
    });
    bar.finish();
    (figures, replay)
}

/// The findings.
struct Seen<'a> {
    /// Of the whole run.
    whole: &'a Fragmentation<'a>,
    /// Of the moment that was asked for.
    figures: &'a Fragmentation<'a>,
    coverage: Coverage,
    start_ns: u64,
    options: &'a Options,
}

impl Seen<'_> {
    fn since(&self, extent: &Extent) -> u64 {
        extent.time_ns.saturating_sub(self.start_ns)
    }

    /// The moments of the table.
    fn moments(&self) -> Vec<(String, Extent)> {
        let at = match self.options.at {
            None | Some(At::End) => None,
            Some(at) => Some((at.to_string(), self.figures.at_stop())),
        };
        let end = match self.options.at {
            Some(At::End) => vec![("at the end".to_owned(), self.figures.at_stop())],
            _ => Vec::new(),
        };
        let most = [
            ("most unused".to_owned(), self.whole.most_unused()),
            ("most pages held".to_owned(), self.whole.most_held()),
        ];
        most.into_iter().chain(at).chain(end).collect()
    }

    fn json(&self, name: impl Fn(PlaceId) -> String) -> Value {
        let extent = |extent: &Extent| {
            json!({
                "time_ns": self.since(extent),
                "live_bytes": extent.live_bytes,
                "held_bytes": extent.held_bytes,
                "unused_bytes": extent.unused_bytes(),
                "mapped_bytes": extent.mapped_bytes,
                "mapped_page_bytes": extent.mapped_page_bytes,
            })
        };
        let pins = self.pins(name);
        let pins: Vec<_> = pins
            .iter()
            .map(|(line, pin)| {
                json!({
                    "place": line,
                    "unused_bytes": pin.unused_bytes,
                    "blocks": pin.blocks,
                    "bytes": pin.bytes,
                    "oldest_ns": pin.age_ns,
                })
            })
            .collect();
        let series = self.whole.series();
        let spans: Vec<_> =
            series.spans().iter().map(|span| [span.held_bytes, span.live_bytes]).collect();
        json!({
            "complete": self.coverage.complete,
            "coverage": self.coverage,
            "page_bytes": PAGE,
            "most_unused": extent(&self.whole.most_unused()),
            "most_held": extent(&self.whole.most_held()),
            "at": extent(&self.figures.at_stop()),
            "nearly_empty_pages": self.figures.nearly_empty(),
            "pages_by_eighths_used": self.figures.fill(),
            "pins": pins,
            "timeline": {
                "start_unix_ns": series.start_ns(),
                "interval_ns": series.width_ns(),
                "held_and_live_bytes": spans,
            },
        })
    }

    fn text(&self, name: impl Fn(PlaceId) -> String, width: usize, paint: Paint) -> String {
        let mut lines = self.coverage.lines("what was freed there seems to live", width, paint);
        lines.push(paint.bold(&format!(
            "{:<17}{:>10}{:>10}{:>9}{:>10}{:>14}  after",
            "", "live", "held", "used", "unused", "large blocks"
        )));
        for (label, extent) in self.moments() {
            lines.push(format!(
                "{label:<17}{:>10}{:>10}{:>9}{:>10}{:>14}  {}",
                size(extent.live_bytes),
                size(extent.held_bytes),
                percent(extent.live_bytes, extent.held_bytes),
                size(extent.unused_bytes()),
                size(extent.mapped_bytes),
                span(self.since(&extent)),
            ));
        }
        lines.push(String::new());
        lines.extend(self.chart(width, paint));
        lines.push(String::new());
        lines.extend(self.fill(paint));
        let pins = self.pins(name);
        if !pins.is_empty() {
            lines.push(paint.bold(&format!(
                "{:>11}{:>10}{:>11}{:>10}  who keeps nearly empty pages",
                "unused", "blocks", "bytes", "oldest"
            )));
        }
        for (line, pin) in pins.iter().take(self.options.top) {
            lines.push(format!(
                "{:>11}{:>10}{:>11}{:>10}  {}",
                size(pin.unused_bytes),
                count(pin.blocks),
                size(pin.bytes),
                span(pin.age_ns),
                place::fitted(line, width.saturating_sub(44))
            ));
        }
        if let Some(others) = pins.get(self.options.top..).filter(|others| !others.is_empty()) {
            let unused = others.iter().map(|(_, pin)| pin.unused_bytes).sum();
            lines.push(format!("{:>11}  [{}]", size(unused), units::others(others.len() as u64)));
        }
        lines.push(String::new());
        lines.join("\n")
    }

    fn chart(&self, width: usize, paint: Paint) -> Vec<String> {
        let series = self.whole.series();
        let columns = width.saturating_sub(plot::LABEL + 1);
        let band: Vec<_> =
            series.spans().iter().map(|span| (span.live_bytes, span.held_bytes)).collect();
        let band: Vec<_> = joined(&band, columns);
        let title = "live bytes (█) and the pages that hold them (░), the most of each";
        let mut lines = vec![format!("{:w$} {}", "", title, w = plot::LABEL)];
        lines.extend(plot::lines(&band, ROWS, size, paint));
        let all = series.width_ns().saturating_mul(series.spans().len() as u64);
        lines.push(plot::axis(columns, |part| span((all as f64 * part) as u64), paint));
        lines
    }

    /// Who keeps pages: call stacks that look alike are one.
    fn pins(&self, name: impl Fn(PlaceId) -> String) -> Vec<(String, Pin)> {
        let mut lines = HashMap::<String, Pin>::new();
        for (place, pin) in self.figures.pins() {
            let sum = lines.entry(name(place)).or_default();
            *sum = Pin {
                blocks: sum.blocks + pin.blocks,
                bytes: sum.bytes + pin.bytes,
                unused_bytes: sum.unused_bytes + pin.unused_bytes,
                age_ns: sum.age_ns.max(pin.age_ns),
            };
        }
        let mut pins: Vec<_> = lines.into_iter().collect();
        pins.sort_unstable_by(|(name, one), (other_name, other)| {
            other.unused_bytes.cmp(&one.unused_bytes).then_with(|| name.cmp(other_name))
        });
        pins
    }

    /// Pages by how much of them is used.
    fn fill(&self, paint: Paint) -> Vec<String> {
        let fill = self.figures.fill();
        let all: u64 = fill.iter().sum();
        if all == 0 {
            return Vec::new();
        }
        let heads: String =
            (1..=8).map(|eighth| format!("{:>9}", format!("≤{eighth}/8"))).collect();
        let numbers: String = fill.iter().map(|&pages| format!("{:>9}", count(pages))).collect();
        let empty = self.figures.nearly_empty();
        let moment = self.options.at.map_or("when most is unused".to_owned(), |at| at.to_string());
        vec![
            paint.bold(&format!("{:<6}{heads}", "used")),
            format!("{:<6}{numbers}", "pages"),
            format!(
                "{moment}: {} of {}, at most {} % used",
                count(empty),
                counted(all, "page"),
                self.options.nearly_empty
            ),
            String::new(),
        ]
    }
}

/// Columns with the most of both of each.
fn joined(band: &[plot::Range], columns: usize) -> Vec<plot::Range> {
    let each = |pick: fn(&plot::Range) -> u64| {
        let values: Vec<_> = band.iter().map(|range| (0, pick(range))).collect();
        plot::columns(&values, columns)
    };
    each(|range| range.0)
        .iter()
        .zip(each(|range| range.1))
        .map(|(live, held)| (live.1, held.1))
        .collect()
}

fn percent(part: u64, whole: u64) -> String {
    match whole {
        0 => "-".to_owned(),
        _ => format!("{:.1} %", part as f64 * 100.0 / whole as f64),
    }
}
