//! The functions of a call stack, as people read them.

use mallook_reader::{Frame, FrameName, StackId, Stacks};

/// A function of a call stack.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Function {
    /// Its name, or module and offset. Text of others: it may hold control characters.
    pub name: String,
    /// File and line of the source.
    pub source: Option<String>,
    /// It belongs to an allocator, to the standard library of C, C++ or Rust, or to the loader, or wraps
    /// `malloc`: who asks for memory is the function that has called it.
    pub is_folded: bool,
}

/// Functions that wrap the allocator in programs that many people use.
const WRAPPERS: [&str; 28] = [
    "malloc",
    "calloc",
    "realloc",
    "free",
    "reallocarray",
    "posix_memalign",
    "aligned_alloc",
    "memalign",
    "strdup",
    "strndup",
    "xmalloc",
    "xcalloc",
    "xrealloc",
    "xstrdup",
    "xnmalloc",
    "g_malloc",
    "g_malloc0",
    "g_realloc",
    "zmalloc",
    "zcalloc",
    "zrealloc",
    "ztrymalloc_usable",
    "ztrymalloc_usable_internal",
    "zmalloc_usable",
    "ztryrealloc_usable",
    "PyMem_RawMalloc",
    "_PyMem_RawMalloc",
    "_PyObject_Malloc",
];

/// How the names of functions of standard libraries start.
const LIBRARIES: [&str; 14] = [
    "std::",
    "__gnu_cxx::",
    "operator new",
    "operator delete",
    "alloc::",
    "core::",
    "<alloc::",
    "<core::",
    "<std::",
    "__rust_",
    "__rdl_",
    "__rustc",
    "hashbrown::",
    "PyObject_Malloc",
];

/// How the names of files of standard libraries start.
const FILES: [&str; 5] = ["libc.so", "libstdc++.so", "ld-linux", "libc++", "libmallook"];

impl Function {
    /// The functions of a stack, the innermost first; those that the compiler has put into others are
    /// functions, too.
    pub fn of_stack(stacks: &Stacks, stack: StackId) -> Vec<Function> {
        stacks.frames(stack).flat_map(|frame| Function::of_frame(&frame)).collect()
    }

    /// The functions that a frame stands for, the innermost first.
    pub fn of_frame(frame: &Frame) -> Vec<Function> {
        let in_library = frame.module.is_some_and(|module| {
            let name = module.path.file_name().unwrap_or_default().as_encoded_bytes();
            FILES.iter().any(|file| name.starts_with(file.as_bytes()))
        });
        if frame.names.is_empty() {
            let name = frame.without_name();
            return vec![Function { name, source: None, is_folded: in_library }];
        }
        frame.names.iter().map(|name| Function::of_name(name, frame, in_library)).collect()
    }

    fn of_name(name: &FrameName, frame: &Frame, in_library: bool) -> Function {
        let source = name.file.as_ref().map(|file| match name.line {
            Some(line) => format!("{file}:{line}"),
            None => file.to_string(),
        });
        match &name.function {
            Some(function) => Function {
                // What was inlined may have no name space in its name.
                is_folded: in_library || is_library(function) || is_of_library(name),
                name: function.to_string(),
                source,
            },
            None => Function { name: frame.without_name(), source, is_folded: in_library },
        }
    }

    /// The place among the functions of a stack that has asked for the memory: the innermost one that is
    /// not folded, or the innermost one.
    pub fn blamed(functions: &[Function]) -> usize {
        Function::blamed_of(functions.iter().map(|function| function.is_folded))
    }

    /// The same, of who knows which functions are folded.
    pub fn blamed_of(are_folded: impl IntoIterator<Item = bool>) -> usize {
        are_folded.into_iter().position(|is_folded| !is_folded).unwrap_or(0)
    }
}

/// The function is one of a standard library, or a wrapper of an allocator.
fn is_library(function: &str) -> bool {
    // C++ has the return type of a template before its name.
    let before_arguments = function.split('(').next().unwrap_or(function);
    let name = match before_arguments.find([' ', '<']) {
        Some(end) if before_arguments[end..].starts_with(' ') => &before_arguments[end + 1..],
        _ => before_arguments,
    };
    WRAPPERS.contains(&function)
        || LIBRARIES.iter().any(|start| function.starts_with(start) || name.starts_with(start))
}

/// The function stands in a header of the standard library of C++, or in the sources of that of Rust, as the
/// compiler names them: with those, or without.
fn is_of_library(name: &FrameName) -> bool {
    // std's hash tables.
    let is_hashbrown = |file: &str| {
        let version = file.split("/hashbrown-").nth(1);
        version.is_some_and(|it| it.starts_with(|c: char| c.is_ascii_digit()))
    };
    let is_rust = |file: &str| {
        file.starts_with("/rustc/") && file.contains("/library/")
            || file.contains("/lib/rustlib/src/rust/library/")
            || is_hashbrown(file)
    };
    name.file.as_ref().is_some_and(|file| file.contains("/include/c++/") || is_rust(file))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn functions_of_libraries() {
        for name in [
            "malloc",
            "operator new(unsigned long)",
            "std::vector<int>::push_back(int&&)",
            "void std::vector<int>::_M_realloc_insert<int>(int*)",
            "alloc::raw_vec::finish_grow",
            "<alloc::vec::Vec<T> as core::clone::Clone>::clone",
        ] {
            assert!(is_library(name), "{name}");
        }
        for name in [
            "main",
            "stdlib_user",
            "Cache::insert(std::string)",
            "my::std::thing",
            "int f<a b>(int)",
        ] {
            assert!(!is_library(name), "{name}");
        }
    }

    #[test]
    fn sources_of_libraries() {
        let of = |file: &str| {
            is_of_library(&FrameName { file: Some(file.into()), ..FrameName::default() })
        };
        for file in [
            "/usr/include/c++/12/bits/new_allocator.h",
            "/rustc/59807616e1fa2540724bfbac14d7976d7e4a3860/library/alloc/src/alloc.rs",
            "/home/ada/.rustup/toolchains/stable/lib/rustlib/src/rust/library/core/src/fmt/mod.rs",
            "/rust/deps/hashbrown-0.16.1/src/raw.rs",
        ] {
            assert!(of(file), "{file}");
        }
        for file in
            ["/home/ada/library/src/alloc.rs", "src/rustc/library/a.rs", "/hashbrown-bench/a.rs"]
        {
            assert!(!of(file), "{file}");
        }
    }

    #[test]
    fn who_is_blamed() {
        let function =
            |name: &str, is_folded| Function { name: name.into(), source: None, is_folded };
        let (new, main) = (function("operator new", true), function("main", false));
        assert_eq!(Function::blamed(&[new.clone(), main.clone(), main]), 1);
        assert_eq!(Function::blamed(&[new.clone(), new]), 0);
        assert_eq!(Function::blamed(&[]), 0);
    }
}
