//! A dial, a listener and their choice of congestion control together.

use super::congestion::CongestionChoice;
use super::dial::dial_with;
use super::listen::Listener;
use crate::pipe::{Carrier, Congestion};
use std::io::{self, Read};
use std::net::TcpListener;
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
            assert_eq!(pipe.losses(), None, "it was named");
            assert!(!pipe.is_rate_based());
        }
    });
}

#[test]
fn a_dial_that_is_given_up_is_a_reset_and_no_end() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().into();
    smol::block_on(async {
        let choice = CongestionChoice::System;
        let dialling = dial_with(&address, Duration::from_secs(10), &choice);
        // Loopback connects at once, but the dial looks only when it is polled again.
        assert!(smol::future::poll_once(dialling).await.is_none());
    });
    let (mut accepted, _) = listener.accept().unwrap();
    let error = accepted.read(&mut [0; 1]).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
}
