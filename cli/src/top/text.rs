//! The state of now as text, for `--once`.

use super::data::Now;
use super::screen::{behind, completeness, figures, heads, line, newest_mark, title};
use super::view::{Tab, View};
use crate::fit::wrapped;
use crate::paint::Paint;

/// The screen, with this number of rows a table.
pub fn text(now: &Now, rows: usize, width: usize, paint: Paint) -> String {
    let mut lines = vec![paint.bold(&title(now, width))];
    let said = completeness(now);
    lines.push(if now.complete { paint.good(&said) } else { paint.bad(&said) });
    lines.extend(behind(now));
    lines.push(String::new());
    for (name, text) in figures(now) {
        let parts: Vec<_> = format!("{name:<8}{text}").split(", ").map(str::to_owned).collect();
        lines.extend(wrapped(&parts, ", ", 8, width));
    }
    lines.extend(newest_mark(now).map(|mark| format!("{:<8}{mark}", "mark")));
    for tab in Tab::ALL {
        if tab == Tab::Processes && now.processes.len() < 2 {
            continue;
        }
        let view = View { tab, ..View::default() };
        let all = view.rows(now);
        if all.is_empty() {
            continue;
        }
        lines.push(String::new());
        lines.push(paint.dim(heads(tab, width, None).trim_end()));
        lines.extend(all.iter().take(rows).map(|row| line(row, width)));
        let more = all.len().saturating_sub(rows) as u64;
        let more = more + if tab == Tab::Places { now.more_places } else { 0 };
        if more != 0 {
            lines.push(paint.dim(&format!("[{} more]", crate::units::count(more))));
        }
    }
    lines.join("\n") + "\n"
}
