//! The trace of a run: everything that happened, one line each, in the order in which it did.

use std::collections::VecDeque;
use std::fmt::{Display, Write as _};

use super::case::Case;
use super::line::{About, Kind, Line};
use super::watch::named;
use crate::command::{ClientId, Command, RequestId};
use crate::monitor::{Choice, Finding};
use crate::protocol::{Executed, Installed, Note, Order, Reply, Statement, Value};
use crate::quorum::{NodeId, NodeSet};
use crate::sim::Sent;
use crate::time::Time;

/// The lines of a run so far.
#[derive(Debug)]
pub(super) struct Trace {
    lines: Vec<Line>,
    /// Faults that are still to come, and their ends.
    faults: VecDeque<(Time, String)>,
    /// A message that goes to several: one line for all of them.
    pending: Option<Pending>,
}

#[derive(Debug, PartialEq, Eq)]
struct Pending {
    at: Time,
    from: NodeId,
    message: String,
    to: String,
    about: About,
}

impl Trace {
    /// The trace of a case whose first operation is issued at `start`.
    pub(super) fn new(case: &Case, start: Time) -> Self {
        let mut faults = Vec::new();
        for fault in &case.faults {
            let at = start + fault.at;
            let kind = super::words::fault(&fault.kind);
            if let Some(lasts) = fault.heals_after {
                faults.push((at + lasts, format!("fault over: {kind}")));
            }
            faults.push((at, format!("fault: {kind}")));
        }
        faults.sort_by_key(|(at, _)| *at);
        Self { lines: Vec::new(), faults: faults.into(), pending: None }
    }

    /// All lines.
    pub(super) fn finish(mut self) -> Vec<Line> {
        self.flush();
        self.lines
    }

    /// Something that happened.
    fn write(&mut self, at: Time, about: About, text: String) {
        self.flush();
        while let Some((_, fault)) = self.faults.pop_front_if(|(due, _)| *due <= at) {
            let about = About { kind: Kind::Fault, ..About::default() };
            self.lines.push(Line { at, text: format!("{:<16}{fault}", "**"), about });
        }
        self.lines.push(Line { at, text, about });
    }

    fn flush(&mut self) {
        if let Some(Pending { at, from, message, to, about }) = self.pending.take() {
            let text = format!("{:<15} {message}", format!("{from} ->{to}"));
            self.lines.push(Line { at, text, about });
        }
    }

    pub(super) fn violation(&mut self, at: Time, violation: &Finding) {
        let about = About { kind: Kind::Violation, ..About::default() };
        self.write(at, about, format!("{:<16}{violation}", "VIOLATION"));
    }

    pub(super) fn sent(
        &mut self,
        sent: &Sent<'_, NodeId, NodeId, impl Display>,
        statement: &Statement<'_>,
    ) {
        let message = sent.message.to_string();
        let is_same = |pending: &Pending| {
            pending.at == sent.sent_at && pending.from == sent.from && pending.message == message
        };
        if !self.pending.as_ref().is_some_and(is_same) {
            self.flush();
        }
        let (at, from) = (sent.sent_at, sent.from);
        let about = About::said(from, statement);
        let new = Pending { at, from, message, to: String::new(), about };
        let Pending { to, about, .. } = self.pending.get_or_insert(new);
        about.members.insert(sent.to);
        let fate = fate(sent.arrives_at.is_none(), sent.is_duplicated);
        write!(to, " {}{fate}", sent.to).expect("a string grows");
    }

    pub(super) fn received(
        &mut self,
        at: Time,
        from: NodeId,
        to: NodeId,
        message: &impl Display,
        statement: &Statement<'_>,
    ) {
        let mut about = About { kind: Kind::Received, ..About::said(from, statement) };
        about.members.insert(to);
        self.write(at, about, format!("{:<16}{message}", format!("{to} <- {from}")));
    }

    /// A message that a replica sends itself.
    pub(super) fn told_itself(
        &mut self,
        at: Time,
        by: NodeId,
        message: &impl Display,
        statement: &Statement<'_>,
    ) {
        let text = format!("{:<16}tells itself {message}", by.to_string());
        self.write(at, About::said(by, statement), text);
    }

    pub(super) fn asked(&mut self, sent: &Sent<'_, ClientId, NodeId, Command>) {
        let Command { request, .. } = sent.message;
        let fate = fate(sent.arrives_at.is_none(), sent.is_duplicated);
        let ends = format!("c{} -> {}{fate}", sent.from.0, sent.to);
        let text = format!("{ends:<16}request {}: {}", request.sequence, sent.message);
        self.write(sent.sent_at, about_request(sent.to, *request), text);
    }

    pub(super) fn requested(&mut self, at: Time, to: NodeId, command: &Command) {
        let request = command.request;
        let ends = format!("{to} <- c{}", request.client.0);
        let text = format!("{ends:<16}request {}: {command}", request.sequence);
        self.write(at, about_request(to, request), text);
    }

    pub(super) fn told(&mut self, at: Time, from: NodeId, reply: &Reply) {
        let request = reply.request();
        let ends = format!("c{} <- {from}", request.client.0);
        let text = format!("{ends:<16}answer {}: {reply}", request.sequence);
        self.write(at, about_request(from, request), text);
    }

    /// Records, each with what it states.
    pub(super) fn recorded<'a, R: Display + 'a>(
        &mut self,
        at: Time,
        by: NodeId,
        records: impl IntoIterator<Item = (&'a R, Statement<'a>)>,
    ) {
        let (mut about, mut texts) = (About::of(Kind::Other, by), Vec::new());
        for (record, statement) in records {
            texts.push(record.to_string());
            about = about.and(&statement);
        }
        self.write(at, about, format!("{:<16}writes {}", by.to_string(), texts.join("; ")));
    }

    pub(super) fn executed(&mut self, at: Time, by: NodeId, order: Order, executed: &Executed) {
        let value = executed.command.clone().map_or(Value::Noop, Value::Command);
        let what = named(Some(&value));
        let again = if executed.command.is_some() && !executed.applied { ", again" } else { "" };
        let position = order.position(executed.slot, executed.command.as_deref());
        let about = About::of(Kind::Other, by).at(position).with(&value);
        let text = format!("{:<16}executes {position}: {what}{again}", by.to_string());
        self.write(at, about, text);
    }

    pub(super) fn installed(&mut self, at: Time, by: NodeId, installed: &Installed) {
        let below = installed.below.0;
        let text = format!("INSTALLS a state with every slot below {below} executed");
        self.by(at, Kind::Installs, by, &text);
    }

    pub(super) fn noted(&mut self, at: Time, by: NodeId, note: &Note) {
        let text = match note {
            Note::Committed { .. } | Note::Waited { .. } | Note::SnapshotInstalled { .. } => return,
            Note::Leading { adopted_count, filled_count, .. } => {
                let text = format!("LEADS: adopted {adopted_count}, filled {filled_count}");
                return self.by(at, Kind::Leads, by, &text);
            }
            Note::Suspected { .. } => "hears of no leader",
            Note::Campaigning => "campaigns",
            Note::Following { leader } => {
                return self.by(at, Kind::Other, by, &format!("follows {leader}"));
            }
            Note::Recovered { .. } => "has executed what it adopted",
            Note::Resigned => "resigns",
            Note::SnapshotSent => "sends its state",
            Note::RaceLost => "loses a race",
            Note::Retransmitted => "has waited long enough",
        };
        self.by(at, Kind::Other, by, text);
    }

    /// What a replica does by itself, or what is done to it.
    pub(super) fn by(&mut self, at: Time, kind: Kind, by: NodeId, text: &str) {
        self.write(at, About::of(kind, by), format!("{:<16}{text}", by.to_string()));
    }

    pub(super) fn chosen(&mut self, at: Time, chosen: &Choice) {
        let Choice { position, ballot, value, by } = chosen;
        let what = named(value.as_ref());
        let mut about =
            About { kind: Kind::Chosen, members: *by, ..About::default() }.at(*position);
        about.ballots.push(*ballot);
        if let Some(value) = value {
            about = about.with(value);
        }
        let text = format!("{:<16}{position} at {ballot} by {by}: {what}", "CHOSEN");
        self.write(at, about, text);
    }
}

/// An event between a client and a replica.
fn about_request(replica: NodeId, request: RequestId) -> About {
    About { members: NodeSet::only(replica), requests: vec![request], ..About::default() }
}

const fn fate(is_lost: bool, is_duplicated: bool) -> &'static str {
    match (is_lost, is_duplicated) {
        (true, _) => "(lost)",
        (false, true) => "(twice)",
        (false, false) => "",
    }
}
