//! The lines as a picture.

use std::fmt::Write;

use mallook_reader::escape;

use super::data::{Line, Said};
use crate::mark::Mark;
use crate::paused;
use crate::units::{count, counted, size, span};

/// The size of the picture, and its margins.
const WIDTH: f64 = 1000.0;
const LEFT: f64 = 90.0;
const RIGHT: f64 = 20.0;
/// Panels: the top of each, and its height.
const LIVE: (f64, f64) = (40.0, 240.0);
const BLOCKS: (f64, f64) = (310.0, 90.0);
const RATES: (f64, f64) = (430.0, 90.0);
const HEIGHT: f64 = 560.0;
/// Points of a rate.
const RATE_COLUMNS: usize = 300;
/// Processes that have a line of their own.
const PROCESSES: usize = 6;
const COLOURS: [&str; PROCESSES] =
    ["#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#8c564b"];

const STYLE: &str = "\
<style>
svg { background: #ffffff; color: #1f2328; font: 12px system-ui, sans-serif; }
.band { fill: #0072b2; fill-opacity: .35; stroke: #0072b2; stroke-width: 1; }
.births { fill: none; stroke: #0072b2; }
.deaths { fill: none; stroke: #d55e00; stroke-dasharray: 3 2; }
.axis { stroke: currentColor; stroke-opacity: .25; }
text { fill: currentColor; }
.peak { fill: #d55e00; }
.paused { fill: currentColor; fill-opacity: .12; }
.mark { stroke: currentColor; stroke-dasharray: 2 3; }
@media (prefers-color-scheme: dark) { svg { background: #16181d; color: #e6e8eb; } }
</style>
";

/// The picture.
pub fn text(lines: &[Line], said: &Said) -> String {
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" \
         width=\"{WIDTH}\" height=\"{HEIGHT}\" role=\"img\">\n{STYLE}"
    );
    if let Some(all) = lines.first() {
        panels(&mut svg, all, &lines[1..]);
        pauses(&mut svg, all, said);
        named(&mut svg, all, &said.marks);
    }
    svg.push_str("</svg>\n");
    svg
}

/// Where a part of the time, and a part of the height of a panel, is.
fn x(part: f64) -> f64 {
    LEFT + part * (WIDTH - LEFT - RIGHT)
}

fn y((top, height): (f64, f64), part: f64) -> f64 {
    top + height * (1.0 - part)
}

/// Strings take everything.
macro_rules! put {
    ($svg:expr, $($text:tt)*) => {
        let _ = writeln!($svg, $($text)*);
    };
}

fn panels(svg: &mut String, all: &Line, each: &[Line]) {
    let title = match each.len() {
        0 => all.program.clone(),
        processes => format!("{} processes", count(processes as u64)),
    };
    let since = |ns: u64| ns.saturating_sub(all.start_ns);
    let peak = &all.peak;
    put!(
        svg,
        "<text x=\"{LEFT}\" y=\"20\" font-size=\"15\">{}: peak {} in {} after {}</text>",
        xml(&title),
        size(peak.most.bytes),
        counted(peak.most.blocks, "block"),
        span(since(peak.time_ns))
    );
    let most = peak.most.bytes.max(1) as f64;
    grid(svg, LIVE, "live bytes", &size(peak.most.bytes));
    let bytes = all.intervals.iter().map(|it| (it.least.bytes as f64, it.most.bytes as f64));
    band(svg, LIVE, bytes.map(|(least, top)| (least / most, top / most)));
    let mut by_peak: Vec<_> = each.iter().collect();
    by_peak.sort_by_key(|line| std::cmp::Reverse(line.peak.most.bytes));
    for (number, (line, colour)) in by_peak.iter().zip(COLOURS).enumerate() {
        let points = line.intervals.iter().zip(0u64..).map(|(interval, place)| {
            let ns = since(line.start_ns) as f64 + (place as f64 + 0.5) * line.width_ns as f64;
            (ns / all.span_ns().max(1) as f64, interval.most.bytes as f64 / most)
        });
        polyline(svg, LIVE, points, &format!("fill=\"none\" stroke=\"{colour}\""));
        put!(
            svg,
            "<text x=\"{}\" y=\"{}\" style=\"fill:{colour}\" text-anchor=\"end\">{} {}: {}</text>",
            WIDTH - RIGHT,
            LIVE.0 + 14.0 * (number as f64 + 1.0),
            xml(&line.program),
            line.pid,
            size(line.peak.most.bytes)
        );
    }
    let at = since(peak.time_ns) as f64 / all.span_ns().max(1) as f64;
    put!(
        svg,
        "<circle class=\"peak\" cx=\"{:.1}\" cy=\"{:.1}\" r=\"4\"><title>peak</title></circle>",
        x(at.min(1.0)),
        y(LIVE, 1.0)
    );
    let blocks = all.intervals.iter().map(|it| it.most.blocks).max().unwrap_or(0);
    grid(svg, BLOCKS, "live blocks", &count(blocks));
    let scale = |value: u64| value as f64 / blocks.max(1) as f64;
    band(
        svg,
        BLOCKS,
        all.intervals.iter().map(|it| (scale(it.least.blocks), scale(it.most.blocks))),
    );
    rates(svg, all);
    for part in [0.0, 0.25, 0.5, 0.75, 1.0] {
        let label = span((all.span_ns() as f64 * part) as u64);
        let y = RATES.0 + RATES.1 + 18.0;
        put!(svg, "<text x=\"{:.1}\" y=\"{y}\" text-anchor=\"middle\">{label}</text>", x(part));
    }
}

/// A shade over all panels while recording paused.
fn pauses(svg: &mut String, all: &Line, said: &Said) {
    let x = |time_ns: u64| x((time_ns as f64 / all.span_ns().max(1) as f64).min(1.0));
    let (top, height) = (LIVE.0, RATES.0 + RATES.1 - LIVE.0);
    for (from, to) in paused::ranges(&said.paused) {
        let (left, width) = (x(from), (x(to) - x(from)).max(1.0));
        put!(
            svg,
            "<rect class=\"paused\" x=\"{left:.1}\" y=\"{top}\" width=\"{width:.1}\" \
             height=\"{height}\"><title>recording paused</title></rect>"
        );
    }
}

/// A line through all panels at each moment that has a name.
fn named(svg: &mut String, all: &Line, marks: &[Mark]) {
    for mark in marks {
        let x = x((mark.time_ns as f64 / all.span_ns().max(1) as f64).min(1.0));
        let (top, bottom) = (LIVE.0, RATES.0 + RATES.1);
        let text = xml(&escape(&mark.text));
        put!(
            svg,
            "<line class=\"mark\" x1=\"{x:.1}\" x2=\"{x:.1}\" y1=\"{top}\" y2=\"{bottom}\"><title>{text}</title></line>"
        );
        put!(svg, "<text x=\"{:.1}\" y=\"{}\">{text}</text>", x + 3.0, bottom - 4.0);
    }
}

fn rates(svg: &mut String, all: &Line) {
    let (births, deaths) =
        (all.rates(RATE_COLUMNS, |it| it.births), all.rates(RATE_COLUMNS, |it| it.deaths));
    let most = births.iter().chain(&deaths).map(|range| range.1).max().unwrap_or(0);
    grid(svg, RATES, "births (line) and deaths (dashed) a second", &count(most));
    for (rates, class) in [(births, "births"), (deaths, "deaths")] {
        let wide = rates.len().max(1) as f64;
        let points = rates.iter().enumerate().map(|(place, range)| {
            ((place as f64 + 0.5) / wide, range.1 as f64 / most.max(1) as f64)
        });
        polyline(svg, RATES, points, &format!("class=\"{class}\""));
    }
}

/// The frame of a panel, with its title and its highest value.
fn grid(svg: &mut String, panel: (f64, f64), title: &str, most: &str) {
    for part in [0.0, 0.5, 1.0] {
        let y = y(panel, part);
        put!(
            svg,
            "<line class=\"axis\" x1=\"{LEFT}\" x2=\"{}\" y1=\"{y:.1}\" y2=\"{y:.1}\"/>",
            WIDTH - RIGHT
        );
    }
    let label = |svg: &mut String, y: f64, text: &str| {
        put!(
            svg,
            "<text x=\"{}\" y=\"{:.1}\" text-anchor=\"end\">{text}</text>",
            LEFT - 8.0,
            y + 4.0
        );
    };
    label(svg, y(panel, 1.0), most);
    label(svg, y(panel, 0.0), "0");
    put!(svg, "<text x=\"{}\" y=\"{:.1}\">{title}</text>", LEFT + 4.0, panel.0 - 6.0);
}

/// A band from the least to the most of each interval.
fn band(svg: &mut String, panel: (f64, f64), parts: impl ExactSizeIterator<Item = (f64, f64)>) {
    let wide = parts.len().max(1) as f64;
    let (mut above, mut below) = (String::new(), Vec::new());
    for (place, (least, most)) in parts.enumerate() {
        for edge in [place as f64, place as f64 + 1.0] {
            let x = x(edge / wide);
            let _ = write!(above, "{x:.1},{:.1} ", y(panel, most));
            below.push(format!("{x:.1},{:.1}", y(panel, least)));
        }
    }
    below.reverse();
    put!(svg, "<polygon class=\"band\" points=\"{above}{}\"/>", below.join(" "));
}

fn polyline(
    svg: &mut String,
    panel: (f64, f64),
    points: impl Iterator<Item = (f64, f64)>,
    attributes: &str,
) {
    let points: Vec<_> =
        points.map(|(at, part)| format!("{:.1},{:.1}", x(at.min(1.0)), y(panel, part))).collect();
    put!(svg, "<polyline {attributes} points=\"{}\"/>", points.join(" "));
}

/// Text as XML takes it; control characters are escaped already.
fn xml(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
