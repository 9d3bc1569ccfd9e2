//! Sizes as programs ask for them: small ones often, large ones seldom.

/// Number of sizes in the table.
pub const TABLE: usize = 1024;

/// Sizes from 16 bytes to 64 KiB: as many in each doubling, in no order.
pub const SIZES: [u32; TABLE] = table();

const DOUBLINGS: u32 = 12;
const LEAST_LOG: u32 = 4;

/// The size of the block with this number.
#[inline(always)]
pub fn size(number: usize) -> usize {
    SIZES[number % TABLE] as usize
}

/// A fixed sequence: the high bits of a linear congruential generator choose the doubling and the
/// place in it.
const fn table() -> [u32; TABLE] {
    let mut sizes = [0; TABLE];
    let mut state: u64 = 0x9e37_79b9_7f4a_7c15;
    let mut i = 0;
    while i < TABLE {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let doubling = LEAST_LOG + (state >> 48) as u32 % DOUBLINGS;
        let least = 1 << doubling;
        sizes[i] = least + (state >> 32) as u16 as u32 % least;
        i += 1;
    }
    sizes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_doubling_has_its_share() {
        assert!(SIZES.iter().all(|size| (16..65536).contains(size)));
        for log in LEAST_LOG..LEAST_LOG + DOUBLINGS {
            let share = SIZES.iter().filter(|size| size.ilog2() == log).count();
            assert!((TABLE / 24..TABLE / 6).contains(&share), "2^{log}: {share}");
        }
    }
}
