//! A relay: `plain_relay LISTEN HOST:PORT` joins each connection to LISTEN with one to HOST:PORT.

use std::{error::Error, rc::Rc, time::Duration};
use striper_runtime::local::Executor;
use striper_runtime::{HostPort, Listener, bridge, dial_tcp};

fn main() -> Result<(), Box<dyn Error>> {
    let [listen, to] = &std::env::args().skip(1).collect::<Vec<_>>()[..] else {
        return Err(
            "usage: plain_relay LISTEN HOST:PORT, as in 127.0.0.1:2222 example.org:22".into()
        );
    };
    let (ex, listen, to) = (Executor::default(), listen.parse()?, to.parse()?);
    smol::block_on(ex.clone().run(async {
        let listener =
            Listener::bind(listen, Some(Rc::new(|event| eprintln!("{event:?}")))).await?;
        relay(ex, listener, to).await
    }))
}

/// Runs until killed. Half-close, congestion and resets pass; an unreachable target is a reset.
pub(crate) async fn relay(ex: Executor, listener: Listener, to: HostPort) -> ! {
    loop {
        let ((mut here, from), to) = (listener.accept().await, to.clone());
        let join = async move {
            match dial_tcp(&to, Duration::from_secs(10)).await {
                Ok(mut there) => eprintln!("{from}: {:?}", bridge(&mut here, &mut there).await),
                Err(error) => eprintln!("{from}: {to}: {error}"),
            }
        };
        ex.spawn(join).detach();
    }
}
