//! The questions of `flexpaxos new`, asked on a terminal.
//!
//! Each answer is tried at once: the file of the choices so far is planned, with what is usual for the
//! questions that are still open.
//! An answer that the plan refuses is asked for again, with the reason.

use std::io::{self, BufRead, Write};
use std::path::Path;

use miette::Diagnostic;

use super::flags::{Quorums, flexible, parse_quorums, parse_rate};
use crate::experiment::file;
use crate::experiment::template::{self, BEST, Choices, Load, PROFILE, REGIONS};

/// Questions, and where their answers come from.
#[derive(Debug)]
pub(super) struct Dialogue<'a, R, W> {
    answers: R,
    prompts: W,
    /// The path of the new file.
    path: &'a Path,
}

impl<'a, R: BufRead, W: Write> Dialogue<'a, R, W> {
    /// Asks on `prompts` about a new file at `path`.
    pub(super) const fn new(answers: R, prompts: W, path: &'a Path) -> Self {
        Self { answers, prompts, path }
    }

    /// Asks for the regions, the leader, the quorums and the load; `None` if the answers end before.
    pub(super) fn choices(&mut self) -> io::Result<Option<Choices>> {
        writeln!(self.prompts, "Enter takes what is in brackets; Ctrl-D ends without a file.")?;
        let question = format!(
            "Regions of the replicas, with commas between them\n\
             (`flexpaxos profiles {PROFILE}` lists all)"
        );
        let regions = self.ask(&question, &REGIONS.join(","), |answer| {
            let regions = answer.split(',').map(|region| region.trim().to_owned());
            Ok(Choices::new(PROFILE, regions.collect()))
        })?;
        let Some(choices) = regions else { return Ok(None) };
        let question = format!("The leader: one of these regions, or `{BEST}`");
        let led = self.ask(&question, &choices.leader, |answer| {
            Ok(Choices { leader: answer.to_owned(), ..choices.clone() })
        })?;
        let Some(choices) = led else { return Ok(None) };
        let question = "Sizes of the quorums for phase 1 and 2 that are compared with majorities,\n\
                        with spaces between several, or `majority` for no others";
        let usual = choices.flexible.first().map_or_else(
            || "majority".to_owned(),
            |counts| format!("{},{}", counts.phase1, counts.phase2),
        );
        let compared = self.ask(question, &usual, |answer| {
            let quorums: Result<Vec<Quorums>, String> =
                answer.split_whitespace().map(parse_quorums).collect();
            Ok(Choices { flexible: flexible(&quorums?), ..choices.clone() })
        })?;
        let Some(choices) = compared else { return Ok(None) };
        let question = "The load: operations a second, or `closed 16` for 16 clients, each of which\n\
                        begins an operation when the one before was answered";
        self.ask(question, "100", |answer| {
            Ok(Choices { load: parse_load(answer)?, ..choices.clone() })
        })
    }

    /// Asks until an answer makes choices of which a file can be written; `None` if the answers end.
    fn ask(
        &mut self,
        question: &str,
        usual: &str,
        read: impl Fn(&str) -> Result<Choices, String>,
    ) -> io::Result<Option<Choices>> {
        loop {
            write!(self.prompts, "{question} [{usual}]: ")?;
            self.prompts.flush()?;
            let mut line = String::new();
            if self.answers.read_line(&mut line)? == 0 {
                writeln!(self.prompts)?;
                return Ok(None);
            }
            let answer = match line.trim() {
                "" => usual,
                typed => typed,
            };
            match read(answer).and_then(|choices| self.planned(choices)) {
                Ok(choices) => return Ok(Some(choices)),
                Err(reason) => writeln!(self.prompts, "  {reason}")?,
            }
        }
    }

    /// The choices, if the plan accepts their file; else why it does not.
    fn planned(&self, choices: Choices) -> Result<Choices, String> {
        choices.check()?;
        template::text(&choices, self.path).map(|_| choices).map_err(reasons)
    }
}

/// What is wrong, a line for each mistake; the same mistake of several variants comes once.
fn reasons(error: file::Error) -> String {
    let (mut mistakes, last) = error.apart();
    if mistakes.is_empty() {
        // One mistake alone is not counted.
        mistakes.push(last);
    }
    let mut lines: Vec<String> = Vec::new();
    for mistake in &mistakes {
        let line = match mistake.help() {
            Some(help) => format!("{mistake}: {help}"),
            None => mistake.to_string(),
        };
        if !lines.contains(&line) {
            lines.push(line);
        }
    }
    lines.join("\n  ")
}

/// The load that an answer means.
fn parse_load(answer: &str) -> Result<Load, String> {
    let Some(clients) = answer.strip_prefix("closed") else {
        let rate_per_s = parse_rate(answer)?;
        return Ok(Load::Open { rate_per_s });
    };
    let count = clients.trim().parse::<u32>().ok().filter(|count| *count > 0);
    let refuse = || format!("`{answer}` names no number of clients: write `closed 16`");
    Ok(Load::Closed { clients: count.ok_or_else(refuse)? })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::experiment::template::Counts;

    /// The choices that these answers make, and what was printed.
    fn asked(answers: &str) -> (Option<Choices>, String) {
        let mut prompts = Vec::new();
        let path = Path::new("experiments/new.toml");
        let choices = Dialogue::new(answers.as_bytes(), &mut prompts, path).choices().unwrap();
        (choices, String::from_utf8(prompts).unwrap())
    }

    #[test]
    fn enter_takes_the_defaults() {
        let (choices, said) = asked("\n\n\n\n");
        assert_eq!(choices, Some(Choices::new(PROFILE, REGIONS.map(str::to_owned).to_vec())));
        let regions = format!("[{}]: ", REGIONS.join(","));
        for shown in [regions.as_str(), "[us-east-1]: ", "[4,2]: ", "[100]: "] {
            assert!(said.contains(shown), "{shown:?} is missing in:\n{said}");
        }
    }

    #[test]
    fn defaults_follow_the_answers_before() {
        let (choices, said) =
            asked("eu-west-1, eu-west-2, eu-west-3\nbest\n3,1 majority\nclosed 8\n");
        let choices = choices.unwrap();
        assert_eq!(choices.replicas, ["eu-west-1", "eu-west-2", "eu-west-3"]);
        assert_eq!((choices.leader.as_str(), choices.load), (BEST, Load::Closed { clients: 8 }));
        assert_eq!(choices.flexible, [Counts { phase1: 3, phase2: 1 }]);
        assert!(said.contains("[eu-west-1]: ") && said.contains("[3,1]: "), "{said}");
        let (choices, _) = asked("\n\nmajority\n\n");
        assert!(choices.unwrap().flexible.is_empty());
    }

    #[test]
    fn wrong_answers_are_asked_again_with_the_reason() {
        let answers = "us-esat-1,us-west-2\n\nmars\n\n3,2\n4\n4,2\nmany\nclosed 0\n\n";
        let (choices, said) = asked(answers);
        assert_eq!(choices, Some(Choices::new(PROFILE, REGIONS.map(str::to_owned).to_vec())));
        for reason in [
            "did you mean us-east-1",
            "the leader mars is no replica's region",
            "have no replica in common",
            "raise one of the two until phase1 + phase2 is at least 6",
            "`4` is no quorum system",
            "`many` is no rate",
            "`closed 0` names no number of clients",
        ] {
            assert_eq!(said.matches(reason).count(), 1, "{reason:?} in:\n{said}");
        }
        assert_eq!(said.matches("[4,2]: ").count(), 3, "{said}");
    }

    #[test]
    fn the_end_of_the_answers_makes_no_choices() {
        for answers in ["", "\n", "\n\n\n", "mars"] {
            assert_eq!(asked(answers).0, None, "{answers:?}");
        }
    }
}
