//! Clients that remember everything: what they asked, what they were told, and the check of it.

use std::collections::BTreeMap;

use flexpaxos::command::{ClientId, Command, Operation, Outcome, RequestId};
use flexpaxos::history::{
    self, Check, ChosenWriter, ClientWriter, Event, Issued, Options, Returned, Verdict,
};
use flexpaxos::protocol::{Reply, Slot};
use flexpaxos::quorum::NodeId;
use flexpaxos::registry::Registration;
use flexpaxos::time::Time;

use super::world::{Segment, World};

/// Every client of a world.
#[derive(Default)]
pub(crate) struct Clients {
    /// Where each was executed, as its client was told first.
    pub(crate) acknowledged: BTreeMap<RequestId, Slot>,
    /// Whom a client was last sent to, if it was.
    pub(crate) redirected: BTreeMap<RequestId, Option<NodeId>>,
    histories: BTreeMap<ClientId, Vec<Event>>,
}

impl Clients {
    /// A new command.
    pub(crate) fn issue(
        &mut self,
        now: Time,
        client: ClientId,
        settled_below: u64,
        operation: Operation,
    ) -> Command {
        let history = self.histories.entry(client).or_default();
        let issued_count = history.iter().filter(|event| matches!(event, Event::Invoke(_))).count();
        let sequence = u64::try_from(issued_count).expect("a count");
        let (kind, key, digest) = history::facts(&operation);
        history.push(Event::Invoke(Issued { sequence, intended_at: now, kind, key, digest }));
        let request = RequestId { client, sequence };
        Command { request, settled_below, operation }
    }

    /// A reply of a replica; a second answer to one request changes nothing.
    pub(crate) fn told(&mut self, now: Time, reply: &Reply) {
        match reply {
            Reply::NotLeader { request, leader } => {
                self.redirected.insert(*request, *leader);
            }
            Reply::Executed { request, slot, outcome } => {
                if self.acknowledged.insert(*request, *slot).is_some() {
                    return;
                }
                let digest = match outcome {
                    Outcome::Read(Some(value)) => Some(history::digest(value)),
                    Outcome::Read(None) | Outcome::Stored => None,
                };
                let sequence = request.sequence;
                let returned =
                    Returned { sequence, at: now, slot: *slot, is_beside: false, digest };
                self.histories.entry(request.client).or_default().push(Event::Return(returned));
            }
            Reply::Read { request, below, value } => {
                if self.acknowledged.insert(*request, *below).is_some() {
                    return;
                }
                let (sequence, digest) = (request.sequence, value.as_deref().map(history::digest));
                let (at, slot, is_beside) = (now, *below, true);
                let returned = Returned { sequence, at, slot, is_beside, digest };
                self.histories.entry(request.client).or_default().push(Event::Return(returned));
            }
        }
    }
}

impl<P: Registration> World<P> {
    /// What the oracle of the project says of this world's whole past.
    pub(crate) fn verdict(&self) -> Verdict {
        let logs: Vec<Vec<u8>> = self.everybody().iter().flat_map(|id| self.logs(id)).collect();
        let written = |(client, events): (&ClientId, &Vec<Event>)| {
            let mut writer = ClientWriter::new(*client);
            for event in events {
                match event {
                    Event::Invoke(issued) => writer.invoke(issued),
                    Event::Return(returned) => writer.returned(returned),
                }
            }
            writer.finish()
        };
        let histories: Vec<Vec<u8>> = self.clients.histories.iter().map(written).collect();
        let mut check = Check::new(Options::default());
        for history in &histories {
            check.add_client(|| Ok(history.as_slice())).expect("a history that was just written");
        }
        for log in &logs {
            check.add_replica(log.as_slice()).expect("a log that was just written");
        }
        check.finish().expect("logs in memory can be read")
    }

    /// One for each time it was started.
    fn logs(&self, id: NodeId) -> Vec<Vec<u8>> {
        let log = |segment: &Segment| {
            let mut writer = ChosenWriter::begin(P::ORDER, id, segment.progress);
            segment.advances.iter().for_each(|advance| writer.advance(advance));
            writer.finish()
        };
        self.segments(id).iter().map(log).collect()
    }
}
