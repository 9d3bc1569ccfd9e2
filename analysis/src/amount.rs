//! A number of blocks and their bytes.

/// A number of blocks and their bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct Amount {
    /// Bytes that were asked for.
    pub bytes: u64,
    /// Blocks.
    pub blocks: u64,
}

impl Amount {
    /// A block more. Sums that do not fit, of sizes that no process has had, wrap around, so that the
    /// death of such a block undoes its birth.
    #[inline]
    pub fn add(&mut self, size: u64) {
        self.bytes = self.bytes.wrapping_add(size);
        self.blocks = self.blocks.wrapping_add(1);
    }

    /// A block less, which was added before.
    #[inline]
    pub fn remove(&mut self, size: u64) {
        self.bytes = self.bytes.wrapping_sub(size);
        self.blocks = self.blocks.wrapping_sub(1);
    }

    /// Both together; sums wrap around as those of blocks do.
    pub fn plus(self, other: Amount) -> Amount {
        Amount {
            bytes: self.bytes.wrapping_add(other.bytes),
            blocks: self.blocks.wrapping_add(other.blocks),
        }
    }
}
