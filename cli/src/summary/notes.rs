//! Sentences for what stands out, each with its evidence and the command that shows more.

use mallook_analysis::Chains;

use super::places::PlaceRow;
use super::report::{Note, Report};
use super::sentence::{Part, Sentence};
use crate::paused;
use crate::units::{count, counted, short_size, size, span};

/// Sentences at the most.
const MOST: usize = 5;

/// A share of a whole in percent.
fn percent(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 * 100.0 / whole as f64 }
}

/// The notes, the most striking first. `files` is how a command line names the traces.
pub fn of(report: &Report, chains: Option<&Chains>, files: &str) -> Vec<Note> {
    let all = [
        pauses(report, files),
        failures(report, files),
        leak(report, files),
        growth(report, files),
        spike(report, files),
        one_place(report, files),
        temporary(report, files),
        copies(report, chains, files),
        crossed(report, files),
        unknown(report, files),
    ];
    all.into_iter().flatten().take(MOST).collect()
}

fn note(about: &'static str, text: impl Into<Sentence>, command: String) -> Option<Note> {
    Some(Note { about, text: text.into(), command })
}

/// The effect of a pause on the figures.
fn pauses(report: &Report, files: &str) -> Option<Note> {
    if report.coverage.pauses == 0 {
        return None;
    }
    let when = match &paused::words(&report.paused, report.duration_ns)[..] {
        // A ring has overwritten all markers.
        "" => paused::times(report.coverage.pauses),
        when => when.to_owned(),
    };
    let text = format!("paused {when}: what was freed then seems to live");
    note("pauses", text, format!("mallook timeline {files}"))
}

fn failures(report: &Report, files: &str) -> Option<Note> {
    let failed = report.numbers.failed;
    if failed == 0 {
        return None;
    }
    let text = format!("{} failed", counted(failed, "allocation"));
    note("failed", text, format!("mallook stats {files}"))
}

/// A few places hold most of what was never freed.
fn leak(report: &Report, files: &str) -> Option<Note> {
    let numbers = &report.numbers;
    let is_much = numbers.leaked_bytes >= numbers.peak_bytes / 100 && numbers.leaked_bytes > 4096;
    if !is_much {
        return None;
    }
    let mut most: Vec<&PlaceRow> = report.places.iter().collect();
    most.sort_by_key(|place| std::cmp::Reverse(place.leaked_bytes));
    let is_share = |place: &&&PlaceRow| place.leaked_bytes >= numbers.leaked_bytes / 10;
    let parts = most.iter().take(3).filter(is_share);
    let mut text = vec![Part::Words(format!("{} never freed", size(numbers.leaked_bytes)))];
    for (number, place) in parts.enumerate() {
        let between = if number == 0 { ": " } else { ", " };
        let of = if place.name.size.is_some() { "of " } else { "" };
        let bytes = short_size(place.leaked_bytes);
        text.push(Part::Words(format!("{between}{bytes} {of}")));
        text.push(place.name.part(place.name.brief()));
    }
    note("leaked", Sentence(text), format!("mallook leaks {files}"))
}

/// Live memory grows from quarter to quarter of the time.
fn growth(report: &Report, files: &str) -> Option<Note> {
    let least = &report.timeline.min_bytes;
    let quarter = least.len() / 4;
    if quarter < 8 {
        return None;
    }
    let lowest = |part: usize| least[part * quarter..(part + 1) * quarter].iter().min().copied();
    let parts = [lowest(1)?, lowest(2)?, lowest(3)?];
    let grows =
        parts[0].saturating_mul(5) / 4 < parts[1] && parts[1].saturating_mul(9) / 8 < parts[2];
    let is_much = parts[2] > report.numbers.peak_bytes / 3;
    if !grows || !is_much {
        return None;
    }
    let text = format!(
        "live memory grows all the time: at least {}, {} and {} in the second, third and last quarter",
        size(parts[0]),
        size(parts[1]),
        size(parts[2])
    );
    note("growth", text, format!("mallook timeline {files}"))
}

/// The peak is short.
fn spike(report: &Report, files: &str) -> Option<Note> {
    let (most, peak) = (&report.timeline.max_bytes, report.numbers.peak_bytes);
    let high = most.iter().filter(|&&most| most >= peak / 5 * 4).count();
    let mut sorted = most.clone();
    sorted.sort_unstable();
    let usual = *sorted.get(sorted.len() / 2)?;
    if high * 20 > most.len() || usual > peak / 2 {
        return None;
    }
    let text = format!(
        "the peak is a spike: within 20 % of it for {} of {}, and {} or less half of the time",
        span(high as u64 * report.timeline.interval_ns),
        span(report.duration_ns),
        size(usual)
    );
    let (from, to) =
        (report.numbers.peak_time_ns.saturating_sub(1_000_000), report.numbers.peak_time_ns);
    note("spike", text, format!("mallook dump --since {from}ns --until {to}ns {files}"))
}

/// One place makes most of the peak.
fn one_place(report: &Report, files: &str) -> Option<Note> {
    let most: &PlaceRow = report.places.first()?;
    let share = percent(most.cost.at_peak_bytes, report.numbers.peak_bytes);
    if share < 50.0 || report.places.len() < 2 {
        return None;
    }
    let text = format!(
        "{share:.0} % of the peak, {} in {}, comes from ",
        size(most.cost.at_peak_bytes),
        counted(most.cost.at_peak_blocks, "block")
    );
    let text = Sentence(vec![Part::Words(text), most.name.part(most.name.whole())]);
    note("peak", text, format!("mallook stats {files}"))
}

fn temporary(report: &Report, files: &str) -> Option<Note> {
    let numbers = &report.numbers;
    let share = percent(numbers.temporary, numbers.allocations);
    if share < 20.0 || numbers.temporary < 1000 {
        return None;
    }
    let most = report.places.iter().max_by_key(|place| place.cost.temporary)?;
    let text = format!(
        "{share:.0} % of the allocations are temporary; most, {}, are from ",
        count(most.cost.temporary)
    );
    let text = Sentence(vec![Part::Words(text), most.name.part(most.name.whole())]);
    note("temporary", text, format!("mallook stats {files}"))
}

fn copies(report: &Report, chains: Option<&Chains>, files: &str) -> Option<Note> {
    let chains = chains?;
    if percent(chains.copied_bytes, report.numbers.allocated_bytes) < 20.0 || chains.moved < 100 {
        return None;
    }
    let text = format!(
        "{} moved their block and copied {}; the longest chain grew from {} to {} in {}",
        counted(chains.moved, "reallocation"),
        size(chains.copied_bytes),
        size(chains.longest_sizes.0),
        size(chains.longest_sizes.1),
        counted(chains.longest, "step")
    );
    note("chain", text, format!("mallook stats {files}"))
}

fn crossed(report: &Report, files: &str) -> Option<Note> {
    let numbers = &report.numbers;
    let share = percent(numbers.crossed, numbers.allocations);
    if share < 5.0 || numbers.crossed < 100 {
        return None;
    }
    let text = format!(
        "{} blocks, {share:.0} %, were released by another thread than the one that made them",
        count(numbers.crossed)
    );
    note("crossed", text, format!("mallook stats {files}"))
}

fn unknown(report: &Report, files: &str) -> Option<Note> {
    let numbers = &report.numbers;
    if !report.coverage.complete
        || percent(numbers.unknown_frees, numbers.frees) < 5.0
        || numbers.unknown_frees < 100
    {
        return None;
    }
    let text = format!(
        "{} releases are of memory that was born before the trace began, as in the parent of a fork",
        count(numbers.unknown_frees)
    );
    note("unknown frees", text, format!("mallook info {files}"))
}
