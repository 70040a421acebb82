//! The query string of a request.

use alloc::string::String;

use super::config::ClientConfig;
use crate::engine::config::Transport;
use crate::id::Random;

/// `EIO=4&transport=…[&sid=…][&t=…][&b64=1][&…]`
pub(super) fn build(
    config: &ClientConfig,
    transport: Transport,
    sid: Option<&str>,
    random: &mut Random,
) -> String {
    let mut query = String::from("EIO=4&transport=");
    query.push_str(transport.name());
    if let Some(sid) = sid {
        query.push_str("&sid=");
        escape(sid, &mut query);
    }
    if config.has_timestamps(transport) {
        query.push('&');
        escape(&config.timestamp_param, &mut query);
        query.push('=');
        query.extend(random.token().map(char::from));
    }
    if config.force_base64 && transport == Transport::WebSocket {
        query.push_str("&b64=1");
    }
    if !config.query.is_empty() {
        query.push('&');
        query.push_str(&config.query);
    }
    query
}

/// Percent-encodes all but the characters that never have a meaning of their own.
fn escape(text: &str, out: &mut String) {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(byte.into());
        } else {
            let [high, low] = [byte >> 4, byte & 15].map(|digit| HEX[usize::from(digit)]);
            out.extend(['%', high.into(), low.into()]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Seed;

    #[test]
    fn the_parts_come_in_order() {
        let mut random = Random::new(Seed([1; 32]));
        let mut config = ClientConfig::default();
        assert_eq!(build(&config, Transport::WebSocket, None, &mut random), "EIO=4&transport=websocket");
        (config.timestamp_requests, config.timestamp_param) = (Some(true), "a b".into());
        (config.force_base64, config.query) = (true, "x=1&y=%20".into());
        let query = build(&config, Transport::WebSocket, Some("a+/=&é"), &mut random);
        let (front, rest) = query.split_once("&a%20b=").unwrap();
        assert_eq!(front, "EIO=4&transport=websocket&sid=a%2B%2F%3D%26%C3%A9");
        let (token, rest) = rest.split_at(8);
        assert!(token.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte)), "{token}");
        assert_eq!(rest, "&b64=1&x=1&y=%20");
        config.timestamp_requests = Some(false);
        assert_eq!(
            build(&config, Transport::Polling, None, &mut random),
            "EIO=4&transport=polling&x=1&y=%20"
        );
    }

    #[test]
    fn timestamps_differ() {
        let mut random = Random::new(Seed([1; 32]));
        let config = ClientConfig::default();
        let mut build = || build(&config, Transport::Polling, None, &mut random);
        assert_ne!(build(), build());
    }
}
