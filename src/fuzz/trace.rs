//! The trace of a run: everything that happened, one line each, in the order in which it did.

use std::collections::VecDeque;
use std::fmt::{Display, Write as _};

use super::case::Case;
use super::watch::named;
use crate::command::{ClientId, Command};
use crate::monitor::Choice;
use crate::protocol::{Executed, Installed, Note, Order, Reply, Value};
use crate::quorum::NodeId;
use crate::sim::Sent;
use crate::time::Time;

/// The lines of a run so far.
#[derive(Debug)]
pub(super) struct Trace {
    lines: Vec<String>,
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
}

impl Trace {
    /// The trace of a case whose first operation is issued at `start`.
    pub(super) fn new(case: &Case, start: Time) -> Self {
        let mut faults = Vec::new();
        for fault in &case.faults {
            let at = start + fault.at;
            let kind = format!("{:?}", fault.kind);
            if let Some(lasts) = fault.heals_after {
                faults.push((at + lasts, format!("fault over: {kind}")));
            }
            faults.push((at, format!("fault: {kind}")));
        }
        faults.sort_by_key(|(at, _)| *at);
        Self { lines: Vec::new(), faults: faults.into(), pending: None }
    }

    /// All lines.
    pub(super) fn finish(mut self) -> Vec<String> {
        self.flush();
        self.lines
    }

    /// Something that happened.
    pub(super) fn write(&mut self, at: Time, text: &str) {
        self.flush();
        while let Some((_, fault)) = self.faults.pop_front_if(|(due, _)| *due <= at) {
            self.push(at, &format!("{:<16}{fault}", "**"));
        }
        self.push(at, text);
    }

    fn push(&mut self, at: Time, text: &str) {
        self.lines.push(format!("{:>11.3} ms  {text}", at.0 as f64 / 1e6));
    }

    fn flush(&mut self) {
        if let Some(Pending { at, from, message, to }) = self.pending.take() {
            self.push(at, &format!("{:<16}{message}", format!("{from} ->{to}")));
        }
    }

    pub(super) fn sent(&mut self, sent: &Sent<'_, NodeId, NodeId, impl Display>) {
        let message = sent.message.to_string();
        let is_same = |pending: &Pending| {
            pending.at == sent.sent_at && pending.from == sent.from && pending.message == message
        };
        if !self.pending.as_ref().is_some_and(is_same) {
            self.flush();
        }
        let (at, from) = (sent.sent_at, sent.from);
        let new = Pending { at, from, message, to: String::new() };
        let to = &mut self.pending.get_or_insert(new).to;
        let fate = fate(sent.arrives_at.is_none(), sent.is_duplicated);
        write!(to, " {}{fate}", sent.to).expect("a string grows");
    }

    pub(super) fn received(&mut self, at: Time, from: NodeId, to: NodeId, message: &impl Display) {
        self.write(at, &format!("{:<16}{message}", format!("{to} <- {from}")));
    }

    pub(super) fn asked(&mut self, sent: &Sent<'_, ClientId, NodeId, Command>) {
        let Command { request, .. } = sent.message;
        let fate = fate(sent.arrives_at.is_none(), sent.is_duplicated);
        let ends = format!("c{} -> {}{fate}", sent.from.0, sent.to);
        self.write(
            sent.sent_at,
            &format!("{ends:<16}request {}: {}", request.sequence, sent.message),
        );
    }

    pub(super) fn requested(&mut self, at: Time, to: NodeId, command: &Command) {
        let ends = format!("{to} <- c{}", command.request.client.0);
        self.write(at, &format!("{ends:<16}request {}: {command}", command.request.sequence));
    }

    pub(super) fn told(&mut self, at: Time, from: NodeId, reply: &Reply) {
        let request = reply.request();
        let ends = format!("c{} <- {from}", request.client.0);
        self.write(at, &format!("{ends:<16}answer {}: {reply}", request.sequence));
    }

    pub(super) fn recorded(&mut self, at: Time, by: NodeId, records: &[impl Display]) {
        let texts: Vec<String> = records.iter().map(ToString::to_string).collect();
        self.write(at, &format!("{:<16}writes {}", by.to_string(), texts.join("; ")));
    }

    pub(super) fn executed(&mut self, at: Time, by: NodeId, order: Order, executed: &Executed) {
        let value = executed.command.clone().map_or(Value::Noop, Value::Command);
        let what = named(Some(&value));
        let again = if executed.command.is_some() && !executed.applied { ", again" } else { "" };
        let position = order.position(executed.slot, executed.command.as_deref());
        self.by(at, by, &format!("executes {position}: {what}{again}"));
    }

    pub(super) fn installed(&mut self, at: Time, by: NodeId, installed: &Installed) {
        let below = installed.below.0;
        self.by(at, by, &format!("INSTALLS a state with every slot below {below} executed"));
    }

    pub(super) fn noted(&mut self, at: Time, by: NodeId, note: &Note) {
        match note {
            Note::Committed { .. } | Note::SnapshotInstalled { .. } => {}
            Note::Leading { adopted_count, filled_count, .. } => {
                self.by(at, by, &format!("LEADS: adopted {adopted_count}, filled {filled_count}"));
            }
            Note::Suspected { .. } => self.by(at, by, "hears of no leader"),
            Note::Campaigning => self.by(at, by, "campaigns"),
            Note::Following { leader } => self.by(at, by, &format!("follows {leader}")),
            Note::Recovered { .. } => self.by(at, by, "has executed what it adopted"),
            Note::Resigned => self.by(at, by, "resigns"),
            Note::SnapshotSent => self.by(at, by, "sends its state"),
            Note::RaceLost => self.by(at, by, "loses a race"),
            Note::Retransmitted => self.by(at, by, "has waited long enough"),
        }
    }

    /// What a replica does by itself.
    pub(super) fn by(&mut self, at: Time, by: NodeId, text: &str) {
        self.write(at, &format!("{:<16}{text}", by.to_string()));
    }

    pub(super) fn chosen(&mut self, at: Time, chosen: &Choice) {
        let Choice { position, ballot, value, by } = chosen;
        let what = named(value.as_ref());
        self.write(at, &format!("{:<16}{position} at {ballot} by {by}: {what}", "CHOSEN"));
    }
}

const fn fate(is_lost: bool, is_duplicated: bool) -> &'static str {
    match (is_lost, is_duplicated) {
        (true, _) => "(lost)",
        (false, true) => "(twice)",
        (false, false) => "",
    }
}
