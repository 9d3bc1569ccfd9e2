//! The lines as a table.

use std::fmt::Write;

use super::data::Line;

/// The header, and a row an interval.
pub fn text(lines: &[Line]) -> String {
    let mut text = String::from(
        "process,trace,start_ns,end_ns,least_bytes,most_bytes,least_blocks,most_blocks,births,\
         born_bytes,deaths\n",
    );
    for line in lines {
        let process = line.trace.map_or("all".to_owned(), |_| line.pid.to_string());
        let trace = line.trace.map_or(-1, |trace| trace as i64);
        let mut start_ns = line.start_ns;
        for interval in &line.intervals {
            let end_ns = start_ns.saturating_add(line.width_ns);
            let (least, most) = (interval.least, interval.most);
            // A string takes everything.
            let _ = writeln!(
                text,
                "{process},{trace},{start_ns},{end_ns},{},{},{},{},{},{},{}",
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
