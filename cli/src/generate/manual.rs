//! Manual pages, made from the grammar of a program: an `after_help` that reads
//!
//! ```text
//! Examples:
//!   mallook dump trace
//! ```
//!
//! becomes a section of that name.

use std::io;

use clap::Command;
use clap_mangen::Man;
use clap_mangen::roff::{Roff, roman};

use crate::generate::files::File;
use crate::generate::page::{DATE, SOURCE, references};
use crate::generate::variables;

/// How `mallook-dump`, which shares its page with `mallook dump`, differs from that.
const DUMP: &str = "\
mallook-dump FILE... is mallook dump FILE..., as a program of its own. It takes the same options, \
and what is a command of mallook is an option of it: mallook-dump --info FILE... is mallook info, a \
summary for each trace; mallook-dump --check FILE... is mallook check; mallook-dump --follow FILE \
is mallook follow. mallook-dump --generate WHAT prints its manual page or its completions for a \
shell. The options --pid and --exe are those of mallook dump alone.";

/// The page of `mallook`, one for each of its commands, and that of the variables.
pub fn files(mallook: Command) -> io::Result<Vec<File>> {
    // What the page refers to must be there, and mallook-help(1) would say nothing.
    let mut mallook = mallook
        .disable_help_subcommand(true)
        .mut_subcommands(|command| command.disable_help_subcommand(true));
    mallook.build();
    let commands = named("mallook", &mallook);
    let mut pages: Vec<_> = commands.iter().map(|(name, _)| name.clone()).collect();
    pages.push("mallook".to_owned());
    let see_also = |own: &str| {
        let others = pages.iter().filter(|page| *page != own).map(|page| (page.as_str(), "1"));
        others.chain([(variables::NAME, variables::SECTION)]).collect::<Vec<_>>()
    };
    let mut files = vec![(path("mallook", "1"), page_with(mallook.clone(), &see_also("mallook"))?)];
    for (name, command) in &commands {
        let mut text = page_with((*command).clone(), &see_also(name))?;
        if name == "mallook-dump" {
            let mut roff = Roff::new();
            roff.control("SH", ["MALLOOK-DUMP"]).text([roman(DUMP)]);
            roff.to_writer(&mut text)?;
        }
        files.push((path(name, "1"), text));
    }
    let see_also: Vec<_> = pages.iter().map(|page| (page.as_str(), "1")).collect();
    files.push((path(variables::NAME, variables::SECTION), variables::page(&see_also)?));
    Ok(files)
}

/// The commands of a command, and theirs, with the names of their pages.
fn named<'a>(parent: &str, command: &'a Command) -> Vec<(String, &'a Command)> {
    let mut all = Vec::new();
    for command in command.get_subcommands() {
        let name = format!("{parent}-{}", command.get_name());
        let below = named(&name, command);
        all.push((name, command));
        all.extend(below);
    }
    all
}

/// Where man(1) looks for a page, below a directory of its path.
fn path(name: &str, section: &str) -> String {
    format!("man{section}/{name}.{section}")
}

/// The page of a program or a command that refers to no other one.
pub fn page(command: Command) -> io::Result<Vec<u8>> {
    page_with(command, &[])
}

fn page_with(mut command: Command, see_also: &[(&str, &str)]) -> io::Result<Vec<u8>> {
    let help = command.get_after_long_help().or(command.get_after_help());
    let help = help.map(ToString::to_string).unwrap_or_default();
    let usage = command.render_usage().to_string();
    let command = command.override_usage(usage.trim_start_matches("Usage: ").to_owned());
    let has_commands = command.has_subcommands();
    let man = Man::new(command).date(DATE).source(SOURCE).manual("mallook");
    let mut text = Vec::new();
    man.render_title(&mut text)?;
    man.render_name_section(&mut text)?;
    man.render_synopsis_section(&mut text)?;
    man.render_description_section(&mut text)?;
    man.render_options_section(&mut text)?;
    if has_commands {
        man.render_subcommands_section(&mut text)?;
    }
    let mut roff = Roff::new();
    for (heading, body) in sections(&help) {
        roff.control("SH", [heading.to_uppercase().as_str()]);
        if body.starts_with(' ') {
            // Columns are kept.
            roff.control("nf", []);
            body.lines().for_each(|line| _ = roff.text([roman(line.trim_end())]));
            roff.control("fi", []);
        } else {
            roff.text([roman(body.replace('\n', " "))]);
        }
    }
    references(&mut roff, see_also);
    roff.to_writer(&mut text)?;
    // The line breaks around empty lines in lists of values are nothing, and linters say so.
    let text = String::from_utf8_lossy(&text).replace(".br\n\n.br\n", ".sp\n");
    Ok(text.into_bytes())
}

/// Headings and bodies of a help text. A paragraph without a heading is a note.
fn sections(help: &str) -> Vec<(&str, &str)> {
    let paragraphs = help.split("\n\n").filter(|paragraph| !paragraph.trim().is_empty());
    paragraphs
        .map(|paragraph| match paragraph.split_once(":\n") {
            Some((heading, body)) if !heading.contains('\n') => (heading, body),
            _ => ("Notes", paragraph),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn help_texts_have_sections() {
        let help = "Examples:\n  a\n  b\n\nTimes are times,\nalways: so.\n\nExit codes:\n  0  good";
        let expected = [
            ("Examples", "  a\n  b"),
            ("Notes", "Times are times,\nalways: so."),
            ("Exit codes", "  0  good"),
        ];
        assert_eq!(sections(help), expected);
        assert_eq!(sections(""), []);
    }
}
