//! Two sets of measurements of one figure.

/// Measurements of a figure, one a run.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct Spread {
    /// Their mean.
    pub mean: f64,
    /// The smallest.
    pub least: f64,
    /// The largest.
    pub most: f64,
}

impl Spread {
    /// That of these measurements; all 0 if there are none.
    pub fn of(values: &[f64]) -> Spread {
        let count = values.len().max(1) as f64;
        let least = values.iter().copied().reduce(f64::min).unwrap_or(0.0);
        let most = values.iter().copied().reduce(f64::max).unwrap_or(0.0);
        // Rounding must not put the mean outside.
        let mean = (values.iter().sum::<f64>() / count).clamp(least, most);
        Spread { mean, least, most }
    }

    /// From the smallest to the largest.
    pub fn width(&self) -> f64 {
        self.most - self.least
    }
}

/// How a figure has changed from some runs to others.
///
/// ```
/// use mallook_analysis::Comparison;
///
/// let same = Comparison::of(&[10.0, 11.0, 12.0], &[11.5, 12.0, 12.5]);
/// assert!(same.is_noise);
/// let more = Comparison::of(&[10.0, 11.0, 12.0], &[20.0, 21.0, 22.0]);
/// assert_eq!((more.is_noise, more.change()), (false, 10.0));
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct Comparison {
    /// Before.
    pub before: Spread,
    /// After.
    pub after: Spread,
    /// The change lies within the spread of repetitions: the two ranges overlap, or the means differ by
    /// no more than the wider of them. Without repetitions, there is no noise.
    pub is_noise: bool,
}

impl Comparison {
    /// Compares the measurements of some runs with those of others.
    pub fn of(before: &[f64], after: &[f64]) -> Comparison {
        let is_repeated = before.len() > 1 || after.len() > 1;
        let (before, after) = (Spread::of(before), Spread::of(after));
        let overlap = before.least <= after.most && after.least <= before.most;
        let change = (after.mean - before.mean).abs();
        let is_noise = is_repeated && (overlap || change <= before.width().max(after.width()));
        Comparison { before, after, is_noise }
    }

    /// The difference of the means.
    pub fn change(&self) -> f64 {
        self.after.mean - self.before.mean
    }

    /// The change in percent of what was before; `None` if that was nothing.
    pub fn percent(&self) -> Option<f64> {
        (self.before.mean != 0.0).then(|| self.change() * 100.0 / self.before.mean)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn one_run_has_no_noise() {
        assert!(!Comparison::of(&[1.0], &[1.0001]).is_noise);
        assert!(!Comparison::of(&[], &[1.0]).is_noise);
        assert!(Comparison::of(&[1.0, 3.0], &[2.0]).is_noise);
        assert!(!Comparison::of(&[1.0, 3.0], &[9.0]).is_noise);
        assert!(Comparison::of(&[1.0, 3.0], &[3.5]).is_noise);
    }

    proptest! {
        /// Runs of one kind, in any order, are noise against each other or do not overlap.
        #[test]
        fn overlapping_runs_are_noise(
            before in prop::collection::vec(0u32..1000, 2..6),
            after in prop::collection::vec(0u32..1000, 2..6),
        ) {
            let values = |all: &[u32]| all.iter().map(|&it| f64::from(it)).collect::<Vec<_>>();
            let found = Comparison::of(&values(&before), &values(&after));
            let apart = before.iter().max() < after.iter().min() || after.iter().max() < before.iter().min();
            prop_assert!(apart || found.is_noise);
            let same = Comparison::of(&values(&before), &values(&before));
            prop_assert!(same.is_noise && same.change() == 0.0);
        }
    }
}
