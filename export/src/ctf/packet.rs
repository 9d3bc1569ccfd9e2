//! A packet of the stream.

use super::metadata::UUID;

/// Bytes before the first event: magic, identity, stream; five numbers.
const HEADER: usize = 4 + 16 + 4 + 5 * 8;
const MAGIC: u32 = 0xc1fc_1fc1;

/// A packet, as it grows.
#[derive(Debug)]
pub struct Packet {
    bytes: Vec<u8>,
    begin_ns: u64,
    end_ns: u64,
}

impl Packet {
    /// A packet without events, whose first one is not earlier than this.
    pub fn new(begin_ns: u64) -> Packet {
        Packet { bytes: vec![0; HEADER], begin_ns, end_ns: begin_ns }
    }

    /// Bytes so far.
    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    /// It has no events.
    pub fn is_empty(&self) -> bool {
        self.bytes.len() == HEADER
    }

    /// The time of the last event.
    pub fn end_ns(&self) -> u64 {
        self.end_ns
    }

    /// Begins an event.
    pub fn event(&mut self, id: u16, time_ns: u64) {
        if self.is_empty() {
            self.begin_ns = time_ns;
        }
        self.end_ns = time_ns;
        self.put(&id.to_le_bytes());
        self.word(time_ns);
    }

    /// Appends bytes of an event.
    pub fn put(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// Appends 64 bits of an event.
    pub fn word(&mut self, word: u64) {
        self.put(&word.to_le_bytes());
    }

    /// The bytes of the packet. `discarded`: events that are missing so far from the stream.
    pub fn finish(&mut self, discarded: u64) -> &[u8] {
        let bits = self.bytes.len() as u64 * 8;
        let numbers = [self.begin_ns, self.end_ns, bits, bits, discarded];
        let (fixed, words) = self.bytes[..HEADER].split_at_mut(24);
        fixed[..4].copy_from_slice(&MAGIC.to_le_bytes());
        fixed[4..20].copy_from_slice(&UUID);
        for (place, number) in words.chunks_exact_mut(8).zip(numbers) {
            place.copy_from_slice(&number.to_le_bytes());
        }
        &self.bytes
    }

    /// Empties the packet.
    pub fn clear(&mut self) {
        self.bytes.truncate(HEADER);
        self.begin_ns = self.end_ns;
    }
}
