//! The settings, as the environment asks for them.

use mallook_format::{BLOCK_SIZE, Clock, Mode, SLOTS, Site, Stacks, TRACE_SIZES, parse_size};

use crate::file::blocks::Shape;
use crate::host::{clock, stderr};

use super::environment::Environment;

const DEFAULT_PREFIX: &[u8] = b"mallook.out";
const DEFAULT_RING: u64 = 64 << 20;
/// Blocks for call sites behind a ring: room for all that a trace can have, and for modules.
const SITE_BLOCKS: u64 = Site::COUNT as u64 / SLOTS as u64 + 64;

/// The settings of a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Config {
    pub mode: Mode,
    pub clock: Clock,
    /// Number of blocks of a ring, without the header.
    pub ring_blocks: u64,
    /// Largest number of blocks in full mode, without the header; 0 for no bound.
    pub max_blocks: u64,
    /// Whether the command line goes into the header.
    pub command_line: bool,
    /// The call stacks of allocations.
    pub stacks: Stacks,
    /// Whether releases have call stacks as well.
    pub stacks_of_frees: bool,
    /// Whether the process starts paused.
    pub paused: bool,
}

/// The prefix of the trace's name.
pub fn prefix(environment: &Environment) -> &'static [u8] {
    match environment.value(b"MALLOOK_PREFIX") {
        Some(prefix) if !prefix.is_empty() => prefix,
        _ => DEFAULT_PREFIX,
    }
}

/// A variable that was not understood: its name, its value, and the values that it may have.
type Bad = Option<(&'static [u8], &'static [u8], &'static [u8])>;
/// Variables that may not be understood.
const SETTINGS: usize = 8;

impl Config {
    /// The size of the file in this mode.
    pub fn shape(&self) -> Shape {
        let of = |mode, blocks| if self.mode == mode { blocks } else { 0 };
        Shape {
            mode: self.mode,
            ring_blocks: of(Mode::Ring, self.ring_blocks),
            max_blocks: of(Mode::Full, self.max_blocks),
            site_blocks: if self.stacks == Stacks::Off { 0 } else { of(Mode::Ring, SITE_BLOCKS) },
        }
    }

    /// Reads the environment. Values that are not understood are named on stderr and replaced by
    /// the default.
    pub fn read(environment: &Environment) -> Config {
        let mut bad: [Bad; SETTINGS] = [None; SETTINGS];
        let config = Config::parse(|name| environment.value(name), &mut bad);
        if bad.iter().any(Option::is_some) {
            let texts = bad.iter().flatten().flat_map(|&(name, value, expected)| {
                [b" ", name, b"=", value, b" (expected ", expected, b")"]
            });
            let start: [&[u8]; 1] = [b"not understood, so the default is used:"];
            stderr::BAD_ENVIRONMENT.say(start.into_iter().chain(texts));
        }
        config
    }

    fn parse(value: impl Fn(&[u8]) -> Option<&'static [u8]>, bad: &mut [Bad; SETTINGS]) -> Config {
        let [bad_mode, bad_size, bad_max, bad_clock, bad_line, bad_stacks, bad_frees, bad_start] =
            bad;
        // Not asked for where it does not matter.
        let tsc = value(b"MALLOOK_CLOCK") != Some(b"monotonic") && clock::tsc_is_usable();
        let clocks: &[u8] = match tsc {
            true => b"tsc, coarse or monotonic",
            false => b"monotonic, as the time-stamp counter cannot be trusted here",
        };
        let clock = choose(&value, b"MALLOOK_CLOCK", clocks, bad_clock, |v| match v {
            b"tsc" if tsc => Some(Clock::Tsc),
            b"coarse" if tsc => Some(Clock::Coarse),
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
                choose(&value, b"MALLOOK_SIZE", size, bad_size, trace_size).unwrap_or(DEFAULT_RING),
            ),
            max_blocks: choose(&value, b"MALLOOK_MAX", size, bad_max, trace_size).map_or(0, blocks),
            clock: clock.unwrap_or(if tsc { Clock::Tsc } else { Clock::Monotonic }),
            command_line: choose(&value, b"MALLOOK_CMDLINE", b"0 or 1", bad_line, is_on)
                .unwrap_or(false),
            stacks: choose(&value, b"MALLOOK_STACK", b"off, caller, fp or full", bad_stacks, |v| {
                match v {
                    b"off" | b"0" => Some(Stacks::Off),
                    b"caller" => Some(Stacks::Caller),
                    b"fp" => Some(Stacks::FramePointers),
                    b"full" | b"1" => Some(Stacks::Full),
                    _ => None,
                }
            })
            .unwrap_or(Stacks::Off),
            stacks_of_frees: choose(&value, b"MALLOOK_STACK_FREE", b"0 or 1", bad_frees, is_on)
                .unwrap_or(false),
            paused: choose(
                &value,
                b"MALLOOK_START",
                b"running or paused",
                bad_start,
                |v| match v {
                    b"running" => Some(false),
                    b"paused" => Some(true),
                    _ => None,
                },
            )
            .unwrap_or(false),
        }
    }
}

/// The parsed value of a variable. A value that does not parse is noted; an empty one counts as
/// unset.
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

/// A switch.
fn is_on(text: &[u8]) -> Option<bool> {
    match text {
        b"0" => Some(false),
        b"1" => Some(true),
        _ => None,
    }
}

/// A size in bytes that a trace may have.
fn trace_size(text: &[u8]) -> Option<u64> {
    parse_size(text).filter(|bytes| TRACE_SIZES.contains(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_bounds() {
        assert_eq!(trace_size(b"80K"), Some(81920));
        assert_eq!(trace_size(b"1.5 gib"), Some(3 << 29));
        assert_eq!(trace_size(b"1T"), Some(1 << 40));
        for wrong in ["", "79K", "2T", "64X"] {
            assert_eq!(trace_size(wrong.as_bytes()), None, "{wrong}");
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
        let mut bad = [None; SETTINGS];
        let config = Config::parse(value, &mut bad);
        assert_eq!(
            config,
            Config {
                mode: Mode::Full,
                clock: Clock::Monotonic,
                ring_blocks: 63,
                max_blocks: 0,
                command_line: false,
                stacks: Stacks::Off,
                stacks_of_frees: false,
                paused: false,
            }
        );
        let names: Vec<_> = bad.iter().flatten().map(|&(name, ..)| name).collect();
        assert_eq!(names, [&b"MALLOOK_MODE"[..], b"MALLOOK_MAX"]);
    }
}
