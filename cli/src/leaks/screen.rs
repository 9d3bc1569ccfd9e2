//! The leaks on a screen.

use mallook_reader::Grouped;

use super::report::{Leak, Report, Site};
use crate::escape::{base_name, escape};
use crate::fit::shorten;
use crate::paint::Paint;
use crate::suppress::Suppressed;
use crate::units::{self, counted, exact_size, size, span};

/// Frames of a stack that are printed.
const FRAMES: usize = 12;
/// Processes that are named.
const PIDS: usize = 4;

/// The report as text: the first `most` leaks. `files`: how a command line names the traces.
pub fn text(report: &Report, files: &str, most: usize, width: usize, paint: Paint) -> String {
    let mut lines = vec![paint.bold(&header(report))];
    lines.extend(report.coverage.lines("what was freed there looks alive", width, paint));
    for (number, leak) in report.leaks.iter().take(most).enumerate() {
        lines.push(String::new());
        lines.extend(of_leak(number + 1, leak, report.leaked_bytes, width, paint));
    }
    if let Some(others) = report.leaks.get(most..).filter(|others| !others.is_empty()) {
        let bytes = others.iter().map(|leak| leak.bytes).fold(0, u64::saturating_add);
        lines.push(String::new());
        lines.push(format!(
            "[{}: {}; --top {} shows all]",
            units::others(others.len() as u64),
            size(bytes),
            report.leaks.len()
        ));
    }
    if !report.suppressions.is_empty() {
        lines.push(String::new());
        lines.push(format!(
            "suppressed: {} in {}",
            size(report.suppressed_bytes),
            blocks(report.suppressed_blocks)
        ));
        lines.extend(report.suppressions.iter().map(suppressed));
    }
    if !report.has_stacks && report.leaked_blocks != 0 {
        lines.push(String::new());
        lines.push("who: mallook run --stacks records the call stacks".to_owned());
    } else if let Some(example) = report.leaks.first().and_then(|leak| leak.examples.first()) {
        lines.push(String::new());
        lines.push(
            paint
                .dim(&format!("next: mallook dump --stacks --address {} {files}", example.address)),
        );
    }
    lines.push(String::new());
    lines.join("\n")
}

fn header(report: &Report) -> String {
    let what = if report.leaks.is_empty() {
        "nothing is alive".to_owned()
    } else {
        format!(
            "{} in {} from {}",
            exact_size(report.leaked_bytes),
            blocks(report.leaked_blocks),
            counted(
                report.leaks.len() as u64,
                if report.has_stacks { "call stack" } else { "kind" }
            ),
        )
    };
    let of = match report.processes {
        1 => String::new(),
        count => format!(", of {} processes", units::count(count)),
    };
    format!("alive {}: {what}{of}", report.at)
}

fn blocks(count: u64) -> String {
    counted(count, "block")
}

fn of_leak(number: usize, leak: &Leak, all: u64, width: usize, paint: Paint) -> Vec<String> {
    let sizes = match leak.least_size == leak.most_size {
        true if leak.blocks == 1 => String::new(),
        true => format!(" of {} B", Grouped(leak.least_size)),
        false => format!(" of {} to {} B", Grouped(leak.least_size), Grouped(leak.most_size)),
    };
    let ages = match (leak.youngest_ns, leak.oldest_ns) {
        (youngest, oldest) if span(youngest) == span(oldest) => format!("{} old", span(oldest)),
        (youngest, oldest) => format!("{} to {} old", span(youngest), span(oldest)),
    };
    let share = leak.bytes as f64 * 100.0 / all.max(1) as f64;
    let title = format!(
        "{number:>3}. {} ({share:.1} %) in {}{sizes} by {}, {ages}",
        size(leak.bytes),
        blocks(leak.blocks),
        leak.function
    );
    let mut lines = vec![paint.bold(&title)];
    let mut where_ = Vec::new();
    if let Some(tid) = leak.tid {
        where_.push(format!("thread {tid}"));
    }
    if leak.pids.len() > 1 {
        let shown: Vec<_> = leak.pids.iter().take(PIDS).map(u32::to_string).collect();
        let more = if leak.pids.len() > PIDS { ", …" } else { "" };
        where_.push(format!("processes {}{more}", shown.join(", ")));
    }
    let addresses: Vec<_> = leak.examples.iter().map(|block| block.address.as_str()).collect();
    let more = if leak.blocks > addresses.len() as u64 { ", …" } else { "" };
    where_.push(format!("at {}{more}", addresses.join(", ")));
    lines.push(format!("     {}", where_.join(", ")));
    let own: Vec<_> = leak.frames.iter().filter(|site| !site.is_folded).collect();
    let shown = if own.is_empty() { leak.frames.iter().collect() } else { own };
    lines.extend(shown.iter().take(FRAMES).map(|site| frame(site, width, paint)));
    if let Some(more) = shown.len().checked_sub(FRAMES).filter(|&more| more != 0) {
        lines.push(paint.dim(&format!("       [{}]", counted(more as u64, "further frame"))));
    }
    lines
}

fn frame(site: &Site, width: usize, paint: Paint) -> String {
    let source =
        site.source.as_deref().map_or(String::new(), |source| format!(" ({})", base_name(source)));
    let room = width.saturating_sub(7 + source.chars().count()).max(16);
    let line = format!("       {}{source}", shorten(&escape(&site.function), room));
    if site.is_folded { paint.dim(&line) } else { line }
}

fn suppressed(rule: &Suppressed) -> String {
    let blocks = blocks(rule.blocks);
    format!("{:>12}  {blocks:>14}  {}", size(rule.bytes), escape(&rule.suppression))
}
