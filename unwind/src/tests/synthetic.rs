//! Stacks that no program has: laid out at random by rules of all kinds, changed at random, and captured
//! after each change. What is captured is what a walk finds that keeps nothing.

use super::Plain;
use super::hostile::Random;
use crate::rule::{Rule, context, kind};
use crate::{Registers, Site, Thread, Unwinder, walk};

/// Rules of all kinds, each at a few addresses. No code is there: nobody looks.
struct Code {
    unwinder: Unwinder,
    rules: Vec<Rule>,
}

const FIRST: usize = 0x10_0000;
const APART: usize = 64;
/// Addresses of a rule.
const EACH: usize = 3;

fn words_below(slot: u32) -> u32 {
    slot << 21
}

fn aligned(kind: u32, place: i32, add: u32) -> u32 {
    kind | ((place as u32 & 0x1fff) << 3) | (add << 16)
}

impl Code {
    fn new() -> Code {
        let mut rules: Vec<Rule> = vec![Rule::GUESS, Rule::SIGNAL];
        for words in [1, 2, 3, 4, 6] {
            rules.push(Rule(kind::SP | (words * 8)));
            rules.extend(
                (2..=words.min(3)).map(|slot| Rule(kind::SP | (words * 8) | words_below(slot))),
            );
        }
        rules.extend([2, 3].map(|slot| Rule(kind::BP | (slot * 8) | words_below(slot))));
        for (place, add) in [(1, 0), (2, 1)] {
            rules.push(Rule(aligned(kind::AT_SP, place, add)));
            rules.push(Rule(aligned(kind::AT_SP, place, add) | words_below(2)));
        }
        rules.push(Rule(aligned(kind::AT_BP, -1, 0) | words_below(2)));
        rules.push(Rule(aligned(kind::AT_BP_LINKED, -1, 0)));
        rules.push(Rule(aligned(kind::AT_BP_LINKED, 1, 2)));
        rules.extend([Rule::END, Rule::NO_RULE]);
        let unwinder = Unwinder::new();
        for (at, rule) in rules.iter().flat_map(|rule| [*rule; EACH]).enumerate() {
            unwinder.tell(&Plain, FIRST + at * APART, rule);
        }
        Code { unwinder, rules }
    }

    /// A return address with a rule, and the rule.
    fn any(&self, random: &mut Random) -> (usize, Rule) {
        // The last two end a stack.
        let at = random.below((self.rules.len() - 2) * EACH);
        (FIRST + at * APART + 1, self.rules[at / EACH])
    }

    fn end(&self) -> usize {
        FIRST + (self.rules.len() - 2) * EACH * APART + 1
    }
}

/// Words that are taken for a stack.
#[derive(Clone, Copy)]
struct Words {
    low: usize,
    high: usize,
}

impl Words {
    fn put(&self, address: usize, word: usize) {
        assert!(self.low <= address && address + 8 <= self.high && address.is_multiple_of(8));
        // SAFETY: within words of the test's.
        unsafe { (address as *mut usize).write_volatile(word) }
    }
}

/// A frame inside of this one: the words of its step are written.
fn call(
    code: &Code,
    random: &mut Random,
    stacks: [Words; 2],
    outer: Registers,
) -> Option<Registers> {
    let (pc, rule) = code.any(random);
    let home = |sp: usize| stacks.into_iter().find(|words| words.low < sp && sp <= words.high);
    let words = home(outer.sp)?;
    let (cfa, room) = (outer.sp, random.below(3) * 8);
    if cfa < words.low + 512 {
        return None;
    }
    let at = match rule.kind() {
        kind::SIGNAL => {
            // Where the interrupted code goes on, or on the other stack.
            let other = stacks[random.below(2)];
            let is_here = other.low == words.low;
            let sp = if is_here { cfa } else { other.low + 2048 } - context::LENGTH - room;
            let own = if is_here { words } else { other };
            own.put(sp + context::BP, outer.bp);
            own.put(sp + context::SP, outer.sp);
            own.put(sp + context::PC, outer.pc - 1);
            return Some(Registers { pc, sp, bp: random.below(2) * outer.bp });
        }
        kind::SP => Registers { pc, sp: cfa - rule.offset(), bp: outer.bp },
        kind::BP | kind::GUESS => {
            let bp = cfa - rule.offset();
            Registers { pc, sp: bp - room, bp }
        }
        kind::AT_SP => {
            let sp = cfa - 64 - room;
            words.put(sp + rule.place() as usize, cfa - rule.add());
            Registers { pc, sp, bp: outer.bp }
        }
        _ => {
            let bp = cfa - 64 + random.below(3) * 8;
            words.put(bp.wrapping_add_signed(rule.place()), cfa - rule.add());
            if rule.kind() == kind::AT_BP_LINKED {
                words.put(bp, outer.bp);
            }
            Registers { pc, sp: bp - 8 - room, bp }
        }
    };
    words.put(cfa - 8, outer.pc);
    if rule.slot() == 0 {
        return Some(at);
    }
    words.put(cfa - rule.slot(), outer.bp);
    // A frame that saves the frame pointer may have anything in the register.
    let keeps = rule.uses_bp() || random.below(2) == 0;
    Some(if keeps { at } else { Registers { bp: random.below(4) * 1000 + outer.bp, ..at } })
}

struct Compared {
    events: usize,
    kept: usize,
    frames: usize,
}

/// A number of events on these stacks, the first of which is that of the thread at first.
fn compare(seed: u64, events: usize, stacks: [Words; 2]) -> Compared {
    let (code, mut random) = (Code::new(), Random(seed));
    // SAFETY: all zero is a new one.
    let thread = unsafe { Box::<Thread>::new_zeroed().assume_init() };
    let outermost = Registers { pc: code.end(), sp: stacks[0].high - 64, bp: 0 };
    let (mut frames, mut plain) = (vec![outermost], vec![Site(0); 8192]);
    let mut sums = Compared { events: 0, kept: 0, frames: 0 };
    for event in 0..events {
        let returns = match random.below(10) {
            0 => random.below(frames.len()),
            _ => random.below(4).min(frames.len() - 1),
        };
        frames.truncate(frames.len() - returns);
        for _ in 0..random.below(if frames.len() < 40 { 6 } else { 3 }) {
            frames.extend(call(&code, &mut random, stacks, *frames.last().unwrap()));
        }
        let at = *frames.last().unwrap();
        let words = stacks[usize::from(!(stacks[0].low..=stacks[0].high).contains(&at.sp))];
        if random.below(8) == 0 && at.sp + 64 < words.high {
            // Somebody writes a word that may matter.
            let place = at.sp + random.below((words.high - at.sp).min(2048) / 8) * 8;
            let value = match random.below(4) {
                0 => 0,
                1 => words.low + random.below((words.high - words.low) / 8) * 8,
                _ => code.any(&mut random).0,
            };
            words.put(place, value);
        }
        // SAFETY: this thread's.
        let mut turn = unsafe { thread.turn(&Plain, at.sp) }.unwrap();
        // SAFETY: all that steps read is within words of the test's.
        let kept = unsafe { turn.capture(&code.unwinder, &Plain, at) };
        // SAFETY: likewise.
        let length = unsafe { walk(&code.unwinder, &Plain, at, &mut plain) };
        let (ours, mut theirs) = (turn.sites(), plain[..length].to_vec());
        theirs.reverse();
        if ours[0] == Site::CUT {
            // A circle of signals' frames.
            assert!(theirs.ends_with(&ours[1..]), "seed {seed}, event {event}");
        } else {
            assert_eq!(ours, theirs, "seed {seed}, event {event}: {at:x?}");
        }
        assert_eq!(turn.hash(), crate::hash_of(ours));
        sums.events += 1;
        sums.kept += kept;
        sums.frames += ours.len();
    }
    sums
}

fn mapped() -> Words {
    let (none, page, length) = (std::ptr::null_mut(), 4096, 1 << 16);
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
    // SAFETY: a fresh mapping.
    let place = unsafe { libc::mmap(none, length + 2 * page, libc::PROT_NONE, flags, -1, 0) };
    assert_ne!(place, libc::MAP_FAILED);
    let low = place as usize + page;
    // SAFETY: the middle of it.
    let result =
        unsafe { libc::mprotect(low as *mut _, length, libc::PROT_READ | libc::PROT_WRITE) };
    assert_eq!(result, 0);
    Words { low, high: low + length }
}

/// The number of seeds is `MALLOOK_SEEDS`, 4 if that is not set.
#[test]
fn any_stack_is_what_a_walk_finds() {
    let seeds = std::env::var("MALLOOK_SEEDS").map_or(4, |it| it.parse().unwrap());
    let (first, second) = (mapped(), mapped());
    let mut all = Compared { events: 0, kept: 0, frames: 0 };
    for seed in 0..seeds {
        // One of them is the thread's own each second time.
        let mut words = [0usize; 8192];
        let low = words.as_mut_ptr() as usize;
        let own = Words { low, high: low + size_of_val(&words) };
        let stacks = match seed % 4 {
            0 => [own, first],
            1 => [first, own],
            2 => [first, second],
            _ => [second, first],
        };
        let sums = compare(seed, 600, stacks);
        all.events += sums.events;
        all.kept += sums.kept;
        all.frames += sums.frames;
    }
    println!("{} events, {} frames, {} kept", all.events, all.frames, all.kept);
    assert!(all.frames > 5 * all.events && all.kept * 4 > all.frames);
}
