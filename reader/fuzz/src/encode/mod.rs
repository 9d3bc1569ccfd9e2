//! A second, slow implementation of the format: traces with call stacks, pauses and marks, as any recorder
//! might write them. It knows the specification and nothing of the reader.

use std::collections::{BTreeMap, BTreeSet};

use mallook_format::{
    BLOCK_SIZE, BlockHeader, BlockKind, CONTROL_OFFSET, CURSOR_OFFSET, Clock, Control, FileHeader,
    Kind, MAGIC, MARK_OFFSET, MARK_SIZE, MARKS, MARKS_OFFSET, MAX_STACK, Mark, Mode, OPENED_OFFSET,
    PARITY_SHIFT, PAUSED_OFFSET, PAUSES_OFFSET, Phase, SLOT_SIZE, SLOTS, STACK_SHIFT, Site,
    SiteSlot, Slot, Stacks, State, VERSION, WRITERS_OFFSET,
};

pub use process::{Module, Moment, Place, Process, Way};
use slots::{definition, module_slots};

mod process;
mod slots;

/// Ticks are nanoseconds, from this one on.
pub const START: u64 = 1_000_000_000_000;

/// A use of a block.
struct Use {
    claim: u64,
    kind: BlockKind,
    parity: u64,
    owner: u64,
    thread: u32,
    base: u64,
    slots: Vec<Slot>,
    /// The stacks that its slots have given numbers to.
    numbers: BTreeMap<u8, Vec<u32>>,
    next_number: u8,
    last: Vec<u32>,
    totals: [u64; 2],
    is_open: bool,
    /// The moments and markers in it.
    moments: Vec<usize>,
    /// The number of those that are no markers.
    calls: u64,
}

/// A trace that is being written.
pub struct Encoder {
    process: Process,
    /// The uses of each place, the newest one last.
    places: BTreeMap<u64, Vec<Use>>,
    claims: u64,
    site_places: Vec<Use>,
    /// The place of each thread's block.
    current: BTreeMap<u32, u64>,
    threads: BTreeSet<u32>,
    listed: BTreeSet<u32>,
    listed_modules: BTreeSet<u32>,
    ticks: u64,
    count: usize,
    pauses: u64,
    /// When the pause began that has not ended, or 0.
    paused: u64,
}

impl Encoder {
    pub fn new(process: Process) -> Encoder {
        Encoder {
            process,
            places: BTreeMap::new(),
            claims: 0,
            site_places: Vec::new(),
            current: BTreeMap::new(),
            threads: BTreeSet::new(),
            listed: BTreeSet::new(),
            listed_modules: BTreeSet::new(),
            ticks: START,
            count: 0,
            pauses: 0,
            paused: 0,
        }
    }

    /// Writes a trace, and says which of the moments are in it.
    pub fn encode(process: Process, moments: &[Moment]) -> (Vec<u8>, Vec<usize>) {
        let mut encoder = Encoder::new(process);
        moments.iter().for_each(|moment| encoder.add(moment));
        encoder.finish()
    }

    /// The place of a claim.
    fn place(&self, claim: u64) -> u64 {
        1 + self.process.ring.map_or(claim, |ring| claim % ring)
    }

    /// Claims a block; a use that stands in it is over.
    fn claim(&mut self, kind: BlockKind, thread: u32) -> u64 {
        let place = self.place(self.claims);
        self.current.retain(|_, its| *its != place);
        let uses = self.places.entry(place).or_default();
        let mut totals = [0; 2];
        let mut parity = 1;
        if let Some(last) = uses.last_mut() {
            last.close();
            totals = last.totals;
            parity = last.parity ^ 1;
        }
        self.ticks += 1;
        uses.push(Use {
            claim: self.claims,
            kind,
            parity,
            owner: u64::from(thread) | (self.claims + 1) << 32,
            thread,
            base: self.ticks,
            slots: Vec::new(),
            numbers: BTreeMap::new(),
            next_number: 1,
            last: Vec::new(),
            totals,
            is_open: true,
            moments: Vec::new(),
            calls: 0,
        });
        self.claims += 1;
        place
    }

    fn newest(&mut self, place: u64) -> &mut Use {
        self.places.get_mut(&place).and_then(|uses| uses.last_mut()).expect("it was claimed")
    }

    /// Writes a moment, and all that is to be written before it.
    pub fn add(&mut self, moment: &Moment) {
        self.threads.insert(moment.thread);
        for &site in &moment.stack {
            self.list(site);
        }
        if let Some(heir_of) = moment.way.heir_of.filter(|other| *other != moment.thread)
            && let Some(place) = self.current.remove(&heir_of)
        {
            let name = Slot::prefix(Kind::Name, 0, 0x6969);
            let owner = Slot::prefix(Kind::Thread, 0, moment.thread.into());
            let block = self.newest(place);
            if block.slots.len() + 3 <= SLOTS {
                block.slots.extend([owner, name, Slot::prefix(Kind::Name, 1, 0)]);
                (block.thread, block.next_number) = (moment.thread, 1);
                block.numbers.clear();
                block.last.clear();
                self.current.insert(moment.thread, place);
            }
        }
        let known = self.current.get(&moment.thread).copied();
        let mut place = known.filter(|_| !moment.way.block);
        self.ticks += 3;
        for _ in 0..2 {
            let at = match place {
                Some(place) => place,
                None => self.claim(BlockKind::Events, moment.thread),
            };
            self.current.insert(moment.thread, at);
            let (ticks, number) = (self.ticks, self.count);
            if self.newest(at).write(moment, ticks, number) {
                break;
            }
            place = None;
        }
        if moment.kind == Kind::Paused as u8 {
            (self.pauses, self.paused) = (self.pauses + 1, self.ticks);
        } else if moment.kind == Kind::Resumed as u8 {
            self.paused = 0;
        }
        self.count += 1;
    }

    /// Lists a site and its module, if they are not.
    fn list(&mut self, site: u32) {
        if site < Site::FIRST.0 || !self.listed.insert(site) {
            return;
        }
        let unknown = Place { address: 0x40_0000 + u64::from(site) * 16, kind: 0, module: 0 };
        let place = self.process.places.get(&site).copied().unwrap_or(unknown);
        let mut slots = Vec::new();
        if place.module != 0 && self.listed_modules.insert(place.module) {
            let module = &self.process.modules[place.module as usize - 1];
            slots.extend(module_slots(place.module, module));
        }
        let Place { address, kind, module } = place;
        slots.push(SiteSlot { site: Site(site), address, kind, module }.slot());
        self.write_sites(&slots);
    }

    /// Writes slots of sites, which stand together.
    pub fn write_sites(&mut self, slots: &[Slot]) {
        let has_room = |block: &Use| block.slots.len() + slots.len() <= SLOTS;
        if self.process.ring.is_some() {
            if !self.site_places.last().is_some_and(has_room) {
                let claim = self.site_places.len() as u64;
                self.site_places.push(Use::of_sites(claim, self.ticks));
            }
            self.site_places.last_mut().expect("just made").slots.extend_from_slice(slots);
            return;
        }
        let sites = |uses: &&mut Vec<Use>| uses[0].kind == BlockKind::Sites && has_room(&uses[0]);
        if self.places.values_mut().rfind(sites).is_none() {
            self.claim(BlockKind::Sites, 1);
        }
        let sites = |uses: &&mut Vec<Use>| uses[0].kind == BlockKind::Sites && has_room(&uses[0]);
        let block = self.places.values_mut().rfind(sites).expect("just claimed");
        block[0].slots.extend_from_slice(slots);
    }

    /// The file, and the moments that are in it, in order of time.
    pub fn finish(self) -> (Vec<u8>, Vec<usize>) {
        let ring = self.process.ring;
        let blocks = ring.unwrap_or(self.claims);
        let site_start = if ring.is_some() { blocks + 3 } else { 0 };
        let header = FileHeader {
            magic: MAGIC,
            version: VERSION,
            header_size: BLOCK_SIZE as u32,
            block_size: BLOCK_SIZE as u32,
            slot_size: SLOT_SIZE as u32,
            mode: if ring.is_some() { Mode::Ring } else { Mode::Full } as u32,
            clock: Clock::Monotonic as u32,
            ring_blocks: ring.unwrap_or(0),
            ticks: START,
            monotonic_ns: START,
            realtime_ns: 1_795_000_000_000_000_000,
            pid: 1,
            parent_pid: 1,
            page_size: 4096,
            site_start: site_start as u32,
            site_blocks: self.site_places.len() as u32,
            stacks: self.process.stacks.unwrap_or(Stacks::Full) as u32,
            ..bytemuck::Zeroable::zeroed()
        };
        let mut bytes = bytemuck::bytes_of(&header).to_vec();
        bytes[192..211].copy_from_slice(b"/opt/golden/program");
        bytes.resize(BLOCK_SIZE, 0);
        for (offset, word) in [
            (CURSOR_OFFSET, self.claims),
            (OPENED_OFFSET, self.claims),
            (WRITERS_OFFSET, self.threads.len() as u64),
            (CONTROL_OFFSET, if self.paused == 0 { 0 } else { Control::PAUSE }),
            (PAUSED_OFFSET, self.paused),
            (PAUSES_OFFSET, self.pauses),
            (MARKS_OFFSET, self.process.marks.len() as u64),
        ] {
            bytes[offset..offset + 8].copy_from_slice(&word.to_le_bytes());
        }
        for (place, (after, text)) in self.process.marks.iter().take(MARKS).enumerate() {
            let mark = Mark::new(START.wrapping_add(*after), text);
            let start = MARK_OFFSET + place * MARK_SIZE;
            bytes[start..start + MARK_SIZE].copy_from_slice(bytemuck::bytes_of(&mark));
        }
        let mut there = Vec::new();
        for place in 1..=blocks {
            let uses = self.places.get(&place).map_or(&[][..], |uses| uses);
            there.extend(uses.last().into_iter().flat_map(|last| &last.moments));
            bytes.extend(block(uses));
        }
        if !self.site_places.is_empty() {
            bytes.resize(site_start as usize * BLOCK_SIZE, 0);
            for sites in &self.site_places {
                bytes.extend(block(std::slice::from_ref(sites)));
            }
        }
        there.sort_unstable();
        (bytes, there)
    }
}

/// The bytes of a block after these uses.
fn block(uses: &[Use]) -> Vec<u8> {
    let mut slots = [Slot::default(); SLOTS];
    for each in uses {
        for (place, slot) in each.slots.iter().enumerate() {
            slots[place] = Slot { word0: slot.word0 | each.parity << PARITY_SHIFT, ..*slot };
        }
        if !each.is_open {
            slots[each.slots.len()..].fill(Slot::default());
        }
    }
    let Some(last) = uses.last() else { return vec![0; BLOCK_SIZE] };
    let phase = if last.is_open { Phase::Open } else { Phase::Closed };
    let header = BlockHeader {
        state: State { sequence: last.claim, parity: last.parity, phase }.word(),
        totals: last.totals,
        ident: BlockHeader::ident(last.kind),
        base_ticks: last.base,
        base_ns: last.base,
        owner: last.owner,
        name: [0; 2],
        reserved: [0; 7],
    };
    [bytemuck::bytes_of(&header), bytemuck::cast_slice(&slots)].concat()
}

impl Use {
    fn of_sites(claim: u64, base: u64) -> Use {
        Use {
            claim,
            kind: BlockKind::Sites,
            parity: 1,
            owner: 1,
            thread: 1,
            base,
            slots: Vec::new(),
            numbers: BTreeMap::new(),
            next_number: 1,
            last: Vec::new(),
            totals: [0; 2],
            is_open: true,
            moments: Vec::new(),
            calls: 0,
        }
    }

    fn close(&mut self) {
        let before = self.totals[(self.parity ^ 1) as usize];
        self.totals[self.parity as usize] = before + self.calls;
        self.is_open = false;
    }

    /// Writes a moment, with this number; `false` if there is no room.
    fn write(&mut self, moment: &Moment, ticks: u64, number: usize) -> bool {
        let mut slots = Vec::new();
        let (mut aux, mut next_number) = (moment.aux, self.next_number);
        let mut defines = None;
        if !moment.stack.is_empty() {
            let kind = Kind::from_raw(moment.kind).expect("a kind");
            let known = self.numbers.iter().find(|(_, stack)| **stack == moment.stack);
            let mut own = known.map(|(number, _)| *number).filter(|_| !moment.way.again);
            if own.is_none() {
                let defined = if moment.way.apart { 0 } else { self.next_number };
                slots.extend(definition(&self.last, &moment.stack, defined, moment.way.fewer));
                if defined != 0 {
                    own = Some(defined);
                    defines = own;
                    next_number = if defined == MAX_STACK { 1 } else { defined + 1 };
                }
            }
            match own {
                Some(own) if kind.has_stack_in_aux() && !moment.way.in_slot => {
                    aux |= own << STACK_SHIFT;
                }
                Some(own) => slots.push(Slot::prefix(Kind::StackOf, 0, own.into())),
                None => {}
            }
            if own.is_some() && slots.len() + 1 + self.slots.len() < SLOTS {
                self.last = moment.stack.clone();
            }
        }
        slots.push(Slot {
            word0: Slot::word0(Kind::from_raw(moment.kind).expect("a kind"), aux, moment.address),
            word1: Slot::word1(moment.size, (ticks - self.base) as u32),
        });
        let has_room = self.slots.len() + slots.len() <= SLOTS;
        if has_room {
            self.slots.append(&mut slots);
            self.moments.push(number);
            self.calls += u64::from(Kind::from_raw(moment.kind).is_some_and(Kind::is_moment));
            self.next_number = next_number;
            if let Some(number) = defines {
                self.numbers.insert(number, moment.stack.clone());
            }
        }
        has_room
    }
}
