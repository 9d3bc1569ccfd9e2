//! The view that a person has chosen: a table, its order, a search.

use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

use super::data::Now;
use super::rows::Row;

/// A table.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Tab {
    #[default]
    Places,
    Sizes,
    Threads,
    Processes,
}

impl Tab {
    pub const ALL: [Tab; 4] = [Tab::Places, Tab::Sizes, Tab::Threads, Tab::Processes];

    pub fn name(self) -> &'static str {
        match self {
            Tab::Places => "places",
            Tab::Sizes => "sizes",
            Tab::Threads => "threads",
            Tab::Processes => "processes",
        }
    }

    pub fn rows(self, now: &Now) -> &[Row] {
        match self {
            Tab::Places => &now.places,
            Tab::Sizes => &now.sizes,
            Tab::Threads => &now.threads,
            Tab::Processes => &now.processes,
        }
    }
}

/// A column of numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Column {
    #[default]
    Live,
    Blocks,
    Allocations,
    Bytes,
    Peak,
    All,
    Temporary,
}

impl Column {
    pub const ALL: [Column; 7] = [
        Column::Live,
        Column::Blocks,
        Column::Allocations,
        Column::Bytes,
        Column::Peak,
        Column::All,
        Column::Temporary,
    ];

    pub fn name(self, tab: Tab) -> &'static str {
        match self {
            Column::Live => "live",
            Column::Blocks => "blocks",
            Column::Allocations => "allocs/s",
            Column::Bytes => "bytes/s",
            Column::Peak if tab == Tab::Processes => "own peak",
            Column::Peak => "at peak",
            Column::All => "allocations",
            Column::Temporary => "temporary",
        }
    }

    /// The sort key of a row.
    fn key(self, row: &Row) -> f64 {
        match self {
            Column::Live => row.live_bytes as f64,
            Column::Blocks => row.live_blocks as f64,
            Column::Allocations => row.rates.allocations_per_s,
            Column::Bytes => row.rates.allocated_bytes_per_s,
            Column::Peak => row.peak() as f64,
            Column::All => row.allocations as f64,
            Column::Temporary => row.temporary as f64,
        }
    }
}

/// The request of a key, beyond the view.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asked {
    Nothing,
    Quit,
    /// To be stopped as by a shell.
    Suspend,
    Faster,
    Slower,
}

/// The view that a person has chosen.
#[derive(Clone, Debug, Default)]
pub struct View {
    pub tab: Tab,
    pub column: Column,
    pub ascending: bool,
    pub search: String,
    /// The search is being typed.
    pub is_typing: bool,
    pub is_paused: bool,
    pub help: bool,
    /// Rows above the first one that is shown.
    pub first: usize,
    /// Rows that the last screen had room for.
    pub page: usize,
}

impl View {
    /// The rows in their order.
    pub fn rows<'a>(&self, now: &'a Now) -> Vec<&'a Row> {
        let wanted = self.search.to_lowercase();
        let is_found = |row: &&Row| wanted.is_empty() || row.label.to_lowercase().contains(&wanted);
        let mut rows: Vec<_> = self.tab.rows(now).iter().filter(is_found).collect();
        // Rows that are equal stay in the order of the data.
        rows.sort_by(|one, other| {
            let (one, other) = (self.column.key(one), self.column.key(other));
            if self.ascending { one.total_cmp(&other) } else { other.total_cmp(&one) }
        });
        rows
    }

    pub fn key(&mut self, key: KeyEvent) -> Asked {
        let control = key.modifiers.contains(KeyModifiers::CONTROL);
        match key.code {
            KeyCode::Char('c') if control => return Asked::Quit,
            KeyCode::Char('z') if control => return Asked::Suspend,
            _ if self.is_typing => self.type_key(key.code),
            _ if self.help => self.help = false,
            KeyCode::Char('q') => return Asked::Quit,
            KeyCode::Char('+') => return Asked::Faster,
            KeyCode::Char('-') => return Asked::Slower,
            KeyCode::Char('?' | 'h') => self.help = true,
            KeyCode::Char('p' | ' ') => self.is_paused = !self.is_paused,
            KeyCode::Char('/') => (self.is_typing, self.first) = (true, 0),
            KeyCode::Esc => (self.search, self.first) = (String::new(), 0),
            KeyCode::Char('r') => self.ascending = !self.ascending,
            KeyCode::Tab => self.turn_tab(1),
            KeyCode::BackTab => self.turn_tab(Tab::ALL.len() - 1),
            KeyCode::Char(number @ '1'..='4') => {
                let place = number as usize - '1' as usize;
                (self.tab, self.first) = (Tab::ALL[place % Tab::ALL.len()], 0);
            }
            KeyCode::Char('>') | KeyCode::Right => self.turn_column(1),
            KeyCode::Char('<') | KeyCode::Left => self.turn_column(Column::ALL.len() - 1),
            KeyCode::Down | KeyCode::Char('j') => self.first += 1,
            KeyCode::Up | KeyCode::Char('k') => self.first = self.first.saturating_sub(1),
            KeyCode::PageDown => self.first += self.page.max(1),
            KeyCode::PageUp => self.first = self.first.saturating_sub(self.page.max(1)),
            KeyCode::Home | KeyCode::Char('g') => self.first = 0,
            KeyCode::End | KeyCode::Char('G') => self.first = usize::MAX / 2,
            _ => {}
        }
        Asked::Nothing
    }

    fn type_key(&mut self, key: KeyCode) {
        match key {
            KeyCode::Enter => self.is_typing = false,
            KeyCode::Esc => (self.is_typing, self.search) = (false, String::new()),
            KeyCode::Backspace => _ = self.search.pop(),
            KeyCode::Char(character) if !character.is_control() => self.search.push(character),
            _ => {}
        }
    }

    fn turn_tab(&mut self, by: usize) {
        let place = Tab::ALL.iter().position(|tab| *tab == self.tab).unwrap_or(0);
        (self.tab, self.first) = (Tab::ALL[(place + by) % Tab::ALL.len()], 0);
    }

    fn turn_column(&mut self, by: usize) {
        let place = Column::ALL.iter().position(|it| *it == self.column).unwrap_or(0);
        (self.column, self.first) = (Column::ALL[(place + by) % Column::ALL.len()], 0);
    }

    /// Keeps the last row on the screen, which has room for `room` of them.
    pub fn fit(&mut self, rows: usize, room: usize) {
        self.page = room;
        self.first = self.first.min(rows.saturating_sub(room.max(1)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(label: &str, live_bytes: u64, allocations: u64) -> Row {
        Row { label: label.to_owned(), live_bytes, allocations, ..Row::default() }
    }

    fn labels(view: &View, now: &Now) -> String {
        view.rows(now).iter().map(|row| row.label.as_str()).collect::<Vec<_>>().join(" ")
    }

    fn press(view: &mut View, keys: &str) -> Asked {
        let mut asked = Asked::Nothing;
        for key in keys.chars() {
            let code = match key {
                '\n' => KeyCode::Enter,
                '\t' => KeyCode::Tab,
                '\u{1b}' => KeyCode::Esc,
                _ => KeyCode::Char(key),
            };
            asked = view.key(KeyEvent::from(code));
        }
        asked
    }

    #[test]
    fn keys_choose_table_order_and_rows() {
        let places = vec![row("alpha", 3, 10), row("Beta", 2, 30), row("gamma", 1, 20)];
        let sizes = vec![row("up to 8 B", 1, 1)];
        let now = Now { places, sizes, ..Now::default() };
        let mut view = View::default();
        assert_eq!(labels(&view, &now), "alpha Beta gamma");
        assert_eq!(press(&mut view, "r"), Asked::Nothing);
        assert_eq!(labels(&view, &now), "gamma Beta alpha");
        press(&mut view, "r>>>>>");
        assert_eq!((view.column, labels(&view, &now).as_str()), (Column::All, "Beta gamma alpha"));
        press(&mut view, "/bQ\n");
        assert_eq!((view.search.as_str(), labels(&view, &now).as_str()), ("bQ", ""));
        press(&mut view, "\u{1b}/be\n");
        assert_eq!(labels(&view, &now), "Beta");
        press(&mut view, "\u{1b}\t");
        assert_eq!(labels(&view, &now), "up to 8 B");
        press(&mut view, "1?x p");
        assert!(view.tab == Tab::Places && !view.help && !view.is_paused);
        assert_eq!(press(&mut view, "q"), Asked::Quit);
    }

    #[test]
    fn scrolling_ends_at_the_last_page() {
        let mut view = View::default();
        view.key(KeyEvent::from(KeyCode::End));
        view.fit(30, 10);
        assert_eq!((view.first, view.page), (20, 10));
        view.key(KeyEvent::from(KeyCode::PageUp));
        view.fit(30, 10);
        assert_eq!(view.first, 10);
        view.fit(3, 10);
        assert_eq!(view.first, 0);
    }
}
