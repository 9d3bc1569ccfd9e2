//! Moments are decoded and put in order on a thread of its own, ahead of what is made of them.

use std::sync::mpsc::{self, Receiver, Sender};
use std::thread::Scope;

use crate::Trace;
use crate::decode::{Batch, Moments};
use crate::merge::Merge;
use crate::settle::Settle;

/// Moments that go from one thread to the other at a time.
const MOMENTS: usize = 4096;
/// Batches that wait at the most.
const BATCHES: usize = 4;
/// Threads that decode at the most.
const MOST_THREADS: usize = 16;

/// Where the moments of a trace come from.
pub enum Feed<'a> {
    /// They are decoded when they are asked for.
    Here(Box<Settle<Merge<'a>>>),
    /// Another thread is decoding.
    Ahead(Ahead),
}

/// Moments that another thread has decoded.
pub struct Ahead {
    full: Receiver<Batch>,
    empty: Sender<Batch>,
}

impl<'a> Feed<'a> {
    /// The moments of each trace, those of the largest decoded ahead.
    pub fn of<'s>(traces: &'a [Trace<'a>], scope: &'s Scope<'s, 'a>) -> Vec<Feed<'a>> {
        let mut sizes: Vec<_> = traces.iter().map(Trace::places).collect();
        sizes.sort_unstable_by_key(|&size| std::cmp::Reverse(size));
        let least = sizes.get(MOST_THREADS).copied().unwrap_or(0);
        let feed = |trace: &'a Trace<'a>| match trace.places() > least {
            true => Feed::ahead(trace, scope),
            false => Feed::here(trace),
        };
        traces.iter().map(feed).collect()
    }

    pub fn here(trace: &'a Trace<'a>) -> Feed<'a> {
        Feed::Here(Box::new(Settle::of(trace)))
    }

    fn ahead<'s>(trace: &'a Trace<'a>, scope: &'s Scope<'s, 'a>) -> Feed<'a> {
        let (send_full, full) = mpsc::sync_channel(BATCHES);
        let (empty, receive_empty) = mpsc::channel::<Batch>();
        scope.spawn(move || {
            let mut settle = Settle::of(trace);
            loop {
                let mut batch = receive_empty.try_recv().unwrap_or_default();
                batch.clear();
                while batch.moments.len() < MOMENTS && settle.more(&mut batch) {}
                // The other side has gone away when it has seen enough.
                if batch.moments.is_empty() || send_full.send(batch).is_err() {
                    return;
                }
            }
        });
        Feed::Ahead(Ahead { full, empty })
    }
}

impl Moments for Feed<'_> {
    fn more(&mut self, batch: &mut Batch) -> bool {
        match self {
            Feed::Here(settle) => settle.more(batch),
            Feed::Ahead(Ahead { full, empty }) => {
                let Ok(mut next) = full.recv() else { return false };
                match batch.moments.is_empty() && batch.ties.is_empty() {
                    true => std::mem::swap(batch, &mut next),
                    false => batch.append(&mut next),
                }
                // The thread may be done already.
                let _ = empty.send(next);
                true
            }
        }
    }
}
