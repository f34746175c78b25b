use smol::io::{AsyncReadExt, AsyncWriteExt};
use std::{error::Error, net::SocketAddr};
use striper_runtime::{Client, Target};

/// Fetches a page over four connections to a striper server.
pub async fn fetch(server: SocketAddr) -> Result<String, Box<dyn Error + Send + Sync>> {
    let client = Client::builder([server]).stripes(4).start()?;
    let mut flow = client.open(Target::Default).await?;
    flow.write_all(b"GET / HTTP/1.0\r\n\r\n").await?;
    flow.close().await?;
    let mut page = String::new();
    flow.read_to_string(&mut page).await?;
    Ok(page)
}
