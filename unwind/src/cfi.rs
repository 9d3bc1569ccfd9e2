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
    /// What this unwinder does not follow: another register, or an expression of others.
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
const REMEMBERED: usize = 6;

/// A rule of a row, small: expressions are kept as distances from `Program::origin`.
#[derive(Clone, Copy)]
enum Rule {
    Same,
    Undefined,
    Register(u16, i32),
    AtCfa(i32),
    IsCfa(i32),
    AtExpression(i32),
    IsExpression(i32),
    Other,
}

/// The columns that are followed.
#[derive(Clone, Copy)]
struct Rules {
    cfa: Rule,
    bp: Rule,
    sp: Rule,
    pc: Rule,
}

struct Program<'a> {
    fde: &'a Fde<'a>,
    memory: Memory<'a>,
    rules: Rules,
    /// What the first instructions say, for `restore`.
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

/// The row of an address in the range of an entry. `memory` holds the entry's expressions.
pub fn row(fde: &Fde, memory: Memory, address: usize) -> Option<Row> {
    let none = Rules { cfa: Rule::Other, bp: Rule::Same, sp: Rule::Same, pc: Rule::Same };
    let mut program = Program {
        fde,
        memory,
        rules: none,
        initial: none,
        remembered: [none; REMEMBERED],
        depth: 0,
        location: fde.start,
    };
    program.run(fde.first, address)?;
    program.initial = program.rules;
    program.run(fde.rest, address)?;
    let Rules { cfa, bp, sp, pc } = program.rules;
    let cfa = match cfa {
        Rule::Register(column, offset) => {
            base(column.into()).map(|base| Value { base, offset: offset.into() })
        }
        Rule::IsExpression(at) => program.expression(at, address, None),
        _ => None,
    };
    Some(Row {
        cfa,
        bp: program.place(bp, address),
        sp: program.place(sp, address),
        pc: program.place(pc, address),
    })
}

fn base(column: u64) -> Option<Base> {
    match column {
        SP => Some(Base::Sp),
        BP => Some(Base::Bp),
        _ => None,
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
                self.set(low.into(), Rule::AtCfa(offset));
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
                self.set(column, Rule::AtCfa(offset));
            }
            // restore_extended, undefined, same_value
            0x06 => self.restore(code.uleb()?),
            0x07 => self.set(code.uleb()?, Rule::Undefined),
            0x08 => self.set(code.uleb()?, Rule::Same),
            // register
            0x09 => {
                let (column, _) = (code.uleb()?, code.uleb()?);
                self.set(column, Rule::Other);
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
                self.rules.cfa = Rule::Register(u16::try_from(column).ok()?, offset);
            }
            0x0d => {
                let column = u16::try_from(code.uleb()?).ok()?;
                let Rule::Register(_, offset) = self.rules.cfa else { return None };
                self.rules.cfa = Rule::Register(column, offset);
            }
            0x0e | 0x13 => {
                let offset = self.cfa_offset(low == 0x13, code)?;
                let Rule::Register(column, _) = self.rules.cfa else { return None };
                self.rules.cfa = Rule::Register(column, offset);
            }
            // def_cfa_expression
            0x0f => self.rules.cfa = Rule::IsExpression(self.skip_expression(code)?),
            // expression, val_expression
            0x10 | 0x16 => {
                let column = code.uleb()?;
                let at = self.skip_expression(code)?;
                let rule =
                    if low == 0x10 { Rule::AtExpression(at) } else { Rule::IsExpression(at) };
                self.set(column, rule);
            }
            // val_offset, its signed form
            0x14 | 0x15 => {
                let column = code.uleb()?;
                let offset = if low == 0x14 { code.uleb()? as i64 } else { code.sleb()? };
                let offset = self.factored(offset)?;
                self.set(column, Rule::IsCfa(offset));
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

    fn factored(&self, offset: i64) -> Option<i32> {
        i32::try_from(offset.checked_mul(self.fde.data_factor)?).ok()
    }

    fn cfa_offset(&self, signed: bool, code: &mut Cursor) -> Option<i32> {
        if signed { self.factored(code.sleb()?) } else { i32::try_from(code.uleb()?).ok() }
    }

    /// Passes over an expression; where its length stands.
    fn skip_expression(&self, code: &mut Cursor) -> Option<i32> {
        let at = code.address().wrapping_sub(self.memory.start());
        let length = code.uleb()?;
        code.split(length)?;
        i32::try_from(at).ok()
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

    fn expression(&self, at: i32, address: usize, initial: Option<Value>) -> Option<Value> {
        let mut code = self.memory.from(self.memory.start().wrapping_add(at as usize))?;
        let length = code.uleb()?;
        expression::evaluate(code.split(length)?, address, initial)
    }

    fn place(&self, rule: Rule, address: usize) -> Place {
        let cfa = |offset: i32| Value { base: Base::Cfa, offset: offset.into() };
        let value = |at| self.expression(at, address, Some(cfa(0)));
        match rule {
            Rule::Same => Place::Same,
            Rule::Undefined => Place::Undefined,
            Rule::AtCfa(offset) => Place::At(cfa(offset)),
            Rule::IsCfa(offset) => Place::Is(cfa(offset)),
            Rule::AtExpression(at) => value(at).map_or(Place::Other, Place::At),
            Rule::IsExpression(at) => value(at).map_or(Place::Other, Place::Is),
            Rule::Register(..) | Rule::Other => Place::Other,
        }
    }
}
