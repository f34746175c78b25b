//! The ports of a rule.

use super::{Part, RuleError};
use std::ops::RangeInclusive;
use std::str::FromStr;

impl Part<'_> {
    pub(super) fn ports(&self) -> Result<Vec<RangeInclusive<u16>>, RuleError> {
        if self.text == "*" {
            return Ok(vec![1..=u16::MAX]);
        }
        if self.text.is_empty() {
            let cure = "write a port such as 443, a range, a list, or * for all";
            return Err(self.lacks("the ports are missing", cure));
        }
        let mut start = self.start;
        let mut ports = Vec::new();
        for text in self.text.split(',') {
            let item = Part { start, text };
            let (first, last) = match text.split_once('-') {
                Some(ends) => {
                    let (first, last) = item.split(ends);
                    (first.port()?, last.port()?)
                }
                None => {
                    let port = item.port()?;
                    (port, port)
                }
            };
            if first > last {
                let cause = format!("the range {text} ends before it begins");
                return Err(item.wrong(cause, format!("write {last}-{first}")));
            }
            ports.push(first..=last);
            start = item.end() + 1;
        }
        Ok(ports)
    }

    fn port(&self) -> Result<u16, RuleError> {
        let cure = "write a number from 1 to 65535";
        match (self.text, self.number::<u16>()) {
            ("", _) => Err(self.wrong("a port is missing", cure)),
            ("*", _) => Err(self.wrong("the * for all ports stands alone", "write HOST:*")),
            (_, Some(0)) => Err(self.wrong("no target has port 0", cure)),
            (_, Some(port)) => Ok(port),
            (text, None) => Err(self.wrong(format!("{text:?} is no port"), cure)),
        }
    }

    /// A number of digits alone: the parser of std also takes a sign.
    pub(super) fn number<T: FromStr>(&self) -> Option<T> {
        let is_number = self.text.bytes().all(|byte| byte.is_ascii_digit());
        self.text.parse().ok().filter(|_| is_number)
    }
}
