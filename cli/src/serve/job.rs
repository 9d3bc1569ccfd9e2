//! The jobs of the worker, and the questions that count.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::Sender;
use std::sync::{Arc, Mutex, PoisonError};

use super::http::Answer;
use super::query::Question;

/// Pages that are told apart at the most.
const MOST_PAGES: usize = 1000;

/// The number of the last question of each page.
#[derive(Clone, Default)]
pub struct Newest {
    numbers: Arc<Mutex<(u64, HashMap<String, u64>)>>,
    is_over: Arc<AtomicBool>,
}

impl Newest {
    /// The number of a new question of this page, which supersedes those before it.
    pub fn ask(&self, page: &str) -> u64 {
        let mut numbers = self.numbers.lock().unwrap_or_else(PoisonError::into_inner);
        numbers.0 += 1;
        let number = numbers.0;
        if numbers.1.len() >= MOST_PAGES {
            numbers.1.clear();
        }
        numbers.1.insert(page.to_owned(), number);
        number
    }

    /// The question is the last one of its page.
    pub fn is(&self, page: &str, number: u64) -> bool {
        let numbers = self.numbers.lock().unwrap_or_else(PoisonError::into_inner);
        // Relaxed: it is a wish, and nothing is published with it.
        let is_over = self.is_over.load(Ordering::Relaxed);
        !is_over && numbers.1.get(page).is_none_or(|&newest| newest <= number)
    }

    /// No question counts any more.
    pub fn close(&self) {
        // Relaxed: as above.
        self.is_over.store(true, Ordering::Relaxed);
    }
}

/// Where an answer goes; nobody may wait for it any more.
pub type Reply = Sender<Answer>;

/// A job of the worker.
#[derive(Debug)]
pub enum Job {
    /// The page is wanted.
    Page(Reply),
    /// Data are wanted by the question of this number.
    Data(Reply, Question, u64),
}
