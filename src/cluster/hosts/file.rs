//! The host file: which machines there are, and what runs where.
//!
//! ```text
//! # one line a host; what follows a number sign is a comment
//! alice@n1.example.org  region=us-east-1  role=replica
//! alice@n2.example.org  region=us-east-1  role=client
//! n3                    region=eu-west-1,ap-northeast-1
//! n4                    region=sa-east-1  expendable=true
//! n5
//! ```
//!
//! A host without a region takes members of the regions that no line names; one without a role takes replicas
//! and clients.
//! A run goes on, complete, without an expendable host that is lost; such a host takes replicas alone.
//! One host may stand in several lines.
//! A list of bare hosts, as a batch scheduler writes it, names a host once for each of its cores: there a
//! repeated name is one host.
//!
//! All mistakes of a file are found at once.

use std::fmt;

use crate::deployment::MemberName;
use crate::nearest::nearest;

/// Which members a host takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Replicas.
    Replica,
    /// Clients.
    Client,
}

/// One line of a host file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// Which line, from 1.
    pub number: usize,
    /// The host as ssh takes it: `user@host`, or a name of its configuration.
    pub host: String,
    /// Whose members it takes; empty: those of regions that no line names.
    pub regions: Vec<String>,
    /// Which members it takes; `None`: all.
    pub role: Option<Role>,
    /// Whether its loss is part of the experiment.
    pub is_expendable: bool,
}

/// The hosts of a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hosts {
    /// The file, for messages.
    pub file: String,
    /// Its lines, at least one.
    pub lines: Vec<Line>,
}

/// A mistake in a host file, or of a host file beside an experiment.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{place}: {what}")]
pub struct Mistake {
    /// `file:line`, or the file alone.
    pub place: String,
    /// What is wrong.
    pub what: String,
    /// What to change.
    pub help: String,
}

impl Role {
    /// Whether a host of this role takes this member.
    pub const fn takes(self, member: MemberName) -> bool {
        matches!(
            (self, member),
            (Self::Replica, MemberName::Replica(_)) | (Self::Client, MemberName::Client(_))
        )
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Replica => "replica",
            Self::Client => "client",
        })
    }
}

impl Hosts {
    /// Reads a host file.
    pub fn parse(file: &str, text: &str) -> Result<Self, Vec<Mistake>> {
        let mut reader = Reader { file, lines: Vec::new(), mistakes: Vec::new() };
        for (number, text) in (1..).zip(text.lines()) {
            reader.line(number, text);
        }
        reader.finish()
    }

    /// Reads a list of bare hosts, of which each may be named often.
    pub fn parse_list(file: &str, text: &str) -> Result<Self, Vec<Mistake>> {
        let mut reader = Reader { file, lines: Vec::new(), mistakes: Vec::new() };
        for (number, text) in (1..).zip(text.lines()) {
            let is_new = |host: &str| reader.lines.iter().all(|line| line.host != host);
            let words: Vec<&str> = words(text).collect();
            match words[..] {
                [] => {}
                [host] if !is_new(host) => {}
                [_] => reader.line(number, text),
                [_, word, ..] => reader.refuse(
                    number,
                    format!("{word:?} stands behind a host in a list of bare hosts"),
                    "a line of such a list is a host; give a host file without the @ to say more",
                ),
            }
        }
        reader.finish()
    }

    /// The nodes of a job, each of which takes any member; `place` is what messages name in place of a file.
    pub fn of_job(place: &str, nodes: &[String]) -> Self {
        let line = |(number, node): (usize, &String)| Line {
            number,
            host: node.clone(),
            regions: Vec::new(),
            role: None,
            is_expendable: false,
        };
        Self { file: place.to_owned(), lines: (1..).zip(nodes).map(line).collect() }
    }

    /// Every host once, in the order of the file.
    pub fn names(&self) -> Vec<&str> {
        let mut names = Vec::new();
        for line in &self.lines {
            if !names.contains(&line.host.as_str()) {
                names.push(line.host.as_str());
            }
        }
        names
    }

    /// Whether the loss of this host is part of the experiment: one of its lines says so.
    pub fn is_expendable(&self, host: &str) -> bool {
        self.lines.iter().any(|line| line.host == host && line.is_expendable)
    }
}

/// What may be said of a host.
const KEYS: [&str; 3] = ["region", "role", "expendable"];

/// The words of a line, without its comment.
fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split('#').next().unwrap_or_default().split_whitespace()
}

struct Reader<'a> {
    file: &'a str,
    lines: Vec<Line>,
    mistakes: Vec<Mistake>,
}

impl Reader<'_> {
    fn refuse(&mut self, number: usize, what: String, help: &str) {
        let place = format!("{}:{number}", self.file);
        self.mistakes.push(Mistake { place, what, help: help.to_owned() });
    }

    fn line(&mut self, number: usize, text: &str) {
        let mut words = words(text);
        let Some(host) = words.next() else { return };
        if let Some(what) = no_host(host) {
            self.refuse(number, what, "begin the line with a host as ssh takes it: user@host");
        }
        let (host, regions) = (host.to_owned(), Vec::new());
        let mut line = Line { number, host, regions, role: None, is_expendable: false };
        let mut seen = Vec::new();
        for word in words {
            let Some((key, value)) = word.split_once('=') else {
                let what =
                    format!("{word:?} is neither region=NAME nor role=NAME nor expendable=true");
                self.refuse(
                    number,
                    what,
                    "one host a line; what is said of it has the form key=value",
                );
                continue;
            };
            if seen.contains(&key) {
                let what = format!("{key} is given twice");
                self.refuse(number, what, "give it once; several regions are region=NAME,NAME");
            }
            seen.push(key);
            match key {
                "region" => self.regions(&mut line, value),
                "role" => self.role(&mut line, value),
                "expendable" => {
                    if let Ok(is_expendable) = value.parse() {
                        line.is_expendable = is_expendable;
                    } else {
                        let what = format!("expendable={value} is neither true nor false");
                        self.refuse(number, what, "write expendable=true, or leave it out");
                    }
                }
                _ => {
                    let near = nearest(key, &KEYS)
                        .map_or_else(String::new, |near| format!(" (did you mean {near}?)"));
                    let what = format!("there is no key {key:?}{near}");
                    self.refuse(number, what, "the keys are region, role and expendable");
                }
            }
        }
        self.add(line);
    }

    fn regions(&mut self, line: &mut Line, value: &str) {
        for region in value.split(',') {
            if region.is_empty() {
                let what = format!("region={value} names an empty region");
                self.refuse(line.number, what, "write region=NAME or region=NAME,NAME");
            } else if line.regions.iter().any(|known| known == region) {
                let what = format!("region {region} is named twice");
                self.refuse(line.number, what, "name each region once");
            } else {
                line.regions.push(region.to_owned());
            }
        }
    }

    fn role(&mut self, line: &mut Line, value: &str) {
        line.role = match value {
            "replica" => Some(Role::Replica),
            "client" => Some(Role::Client),
            _ => {
                let near = nearest(value, &["replica", "client"])
                    .map_or_else(String::new, |near| format!(" (did you mean {near}?)"));
                let what = format!("there is no role {value:?}{near}");
                let help = "write role=replica or role=client, or leave it out for both";
                return self.refuse(line.number, what, help);
            }
        };
    }

    /// Keeps a line, unless one before says the same.
    fn add(&mut self, line: Line) {
        let overlaps = |known: &&Line| {
            let regions = known.regions.iter().any(|region| line.regions.contains(region))
                || known.regions.is_empty() && line.regions.is_empty();
            let roles = known.role.is_none() || line.role.is_none() || known.role == line.role;
            known.host == line.host && regions && roles
        };
        if let Some(known) = self.lines.iter().find(overlaps) {
            let what =
                format!("{} stands in line {} for the same already", line.host, known.number);
            self.refuse(
                line.number,
                what,
                "a host takes as many members as there are: name it once",
            );
            return;
        }
        self.lines.push(line);
    }

    fn finish(mut self) -> Result<Hosts, Vec<Mistake>> {
        if self.lines.is_empty() && self.mistakes.is_empty() {
            self.mistakes.push(Mistake {
                place: self.file.to_owned(),
                what: "it names no host".to_owned(),
                help: "write one line a host: user@host region=NAME".to_owned(),
            });
        }
        if self.mistakes.is_empty() {
            Ok(Hosts { file: self.file.to_owned(), lines: self.lines })
        } else {
            Err(self.mistakes)
        }
    }
}

/// Why ssh would not take this for a host, or would take it for an option.
fn no_host(host: &str) -> Option<String> {
    if host.starts_with('-') || host.contains("@-") {
        return Some(format!("{host:?} would be an option of ssh"));
    }
    if host.contains('=') {
        return Some(format!("{host:?} stands where the host should"));
    }
    let is_fine = |letter: char| letter.is_alphanumeric() || "@.-_:%[]/+".contains(letter);
    let is_whole = !host.starts_with('@') && !host.ends_with('@');
    (!host.chars().all(is_fine) || !is_whole).then(|| format!("{host:?} is no host"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mistakes(text: &str) -> Vec<String> {
        Hosts::parse("hosts.txt", text).unwrap_err().iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_line_is_a_host_and_what_it_takes() {
        let text = "# three\nalice@n1 region=us-east-1 role=replica # near\n\nn2 region=a,b\nn3\n";
        let hosts = Hosts::parse("hosts.txt", text).unwrap();
        let [one, two, three] = &hosts.lines[..] else { panic!("{hosts:?}") };
        assert_eq!((one.number, one.host.as_str(), one.role), (2, "alice@n1", Some(Role::Replica)));
        assert_eq!((&two.regions[..], two.role), (&["a".to_owned(), "b".to_owned()][..], None));
        assert!(three.regions.is_empty() && three.role.is_none());
        assert_eq!(hosts.names(), ["alice@n1", "n2", "n3"]);
        let text = "n1 region=a\nn1 region=b expendable=true\nn2 expendable=false\n";
        let hosts = Hosts::parse("hosts.txt", text).unwrap();
        assert_eq!(["n1", "n2"].map(|host| hosts.is_expendable(host)), [true, false]);
    }

    #[test]
    fn a_host_may_stand_in_several_lines_and_is_one() {
        let hosts =
            Hosts::parse("h", "n1 region=a role=replica\nn1 region=a role=client\n").unwrap();
        assert_eq!((hosts.lines.len(), hosts.names()), (2, vec!["n1"]));
    }

    #[test]
    fn all_mistakes_are_named_at_once_with_their_lines() {
        let text = "region=a\nn1 regoin=a\nn2 role=acceptor\nn3 role=replicas fast\n-oProxy=x\n\
                    n4 region=a\nn4 region=b,a\nn5 region=,\nn6 role=client role=client\n\
                    n7 expendable=yes\n";
        let found = mistakes(text);
        for phrase in [
            "hosts.txt:1: \"region=a\" stands where the host should",
            "hosts.txt:2: there is no key \"regoin\" (did you mean region?)",
            "hosts.txt:3: there is no role \"acceptor\"",
            "hosts.txt:4: there is no role \"replicas\" (did you mean replica?)",
            "hosts.txt:4: \"fast\" is neither region=NAME nor role=NAME",
            "hosts.txt:5: \"-oProxy=x\" would be an option of ssh",
            "hosts.txt:7: n4 stands in line 6 for the same already",
            "hosts.txt:8: region=, names an empty region",
            "hosts.txt:9: role is given twice",
            "hosts.txt:10: expendable=yes is neither true nor false",
        ] {
            assert!(found.iter().any(|said| said.starts_with(phrase)), "{phrase}: {found:#?}");
        }
        assert_eq!(mistakes("# nothing\n"), ["hosts.txt: it names no host"]);
    }

    #[test]
    fn a_list_names_a_host_once_for_each_core() {
        let hosts = Hosts::parse_list("nodes", "n1\nn1\nn2\nn2\n").unwrap();
        assert_eq!(hosts.names(), ["n1", "n2"]);
        let refused = Hosts::parse_list("nodes", "n1 region=a\nn2\n").unwrap_err();
        assert!(refused[0].to_string().starts_with("nodes:1: \"region=a\" stands behind"));
    }
}
