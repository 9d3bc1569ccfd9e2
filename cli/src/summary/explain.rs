//! `--explain WORD`: the terms, in a few sentences each.

/// A term and its definition.
pub struct Term {
    /// The word.
    pub word: &'static str,
    /// Other spellings.
    pub also: &'static [&'static str],
    /// The definition.
    pub text: &'static str,
}

/// All terms.
pub const TERMS: &[Term] = &[
    Term {
        word: "allocations",
        also: &["birth", "births", "calls"],
        text: "Calls that gave birth to a block. A realloc is one call and one birth, calls that failed are \
               none. heaptrack counts the same; valgrind's dhat calls it \"Total blocks\".",
    },
    Term {
        word: "allocated",
        also: &["allocated_bytes", "bytes"],
        text: "The sum of the sizes of all births, those that were freed included. A size is always the one \
               that was asked for, without what the allocator rounds up or adds.",
    },
    Term {
        word: "live",
        also: &[],
        text: "Born at or before a moment and not dead at it. A death is a free, or the old block of a realloc.",
    },
    Term {
        word: "peak",
        also: &["peak_bytes", "peak_blocks", "peak_time_ns"],
        text: "The largest live size, looked at after every single event, and the first moment that reached \
               it; with the number of blocks then. Of several processes it is the peak of their sum: a \
               process that has ended has no memory. dhat calls the moment t-gmax.",
    },
    Term {
        word: "at peak",
        also: &["at_peak", "at_peak_bytes"],
        text: "The share of a place, a size or a thread in the live bytes at the peak. The shares add up to \
               the peak.",
    },
    Term {
        word: "own maximum",
        also: &["own_maximum", "own_maximum_bytes"],
        text: "The largest live size of a place by itself, at whatever time. Own maxima do not add up: each \
               may be at another moment. dhat calls it \"Max\".",
    },
    Term {
        word: "live at end",
        also: &["live_at_end", "live at the end", "end", "never freed"],
        text: "Not freed when the trace ends. On an ordinary C++ program that includes 72,704 bytes of \
               libstdc++'s emergency pool and a calloc for the thread-local storage of each thread, which \
               are no leaks.",
    },
    Term {
        word: "leaked",
        also: &["leak", "leaked_bytes"],
        text: "What the suppressions leave of the memory that is live at the end. Those that are built in \
               know what libc, the loader and libstdc++ keep; mallook leaks lists what each has \
               suppressed, and takes suppressions of yours, by call stack.",
    },
    Term {
        word: "leaked in a range",
        also: &["between"],
        text: "Born in the range and not dead at its end.",
    },
    Term {
        word: "temporary",
        also: &["threshold"],
        text: "Freed by the thread that made it, with at most N other births of that thread in between; N is \
               0 unless --threshold says otherwise. The old block of a realloc is grown, not temporary. \
               heaptrack looks at one stream for the whole process instead, and compares kinds of blocks.",
    },
    Term {
        word: "grown",
        also: &[],
        text: "Old blocks of realloc, whether the new block is larger or smaller, moved or in place.",
    },
    Term {
        word: "lifetime",
        also: &["lifetimes", "median", "longest", "mean life", "mean_lifetime_ns"],
        text: "Death minus birth. Median and 90 % are right to 3 %; blocks that never died have none.",
    },
    Term {
        word: "chain",
        also: &["chains"],
        text: "Blocks that follow each other by realloc: length, first and last size, moved or in place.",
    },
    Term {
        word: "crossed",
        also: &[],
        text: "Freed, or reallocated, by another thread than the one that allocated it.",
    },
    Term {
        word: "failed",
        also: &["largest failed"],
        text: "Calls that returned no memory though a size was asked for. They are no births, and cost \
               nothing.",
    },
    Term {
        word: "frees",
        also: &["freed", "deaths", "death"],
        text: "Calls that released a block. The old blocks of realloc die as well, and are counted as grown.",
    },
    Term {
        word: "inclusive",
        also: &["self"],
        text: "Inclusive: what a function or anything that it calls asks for. Self: what it asks the allocator \
               for itself.",
    },
    Term {
        word: "suppression",
        also: &["suppressions", "suppressed"],
        text: "LeakSanitizer's leak:PATTERN, against function, file and module of every frame. It moves bytes \
               from leaked to suppressed and never drops them.",
    },
    Term {
        word: "complete",
        also: &["missing", "lost", "overwritten", "damaged"],
        text: "Every event of the process is in its trace: none was lost, none was overwritten (as in a ring), \
               and nothing is damaged. Figures of a trace that is not complete cover the events that are \
               there.",
    },
    Term {
        word: "unknown frees",
        also: &["unknown_frees", "replaced"],
        text: "Unknown frees release blocks that were born before the trace began, in the parent before a fork, \
               or in an allocator that was called directly: no error. Replaced are blocks whose release is \
               missing from the trace: their address was given out again.",
    },
];

/// The definition of a word; the known words if it is none.
pub fn explain(word: &str) -> Result<String, String> {
    let wanted = word.trim().to_lowercase();
    let is = |term: &&Term| term.word == wanted || term.also.contains(&wanted.as_str());
    match TERMS.iter().find(is) {
        Some(term) => Ok(format!("{}: {}\n", term.word, term.text)),
        None => {
            let words: Vec<_> = TERMS.iter().map(|term| term.word).collect();
            let words = words.join(", ");
            Err(format!("--explain: found {word:?}, expected one of {words}"))
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn a_word_has_one_meaning() {
        let words = TERMS.iter().flat_map(|term| term.also.iter().chain([&term.word]));
        let all: Vec<_> = words.collect();
        assert_eq!(all.iter().collect::<BTreeSet<_>>().len(), all.len());
        for word in all {
            assert!(explain(word).unwrap().ends_with(".\n"), "{word}");
        }
        assert!(explain("nonsense").unwrap_err().contains("own maximum"));
        assert!(explain(" Peak ").unwrap().starts_with("peak: "));
    }
}
