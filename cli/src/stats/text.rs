//! All figures as text.

use mallook_analysis::Tree;
use mallook_reader::escape;

use super::data::{Stats, UpTo};
use super::trees::{self, Branches, By, HEADS};
use crate::paint::Paint;
use crate::summary::{Cost, Report};
use crate::table::Table;
use crate::units::{count, others, short_size, size, span};

/// How much of it.
pub struct Shape {
    /// The cost that orders places.
    pub by: By,
    /// Rows of a table at the most.
    pub rows: usize,
    /// The width of a line, as far as numbers allow that.
    pub width: usize,
    /// Colours.
    pub paint: Paint,
}

/// The cells of a cost.
fn cells(cost: &Cost) -> [String; 5] {
    [
        short_size(cost.at_peak_bytes),
        short_size(cost.live_at_end_bytes),
        count(cost.allocations),
        short_size(cost.allocated_bytes),
        count(cost.temporary),
    ]
}

/// The cells of a cost with more columns.
fn more_cells(name: String, cost: &Cost) -> [String; 8] {
    let [at_peak, end, allocations, allocated, temporary] = cells(cost);
    let own = cost.own_maximum_bytes.map_or(String::new(), short_size);
    [
        name,
        at_peak,
        end,
        allocations,
        allocated,
        temporary,
        own,
        cost.mean_lifetime_ns.map_or(String::new(), span),
    ]
}

/// The heads of the same.
fn heads(name: &'static str) -> [&'static str; 8] {
    let [at_peak, end, allocations, allocated, temporary] = HEADS;
    [name, at_peak, end, allocations, allocated, temporary, "own maximum", "mean life"]
}

/// The name of the rows that are not in a table.
fn rest(all: u64, shape: &Shape) -> Option<String> {
    let more = all.saturating_sub(shape.rows as u64);
    (more != 0).then(|| format!("[{}, see --rows]", others(more)))
}

/// A section with a title.
fn section(title: &str, table: Table, shape: &Shape, text: &mut String) {
    if table.is_empty() {
        return;
    }
    text.push_str(&format!("\n{}\n", shape.paint.bold(title)));
    for (place, line) in table.lines(shape.width).iter().enumerate() {
        text.push_str(&if place == 0 { shape.paint.dim(line) } else { line.clone() });
        text.push('\n');
    }
}

/// Everything but the trees.
pub fn tables(stats: &Stats, shape: &Shape) -> String {
    let mut text = String::new();
    functions(stats, shape, &mut text);
    sizes(stats, shape, &mut text);
    lifetimes(stats, shape, &mut text);
    chains(stats, shape, &mut text);
    threads(stats, shape, &mut text);
    alignments(stats, shape, &mut text);
    rates(stats, shape, &mut text);
    processes(&stats.report, shape, &mut text);
    places(&stats.report, shape, &mut text);
    text
}

fn functions(stats: &Stats, shape: &Shape, text: &mut String) {
    let mut table =
        Table::new(&["function", "calls", "allocations", "allocated", "failed", "largest failed"]);
    for row in &stats.functions {
        let largest = if row.failed == 0 { String::new() } else { size(row.largest_failed_bytes) };
        table.add([
            row.function.to_owned(),
            count(row.calls),
            count(row.allocations),
            short_size(row.allocated_bytes),
            count(row.failed),
            largest,
        ]);
    }
    section("Functions", table, shape, text);
}

fn sizes(stats: &Stats, shape: &Shape, text: &mut String) {
    let mut table = Table::new(&heads("up to"));
    for row in &stats.report.sizes {
        table.add(more_cells(size(row.up_to), &row.cost));
    }
    section("Sizes, by powers of two", table, shape, text);
    let all = stats.report.numbers.allocations.max(1) as f64;
    let mut table = Table::new(&["size", "allocations", "share"]);
    let share = |part: u64| format!("{:.1} %", part as f64 * 100.0 / all);
    let mut left = stats.report.numbers.allocations;
    for row in stats.exact_sizes.iter().take(shape.rows) {
        left = left.saturating_sub(row.allocations);
        let size = format!("{} B", count(row.size));
        table.add([size, count(row.allocations), share(row.allocations)]);
    }
    let different = stats.different_sizes.unwrap_or(stats.exact_sizes.len() as u64);
    if let Some(others) = rest(different, shape) {
        table.add([others, count(left), share(left)]);
    }
    let title = match stats.different_sizes {
        Some(different) => {
            format!("Sizes allocated most often, of {} different ones", count(different))
        }
        None => "Sizes allocated most often".to_owned(),
    };
    section(&title, table, shape, text);
}

fn lifetimes(stats: &Stats, shape: &Shape, text: &mut String) {
    let deaths: u64 = stats.lifetimes_by_time.iter().map(|row| row.deaths).sum();
    let share = |part: u64| format!("{:.1} %", part as f64 * 100.0 / deaths.max(1) as f64);
    let mut table = Table::new(&["below", "blocks", "share", "so far"]);
    let mut sum = 0;
    for row in &stats.lifetimes_by_time {
        sum += row.deaths;
        table.add([span(row.below_ns), count(row.deaths), share(row.deaths), share(sum)]);
    }
    let all = &stats.report.lifetimes;
    let title = format!(
        "Lifetimes: median {}, 90 % up to {}, longest {}",
        span(all.median_ns),
        span(all.p90_ns),
        span(all.longest_ns)
    );
    section(&title, table, shape, text);
    let mut table = Table::new(&["up to", "blocks", "share", "so far"]);
    let mut sum = 0;
    for row in &stats.lifetimes_by_births {
        sum += row.count;
        table.add([count(row.up_to), count(row.count), share(row.count), share(sum)]);
    }
    section("Lifetimes, by the births of the process in between", table, shape, text);
}

fn chains(stats: &Stats, shape: &Shape, text: &mut String) {
    let chains = &stats.chains;
    if chains.moved + chains.in_place == 0 {
        return;
    }
    let mut table = Table::new(&["reallocations", "chains"]);
    for UpTo { up_to, count: number } in &chains.lengths {
        table.add([format!("up to {}", count(*up_to)), count(*number)]);
    }
    let title = format!(
        "Reallocations: {} moved, {} copied; {} in place; {} to a smaller size; longest chain {}, from {} to {}",
        count(chains.moved),
        size(chains.copied_bytes),
        count(chains.in_place),
        count(chains.shrunk),
        count(chains.longest),
        size(chains.longest_first_bytes),
        size(chains.longest_last_bytes)
    );
    section(&title, table, shape, text);
}

fn threads(stats: &Stats, shape: &Shape, text: &mut String) {
    let mut table = Table::new(&heads("thread"));
    for row in stats.threads.iter().take(shape.rows) {
        table.add(more_cells(format!("{} {}", row.tid, escape(&row.name)), &row.cost));
    }
    if let Some(others) = rest(stats.threads.len() as u64, shape) {
        let left = stats.threads.iter().skip(shape.rows).map(|row| row.cost);
        table.add(more_cells(others, &left.collect()));
    }
    let title = format!("Threads that allocate: {}", count(stats.threads.len() as u64));
    section(&title, table, shape, text);
    let mut table = Table::new(&["allocated by → released by", "blocks", "bytes"]);
    for row in stats.crossings.iter().take(shape.rows) {
        let pair =
            format!("{} {} → {} {}", row.from_tid, escape(&row.from), row.to_tid, escape(&row.to));
        table.add([pair, count(row.blocks), short_size(row.bytes)]);
    }
    if let Some(others) = rest(stats.crossings.len() as u64, shape) {
        let left = stats.crossings.iter().skip(shape.rows);
        let (blocks, bytes) = left.fold((0u64, 0u64), |(blocks, bytes), row| {
            (blocks.saturating_add(row.blocks), bytes.saturating_add(row.bytes))
        });
        table.add([others, count(blocks), short_size(bytes)]);
    }
    section("Blocks that another thread has released", table, shape, text);
}

fn alignments(stats: &Stats, shape: &Shape, text: &mut String) {
    let mut table = Table::new(&["alignment", "allocations", "allocated"]);
    for row in &stats.alignments {
        table.add([size(row.alignment), count(row.allocations), short_size(row.allocated_bytes)]);
    }
    if stats.odd_alignments != 0 {
        table.add(["no power of two".to_owned(), count(stats.odd_alignments), String::new()]);
    }
    section("Alignments that were asked for", table, shape, text);
}

fn rates(stats: &Stats, shape: &Shape, text: &mut String) {
    let rates = &stats.rates;
    let mut table = Table::new(&["", "allocations a second", "bytes a second"]);
    let mean = ["mean".to_owned(), count(rates.mean as u64), short_size(rates.mean_bytes as u64)];
    table.add(mean);
    let name = format!("busiest {}, after {}", span(rates.interval_ns), span(rates.busiest_ns));
    table.add([name, count(rates.busiest as u64), String::new()]);
    section("Rates", table, shape, text);
}

fn processes(report: &Report, shape: &Shape, text: &mut String) {
    if report.processes.len() < 2 {
        return;
    }
    let mut table = Table::of_names(&[
        "process",
        "pid",
        "peak",
        "never freed",
        "allocations",
        "allocated",
        "temporary",
    ]);
    for row in &report.processes {
        let numbers = &row.numbers;
        table.add([
            escape(&row.program).into_owned(),
            row.pid.to_string(),
            short_size(numbers.peak_bytes),
            short_size(numbers.live_at_end_bytes),
            count(numbers.allocations),
            short_size(numbers.allocated_bytes),
            count(numbers.temporary),
        ]);
    }
    let title = format!("Processes: {}", count(report.processes.len() as u64));
    section(&title, table, shape, text);
}

fn places(report: &Report, shape: &Shape, text: &mut String) {
    let name = if report.has_stacks { "who allocates" } else { "size and thread" };
    // A size is no name.
    let heads = heads(name);
    let mut table = if report.has_stacks { Table::of_names(&heads) } else { Table::new(&heads) };
    for row in report.places.iter().take(shape.rows) {
        table.add(more_cells(row.name.whole(), &row.cost));
    }
    if let Some(others) = rest(report.places.len() as u64 + report.more_places, shape) {
        let left = report.places.iter().skip(shape.rows).map(|row| row.cost);
        table.add(more_cells(others, &left.chain([report.more_cost]).collect()));
    }
    section(&format!("Places, by {}", HEADS[shape.by.place()]), table, shape, text);
}

/// A tree with its title.
pub fn tree(title: &str, tree: &Tree, branches: &Branches, shape: &Shape) -> String {
    let title = format!("{title}, by {}", HEADS[branches.by.place()]);
    let mut text = format!("\n{}\n", shape.paint.bold(&title));
    for (place, line) in trees::lines(tree, branches).iter().enumerate() {
        text.push_str(&if place == 0 { shape.paint.dim(line) } else { line.clone() });
        text.push('\n');
    }
    text
}
