//! Marks: texts with a time, in block 0.

use bytemuck::{Pod, Zeroable};

use crate::layout::{BLOCK_SIZE, MARK_OFFSET, MARK_SIZE, MARKS, until_zero};
use crate::sync::{AtomicU64, Ordering};

/// The longest text of a mark, in bytes.
pub const MARK_TEXT: usize = MARK_SIZE - 16;

/// A mark: a moment of the run that somebody has named.
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
#[repr(C)]
pub struct Mark {
    /// 1 once time and text are there; anything else: nothing is.
    pub state: u64,
    /// `CLOCK_MONOTONIC` nanoseconds.
    pub monotonic_ns: u64,
    /// The text, any bytes but zeros, padded with zeros.
    pub text: [u8; MARK_TEXT],
}

const _: () = assert!(size_of::<Mark>() == MARK_SIZE, "as specified");
const _: () = assert!(MARK_OFFSET + MARKS * MARK_SIZE == BLOCK_SIZE, "they fill the header");

impl Mark {
    /// A mark with the first bytes of a text, up to a zero.
    pub fn new(monotonic_ns: u64, text: &[u8]) -> Mark {
        let mut mark = Mark { state: 1, monotonic_ns, text: [0; MARK_TEXT] };
        mark.text.iter_mut().zip(until_zero(text)).for_each(|(place, byte)| *place = *byte);
        mark
    }

    /// It was written to its end.
    pub fn is_there(&self) -> bool {
        self.state == 1
    }

    /// The text.
    pub fn text(&self) -> &[u8] {
        until_zero(&self.text)
    }
}

/// Takes the next place for a mark, whose space `reserve` has to have first: one that cannot be written is
/// not used up. `count` is the count of marks; `None`: there is no place left.
///
/// # Errors
/// There is no space for it.
pub fn take_place<E>(
    count: &AtomicU64,
    mut reserve: impl FnMut(usize) -> Result<(), E>,
) -> Result<Option<usize>, E> {
    // Each attempt that fails is a place for someone else.
    for _ in 0..=MARKS {
        // Relaxed: the place is the entitlement, and nothing is published by taking it.
        let taken = count.load(Ordering::Relaxed);
        let Some(place) = usize::try_from(taken).ok().filter(|&place| place < MARKS) else { break };
        reserve(place)?;
        let (relaxed, next) = (Ordering::Relaxed, taken + 1);
        if count.compare_exchange(taken, next, relaxed, relaxed).is_ok() {
            return Ok(Some(place));
        }
    }
    Ok(None)
}

/// A mark in the shared mapping.
#[derive(Debug)]
#[repr(C)]
pub struct MarkCell([AtomicU64; MARK_SIZE / 8]);

impl MarkCell {
    /// Writes the mark, by whoever has taken its place.
    pub fn write(&self, mark: &Mark) {
        let words: &[u64; MARK_SIZE / 8] = bytemuck::cast_ref(mark);
        publish(&self.0, words);
    }
}

/// Writes the words, the first one last.
fn publish(places: &[AtomicU64], words: &[u64]) {
    for (place, word) in places.iter().zip(words).skip(1) {
        // Relaxed: published by the store below.
        place.store(*word, Ordering::Relaxed);
    }
    if let (Some(place), Some(word)) = (places.first(), words.first()) {
        // Release: pairs with the Acquire in `copy_words`.
        place.store(*word, Ordering::Release);
    }
}

/// Copies words of the header, which others may write meanwhile: where the state of a mark is there, its
/// time and its text are.
pub fn copy_words(places: &[AtomicU64], copy: &mut [u64]) {
    for (word, place) in copy.iter_mut().zip(places) {
        // Acquire: pairs with the Release in `publish`: what follows a state is at least that new.
        *word = place.load(Ordering::Acquire);
    }
}

#[cfg(all(test, loom))]
mod loom {
    use ::loom::sync::Arc;
    use ::loom::thread;

    use super::*;

    /// `RUSTFLAGS="--cfg loom" cargo test -p mallook-format --release --lib loom`
    #[test]
    fn a_mark_that_is_there_is_whole() {
        ::loom::model(|| {
            let places = Arc::new([const { 0 }; 3].map(AtomicU64::new));
            let writer = {
                let places = Arc::clone(&places);
                thread::spawn(move || publish(&places[..], &[1, 7, 8]))
            };
            let mut copy = [0; 3];
            copy_words(&places[..], &mut copy);
            assert!(copy[0] == 0 || copy == [1, 7, 8], "{copy:?}");
            writer.join().unwrap();
        });
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn a_place_without_space_is_not_used_up() {
        let count = AtomicU64::new(0);
        for _ in 0..2 * MARKS {
            assert_eq!(take_place(&count, |_| Err("full")), Err("full"));
        }
        for place in 0..MARKS {
            assert_eq!(take_place::<()>(&count, |_| Ok(())), Ok(Some(place)));
        }
        assert_eq!(take_place(&count, |_| Err("asked for")), Ok(None));
        assert_eq!(count.load(Ordering::Relaxed), MARKS as u64);
        // As processes that counted on had it.
        count.store(u64::MAX, Ordering::Relaxed);
        assert_eq!(take_place::<()>(&count, |_| Ok(())), Ok(None));
    }

    /// Another one comes between.
    #[test]
    fn a_place_has_space_of_its_own() {
        let (count, mut reserved) = (AtomicU64::new(29), Vec::new());
        let place = take_place::<()>(&count, |place| {
            if reserved.is_empty() {
                count.fetch_add(1, Ordering::Relaxed);
            }
            reserved.push(place);
            Ok(())
        });
        assert_eq!((place, reserved), (Ok(Some(30)), vec![29, 30]));
    }

    #[test]
    fn a_text_is_cut_at_its_end_or_at_a_zero() {
        assert_eq!(Mark::new(7, b"deploy").text(), b"deploy");
        assert_eq!(Mark::new(7, b"a\0b").text(), b"a");
        assert_eq!(Mark::new(7, &[b'x'; 200]).text(), [b'x'; MARK_TEXT]);
        assert!(Mark::new(7, b"").is_there() && !Mark::zeroed().is_there());
    }

    #[test]
    fn a_mark_in_a_mapping_is_the_mark() {
        let cell = MarkCell([const { AtomicU64::new(0) }; MARK_SIZE / 8]);
        let mark = Mark::new(1 << 40, b"end of warm-up");
        cell.write(&mark);
        let mut words = [0u64; MARK_SIZE / 8];
        copy_words(&cell.0, &mut words);
        assert_eq!(bytemuck::bytes_of(&words), bytemuck::bytes_of(&mark));
    }
}
