//! The figures of a trace, from a plain replay of its csv.

use std::collections::HashMap;

use crate::trace::{Row, Trace};

/// Figures of a trace.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Truth {
    /// Births and their bytes.
    pub births: u64,
    pub bytes: u64,
    /// Deaths, those of reallocations included.
    pub deaths: u64,
    pub failed: u64,
    /// Reallocations that moved or grew a block.
    pub grown: u64,
    /// The live memory at the end.
    pub live_blocks: u64,
    pub live_bytes: u64,
    /// The most bytes that lived, and the blocks then.
    pub peak_bytes: u64,
    pub peak_blocks: u64,
    /// Calls by function.
    pub calls: HashMap<&'static str, u64>,
}

impl Truth {
    /// The figures of a trace without threads that fight for addresses.
    pub fn of(trace: &Trace) -> Truth {
        let (mut truth, mut live) = (Truth::default(), HashMap::new());
        for row in trace.rows() {
            *truth.calls.entry(row.op).or_default() += 1;
            if row.failed {
                truth.failed += 1;
                continue;
            }
            let died = released(&row).map(|address| live.remove(&address).expect("known"));
            truth.deaths += u64::from(died.is_some());
            truth.live_bytes -= died.unwrap_or(0);
            let born = row.address.filter(|&address| !row.is_free() && address != 0);
            if let Some(address) = born {
                let size = row.size.unwrap();
                truth.grown += u64::from(died.is_some());
                assert_eq!(live.insert(address, size), None);
                truth.births += 1;
                truth.bytes += size;
                truth.live_bytes += size;
            }
            if truth.live_bytes > truth.peak_bytes {
                truth.peak_bytes = truth.live_bytes;
                truth.peak_blocks = live.len() as u64;
            }
        }
        truth.live_blocks = live.len() as u64;
        assert!(truth.births > 600 && truth.peak_bytes > 1_000_000 && truth.failed == 2);
        truth
    }
}

fn released(row: &Row) -> Option<u64> {
    let address = if row.is_free() { row.address } else { row.old_address };
    address.filter(|&address| address != 0)
}
