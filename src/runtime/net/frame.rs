//! Frames: a message on a QUIC stream is its length and its postcard encoding.
//!
//! A length is four bytes, little endian, and counts what follows it.
//! [`encode`] appends, so that all frames of one wake-up of a member leave as one chunk.
//! A [`Decoder`] takes the chunks of one stream in their order, cut anywhere.
//! It faces whatever a peer sends: a length over [`MAX_FRAME_BYTES`] or bytes that do not decode are
//! errors, and the stream is worth nothing after one.

use std::collections::VecDeque;

use bytes::{Buf, Bytes, BytesMut};
use postcard::ser_flavors::Flavor;
use serde::Serialize;
use serde::de::DeserializeOwned;

/// The longest frame, without its length: a phase-1 promise with a long log is the largest message.
pub const MAX_FRAME_BYTES: usize = 16 << 20;

/// The bytes of a length.
const LENGTH_BYTES: usize = 4;

/// The longest frame, with its length.
pub const MAX_BYTES: usize = MAX_FRAME_BYTES + LENGTH_BYTES;

/// Why a frame was not written or read.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The message does not fit into a frame, or its type has no encoding.
    #[error("a message does not encode into a frame of {MAX_FRAME_BYTES} bytes")]
    Encode(#[source] postcard::Error),
    /// The peer announces a frame that is too long.
    #[error("a frame of {length} bytes was announced; the longest allowed has {MAX_FRAME_BYTES}")]
    TooLong {
        /// Its length.
        length: usize,
    },
    /// The frame is not one of the expected message.
    #[error("a frame of {length} bytes does not decode")]
    Decode {
        /// Its length.
        length: usize,
        /// Why.
        source: postcard::Error,
    },
    /// The frame holds more than the expected message.
    #[error("a frame of {length} bytes has {trailing} after its message")]
    Trailing {
        /// Its length.
        length: usize,
        /// Bytes after the message.
        trailing: usize,
    },
}

/// Appends a frame with this message; on an error the buffer is as it was.
pub fn encode<T: Serialize + ?Sized>(buffer: &mut BytesMut, message: &T) -> Result<(), Error> {
    let start = buffer.len();
    buffer.extend_from_slice(&[0; LENGTH_BYTES]);
    let body = start + LENGTH_BYTES;
    let written =
        postcard::serialize_with_flavor(message, Body { limit: body + MAX_FRAME_BYTES, buffer });
    if let Err(error) = written {
        buffer.truncate(start);
        return Err(Error::Encode(error));
    }
    let length = u32::try_from(buffer.len() - body).expect("a frame is under 4 GiB");
    buffer[start..body].copy_from_slice(&length.to_le_bytes());
    Ok(())
}

/// Whether these bytes are one frame and nothing else, as what travels by itself must be.
pub fn is_whole(bytes: &[u8]) -> bool {
    let length = bytes.first_chunk().map(|length| u32::from_le_bytes(*length) as usize);
    length.is_some_and(|length| length <= MAX_FRAME_BYTES && bytes.len() == LENGTH_BYTES + length)
}

/// Where postcard writes: the end of a buffer, up to a limit.
struct Body<'a> {
    buffer: &'a mut BytesMut,
    limit: usize,
}

impl Flavor for Body<'_> {
    type Output = ();

    #[inline]
    fn try_extend(&mut self, data: &[u8]) -> postcard::Result<()> {
        if self.buffer.len() + data.len() > self.limit {
            return Err(postcard::Error::SerializeBufferFull);
        }
        self.buffer.extend_from_slice(data);
        Ok(())
    }

    #[inline]
    fn try_push(&mut self, data: u8) -> postcard::Result<()> {
        self.try_extend(&[data])
    }

    fn finalize(self) -> postcard::Result<()> {
        Ok(())
    }
}

/// So many chunks that wait in a row become one: a chunk keeps the whole datagram that it came in, and
/// a peer that sends single bytes would fill the memory with few of them.
const CHUNKS_IN_ROW: usize = 256;

/// Frames out of the chunks of one stream.
#[derive(Debug, Default)]
pub struct Decoder {
    /// What arrived and is not decoded; no chunk is empty.
    chunks: VecDeque<Bytes>,
    /// So many of the last chunks are as they came.
    fresh: usize,
    /// The bytes of all chunks.
    available: usize,
    /// The length of the frame that comes next, once its own bytes are there.
    length: Option<usize>,
}

impl Decoder {
    /// Takes the next chunk of the stream.
    pub fn push(&mut self, chunk: Bytes) {
        if !chunk.is_empty() {
            self.available += chunk.len();
            self.chunks.push_back(chunk);
            self.fresh += 1;
            if self.fresh == CHUNKS_IN_ROW {
                self.join();
            }
        }
    }

    /// Whether as much waits as the longest frame has: then at least one whole frame does, and no more
    /// should be taken in before it is decoded.
    pub fn is_full(&self) -> bool {
        self.available >= MAX_BYTES
    }

    /// The bytes that wait to be decoded.
    pub fn waiting_bytes(&self) -> usize {
        self.available
    }

    /// Makes one of the last chunks.
    fn join(&mut self) {
        let first = self.chunks.len().saturating_sub(self.fresh);
        let last = self.chunks.split_off(first);
        let length = last.iter().map(Bytes::len).sum();
        let mut joined = BytesMut::with_capacity(length);
        for chunk in &last {
            joined.extend_from_slice(chunk);
        }
        if length > 0 {
            self.chunks.push_back(joined.freeze());
        }
        self.fresh = 0;
    }

    /// The next message; `None` until more of the stream arrives.
    #[expect(
        clippy::should_implement_trait,
        reason = "the caller says of which type the next message is, and an iterator has one"
    )]
    pub fn next<T: DeserializeOwned>(&mut self) -> Result<Option<T>, Error> {
        let Some(length) = self.next_length()? else { return Ok(None) };
        if self.available < length {
            return Ok(None);
        }
        self.length = None;
        self.available -= length;
        // What is read as it comes is never joined.
        self.fresh = if self.available == 0 { 0 } else { self.fresh };
        if let Some(first) = self.chunks.front_mut().filter(|first| first.len() >= length) {
            let message = decode(&first[..length]);
            first.advance(length);
            if first.is_empty() {
                self.chunks.pop_front();
            }
            return message.map(Some);
        }
        decode(&self.gather(length)).map(Some)
    }

    /// Whether the stream so far ends with a whole frame.
    pub fn is_empty(&self) -> bool {
        self.available == 0 && self.length.is_none()
    }

    fn next_length(&mut self) -> Result<Option<usize>, Error> {
        if self.length.is_none() && self.available >= LENGTH_BYTES {
            self.available -= LENGTH_BYTES;
            // A length that ends its chunk is gathered, so that no empty chunk remains.
            let length = match self.chunks.front_mut() {
                Some(first) if first.len() > LENGTH_BYTES => first.get_u32_le(),
                _ => self.gather(LENGTH_BYTES).get_u32_le(),
            };
            self.length = Some(length as usize);
        }
        match self.length {
            Some(length) if length > MAX_FRAME_BYTES => Err(Error::TooLong { length }),
            length => Ok(length),
        }
    }

    /// The next `count` bytes, which have arrived, in one piece.
    fn gather(&mut self, count: usize) -> BytesMut {
        let mut gathered = BytesMut::with_capacity(count);
        while gathered.len() < count {
            let mut chunk = self.chunks.pop_front().expect("`available` counts the chunks");
            let missing = count - gathered.len();
            gathered.extend_from_slice(&chunk.split_to(missing.min(chunk.len())));
            if !chunk.is_empty() {
                self.chunks.push_front(chunk);
            }
        }
        gathered
    }
}

/// The message that this frame holds and nothing else.
fn decode<T: DeserializeOwned>(frame: &[u8]) -> Result<T, Error> {
    let length = frame.len();
    let (message, rest) =
        postcard::take_from_bytes(frame).map_err(|source| Error::Decode { length, source })?;
    match rest.len() {
        0 => Ok(message),
        trailing => Err(Error::Trailing { length, trailing }),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde::Deserialize;

    use super::*;

    #[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
    enum Message {
        Vote { round: u64, slots: Vec<u64> },
        Value(Bytes),
        Nothing,
    }

    fn messages() -> impl Strategy<Value = Vec<Message>> {
        let message = prop_oneof![
            (any::<u64>(), prop::collection::vec(any::<u64>(), 0..5))
                .prop_map(|(round, slots)| Message::Vote { round, slots }),
            prop::collection::vec(any::<u8>(), 0..300)
                .prop_map(|bytes| Message::Value(bytes.into())),
            Just(Message::Nothing),
        ];
        prop::collection::vec(message, 0..10)
    }

    fn drain(decoder: &mut Decoder) -> Result<Vec<Message>, Error> {
        std::iter::from_fn(|| decoder.next().transpose()).collect()
    }

    fn stream(messages: &[Message]) -> Bytes {
        let mut buffer = BytesMut::new();
        for message in messages {
            encode(&mut buffer, message).unwrap();
        }
        buffer.freeze()
    }

    proptest! {
        #[test]
        fn messages_survive_however_the_stream_is_cut(sent in messages(), size in 1_usize..64) {
            let stream = stream(&sent);
            let mut decoder = Decoder::default();
            let mut received = Vec::new();
            for chunk in stream.chunks(size) {
                decoder.push(Bytes::copy_from_slice(chunk));
                received.extend(drain(&mut decoder).unwrap());
            }
            prop_assert_eq!(received, sent);
            prop_assert!(decoder.is_empty());
        }

        #[test]
        fn arbitrary_bytes_never_panic(chunks in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40), 0..8)) {
            let mut decoder = Decoder::default();
            for chunk in chunks {
                decoder.push(chunk.into());
                if drain(&mut decoder).is_err() {
                    break;
                }
            }
        }

        #[test]
        fn arbitrary_bodies_of_right_length_never_panic(body in prop::collection::vec(any::<u8>(), 0..100)) {
            let mut decoder = Decoder::default();
            let length = u32::try_from(body.len()).unwrap();
            decoder.push(Bytes::copy_from_slice(&length.to_le_bytes()));
            decoder.push(body.into());
            let _ = drain(&mut decoder);
        }
    }

    #[test]
    fn a_frame_that_does_not_decode_is_an_error() {
        let mut decoder = Decoder::default();
        decoder.push(Bytes::from_static(&[1, 0, 0, 0, 9]));
        let source = postcard::Error::SerdeDeCustom;
        assert_eq!(drain(&mut decoder), Err(Error::Decode { length: 1, source }));
    }

    #[test]
    fn a_frame_with_more_than_its_message_is_an_error() {
        let mut decoder = Decoder::default();
        decoder.push(Bytes::from_static(&[3, 0, 0, 0, 2, 7, 7]));
        assert_eq!(drain(&mut decoder), Err(Error::Trailing { length: 3, trailing: 2 }));
    }

    #[test]
    fn what_travels_by_itself_is_one_frame_and_nothing_else() {
        let mut buffer = BytesMut::new();
        encode(&mut buffer, &Message::Nothing).unwrap();
        assert!(is_whole(&buffer));
        assert!(!is_whole(&buffer[..buffer.len() - 1]) && !is_whole(&[]) && !is_whole(&[1, 0]));
        buffer.extend_from_slice(&[0]);
        assert!(!is_whole(&buffer));
    }

    #[test]
    fn an_over_long_frame_is_refused_before_its_bytes_arrive() {
        let mut decoder = Decoder::default();
        let length = MAX_FRAME_BYTES + 1;
        decoder.push(Bytes::copy_from_slice(&u32::try_from(length).unwrap().to_le_bytes()));
        for _ in 0..2 {
            assert_eq!(decoder.next::<Message>(), Err(Error::TooLong { length }));
        }
    }

    #[test]
    fn single_bytes_are_joined_and_decode_as_ever() {
        let sent: Vec<Message> = (0..300)
            .map(|round| Message::Vote { round, slots: (0..round % 7).collect() })
            .collect();
        let stream = stream(&sent);
        let mut decoder = Decoder::default();
        let (mut received, mut most) = (Vec::new(), 0);
        for (index, byte) in stream.iter().enumerate() {
            decoder.push(Bytes::copy_from_slice(&[*byte]));
            most = most.max(decoder.chunks.len());
            if index % 1000 == 999 {
                received.extend(drain(&mut decoder).unwrap());
            }
        }
        received.extend(drain(&mut decoder).unwrap());
        assert_eq!(received, sent);
        assert!(decoder.is_empty());
        assert!(most <= CHUNKS_IN_ROW + 1000 / CHUNKS_IN_ROW + 1, "{most}");
    }

    #[test]
    fn a_decoder_is_full_when_it_holds_a_whole_frame_whatever_its_length() {
        let mut decoder = Decoder::default();
        let length = u32::try_from(MAX_FRAME_BYTES).unwrap();
        decoder.push(Bytes::copy_from_slice(&length.to_le_bytes()));
        decoder.push(vec![0; MAX_FRAME_BYTES - 1].into());
        assert!(!decoder.is_full());
        decoder.push(vec![0; 1].into());
        assert!(decoder.is_full());
        // It does not decode, but it is taken out.
        assert!(decoder.next::<Message>().is_err() && !decoder.is_full());
    }

    #[test]
    fn a_message_that_is_too_long_is_not_written() {
        let mut buffer = BytesMut::new();
        encode(&mut buffer, &Message::Nothing).unwrap();
        let before = buffer.clone();
        let message = Message::Value(Bytes::from(vec![0; MAX_FRAME_BYTES]));
        let full = postcard::Error::SerializeBufferFull;
        assert_eq!(encode(&mut buffer, &message), Err(Error::Encode(full)));
        assert_eq!(buffer, before);
    }
}
