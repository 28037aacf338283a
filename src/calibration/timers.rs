//! How late timers are: the releasing thread's, the event loop's alarm, and tokio's own.

use std::future::poll_fn;
use std::time::Duration;

use super::delay_line::{self, Load};
use super::{Error, Quantiles, event_loop};
use crate::measure::Latencies;
use crate::runtime::alarm::Alarm;
use crate::runtime::clock;
use crate::runtime::wan::Precision;
use crate::time::Span;

/// The distance of the instants waited for: far enough that a thread goes to sleep between.
const PERIOD: Span = Span::from_millis(1);

/// The delay of the link by which the releasing thread is measured.
const DELAY: Span = Span::from_millis(2);

/// How late the releasing thread gives datagrams to the kernel, and the scheduling it obtained.
pub(super) fn releaser(length: Span) -> Result<(Quantiles, String), Error> {
    let count = (length.0 / PERIOD.0).max(1);
    let load = Load { delay: DELAY, rate_per_s: 1_000_000_000 / PERIOD.0, count };
    let what = "start the link emulation";
    let found = delay_line::measure(Precision::default(), load)
        .map_err(|source| Error::Start { what, source })?;
    let emulation = found.emulation;
    let nanoseconds = |span: Option<Span>| span.map(|span| span.0);
    let late = Quantiles {
        count: emulation.datagrams,
        ns_p50: nanoseconds(emulation.lateness_p50),
        ns_p99: nanoseconds(emulation.lateness_p99),
        ns_max: nanoseconds(emulation.lateness_max),
    };
    Ok((late, emulation.scheduling.to_string()))
}

/// How late the alarm of an event loop rings.
pub(super) fn alarm(length: Span) -> Result<Quantiles, Error> {
    event_loop()?.block_on(async {
        let (mut alarm, mut late) = (Alarm::new()?, Latencies::new());
        let start = clock::now();
        for index in 1..=(length.0 / PERIOD.0).max(1) {
            // One that is already past is waited for no more, and was late.
            let due = start + PERIOD.times(index);
            alarm.set(Some(due));
            poll_fn(|context| alarm.poll_due(context)).await;
            late.record(clock::now().since(due));
        }
        Ok(Quantiles::of(&late))
    })
}

/// How late tokio's own timer fires.
pub(super) fn tokio(length: Span) -> Result<Quantiles, Error> {
    Ok(event_loop()?.block_on(async {
        let mut late = Latencies::new();
        let start = clock::now();
        while clock::now().since(start) < length || late.is_empty() {
            let due = clock::now() + PERIOD;
            tokio::time::sleep(Duration::from(PERIOD)).await;
            late.record(clock::now().since(due));
        }
        Quantiles::of(&late)
    }))
}
