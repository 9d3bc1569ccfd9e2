//! The causes for which events are lost.

use crate::raw::raw_enum;

raw_enum! {
    /// The cause for which an event could not be recorded: the index of its counter in each stripe.
    pub enum Loss: u8 {
        /// The event came before the environment of the process was set up.
        Early = 0,
        /// The trace had reached `MALLOOK_MAX`.
        Limit = 1,
        /// The file could not grow: disk full, quota, file size limit.
        Space = 2,
        /// The file could not be mapped any further.
        Mapping = 3,
        /// The file could not be opened again under its name when it had to grow.
        Name = 4,
        /// More threads at once than the recorder has room for.
        Threads = 5,
        /// Every block of the ring was in use by a living thread.
        Busy = 6,
        /// Another thread was opening the trace, or changing its length, and did not get done.
        Waiting = 7,
        /// The process had confined itself, and what was mapped before was full.
        Confined = 8,
        /// A signal handler came while its thread was in the recorder.
        Interrupted = 9,
    }
}

const _: () = assert!(Loss::ALL.len() <= crate::layout::STRIPE_WORDS, "a counter each");

impl Loss {
    /// The cause in a few words.
    pub const fn describe(self) -> &'static str {
        match self {
            Loss::Early => "before the environment was set up",
            Loss::Limit => "MALLOOK_MAX reached",
            Loss::Space => "no space for the file to grow",
            Loss::Mapping => "the file could not be mapped further",
            Loss::Name => "the trace could not be opened again under its name",
            Loss::Threads => "too many threads at once",
            Loss::Busy => "every block of the ring in use",
            Loss::Waiting => "while another thread opened the trace or changed its length",
            Loss::Confined => "the program had confined itself",
            Loss::Interrupted => "in a signal handler that interrupted the recorder",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn raw_values_are_positions() {
        for (position, loss) in Loss::ALL.into_iter().enumerate() {
            assert_eq!(loss as usize, position);
            assert_eq!(Loss::from_raw(position as u8), Some(loss));
        }
        assert_eq!(Loss::from_raw(Loss::ALL.len() as u8), None);
    }
}
