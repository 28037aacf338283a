//! What members do and say, and what the coordinator makes of it.

use std::net::SocketAddr;

use quinn::{Connection, SendStream};

use super::Coordinator;
use crate::causes::chain;
use crate::cluster::error::Error;
use crate::cluster::member::Presence;
use crate::cluster::reception::{Event, Session, What};
use crate::cluster::wire::{Assignment, ToAgent, ToCoordinator};
use crate::deployment::MemberName;

impl Coordinator<'_> {
    pub(super) async fn handle(&mut self, event: Event) -> Result<(), Error> {
        let Event { member: name, session, what } = event;
        if let What::Joined(send, connection) = what {
            self.welcome(name, session, send, &connection).await;
            return Ok(());
        }
        if let What::Said(ToCoordinator::Milestone(milestone)) = &what {
            // Also of a process that was killed since: it said so while it lived.
            self.outcome.milestones.entry(name).or_default().push(*milestone);
            return Ok(());
        }
        let Some(member) = self.members.get_mut(&name) else { return Ok(()) };
        // The last words of a process that was killed and has a successor are of no interest.
        if member.session != Some(session) {
            return Ok(());
        }
        match what {
            What::Joined(..) => {}
            What::Said(message) => self.hear(name, message).await,
            What::Handed(path) => self.outcome.files.entry(name).or_default().push(path?),
            What::Lost => {
                (member.session, member.send) = (None, None);
                let is_returning = member.presence == Presence::Returning;
                let end = self.launcher.ended(name);
                if is_returning && end.is_none() {
                    // The process that was killed before it was back; its successor is on its way.
                    return Ok(());
                }
                if !self.has_handed_over(name) {
                    let end = end.map_or_else(String::new, |end| format!(" ({end})"));
                    self.lose(name, &format!("its connection to the coordinator ended{end}"));
                }
            }
        }
        Ok(())
    }

    async fn welcome(
        &mut self,
        name: MemberName,
        session: Session,
        send: SendStream,
        connection: &Connection,
    ) {
        let Some(member) = self.members.get_mut(&name) else {
            connection.close(0u32.into(), b"no such member");
            return;
        };
        // One that is to come back may have been killed on its way and started again: the last to join
        // counts, and who was killed has nobody to come after it yet.
        let may_join = match member.presence {
            Presence::Returning => true,
            Presence::Expected | Presence::Lost => member.session.is_none(),
            Presence::Down => false,
        };
        if !may_join {
            connection.close(0u32.into(), b"this member has joined, or is to be down");
            return;
        }
        (member.session, member.send) = (Some(session), Some(send));
        member.seen_at = Some(connection.remote_address().ip());
        self.greet(name).await;
    }

    /// Tells a member what it is part of.
    pub(super) async fn assign(&mut self, name: MemberName) {
        let home = self.launcher.home(name).map(|home| home.address);
        let Some(member) = self.members.get_mut(&name) else { return };
        member.is_assigned = true;
        let Some(own) = home.or(member.seen_at) else { return };
        // A restarted member keeps its address, so that its peers find it again.
        let bind = member.address.unwrap_or_else(|| SocketAddr::new(own, 0));
        let (has_run, clock_shift_ns) = (member.address.is_some(), member.clock.shift());
        let assignment = Assignment {
            clock_shift_ns,
            deployment: self.deployment.clone(),
            transport: self.transport.clone(),
            precision: self.precision,
            bind,
            known: self.addresses(),
            baselines: self.baselines_of(name),
            faults: self.told(),
            broken: self.broken,
            has_run,
            broken_disk: self.broken_disk,
        };
        self.tell(name, &ToAgent::Assign(Box::new(assignment))).await;
    }

    async fn hear(&mut self, name: MemberName, message: ToCoordinator) {
        let Some(member) = self.members.get_mut(&name) else { return };
        match message {
            // Milestones are taken before, whoever says them.
            ToCoordinator::Join { .. } | ToCoordinator::Milestone(_) => {}
            ToCoordinator::Clock { asked, own } => self.hear_clock(name, asked, own).await,
            ToCoordinator::Connected(names) => member.connected = Some(names),
            ToCoordinator::Recovered(recovery) => {
                self.outcome.recoveries.entry(name).or_default().push(recovery);
            }
            ToCoordinator::Ready(address) => {
                member.address = Some(address);
                member.turn(Presence::Expected);
                if let Some(schedule) = self.schedule {
                    let addresses = self.addresses();
                    self.tell(name, &ToAgent::Mesh(addresses)).await;
                    self.tell(name, &ToAgent::Start(schedule)).await;
                }
            }
            ToCoordinator::Status(status) => member.status = status,
            ToCoordinator::Heard { run, heard } => {
                if run == self.probe_run {
                    self.heard.insert(name, heard);
                }
            }
            ToCoordinator::Report(report) => {
                member.has_reported = true;
                member.file_count = report.file_count;
                self.outcome.reports.insert(name, *report);
            }
            // Its sender does not follow the protocol, so nothing else that it said can be believed.
            ToCoordinator::Offence(offence) => {
                self.outcome.violations.push(format!("{name}: {offence}"));
            }
            ToCoordinator::Failed { message, is_violation, is_disk_full } => {
                if is_violation {
                    self.outcome.violations.push(format!("{name}: {message}"));
                }
                if !(is_disk_full && self.is_filled(name)) {
                    self.lose(name, &message);
                } else if let Err(error) = self.stop_filled(name) {
                    self.lose(name, &chain(&error));
                }
            }
        }
    }
}
