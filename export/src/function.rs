//! The functions that frames stand for, as harmless text.

use std::borrow::Cow;

use mallook_reader::{Frame, FrameName, StackId, Stacks, escape};

/// The name of calls without a call stack.
pub const NO_STACK: &str = "[no stack]";

/// A function of a frame. Its texts have no control characters and are not empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Function {
    /// The name; where none is known, the module and the offset in it.
    pub name: String,
    /// The name is that of a function.
    pub is_named: bool,
    /// The source file.
    pub file: Option<String>,
    /// The line, 0 where it is not known.
    pub line: u32,
    /// The column, 0 where it is not known.
    pub column: u32,
    /// The compiler has put it into the next function.
    pub is_inlined: bool,
}

impl Function {
    /// The place in the source.
    pub fn place(&self) -> Option<String> {
        let file = self.file.as_ref()?;
        Some(if self.line == 0 { file.clone() } else { format!("{file}:{}", self.line) })
    }
}

/// The functions that a frame stands for, from the innermost on: at least one.
pub fn functions(frame: &Frame) -> Vec<Function> {
    let unknown = FrameName::default();
    let names = if frame.names.is_empty() { std::slice::from_ref(&unknown) } else { frame.names };
    names.iter().map(|name| function(frame, name)).collect()
}

fn function(frame: &Frame, name: &FrameName) -> Function {
    let known = name.function.as_deref().filter(|known| !known.is_empty());
    let shown = known.map_or_else(|| frame.without_name().into(), Cow::Borrowed);
    Function {
        name: escape(&shown).into_owned(),
        is_named: known.is_some(),
        file: name.file.as_deref().filter(|it| !it.is_empty()).map(|it| escape(it).into_owned()),
        line: name.line.unwrap_or(0),
        column: name.column.unwrap_or(0),
        is_inlined: name.is_inlined,
    }
}

/// The path of a frame's module.
pub fn module(frame: &Frame) -> Option<String> {
    let path = frame.module?.path.to_string_lossy();
    Some(escape(&path).into_owned()).filter(|path| !path.is_empty())
}

/// The innermost frame of a stack.
pub fn innermost<'a>(stacks: Option<&'a Stacks<'a>>, stack: Option<StackId>) -> Option<Frame<'a>> {
    stacks?.frames(stack?).next()
}
