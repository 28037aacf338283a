//! Clients that ask alike: of those that have asked for nothing yet, only the first may ask.
//!
//! Two clients with one script, which ask the same replicas for as many writes or reads, differ in their number, in
//! their key and in the values that they write, and in nothing else.
//! No replica compares these but for equality, so to exchange such clients, with their keys and values, turns runs into
//! runs. Of the runs that differ in that alone, one is looked at: that in which they ask for the first time in the order
//! of their numbers (scalarsets: Ip and Dill, *Better verification through symmetry*, 1996).
//! Every other is a renaming of it, with as many steps and the same verdict.
//!
//! A state in which *k* of *m* such clients have asked stands for *m* (*m* - 1) … (*m* - *k* + 1), one for each choice of
//! who asked first, second and so on. That is exact as long as the state still holds in which order they asked: the
//! slots of the log do.
//! Where a state is cut into parts, the order of keys and of clients matters, and no clients are alike.

use super::state::Client;
use crate::protocol::Retention;
use crate::registry::Setup;

/// The clients that ask alike, in groups of two at least.
#[derive(Clone, Debug, Default)]
pub(super) struct Alike {
    /// The numbers of each group, ascending.
    groups: Vec<Vec<usize>>,
}

impl Alike {
    /// Those of a deployment, of which these have asked for something before the exploration begins.
    pub(super) fn of(setup: &Setup, first: &[Client]) -> Self {
        let Retention { slots, part_bytes } = setup.retention;
        let is_cut = slots.is_some() || setup.budgets.checkpoints > 0;
        // With room for nothing a promise comes vote by vote; else values of another length might be cut elsewhere.
        if is_cut || ![0, Retention::ALL.part_bytes].contains(&part_bytes) {
            return Self::default();
        }
        let mut groups: Vec<Vec<usize>> = Vec::new();
        for (number, script) in setup.clients.iter().enumerate() {
            if !is_new(&first[number]) {
                continue;
            }
            match groups.iter_mut().find(|group| setup.clients[group[0]] == *script) {
                Some(group) => group.push(number),
                None => groups.push(vec![number]),
            }
        }
        groups.retain(|group| group.len() > 1);
        Self { groups }
    }

    /// Whether there are any.
    pub(super) const fn is_empty(&self) -> bool {
        self.groups.is_empty()
    }

    /// In how many ways they can change places.
    pub(super) fn order(&self) -> usize {
        self.groups.iter().map(|group| (1..=group.len()).product::<usize>()).product()
    }

    /// Whether a client may not ask yet, because one before it that asks alike has asked for nothing.
    pub(super) fn has_to_wait(&self, clients: &[Client], number: usize) -> bool {
        let group = self.groups.iter().find(|group| group.contains(&number));
        let mut before = group.into_iter().flatten().take_while(|other| **other < number);
        before.any(|other| is_new(&clients[*other]))
    }

    /// How many states one stands for.
    pub(super) fn size(&self, clients: &[Client]) -> usize {
        let of_group = |group: &Vec<usize>| {
            let asked = group.iter().filter(|number| !is_new(&clients[**number])).count();
            (group.len() - asked + 1..=group.len()).product::<usize>()
        };
        self.groups.iter().map(of_group).product()
    }
}

/// Whether it has asked for nothing.
const fn is_new(client: &Client) -> bool {
    client.sequence == 0 && !client.is_asked
}

#[cfg(test)]
mod tests {
    use super::*;

    const ASKED: Client = Client {
        sequence: 0,
        is_asked: true,
        is_waiting: true,
        must_see: crate::protocol::Slot::ZERO,
    };

    #[test]
    fn those_alike_ask_in_their_order_and_a_state_stands_for_every_other() {
        let alike = Alike { groups: vec![vec![0, 2, 3]] };
        let mut clients = [Client::default(); 4];
        let waits = |clients: &[Client]| [0, 1, 2, 3].map(|it| alike.has_to_wait(clients, it));
        assert_eq!((alike.order(), alike.size(&clients)), (6, 1));
        assert_eq!(waits(&clients), [false, false, true, true]);
        clients[1] = ASKED;
        assert_eq!((waits(&clients), alike.size(&clients)), ([false, false, true, true], 1));
        clients[0] = ASKED;
        assert_eq!((waits(&clients), alike.size(&clients)), ([false, false, false, true], 3));
        clients[2] = ASKED;
        assert_eq!((waits(&clients), alike.size(&clients)), ([false; 4], 6));
        clients[3] = ASKED;
        assert_eq!(alike.size(&clients), 6);
    }
}
