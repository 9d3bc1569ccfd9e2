//! Places that memory comes from, on a line each.

use mallook_analysis::{Function, Place, PlaceId, Replay};
use mallook_reader::{Stacks, escape};
use unicode_width::UnicodeWidthStr;

use crate::fit::shorten;
use crate::units::count;

/// Callers that are named behind the function that has asked for memory.
const CALLERS: usize = 1;

/// A place on a line: who has asked for memory, and who called that; or size and thread.
pub fn line(stacks: &[Stacks], replay: &Replay, place: PlaceId) -> String {
    match replay.places().get(place) {
        Place::Stack(trace, stack) => match stacks.get(trace as usize) {
            Some(stacks) => of_functions(&Function::of_stack(stacks, stack)),
            None => "[unknown]".to_owned(),
        },
        Place::Size(thread, size) => {
            format!("{} B by thread {}", count(size), replay.threads().get(thread).tid)
        }
        Place::Sizes(thread, most) => {
            let tid = replay.threads().get(thread).tid;
            format!("up to {} B, of many sizes, by thread {tid}", count(most))
        }
        Place::Others => "[further places]".to_owned(),
    }
}

/// The line of a place in so many columns: callers are left out first.
pub fn fitted(line: &str, width: usize) -> String {
    let mut line = line;
    while line.width() > width
        && let Some((start, _)) = line.rsplit_once(" < ")
    {
        line = start;
    }
    shorten(line, width)
}

/// The function that has asked for memory, and its callers.
fn of_functions(functions: &[Function]) -> String {
    let blamed = Function::blamed(functions);
    let shown = functions.iter().skip(blamed).filter(|function| !function.is_folded);
    let mut names: Vec<_> =
        shown.take(1 + CALLERS).map(|function| escape(&function.name).into_owned()).collect();
    if names.is_empty() {
        names.extend(functions.first().map(|function| escape(&function.name).into_owned()));
    }
    names.join(" < ")
}
