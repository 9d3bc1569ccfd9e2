//! Who reads the traces: one question after the other, and of each page only the last one.

use std::sync::mpsc::Receiver;
use std::thread;

use anyhow::Result;
use mallook_reader::{Summary, Trace};
use tiny_http::Request;

use super::http;
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
            let job = first.take().or_else(|| jobs.recv().ok())?;
            let asks_for_newer = match &job {
                Job::Page(_) => true,
                Job::Data(_, question, _) => question.refresh.is_some(),
            };
            let is_known = matches!(&job, Job::Data(_, question, _) if question.refresh.is_some_and(|it| it != state));
            if asks_for_newer
                && !is_known
                && let Some(newer) = self.newer(session.as_ref().ok())
            {
                return Some((newer, job));
            }
            match (job, &session, &page) {
                (Job::Page(request), _, Ok((page, policy))) => http::page(request, page, policy),
                (Job::Page(request), _, Err(error)) => http::failure(request, 500, error),
                (Job::Data(request, ..), Err(error), _) => {
                    http::failure(request, 500, &format!("{error:#}"));
                }
                (Job::Data(request, question, number), Ok(session), _) => {
                    self.data(request, &question, number, session, state);
                }
            }
        }
    }

    fn data(
        &self,
        request: Request,
        question: &Question,
        number: u64,
        session: &Session,
        state: u64,
    ) {
        let is_wanted = || self.newest.is(&question.page, number);
        if question.refresh == Some(state) {
            return http::json(request, format!("{{\"unchanged\":{state}}}").into_bytes());
        }
        if !is_wanted() {
            return http::failure(request, 409, "a later question has taken the place of this one");
        }
        let answer: Result<Option<Vec<u8>>> = session.data(&question.query, &is_wanted);
        match answer {
            Ok(Some(json)) => http::json(request, json),
            Ok(None) => {
                http::failure(request, 409, "a later question has taken the place of this one")
            }
            Err(error) => http::failure(request, 500, &format!("{error:#}")),
        }
    }

    /// The traces as they are now, if there is more in them than this.
    fn newer(&self, session: Option<&Session>) -> Option<Vec<Trace<'static>>> {
        let opened = self.traces.open(self.messages).ok()?;
        let threads = thread::available_parallelism().map_or(1, usize::from);
        let count: u64 = {
            let all = opened.traces.iter().map(|trace| Summary::counted(trace, threads));
            all.map(|it| it.present + it.overwritten).sum()
        };
        (session.is_none_or(|session| session.count() != count)).then_some(opened.traces)
    }
}
