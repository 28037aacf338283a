//! What a run prints about its trials, and keeps in its folder.

use std::io::{self, Write};

use crate::compare::Conclusions;
use crate::findings::Finished;
use crate::findings::verify::INCOMPLETE;
use crate::measure::rows::Flag;
use crate::measure::{Store, store};
use crate::report;
use crate::report::comparison::disagreements;
use crate::report::judged::judged;
use crate::report::notes::notes;
use crate::report::outline::Outline;
use crate::report::table::{Width, line};
use crate::report::verdicts;
use crate::run;
use crate::runtime::wan::Scheduling;

/// The tables as a person reads them, within the results folder.
const TABLE: &str = "table.txt";

/// The comparison for programs, within the results folder.
const SUMMARY: &str = "summary.csv";

/// What a run prints about its trials.
#[derive(Clone, Copy)]
pub(in crate::cli) struct Printed<'a> {
    pub(in crate::cli) outline: &'a Outline,
    /// Trials ran in both worlds.
    pub(in crate::cli) is_of_both: bool,
}

impl Printed<'_> {
    /// Writes it into the folder, for people and for programs.
    pub(in crate::cli) fn keep(
        self,
        store: &Store,
        finished: &[Finished],
        scheduling: &[Scheduling],
        conclusions: &Conclusions,
    ) -> Result<(), store::Error> {
        self.keep_after(Vec::new(), store, finished, scheduling, conclusions)
    }

    /// The same, with this text before the tables that people read.
    pub(in crate::cli) fn keep_after(
        self,
        mut text: Vec<u8>,
        store: &Store,
        finished: &[Finished],
        scheduling: &[Scheduling],
        conclusions: &Conclusions,
    ) -> Result<(), store::Error> {
        let written = self.print(finished, scheduling, conclusions, Width::Whole, &mut text);
        written.expect("memory takes what is written to it");
        store.replace_bytes(TABLE, &text)?;
        store.write_csv(SUMMARY, &report::summary::rows(self.outline, finished))?;
        Ok(())
    }

    /// Prints the tables as they fit, and what stands below them.
    pub(in crate::cli) fn print(
        self,
        finished: &[Finished],
        scheduling: &[Scheduling],
        conclusions: &Conclusions,
        width: Width,
        out: &mut dyn Write,
    ) -> io::Result<()> {
        report::write_tables(self.outline, finished, self.is_of_both, width, out)?;
        self.print_remarks(finished, scheduling, width, out)?;
        verdicts::write_conclusions(conclusions, verdicts::repeats(finished), width, out)
    }

    /// Prints what is to be known of the trials beside their numbers.
    pub(in crate::cli) fn print_remarks(
        self,
        finished: &[Finished],
        scheduling: &[Scheduling],
        width: Width,
        out: &mut dyn Write,
    ) -> io::Result<()> {
        let mut say = |text: &str| writeln!(out, "{}", line(text, width));
        for found in disagreements(self.outline, finished) {
            say(&format!("FLOOR: {found}"))?;
        }
        for ended in finished {
            let name = format!("trial {} ({})", ended.trial.number(), ended.row.variant);
            for violation in &ended.violations {
                say(&format!("{name} VIOLATION: {violation}"))?;
            }
            for reason in &ended.unfit {
                say(&format!("{name} INVALID: {reason}"))?;
            }
            for (flag, note) in ended.row.remarks() {
                if flag == Flag::Incomplete {
                    let gap = note.strip_prefix(INCOMPLETE).unwrap_or(note);
                    say(&format!("{name} INCOMPLETE: {gap}"))?;
                }
            }
        }
        for text in notes(finished).iter().chain(&probed(finished)) {
            say(text)?;
        }
        if let Some(refused) = scheduling.iter().find(|obtained| obtained.is_refused()) {
            say(&format!(
                "scheduling: the thread that releases datagrams runs as {refused}: datagrams leave later; \
                 allow it with `ulimit -r` or as root, or set `[emulation] realtime = false`"
            ))?;
        }
        judged(finished).map_or(Ok(()), |text| say(&text))
    }
}

/// How often the probe found every link as asked; nothing where no link was probed.
fn probed(finished: &[Finished]) -> Option<String> {
    let (good, all) = run::probe_attempts(finished);
    let percent = f64::from(good) / f64::from(all.max(1)) * 100.0;
    (all > 0).then(|| {
        format!("probe: {good} of {all} attempts found all links as asked ({percent:.0} %)")
    })
}
