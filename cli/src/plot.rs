//! Charts in the cells of a terminal: a band from the least to the most of each column.

use crate::fit;
use crate::paint::Paint;

/// Eighths of a cell, from below.
const EIGHTHS: [char; 9] = [' ', '▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
/// The width of labels on the left.
pub const LABEL: usize = 10;

/// The columns of lines: those of the terminal that the standard output is, or else 100.
pub fn width(on_terminal: bool) -> usize {
    let width = on_terminal.then(|| fit::columns(std::io::stdout())).flatten();
    width.map_or(100, |width| width.clamp(40, 200))
}

/// The least and the most of a column.
pub type Range = (u64, u64);

/// Joins ranges to `columns` columns, or spreads them.
pub fn columns(ranges: &[Range], columns: usize) -> Vec<Range> {
    let used = ranges.len().max(1);
    let column = |column: usize| {
        let first = (column * used / columns).min(used - 1);
        let end = ((column + 1) * used / columns).max(first + 1);
        let part = ranges.get(first..end.min(ranges.len())).unwrap_or(&[]);
        let join = |one: Range, other: Range| (one.0.min(other.0), one.1.max(other.1));
        part.iter().copied().reduce(join).unwrap_or((0, 0))
    };
    (0..columns).map(column).collect()
}

/// The lines of a chart, this high, with the most on the first line's label. What is between the
/// least and the most of a column is lighter.
pub fn lines(
    band: &[Range],
    rows: usize,
    label: impl Fn(u64) -> String,
    paint: Paint,
) -> Vec<String> {
    let top = band.iter().map(|range| range.1).max().unwrap_or(0);
    let eighths = |value: u64| match value {
        0 => 0,
        // What is there is seen.
        _ => (u128::from(value) * 8 * rows as u128 / u128::from(top.max(1))).max(1) as usize,
    };
    let line = |row: usize| {
        let text = match row {
            _ if row + 1 == rows => label(top),
            0 => label(0),
            _ => String::new(),
        };
        let cells: String = band
            .iter()
            .map(|&(least, most)| {
                let within = |value: usize| value.saturating_sub(8 * row).min(8);
                let (least, most) = (within(eighths(least)), within(eighths(most)));
                match (least, most) {
                    (8, _) => '█',
                    (least, most) if most - least <= 1 => EIGHTHS[most],
                    (0, most) if most < 4 => '·',
                    (0, _) => '░',
                    _ => '▒',
                }
            })
            .collect();
        let cells = cells.trim_end().to_owned();
        format!("{} {}", paint.dim(&format!("{text:>LABEL$}")), paint.live(&cells))
    };
    (0..rows).rev().map(line).collect()
}

/// The axis below: the start, the middle and the end.
pub fn axis(columns: usize, label: impl Fn(f64) -> String, paint: Paint) -> String {
    let (middle, end) = (label(0.5), label(1.0));
    let half = columns / 2;
    let rest = columns - half;
    paint.dim(&format!(
        "{:LABEL$} {:<half$}{middle}{end:>width$}",
        "",
        "0",
        width = rest.saturating_sub(middle.chars().count())
    ))
}

/// One line: the most of each column.
pub fn spark(band: &[Range], top: u64) -> String {
    let cell = |&(_, most): &Range| match most {
        0 => ' ',
        _ => EIGHTHS[(u128::from(most) * 8 / u128::from(top.max(1))).clamp(1, 8) as usize],
    };
    band.iter().map(cell).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peak_of_one_interval_is_seen() {
        let mut ranges = vec![(10, 10); 1999];
        ranges[777] = (10, 100);
        let band = columns(&ranges, 80);
        assert_eq!(band.iter().filter(|range| range.1 == 100).count(), 1);
        let lines = lines(&band, 4, |value| value.to_string(), Paint::OFF);
        assert!(lines[0].contains(['░', '▒']), "{lines:?}");
        assert!(lines[0].trim_start().starts_with("100"));
    }

    #[test]
    fn few_ranges_are_spread() {
        assert_eq!(columns(&[(0, 1), (2, 3)], 4), [(0, 1), (0, 1), (2, 3), (2, 3)]);
        assert_eq!(columns(&[], 2), [(0, 0), (0, 0)]);
        assert_eq!(spark(&[(0, 0), (0, 1), (0, 8)], 8), " ▁█");
    }
}
