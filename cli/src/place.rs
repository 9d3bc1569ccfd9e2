//! Places that memory comes from, on a line each.

use mallook_analysis::{Function, Place, PlaceId, Replay};
use mallook_reader::{StackId, Stacks, escape};

use crate::fit::{leading, shorten};
use crate::units::count;

/// Callers that are named behind the function that has asked for memory.
const CALLERS: usize = 1;
/// The least width of a place in a table: sizes and threads fit into it.
const LEAST: usize = 36;

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
            format!("up to {} B by thread {tid}", count(most))
        }
        Place::Others => "[further places]".to_owned(),
    }
}

/// The function that asks for the memory of a call stack, and its file and line.
pub fn asking(stacks: &Stacks, stack: StackId) -> (String, Option<String>) {
    let mut all = Function::of_stack(stacks, stack);
    let blamed = Function::blamed(&all);
    match blamed < all.len() {
        true => {
            let Function { name, source, .. } = all.swap_remove(blamed);
            (name, source)
        }
        false => ("?".to_owned(), None),
    }
}

/// The line of a place in `width` columns: callers are left out first.
pub fn fitted(line: &str, width: usize) -> String {
    let width = width.max(LEAST);
    shorten(leading(line, " < ", width), width)
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
