//! What the environment asks for.

use core::cell::UnsafeCell;
use core::ffi::{CStr, c_char};

use mallook_format::{BLOCK_SIZE, Clock, Mode};

use crate::{clock, report, sys};

const DEFAULT_PREFIX: &[u8] = b"mallook.out";
const DEFAULT_RING: u64 = 64 << 20;
/// A header and four blocks.
const LEAST_SIZE: u64 = 5 * BLOCK_SIZE as u64;
const MOST_SIZE: u64 = 1 << 40;

/// The settings of a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Config {
    pub mode: Mode,
    pub clock: Clock,
    /// Blocks of a ring, without the header.
    pub ring_blocks: u64,
    /// Bound on the blocks in full mode, without the header; 0 for none.
    pub max_blocks: u64,
    /// Whether the command line goes into the header.
    pub command_line: bool,
}

/// The environment of the process.
pub enum Environment {
    /// As libc has it: a list that ends with a null pointer.
    List(*const *const c_char),
    /// As the kernel gave it to the process: strings that end with zeros.
    Block(&'static [u8]),
}

/// Room for the environment as the kernel gave it.
struct Copy(UnsafeCell<[u8; 1 << 17]>);

// SAFETY: only used by `Environment::get`, before any session is open, when the process has one
// thread.
unsafe impl Sync for Copy {}

static COPY: Copy = Copy(UnsafeCell::new([0; 1 << 17]));

impl Environment {
    /// The process's environment, unless there is none yet and the kernel does not tell.
    pub fn get() -> Option<Environment> {
        unsafe extern "C" {
            static environ: *const *const c_char;
        }
        // SAFETY: a word of libc's; a host that changes its environment does so after start-up,
        // when we have read it.
        let list = unsafe { environ };
        if !list.is_null() {
            return Some(Environment::List(list));
        }
        // Too early for libc, or `clearenv` was called before the first allocation.
        let file = sys::open(c"/proc/self/environ", libc::O_RDONLY | libc::O_CLOEXEC, 0).ok()?;
        // SAFETY: see `Copy`.
        let copy = unsafe { &mut *COPY.0.get() };
        let mut length = 0;
        while let Some(rest) = copy.get_mut(length..)
            && let Ok(count @ 1..) = sys::read(file, rest)
        {
            length += count;
        }
        sys::close(file);
        copy.get(..length).map(Environment::Block)
    }

    /// The value of a variable.
    pub fn value(&self, name: &[u8]) -> Option<&'static [u8]> {
        let value = |entry: &'static [u8]| entry.strip_prefix(name)?.strip_prefix(b"=");
        match *self {
            Environment::List(list) => (0..).map_while(|i| entry(list, i)).find_map(value),
            Environment::Block(block) => block.split(|&byte| byte == 0).find_map(value),
        }
    }
}

fn entry(list: *const *const c_char, index: usize) -> Option<&'static [u8]> {
    // SAFETY: the list ends with a null pointer, and the caller stops there.
    let place = unsafe { list.add(index) };
    // SAFETY: as above.
    let entry = unsafe { *place };
    // SAFETY: entries of an environment are C strings.
    (!entry.is_null()).then(|| unsafe { CStr::from_ptr(entry) }.to_bytes())
}

/// Whether the process runs with more rights than its user: nothing is recorded there, since
/// whoever set the environment must not make it write files.
pub fn is_privileged() -> bool {
    // SAFETY: reads the auxiliary vector; AT_SECURE is always there, so errno stays.
    (unsafe { libc::getauxval(libc::AT_SECURE) }) != 0
}

/// The prefix of the trace's name.
pub fn prefix(environment: &Environment) -> &'static [u8] {
    match environment.value(b"MALLOOK_PREFIX") {
        Some(prefix) if !prefix.is_empty() => prefix,
        _ => DEFAULT_PREFIX,
    }
}

/// A variable that was not understood.
type Bad = Option<(&'static [u8], &'static [u8], &'static [u8])>;

impl Config {
    /// Reads the environment; values that make no sense are named on stderr and replaced by the
    /// default.
    pub fn read(environment: &Environment) -> Config {
        let mut bad: [Bad; 5] = [None; 5];
        let config = Config::parse(|name| environment.value(name), &mut bad);
        if bad.iter().any(Option::is_some) {
            let texts = bad.iter().flatten().flat_map(|&(name, value, expected)| {
                [b" ", name, b"=", value, b" (expected ", expected, b")"]
            });
            let start: [&[u8]; 1] = [b"not understood, so the default is used:"];
            report::BAD_ENVIRONMENT.say(start.into_iter().chain(texts));
        }
        config
    }

    fn parse(value: impl Fn(&[u8]) -> Option<&'static [u8]>, bad: &mut [Bad; 5]) -> Config {
        let [bad_mode, bad_size, bad_max, bad_clock, bad_line] = bad;
        let tsc = clock::tsc_is_invariant;
        let clock =
            choose(&value, b"MALLOOK_CLOCK", b"tsc, coarse or monotonic", bad_clock, |v| match v {
                b"tsc" if tsc() => Some(Clock::Tsc),
                b"coarse" if tsc() => Some(Clock::Coarse),
                b"monotonic" => Some(Clock::Monotonic),
                _ => None,
            });
        let size = b"a size like 64M, from 80K to 1T";
        let blocks = |bytes: u64| bytes / BLOCK_SIZE as u64 - 1;
        Config {
            mode: choose(&value, b"MALLOOK_MODE", b"full or ring", bad_mode, |v| match v {
                b"full" => Some(Mode::Full),
                b"ring" => Some(Mode::Ring),
                _ => None,
            })
            .unwrap_or(Mode::Full),
            ring_blocks: blocks(
                choose(&value, b"MALLOOK_SIZE", size, bad_size, parse_size).unwrap_or(DEFAULT_RING),
            ),
            max_blocks: choose(&value, b"MALLOOK_MAX", size, bad_max, parse_size).map_or(0, blocks),
            clock: clock.unwrap_or_else(|| if tsc() { Clock::Tsc } else { Clock::Monotonic }),
            command_line: choose(&value, b"MALLOOK_CMDLINE", b"0 or 1", bad_line, |v| match v {
                b"0" => Some(false),
                b"1" => Some(true),
                _ => None,
            })
            .unwrap_or(false),
        }
    }
}

/// The parsed value of a variable; one that does not parse is noted. An empty value counts as unset.
fn choose<T>(
    value: impl Fn(&[u8]) -> Option<&'static [u8]>,
    name: &'static [u8],
    expected: &'static [u8],
    bad: &mut Bad,
    parse: impl Fn(&[u8]) -> Option<T>,
) -> Option<T> {
    let value = value(name).filter(|value| !value.is_empty())?;
    let parsed = parse(value);
    if parsed.is_none() {
        *bad = Some((name, value, expected));
    }
    parsed
}

/// `64M` and the like: a number, then K, M, G or T (powers of 1024), then nothing, `B` or `iB`.
fn parse_size(text: &[u8]) -> Option<u64> {
    let digits = text.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let (number, unit) = text.split_at_checked(digits)?;
    let number: u64 = core::str::from_utf8(number).ok()?.parse().ok()?;
    let shift = match unit {
        b"" | b"B" => 0,
        b"K" | b"KB" | b"KiB" | b"k" => 10,
        b"M" | b"MB" | b"MiB" | b"m" => 20,
        b"G" | b"GB" | b"GiB" | b"g" => 30,
        b"T" | b"TB" | b"TiB" | b"t" => 40,
        _ => return None,
    };
    let bytes = number.checked_mul(1 << shift)?;
    (LEAST_SIZE..=MOST_SIZE).contains(&bytes).then_some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes() {
        assert_eq!(parse_size(b"64M"), Some(64 << 20));
        assert_eq!(parse_size(b"80KiB"), Some(81920));
        assert_eq!(parse_size(b"1048576"), Some(1 << 20));
        assert_eq!(parse_size(b"1T"), Some(1 << 40));
        for wrong in ["", "M", "-1", "64X", "1.5G", "64M ", "79K", "2T", "99999999999999999999"] {
            assert_eq!(parse_size(wrong.as_bytes()), None, "{wrong}");
        }
    }

    #[test]
    fn bad_values_are_noted_and_replaced() {
        let value = |name: &[u8]| -> Option<&'static [u8]> {
            match name {
                b"MALLOOK_MODE" => Some(b"rign"),
                b"MALLOOK_SIZE" => Some(b"1M"),
                b"MALLOOK_MAX" => Some(b"lots"),
                b"MALLOOK_CLOCK" => Some(b"monotonic"),
                _ => None,
            }
        };
        let mut bad = [None; 5];
        let config = Config::parse(value, &mut bad);
        assert_eq!(
            config,
            Config {
                mode: Mode::Full,
                clock: Clock::Monotonic,
                ring_blocks: 63,
                max_blocks: 0,
                command_line: false
            }
        );
        let names: Vec<_> = bad.iter().flatten().map(|&(name, ..)| name).collect();
        assert_eq!(names, [&b"MALLOOK_MODE"[..], b"MALLOOK_MAX"]);
    }
}
