//! Which authorities an agent takes for the hub's. The hub tells it when that changes, through the tunnel, whose other end
//! is a hub that the agent knows already; the agent keeps what it is told, and says what it has.

use serde::{Deserialize, Serialize};

use crate::plain::tame;

/// What the hub tells an agent: `PUT`, on a stream to the agent itself. The answer is a [`Trusted`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Authorities {
    /// Their certificates, in PEM. The first one is the one that signs; an agent whose certificate is of another gets the
    /// next one.
    pub certificates: String,
}

impl Authorities {
    /// Where the agent takes it.
    pub const PATH: &str = "/acp/v1/authorities";

    /// The longest request, and answer.
    pub const MAX_BYTES: usize = 16 * 1024;

    /// The most that an agent takes: one, and one that takes its place.
    pub const MAX: usize = 2;
}

/// What an agent has.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Trusted {
    /// The pins of the authorities' keys, in their order.
    #[serde(default)]
    pub authorities: Vec<String>,
    /// The pin of the one that has issued the agent's own certificate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub issuer: Option<String>,
    /// Why it does not have what it was told last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}

impl Trusted {
    /// A pin has 71.
    const PIN_CHARS: usize = 80;
    const MESSAGE_CHARS: usize = 512;

    /// Makes what another machine says short and plain.
    pub fn tame(&mut self) {
        self.authorities.truncate(Authorities::MAX * 2);
        self.authorities.iter_mut().chain(&mut self.issuer).for_each(|pin| tame(pin, Self::PIN_CHARS));
        if let Some(message) = &mut self.message {
            tame(message, Self::MESSAGE_CHARS);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn case_28_what_an_agent_says_is_short_and_plain() {
        let mut hostile = Trusted {
            authorities: vec!["\u{1b}[2J".repeat(100); 100],
            issuer: Some("\u{202e}".repeat(100)),
            message: Some("\n".repeat(10_000)),
        };
        hostile.tame();
        assert_eq!(hostile.authorities.len(), 4);
        let texts = hostile.authorities.iter().chain(&hostile.issuer);
        assert!(texts.clone().all(|text| text.chars().count() == 80 && !text.contains(['\u{1b}', '\u{202e}'])));
        assert_eq!(hostile.message.unwrap(), "\u{fffd}".repeat(512));
    }
}
