//! Runs the instructions of a frame description up to an address: where the canonical frame
//! address, the return address and the saved frame pointer are there.

use crate::bytes::{Cursor, Memory};
use crate::eh_frame::Fde;
use crate::expression::{self, BP, Base, SP, Value};

/// Where a register's value in the calling frame is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// In the register still.
    Same,
    /// Nowhere.
    Undefined,
    /// In memory, there.
    At(Value),
    /// It is this value.
    Is(Value),
    /// A place that this unwinder does not follow: another register, or an expression of others.
    Other,
}

/// The row of an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Row {
    /// The canonical frame address: the caller's stack pointer.
    pub cfa: Option<Value>,
    /// The frame pointer.
    pub bp: Place,
    /// The stack pointer; [`Place::Same`] where nothing is said, which means the CFA.
    pub sp: Place,
    /// The return address.
    pub pc: Place,
}

/// Rows that are remembered at once. Compilers need two.
const REMEMBERED: usize = 4;

/// A rule of a row, small, since a program keeps several rows on a stack that is not ours: a kind
/// and a number.
#[derive(Clone, Copy, PartialEq)]
struct Rule(u32);

const KIND_BITS: u32 = 4;
const SAME: u32 = 0;
const UNDEFINED: u32 = 1;
/// Of the CFA: a register and an offset.
const SP_AND: u32 = 2;
const BP_AND: u32 = 3;
const OTHER_AND: u32 = 4;
/// Of a register: stored at the CFA and an offset, or that itself.
const AT_CFA: u32 = 5;
const IS_CFA: u32 = 6;
/// The same by an expression, of which the number says where it is.
const AT_EXPRESSION: u32 = 7;
const IS_EXPRESSION: u32 = 8;
const OTHER: u32 = 9;

impl Rule {
    const fn plain(kind: u32) -> Rule {
        Rule(kind)
    }

    /// A kind with a number, if that is not too large.
    fn with(kind: u32, number: i64) -> Option<Rule> {
        let shifted = i32::try_from(number).ok()?.checked_mul(1 << KIND_BITS)?;
        Some(Rule(shifted as u32 | kind))
    }

    fn kind(self) -> u32 {
        self.0 & ((1 << KIND_BITS) - 1)
    }

    fn number(self) -> i64 {
        (self.0 as i32 >> KIND_BITS).into()
    }
}

/// The columns that are followed, as the program has left them.
#[derive(Clone, Copy)]
pub struct Rules {
    cfa: Rule,
    bp: Rule,
    sp: Rule,
    pc: Rule,
}

struct Program<'a> {
    fde: &'a Fde<'a>,
    /// Where the memory starts that expressions are in.
    origin: usize,
    rules: Rules,
    /// The rules of the first instructions, for `restore`.
    initial: Rules,
    remembered: [Rules; REMEMBERED],
    depth: usize,
    location: usize,
}

/// Where the run stands.
#[derive(PartialEq)]
enum Run {
    On,
    /// The next row starts behind the address.
    Arrived,
}

/// Runs the program of the entry at `place` up to an address: the rules, and whether the kernel
/// made the frame. `None` if the entry is not for this address.
#[inline(never)]
pub fn run(place: usize, memory: Memory, address: usize) -> Option<(Rules, bool)> {
    let fde = Fde::parse(memory, place)?;
    if address < fde.start || fde.end <= address {
        return None;
    }
    let rules = execute(&fde, memory, address)?;
    Some((rules, fde.is_signal))
}

/// Apart from the parsing: each takes some of the host's stack.
#[inline(never)]
fn execute(fde: &Fde, memory: Memory, address: usize) -> Option<Rules> {
    let same = Rule::plain(SAME);
    let none = Rules { cfa: Rule::plain(OTHER), bp: same, sp: same, pc: same };
    let mut program = Program {
        fde,
        origin: memory.start(),
        rules: none,
        initial: none,
        remembered: [none; REMEMBERED],
        depth: 0,
        location: fde.start,
    };
    program.run(fde.first, address)?;
    program.initial = program.rules;
    program.run(fde.rest, address)?;
    Some(program.rules)
}

/// The row that rules mean at an address. `memory` is that of the program.
#[inline(never)]
pub fn row(rules: &Rules, memory: Memory, address: usize) -> Row {
    let Rules { cfa, bp, sp, pc } = *rules;
    let from = |base| Some(Value { base, offset: cfa.number() });
    let cfa = match cfa.kind() {
        SP_AND => from(Base::Sp),
        BP_AND => from(Base::Bp),
        IS_EXPRESSION => expression(cfa, memory, address, None),
        _ => None,
    };
    let place = |rule| place(rule, memory, address);
    Row { cfa, bp: place(bp), sp: place(sp), pc: place(pc) }
}

fn expression(rule: Rule, memory: Memory, address: usize, initial: Option<Value>) -> Option<Value> {
    let place = memory.start().checked_add(usize::try_from(rule.number()).ok()?)?;
    let mut code = memory.from(place)?;
    let length = code.uleb()?;
    expression::evaluate(code.split(length)?, address, initial)
}

fn place(rule: Rule, memory: Memory, address: usize) -> Place {
    let cfa = |offset| Value { base: Base::Cfa, offset };
    match rule.kind() {
        SAME => Place::Same,
        UNDEFINED => Place::Undefined,
        AT_CFA => Place::At(cfa(rule.number())),
        IS_CFA => Place::Is(cfa(rule.number())),
        kind @ (AT_EXPRESSION | IS_EXPRESSION) => {
            match (expression(rule, memory, address, Some(cfa(0))), kind) {
                (None, _) => Place::Other,
                (Some(value), AT_EXPRESSION) => Place::At(value),
                (Some(value), _) => Place::Is(value),
            }
        }
        _ => Place::Other,
    }
}

/// The kind of a CFA that is this register and an offset.
fn of_column(column: u64) -> u32 {
    match column {
        SP => SP_AND,
        BP => BP_AND,
        _ => OTHER_AND,
    }
}

impl Program<'_> {
    fn run(&mut self, mut code: Cursor, address: usize) -> Option<()> {
        while !code.is_at_end() {
            if self.step(&mut code, address)? == Run::Arrived {
                break;
            }
        }
        Some(())
    }

    fn step(&mut self, code: &mut Cursor, address: usize) -> Option<Run> {
        let byte: u8 = code.take()?;
        let low = byte & 0x3f;
        match byte >> 6 {
            1 => return self.advance(low.into(), address),
            2 => {
                let offset = self.factored(code.uleb()? as i64)?;
                self.set(low.into(), Rule::with(AT_CFA, offset)?);
                return Some(Run::On);
            }
            3 => {
                self.restore(low.into());
                return Some(Run::On);
            }
            _ => {}
        }
        match low {
            // nop
            0x00 => {}
            // set_loc, advance_loc1, 2, 4
            0x01 => {
                let to = code.pointer(self.fde.encoding, 0)?;
                if to > address {
                    return Some(Run::Arrived);
                }
                self.location = to;
            }
            0x02 => return self.advance(code.take::<u8>()?.into(), address),
            0x03 => return self.advance(code.take::<u16>()?.into(), address),
            0x04 => return self.advance(code.take::<u32>()?.into(), address),
            // offset_extended, its signed form, and GNU_negative_offset_extended
            0x05 | 0x11 | 0x2f => {
                let column = code.uleb()?;
                let offset = match low {
                    0x05 => code.uleb()? as i64,
                    0x11 => code.sleb()?,
                    _ => (code.uleb()? as i64).wrapping_neg(),
                };
                let offset = self.factored(offset)?;
                self.set(column, Rule::with(AT_CFA, offset)?);
            }
            // restore_extended, undefined, same_value
            0x06 => self.restore(code.uleb()?),
            0x07 => self.set(code.uleb()?, Rule::plain(UNDEFINED)),
            0x08 => self.set(code.uleb()?, Rule::plain(SAME)),
            // register
            0x09 => {
                let (column, _) = (code.uleb()?, code.uleb()?);
                self.set(column, Rule::plain(OTHER));
            }
            // remember_state, restore_state
            0x0a => {
                *self.remembered.get_mut(self.depth)? = self.rules;
                self.depth += 1;
            }
            0x0b => {
                self.depth = self.depth.checked_sub(1)?;
                self.rules = *self.remembered.get(self.depth)?;
            }
            // def_cfa, def_cfa_register, def_cfa_offset, and the signed forms
            0x0c | 0x12 => {
                let column = code.uleb()?;
                let offset = self.cfa_offset(low == 0x12, code)?;
                self.rules.cfa = Rule::with(of_column(column), offset)?;
            }
            0x0d => {
                let column = code.uleb()?;
                self.rules.cfa = Rule::with(of_column(column), self.offset()?)?;
            }
            0x0e | 0x13 => {
                let offset = self.cfa_offset(low == 0x13, code)?;
                self.offset()?;
                self.rules.cfa = Rule::with(self.rules.cfa.kind(), offset)?;
            }
            // def_cfa_expression
            0x0f => self.rules.cfa = self.expression(IS_EXPRESSION, code)?,
            // expression, val_expression
            0x10 | 0x16 => {
                let column = code.uleb()?;
                let kind = if low == 0x10 { AT_EXPRESSION } else { IS_EXPRESSION };
                let rule = self.expression(kind, code)?;
                self.set(column, rule);
            }
            // val_offset, its signed form
            0x14 | 0x15 => {
                let column = code.uleb()?;
                let offset = if low == 0x14 { code.uleb()? as i64 } else { code.sleb()? };
                let offset = self.factored(offset)?;
                self.set(column, Rule::with(IS_CFA, offset)?);
            }
            // GNU_window_save, which SPARC has; GNU_args_size
            0x2d => {}
            0x2e => drop(code.uleb()?),
            _ => return None,
        }
        Some(Run::On)
    }

    fn advance(&mut self, by: u64, address: usize) -> Option<Run> {
        let by = usize::try_from(by.checked_mul(self.fde.code_factor)?).ok()?;
        let to = self.location.checked_add(by)?;
        if to > address {
            return Some(Run::Arrived);
        }
        self.location = to;
        Some(Run::On)
    }

    fn factored(&self, offset: i64) -> Option<i64> {
        offset.checked_mul(self.fde.data_factor)
    }

    fn cfa_offset(&self, signed: bool, code: &mut Cursor) -> Option<i64> {
        if signed { self.factored(code.sleb()?) } else { i64::try_from(code.uleb()?).ok() }
    }

    /// The offset of a CFA that is a register and an offset.
    fn offset(&self) -> Option<i64> {
        let is_plain = matches!(self.rules.cfa.kind(), SP_AND | BP_AND | OTHER_AND);
        is_plain.then_some(self.rules.cfa.number())
    }

    /// Passes over an expression, of which a rule of this kind keeps the place.
    fn expression(&self, kind: u32, code: &mut Cursor) -> Option<Rule> {
        let at = code.address().wrapping_sub(self.origin);
        let length = code.uleb()?;
        code.split(length)?;
        Rule::with(kind, i64::try_from(at).ok()?)
    }

    fn column(rules: &mut Rules, column: u64, return_column: u64) -> Option<&mut Rule> {
        match column {
            BP => Some(&mut rules.bp),
            SP => Some(&mut rules.sp),
            _ if column == return_column => Some(&mut rules.pc),
            _ => None,
        }
    }

    fn set(&mut self, column: u64, rule: Rule) {
        if let Some(place) = Self::column(&mut self.rules, column, self.fde.return_column) {
            *place = rule;
        }
    }

    fn restore(&mut self, column: u64) {
        let mut initial = self.initial;
        let rule = Self::column(&mut initial, column, self.fde.return_column).map(|rule| *rule);
        if let Some(rule) = rule {
            self.set(column, rule);
        }
    }
}
