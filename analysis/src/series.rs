//! Two sizes over time.

/// Intervals at the most; there are at least half of them, if the time is long enough.
const MOST: usize = 2000;
/// The width of the first intervals is 1024 ns.
const FIRST_SHIFT: u32 = 10;

/// An interval of time: the most of each size in it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Span {
    /// The most bytes of held pages.
    pub held_bytes: u64,
    /// The most live bytes.
    pub live_bytes: u64,
}

/// Held and live bytes over time, in intervals that double their width as time goes on.
#[derive(Clone, Debug)]
pub struct Series {
    start_ns: u64,
    shift: u32,
    spans: Vec<Span>,
    now: Span,
}

impl Series {
    /// Nothing at this Unix time in nanoseconds.
    pub fn new(start_ns: u64) -> Series {
        Series { start_ns, shift: FIRST_SHIFT, spans: vec![Span::default()], now: Span::default() }
    }

    /// The Unix time in nanoseconds with which the first interval starts.
    pub fn start_ns(&self) -> u64 {
        self.start_ns
    }

    /// The width of an interval in nanoseconds.
    pub fn width_ns(&self) -> u64 {
        1 << self.shift
    }

    /// The intervals up to the last change.
    pub fn spans(&self) -> &[Span] {
        &self.spans
    }

    /// So much is held, and lives, from this Unix time on.
    pub fn see(&mut self, time_ns: u64, held_bytes: u64, live_bytes: u64) {
        let since_ns = time_ns.saturating_sub(self.start_ns);
        while since_ns >> self.shift >= MOST as u64 {
            self.shift += 1;
            let pairs = self.spans.chunks(2);
            self.spans = pairs.map(|pair| pair.iter().fold(Span::default(), most)).collect();
        }
        let place = (since_ns >> self.shift) as usize;
        if place >= self.spans.len() {
            self.spans.resize(place + 1, self.now);
        }
        self.now = Span { held_bytes, live_bytes };
        // Times of damaged traces may go back.
        if let Some(span) = self.spans.last_mut() {
            *span = most(*span, &self.now);
        }
    }
}

fn most(one: Span, other: &Span) -> Span {
    Span {
        held_bytes: one.held_bytes.max(other.held_bytes),
        live_bytes: one.live_bytes.max(other.live_bytes),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Every change is in the interval of its time, whatever the widths were on the way.
        #[test]
        fn no_maximum_is_left_out(steps in prop::collection::vec((0u64..1 << 30, 0u64..1000), 1..300)) {
            let (mut series, mut time_ns, mut seen) = (Series::new(7), 7, Vec::new());
            for (passed, bytes) in steps {
                time_ns += passed;
                series.see(time_ns, bytes, bytes / 2);
                seen.push((time_ns, bytes));
            }
            prop_assert!(series.spans().len() <= MOST);
            for (number, span) in series.spans().iter().enumerate() {
                let start = 7 + number as u64 * series.width_ns();
                let within = |&&(at, _): &&(u64, u64)| (start..start + series.width_ns()).contains(&at);
                let before = seen.iter().rfind(|(at, _)| *at < start).map_or(0, |(_, bytes)| *bytes);
                let most = seen.iter().filter(within).map(|(_, bytes)| *bytes).fold(before, u64::max);
                prop_assert_eq!(span.held_bytes, most);
            }
        }
    }
}
