//! Names and call stacks, each once.

use std::collections::HashMap;

use mallook_analysis::Function;
use mallook_reader::{StackId, Stacks, escape};
use serde::Serialize;

/// Characters of a name at the most: names of templates have thousands.
const LONGEST: usize = 240;
/// Functions of a stack at the most.
const DEEPEST: usize = 200;

/// A function: the numbers of its name, its source and its module among all texts, and whether it is
/// folded.
pub type FunctionRow = (u32, u32, u32, u8);

/// A call stack.
#[derive(Clone, Debug, Default, Serialize)]
pub struct StackRow {
    /// The numbers of its functions, the outermost first.
    pub functions: Vec<u32>,
    /// The place among these of the one that has asked for memory.
    pub blamed: usize,
}

/// Texts, functions and stacks by number.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Texts {
    /// Texts; the first one is empty.
    pub texts: Vec<String>,
    /// Functions.
    pub functions: Vec<FunctionRow>,
    /// Call stacks.
    pub stacks: Vec<StackRow>,
    #[serde(skip)]
    numbers: HashMap<String, u32>,
    #[serde(skip)]
    known: HashMap<FunctionRow, u32>,
    #[serde(skip)]
    known_stacks: HashMap<(u32, StackId), u32>,
}

impl Texts {
    /// No texts but the empty one.
    pub fn new() -> Texts {
        let mut texts = Texts::default();
        texts.text("");
        texts
    }

    /// The number of a text, which is made harmless and short.
    pub fn text(&mut self, text: &str) -> u32 {
        let text = shown(text);
        if let Some(&number) = self.numbers.get(&text) {
            return number;
        }
        let number = self.texts.len() as u32;
        self.texts.push(text.clone());
        self.numbers.insert(text, number);
        number
    }

    /// The number of a stack of the trace at this position.
    pub fn stack(&mut self, stacks: &Stacks, trace: u32, stack: StackId) -> u32 {
        if let Some(&number) = self.known_stacks.get(&(trace, stack)) {
            return number;
        }
        let all = Function::of_stack(stacks, stack);
        let blamed = Function::blamed(&all);
        let modules = modules(stacks, stack);
        let start = blamed.saturating_sub(DEEPEST);
        let kept = &all[start.min(all.len())..all.len().min(start + DEEPEST)];
        let mut functions = Vec::with_capacity(kept.len());
        for (place, function) in kept.iter().enumerate() {
            let module = modules.get(start + place).map_or("", String::as_str);
            functions.push(self.function(function, module));
        }
        functions.reverse();
        let blamed = functions.len().saturating_sub(1 + blamed - start.min(blamed));
        let number = self.stacks.len() as u32;
        self.stacks.push(StackRow { functions, blamed });
        self.known_stacks.insert((trace, stack), number);
        number
    }

    fn function(&mut self, function: &Function, module: &str) -> u32 {
        let source = function.source.as_deref().unwrap_or_default();
        let row = (
            self.text(&function.name),
            self.text(end_of(source)),
            self.text(module),
            u8::from(function.is_folded),
        );
        let next = self.functions.len() as u32;
        let number = *self.known.entry(row).or_insert(next);
        if number == next {
            self.functions.push(row);
        }
        number
    }
}

/// The names of the files that the functions of a stack are in, as [`Function::of_stack`] has them.
fn modules(stacks: &Stacks, stack: StackId) -> Vec<String> {
    let mut all = Vec::new();
    for frame in stacks.frames(stack) {
        let path = frame.module.as_ref().map(|module| module.path.file_name().unwrap_or_default());
        let name = path.map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        all.extend(std::iter::repeat_n(name, frame.names.len().max(1)));
    }
    all
}

/// The last three parts of a path.
fn end_of(path: &str) -> &str {
    let slash = path.rmatch_indices('/').nth(2);
    slash.map_or(path, |(place, _)| &path[place + 1..])
}

/// A text as the page has it.
pub fn shown(text: &str) -> String {
    shorten(&escape(text))
}

/// The beginning and the end of a long text.
fn shorten(text: &str) -> String {
    let length = text.chars().count();
    if length <= LONGEST {
        return text.to_owned();
    }
    let half = LONGEST / 2;
    let start: String = text.chars().take(half).collect();
    let end: String = text.chars().skip(length - half + 1).collect();
    format!("{start}…{end}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_short_and_harmless() {
        let mut texts = Texts::new();
        let long = format!("{}<script>\u{1b}[31m{}", "a".repeat(1000), "b".repeat(1000));
        let number = texts.text(&long);
        assert_eq!(texts.text(&long), number);
        let text = &texts.texts[number as usize];
        assert_eq!(text.chars().count(), LONGEST);
        let number = texts.text("a\u{1b}[31m");
        assert_eq!(texts.texts[number as usize], "a\\u{1b}[31m");
    }

    #[test]
    fn ends_of_paths() {
        assert_eq!(end_of("/usr/include/c++/12/bits/new.h:1"), "12/bits/new.h:1");
        assert_eq!(end_of("a.c:7"), "a.c:7");
    }
}
