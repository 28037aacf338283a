//! What only the simulator can do: work that costs a given time, and what the live backend refuses.

use std::ops::Range;

use crate::experiment::file;
use crate::experiment::mistakes::Mistakes;
use crate::experiment::refusal::Error;
use crate::runtime::net::{Layout, Transport};
use crate::sim::{Connection, Costs, Host, Service, Settings};
use crate::time::Span;

/// Something that a file asks for and the live backend cannot do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Simulated {
    /// Where it is asked for.
    pub(super) at: Range<usize>,
    /// What it is, after "cannot".
    pub(super) what: &'static str,
}

/// What the simulator is told beside the deployment.
///
/// Of the transport it knows whether what is lost is sent again, and what waits for it meanwhile.
pub(super) fn settings(file: &file::File, transport: &Transport) -> Settings {
    let file::Service { receive, send, sync, mebibyte, checkpoint } =
        file.service.unwrap_or_default();
    let [receive, send, sync, mebibyte, checkpoint] =
        [receive, send, sync, mebibyte, checkpoint].map(|length| length.0.into());
    let service = Service { receive, send, sync, mebibyte, checkpoint };
    let connection = Connection {
        is_ordered: transport.streams == Layout::One,
        window_bytes: transport.send_window_bytes,
        idle_timeout: Span::from_millis(transport.idle_timeout_ms),
    };
    Settings {
        service,
        connection: (transport.streams != Layout::Datagrams).then_some(connection),
        host: file.host.as_ref().map(host),
    }
}

fn host(typed: &file::Host) -> Host {
    let file::Host { cores, wake_up, packet, sync, slice, one_disk } = typed;
    let [wake_up, packet, sync, slice] = [wake_up, packet, sync, slice]
        .map(|typed| typed.as_ref().map_or(Span::ZERO, |typed| typed.get_ref().0.into()));
    Host {
        cores: *cores.get_ref(),
        costs: Costs { wake_up, packet, sync, slice },
        one_disk: one_disk.as_ref().is_some_and(|typed| *typed.get_ref()),
    }
}

/// Refuses a machine on which nobody ever runs.
pub(super) fn check_host(file: &file::File, mistakes: &mut Mistakes<'_>) {
    if let Some(host) = &file.host
        && *host.cores.get_ref() == 0
    {
        mistakes.refuse_at(host.cores.span(), Error::Zero { key: "host.cores" });
    }
}
