//! A dial, a listener and their choice of congestion control together.

use super::congestion::CongestionChoice;
use super::dial::dial_with;
use super::listen::Listener;
use crate::pipe::{Carrier, Congestion};
use std::io;
use std::time::Duration;

#[test]
fn a_name_that_there_is_none_of_is_an_error() {
    assert_eq!(Congestion::named("no-such").unwrap_err().kind(), io::ErrorKind::NotFound);
    assert!(Congestion::named("").is_err());
}

#[test]
fn both_ends_of_a_connection_have_what_was_chosen_for_them() {
    // Every Linux has it, and every user may choose it.
    let reno = Congestion::named("reno").unwrap();
    smol::block_on(async {
        let mut listener = Listener::bind("127.0.0.1:0".parse().unwrap(), None).await.unwrap();
        let choice = CongestionChoice::Named(reno.clone());
        listener.choose(&choice).unwrap();
        let address = listener.local_addr().into();
        let dialling = dial_with(&address, Duration::from_secs(10), &choice);
        let (dialled, (accepted, _)) = smol::future::zip(dialling, listener.accept()).await;
        for pipe in [dialled.unwrap(), accepted] {
            assert_eq!(pipe.tcp().unwrap().congestion, Some(reno.clone()));
            assert_eq!(pipe.adapt(), None, "it was named");
        }
    });
}
