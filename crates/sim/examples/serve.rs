//! Serves the simulated clouds until it is interrupted: for vendors' own clients, or a browser.
//!
//! `cargo run -p capsule-sim --example serve -- [PORT] [SPEED]`

#![allow(clippy::print_stdout, reason = "printing the addresses is what it is for")]

use std::sync::Arc;

use capsule_core::SystemClock;
use capsule_sim::{Options, Sim};

#[tokio::main(flavor = "current_thread")]
async fn main() -> capsule_core::Result<()> {
    let mut numbers = std::env::args().skip(1).map_while(|word| word.parse().ok());
    let port = numbers.next().unwrap_or(4700);
    let speed = numbers.next().unwrap_or(1).into();
    let sim = Sim::in_memory(Arc::new(SystemClock), Options { speed, ..Options::default() });
    let serving = sim.serve(port).await?;
    for (provider, address) in &serving.addresses {
        println!("{provider} http://{address}");
    }
    println!("servers http://{}", serving.network);
    serving.join().await;
    Ok(())
}
