//! The demo's origin and the program that fetches from it. The origin sends as many bytes as the
//! program asks for, and both hash them.

use async_net::{TcpListener, TcpStream};
use rand::Rng;
use sha2::{Digest, Sha256};
use smol::io::{AsyncReadExt, AsyncWriteExt};
use std::cell::{Cell, RefCell};
use std::fmt::Write;
use std::io;
use std::net::{Ipv4Addr, Shutdown, SocketAddr};
use std::rc::Rc;
use std::time::Duration;
use striper_runtime::local::Executor;

const PIECE: usize = 64 << 10;

pub(super) type Hash = String;

pub(super) struct Origin {
    pub address: SocketAddr,
    /// The hash of the bytes for the last connection.
    sent: Rc<RefCell<Hash>>,
}

impl Origin {
    pub(super) async fn start(ex: &Executor) -> io::Result<Origin> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let origin = Origin { address: listener.local_addr()?, sent: Rc::default() };
        let (spawner, sent) = (ex.clone(), origin.sent.clone());
        ex.spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let sent = sent.clone();
                spawner
                    .spawn(async move {
                        // The fetching program notices an error.
                        let _ = serve(stream, &sent).await;
                    })
                    .detach();
            }
        })
        .detach();
        Ok(origin)
    }

    pub(super) fn sent(&self) -> Hash {
        self.sent.borrow().clone()
    }
}

/// Reads the wanted number of bytes (eight bytes, big-endian) and sends so many.
async fn serve(mut stream: TcpStream, sent: &RefCell<Hash>) -> io::Result<()> {
    let mut wanted = [0; 8];
    stream.read_exact(&mut wanted).await?;
    let mut left = u64::from_be_bytes(wanted);
    let mut hash = Sha256::new();
    let mut piece = vec![0; PIECE];
    while left > 0 {
        rand::rng().fill_bytes(&mut piece);
        let len = piece.len().min(usize::try_from(left).unwrap_or(usize::MAX));
        hash.update(&piece[..len]);
        stream.write_all(&piece[..len]).await?;
        left -= len as u64;
    }
    *sent.borrow_mut() = print(hash);
    stream.shutdown(Shutdown::Write)
}

/// Fetches `size` bytes through `address`, counts them in `progress` as they come, and returns
/// their hash. `silence` limits the time without any byte.
pub(super) async fn fetch(
    address: SocketAddr,
    size: u64,
    progress: &Cell<u64>,
    silence: Duration,
) -> io::Result<Hash> {
    let mut stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    stream.write_all(&size.to_be_bytes()).await?;
    let mut hash = Sha256::new();
    let mut piece = vec![0; PIECE];
    loop {
        let too_late = async {
            smol::Timer::after(silence).await;
            Err(io::Error::new(io::ErrorKind::TimedOut, "no data came for a while"))
        };
        let len = smol::future::or(stream.read(&mut piece), too_late).await?;
        if len == 0 {
            return Ok(print(hash));
        }
        hash.update(&piece[..len]);
        progress.set(progress.get() + len as u64);
    }
}

fn print(hash: Sha256) -> Hash {
    hash.finalize().iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_ends_have_the_same_hash() {
        let ex = Executor::new(smol::LocalExecutor::new());
        smol::block_on(ex.run(async {
            let origin = Origin::start(&ex).await.unwrap();
            let progress = Cell::new(0);
            let hash =
                fetch(origin.address, 100_001, &progress, Duration::from_secs(5)).await.unwrap();
            assert_eq!(progress.get(), 100_001);
            assert_eq!(hash, origin.sent());
            assert_eq!(hash.len(), 64);
        }));
    }
}
