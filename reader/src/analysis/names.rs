//! Names of the format's values, as summaries have them.

use mallook_format::{Clock, Kind, Stacks};

/// The value of `MALLOOK_CLOCK` that selects the clock.
pub fn clock_name(clock: Clock) -> &'static str {
    match clock {
        Clock::Tsc => "tsc",
        Clock::Monotonic => "monotonic",
        Clock::Coarse => "coarse",
    }
}

/// The value of `MALLOOK_STACK` that takes call stacks in this way.
pub fn stacks_name(stacks: Stacks) -> &'static str {
    match stacks {
        Stacks::Off => "off",
        Stacks::Caller => "caller",
        Stacks::FramePointers => "fp",
        Stacks::Full => "full",
    }
}

/// The kind is the first moment of a call that has two.
pub fn is_first_half(kind: Kind) -> bool {
    kind.second_half().is_some()
}
