//! Histograms of fixed size.

/// Numbers of values by powers of two: class 0 is the value 0, class `k` the values from above
/// `2^(k-2)` to `2^(k-1)`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Powers {
    counts: [u64; CLASSES],
}

/// Classes of powers of two.
pub const CLASSES: usize = 66;

/// The class of a value.
#[inline]
pub fn class(value: u64) -> usize {
    match value {
        0 => 0,
        1 => 1,
        _ => 65 - (value - 1).leading_zeros() as usize,
    }
}

/// The largest value of a class.
pub fn limit(class: usize) -> u64 {
    match class {
        0 => 0,
        _ => u32::try_from(class - 1)
            .ok()
            .and_then(|shift| 1u64.checked_shl(shift))
            .unwrap_or(u64::MAX),
    }
}

impl Default for Powers {
    fn default() -> Powers {
        Powers { counts: [0; CLASSES] }
    }
}

impl Powers {
    /// Adds a value.
    #[inline]
    pub fn add(&mut self, value: u64) {
        self.counts[class(value)] += 1;
    }

    /// The classes that have values: the largest value of each, and its count.
    pub fn classes(&self) -> impl Iterator<Item = (u64, u64)> {
        let counts = self.counts.iter().enumerate().filter(|(_, count)| **count != 0);
        counts.map(|(class, &count)| (limit(class), count))
    }
}

/// Numbers of values by sixteenths of powers of two: quantiles are right to 3 %.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Quantiles {
    counts: Vec<u64>,
    /// The same by powers of ten.
    decades: [u64; DECADES],
    count: u64,
    most: u64,
}

/// Sixteen steps from one power of two to the next.
const STEPS_LOG2: u32 = 4;
const STEPS: u64 = 1 << STEPS_LOG2;
/// Powers of ten that a number of 64 bits may have.
const DECADES: usize = 21;
const POWERS_OF_TEN: [u64; DECADES - 1] = {
    let mut powers = [1; DECADES - 1];
    let mut place = 1;
    while place < powers.len() {
        powers[place] = powers[place - 1] * 10;
        place += 1;
    }
    powers
};

/// The number of decimal digits, 0 of the value 0.
#[inline]
pub fn digits(value: u64) -> usize {
    // Of the number of binary digits, a third at the most are decimal ones: 1233 / 4096 is log10(2).
    let guess = (((64 - value.leading_zeros()) * 1233) >> 12) as usize;
    guess + usize::from(value >= POWERS_OF_TEN[guess])
}

/// The place of a value among the counts.
#[inline]
fn place(value: u64) -> usize {
    if value < STEPS {
        return value as usize;
    }
    let exponent = 63 - value.leading_zeros();
    let step = value >> (exponent - STEPS_LOG2) & (STEPS - 1);
    ((u64::from(exponent - STEPS_LOG2 + 1) << STEPS_LOG2) + step) as usize
}

/// The value in the middle of a place.
fn middle(place: usize) -> u64 {
    let place = place as u64;
    if place < STEPS {
        return place;
    }
    let shift = (place >> STEPS_LOG2) - 1;
    let start = (STEPS + (place & (STEPS - 1))) << shift;
    start + (1 << shift) / 2
}

impl Default for Quantiles {
    fn default() -> Quantiles {
        let counts = vec![0; place(u64::MAX) + 1];
        Quantiles { counts, decades: [0; DECADES], count: 0, most: 0 }
    }
}

impl Quantiles {
    /// Adds a value.
    #[inline]
    pub fn add(&mut self, value: u64) {
        self.counts[place(value)] += 1;
        self.decades[digits(value)] += 1;
        self.count += 1;
        self.most = self.most.max(value);
    }

    /// Number of values.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// The largest value.
    pub fn most(&self) -> u64 {
        self.most
    }

    /// A value that this share of the values, from 0 to 1, do not exceed, to 3 %. 0 if there are none.
    pub fn quantile(&self, share: f64) -> u64 {
        let wanted = (self.count as f64 * share).ceil().max(1.0) as u64;
        let mut sum = 0;
        for (place, count) in self.counts.iter().enumerate() {
            sum += count;
            if *count != 0 && sum >= wanted {
                return middle(place).min(self.most);
            }
        }
        self.most
    }

    /// The powers of ten that have values: the first value above each of them, and its count.
    pub fn decades(&self) -> impl Iterator<Item = (u64, u64)> {
        let counts = self.decades.iter().enumerate().filter(|(_, count)| **count != 0);
        counts
            .map(|(digits, &count)| (POWERS_OF_TEN.get(digits).copied().unwrap_or(u64::MAX), count))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn classes_end_at_powers_of_two() {
        for (value, most) in [(0, 0), (1, 1), (2, 2), (3, 4), (4, 4), (5, 8), (1 << 63, 1 << 63)] {
            assert_eq!(limit(class(value)), most, "{value}");
        }
        assert_eq!(limit(class(u64::MAX)), u64::MAX);
    }

    proptest! {
        #[test]
        fn quantiles_are_near(values in prop::collection::vec((any::<u64>(), 0u32..64), 1..300), share in 0.0..1.0f64) {
            let mut values: Vec<u64> = values.into_iter().map(|(value, shift)| value >> shift).collect();
            let mut quantiles = Quantiles::default();
            values.iter().for_each(|&value| quantiles.add(value));
            values.sort_unstable();
            let rank = (values.len() as f64 * share).ceil().max(1.0) as usize - 1;
            let (found, exact) = (quantiles.quantile(share), values[rank]);
            prop_assert!(found.abs_diff(exact) <= exact / 32 + 1, "{} {}", found, exact);
            for (limit, count) in quantiles.decades() {
                let below = |value: &&u64| **value < limit || limit == u64::MAX;
                let least = if limit == 1 { 0 } else { limit / 10 };
                let expected = values.iter().filter(below).filter(|value| **value >= least);
                if limit != u64::MAX {
                    prop_assert_eq!(count, expected.count() as u64);
                }
            }
        }

        #[test]
        fn classes_hold_their_values(value: u64, shift in 0u32..64) {
            let value = value >> shift;
            let class = class(value);
            prop_assert!(value <= limit(class) && (class == 0 || value > limit(class - 1)));
        }
    }
}
