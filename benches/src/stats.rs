//! Samples of one quantity.

/// Samples in the order in which they were taken, so that those of two quantities pair up.
#[derive(Clone, Debug, Default)]
pub struct Samples(Vec<f64>);

impl FromIterator<f64> for Samples {
    fn from_iter<I: IntoIterator<Item = f64>>(samples: I) -> Samples {
        Samples(samples.into_iter().collect())
    }
}

impl Samples {
    /// Appends a sample.
    pub fn push(&mut self, sample: f64) {
        self.0.push(sample);
    }

    /// Appends the samples of others.
    pub fn append(&mut self, other: &Samples) {
        self.0.extend_from_slice(&other.0);
    }

    /// Number of samples.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// There are no samples.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The sample below which `percent` hundredths lie; NaN if there is none.
    pub fn percentile(&self, percent: f64) -> f64 {
        let mut sorted = self.0.clone();
        sorted.sort_unstable_by(f64::total_cmp);
        let last = sorted.len().saturating_sub(1) as f64;
        sorted.get((last * percent / 100.0).round() as usize).copied().unwrap_or(f64::NAN)
    }

    /// The sample in the middle; NaN if there is none.
    pub fn median(&self) -> f64 {
        self.percentile(50.0)
    }

    /// The mean; NaN if there is no sample.
    pub fn mean(&self) -> f64 {
        self.0.iter().sum::<f64>() / self.0.len() as f64
    }

    /// Each sample through a function.
    pub fn map(&self, function: impl FnMut(f64) -> f64) -> Samples {
        self.0.iter().copied().map(function).collect()
    }

    /// Pairs of samples through a function.
    pub fn zip(&self, other: &Samples, function: impl Fn(f64, f64) -> f64) -> Samples {
        self.0.iter().zip(&other.0).map(|(&a, &b)| function(a, b)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_samples() {
        let samples: Samples = (0..=100).rev().map(f64::from).collect();
        let found = [0.0, 5.0, 50.0, 100.0].map(|percent| samples.percentile(percent));
        assert_eq!(found, [0.0, 5.0, 50.0, 100.0]);
        assert!(Samples::default().median().is_nan());
    }
}
