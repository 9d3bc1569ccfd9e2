//! Tables of text.

use unicode_width::UnicodeWidthStr;

use crate::fit::shorten;

/// Blanks between columns.
const GAP: usize = 2;

/// A table: the first column is text, the others are numbers.
pub struct Table {
    rows: Vec<Vec<String>>,
    has_names: bool,
}

impl Table {
    /// A table with these heads of columns.
    pub fn new(heads: &[&str]) -> Table {
        Table { rows: vec![heads.iter().map(|&head| head.to_owned()).collect()], has_names: false }
    }

    /// The same with names in the first column, which may be shortened.
    pub fn of_names(heads: &[&str]) -> Table {
        Table { has_names: true, ..Table::new(heads) }
    }

    /// Adds a row.
    pub fn add<const N: usize>(&mut self, row: [String; N]) {
        self.rows.push(row.into());
    }

    /// It has no rows.
    pub fn is_empty(&self) -> bool {
        self.rows.len() == 1
    }

    /// Its lines, the heads first, indented by two blanks. Names are shortened so that they are no
    /// wider than `width`, as far as numbers allow that.
    pub fn lines(&self, width: usize) -> Vec<String> {
        let columns = self.rows.iter().map(Vec::len).max().unwrap_or(0);
        let widest = |column: usize| {
            self.rows
                .iter()
                .filter_map(|row| row.get(column))
                .map(|cell| cell.width())
                .max()
                .unwrap_or(0)
        };
        let widths: Vec<_> = (0..columns).map(widest).collect();
        let numbers: usize = widths.iter().skip(1).map(|width| width + GAP).sum();
        let room = width.saturating_sub(numbers + GAP).max(16);
        let first = widths.first().copied().unwrap_or(0);
        let first = if self.has_names { first.min(room) } else { first };
        let line = |row: &Vec<String>| {
            let mut line = " ".repeat(GAP);
            for (column, cell) in row.iter().enumerate() {
                match column {
                    0 => {
                        let cell = shorten(cell, first);
                        line.push_str(&cell);
                        line.push_str(&" ".repeat(first.saturating_sub(cell.width())));
                    }
                    _ => {
                        let blanks = GAP + widths[column].saturating_sub(cell.width());
                        line.push_str(&" ".repeat(blanks));
                        line.push_str(cell);
                    }
                }
            }
            line.trim_end().to_owned()
        };
        self.rows.iter().map(line).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_aligned_and_text_is_shortened() {
        let mut table = Table::of_names(&["place", "blocks"]);
        table.add(["日本".to_owned(), "1,000".to_owned()]);
        table.add(["a_function_with_a_long_name".to_owned(), "7".to_owned()]);
        let lines = table.lines(28);
        let short = shorten("a_function_with_a_long_name", 18);
        assert_eq!(lines[0], format!("  {:<18}  blocks", "place"));
        assert_eq!(lines[1], format!("  日本{}   1,000", " ".repeat(14)));
        assert_eq!(lines[2], format!("  {short}       7"));
        assert!(lines.iter().all(|line| line.width() == 28), "{lines:?}");
    }
}
