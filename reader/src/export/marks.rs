//! The texts of marks.

use rustc_hash::FxHashMap;

use crate::trace::{Mark, Trace};

/// The marks of several traces.
#[derive(Default)]
pub struct Marks(FxHashMap<(u32, u32), Mark>);

impl Marks {
    pub fn of(traces: &[Trace]) -> Marks {
        let marks = |(trace, of): (u32, &Trace)| of.marks().into_iter().map(move |it| (trace, it));
        let marks = (0..).zip(traces).flat_map(marks);
        Marks(marks.map(|(trace, mark)| ((trace, mark.place), mark)).collect())
    }

    /// One more of a trace.
    pub fn learn(&mut self, trace: u32, mark: &Mark) {
        self.0.insert((trace, mark.place), mark.clone());
    }

    /// The mark at this place of a trace.
    pub fn get(&self, trace: u32, place: u32) -> Option<&Mark> {
        self.0.get(&(trace, place))
    }
}
