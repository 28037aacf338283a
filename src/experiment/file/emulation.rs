//! `[emulation]`: how precisely live links delay.

use super::{Length, Spanned};
use schemars::JsonSchema;
use serde::Deserialize;

/// `[emulation]`: how precisely live links delay.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Emulation {
    /// How long before a datagram is due the releasing thread spins; 50 us if absent.
    pub spin: Option<Spanned<Length>>,
    /// Whether that thread asks for real-time scheduling; it does if absent.
    pub realtime: Option<bool>,
    /// Whether the host is asked to keep its idle processors awake; it is if absent.
    pub awake: Option<bool>,
    /// Under load, datagrams that are due within this time leave together, up to so much late; 128 us if
    /// absent, never for `"0us"`.
    pub quantum: Option<Spanned<Length>>,
}
