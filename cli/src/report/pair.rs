//! The page of two runs.

use anyhow::{Result, ensure};
use serde::Serialize;

use super::data::{Content, Data, WANTED};
use super::{html, ranks};
use crate::diff::{self, Moment, Per};
use crate::gather::{self, Gathered, Part};
use crate::messages::Messages;
use crate::selection::Traces;
use crate::stacks::Naming;
use crate::{moment, summary};
use mallook_analysis::Wanted;
use mallook_reader::{Trace, escape};

/// The content that the page reads.
#[derive(Debug, Serialize)]
struct Both<'a> {
    before: Content<'a>,
    after: Content<'a>,
    /// How the runs were named.
    names: [String; 2],
    /// The divisor of figures at first: none, call or second.
    per: &'static str,
    /// One of the runs is looked at up to a moment.
    is_moment: bool,
}

/// The run that the arguments name, which may be one up to a moment.
pub fn run_of(traces: &Traces) -> Result<Moment> {
    match &traces.files[..] {
        [file] => match file.to_str().map(diff::run_at) {
            Some(moment) => moment.map_err(|error| anyhow::anyhow!("{}: {error}", file.display())),
            None => Ok(Moment { path: file.clone(), at: None }),
        },
        _ => Ok(Moment { path: traces.files[0].clone(), at: None }),
    }
}

/// How runs are compared.
pub struct How<'a> {
    /// Births in between of a temporary block at the most.
    pub threshold: u64,
    /// Places that are told apart at the most.
    pub cells: usize,
    /// The divisor of figures at first.
    pub per: Per,
    /// Where names come from.
    pub naming: &'a Naming,
}

/// The page; `names` are those of the runs.
pub fn page(
    traces: [&[Trace]; 2],
    moments: [&Moment; 2],
    names: [&str; 2],
    options: &How,
    messages: Messages,
) -> Result<String> {
    let with_stacks = traces.iter().all(|traces| gather::has_stacks(traces));
    if !with_stacks && traces.iter().any(|traces| gather::has_stacks(traces)) {
        messages.say(format_args!("one run has no call stacks: they are compared by sizes"));
    }
    let wanted = Wanted { threshold: options.threshold, ..WANTED };
    let read = |traces: &'_ [Trace], moment: &Moment| {
        let start_ns = moment::start_ns(traces);
        let until_ns = moment.at.map_or(u64::MAX, |time| time.unix_ns(start_ns));
        Part { until_ns, with_stacks }
    };
    let part = [read(traces[0], moments[0]), read(traces[1], moments[1])];
    let naming = options.naming;
    let mut before = Gathered::of_part(traces[0], wanted, part[0], naming, true, messages)?;
    let mut after = Gathered::of_part(traces[1], wanted, part[1], naming, true, messages)?;
    ensure!(
        before.figures.end_ns != 0 || after.figures.end_ns != 0,
        "both runs have no events: there is nothing to compare"
    );
    let ranks = ranks::of_both([&before, &after]);
    if before.is_beyond() || after.is_beyond() {
        before.read_cells(ranks::first(&ranks[0], options.cells));
        after.read_cells(ranks::first(&ranks[1], options.cells));
    }
    let is_moment = moments.iter().any(|moment| moment.at.is_some());
    let runs = (&before, &after);
    let text = diff::text((names[0], names[1]), runs, is_moment, options.per, html::COLUMNS);
    let (mut reports, mut data) = (Vec::new(), Vec::new());
    for (gathered, name) in [&before, &after].into_iter().zip(names) {
        reports.push(summary::of(gathered, name));
    }
    for (gathered, ranks) in [&mut before, &mut after].into_iter().zip(&ranks) {
        let mut one = Data::of(gathered, reports.remove(0), "");
        one.rank(ranks);
        data.push(one);
    }
    let both = |most| Both {
        before: data[0].content(0, most),
        after: data[1].content(0, most),
        names: names.map(|name| escape(name).into_owned()),
        per: options.per.name(),
        is_moment,
    };
    let most = data.iter().map(Data::most).max().unwrap_or(0);
    let content = html::fitted(most, options.cells, both)?;
    let title = format!("{} against {}", data[1].title(), data[0].title());
    Ok(html::Page { title: &title, text: &text, is_served: false }.html(&content))
}
