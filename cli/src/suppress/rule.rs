//! Suppressions: of the user, and built-in ones for what libc and libstdc++ keep on purpose.

use std::os::unix::ffi::OsStrExt;

use mallook_format::Kind;
use mallook_reader::{Frame, StackId, Stacks};

use super::pattern::Pattern;

/// Sizes of the pool from which libstdc++ takes exceptions when there is no memory.
const POOL: [u64; 2] = [72_704, 73_728];
/// The pool is one of the first births of its process.
const EARLY: u64 = 1024;
/// Sizes of the vector of a thread's blocks of thread-local storage, 16 bytes a module.
const VECTOR: std::ops::RangeInclusive<u64> = 256..=1024;

/// Functions of libc that keep memory until the process ends, which only `__libc_freeres` releases.
const KEEPS: [&str; 8] = [
    "^_IO_file_doallocate$",
    "^setlocale$",
    "^bindtextdomain$",
    "^textdomain$",
    "^__dcigettext$",
    "^tzset$",
    "^__nss_*",
    "^__gconv*",
];

/// The test of a suppression.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Test {
    /// A pattern for function, file or module of a frame.
    Frame(Pattern),
    /// The emergency pool of libstdc++.
    Pool,
    /// The memory of the loader: thread-local storage, and what it knows of libraries.
    Loader,
}

/// A suppression, and what it has suppressed.
#[derive(Clone, Debug)]
pub struct Rule {
    /// Its test.
    pub test: Test,
    /// It is one of ours.
    pub is_built_in: bool,
    /// Blocks that it has suppressed.
    pub blocks: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Without call stacks, size and order are all that tells.
    pub is_guess: bool,
}

/// A group of blocks, as far as rules look at it.
pub struct Suspect<'a> {
    /// The call stack, and where its frames are.
    pub stack: Option<(&'a Stacks<'a>, StackId)>,
    /// The function that has made them.
    pub function: Kind,
    /// Number of blocks.
    pub blocks: u64,
    /// The size of all of them, if they have one.
    pub size: Option<u64>,
    /// Births of the process up to that of the first one.
    pub births: u64,
    /// Blocks of that function and size in the process.
    pub alike: u64,
    /// Threads of the process but the first.
    pub threads: u64,
}

impl Rule {
    /// A rule that has suppressed nothing yet.
    pub fn new(test: Test, is_built_in: bool) -> Rule {
        Rule { test, is_built_in, blocks: 0, bytes: 0, is_guess: false }
    }

    /// Those that are built in.
    pub fn built_in() -> Vec<Rule> {
        let keeps = KEEPS.map(|pattern| Test::Frame(Pattern::new(pattern)));
        let tests = [Test::Pool, Test::Loader].into_iter().chain(keeps);
        tests.map(|test| Rule::new(test, true)).collect()
    }

    /// The rule as the list of suppressions names it.
    pub fn name(&self) -> String {
        let looks = if self.is_guess { "looks like " } else { "" };
        match &self.test {
            Test::Frame(pattern) => format!("leak:{pattern}"),
            Test::Pool => format!("{looks}the emergency pool of libstdc++"),
            Test::Loader if self.is_guess => {
                "looks like thread-local storage of threads".to_owned()
            }
            Test::Loader => "the loader's own memory, thread-local storage included".to_owned(),
        }
    }

    /// It suppresses these blocks.
    pub fn matches(&self, suspect: &Suspect) -> bool {
        match (&self.test, suspect.stack) {
            (Test::Frame(pattern), Some((stacks, stack))) => {
                stacks.frames(stack).any(|frame| is_in(&frame, pattern))
            }
            (Test::Frame(_), None) => false,
            (Test::Pool, stack) => {
                suspect.function == Kind::Malloc
                    && suspect.blocks == 1
                    && suspect.births <= EARLY
                    && suspect.size.is_some_and(|size| POOL.contains(&size))
                    && stack.is_none_or(|stack| innermost_is_in(stack, "libstdc++.so"))
            }
            (Test::Loader, Some(stack)) => innermost_is_in(stack, "ld-linux"),
            (Test::Loader, None) => {
                suspect.function == Kind::Calloc
                    && suspect.alike <= suspect.threads
                    && suspect.size.is_some_and(|size| VECTOR.contains(&size) && size % 16 == 0)
            }
        }
    }

    /// Takes blocks out of the leaks.
    pub fn take(&mut self, blocks: u64, bytes: u64, has_stack: bool) {
        self.blocks += blocks;
        self.bytes = self.bytes.saturating_add(bytes);
        self.is_guess |= !has_stack && !matches!(self.test, Test::Frame(_));
    }
}

/// The pattern matches function, file or module of a frame, or of one that was inlined there.
fn is_in(frame: &Frame, pattern: &Pattern) -> bool {
    let in_names = frame.names.iter().any(|name| {
        let texts = [name.function.as_deref(), name.file.as_deref()];
        texts.into_iter().flatten().any(|text| pattern.matches(text))
    });
    in_names || frame.module.is_some_and(|module| pattern.matches(&module.path.to_string_lossy()))
}

/// The function that has called the allocator is in this library. The program itself is none: one
/// that the loader was asked to start has the loader's name in its trace.
fn innermost_is_in((stacks, stack): (&Stacks, StackId), library: &str) -> bool {
    let program = stacks.trace().header();
    let module = stacks.frames(stack).next().and_then(|frame| frame.module);
    module.is_some_and(|module| {
        let name = module.path.file_name().unwrap_or_default();
        name.to_string_lossy().starts_with(library)
            && module.path.as_os_str().as_bytes() != program.executable()
    })
}
