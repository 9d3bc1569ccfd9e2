//! Tables that are damaged.

use crate::fuzzing;
use crate::maps;
use crate::module::Module;

/// splitmix64.
pub struct Random(pub u64);

impl Random {
    /// A number below this one.
    pub fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut value = self.0;
        value = (value ^ value >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        value = (value ^ value >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((value ^ value >> 31) % limit as u64) as usize
    }
}

/// The tables of this program, of which the index is at an offset.
fn tables() -> (Vec<u8>, usize, usize) {
    let address = tables as *const () as usize;
    let code = maps::find(address).unwrap();
    // SAFETY: the own module.
    let module = unsafe { Module::at(code.file) }.unwrap();
    let memory = module.memory(module.index).unwrap();
    let start = memory.start();
    let length = memory.from(start).unwrap().left();
    // SAFETY: a segment of the own module.
    let bytes = unsafe { std::slice::from_raw_parts(start as *const u8, length) };
    (bytes.to_vec(), module.index - start, address.wrapping_sub(start))
}

#[test]
fn damaged_tables_are_read_without_harm() {
    let (whole, index, address) = tables();
    assert_ne!(fuzzing::look_up(&whole, index, address), 0);
    let frames = whole.len() - index;
    let mut random = Random(1);
    let mut found = 0;
    for round in 0..40 {
        let mut damaged = whole.clone();
        for _ in 0..1 << (round % 16) {
            let place = index + random.below(frames);
            damaged[place] = match random.below(3) {
                0 => random.below(256) as u8,
                1 => damaged[place] ^ 1 << random.below(8),
                _ => [0, 0xff, 0x7f, 0x80][random.below(4)],
            };
        }
        if round % 5 == 0 {
            damaged.truncate(index + random.below(frames));
        }
        for _ in 0..300 {
            let near = address.wrapping_add(random.below(1 << 18)).wrapping_sub(1 << 17);
            let place = index + random.below(frames);
            found += usize::from(fuzzing::look_up(&damaged, index, near) != 0);
            fuzzing::look_up(&damaged, place, near);
        }
        let place = random.below(damaged.len() - 100);
        fuzzing::evaluate(&damaged[place..place + 100], address);
    }
    assert!(found > 1000, "{found}");
}
