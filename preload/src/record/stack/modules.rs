//! The modules that the trace has. Each is recorded before its first site.

use core::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};

use mallook_format::ring::Opening;
use mallook_format::{MODULE_BYTES, ModuleField, ModuleSlot, module_more};

use crate::file::blocks::TraceFile;
use crate::file::sites::SiteLog;
use crate::host::clock;
use crate::host::loaded::Loaded;

/// Modules that are remembered; others are recorded again at each of their sites.
const PLACES: usize = 512;
/// Slots of a path at most; the rest of it is cut off.
const MOST_PATH_SLOTS: usize = 80;
/// Bytes of a build ID at most.
const LONGEST_ID: usize = 64;
const PAGE_BITS: u32 = 12;

/// The modules. All zero: none.
#[repr(C)]
pub struct Modules {
    /// Each at a place after that of its start: start >> 12 in bits 0..36, the generation's low 12
    /// bits, the number's low 16; 0 for none.
    places: [AtomicU64; PLACES],
    /// The number that was given last.
    last: AtomicU32,
}

const START_BITS: u32 = 36;
const GENERATION_BITS: u32 = 12;
const NUMBER_SHIFT: u32 = START_BITS + GENERATION_BITS;

impl Modules {
    /// The number of a module, which is recorded if need be; `None` if it cannot be now.
    pub fn number(
        &self,
        file: &TraceFile,
        log: &SiteLog,
        module: &Loaded,
        generation: u32,
        opening: impl Fn() -> Opening,
    ) -> Option<u32> {
        let start = module.start as u64 >> PAGE_BITS & ((1 << START_BITS) - 1);
        let of_generation = u64::from(generation) & ((1 << GENERATION_BITS) - 1);
        let key = start | of_generation << START_BITS;
        let first = (start ^ start >> 9) as usize;
        let mut free = None;
        for distance in 0..PLACES {
            let place = &self.places[(first + distance) % PLACES];
            let word = place.load(Relaxed);
            if word == 0 {
                free = Some(place);
                break;
            }
            if word & ((1 << NUMBER_SHIFT) - 1) == key {
                return Some((word >> NUMBER_SHIFT) as u32);
            }
        }
        let number = self.last.fetch_add(1, Relaxed) + 1;
        record(file, log, module, number, generation, opening)?;
        if let Some(place) = free.filter(|_| number < 1 << 16) {
            // If another thread was faster, the module is there twice.
            let word = key | u64::from(number) << NUMBER_SHIFT;
            let _ = place.compare_exchange(0, word, Relaxed, Relaxed);
        }
        Some(number)
    }
}

/// Records a module.
#[cold]
#[inline(never)]
fn record(
    file: &TraceFile,
    log: &SiteLog,
    module: &Loaded,
    number: u32,
    generation: u32,
    opening: impl Fn() -> Opening,
) -> Option<()> {
    let id = module.build_id();
    let id = id.get(..id.len().min(LONGEST_ID)).unwrap_or_default();
    let path = module.path();
    // The length comes before the ID.
    let id_slots = (1 + id.len()).div_ceil(MODULE_BYTES);
    let path_slots = path.len().div_ceil(MODULE_BYTES).min(MOST_PATH_SLOTS);
    let now = clock::nanoseconds(libc::CLOCK_MONOTONIC);
    let more = 2 + id_slots + path_slots;
    let slot = |index: usize| match index.checked_sub(3) {
        None if index == 0 => ModuleSlot {
            module: number,
            start: module.start as u64,
            pages: (module.end - module.start).div_ceil(1 << PAGE_BITS) as u32,
            more: more as u8,
        }
        .slot(),
        None if index == 1 => {
            let bias = (module.bias as u64).to_le_bytes();
            module_more(ModuleField::Bias, &bytes_of(bias.into_iter()))
        }
        None => {
            let seen = generation.to_le_bytes().into_iter().chain(now.to_le_bytes());
            module_more(ModuleField::Seen, &bytes_of(seen))
        }
        Some(place) if place < id_slots => {
            let all = core::iter::once(id.len() as u8).chain(id.iter().copied());
            module_more(ModuleField::BuildId, &bytes_of(all.skip(place * MODULE_BYTES)))
        }
        Some(place) => {
            let piece = path.chunks(MODULE_BYTES).nth(place - id_slots).unwrap_or_default();
            module_more(ModuleField::Path, &bytes_of(piece.iter().copied()))
        }
    };
    log.append(file, 1 + more, slot, opening).ok()
}

/// The first bytes, padded with zeros.
fn bytes_of(bytes: impl Iterator<Item = u8>) -> [u8; MODULE_BYTES] {
    let mut padded = [0; MODULE_BYTES];
    padded.iter_mut().zip(bytes).for_each(|(place, byte)| *place = byte);
    padded
}
