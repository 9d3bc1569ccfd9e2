//! When recording paused.

use mallook_reader::{EventKind, Kind};
use rustc_hash::FxHashMap;

use crate::change::Moment;

/// Pauses that are kept.
const MOST: usize = 1000;

/// A pause of the recording of a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pause {
    /// The position of the trace.
    pub trace: u32,
    /// Its start in Unix nanoseconds; `None` if a ring has overwritten the marker.
    pub start_ns: Option<u64>,
    /// Its end, or that of the process or its trace.
    pub end_ns: u64,
    /// Recording went on then.
    pub resumed: bool,
}

/// The pauses of several traces, in the order in which they began or were first seen.
#[derive(Clone, Debug, Default)]
pub struct Pauses {
    all: Vec<Pause>,
    /// The pause that goes on, of each trace.
    open: FxHashMap<u32, usize>,
}

impl Pauses {
    /// The first thousand.
    pub fn all(&self) -> &[Pause] {
        &self.all
    }

    /// Takes an event that is no call.
    pub fn other(&mut self, at: &Moment, kind: &EventKind) {
        match kind {
            EventKind::Marker(Kind::Paused, _) => {
                // Of one before it, the marker of the end was overwritten.
                self.close(at, true);
                self.open.insert(at.trace, self.all.len());
                self.add(at, Some(at.time_ns), false);
            }
            EventKind::Marker(Kind::Resumed, _) if !self.close(at, true) => {
                self.add(at, None, true);
            }
            _ => {}
        }
    }

    /// A process ends, or its trace does.
    pub fn end(&mut self, at: &Moment) {
        self.close(at, false);
    }

    /// Ends the pause that goes on; `false` if there is none.
    fn close(&mut self, at: &Moment, resumed: bool) -> bool {
        let Some(place) = self.open.remove(&at.trace) else { return false };
        if let Some(pause) = self.all.get_mut(place) {
            (pause.end_ns, pause.resumed) = (at.time_ns, resumed);
        }
        true
    }

    fn add(&mut self, at: &Moment, start_ns: Option<u64>, resumed: bool) {
        if self.all.len() < MOST {
            self.all.push(Pause { trace: at.trace, start_ns, end_ns: at.time_ns, resumed });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::thread::ThreadId;

    #[test]
    fn pauses_of_traces_are_told_apart() {
        let mut pauses = Pauses::default();
        let (paused, resumed) = (Kind::Paused, Kind::Resumed);
        let at = |time_ns, trace| Moment { time_ns, trace, thread: ThreadId::OTHERS };
        let markers =
            [(0, resumed), (1, paused), (0, paused), (0, resumed), (0, paused), (1, resumed)];
        for ((trace, kind), time_ns) in markers.into_iter().zip(10..) {
            pauses.other(&at(time_ns, trace), &EventKind::Marker(kind, 0));
        }
        // It ends while it pauses, and others go on.
        pauses.end(&at(20, 0));
        pauses.end(&at(30, 1));
        let of = |pause: &Pause| (pause.trace, pause.start_ns, pause.end_ns, pause.resumed);
        let all: Vec<_> = pauses.all().iter().map(of).collect();
        let expected = [
            (0, None, 10, true),
            (1, Some(11), 15, true),
            (0, Some(12), 13, true),
            (0, Some(14), 20, false),
        ];
        assert_eq!(all, expected);
    }

    #[test]
    fn there_are_never_too_many() {
        let mut pauses = Pauses::default();
        let at = Moment { time_ns: 1, trace: 0, thread: ThreadId::OTHERS };
        for kind in [Kind::Paused, Kind::Resumed].into_iter().cycle().take(10 * MOST) {
            pauses.other(&at, &EventKind::Marker(kind, 0));
        }
        assert_eq!(pauses.all().len(), MOST);
        assert!(pauses.all().iter().all(|pause| pause.resumed));
    }
}
