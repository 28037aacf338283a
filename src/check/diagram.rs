//! A counterexample as a space-time diagram: a step is a unit of time.

use std::collections::BTreeSet;

use super::event::{Event, Happening};
use super::search::Counterexample;
use super::state::{Action, Packet};
use crate::protocol::{Note, Protocol, Statement};
use crate::quorum::NodeId;
use crate::time::Time;
use crate::trace::{Fate, MarkKind, Scale, Trace};

/// A message that was sent and has not arrived yet: its place in the trace.
struct Open<P: Protocol> {
    from: NodeId,
    to: NodeId,
    message: P::Message,
    arrow: usize,
}

/// What is drawn, and what is still under way.
struct Drawing<P: Protocol> {
    trace: Trace,
    /// Clients stand to the left of the replicas.
    client_count: usize,
    open: Vec<Open<P>>,
}

impl Counterexample {
    /// The way to the violation, drawn: who sent what to whom, and in which order it arrived.
    pub fn trace(&self, title: impl Into<String>) -> Trace {
        Trace { title: title.into(), ..self.drawing.clone() }
    }
}

/// A way to a violation and what comes of it, without a title.
pub(super) fn draw<P: Protocol>(way: &[Happening<P>], future: &[Happening<P>]) -> Trace {
    let steps = || way.iter().chain(future);
    let mut trace = Trace::new("", Scale::Steps);
    let clients: BTreeSet<u32> = steps().filter_map(asking_client).collect();
    for client in &clients {
        trace.line(format!("c{client}"), "");
    }
    let replica_count = steps().flat_map(replicas).map(|id| usize::from(id.0) + 1).max();
    for id in 0..replica_count.unwrap_or_default() {
        trace.line(format!("r{id}"), "");
    }
    let mut drawing = Drawing { trace, client_count: clients.len(), open: Vec::new() };
    for (step, happening) in (1..).zip(steps()) {
        drawing.act(Time(step), &happening.action, &clients);
        for event in &happening.events {
            drawing.note(Time(step), event, &clients);
        }
    }
    drawing.trace
}

impl<P: Protocol> Drawing<P> {
    fn line(&self, id: NodeId) -> usize {
        self.client_count + usize::from(id.0)
    }

    fn act(&mut self, at: Time, action: &Action<P>, clients: &BTreeSet<u32>) {
        match action {
            Action::Deliver(packet) => self.end(packet, Fate::Received(at)),
            Action::Drop(packet) => self.end(packet, Fate::Lost),
            Action::Duplicate(packet) => {
                self.end(packet, Fate::Received(at));
                self.begin(at, packet.from, packet.to, packet.message.clone());
            }
            Action::Ask(id, command) => {
                let client = position(clients, command.request.client.0);
                let ends = (client, self.line(*id));
                self.trace.message(ends, at, Fate::Received(at), format!("request {command}"));
            }
            Action::CrashLosing(id) => self.mark(*id, at, MarkKind::Crash, "loses the unsynced"),
            Action::CrashKeeping(id) => self.mark(*id, at, MarkKind::Crash, "after its sync"),
            Action::Restart(id) => self.mark(*id, at, MarkKind::Restart, ""),
            Action::Timer(id, _) => self.mark(*id, at, MarkKind::Timer, ""),
            Action::Campaign(id) => self.mark(*id, at, MarkKind::Campaign, "is told to lead"),
            Action::Silence(id) => self.mark(*id, at, MarkKind::Timer, "hears nothing"),
            Action::Persist(_) | Action::Checkpoint(_) | Action::FinishCheckpoint(_) => {}
        }
    }

    fn note(&mut self, at: Time, event: &Event<P>, clients: &BTreeSet<u32>) {
        match event {
            Event::Sent { from, to, message } => {
                to.iter().for_each(|to| self.begin(at, *from, to, message.clone()));
            }
            Event::Durable { replica, record } => {
                let kind = match P::recorded(record) {
                    Statement::Vote { .. } => MarkKind::Vote,
                    Statement::Promises { .. } => MarkKind::Promise,
                    _ => MarkKind::Persist,
                };
                self.mark(*replica, at, kind, &format!("{record} is durable"));
            }
            Event::Executed { replica, entry } => {
                let position = P::ORDER.position(entry.slot, entry.command.as_deref());
                let text = format!("executes {position}");
                self.mark(*replica, at, MarkKind::Executed, &text);
            }
            Event::Installed { replica, state } => {
                let text = format!("installs a state below {}", state.below.0);
                self.mark(*replica, at, MarkKind::Executed, &text);
            }
            Event::Replied { replica, reply } => {
                let client = position(clients, reply.request().client.0);
                let ends = (self.line(*replica), client);
                self.trace.message(ends, at, Fate::Received(at), format!("reply {reply}"));
                if reply.is_answer() {
                    self.trace.mark(client, at, MarkKind::Reply, "");
                }
            }
            Event::Noted { replica, note: Note::Leading { .. } } => {
                self.mark(*replica, at, MarkKind::Other, "leads");
            }
            Event::Noted { .. } => {}
            Event::Violated { invariant, how } => {
                self.trace.mark(None, at, MarkKind::Violation, format!("{invariant}: {how}"));
            }
        }
    }

    fn mark(&mut self, id: NodeId, at: Time, kind: MarkKind, label: &str) {
        let line = self.line(id);
        self.trace.mark(line, at, kind, label);
    }

    fn begin(&mut self, at: Time, from: NodeId, to: NodeId, message: P::Message) {
        let ends = (self.line(from), self.line(to));
        self.trace.message(ends, at, Fate::Underway, message.to_string());
        let arrow = self.trace.messages.len() - 1;
        self.open.push(Open { from, to, message, arrow });
    }

    /// A message that was sent arrives or is lost; equal ones in the order in which they were sent.
    fn end(&mut self, packet: &Packet<P>, fate: Fate) {
        let is_it = |open: &Open<P>| {
            open.from == packet.from && open.to == packet.to && open.message == packet.message
        };
        if let Some(index) = self.open.iter().position(is_it) {
            let open = self.open.remove(index);
            self.trace.messages[open.arrow].fate = fate;
        }
    }
}

fn position(clients: &BTreeSet<u32>, client: u32) -> usize {
    clients.range(..client).count()
}

fn asking_client<P: Protocol>(happening: &Happening<P>) -> Option<u32> {
    match &happening.action {
        Action::Ask(_, command) => Some(command.request.client.0),
        _ => None,
    }
}

/// Who takes part in a step.
fn replicas<P: Protocol>(happening: &Happening<P>) -> Vec<NodeId> {
    let mut replicas = match &happening.action {
        Action::Deliver(packet) | Action::Drop(packet) | Action::Duplicate(packet) => {
            vec![packet.from, packet.to]
        }
        Action::Persist(id)
        | Action::Checkpoint(id)
        | Action::FinishCheckpoint(id)
        | Action::CrashLosing(id)
        | Action::CrashKeeping(id)
        | Action::Restart(id)
        | Action::Timer(id, _)
        | Action::Silence(id)
        | Action::Campaign(id)
        | Action::Ask(id, _) => vec![*id],
    };
    for event in &happening.events {
        if let Event::Sent { to, .. } = event {
            replicas.extend(to.iter());
        }
    }
    replicas
}

#[cfg(test)]
mod tests {
    use crate::check::Search;
    use crate::registry::Preset;
    use crate::sabotage::Rule;

    #[test]
    fn a_counterexample_is_drawn_with_every_step_and_what_is_violated() {
        let setup = Preset::named("duel").expect("a preset").setup;
        let rule = Some(Rule::DisjointQuorums);
        let outcome = Search { rule, ..Search::whole(setup) }.run();
        let (_, found) = outcome.violation().expect("quorums that do not meet are found out");
        let text = found.trace("two leaders").text();
        for phrase in ["c0 -> r0", "r1 is told to lead", "vote slot 0", "** violation", "underway"]
        {
            let words = text.split_whitespace().collect::<Vec<_>>().join(" ");
            assert!(words.contains(phrase), "{phrase:?} is missing in:\n{text}");
        }
        assert!(found.trace("two leaders").svg().contains("chosen-stays-chosen"));
    }
}
