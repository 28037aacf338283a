//! Intervals of latencies on their way to a recording: a thread of its own encodes them.

use std::sync::mpsc::{self, Sender};
use std::thread::JoinHandle;

use crate::measure::{Interval, Recorder, Recording};

/// The thread that encodes intervals while the load goes on.
#[derive(Debug)]
pub(super) struct Encoder {
    intervals: Sender<Interval>,
    thread: JoinHandle<Recording>,
}

impl Encoder {
    /// An encoder for the intervals of `recorder`.
    pub(super) fn start(recorder: &Recorder) -> std::io::Result<Self> {
        let (intervals, receiver) = mpsc::channel::<Interval>();
        let mut recording = Recording::new(recorder.window(), recorder.interval_length());
        let thread = std::thread::Builder::new().name("encoder".into()).spawn(move || {
            for interval in receiver {
                recording.add(&interval);
            }
            recording
        })?;
        Ok(Self { intervals, thread })
    }

    /// Hands over what is over, and never waits.
    pub(super) fn take_from(&self, recorder: &mut Recorder) {
        while let Some(interval) = recorder.take_interval() {
            // The thread ends only in `finish`, or by a panic, which `finish` meets.
            let _ = self.intervals.send(interval);
        }
    }

    /// Everything recorded.
    pub(super) fn finish(self, recorder: Recorder) -> Recording {
        drop(self.intervals);
        let mut recording = self.thread.join().expect("encoding a histogram does not panic");
        recording.finish(recorder);
        recording
    }
}
