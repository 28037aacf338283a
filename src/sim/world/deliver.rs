//! What arrives on a link reaches a replica or a client.

use std::fmt::Display;

use super::World;
use crate::command::{Ask, ClientId};
use crate::protocol::{Answer, Input, Protocol};
use crate::sim::fabric::Fabric;
use crate::sim::network::node;
use crate::sim::queue::Event;

impl<P: Protocol> World<P> {
    /// What arrives now on a link between replicas.
    pub(super) fn deliver(&mut self, index: usize, event: Event) {
        let Fabric { now, queue, network, counts, observer, .. } = &mut self.fabric;
        let (from, to) = network.ends(index);
        let (from, receiver) = (node(from), &mut self.nodes[to]);
        let link = &mut network.links[index];
        if !link.is_armed_for(event) {
            queue.pop();
            return;
        }
        while let Some(message) = link.receive(*now) {
            counts.events += 1;
            if let Some(protocol) = receiver.protocol() {
                let possible = protocol.check_message(from, &message);
                accuse(possible, from, &message);
                if let Some(observer) = observer {
                    observer.received(*now, from, node(to), &message);
                }
            }
            if !receiver.arrive(*now, Input::Message { from, message }) {
                counts.missed += 1;
            }
        }
        match link.rearm() {
            Some(next) => queue.replace(next),
            None => queue.pop(),
        }
        self.mark(to);
    }

    /// What arrives now on a link from a client to a replica.
    pub(super) fn deliver_requests(&mut self, index: usize, event: Event) {
        let Fabric { now, queue, network, counts, observer, .. } = &mut self.fabric;
        let (client, to) = network.request_ends(index);
        let receiver = &mut self.nodes[to];
        let link = &mut network.requests[index];
        if !link.is_armed_for(event) {
            queue.pop();
            return;
        }
        while let Some(ask) = link.receive(*now) {
            counts.events += 1;
            if let (Some(protocol), Ask::Command(command)) = (receiver.protocol(), &ask) {
                let client = ClientId(u32::try_from(client).expect("clients are few"));
                let possible = protocol.check_command(client, command);
                accuse(possible, format_args!("c{}", client.0), command);
                if let Some(observer) = observer {
                    observer.requested(*now, node(to), command);
                }
            }
            if !receiver.ask(*now, ask) {
                counts.missed += 1;
            }
        }
        match link.rearm() {
            Some(next) => queue.replace(next),
            None => queue.pop(),
        }
        self.mark(to);
    }

    /// What arrives now on a link from a replica to a client.
    pub(super) fn deliver_replies(&mut self, index: usize, event: Event) {
        let Fabric { now, queue, network, counts, observer, machine, .. } = &mut self.fabric;
        let (from, to) = network.reply_ends(index);
        let client = &mut self.clients[to];
        let link = &mut network.replies[index];
        if !link.is_armed_for(event) {
            queue.pop();
            return;
        }
        while let Some(answer) = link.receive(*now) {
            counts.events += 1;
            if let (Some(observer), Answer::Reply(reply)) = (&mut *observer, &answer) {
                let to = reply.request().client;
                observer.told(*now, node(from), to, reply);
            }
            if machine.is_some() {
                client.arrive(node(from), answer);
            } else {
                client.handle_answer(*now, node(from), answer);
            }
        }
        match link.rearm() {
            Some(next) => queue.replace(next),
            None => queue.pop(),
        }
        self.mark_client(to);
    }
}

/// Everybody here follows the protocol, so what it calls impossible is a mistake of one of the two.
fn accuse(possible: Result<(), String>, from: impl Display, message: &impl Display) {
    if let Err(why) = possible {
        panic!("{from} sent `{message}`, which is called impossible: {why}");
    }
}
