//! Draws the screen of a terminal.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Clear, Paragraph, Sparkline, Wrap};
use unicode_width::UnicodeWidthStr;

use super::data::Now;
use super::screen::{behind, completeness, figures, heads, line, newest_mark, title};
use super::view::{Tab, View};
use crate::fit::{fill, leading, pad};
use crate::units::{short_size, size, span};

const HELP: [(&str, &str); 12] = [
    ("Tab 1 2 3 4", "places, sizes, threads, processes"),
    ("< >", "the column that rows are ordered by; r turns the order round"),
    ("/", "rows whose name has this text; Esc shows all again"),
    ("arrows, PgUp PgDn", "scroll; g G or Home End: to the first row, to the last one"),
    ("p, Space", "the screen stands still; reading goes on"),
    ("+ -", "a shorter or longer interval of screen and rates"),
    ("q, Ctrl-C", "leave; the process goes on, and can be looked at again"),
    ("", ""),
    ("live", "bytes that were allocated and not freed so far; blocks: their number"),
    ("allocs/s, bytes/s", "over the last one or two intervals"),
    ("at peak", "the share of the largest live size, after any event so far"),
    ("temporary", "allocations that their thread freed before it made another one"),
];

/// Rows that the chart takes where there is room.
const CHART: u16 = 4;
/// Columns before the chart.
const SCALE: u16 = 9;

/// Styles, without colours where these are not wanted.
#[derive(Clone, Copy, Debug)]
pub struct Look {
    pub colours: bool,
}

impl Look {
    fn colour(self, colour: Color) -> Style {
        if self.colours { Style::new().fg(colour) } else { Style::new() }
    }

    fn bad(self) -> Style {
        self.colour(Color::Red).add_modifier(Modifier::BOLD)
    }

    fn good(self) -> Style {
        self.colour(Color::Green)
    }
}

const BOLD: Style = Style::new().add_modifier(Modifier::BOLD);
const DIM: Style = Style::new().add_modifier(Modifier::DIM);
const CHOSEN: Style = Style::new().add_modifier(Modifier::REVERSED);

/// Puts lines on a frame from the top down, as long as there is room.
struct Page<'f, 'b> {
    frame: &'f mut Frame<'b>,
    next: u16,
    end: u16,
}

impl Page<'_, '_> {
    fn width(&self) -> usize {
        self.frame.area().width.into()
    }

    fn room(&self) -> u16 {
        self.end.saturating_sub(self.next)
    }

    /// Takes the next rows, as far as there is room.
    fn take(&mut self, rows: u16) -> Rect {
        let rows = rows.min(self.room());
        let area = Rect { y: self.next, height: rows, ..self.frame.area() };
        self.next += rows;
        area
    }

    fn put(&mut self, line: Line) {
        let area = self.take(1);
        self.frame.render_widget(Paragraph::new(line), area);
    }
}

/// Draws the state of now. Text of others is harmless already.
pub fn draw(frame: &mut Frame, now: &Now, view: &mut View, look: Look) {
    let area = frame.area();
    let has_foot = area.height > 4;
    let mut page = Page { frame, next: area.y, end: area.bottom() - u16::from(has_foot) };
    head(&mut page, now, view, look);
    if area.height >= 16 {
        let [live, peak, rate, so_far] = figures(now);
        let mark = newest_mark(now).map(|mark| ("mark", mark));
        for (name, text) in [live, peak, rate, so_far].into_iter().chain(mark) {
            let name = Span::styled(format!("{name:<8}"), DIM);
            let style = if name.content.starts_with("live") { BOLD } else { Style::new() };
            let text = leading(&text, ", ", page.width().saturating_sub(8));
            page.put(Line::from(vec![name, Span::styled(text, style)]));
        }
        if area.height >= 22 {
            chart(&mut page, now, look);
        }
    } else {
        let [(_, live), ..] = figures(now);
        let text = match live.width() + 5 <= page.width() {
            true => format!("live {live}"),
            false => format!("live {}", size(now.numbers.live_bytes)),
        };
        page.put(Line::styled(text, BOLD));
    }
    if page.room() >= 4 {
        tabs(&mut page, now, view);
    }
    table(&mut page, now, view, look);
    if has_foot {
        page.end = area.bottom();
        page.next = area.bottom() - 1;
        foot(&mut page, view);
    }
    if view.help {
        help(page.frame, look);
    }
}

fn head(page: &mut Page, now: &Now, view: &View, look: Look) {
    let (state, style) = match behind(now) {
        _ if view.is_paused => ("screen paused".to_owned(), look.colour(Color::Yellow)),
        Some(behind) => (behind, look.colour(Color::Yellow)),
        None if now.complete => (completeness(now), look.good()),
        None => (completeness(now), look.bad()),
    };
    let room = page.width();
    let room = room.saturating_sub(state.width() + 1);
    let title = pad(&title(now, room), room);
    let line = vec![Span::styled(title, BOLD), Span::raw(" "), Span::styled(state, style)];
    page.put(Line::from(line));
}

fn chart(page: &mut Page, now: &Now, look: Look) {
    let area = page.take(CHART);
    let room = usize::from(area.width.saturating_sub(SCALE));
    let columns = &now.history.max_bytes;
    let columns = &columns[columns.len().saturating_sub(room)..];
    let most = columns.iter().copied().max().unwrap_or(0);
    // What is left of the start is empty.
    let bars = Rect {
        x: area.right().saturating_sub(columns.len().min(room) as u16),
        width: columns.len().min(room) as u16,
        height: area.height.saturating_sub(1),
        ..area
    };
    let bars_of = Sparkline::default().data(columns.iter().copied()).max(most.max(1));
    page.frame.render_widget(bars_of.style(look.colour(Color::Cyan)), bars);
    let scale = [short_size(most), "0".to_owned()];
    let rows = [area.y, bars.bottom().saturating_sub(1)];
    for (text, y) in scale.into_iter().zip(rows) {
        let at = Rect { x: area.x, y, width: area.width.min(SCALE - 1), height: 1 };
        let text = format!("{text:>7}");
        page.frame.render_widget(Paragraph::new(Line::styled(text, DIM)), at.intersection(area));
    }
    let past = (room as u64).saturating_mul(now.history.interval_ns);
    let left = format!("-{}", span(past));
    let blanks = usize::from(area.width).saturating_sub(usize::from(SCALE) + left.width() + 3);
    let time = format!("{}{left}{}now", " ".repeat(SCALE.into()), " ".repeat(blanks));
    let time = pointed(time, now, room);
    let at = Rect { y: bars.bottom(), height: 1, ..area };
    page.frame.render_widget(Paragraph::new(Line::styled(time, DIM)), at.intersection(area));
}

/// The line of time, with an arrow at each named moment, whose columns are the last ones of the line.
fn pointed(time: String, now: &Now, columns: usize) -> String {
    let mut time: Vec<char> = time.chars().collect();
    for mark in &now.marks {
        let ago = now.duration_ns.saturating_sub(mark.time_ns);
        let back = ago.checked_div(now.history.interval_ns).unwrap_or(u64::MAX);
        let column = usize::try_from(back).ok().filter(|&back| back < columns);
        if let Some(place) = column.and_then(|back| time.len().checked_sub(back + 1)) {
            time[place] = '▲';
        }
    }
    time.into_iter().collect()
}

fn tabs(page: &mut Page, now: &Now, view: &View) {
    let mut spans = Vec::new();
    for (number, tab) in (1..).zip(Tab::ALL) {
        let style = if tab == view.tab { CHOSEN } else { Style::new() };
        let rows =
            tab.rows(now).len() as u64 + if tab == Tab::Places { now.more_places } else { 0 };
        let text = format!(" {number} {} {} ", tab.name(), crate::units::count(rows));
        spans.extend([Span::styled(text, style), Span::raw(" ")]);
    }
    if !view.search.is_empty() || view.is_typing {
        let cursor = if view.is_typing { "▏" } else { "" };
        spans.push(Span::styled(format!(" /{}{cursor}", view.search), BOLD));
    }
    page.put(Line::from(spans));
}

fn table(page: &mut Page, now: &Now, view: &mut View, look: Look) {
    let width = page.width();
    let arrow = if view.ascending { '▲' } else { '▼' };
    let style = look.colour(Color::Cyan).add_modifier(Modifier::BOLD);
    page.put(Line::styled(heads(view.tab, width, Some((view.column, arrow))), style));
    let rows = view.rows(now);
    view.fit(rows.len(), page.room().into());
    if rows.is_empty() {
        let none = if view.search.is_empty() { "nothing yet" } else { "no such row" };
        page.put(Line::styled(none, DIM));
    }
    for row in rows.into_iter().skip(view.first).take(page.room().into()) {
        // What is gone is less important.
        let style = if row.live_bytes == 0 && row.rates.allocations_per_s == 0.0 {
            DIM
        } else {
            Style::new()
        };
        page.put(Line::styled(line(row, width), style));
    }
}

fn foot(page: &mut Page, view: &View) {
    let keys = match view.is_typing {
        true => "Enter keep   Esc show all".to_owned(),
        false => "q leave   Tab table   < > order   / search   p pause   ? help".to_owned(),
    };
    let text = fill(&keys, page.width());
    page.put(Line::styled(text, DIM));
}

fn help(frame: &mut Frame, look: Look) {
    let area = frame.area();
    frame.render_widget(Clear, area);
    let lines = HELP.map(|(keys, meaning)| {
        let keys = Span::styled(format!("{keys:<19}"), look.colour(Color::Cyan));
        Line::from(vec![keys, Span::raw(meaning)])
    });
    let head = [Line::styled("mallook top: what the memory of running processes does", BOLD)];
    let foot = [Line::raw(""), Line::styled("any key goes back", DIM)];
    let all: Vec<_> = head.into_iter().chain([Line::raw("")]).chain(lines).chain(foot).collect();
    frame.render_widget(Paragraph::new(all).wrap(Wrap { trim: false }), area);
}

#[cfg(test)]
mod tests {
    use ratatui::Terminal;
    use ratatui::backend::TestBackend;
    use ratatui::crossterm::event::{KeyCode, KeyEvent};

    use super::super::data::{History, Numbers};
    use super::super::rows::{Rates, Row};
    use super::*;
    use crate::escape::escape;

    fn now() -> Now {
        let row = |name: &str, live_bytes: u64| Row {
            label: escape(name).into_owned(),
            live_bytes,
            live_blocks: 1_234,
            allocations: 5_678,
            at_peak_bytes: Some(77),
            ..Row::default()
        };
        let places = vec![row("main heap.c:7", 3 << 20), row("\u{1b}[2J\u{9b}evil\r\n\t", 1)];
        Now {
            caught_up: true,
            complete: true,
            running: 1,
            duration_ns: 12_300_000_000,
            numbers: Numbers { live_bytes: 3 << 20, live_blocks: 9, ..Numbers::default() },
            rates: Rates { allocations_per_s: 1_000.4, ..Rates::default() },
            history: History { interval_ns: 250_000_000, max_bytes: (0..600).collect() },
            processes: vec![row("program 7", 3 << 20)],
            places,
            title: "program 7".to_owned(),
            ..Now::default()
        }
    }

    /// The lines of a screen of this size.
    fn drawn(now: &Now, view: &mut View, width: u16, height: u16) -> Vec<String> {
        let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
        terminal.draw(|frame| draw(frame, now, view, Look { colours: true })).unwrap();
        let buffer = terminal.backend().buffer().clone();
        let is_harmful = |text: &str| text.chars().any(char::is_control);
        assert!(!buffer.content().iter().any(|cell| is_harmful(cell.symbol())));
        buffer
            .content()
            .chunks(usize::from(width).max(1))
            .map(|line| {
                line.iter().map(|cell| cell.symbol()).collect::<String>().trim_end().to_owned()
            })
            .collect()
    }

    #[test]
    fn a_screen_has_figures_a_chart_and_a_table() {
        let lines = drawn(&now(), &mut View::default(), 100, 30);
        let line = |text: &str| lines.iter().position(|line| line.contains(text)).unwrap();
        assert!(lines[0].starts_with("program 7 · 12.3 s · running"), "{lines:#?}");
        assert!(lines[0].ends_with("complete"));
        assert_eq!(lines[1], "live    3.00 MiB in 9 blocks");
        assert!(lines[line("rate")].contains("1,000 allocations a second"));
        assert!(line("█") < line("1 places 2") && line("1 places 2") < line("who allocates"));
        assert!(lines[line("main heap.c:7")].contains("3.00M"));
        assert!(lines[29].starts_with("q leave"));
    }

    #[test]
    fn any_size_and_any_view_can_be_drawn() {
        let mut view = View::default();
        for (width, height) in (0..130).step_by(7).flat_map(|w| (0..40).map(move |h| (w, h))) {
            drawn(&now(), &mut view, width, height);
            drawn(&Now::default(), &mut view, width, height);
            let keys = ['2', '3', '4', '1', '?', 'x', 'G', 'p', 'p', 'r', '>'];
            let key = keys[usize::from(width + height) % keys.len()];
            view.key(KeyEvent::from(KeyCode::Char(key)));
        }
        let lines = drawn(&now(), &mut View::default(), 20, 5);
        assert!(lines[1].starts_with("live 3.00"), "{lines:#?}");
        assert!(lines[3].starts_with("mai"), "{lines:#?}");
    }

    #[test]
    fn what_is_missing_stands_at_the_top() {
        let now = Now { complete: false, overwritten_events: 7, ..now() };
        assert!(
            drawn(&now, &mut View::default(), 100, 10)[0]
                .ends_with("7 events overwritten before they were read")
        );
        let now = Now { caught_up: false, progress: (1, 2), ..now };
        let lines = drawn(&now, &mut View::default(), 100, 10);
        assert!(lines[0].ends_with("catching up, 50 % read"));
        let mut view = View { is_paused: true, ..View::default() };
        assert!(drawn(&now, &mut view, 100, 10)[0].ends_with("screen paused"));
    }
}
