//! Who reads the traces: one question after the other, and of each page only the last one.

use std::sync::mpsc::Receiver;

use anyhow::Result;
use mallook_reader::Trace;

use super::http::{self, Answer};
use super::job::{Job, Newest};
use super::query::Question;
use crate::messages::Messages;
use crate::report::Session;
use crate::selection;
use crate::stacks::Naming;

/// Who does it.
pub struct Worker {
    /// The traces, as they were named.
    pub traces: selection::Traces,
    /// Births in between of a temporary block, and cells of an answer, at the most.
    pub which: (u64, usize),
    /// Where names come from.
    pub naming: Naming,
    /// Where complaints go.
    pub messages: Messages,
    /// Which questions count.
    pub newest: Newest,
}

impl Worker {
    /// Answers until there will be no more questions. The traces are read again when a page wants to know
    /// what has come since.
    pub fn work(&self, traces: Vec<Trace<'static>>, jobs: &Receiver<Job>) {
        let (mut traces, mut first, mut state) = (traces, None, 1);
        loop {
            match self.answer(&traces, first.take(), state, jobs) {
                Some((newer, job)) => (traces, first, state) = (newer, Some(job), state + 1),
                None => return,
            }
        }
    }

    /// Answers with this state of the traces, until a page asks for a newer one that there is.
    fn answer(
        &self,
        traces: &[Trace<'_>],
        mut first: Option<Job>,
        state: u64,
        jobs: &Receiver<Job>,
    ) -> Option<(Vec<Trace<'static>>, Job)> {
        let files = selection::shown(&self.traces.files);
        let session = Session::of(traces, self.which, &files, &self.naming, state, self.messages);
        let page = session.as_ref().map_or_else(
            |error| Err(format!("{error:#}")),
            |session| session.page().map_err(|error| format!("{error:#}")),
        );
        loop {
            // What these traces were read for is answered by them: of a process that does not rest, there is
            // always more by now.
            let (job, is_new) = match first.take() {
                Some(job) => (job, false),
                None => (jobs.recv().ok()?, true),
            };
            let asks_for_newer = match &job {
                Job::Page(_) => true,
                Job::Data(_, question, number) => {
                    question.refresh == Some(state) && self.newest.is(&question.page, *number)
                }
            };
            if is_new
                && asks_for_newer
                && let Some(newer) = self.newer(session.as_ref().ok())
            {
                return Some((newer, job));
            }
            let (reply, answer) = match (job, &session, &page) {
                (Job::Page(reply), _, Ok((page, policy))) => (reply, http::page(page, policy)),
                (Job::Page(reply), _, Err(error)) => (reply, http::failure(500, error)),
                (Job::Data(reply, ..), Err(error), _) => {
                    (reply, http::failure(500, &format!("{error:#}")))
                }
                (Job::Data(reply, question, number), Ok(session), _) => {
                    (reply, self.data(&question, number, session, state))
                }
            };
            // The browser may have gone away.
            let _ = reply.send(answer);
        }
    }

    fn data(&self, question: &Question, number: u64, session: &Session, state: u64) -> Answer {
        let is_wanted = || self.newest.is(&question.page, number);
        if question.refresh == Some(state) {
            return http::json(format!("{{\"unchanged\":{state}}}").into_bytes());
        }
        let is_late = || http::failure(409, "a later question has taken the place of this one");
        if !is_wanted() {
            return is_late();
        }
        let answer: Result<Option<Vec<u8>>> = session.data(&question.query, &is_wanted);
        match answer {
            Ok(answer) => answer.map_or_else(is_late, http::json),
            Err(error) => http::failure(500, &format!("{error:#}")),
        }
    }

    /// The traces as they are now, if there is more in them than this.
    fn newer(&self, session: Option<&Session>) -> Option<Vec<Trace<'static>>> {
        let opened = self.traces.open(self.messages).ok()?;
        session.is_none_or(|session| !session.is_of(&opened.traces)).then_some(opened.traces)
    }
}
