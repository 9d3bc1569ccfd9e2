//! A table of traces: a row a process, the one with the most events first, and a total.

use std::cmp::Reverse;

use comfy_table::{Cell, CellAlignment, presets};
use mallook_reader::{Ending, Summary};

use crate::escape::escape;
use crate::fit::shorten;
use crate::units::{count, counted, short_size, span};

/// The least width of the program's column, however narrow the terminal.
const LEAST_PROGRAM: usize = 12;
/// Blanks between columns.
const GAP: u16 = 2;

/// Rows, and what they sum up to.
pub struct Table {
    rows: Vec<Row>,
    total: Row,
}

/// A trace in the table.
struct Row {
    program: String,
    pid: String,
    events: u64,
    bytes: u64,
    file: u64,
    lost: u64,
    overwritten: u64,
    /// The first and the last event that are in the file.
    covers: Option<(u64, u64)>,
    ended: &'static str,
}

impl Row {
    fn of(summary: Summary) -> Row {
        Row {
            program: escape(&summary.executable).into_owned(),
            pid: summary.pid.to_string(),
            events: summary.present,
            bytes: summary.requested_bytes,
            file: summary.file_size,
            lost: summary.all_lost(),
            overwritten: summary.overwritten,
            covers: summary.first_event_ns.zip(summary.last_event_ns),
            ended: match summary.ending {
                Ending::Running => "running",
                Ending::Exec => "by exec",
                Ending::Unknown => "unknown",
                Ending::Abrupt => "cut off",
                ending => ending.describe(),
            },
        }
    }

    /// Takes another one into a total.
    fn add(&mut self, row: &Row) {
        self.events = self.events.saturating_add(row.events);
        self.bytes = self.bytes.saturating_add(row.bytes);
        self.file = self.file.saturating_add(row.file);
        self.lost = self.lost.saturating_add(row.lost);
        self.overwritten = self.overwritten.saturating_add(row.overwritten);
        let covers = self.covers.into_iter().chain(row.covers);
        self.covers = covers.reduce(|one, other| (one.0.min(other.0), one.1.max(other.1)));
    }

    /// The cells behind the program's.
    fn cells(&self, with_overwritten: bool) -> Vec<String> {
        let covers =
            self.covers.map_or(String::new(), |(first, last)| span(last.saturating_sub(first)));
        let mut cells = vec![
            self.pid.clone(),
            count(self.events),
            short_size(self.bytes),
            short_size(self.file),
            count(self.lost),
        ];
        cells.extend(with_overwritten.then(|| count(self.overwritten)));
        cells.extend([covers, self.ended.to_owned()]);
        cells
    }
}

impl FromIterator<Summary> for Table {
    fn from_iter<I: IntoIterator<Item = Summary>>(summaries: I) -> Table {
        let mut rows: Vec<_> = summaries.into_iter().map(Row::of).collect();
        rows.sort_by_key(|row| {
            Reverse(row.events.saturating_add(row.overwritten).saturating_add(row.lost))
        });
        let mut total = Row {
            program: counted(rows.len() as u64, "trace"),
            pid: String::new(),
            events: 0,
            bytes: 0,
            file: 0,
            lost: 0,
            overwritten: 0,
            covers: None,
            ended: "",
        };
        rows.iter().for_each(|row| total.add(row));
        Table { rows, total }
    }
}

impl Table {
    /// The table in lines of at most this width, as far as its numbers allow that.
    pub fn text(&self, width: Option<usize>) -> String {
        let wide = self.layout(None);
        let widths = wide.column_max_content_widths();
        let numbers: usize = widths.iter().skip(1).map(|width| usize::from(width + GAP)).sum();
        let program = usize::from(widths.first().copied().unwrap_or_default());
        let room = width.map(|width| width.saturating_sub(numbers).max(LEAST_PROGRAM));
        let table = match room.filter(|&room| room < program) {
            Some(room) => self.layout(Some(room)),
            None => wide,
        };
        table.trim_fmt() + "\n"
    }

    fn layout(&self, program_width: Option<usize>) -> comfy_table::Table {
        let with_overwritten = self.total.overwritten != 0;
        let mut table = comfy_table::Table::new();
        table.load_preset(presets::NOTHING);
        let mut header = vec!["program", "pid", "events", "bytes", "file", "lost"];
        header.extend(with_overwritten.then_some("overwritten"));
        header.extend(["covers", "ended"]);
        let last = header.len() - 1;
        let aligned = |(position, text): (usize, String)| {
            let is_text = position == 0 || position == last;
            let alignment = if is_text { CellAlignment::Left } else { CellAlignment::Right };
            Cell::new(text).set_alignment(alignment)
        };
        table.set_header(header.into_iter().map(str::to_owned).enumerate().map(aligned));
        for row in self.rows.iter().chain([&self.total]) {
            let program = match program_width {
                Some(width) => shorten(&row.program, width),
                None => row.program.clone(),
            };
            let cells = [program].into_iter().chain(row.cells(with_overwritten));
            table.add_row(cells.enumerate().map(aligned));
        }
        table.column_iter_mut().for_each(|column| _ = column.set_padding((0, GAP)));
        table
    }
}

#[cfg(test)]
mod tests {
    use unicode_width::UnicodeWidthStr;

    use super::*;

    fn row(program: &str, events: u64, overwritten: u64) -> Row {
        Row {
            program: program.to_owned(),
            pid: "4711".to_owned(),
            events,
            bytes: 5 << 28,
            file: 1 << 20,
            lost: 3,
            overwritten,
            covers: Some((events, events + 1_000_000)),
            ended: "by exec",
        }
    }

    fn table(rows: Vec<Row>) -> Table {
        let mut table: Table = [].into_iter().collect();
        rows.iter().for_each(|row| table.total.add(row));
        table.total.program = counted(rows.len() as u64, "trace");
        Table { rows, ..table }
    }

    #[test]
    fn numbers_are_aligned_and_summed() {
        let text = table(vec![row("/bin/make", 1234, 0), row("/bin/cc", 7, 0)]).text(None);
        let expected = "\
program     pid  events  bytes   file  lost   covers  ended
/bin/make  4711   1,234  1.25G  1.00M     3  1.00 ms  by exec
/bin/cc    4711       7  1.25G  1.00M     3  1.00 ms  by exec
2 traces          1,241  2.50G  2.00M     6  1.00 ms
";
        assert_eq!(text, expected);
    }

    #[test]
    fn a_ring_says_what_it_has_overwritten() {
        let text = table(vec![row("/bin/make", 1234, 987_654), row("/bin/cc", 7, 0)]).text(None);
        let lines: Vec<_> = text.lines().collect();
        assert!(lines[0].contains("  overwritten  "), "{text}");
        assert!(lines[1].contains("  987,654  ") && lines[3].contains("  987,654  "), "{text}");
    }

    #[test]
    fn lines_fit_into_a_terminal() {
        let long = "/usr/lib/gcc/x86_64-linux-gnu/12/cc1plus";
        let other = "/Größe/日本/日本/日本/日本/日本";
        for width in [68, 70, 80, 90, 120] {
            let text = table(vec![row(long, 1_234_567, 0), row(other, 7, 0)]).text(Some(width));
            assert!(text.lines().all(|line| line.width() <= width), "{width}\n{text}");
            assert_eq!(text.contains(long), width >= 100, "{width}\n{text}");
            assert!(text.contains("cc1plus  "), "{width}\n{text}");
        }
    }
}
