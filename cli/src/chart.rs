//! Charts of live memory in the cells of a terminal: the least and the most of each column.

use crate::paint::Paint;
use crate::units;

/// Eighths of a cell, from below.
const EIGHTHS: [char; 9] = [' ', '▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
/// The width of the labels on the left.
const LABEL: usize = 9;

/// Live bytes over time, as a band from the least to the most of each interval.
pub struct Chart<'a> {
    /// The least of each interval.
    pub least: &'a [u64],
    /// The most.
    pub most: &'a [u64],
    /// The end of the last event: intervals behind it have no column.
    pub span_ns: u64,
    /// The width of an interval.
    pub interval_ns: u64,
    /// When the peak was.
    pub peak_ns: u64,
    /// The peak.
    pub peak: u64,
}

impl Chart<'_> {
    /// The lines of the chart, `rows` high, with a line above it that marks the peak and an axis below.
    pub fn lines(&self, width: usize, rows: usize, paint: Paint) -> Vec<String> {
        let columns = width.saturating_sub(LABEL + 1).max(8);
        let band = self.columns(columns);
        let peak_column = self.column_of(self.peak_ns, columns);
        let mut lines = vec![self.mark(peak_column, columns, paint)];
        for row in (0..rows).rev() {
            let label = match row {
                _ if row + 1 == rows => units::size(self.peak),
                0 => "0 B".to_owned(),
                _ if rows >= 5 && row == rows / 2 => {
                    units::size((self.peak as f64 * (row as f64 + 0.5) / rows as f64) as u64)
                }
                _ => String::new(),
            };
            let mut line = format!("{} ", paint.dim(&format!("{label:>LABEL$}")));
            for (column, &(least, most)) in band.iter().enumerate() {
                let cell =
                    cell(self.eighths(least, rows), self.eighths(most, rows), row).to_string();
                line.push_str(&match column == peak_column {
                    true => paint.peak(&cell),
                    false => paint.live(&cell),
                });
            }
            lines.push(line.trim_end().to_owned());
        }
        lines.push(self.axis(columns, paint));
        lines
    }

    /// The least and the most of each column.
    fn columns(&self, columns: usize) -> Vec<(u64, u64)> {
        let used = self.used();
        let mut band = Vec::with_capacity(columns);
        for column in 0..columns {
            let first = (column * used / columns).min(used.saturating_sub(1));
            let end = ((column + 1) * used / columns).max(first + 1).min(used);
            let range = first..end;
            let least = self.least.get(range.clone()).and_then(|it| it.iter().min().copied());
            let most = self.most.get(range).and_then(|it| it.iter().max().copied());
            band.push((least.unwrap_or(0), most.unwrap_or(0)));
        }
        band
    }

    /// Intervals up to the last event.
    fn used(&self) -> usize {
        self.most.len().max(1)
    }

    /// The column of a time.
    fn column_of(&self, ns: u64, columns: usize) -> usize {
        let interval = (ns / self.interval_ns.max(1)) as usize;
        let used = self.used();
        // The first column whose intervals include this one.
        let column = |column: usize| (column + 1) * used / columns > interval.min(used - 1);
        (0..columns).find(|&it| column(it)).unwrap_or(columns - 1)
    }

    fn eighths(&self, bytes: u64, rows: usize) -> u64 {
        let all = 8 * rows as u64;
        match (bytes, self.peak) {
            (0, _) | (_, 0) => 0,
            // What is there is seen.
            (bytes, peak) => {
                let scaled = u128::from(bytes) * u128::from(all) / u128::from(peak);
                (scaled as u64).clamp(1, all)
            }
        }
    }

    fn mark(&self, column: usize, columns: usize, paint: Paint) -> String {
        let text = format!("peak {} after {}", units::size(self.peak), units::span(self.peak_ns));
        let blanks = |count: usize| " ".repeat(count);
        let width = text.chars().count();
        let marked = match column + 3 + width <= columns {
            true => format!("{}▼ {text}", blanks(column)),
            false if column > width => format!("{}{text} ▼", blanks(column - width - 1)),
            false => format!("{}▼", blanks(column)),
        };
        format!("{}{}", blanks(LABEL + 1), paint.peak(&marked))
    }

    fn axis(&self, columns: usize, paint: Paint) -> String {
        let (middle, end) = (units::span(self.span_ns / 2), units::span(self.span_ns));
        let half = columns / 2;
        let end_width = columns - half;
        let line = format!(
            "{:>LABEL$} 0{middle:>half$}{end:>end_width$}",
            "",
            half = half.saturating_sub(1)
        );
        paint.dim(line.trim_end())
    }
}

/// The character of a cell in a column that is full up to `least` and now and then up to `most`, both in
/// eighths of a cell from the bottom on.
fn cell(least: u64, most: u64, row: usize) -> char {
    let (bottom, top) = (8 * row as u64, 8 * row as u64 + 8);
    if most <= bottom {
        ' '
    } else if least >= top {
        '█'
    } else if most - least <= 4
        || most < top && least <= bottom && most - bottom < 8 && least + 4 > bottom
    {
        EIGHTHS[(most.min(top) - bottom) as usize]
    } else if most < top && least <= bottom {
        EIGHTHS[(most - bottom) as usize]
    } else {
        '▒'
    }
}
