//! Captures each event's stack and compares it with what others say.

use std::alloc::{Layout, alloc_zeroed};
use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

use mallook_unwind::{DEPTH, Kind, Registers, Site, Thread, Unwinder, walk};

use crate::event::listen;
use crate::host::Sites;
use crate::libunwind;

/// A thread's last stack, all zero.
pub fn thread() -> &'static Thread {
    // SAFETY: no size of zero.
    let zeros = unsafe { alloc_zeroed(Layout::new::<Thread>()) };
    // SAFETY: all zero is a new one; it is never given back.
    unsafe { &*zeros.cast::<Thread>() }
}

/// Whom a stack is compared with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Against {
    /// libunwind, and a walk without a past.
    All,
    /// A walk with a new unwinder, which has no cache at all.
    Fresh,
    /// As `All`, but a stack may end at an interrupted frame: its CFA may be in any register.
    Interrupted,
    /// Nobody.
    None,
}

/// The observations reported to a test.
#[derive(Default)]
pub struct Heard {
    pub events: usize,
    /// Frames that stood, and frames in all.
    pub kept: usize,
    pub frames: usize,
    /// Addresses of the first stacks, the innermost first.
    pub addresses: Vec<Vec<usize>>,
    /// The first stacks, the outermost site first.
    pub stacks: Vec<Vec<Site>>,
    /// Of the last stack.
    pub outermost: Option<Kind>,
    /// Stacks that are not complete.
    pub incomplete: usize,
    /// Of each stack, frames that stood, frames in all, and whether outer ones were dropped.
    pub each: Vec<(usize, usize, bool)>,
}

pub struct Recorder {
    pub unwinder: Arc<Unwinder>,
    pub sites: Arc<Sites>,
    thread: &'static Thread,
    before: Vec<Site>,
    /// Room for a walk.
    plain: Vec<Site>,
    /// The first stack.
    first: Vec<usize>,
    against: Against,
}

impl Recorder {
    pub fn new(against: Against) -> Recorder {
        let (unwinder, sites) = (Arc::new(Unwinder::new()), Arc::new(Sites::default()));
        Recorder {
            unwinder,
            sites,
            thread: thread(),
            before: Vec::new(),
            plain: vec![Site(0); DEPTH * 64],
            first: Vec::new(),
            against,
        }
    }

    /// Runs `work`; what was heard meanwhile.
    pub fn record(mut self, work: impl FnOnce()) -> Heard {
        let heard = Rc::new(RefCell::new(Heard::default()));
        let into = heard.clone();
        listen(move |at| self.hear(at, &mut into.borrow_mut()), work);
        heard.take()
    }

    fn hear(&mut self, at: Registers, heard: &mut Heard) {
        // SAFETY: each recorder listens in one thread.
        let mut turn = unsafe { self.thread.turn(&*self.sites, at.sp) }.unwrap();
        // SAFETY: the registers of the caller.
        let kept = unsafe { turn.capture(&self.unwinder, &*self.sites, at) };
        let sites = turn.sites();
        assert!(kept <= sites.len());
        assert!(self.before.get(..kept) == Some(&sites[..kept]), "outer sites are others");
        self.before = sites.to_vec();
        heard.events += 1;
        heard.kept += kept;
        heard.frames += sites.len();
        heard.each.push((kept, sites.len(), sites[0] == Site::CUT));
        let ours: Vec<usize> = sites.iter().rev().map(|site| self.sites.address(*site)).collect();
        let outermost = self.sites.get(sites[0]).map(|it| it.1);
        let sites = sites.to_vec();
        drop(turn);
        if heard.events == 1 {
            self.first = ours.clone();
        }
        self.compare(at, &ours, &sites, outermost);
        if heard.stacks.len() < 100 {
            heard.addresses.push(ours);
            heard.stacks.push(sites);
        }
        heard.incomplete += usize::from(outermost != Some(Kind::End));
        heard.outermost = outermost;
    }

    fn compare(&mut self, at: Registers, ours: &[usize], sites: &[Site], outermost: Option<Kind>) {
        let is_cut = sites[0] == Site::CUT;
        let ours = if is_cut { &ours[..ours.len() - 1] } else { ours };
        if self.against == Against::None {
            return;
        }
        if self.against == Against::Fresh {
            let (unwinder, sites) = (Unwinder::new(), Sites::default());
            // SAFETY: the registers of the caller.
            let length = unsafe { walk(&unwinder, &sites, at, &mut self.plain) };
            let fresh: Vec<_> =
                self.plain[..length].iter().map(|site| sites.address(*site)).collect();
            same(ours, &fresh, is_cut, "a walk with nothing");
            return;
        }
        // SAFETY: the registers of the caller.
        let length = unsafe { walk(&self.unwinder, &*self.sites, at, &mut self.plain) };
        let plain: Vec<_> =
            self.plain[..length].iter().map(|site| self.sites.address(*site)).collect();
        same(ours, &plain, is_cut, "a plain walk");
        let (theirs, is_end) =
            libunwind::stack(at.pc, at.sp, if is_cut { ours.len() } else { usize::MAX });
        if self.against == Against::Interrupted
            && outermost == Some(Kind::NoRule)
            && ours.len() == 3
        {
            assert_eq!(ours, &theirs[..3]);
            return;
        }
        let is_interrupted = self.against == Against::Interrupted;
        if is_interrupted && outermost == Some(Kind::End) && theirs.len() < ours.len() {
            // Behind the instruction that restores the frame pointer, GCC says that it is stored
            // where it points, which libunwind believes.
            let outer = self.first.len() - 3;
            assert_eq!(ours[..4], theirs[..4]);
            assert_eq!(ours[ours.len() - outer..], self.first[3..]);
            return;
        }
        same(ours, &theirs, is_cut, "libunwind");
        assert!(is_cut || is_end == (outermost == Some(Kind::End)), "the end");
    }
}

#[track_caller]
fn same(ours: &[usize], theirs: &[usize], is_cut: bool, who: &str) {
    let theirs = if is_cut { &theirs[..ours.len().min(theirs.len())] } else { theirs };
    if ours != theirs {
        let at = ours.iter().zip(theirs).take_while(|(a, b)| a == b).count();
        let around = |list: &[usize]| {
            let part = &list[at.saturating_sub(2)..list.len().min(at + 3)];
            part.iter().map(|address| place(*address)).collect::<Vec<_>>()
        };
        panic!(
            "{who} differs at frame {at} of {} and {}: {:#?} and {:#?}",
            ours.len(),
            theirs.len(),
            around(ours),
            around(theirs)
        );
    }
}

/// An address in words.
pub fn place(address: usize) -> String {
    // SAFETY: a structure of pointers and nulls.
    let mut info: libc::Dl_info = unsafe { std::mem::zeroed() };
    // SAFETY: takes any address.
    if unsafe { libc::dladdr(address as *const _, &mut info) } == 0 {
        return format!("{address:#x}");
    }
    let text = |name: *const libc::c_char| {
        if name.is_null() {
            return "?".to_owned();
        }
        // SAFETY: a name of the loader's.
        unsafe { std::ffi::CStr::from_ptr(name) }.to_string_lossy().into_owned()
    };
    format!(
        "{}+{:#x} {}",
        text(info.dli_fname),
        address - info.dli_fbase as usize,
        text(info.dli_sname)
    )
}
