//! The host of a rule: all of them, a name, or a block of addresses.

use super::{Part, RuleError};
use crate::rules::rule::{Subject, plain_name};
use ipnet::IpNet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The longest name of DNS in text, and the longest part between two dots (RFC 1035).
const MAX_NAME: usize = 253;
const MAX_LABEL: usize = 63;

impl<'a> Part<'a> {
    pub(super) fn subject(&self) -> Result<Subject, RuleError> {
        if let Some((inside, behind)) =
            self.text.strip_prefix('[').and_then(|rest| rest.split_once(']'))
        {
            return self.bracketed(Part { start: self.start + 1, text: inside }, behind);
        }
        if let Some(parts) = self.text.split_once('/') {
            let (address, length) = self.split(parts);
            let Ok(v4) = address.text.parse::<Ipv4Addr>() else {
                let cause = format!("{:?} is no IPv4 address", address.text);
                return Err(address.wrong(cause, "only a block has a /, as in 10.0.0.0/8:443"));
            };
            return self.block(v4.into(), length);
        }
        match self.text.strip_prefix("*.") {
            _ if self.text == "*" => Ok(Subject::Any),
            Some(below) => Ok(Subject::Below(format!(".{}", self.tail(below).name()?))),
            None => match self.text.parse::<Ipv4Addr>() {
                Ok(v4) => Ok(Subject::Block(IpAddr::V4(v4).into())),
                Err(_) => Ok(Subject::Name(self.name()?)),
            },
        }
    }

    /// An IPv6 address in brackets, or a block whose length is inside or behind them.
    fn bracketed(&self, inside: Part<'a>, behind: &'a str) -> Result<Subject, RuleError> {
        let behind = self.tail(behind);
        let (address, length) = match (inside.text.split_once('/'), behind.text) {
            (Some(parts), "") => {
                let (address, length) = inside.split(parts);
                (address, Some(length))
            }
            (None, "") => (inside, None),
            (None, text) if text.starts_with('/') => (inside, Some(behind.tail(&text[1..]))),
            _ => {
                let cause = format!("{:?} doesn't belong behind the bracket", behind.text);
                return Err(behind.wrong(cause, "write [IPV6]:PORTS or [IPV6]/LENGTH:PORTS"));
            }
        };
        let Ok(v6) = address.text.parse::<Ipv6Addr>() else {
            let cause = format!("{:?} is no IPv6 address", address.text);
            let cure = "only IPv6 addresses stand in brackets, as in [2001:db8::1]:443";
            return Err(address.wrong(cause, cure));
        };
        match length {
            None => Ok(Subject::Block(IpAddr::V6(v6).to_canonical().into())),
            Some(length) => self.block(v6.into(), length),
        }
    }

    /// The block of an address and a length. This part is both, for the range of an error.
    fn block(&self, address: IpAddr, length: Part<'_>) -> Result<Subject, RuleError> {
        let most = if address.is_ipv4() { 32 } else { 128 };
        let Some(block) = length.number().and_then(|bits| IpNet::new(address, bits).ok()) else {
            let cause = format!("{:?} is no length of a prefix", length.text);
            return Err(length.wrong(cause, format!("write a number from 0 to {most}")));
        };
        if block.trunc() != block {
            let (first, bits) = (block.network(), block.prefix_len());
            let cause = format!("{address} is not the first address of its block");
            let (block, one) = match address {
                IpAddr::V4(_) => (format!("{first}/{bits}"), format!("{address}")),
                IpAddr::V6(_) => (format!("[{first}]/{bits}"), format!("[{address}]")),
            };
            return Err(self.wrong(cause, format!("write {block} for the block, or {one}")));
        }
        let mapped = match address {
            IpAddr::V6(v6) => v6.to_ipv4_mapped().zip(block.prefix_len().checked_sub(96)),
            IpAddr::V4(_) => None,
        };
        let v4 = mapped.and_then(|(v4, bits)| IpNet::new(v4.into(), bits).ok());
        Ok(Subject::Block(v4.unwrap_or(block)))
    }

    /// A name in the form that is compared.
    fn name(&self) -> Result<String, RuleError> {
        let is_name = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
        if let Some((place, bad)) = self.text.char_indices().find(|(_, c)| !is_name(*c)) {
            let end = place + bad.len_utf8();
            let text = self.text.get(place..end).unwrap_or_default();
            let cure = match bad {
                '*' => "a * stands alone or as *. before a name, as in *.example.org:443",
                bad if bad.is_ascii() => "a name has letters, digits, dots and hyphens",
                _ => "write the name as DNS has it, with xn--",
            };
            let cause = format!("{bad:?} can't be in a name");
            return Err(Part { start: self.start + place, text }.wrong(cause, cure));
        }
        let text = self.text.strip_suffix('.').unwrap_or(self.text);
        let (mut start, mut last) = (self.start, "");
        for label in text.split('.') {
            let part = Part { start, text: label };
            let cure = "write it as in example.org:443";
            if label.is_empty() {
                return Err(part.wrong("a part of the name is empty", cure));
            }
            if label.len() > MAX_LABEL {
                let cause = format!("a part of a name has at most {MAX_LABEL} bytes");
                return Err(part.wrong(cause, "shorten it"));
            }
            (start, last) = (part.end() + 1, label);
        }
        if text.len() > MAX_NAME {
            let cause = format!("a name has at most {MAX_NAME} bytes");
            return Err(self.wrong(cause, "shorten it"));
        }
        // Resolvers take 127.1 and 0x7f000001 for addresses. A rule for such a name would mislead.
        let is_hex = last.get(..2).is_some_and(|start| start.eq_ignore_ascii_case("0x"));
        if is_hex || last.bytes().all(|byte| byte.is_ascii_digit()) {
            let cause = format!("{text:?} is neither a name nor an IPv4 address");
            return Err(self.wrong(cause, "write all four numbers, as in 127.0.0.1:443"));
        }
        Ok(plain_name(text))
    }
}
