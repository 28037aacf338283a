//! Replicas whose every message, record, checkpoint and answer goes through its encoding.
//!
//! A simulated world hands values around, and a live one bytes.
//! What the encoding lost would therefore be found by no simulated run; so in a fuzzed one every value
//! that leaves a replica or goes to its disk is encoded as a live replica encodes it, decoded again,
//! compared with the original, and replaced by what came back.

use bytes::BytesMut;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::cell::RefCell;
use std::fmt::Debug;

use crate::command::{ClientId, Command};
use crate::protocol::{
    Ballot, Effects, Envelope, Input, Order, Position, Progress, Protocol, Statement, Value,
};
use crate::quorum::{NodeId, NodeSet};
use crate::runtime::net::frame::{self, Decoder};
use crate::time::Now;

/// A replica behind its encodings.
#[derive(Debug)]
pub(super) struct Encoded<P> {
    inner: P,
    /// A checkpoint is asked for without the right to change anything.
    codec: RefCell<Codec>,
}

/// The encodings of a live replica, both ways.
#[derive(Debug, Default)]
struct Codec {
    buffer: BytesMut,
    decoder: Decoder,
    /// Values that went through.
    count: u64,
}

impl<P> Encoded<P> {
    pub(super) fn new(inner: P) -> Self {
        Self { inner, codec: RefCell::default() }
    }

    /// The replica inside.
    pub(super) const fn inner(&self) -> &P {
        &self.inner
    }
}

impl Codec {
    /// Replaces a value by what its frame gives back.
    ///
    /// # Panics
    /// If that is another value.
    fn through<T>(&mut self, value: &mut T)
    where
        T: Serialize + DeserializeOwned + PartialEq + Debug,
    {
        if let Err(error) = frame::encode(&mut self.buffer, value) {
            panic!("{value:?} does not encode: {error}");
        }
        self.decoder.push(self.buffer.split().freeze());
        self.replace(value, |codec| codec.decoder.next().map_err(|error| error.to_string()));
    }

    /// The same as on a disk, which has no frames.
    fn through_disk<T>(&mut self, value: &mut T)
    where
        T: Serialize + DeserializeOwned + PartialEq + Debug,
    {
        let bytes = postcard::to_stdvec(value);
        let bytes = bytes.unwrap_or_else(|error| panic!("{value:?} does not encode: {error}"));
        self.replace(value, |_| {
            postcard::from_bytes(&bytes).map(Some).map_err(|error| error.to_string())
        });
    }

    fn replace<T: PartialEq + Debug>(
        &mut self,
        value: &mut T,
        decode: impl FnOnce(&mut Self) -> Result<Option<T>, String>,
    ) {
        match decode(self) {
            Ok(Some(decoded)) => {
                assert!(decoded == *value, "{value:?} is decoded as {decoded:?}");
                *value = decoded;
            }
            Ok(None) => panic!("{value:?} is encoded without its end"),
            Err(error) => panic!("{value:?} does not decode: {error}"),
        }
        self.count += 1;
    }
}

impl<P: Protocol> Protocol for Encoded<P> {
    type Message = P::Message;
    type Record = P::Record;
    type Checkpoint = P::Checkpoint;

    const ORDER: Order = P::ORDER;

    fn handle(
        &mut self,
        now: Now,
        mut input: Input<Self::Message>,
        effects: &mut Effects<Self::Message, Self::Record>,
    ) {
        let codec = self.codec.get_mut();
        if let Input::Request(command) = &mut input {
            codec.through(command);
        }
        // Effects may hold those of earlier inputs.
        let (sends, records) = (effects.sends.len(), effects.records.len());
        let (durable_sends, replies) = (effects.durable_sends.len(), effects.replies.len());
        self.inner.handle(now, input, effects);
        let new = |envelopes: &mut Vec<Envelope<P::Message>>, first: usize, codec: &mut Codec| {
            for envelope in envelopes.iter_mut().skip(first) {
                codec.through(&mut envelope.message);
            }
        };
        new(&mut effects.sends, sends, codec);
        // The last of the earlier ones may have grown.
        new(&mut effects.durable_sends, durable_sends.saturating_sub(1), codec);
        for record in effects.records.iter_mut().skip(records) {
            codec.through_disk(record);
        }
        for reply in effects.replies.iter_mut().skip(replies) {
            codec.through(reply);
        }
    }

    fn check_message(&self, from: NodeId, message: &Self::Message) -> Result<(), String> {
        self.inner.check_message(from, message)
    }

    fn check_command(&self, from: ClientId, command: &Command) -> Result<(), String> {
        self.inner.check_command(from, command)
    }

    fn statement(message: &Self::Message) -> Statement<'_> {
        P::statement(message)
    }

    fn recorded(record: &Self::Record) -> Statement<'_> {
        P::recorded(record)
    }

    fn promised(&self, position: Position) -> Ballot {
        self.inner.promised(position)
    }

    fn promised_highest(&self) -> Ballot {
        self.inner.promised_highest()
    }

    fn voted(&self, position: Position) -> Option<Ballot> {
        self.inner.voted(position)
    }

    fn chosen(&self, position: Position) -> Option<&Value> {
        self.inner.chosen(position)
    }

    fn checkpoint(&self) -> Self::Checkpoint {
        let mut checkpoint = self.inner.checkpoint();
        self.codec.borrow_mut().through_disk(&mut checkpoint);
        checkpoint
    }

    fn recover(&mut self, checkpoint: Option<Self::Checkpoint>, records: Vec<Self::Record>) {
        self.inner.recover(checkpoint, records);
    }

    fn progress(&self) -> Progress {
        self.inner.progress()
    }

    fn leadership(&self) -> Option<u64> {
        self.inner.leadership()
    }

    fn refused_by(&self) -> NodeSet {
        self.inner.refused_by()
    }

    fn announced(&self) -> Option<NodeSet> {
        self.inner.announced()
    }

    fn stored(&self) -> Option<u64> {
        self.inner.stored()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fuzz::{Case, Limits};
    use crate::paxos::{Message, Mode, Record, Replica};
    use crate::quiet::quietly;
    use crate::sabotage::Saboteur;
    use serde::Deserialize;

    #[test]
    fn a_replica_behind_its_encodings_does_what_it_does_alone() {
        let case = Case::draw(1, &Limits::default());
        let alone = || {
            let config = case.config(NodeId(0));
            let replica = Replica::new(Mode::multi(NodeId(0)), config.clone());
            Saboteur::new(replica, &config, None)
        };
        let (mut alone, mut encoded) = (alone(), Encoded::new(alone()));
        let mut effects = [Effects::<Message, Record>::default(), Effects::default()];
        for input in [Input::Start, Input::Campaign] {
            alone.handle(Now::default(), input.clone(), &mut effects[0]);
            encoded.handle(Now::default(), input, &mut effects[1]);
        }
        assert_eq!(effects[0], effects[1]);
        assert!(!effects[0].durable_sends.is_empty() && !effects[0].records.is_empty());
        assert_eq!(alone.checkpoint(), encoded.checkpoint());
        assert!(encoded.codec.borrow().count >= 3, "{:?}", encoded.codec);
    }

    /// What its encoding leaves out is nothing when it is decoded.
    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Forgetful {
        round: u64,
        #[serde(skip)]
        voted: bool,
    }

    /// It is encoded as a text and decoded as a number.
    #[derive(Debug, PartialEq, Deserialize)]
    struct Changeling(u64);

    impl Serialize for Changeling {
        fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            serializer.serialize_str("seven")
        }
    }

    #[test]
    fn a_field_that_is_not_encoded_breaks_an_assertion() {
        let said = |voted| {
            let ran = quietly(|| Codec::default().through(&mut Forgetful { round: 7, voted }));
            let disk =
                quietly(|| Codec::default().through_disk(&mut Forgetful { round: 7, voted }));
            assert_eq!(ran.is_err(), disk.is_err());
            ran.err().map(|broken| broken.message)
        };
        assert_eq!(said(false), None);
        let expected = "Forgetful { round: 7, voted: true } is decoded as Forgetful { round: 7, voted: false }";
        assert_eq!(said(true).as_deref(), Some(expected));
        let broken = quietly(|| Codec::default().through(&mut Changeling(7))).unwrap_err();
        assert!(broken.message.starts_with("Changeling(7) does not decode"), "{broken}");
    }
}
