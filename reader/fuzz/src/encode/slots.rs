//! The slots of stacks and modules.

use mallook_format::{
    MAX_KEEP, MODULE_BYTES, MORE_SITES, ModuleField, ModuleSlot, STACK_SITES, Site, Slot,
    StackSlot, module_more, stack_more,
};

use super::process::Module;

/// The slots that define a stack, with a number, after this last one.
pub fn definition(last: &[u32], stack: &[u32], number: u8, fewer: usize) -> Vec<Slot> {
    let same = last.iter().zip(stack).take_while(|(one, other)| one == other).count();
    let keep = same.saturating_sub(fewer).min(MAX_KEEP);
    let new: Vec<Site> = stack[keep..].iter().copied().map(Site).collect();
    // The innermost sites stand in the last slot.
    let outer = new.len().saturating_sub(STACK_SITES).next_multiple_of(MORE_SITES).min(new.len());
    let (more, own) = new.split_at(outer);
    let mut slots: Vec<Slot> = more
        .chunks(MORE_SITES)
        .map(|part| {
            let mut sites = [Site::NONE; MORE_SITES];
            sites[..part.len()].copy_from_slice(part);
            stack_more(&sites)
        })
        .collect();
    let mut sites = [Site::NONE; STACK_SITES];
    sites[..own.len()].copy_from_slice(own);
    slots.push(StackSlot { number, keep: keep as u16, sites }.slot());
    slots
}

/// The slots that list a module.
pub fn module_slots(number: u32, module: &Module) -> Vec<Slot> {
    let padded = |bytes: &[u8]| {
        let mut padded = [0; MODULE_BYTES];
        padded[..bytes.len()].copy_from_slice(bytes);
        padded
    };
    let seen = [&module.generation.to_le_bytes()[..], &super::START.to_le_bytes()].concat();
    let build_id = [&[module.build_id.len() as u8][..], &module.build_id].concat();
    let mut more = vec![
        module_more(ModuleField::Bias, &padded(&module.bias.to_le_bytes())),
        module_more(ModuleField::Seen, &padded(&seen)),
    ];
    for (field, bytes) in [(ModuleField::BuildId, &build_id), (ModuleField::Path, &module.path)] {
        more.extend(bytes.chunks(MODULE_BYTES).map(|part| module_more(field, &padded(part))));
    }
    let (start, pages, count) = (module.start, module.pages, more.len() as u8);
    let mut slots = vec![ModuleSlot { module: number, start, pages, more: count }.slot()];
    slots.append(&mut more);
    slots
}
