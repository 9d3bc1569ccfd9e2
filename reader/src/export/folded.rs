//! `folded`: a line a call stack, with what it has cost, for flame graphs.

use std::collections::BTreeMap;

use super::frames::names;
use crate::analysis::Costs;
use crate::escape::escape;
use crate::stack::{StackId, Stacks};

/// Costs by call stack: frames from the outermost on, joined by `;`, a blank, and the cost. In names,
/// blanks are `_` and semicolons `:`. Calls without a stack are those of a frame `[no_stack]`. If there
/// are several traces, the program is the outermost frame. `stacks` are those of each trace.
///
/// ```
/// use mallook_reader::export::folded;
/// use mallook_reader::{Cost, Costs, Events, Stacks, Trace};
///
/// # fn main() -> Result<(), mallook_reader::Error> {
/// let trace = Trace::open("../tests/golden/v1.trace".as_ref())?;
/// let stacks = [Stacks::of(&trace)];
/// let mut costs = Costs::new(Cost::Bytes);
/// Events::with_stacks(&trace, &stacks[0]).for_each(|event| costs.add(&event, true));
/// assert!(folded(&costs, &stacks).starts_with("[no_stack] "));
/// # Ok(()) }
/// ```
pub fn folded(costs: &Costs, stacks: &[Stacks]) -> String {
    let mut lines = BTreeMap::<String, u64>::new();
    for (trace, stack, cost) in costs.by_stack() {
        let Some(of) = stacks.get(trace as usize) else { continue };
        let mut line = String::new();
        if stacks.len() > 1 {
            let header = of.trace().header();
            let program = String::from_utf8_lossy(header.executable()).into_owned();
            push(&mut line, program.rsplit('/').next().unwrap_or_default());
        }
        match stack {
            Some(stack) => push_frames(&mut line, of, stack),
            None => push(&mut line, "[no stack]"),
        }
        let sum = lines.entry(line).or_default();
        *sum = sum.saturating_add(cost);
    }
    let mut text = String::new();
    for (line, cost) in lines {
        text.push_str(&line);
        text.push_str(&format!(" {cost}\n"));
    }
    text
}

fn push_frames(line: &mut String, stacks: &Stacks, stack: StackId) {
    let frames: Vec<_> = stacks.frames(stack).collect();
    for frame in frames.into_iter().rev() {
        let functions: Vec<_> = names(&frame).collect();
        for name in functions.into_iter().rev() {
            match name.and_then(|name| name.function.as_deref()) {
                Some(function) => push(line, function),
                None => push(line, &escape(&frame.without_name())),
            }
        }
    }
}

/// Appends a frame.
fn push(line: &mut String, name: &str) {
    if !line.is_empty() {
        line.push(';');
    }
    let blank = |character: char| match character {
        ';' => ':',
        other if other.is_whitespace() => '_',
        other => other,
    };
    let before = line.len();
    line.extend(escape(name).chars().map(blank));
    if line.len() == before {
        line.push('?');
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_frame_is_one_word(names in prop::collection::vec(any::<String>(), 1..5)) {
            let mut line = String::new();
            names.iter().for_each(|name| push(&mut line, name));
            prop_assert_eq!(line.split(';').count(), names.len());
            prop_assert!(line.split(';').all(|frame| !frame.is_empty()));
            prop_assert!(!line.contains(|it: char| it.is_control() || it.is_whitespace()));
        }
    }
}
