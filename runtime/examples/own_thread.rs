//! A client on a thread of its own, for a program that runs on tokio, on another executor or on
//! plain threads.
//!
//! A client and its flows stay on the thread that they were made on. The rest of the program
//! reaches them through channels. These channels belong to no executor, so tasks of tokio can await
//! them too.

use smol::channel::{Receiver, Sender, bounded};
use smol::io::{AsyncReadExt, AsyncWriteExt};
use std::error::Error;
use std::net::SocketAddr;
use std::thread::{self, JoinHandle};
use std::time::Duration;
use striper_runtime::Target;
use striper_runtime::local::{Client, ClientOptions, Executor, Server, ServerOptions};

/// How long flows may go on when nobody asks any more.
const DRAIN: Duration = Duration::from_secs(5);

type Answer = Result<Vec<u8>, String>;

/// What is to be sent over a flow, and where the answer goes.
pub struct Question {
    /// All that is sent.
    pub text: Vec<u8>,
    /// Gets all that comes back.
    pub answer: Sender<Answer>,
}

/// Starts the thread. It ends after the last sender of questions has gone.
pub fn start(server: SocketAddr) -> (Sender<Question>, JoinHandle<()>) {
    let (ask, questions) = bounded(16);
    let thread = thread::spawn(move || {
        let ex = Executor::default();
        smol::block_on(ex.clone().run(serve(ex, server, questions)));
    });
    (ask, thread)
}

async fn serve(ex: Executor, server: SocketAddr, questions: Receiver<Question>) {
    let options = ClientOptions::new(vec![server.into()]);
    let client = Client::start(&ex, options, None).expect("settings in range");
    while let Ok(Question { text, answer }) = questions.recv().await {
        let client = client.clone();
        let reply = async move {
            let answered = exchange(&client, &text).await.map_err(|error| error.to_string());
            // The receiver may have gone: nobody waits any more.
            let _ = answer.send(answered).await;
        };
        ex.spawn(reply).detach();
    }
    client.shutdown(DRAIN).await;
}

/// One flow for one question.
async fn exchange(client: &Client, text: &[u8]) -> Result<Vec<u8>, Box<dyn Error>> {
    let mut flow = client.open(Target::Default).await?;
    flow.write_all(text).await?;
    flow.close().await?;
    let mut answer = Vec::new();
    flow.read_to_end(&mut answer).await?;
    Ok(answer)
}

pub(crate) fn main() -> Result<(), Box<dyn Error>> {
    let (ask, thread) = start(echo()?);
    let (answer, answers) = bounded(1);
    // A task of tokio writes `ask.send(…).await` and `answers.recv().await`.
    ask.send_blocking(Question { text: b"from another thread".to_vec(), answer })?;
    let text = answers.recv_blocking()??;
    println!("{}", String::from_utf8_lossy(&text));
    assert_eq!(text, b"from another thread");
    drop(ask);
    thread.join().expect("the thread of the client");
    Ok(())
}

/// A server that sends back what it gets, on a thread that runs until the program ends.
fn echo() -> Result<SocketAddr, Box<dyn Error>> {
    let (tell, address) = bounded(1);
    thread::spawn(move || {
        let ex = Executor::default();
        smol::block_on(ex.clone().run(send_back(ex, tell))).expect("an echo");
    });
    Ok(address.recv_blocking()?)
}

async fn send_back(ex: Executor, tell: Sender<SocketAddr>) -> Result<(), Box<dyn Error>> {
    let any = SocketAddr::from(([127, 0, 0, 1], 0));
    let server = Server::bind(&ex, any, ServerOptions::default(), None).await?;
    tell.send(server.local_addr()).await?;
    loop {
        let mut flow = server.accept().await.into_flow();
        let mut text = Vec::new();
        flow.read_to_end(&mut text).await?;
        flow.write_all(&text).await?;
        flow.close().await?;
    }
}
