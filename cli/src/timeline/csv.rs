//! The lines as a table.

use std::fmt::Write;

use mallook_reader::escape_csv;

use super::data::Line;
use crate::mark::Mark;

/// The header, and a row an interval. The marks, whose times count from the start of the first line, are
/// in rows of all processes.
pub fn text(lines: &[Line], marks: &[Mark]) -> String {
    let mut text = String::from(
        "process,trace,start_ns,end_ns,least_bytes,most_bytes,least_blocks,most_blocks,births,\
         born_bytes,deaths,marks\n",
    );
    for line in lines {
        let process = line.trace.map_or("all".to_owned(), |_| line.pid.to_string());
        let trace = line.trace.map_or(-1, |trace| trace as i64);
        let mut start_ns = line.start_ns;
        let mut coming = if line.trace.is_none() { marks } else { &[] };
        let mut rows = line.intervals.len();
        for interval in &line.intervals {
            let end_ns = start_ns.saturating_add(line.width_ns);
            let (least, most) = (interval.least, interval.most);
            rows -= 1;
            let is_here = |mark: &&Mark| rows == 0 || mark.time_ns < end_ns - line.start_ns;
            let (here, later) = coming.split_at(coming.iter().take_while(is_here).count());
            coming = later;
            let here: Vec<_> = here.iter().map(|mark| mark.text.as_str()).collect();
            let here = if here.is_empty() { String::new() } else { escape_csv(&here.join("; ")) };
            // A string takes everything.
            let _ = writeln!(
                text,
                "{process},{trace},{start_ns},{end_ns},{},{},{},{},{},{},{},{here}",
                least.bytes,
                most.bytes,
                least.blocks,
                most.blocks,
                interval.births,
                interval.born_bytes,
                interval.deaths
            );
            start_ns = end_ns;
        }
    }
    text
}
