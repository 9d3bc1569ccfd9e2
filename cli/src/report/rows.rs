//! Cells and lifetimes, as the page has them.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use mallook_analysis::{Cell, Lived, Peak, Place, SizesOfLives, Slice, ThreadId};
use serde::Serialize;

use super::texts::Texts;
use crate::gather::Gathered;

/// The cost of the blocks of a place, a thread and a class of sizes over time.
#[derive(Clone, Debug, Default, Serialize)]
pub struct CellRow {
    /// The number of the call stack.
    pub stack: Option<u32>,
    /// The size of the blocks, or the largest of its class.
    pub size: u64,
    /// Sizes go down to half of it.
    pub is_class: bool,
    /// The number of the thread.
    pub thread: usize,
    /// The number of the first slice of time.
    pub first: usize,
    /// The unit of the series of bytes: blocks of one size make small numbers.
    pub unit: u64,
    /// Series over time, in the order of [`SERIES`].
    pub series: [Vec<u64>; SERIES],
    /// How long its blocks have lived.
    pub lived: Vec<LivedRow>,
}

/// Blocks of a class of sizes whose lifetimes have the same number of digits: the largest size, the digits
/// or none if they were never freed, births, their bytes, and the bytes of those that lived at the peak.
pub type LivedRow = (u64, Option<u8>, u64, u64, u64);

/// Births, their bytes, those never freed, deaths, sum of lifetimes in ns, temporary blocks, live at the
/// most of all, live at the end.
const SERIES: usize = 8;

/// Blocks of a class of sizes whose lifetimes have the same number of digits.
#[derive(Clone, Debug, Serialize)]
pub struct LivesRow {
    /// The largest size.
    pub size: u64,
    /// Decimal digits of the lifetime in nanoseconds; none if they were never freed.
    pub digits: Option<u32>,
    /// Live at the peak.
    pub at_peak: u64,
    /// The blocks of that.
    pub at_peak_blocks: u64,
    /// Births over time.
    pub births: Vec<u64>,
    /// Their bytes.
    pub bytes: Vec<u64>,
}

/// Puts cells into the order of the largest share of any cost that they have; the peak is in slice `top`.
pub fn order(cells: &mut [Cell], top: usize) {
    let sums = |cell: &Cell| {
        let sum = |of: fn(&Slice) -> u64| cell.slices.iter().map(of).fold(0, u64::saturating_add);
        let at_peak = top.checked_sub(cell.first).and_then(|place| cell.slices.get(place));
        [
            at_peak.map_or(0, |slice| slice.at_top),
            sum(|it| it.born_bytes),
            sum(|it| it.births),
            sum(|it| it.left_bytes),
            sum(|it| it.temporary),
        ]
    };
    let mut all = [0u64; 5];
    for cell in cells.iter() {
        all.iter_mut().zip(sums(cell)).for_each(|(all, part)| *all = all.saturating_add(part));
    }
    let weight = |cell: &Cell| {
        let shares = sums(cell).into_iter().zip(all);
        let shares = shares.map(|(part, whole)| part as f64 / whole.max(1) as f64);
        (shares.fold(0.0, f64::max) * 1e12) as u64
    };
    cells.sort_by_cached_key(|cell| (Reverse(weight(cell)), cell.key));
}

impl CellRow {
    /// The row of a cell, of a pass with this peak; `threads` numbers the threads.
    pub fn of(
        cell: &Cell,
        peak: &Peak,
        gathered: &Gathered,
        texts: &mut Texts,
        threads: &mut Vec<ThreadId>,
    ) -> CellRow {
        let place = gathered.figures.replay.places().get(cell.key.place);
        let (size, is_class) = match place {
            Place::Size(_, size) => (size, false),
            Place::Sizes(_, size) => (size, true),
            Place::Stack(..) | Place::Others => (limit(cell.key.class), true),
        };
        let stack = match place {
            Place::Stack(trace, stack) => {
                let stacks = gathered.stacks.get(trace as usize);
                stacks.map(|stacks| texts.stack(stacks, trace, stack))
            }
            _ => None,
        };
        let known = threads.iter().position(|&thread| thread == cell.key.thread);
        let thread = known.unwrap_or_else(|| {
            threads.push(cell.key.thread);
            threads.len() - 1
        });
        let mut row = CellRow { stack, size, is_class, thread, ..CellRow::default() };
        row.first = cell.first;
        (row.unit, row.series) = series(&cell.slices);
        row.lived = lived(&cell.lived, peak);
        row
    }

    /// All these cells in one.
    pub fn together(cells: &[&Cell], slices: usize, peak: &Peak) -> CellRow {
        let mut all = vec![Slice::default(); slices];
        let mut sums: BTreeMap<(u64, Option<u8>), LivedRow> = BTreeMap::new();
        for row in cells.iter().flat_map(|cell| lived(&cell.lived, peak)) {
            let sum = sums.entry((row.0, row.1)).or_insert((row.0, row.1, 0, 0, 0));
            *sum = (
                row.0,
                row.1,
                sum.2 + row.2,
                sum.3.saturating_add(row.3),
                sum.4.saturating_add(row.4),
            );
        }
        for cell in cells {
            for (sum, slice) in all.iter_mut().skip(cell.first).zip(&cell.slices) {
                let add = |sum: &mut u64, more: u64| *sum = sum.saturating_add(more);
                add(&mut sum.births, slice.births);
                add(&mut sum.born_bytes, slice.born_bytes);
                add(&mut sum.left_bytes, slice.left_bytes);
                add(&mut sum.deaths, slice.deaths);
                add(&mut sum.age_ns, slice.age_ns);
                add(&mut sum.temporary, slice.temporary);
                add(&mut sum.at_top, slice.at_top);
                add(&mut sum.at_end, slice.at_end);
            }
        }
        let (unit, series) = series(&all);
        CellRow { unit, series, lived: sums.into_values().collect(), ..CellRow::default() }
    }
}

fn lived(all: &[Lived], peak: &Peak) -> Vec<LivedRow> {
    let row = |it: &Lived| {
        (limit(it.class), it.digits, it.born.blocks, it.born.bytes, it.at_peak(peak).bytes)
    };
    let rows = all.iter().map(row);
    rows.filter(|row| row.2 != 0 || row.4 != 0).collect()
}

/// The largest size of a class, as [`mallook_analysis::Powers`] has it.
fn limit(class: u8) -> u64 {
    match class {
        0 => 0,
        class => 1u64.checked_shl(u32::from(class) - 1).unwrap_or(u64::MAX),
    }
}

/// The largest number that both are multiples of.
fn common(one: u64, other: u64) -> u64 {
    let (mut one, mut other) = (one, other);
    while other != 0 {
        (one, other) = (other, one % other);
    }
    one
}

/// The number with four significant digits.
fn rounded(number: u64) -> u64 {
    let step = 10u64.pow(number.checked_ilog10().unwrap_or(0).saturating_sub(3));
    number / step * step
}

/// The unit of the series of bytes, and the series of slices; zeros at their ends are left out.
fn series(slices: &[Slice]) -> (u64, [Vec<u64>; SERIES]) {
    let bytes = |it: &Slice| [it.born_bytes, it.left_bytes, it.at_top, it.at_end];
    let unit = slices.iter().flat_map(bytes).fold(0, common).max(1);
    let slice = |it: &Slice| Slice {
        born_bytes: it.born_bytes / unit,
        left_bytes: it.left_bytes / unit,
        at_top: it.at_top / unit,
        at_end: it.at_end / unit,
        age_ns: rounded(it.age_ns),
        ..*it
    };
    let slices: Vec<_> = slices.iter().map(slice).collect();
    let of: [fn(&Slice) -> u64; SERIES] = [
        |it| it.births,
        |it| it.born_bytes,
        |it| it.left_bytes,
        |it| it.deaths,
        |it| it.age_ns,
        |it| it.temporary,
        |it| it.at_top,
        |it| it.at_end,
    ];
    (unit, of.map(|of| without_zeros(slices.iter().map(of).collect())))
}

fn without_zeros(mut values: Vec<u64>) -> Vec<u64> {
    let end = values.iter().rposition(|&value| value != 0).map_or(0, |last| last + 1);
    values.truncate(end);
    values
}

/// Sizes and lifetimes, in slices as wide as those of cells.
pub fn lives(lives: &mut SizesOfLives, width_ns: u64, gathered: &Gathered) -> Vec<LivesRow> {
    lives.widen_to(width_ns);
    let peak = gathered.figures.totals.peak();
    let row = |(size, digits, lives): (u64, Option<u32>, &mallook_analysis::Lives)| {
        let at_peak = lives.at_peak(peak);
        LivesRow {
            size,
            digits,
            at_peak: at_peak.bytes,
            at_peak_blocks: at_peak.blocks,
            births: lives.born.iter().map(|it| it.blocks).collect(),
            bytes: lives.born.iter().map(|it| it.bytes).collect(),
        }
    };
    lives.iter().map(row).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn series_of_one_size_are_small() {
        let slice = |blocks: u64| Slice {
            births: blocks,
            born_bytes: 48 * blocks,
            at_top: 96,
            age_ns: 123_456,
            ..Slice::default()
        };
        let (unit, series) = series(&[slice(2), slice(7), Slice::default()]);
        assert_eq!(unit, 48);
        assert_eq!((&series[0], &series[1], &series[6]), (&vec![2, 7], &vec![2, 7], &vec![2, 2]));
        assert_eq!((&series[4], series[7].len()), (&vec![123_400, 123_400], 0));
        assert_eq!([rounded(0), rounded(9), rounded(9999)], [0, 9, 9999]);
    }
}
