//! What a calibration says to the simulator: how long a replica takes for its work.

use super::{Calibration, Quantiles, disk};
use crate::sim::{Costs, Service, Shared, Work};
use crate::time::Span;

impl Calibration {
    /// The service times of a simulated replica on this machine.
    ///
    /// A round trip is two messages, each sent once and received once, so
    ///
    /// `receive + send = round trip / 2`, `receive : send = 2 : 1`, `sync = sync of one record`,
    ///
    /// `mebibyte = (round trip of 1 MiB there and 128 bytes back - round trip) / 2`,
    ///
    /// all at the median.
    /// The round trip is that of QUIC with both ends in one event loop: its work, without the
    /// wake-ups of two threads, which live runs subtract from the emulated delay as part of their
    /// baseline, and which occupy no processor.
    /// The two to one is an assumption: it is the split that `experiments/quickstart.toml` was
    /// written with, and only the sum shows in the latency of a message.
    /// The simulator takes it off its links again, as live links are shortened by a baseline that has
    /// this work in it: what is left of it is what queues.
    ///
    /// What was not measured takes no time here; a file of which that is true is not [read](Self::read).
    pub fn service(&self) -> Service {
        let median = |times: &Quantiles| times.ns_p50.unwrap_or(0);
        let hop = median(&self.round_trips.quic_in_one_loop) / 2;
        // The sum is exact whatever the division leaves.
        let send = hop / 3;
        let sync = Span(median(&self.syncs.one));
        // What a MiB takes longer than a small message, half of it at each end.
        let longer = median(&self.round_trips.quic_mebibyte).saturating_sub(hop * 2);
        let mebibyte = Span(longer / 2);
        let (receive, send) = (Span(hop - send), Span(send));
        Service { receive, send, sync, mebibyte, ..Service::default() }
    }

    /// What work costs on this machine, for members that have it to themselves and for members that share it.
    pub fn work(&self) -> Work {
        Work { alone: self.service(), shared: self.shared() }
    }

    /// What work costs members that share this machine; `None` if one of its figures was not measured.
    ///
    /// They have turns, and the messages of one peer in one turn share a packet:
    ///
    /// `receive + send = processor time of a message`, `receive : send = 2 : 1`,
    /// `packet = round trip in one event loop / 4`,
    /// `wake_up = (processor time of a round trip between two threads - round trip in one event loop) / 2`,
    /// `host.sync = processor time of a sync while four logs sync`,
    /// `service.sync = time of such a sync / 4`, but not less than one log alone takes,
    /// `slice = how long one of two busy threads runs before the other one does`.
    ///
    /// A round trip has two packets, each sent once and received once; of four logs on one disk each waits for the
    /// syncs of the others.
    fn shared(&self) -> Option<Shared> {
        let alone = self.service();
        let in_one_loop = self.round_trips.quic_in_one_loop.ns_p50?;
        // Two threads may take less than one by chance.
        let wake_ups = self.round_trips.quic_cpu_ns?.saturating_sub(in_one_loop);
        let message = self.message_cpu_ns?;
        let send = message / 3;
        let of_four = self.syncs.one_in_each_of_4.ns_p50?;
        let sync = alone.sync.max(Span(of_four / disk::LOGS as u64));
        Some(Shared {
            service: Service { receive: Span(message - send), send: Span(send), sync, ..alone },
            costs: Costs {
                wake_up: Span(wake_ups / 2),
                packet: Span(in_one_loop / 4),
                sync: Span(self.syncs.one_cpu_ns?),
                slice: Span(self.slice_ns.unwrap_or(0)),
            },
        })
    }
}
